"""The SQLite file of the events: made, opened and checked; what it complains about in our words."""

from __future__ import annotations

import errno
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from vision_rec.errors import IncompatibleError, IntegrityError, ResourceError, UnavailableError

FORMAT = 1
# `stored` is when an event came here; retention goes by it. Imported history keeps its own `received_at`.
_SCHEMA = """
CREATE TABLE events (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, event_id TEXT NOT NULL UNIQUE, kind INTEGER NOT NULL,
  type TEXT NOT NULL, product_id TEXT NOT NULL, at INTEGER NOT NULL, received_at INTEGER NOT NULL,
  stored INTEGER NOT NULL, user TEXT, session TEXT, value REAL, position INTEGER, request_id TEXT);
CREATE INDEX of_user ON events(user, kind, received_at) WHERE user IS NOT NULL;
CREATE INDEX of_session ON events(session, kind, received_at) WHERE session IS NOT NULL;
CREATE INDEX anonymous ON events(session) WHERE user IS NULL AND session IS NOT NULL;
CREATE INDEX acts ON events(received_at) WHERE kind > 0;
CREATE TABLE logins (session TEXT PRIMARY KEY, user TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX logins_of_user ON logins(user);
CREATE TABLE tombstones (mark TEXT PRIMARY KEY, at INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""


class DamagedError(IntegrityError):
    """The file itself is broken; it can be set aside and a new one begun with what is readable."""


@dataclass(frozen=True, slots=True)
class OpenedFile:
    """A connection and the file it belongs to."""

    db: sqlite3.Connection
    inode: int

    def is_current(self, path: Path) -> bool:
        """Say whether `path` is still the file that was opened; a removed one would swallow events."""
        try:
            return path.stat().st_ino == self.inode
        except FileNotFoundError:
            return False


def open_file(path: Path, check: str, timeout_s: float, *, create: bool) -> OpenedFile | None:
    """Open the file at `path`; None where there are no events yet and nothing is to be made.

    `check` is the word of the key that ids are hashed with. Raises IntegrityError where the file was
    written with another key, IncompatibleError where by another version.
    """
    if not path.exists():
        if not create:
            return None
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))  # the journal gets the same rights
    inode = path.stat().st_ino
    db = sqlite3.connect(path, timeout=timeout_s, isolation_level=None, check_same_thread=False)
    try:
        _set_up(db, timeout_s)
        if _format(db) == 0 and not create:
            db.close()
            return None
        _make_tables(db, check)
        _compare(db, check)
    except BaseException:
        db.close()
        raise
    return OpenedFile(db, inode)


def _set_up(db: sqlite3.Connection, timeout_s: float) -> None:
    ends = time.monotonic() + timeout_s
    while True:
        try:
            db.execute("PRAGMA journal_mode = WAL")
            break
        except sqlite3.OperationalError:  # changing to WAL does not wait for another that does so too
            if time.monotonic() > ends:
                raise
            time.sleep(0.01)
    for pragma in ("synchronous = FULL", "secure_delete = ON", "trusted_schema = OFF"):
        db.execute(f"PRAGMA {pragma}")


def _make_tables(db: sqlite3.Connection, check: str) -> None:
    if _format(db) != 0:
        return
    db.execute("BEGIN IMMEDIATE")
    if _format(db) == 0:  # no other process was quicker
        for statement in filter(str.strip, _SCHEMA.split(";")):
            db.execute(statement)
        db.execute("INSERT INTO meta VALUES ('key', ?)", (check,))
        db.execute(f"PRAGMA user_version = {FORMAT}")
    db.execute("COMMIT")


def _compare(db: sqlite3.Connection, check: str) -> None:
    if (found := _format(db)) != FORMAT:
        raise IncompatibleError(
            f"the events have format {found}, this version reads {FORMAT}; use the version that wrote them"
        )
    if db.execute("SELECT value FROM meta WHERE name = 'key'").fetchone() != (check,):
        raise IntegrityError(
            "the events were stored under another key than DATA/secrets/events.key; bring the old key back, "
            "or move the events away"
        )


def _format(db: sqlite3.Connection) -> int:
    return int(db.execute("PRAGMA user_version").fetchone()[0])


@contextmanager
def told(path: Path) -> Iterator[None]:
    """Say what SQLite and the disk complain about in the words of this package."""
    try:
        yield
    except UnicodeDecodeError as error:  # SQLite quotes what is damaged
        raise DamagedError(f"the events in {path} are damaged; see `vision-rec doctor`") from error
    except sqlite3.Error as error:
        code = (getattr(error, "sqlite_errorcode", 0) or 0) & 0xFF
        if code == sqlite3.SQLITE_FULL:
            raise ResourceError(f"the disk of {path} is full; make room") from error
        if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            raise DamagedError(
                f"the events in {path} are damaged: {error}; see `vision-rec doctor`"
            ) from error
        raise UnavailableError(f"the events in {path} cannot be reached now: {error}") from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise ResourceError(f"the disk of {path} is full; make room") from error
        raise UnavailableError(f"the events in {path} cannot be reached now: {error.strerror}") from error
