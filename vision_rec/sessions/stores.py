"""Which store the settings name, opened when first needed together with the key of its pseudonyms."""

from __future__ import annotations

import threading
from functools import cached_property
from pathlib import Path

from vision_rec.sessions import EventStore
from vision_rec.sessions.pseudonyms import Pseudonyms
from vision_rec.settings import EventSettings

FILE_NAME = "events.db"


class Vault:
    """The event store of a data folder and the key that ids are hashed with; both are made at first use."""

    def __init__(self, settings: EventSettings, data: Path) -> None:
        self.settings, self.data = settings, data
        self._lock = threading.Lock()

    @property
    def path(self) -> Path:
        """The SQLite file, whether or not it is there."""
        return self.data / FILE_NAME

    @property
    def is_unused(self) -> bool:
        """Whether nothing can have been stored yet, so that reading need not make a key or a file."""
        return self.settings.store == "sqlite" and not self.path.exists()

    @property
    def names(self) -> Pseudonyms:
        """The pseudonyms of users and sessions; raises what opening the key raises."""
        with self._lock:
            return self._names

    @property
    def store(self) -> EventStore:
        """The store; raises what opening the key raises."""
        with self._lock:
            return self._store

    def close(self) -> None:
        """Close the store, if it was opened."""
        with self._lock:
            if "_store" in self.__dict__:
                self._store.close()

    @cached_property
    def _names(self) -> Pseudonyms:
        return Pseudonyms.open(self.data / "secrets")

    @cached_property
    def _store(self) -> EventStore:
        check, settings = self._names.check, self.settings
        if settings.store == "sqlite":
            from vision_rec.sessions.sqlite_store import SqliteStore

            return SqliteStore(self.path, check, timeout_s=settings.write_timeout_s)
        from vision_rec.sessions.redis_store import RedisStore

        return RedisStore(
            settings.url,
            check,
            timeout_s=settings.write_timeout_s,
            read_timeout_s=settings.read_timeout_s,
        )
