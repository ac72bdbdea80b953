"""Events in one SQLite file: what is acknowledged is synced to the disk, several processes may write."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from vision_rec.errors import UnavailableError
from vision_rec.failpoints import failpoint
from vision_rec.sessions import IMPRESSION, PURCHASE
from vision_rec.sessions.sqlite_file import OpenedFile, open_file, told
from vision_rec.types import Event

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_SHOWN, _DID, _BOUGHT = 0, 1, 2  # kinds: impressions, purchases, all the rest
_AT_ONCE = 500  # values in one IN (…), rows of one read
_PRUNED_AT_ONCE = 10_000
_TRUNCATE_SECONDS = 15.0
_FIELDS = "event_id, type, product_id, at, received_at, user, session, value, position, request_id"
_INSERT = f"INSERT INTO events (kind, stored, {_FIELDS}) VALUES (?,?,?,?,?,?,?,?,?,?,?,?)"


@dataclass(slots=True)
class _Ticket:
    """One call of `append` on its way into a commit."""

    events: Sequence[Event]
    done: bool = False
    new: int = 0
    error: Exception | None = None


class SqliteStore:
    """An EventStore in a file, opened at first use; safe for many threads and processes at once.

    `check` is the word of the key that ids are hashed with: a store of another key is refused.
    """

    def __init__(self, path: Path, check: str, *, timeout_s: float = 5.0) -> None:
        self.path, self._check, self._timeout = path, check, timeout_s
        self._writing, self._reading, self._queueing = (threading.Lock() for _ in range(3))
        self._queue: list[_Ticket] = []
        self._writer: OpenedFile | None = None
        self._reader: OpenedFile | None = None

    # ── writing ───────────────────────────────────────────────────────────────────────────────────

    def append(self, events: Sequence[Event]) -> int:
        """Store `events` and return how many were new, once they are synced to the disk.

        Whoever comes while a commit runs waits for it and then shares the next one: one sync for all.
        """
        ticket = _Ticket(events)
        with self._queueing:
            self._queue.append(ticket)
        with self._writing:
            if not ticket.done:
                with self._queueing:
                    tickets, self._queue = self._queue, []
                self._commit(tickets)
        if ticket.error is not None:
            raise ticket.error
        return ticket.new

    def _commit(self, tickets: list[_Ticket]) -> None:
        try:
            with self._writes() as db:
                for ticket in tickets:
                    ticket.new = _insert(db, ticket.events)
                failpoint("events.before-commit")
            failpoint("events.after-commit")
        except Exception as error:  # every caller gets it raised
            for ticket in tickets:
                ticket.error = error
        except BaseException:  # this thread is told to stop; the others must not take that for success
            for ticket in tickets:
                ticket.error = UnavailableError("the write was interrupted; send the events again")
            raise
        finally:
            for ticket in tickets:
                ticket.done = True

    def forget(self, user_id: str) -> int:
        """Erase a user's events and return how many there were; the file is rewritten, so nothing is left."""
        if not self.path.exists():
            return 0
        with self._writing:
            with self._writes() as db:
                count = db.execute("DELETE FROM events WHERE user = ?", (user_id,)).rowcount
                db.execute("DELETE FROM logins WHERE user = ?", (user_id,))
            with told(self.path):
                self._write_connection().execute("VACUUM")
                self._empty_journal()
        return int(count)

    def _empty_journal(self) -> None:
        """Move all pages from the journal into the file and cut it to nothing; readers may delay that."""
        ends = time.monotonic() + _TRUNCATE_SECONDS
        while self._write_connection().execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
            if time.monotonic() > ends:
                raise UnavailableError(
                    f"the rows are erased, but the journal of {self.path} is still read and holds old pages; "
                    "run it again when less is going on"
                )
            time.sleep(0.02)

    def bury(self, mark: str, at: datetime) -> None:
        """Remember that the subject of `mark` was erased at `at`."""
        with self._writing, self._writes() as db:
            db.execute("INSERT OR REPLACE INTO tombstones VALUES (?, ?)", (mark, _micros(at)))

    def prune(self, before: datetime) -> int:
        """Delete events that were stored before `before`, a bounded number at once; return how many."""
        if not self.path.exists():
            return 0
        with self._writing, self._writes() as db:
            oldest = f"SELECT seq FROM events ORDER BY seq LIMIT {_PRUNED_AT_ONCE}"
            sql = f"DELETE FROM events WHERE stored < ? AND seq IN ({oldest})"
            count = int(db.execute(sql, (_micros(before),)).rowcount)
            if 0 < count < _PRUNED_AT_ONCE:
                db.execute(
                    "DELETE FROM logins WHERE session NOT IN (SELECT session FROM events "
                    "WHERE session IS NOT NULL)"
                )
        return count

    # ── reading ───────────────────────────────────────────────────────────────────────────────────

    def recent(
        self, user_id: str | None, limit: int, *, session_id: str | None = None, bought: bool = False
    ) -> tuple[Event, ...]:
        """Return the last `limit` things that a user, a session or either did, oldest first."""
        found: dict[int, tuple[Any, ...]] = {}
        kinds = (_BOUGHT,) if bought else (_DID, _BOUGHT)
        asked: list[tuple[str, tuple[str, ...]]] = []
        if user_id is not None:
            asked.append(("user = ?", (user_id,)))
        if session_id is not None and user_id is not None:
            asked.append(("session = ? AND (user IS NULL OR user = ?)", (session_id, user_id)))
        elif session_id is not None:
            asked.append(("session = ?", (session_id,)))
        with self._reads() as db:
            for where, values in asked:
                for kind in kinds:
                    sql = (
                        f"SELECT received_at, seq, {_FIELDS} FROM events WHERE {where} AND kind = ? "
                        "ORDER BY received_at DESC, seq DESC LIMIT ?"
                    )
                    rows = [] if db is None else db.execute(sql, (*values, kind, limit)).fetchall()
                    found.update((row[1], row) for row in rows)
        ordered = sorted(found.values(), key=lambda row: row[:2])[max(0, len(found) - limit) :]
        return tuple(_event(row[2:]) for row in ordered)

    def popular(self, acts: int) -> Mapping[str, int]:
        """Count the visitors of each product among the last `acts` things that anybody did."""
        sql = (
            "SELECT product_id, COUNT(DISTINCT COALESCE(user, session, event_id)) AS visitors FROM "
            "(SELECT * FROM events WHERE kind > 0 ORDER BY received_at DESC LIMIT ?) "
            "GROUP BY product_id ORDER BY visitors DESC, product_id"
        )
        with self._reads() as db:
            return dict(db.execute(sql, (acts,)).fetchall()) if db else {}

    def export(self, user_id: str | None = None) -> Iterator[Event]:
        """Yield all events of a user, or of everybody, in the order they came."""
        where, values = ("user = ? AND", (user_id,)) if user_id is not None else ("", ())
        sql = f"SELECT seq, {_FIELDS} FROM events WHERE {where} seq > ? ORDER BY seq LIMIT {_AT_ONCE}"
        last = 0
        while True:
            with self._reads() as db:  # a short read each, so that the journal can be cut in between
                rows = db.execute(sql, (*values, last)).fetchall() if db else []
            yield from (_event(row[1:]) for row in rows)
            if len(rows) < _AT_ONCE:
                return
            last = rows[-1][0]

    def buried(self, marks: Collection[str]) -> Mapping[str, datetime]:
        """Return when the subjects of those of `marks` that are known were erased."""
        with self._reads() as db:
            rows = _in_chunks(db, "SELECT mark, at FROM tombstones WHERE mark", marks) if db else []
        return {str(mark): _time(at) for mark, at in rows}

    def counts(self) -> Mapping[str, int]:
        """Count the events by type."""
        with self._reads() as db:
            sql = "SELECT type, COUNT(*) FROM events GROUP BY type ORDER BY type"
            return dict(db.execute(sql).fetchall()) if db else {}

    def damage(self) -> str | None:
        """Look at every page; return what is wrong, None where nothing is."""
        from vision_rec.sessions.sqlite_mend import damage_of

        with self._reads():
            return damage_of(self.path, self._timeout)

    # ── connections ───────────────────────────────────────────────────────────────────────────────

    def close(self) -> None:
        """Close the file; a later call opens it again."""
        with self._writing, self._reading:
            for opened in (self._writer, self._reader):
                _close(opened)
            self._writer = self._reader = None

    @contextmanager
    def _writes(self) -> Iterator[sqlite3.Connection]:
        """Give the writing connection within a transaction; the caller holds the lock `_writing`."""
        with told(self.path):
            db = self._write_connection()
            try:
                db.execute("BEGIN IMMEDIATE")
                yield db
                db.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):
                    if db.in_transaction:
                        db.execute("ROLLBACK")
                raise

    def _write_connection(self) -> sqlite3.Connection:
        if self._writer is None or not self._writer.is_current(self.path):
            _close(self._writer)
            self._writer = open_file(self.path, self._check, self._timeout, create=True)
        assert self._writer is not None
        return self._writer.db

    @contextmanager
    def _reads(self) -> Iterator[sqlite3.Connection | None]:
        """Give the reading connection, None where nothing has been stored yet."""
        with self._reading, told(self.path):
            if self._reader is None or not self._reader.is_current(self.path):
                _close(self._reader)
                self._reader = open_file(self.path, self._check, self._timeout, create=False)
            yield None if self._reader is None else self._reader.db


