"""A damaged file of events is set aside, and a new one begun with all that can still be read of it."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from vision_rec.errors import IntegrityError
from vision_rec.outfile import sync
from vision_rec.sessions import EVENT_TYPES
from vision_rec.sessions.sqlite_file import FORMAT, open_file, told

FOLDER = "quarantine"
_COLUMNS = (
    "seq, event_id, kind, type, product_id, at, received_at, stored, "
    "user, session, value, position, request_id"
)
_CHUNK = 4096
_MOST_PROBES = 200_000  # reads of a file in pieces; what is left then counts as lost
_UNREADABLE = (sqlite3.Error, UnicodeDecodeError, OverflowError)


@dataclass(frozen=True, slots=True)
class Mended:
    """What became of a damaged file: where it lies now, how many events were kept, which numbers were not.

    `lost` are ranges of sequence numbers, both ends included: no more events than that can be missing.
    """

    moved: Path
    kept: int
    lost: tuple[tuple[int, int], ...]

    def __str__(self) -> str:
        most = sum(last - first + 1 for first, last in self.lost)
        ranges = ", ".join(f"{first}–{last}" for first, last in self.lost[:5])
        missing = f"at most {most} lost (numbers {ranges})" if most else "none known to be lost"
        return f"{self.kept} events kept, {missing}; the damaged file is {self.moved}"


def set_aside(data: Path) -> list[Path]:
    """List the damaged files that lie in the quarantine of a data folder."""
    return sorted((data / FOLDER).glob("events-*"))


def mend(path: Path, check: str, timeout_s: float) -> Mended | None:
    """Replace the damaged file at `path`; None where it is whole, as when another process was quicker.

    Raises IntegrityError where it was written with another key, and what the disk raises.
    """
    with told(path), _alone(path):
        if damage_of(path, timeout_s) is None:
            return None
        old = sqlite3.connect(path, timeout=timeout_s, isolation_level=None)
        with closing(old):  # closed at the end: what is locked cannot be written to meanwhile
            with suppress(*_UNREADABLE):
                old.execute("BEGIN IMMEDIATE")
            _compare(old, check)
            new = path.with_name(f".{path.name}.mending")
            for name in (new, *_journals(new)):
                name.unlink(missing_ok=True)
            kept, lost = _copy(old, new, check, timeout_s)
            return Mended(_exchange(path, new), kept, lost)


def damage_of(path: Path, timeout_s: float) -> str | None:
    """Look at every page of the file at `path`; return what is wrong, None where nothing is."""
    if not path.exists():
        return None
    try:
        with closing(sqlite3.connect(path, timeout=timeout_s, isolation_level=None)) as db:
            db.text_factory = lambda text: text.decode("utf-8", "replace")  # what is wrong is quoted
            found = str(db.execute("PRAGMA quick_check(1)").fetchone()[0])
    except UnicodeDecodeError:  # what is wrong is quoted, and that is no text any more
        return "its schema cannot be read"
    except sqlite3.DatabaseError as error:
        code = (getattr(error, "sqlite_errorcode", 0) or 0) & 0xFF
        if code not in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            raise
        found = str(error)
    return None if found == "ok" else found


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Keep other processes from mending the same file; the lock dies with its holder."""
    handle = os.open(path.with_name(f"{path.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _compare(old: sqlite3.Connection, check: str) -> None:
    """Leave files alone that can be read so far as to say that they are of another key or version."""
    with suppress(*_UNREADABLE):
        found = old.execute("SELECT value FROM meta WHERE name = 'key'").fetchone()
        version = old.execute("PRAGMA user_version").fetchone()[0]
        if (found is not None and found != (check,)) or version not in (0, FORMAT):
            raise IntegrityError(
                "the events are damaged, and were stored under another key or by another version; "
                "bring that back, or move the events away"
            )


def _copy(
    old: sqlite3.Connection, new: Path, check: str, timeout_s: float
) -> tuple[int, tuple[tuple[int, int], ...]]:
    """Write what can be read into a new file; return how many events, and the ranges that cannot."""
    opened = open_file(new, check, timeout_s, create=True)
    assert opened is not None
    kept, lost = 0, []
    with closing(opened.db) as db:
        db.execute("BEGIN IMMEDIATE")
        for found in _pieces(old, _last_number(old)):
            if isinstance(found, tuple):
                lost.append(found)
                continue
            for row in found:
                kept += _take(db, row)
        for table, columns in (("logins", 2), ("tombstones", 2)):
            sql = f"INSERT OR IGNORE INTO {table} VALUES ({','.join('?' * columns)})"
            for row in _readable(old, f"SELECT * FROM {table}"):
                with suppress(sqlite3.Error):
                    db.execute(sql, row)
        db.execute("COMMIT")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return kept, _joined(lost)


def _take(db: sqlite3.Connection, row: tuple[Any, ...]) -> int:
    """Insert one row, unless damage made something else of it."""
    times = row[5:8]
    if row[2] not in (0, 1, 2) or row[3] not in EVENT_TYPES or not all(isinstance(t, int) for t in times):
        return 0
    try:
        db.execute(f"INSERT INTO events ({_COLUMNS}) VALUES ({','.join('?' * 13)})", row)
    except _UNREADABLE:
        return 0
    return 1


def _last_number(old: sqlite3.Connection) -> int:
    for sql in ("SELECT seq FROM sqlite_sequence WHERE name = 'events'", "SELECT MAX(seq) FROM events"):
        with suppress(*_UNREADABLE):
            found = old.execute(sql).fetchone()
            if found and isinstance(found[0], int) and found[0] > 0:
                return int(found[0])
    return 0


def _pieces(old: sqlite3.Connection, last: int) -> Iterator[list[tuple[Any, ...]] | tuple[int, int]]:
    """Read events 1 to `last` piece by piece; a piece that cannot be read is halved, or told as a range."""
    sql = f"SELECT {_COLUMNS} FROM events WHERE seq BETWEEN ? AND ? ORDER BY seq"
    left = [(start, min(start + _CHUNK - 1, last)) for start in range(1, last + 1, _CHUNK)][::-1]
    probes = 0
    while left:
        first, end = left.pop()
        probes += 1
        try:
            yield old.execute(sql, (first, end)).fetchall()
        except _UNREADABLE:
            if first == end or probes > _MOST_PROBES:
                yield first, end
            else:
                middle = (first + end) // 2
                left += [(middle + 1, end), (first, middle)]


def _readable(old: sqlite3.Connection, sql: str) -> Iterator[tuple[Any, ...]]:
    """Yield rows as far as they can be read."""
    with suppress(*_UNREADABLE):
        yield from old.execute(sql)


def _joined(ranges: list[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    out: list[tuple[int, int]] = []
    for first, last in sorted(ranges):
        if out and first == out[-1][1] + 1:
            out[-1] = out[-1][0], last
        else:
            out.append((first, last))
    return tuple(out)


def _exchange(path: Path, new: Path) -> Path:
    """Put the new file in the place of the old one, which gets a name in the quarantine."""
    folder = path.parent / FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    stamp = f"{datetime.now(UTC):%Y-%m-%dT%H-%M-%S}-{time.monotonic_ns() % 10**6:06d}"
    moved = folder / f"events-{stamp}.db"
    sync(new)
    os.link(path, moved)  # `path` is never without a file, which another process would make anew
    for journal, name in zip(_journals(path), _journals(moved), strict=True):
        with suppress(FileNotFoundError):
            journal.rename(name)  # else its pages would be taken for those of the new file
    os.replace(new, path)
    for place in (folder, path.parent):
        sync(place)
    return moved


def _journals(path: Path) -> tuple[Path, Path]:
    return path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")
