"""Read what visitors did from a file: CSV, TSV, JSON Lines or Parquet."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from vision_rec.errors import FeedError, FeedRowError
from vision_rec.feeds.columns import Columns, normalise
from vision_rec.feeds.delimited import read_delimited
from vision_rec.feeds.detect import detect_format
from vision_rec.feeds.jsonlines import read_json_lines
from vision_rec.feeds.parquet import read_parquet
from vision_rec.feeds.products import MAX_NAMES, Cells
from vision_rec.feeds.rows import Reject, Row, Table, peek
from vision_rec.feeds.source import open_feed
from vision_rec.feeds.values import parse_date

EVENT_FIELDS: Mapping[str, tuple[str, ...]] = {
    name: (name, *words.split())
    for name, words in {
        "event_id": "id uuid",
        "type": "event event_type action behavior behaviour",
        "product_id": "item_id product item sku article_id itemid parent_asin asin",
        "user_id": "user customer_id visitor_id visitorid customer userid reviewer_id",
        "session_id": "session sessionid visit_id",
        "at": "timestamp time date event_time created_at eventdate datetime",
        "value": "rating stars amount dwell",
        "position": "rank place",
        "request_id": "request",
    }.items()
}
_NAMES = frozenset(name for names in EVENT_FIELDS.values() for name in names)
_TYPES = {
    "add_to_cart": "addtocart cart basket add add_to_basket addtobasket",
    "purchase": "transaction buy order bought checkout purchased",
    "view": "pageview page_view product_view detail pv viewed",
    "impression": "shown show impressed",
    "rating": "rate review rated",
    "click": "clicked",
}
_TYPE_OF = {word: kind for kind, words in _TYPES.items() for word in words.split()}
MAX_ID = 1024  # what is longer is no id; the limits of events are stricter


def read_events(
    path: Path, *, mapping: Mapping[str, str] | None = None, on_error: Reject
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (line, fields of an event) for each readable row; `on_error` gets the others.

    `mapping` names columns (our name → the file's). A file without a column of types holds views. Raises
    FeedError where the file as a whole is unusable.
    """
    path = Path(path)
    kind = detect_format(path)
    if kind in ("rss", "atom", "shopify"):
        raise FeedError(f"{path}: events are read from CSV, TSV, JSON Lines or Parquet, not from {kind}")
    known = _known
    if kind == "parquet":
        yield from _events(read_parquet(path, known), path, mapping or {}, on_error)
        return
    with open_feed(path) as stream:
        if kind == "jsonl":
            table = peek(partial(read_json_lines, stream, path), on_error)
        else:
            table = read_delimited(stream, path, known, on_error)
        yield from _events(table, path, mapping or {}, on_error)


def _known(name: str) -> bool:
    return normalise(name) in _NAMES


def _events(
    table: Table, path: Path, mapping: Mapping[str, str], reject: Reject
) -> Iterator[tuple[int, dict[str, Any]]]:
    columns = Columns(table.columns, mapping, EVENT_FIELDS)
    if table.columns:
        columns.require(["product_id"], path)
        if table.complete:
            columns.require_mapped(path)
    yield from _good(table.rows, columns, reject)


def _good(rows: Iterable[Row], columns: Columns, reject: Reject) -> Iterator[tuple[int, dict[str, Any]]]:
    for row in rows:
        columns.extend(row.fields, MAX_NAMES)  # what has no name among ours is not read anyway
        try:
            yield row.line, _event(Cells(row, columns))
        except FeedRowError as error:
            reject(error)


def _event(cells: Cells) -> dict[str, Any]:
    out: dict[str, Any] = {"product_id": cells.key("product_id")}
    kind = normalise(cells.text("type", MAX_ID)) or "view"
    out["type"] = _TYPE_OF.get(kind, kind)
    for name in ("event_id", "user_id", "session_id", "request_id"):
        out[name] = cells.text(name, MAX_ID) or None
    out["at"] = cells.read("at", parse_date)
    out["value"] = cells.read("value", float)
    out["position"] = cells.read("position", _whole)
    return {name: value for name, value in out.items() if value is not None}


def _whole(text: str) -> int:
    number = float(text)
    if not number.is_integer():
        raise ValueError(f"the position is {text!r}; allowed are whole numbers")
    return int(number)