def _close(opened: OpenedFile | None) -> None:
    if opened is not None:
        opened.db.close()


def _insert(db: sqlite3.Connection, events: Sequence[Event]) -> int:
    """Insert the events that are new, joined to users by what logins are known; return how many."""
    ids = [event.event_id for event in events]
    known = {row[0] for row in _in_chunks(db, "SELECT event_id FROM events WHERE event_id", ids)}
    fresh: list[Event] = []
    for event in events:
        if event.event_id not in known:
            known.add(event.event_id)
            fresh.append(event)
    sessions = {event.session_id for event in fresh if event.session_id is not None}
    logins = dict(_in_chunks(db, "SELECT session, user FROM logins WHERE session", sessions))
    rows, joined = [], []
    stored = _micros(datetime.now(UTC))
    for event in fresh:
        user, session = event.user_id, event.session_id
        if session is not None and user is None:
            user = logins.get(session)
        elif session is not None and user is not None and logins.get(session) != user:
            logins[session] = user
            joined.append((user, session))
        rows.append((_kind(event), stored, *_values(event, user)))
    db.executemany(_INSERT, rows)
    db.executemany("INSERT OR REPLACE INTO logins (user, session) VALUES (?, ?)", joined)
    db.executemany("UPDATE events SET user = ? WHERE session = ? AND user IS NULL", joined)
    return len(fresh)


