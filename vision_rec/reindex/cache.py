"""What earlier runs found out about pictures, by content; it may be lost or damaged at any time."""

from __future__ import annotations

import logging
import sqlite3
import time
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Half = npt.NDArray[np.float16]

_log = logging.getLogger(__name__)
_NAME = "pictures.sqlite"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS block (
  sha TEXT NOT NULL, encoder TEXT NOT NULL, value BLOB NOT NULL, crc INTEGER NOT NULL, used INTEGER NOT NULL,
  PRIMARY KEY (sha, encoder)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS file (
  path TEXT PRIMARY KEY, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, sha TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS refusal (
  sha TEXT PRIMARY KEY, reason TEXT NOT NULL, limits TEXT NOT NULL, tries INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS block_used ON block (used);
"""
_MAX_BLOCKS = 2_000_000  # about 1.5 GB with the bundled encoder
_MAX_FILES = 10_000_000
_DAY_S = 86_400
_SETTLED_NS = 2_000_000_000  # a younger file may change again within one tick of its clock
_MARKS = 500


class PictureCache:
    """Blocks of pictures by content hash, and content hashes of files by path, size and time.

    Every block carries a checksum. `limits` names those that pictures are decoded under. Where the file is
    damaged it is started anew; where that fails too the run goes on without it.
    """

    def __init__(
        self, folder: Path, encoder: str, width: int, *, limits: str = "", max_blocks: int = _MAX_BLOCKS
    ) -> None:
        self._path = folder / _NAME
        self._encoder, self._width, self._max_blocks = encoder, width, max_blocks
        self._limits = limits
        self._db: sqlite3.Connection | None = self._open(retry=True)

    def _open(self, *, retry: bool) -> sqlite3.Connection | None:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            db = sqlite3.connect(self._path, timeout=10, isolation_level=None)
            try:
                db.execute("PRAGMA journal_mode=WAL")
                db.execute("PRAGMA synchronous=NORMAL")
                db.executescript(_SCHEMA)
            except sqlite3.Error:
                db.close()
                raise
            return db
        except sqlite3.OperationalError as error:
            _log.warning("going on without the picture cache %s: %s", self._path, error)
        except sqlite3.DatabaseError as error:
            _log.warning("the picture cache %s is damaged and starts anew: %s", self._path, error)
            if retry:
                self._remove()
                return self._open(retry=False)
        except OSError as error:
            _log.warning("going on without the picture cache %s: %s", self._path, error)
        return None

    def _remove(self) -> None:
        for suffix in ("", "-wal", "-shm"):
            self._path.with_name(_NAME + suffix).unlink(missing_ok=True)

    def _give_up(self, error: sqlite3.Error) -> None:
        """Go on without the cache; a damaged one is removed so that the next run starts anew."""
        _log.warning("going on without the picture cache %s: %s", self._path, error)
        db, self._db = self._db, None
        if db is not None:
            db.close()
        if not isinstance(error, sqlite3.OperationalError):
            self._remove()

    def get(self, hashes: Sequence[str]) -> dict[str, Half]:
        """Return the blocks (width,) of those pictures that are known, by content hash."""
        found: dict[str, Half] = {}
        today = int(time.time()) // _DAY_S
        for start in range(0, len(hashes), _MARKS):
            part = hashes[start : start + _MARKS]
            marks = ",".join("?" * len(part))
            where = f"encoder = ? AND sha IN ({marks})"
            for sha, value, crc in self._rows(
                f"SELECT sha, value, crc FROM block WHERE {where}", [self._encoder, *part]
            ):
                if len(value) == 2 * self._width and zlib.crc32(value) == crc:
                    found[sha] = np.frombuffer(value, np.float16)
            self._rows(
                f"UPDATE block SET used = ? WHERE {where} AND used <> ?",
                [today, self._encoder, *part, today],
            )
        return found

    def known(self, hashes: Sequence[str]) -> set[str]:
        """Return those content hashes whose blocks can be had from `get`."""
        return set(self.get(hashes))

    def put(self, blocks: Mapping[str, Half]) -> None:
        """Remember the blocks (width,) of pictures by content hash; they survive the end of the process."""
        today = int(time.time()) // _DAY_S
        rows = [
            (sha, self._encoder, value := block.tobytes(), zlib.crc32(value), today)
            for sha, block in blocks.items()
        ]
        self._write("INSERT OR REPLACE INTO block VALUES (?, ?, ?, ?, ?)", rows)

    def refuse(self, sha: str, reason: str) -> None:
        """Remember that a picture could not be decoded, and how often that was so under the same limits."""
        self._write(
            "INSERT INTO refusal VALUES (?, ?, ?, 1) ON CONFLICT (sha) DO UPDATE SET "
            "tries = CASE WHEN (limits, reason) = (excluded.limits, excluded.reason) "
            "THEN tries + 1 ELSE 1 END, "
            "reason = excluded.reason, limits = excluded.limits",
            [(sha, reason, self._limits)],
        )

    def refusals(self, hashes: Sequence[str]) -> dict[str, tuple[str, bool, int]]:
        """Return by content hash why pictures were refused, whether under the limits of now, how often."""
        found: dict[str, tuple[str, bool, int]] = {}
        for start in range(0, len(hashes), _MARKS):
            part = hashes[start : start + _MARKS]
            marks = ",".join("?" * len(part))
            sql = f"SELECT sha, reason, limits, tries FROM refusal WHERE sha IN ({marks})"
            for sha, reason, limits, tries in self._rows(sql, [*part]):
                found[sha] = (reason, limits == self._limits, tries)
        return found

    def hashes(self, files: Sequence[tuple[str, int, int]]) -> dict[str, str]:
        """Return the content hash by path of those files (path, size, mtime_ns) that have not changed."""
        found: dict[str, str] = {}
        for start in range(0, len(files), _MARKS):
            part = {path: (size, mtime) for path, size, mtime in files[start : start + _MARKS]}
            marks = ",".join("?" * len(part))
            for path, size, mtime, sha in self._rows(f"SELECT * FROM file WHERE path IN ({marks})", [*part]):
                if part[path] == (size, mtime):
                    found[path] = sha
        return found

    def remember(self, files: Sequence[tuple[str, int, int, str]]) -> None:
        """Remember the content hash of files (path, size, mtime_ns, hash)."""
        settled = time.time_ns() - _SETTLED_NS
        self._write(
            "INSERT OR REPLACE INTO file VALUES (?, ?, ?, ?)", [file for file in files if file[2] < settled]
        )

    def close(self) -> None:
        """Drop what was not used for longest where there is too much, and close."""
        self._rows(
            "DELETE FROM block WHERE (sha, encoder) IN (SELECT sha, encoder FROM block ORDER BY used "
            "LIMIT max(0, (SELECT count(*) FROM block) - ?))",
            [self._max_blocks],
        )
        if self._rows("SELECT count(*) FROM file", [])[:1] > [(_MAX_FILES,)]:
            self._rows("DELETE FROM file", [])
        if self._db is not None:
            self._db.close()
            self._db = None

    def __enter__(self) -> PictureCache:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _rows(self, sql: str, values: Sequence[Any]) -> list[Any]:
        if self._db is None:
            return []
        try:
            return self._db.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            self._give_up(error)
            return []

    def _write(self, sql: str, rows: Sequence[Sequence[object]]) -> None:
        if self._db is None or not rows:
            return
        try:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.executemany(sql, rows)
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            self._give_up(error)
