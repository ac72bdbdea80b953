"""How often each rule acted: counted in memory, added to a small SQLite file now and then, by day in UTC.

The file is a figure on a screen, no more: where it cannot be written or read, counting goes on without it.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

from vision_rec.rules.book import Clock
from vision_rec.rules.model import utc_now

DAYS = 7  # that `of_week` sums, today among them
KEPT_DAYS = 30
MAX_COUNTED = 10_000  # rules and days in memory between two writes; more are not counted
_WAIT_SECONDS = 5.0  # for another worker that writes
_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS hits (day TEXT NOT NULL, rule TEXT NOT NULL, count INTEGER NOT NULL, "
    "PRIMARY KEY (day, rule)) WITHOUT ROWID"
)
_ADD = (
    "INSERT INTO hits VALUES (?, ?, ?) ON CONFLICT (day, rule) DO UPDATE SET count = count + excluded.count"
)
_OF_WEEK = "SELECT rule, sum(count) FROM hits WHERE day >= ? GROUP BY rule"


class RuleHits:
    """The counts of one data folder; every worker counts for itself and adds to the same file."""

    def __init__(self, path: Path, *, clock: Clock = utc_now) -> None:
        self.path, self._clock = Path(path), clock
        self._lock = threading.Lock()
        self._counts: Counter[tuple[str, str]] = Counter()
        self.trouble: str | None = None  # why the last write or read went wrong

    def count(self, rule_id: str) -> None:
        """Note that a rule acted on one answer; touches no disk."""
        key = (self._day(0), rule_id)
        with self._lock:
            if key in self._counts or len(self._counts) < MAX_COUNTED:
                self._counts[key] += 1

    def flush(self) -> bool:
        """Add what was counted to the file; say whether it is there, else it stays counted."""
        with self._lock:
            counts, self._counts = self._counts, Counter()
        if not counts:
            return True
        try:
            with self._opened() as db:
                db.executemany(_ADD, [(*key, count) for key, count in counts.items()])
                db.execute("DELETE FROM hits WHERE day <= ?", (self._day(KEPT_DAYS),))
        except (OSError, sqlite3.Error) as error:
            with self._lock:
                self._counts += counts
            self.trouble = f"{self.path} cannot be written: {error}"
            return False
        self.trouble = None
        return True

    def of_week(self) -> dict[str, int]:
        """Return how often each rule acted today and in the six days before, by id."""
        since = self._day(DAYS - 1)
        found: Counter[str] = Counter()
        if self.path.exists():
            try:
                with self._opened() as db:
                    found.update(dict(db.execute(_OF_WEEK, (since,))))
            except (OSError, sqlite3.Error) as error:
                self.trouble = f"{self.path} cannot be read: {error}"
        with self._lock:
            for (day, rule), count in self._counts.items():
                if day >= since:
                    found[rule] += count
        return dict(found)

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        if not self.path.exists():
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        db = sqlite3.connect(self.path, timeout=_WAIT_SECONDS)
        try:
            with db:
                db.execute(_SCHEMA)
                yield db
        finally:
            db.close()

    def _day(self, ago: int) -> str:
        day: datetime = self._clock() - timedelta(days=ago)
        return day.date().isoformat()
