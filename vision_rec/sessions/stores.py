"""Which store the settings name, opened when first needed together with the key of its pseudonyms."""

from __future__ import annotations

import logging
import threading
from functools import cached_property
from pathlib import Path

from vision_rec.errors import VisionRecError
from vision_rec.sessions import EventStore
from vision_rec.sessions.pseudonyms import Pseudonyms
from vision_rec.settings import EventSettings

FILE_NAME = "events.db"
_log = logging.getLogger(__name__)


class Vault:
    """The event store of a data folder and the key that ids are hashed with; both are made at first use."""

    def __init__(self, settings: EventSettings, data: Path) -> None:
        self.settings, self.data = settings, data
        self._lock, self._mending = threading.Lock(), threading.Lock()

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

    def mend(self) -> str | None:
        """Set a damaged SQLite file aside and go on with what can be read; say what was done, None if whole.

        Several threads and processes may ask at once: one of them does it. Raises what the disk raises.
        """
        if self.settings.store != "sqlite" or self.is_unused:
            return None
        from vision_rec.sessions.sqlite_mend import mend

        check = self.names.check
        with self._mending:
            done = mend(self.path, check, self.settings.write_timeout_s)
        if done is None:
            return None
        _log.error("the events were damaged and have been mended", extra={"detail": str(done)})
        return str(done)

    def mend_soon(self) -> None:
        """Mend in a thread of its own, so that nobody who reads waits for it."""
        if not self._mending.locked():
            threading.Thread(target=self._mend_quietly, name="mend-events", daemon=True).start()

    def _mend_quietly(self) -> None:
        try:
            self.mend()
        except VisionRecError as error:
            _log.error("the damaged events cannot be mended", extra={"detail": str(error)})

    def set_aside(self) -> list[Path]:
        """List the damaged files that were set aside; they hold events of users."""
        from vision_rec.sessions.sqlite_mend import set_aside

        return set_aside(self.data)

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
