"""Events from files and to files: CSV, JSON Lines, Parquet."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

from vision_rec.errors import FeedRowError, InputError
from vision_rec.events.check import Times, event_of
from vision_rec.events.log import EventLog
from vision_rec.outfile import unfinished
from vision_rec.types import Event

COLUMNS = (
    "event_id", "type", "product_id", "at", "received_at", "user_id", "session_id", "value", "position",
    "request_id",
)  # fmt: skip
FORMATS = (".csv", ".jsonl", ".parquet")
MAX_LISTED = 1000  # rejected rows that are listed
_AT_ONCE = 1000
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
Reject = Callable[[FeedRowError], None]


@dataclass(slots=True)
class Imported:
    """What an import did; `rejected` lists the first bad rows, `rejects` counts all."""

    accepted: int = 0
    duplicates: int = 0
    rejects: int = 0
    rejected: list[dict[str, Any]] = field(default_factory=list)

    def reject(self, error: FeedRowError) -> None:
        """Count and list one bad row."""
        self.rejects += 1
        if len(self.rejected) < MAX_LISTED:
            self.rejected.append({"line": error.line, "column": error.column, "reason": error.reason})


def read_event_files(paths: Sequence[Path], *, on_error: Reject) -> Iterator[Event]:
    """Yield the events of files, each received when it says it was; `on_error` gets bad rows.

    Raises FeedError where a file as a whole is unusable.
    """
    from vision_rec.feeds.events import read_events

    times = _any_time()
    for path in paths:
        for _, _, event in _checked(read_events(path, on_error=on_error), times, on_error):
            yield event


def import_events(
    log: EventLog,
    path: Path,
    *,
    mapping: Mapping[str, str] | None = None,
    hashed: bool = False,
    progress: Callable[[str, int, int | None], None] = lambda stage, done, total: None,
) -> Imported:
    """Store the events of a file and say what became of them; importing it again changes nothing.

    Times are those of the file. Rows without an id get one from what they say, so equal rows count once.
    `hashed` takes user and session ids as pseudonyms, as `export_events` writes them. Raises FeedError where
    the file as a whole is unusable.
    """
    from vision_rec.feeds.events import read_events

    done = Imported()
    times = _any_time()
    rows = _checked(read_events(path, mapping=mapping, on_error=done.reject), times, done.reject)
    events = _named(log, rows)
    while chunk := dict(islice(events, _AT_ONCE)):
        receipt = log.store(chunk, times, hashed=hashed)
        done.accepted += receipt.accepted
        done.duplicates += receipt.duplicates
        for refused in receipt.rejected:
            done.reject(FeedRowError(refused.index, "(row)", refused.reason))
        progress("events", done.accepted + done.duplicates + done.rejects, None)
    return done


def _any_time() -> Times:
    """Return bounds that let any time of the past be."""
    now = datetime.now(UTC)
    return Times(now, _LONG_AGO, now)


def _checked(
    rows: Iterable[tuple[int, dict[str, Any]]], times: Times, reject: Reject
) -> Iterator[tuple[int, dict[str, Any], Event]]:
    for line, fields in rows:
        try:
            event = event_of(fields, times)
        except InputError as error:
            reject(FeedRowError(line, str(error).split(" ", 1)[0], str(error)))
            continue
        yield line, fields, replace(event, received_at=times.clamp(event.at))


def _named(log: EventLog, rows: Iterable[tuple[int, dict[str, Any], Event]]) -> Iterator[tuple[int, Event]]:
    """Give events without an id one from what they say."""
    for line, fields, event in rows:
        ident = event.event_id or log.vault.names.content(*(str(fields.get(name, "")) for name in COLUMNS))
        yield line, replace(event, event_id=ident)


def event_to_json(event: Event) -> dict[str, Any]:
    """Return an event with JSON types."""
    out = {name: getattr(event, name) for name in COLUMNS}
    return {**out, "at": _iso(event.at), "received_at": _iso(event.received_at)}


def export_events(events: Iterable[Event], out: Path) -> int:
    """Write `events` to `out`, in the format of its ending, and return how many there were.

    The file appears when it is whole. Raises InputError for another ending.
    """
    kind = out.suffix.lower()
    if kind not in FORMATS:
        raise InputError(f"{out} ends with {kind or 'nothing'!r}; events are written to {', '.join(FORMATS)}")
    write = {".csv": _write_csv, ".jsonl": _write_json_lines, ".parquet": _write_parquet}[kind]
    with unfinished(out) as path:
        return write(map(event_to_json, events), path)


def _write_csv(records: Iterable[dict[str, Any]], path: Path) -> int:
    count = 0
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        for record in records:
            writer.writerow({name: _harmless(value) for name, value in record.items()})
            count += 1
    return count


def _harmless(value: Any) -> Any:
    """Keep a spreadsheet from taking a text for a formula."""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value


def _write_json_lines(records: Iterable[dict[str, Any]], path: Path) -> int:
    count = 0
    with path.open("w", encoding="utf-8") as file:
        for record in records:
            file.write(json.dumps(record, ensure_ascii=False) + "\n")
            count += 1
    return count


def _write_parquet(records: Iterable[dict[str, Any]], path: Path) -> int:
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = {"value": pa.float64(), "position": pa.int64()}
    schema = pa.schema({name: kinds.get(name, pa.string()) for name in COLUMNS})
    count, left = 0, iter(records)
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        while chunk := list(islice(left, 10 * _AT_ONCE)):
            writer.write_table(pa.Table.from_pylist(chunk, schema=schema))
            count += len(chunk)
    return count


def _iso(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
