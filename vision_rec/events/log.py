"""EventLog: record what visitors do, give it back, forget it."""

from __future__ import annotations

import logging
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from vision_rec.errors import InputError, ResourceError, VisionRecError
from vision_rec.events.check import Times, event_of
from vision_rec.sessions.history import History
from vision_rec.sessions.sqlite_file import DamagedError
from vision_rec.sessions.stores import Vault
from vision_rec.settings import Settings
from vision_rec.types import Event

T = TypeVar("T")
PRUNE_SECONDS = 3600.0
_DISK_SECONDS = 2.0  # how long a look at the disk holds
_AIR = 0.01  # share of the disk that must come free before events are taken again
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Rejected:
    """One event that was not taken, by its place in the call, and why."""

    index: int
    reason: str


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a call: `accepted` events are stored durably, `duplicates` were there already."""

    accepted: int
    duplicates: int
    rejected: tuple[Rejected, ...] = ()


class EventLog:
    """Takes events in, hashes their ids and stores them; safe for many threads at once."""

    def __init__(
        self,
        settings: Settings,
        vault: Vault | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.settings = settings.events
        self.vault = vault or Vault(settings.events, settings.paths.data)
        self.history = History(self.vault)
        self._clock = clock
        self._lock = threading.Lock()
        self._last = datetime.min.replace(tzinfo=UTC)
        self._prune_at = 0.0
        self._full: str | None = None
        self._looked_until = -1.0

    # ── in ────────────────────────────────────────────────────────────────────────────────────────

    def record(self, bodies: Sequence[Any]) -> Receipt:
        """Store the events in `bodies`, as clients send them; those that cannot be taken are told apart.

        What is accepted is durable when this returns. Raises InputError for too many, ResourceError where
        the disk is full, UnavailableError where the store is down; nothing of the call is acknowledged then.
        """
        if len(bodies) > self.settings.max_events:
            raise InputError(
                f"events has {len(bodies)} entries; allowed are {self.settings.max_events} in one call"
            )
        times = Times.of(self._now(), self.settings)
        good: dict[int, Event] = {}
        rejected: list[Rejected] = []
        for index, body in enumerate(bodies):
            try:
                good[index] = event_of(body, times)
            except InputError as error:
                rejected.append(Rejected(index, str(error)))
        return self.store(good, times, rejected)

    def store(
        self,
        events: Mapping[int, Event],
        times: Times,
        rejected: Sequence[Rejected] = (),
        *,
        hashed: bool = False,
    ) -> Receipt:
        """Store checked events, by their place in the call; `hashed` says that ids are pseudonyms already."""
        self._check_room()
        refused = list(rejected)
        known = {index: event if hashed else self._hashed(event) for index, event in events.items()}
        erased = self._whole(lambda: self._erased(known.values()))
        wanted: list[Event] = []
        for index, event in known.items():
            # Compared with the time as the client said it: clamped, an old event could pass for a new one.
            if event.user_id in erased and event.at <= erased[event.user_id]:
                refused.append(Rejected(index, "the user was erased after this event"))
            else:
                wanted.append(replace(event, at=times.clamp(event.at)))
        accepted = self._whole(lambda: self.vault.store.append(wanted)) if wanted else 0
        self._prune()
        ordered = tuple(sorted(refused, key=lambda entry: entry.index))
        return Receipt(accepted, len(wanted) - accepted, ordered)

    def _whole(self, work: Callable[[], T]) -> T:
        """Do something with the store; where its file is damaged it is mended first."""
        try:
            return work()
        except DamagedError:
            self.vault.mend()
            return work()

    def _erased(self, events: Iterable[Event]) -> dict[str | None, datetime]:
        """Return when those of the users of `events` who were erased were."""
        users = {event.user_id for event in events if event.user_id is not None}
        marks = {self.vault.names.tombstone(user): user for user in users}
        return {marks[mark]: at for mark, at in self.vault.store.buried(marks).items()} if marks else {}

    def _hashed(self, event: Event) -> Event:
        names = self.vault.names
        user = None if event.user_id is None else names.user(event.user_id)
        session = None if event.session_id is None else names.session(event.session_id)
        return replace(event, event_id=event.event_id or _new_id(), user_id=user, session_id=session)

    def _now(self) -> datetime:
        """Return the time, which never goes back, so that it orders what is received."""
        with self._lock:
            self._last = max(self._last, self._clock())
            return self._last

    def _check_room(self) -> None:
        """Refuse events while the disk of a SQLite store is nearly full, until some of it is free again."""
        if self.settings.store != "sqlite":
            return
        with self._lock:
            if time.monotonic() >= self._looked_until:
                self._looked_until = time.monotonic() + _DISK_SECONDS
                self._full = self._fullness(was_full=self._full is not None)
            if self._full is not None:
                raise ResourceError(self._full)

    def _fullness(self, *, was_full: bool) -> str | None:
        data = self.vault.data.absolute()
        usage = shutil.disk_usage(next(path for path in (data, *data.parents) if path.is_dir()))
        share = usage.used / max(usage.used + usage.free, 1)
        most = self.settings.max_disk_share - (_AIR if was_full else 0.0)
        if usage.free >= self.settings.min_free_bytes and share <= most:
            return None
        return (
            f"the disk of {self.vault.data} is {share:.0%} full with {usage.free} bytes free; events are "
            f"taken below {most:.0%} and from {self.settings.min_free_bytes} bytes on"
        )

    def _prune(self) -> None:
        """Delete, once an hour, what is older than it may be; a failure must not cost what was stored."""
        with self._lock:
            if time.monotonic() < self._prune_at:
                return
            self._prune_at = time.monotonic() + PRUNE_SECONDS
        try:
            if not self.vault.is_unused:
                self.prune()
        except VisionRecError as error:
            _log.warning("old events are not deleted", extra={"detail": str(error)})

    def prune(self) -> int:
        """Delete events kept longer than the settings allow, a bounded number; return how many.

        Damaged files that were set aside so long ago go, too.
        """
        oldest = self._clock() - timedelta(days=self.settings.retention_days)
        self._remove_set_aside(oldest)
        return self.vault.store.prune(oldest)

    def _remove_set_aside(self, before: datetime | None = None) -> None:
        """Delete damaged files that were set aside (before a time): nobody can be erased from them."""
        for path in self.vault.set_aside():
            if before is None or path.stat().st_mtime < before.timestamp():
                path.unlink(missing_ok=True)
                _log.warning("a damaged file of events is deleted", extra={"detail": path.name})

    # ── out ───────────────────────────────────────────────────────────────────────────────────────

    def export(self, user_id: str | None = None) -> Iterator[Event]:
        """Yield all events, ids as pseudonyms; or those of a user, whose id stands in them then."""
        if self.vault.is_unused:
            return
        if user_id is None:
            yield from self.vault.store.export()
            return
        for event in self.vault.store.export(self.vault.names.user(user_id)):
            yield replace(event, user_id=user_id)

    def erase(self, user_id: str) -> int:
        """Erase a user: events, joined sessions, every byte; return how many events there were.

        A mark that cannot be matched with anything stays, so that old events sent again are refused.
        Damaged files that were set aside are deleted whole, for they may hold the user's events.
        """
        self._remove_set_aside()
        if self.vault.is_unused:
            return 0
        store, names = self.vault.store, self.vault.names
        user = names.user(user_id)
        self._whole(lambda: store.bury(names.tombstone(user), self._now()))
        count = self._whole(lambda: store.forget(user))
        self._remove_set_aside()
        self.history.forget()
        return count

    def close(self) -> None:
        """Close the store."""
        self.vault.close()


def _new_id() -> str:
    import uuid

    return f"g{uuid.uuid4().hex}"
