"""The log of who did what to the rules when: one line each, numbered without gaps, never changed."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vision_rec.errors import IntegrityError
from vision_rec.rules.disk import append_line

MAX_SAID = 1000  # characters of one side of a change
_TAIL = 64 << 10


@dataclass(frozen=True, slots=True)
class Entry:
    """One change: number, time (ISO), author, kind; the rule or version it was about; before, after."""

    seq: int
    at: str
    who: str
    what: str  # created, changed, removed, published, restored
    rule: str | None = None
    version: int | None = None
    before: str = ""
    after: str = ""

    @classmethod
    def read(cls, record: Any) -> Entry:
        """Read a stored entry; raises IntegrityError."""
        try:
            if not isinstance(record["seq"], int):
                raise TypeError(f"its number is {record['seq']!r}")
            return cls(**record)
        except (TypeError, KeyError) as error:
            raise IntegrityError(f"an entry of the audit log cannot be read: {error}") from error

    def to_json(self) -> dict[str, Any]:
        """Return the entry as JSON types."""
        return asdict(self)


class AuditLog:
    """The lines of one file, oldest first."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def last(self) -> int:
        """Return the number of the last whole line, 0 where there is none."""
        try:
            with self.path.open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(0, size - _TAIL))
                lines = file.read().split(b"\n")[:-1]  # the rest after the last line break was cut off
        except FileNotFoundError:
            return 0
        return next((entry.seq for line in reversed(lines) if (entry := _entry(line)) is not None), 0)

    def append(self, entry: Entry) -> None:
        """Add an entry durably; what a killed writer left of a line is removed first."""
        if self.path.exists():
            self._cut_half_line()
        append_line(self.path, entry.to_json(), "rules.audit")

    def entries(self, limit: int, before: int | None = None) -> tuple[Entry, ...]:
        """Return up to `limit` entries, newest first, those numbered below `before`."""
        found = [entry for entry in map(_entry, self._lines()) if entry is not None]
        chosen = [entry for entry in found if before is None or entry.seq < before]
        return tuple(reversed(chosen[-limit:])) if limit > 0 else ()

    def problems(self) -> tuple[str, ...]:
        """Name lines that cannot be read and numbers that are missing."""
        out, expected = [], 1
        for number, line in enumerate(self._lines(), 1):
            entry = _entry(line)
            if entry is None:
                out.append(f"{self.path}: line {number} cannot be read")
                expected += 1
            elif entry.seq != expected:
                out.append(f"{self.path}: line {number} is entry {entry.seq}; expected {expected}")
                expected = entry.seq + 1
            else:
                expected += 1
        return tuple(out)

    def _lines(self) -> list[bytes]:
        try:
            return self.path.read_bytes().split(b"\n")[:-1]
        except FileNotFoundError:
            return []

    def _cut_half_line(self) -> None:
        with self.path.open("rb+") as file:
            size = file.seek(0, os.SEEK_END)
            start = max(0, size - _TAIL)
            file.seek(start)
            tail = file.read()
            whole = tail.rfind(b"\n") + 1
            if whole != len(tail):
                file.truncate(start + whole)


def _entry(line: bytes) -> Entry | None:
    try:
        return Entry.read(json.loads(line))
    except (ValueError, RecursionError, IntegrityError):
        return None