def _kind(event: Event) -> int:
    return {IMPRESSION: _SHOWN, PURCHASE: _BOUGHT}.get(event.type, _DID)


def _values(event: Event, user: str | None) -> tuple[object, ...]:
    times = _micros(event.at), _micros(event.received_at)
    rest = event.value, event.position, event.request_id
    return (event.event_id, event.type, event.product_id, *times, user, event.session_id, *rest)


def _event(row: Sequence[Any]) -> Event:
    event_id, kind, product_id, at, received, user, session, value, position, request_id = row
    return Event(
        event_id, kind, product_id, _time(at), _time(received), user, session, value, position, request_id
    )


def _micros(moment: datetime) -> int:
    return (moment - _EPOCH) // _MICROSECOND


def _time(micros: object) -> datetime:
    return _EPOCH + int(micros) * _MICROSECOND  # type: ignore[call-overload, no-any-return]


def _in_chunks(db: sqlite3.Connection, sql: str, values: Collection[str]) -> list[Any]:
    """Run `sql` with IN (…) added, for a bounded number of values at once."""
    listed, out = list(values), []
    for start in range(0, len(listed), _AT_ONCE):
        chunk = listed[start : start + _AT_ONCE]
        out += db.execute(f"{sql} IN ({','.join('?' * len(chunk))})", chunk).fetchall()
    return out
