"""Read reviews from a file of their own: CSV, TSV, JSON Lines or Parquet."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path

from vision_rec.errors import FeedError, FeedRowError
from vision_rec.feeds.columns import Columns, normalise
from vision_rec.feeds.delimited import read_delimited
from vision_rec.feeds.detect import detect_format
from vision_rec.feeds.jsonlines import read_json_lines
from vision_rec.feeds.parquet import read_parquet
from vision_rec.feeds.products import MAX_DESCRIPTION, MAX_NAMES, MAX_TITLE, Cells
from vision_rec.feeds.rows import Reject, Row, Table, peek, refuse_cut
from vision_rec.feeds.source import open_feed
from vision_rec.feeds.values import parse_date
from vision_rec.types import Review

REVIEW_FIELDS: Mapping[str, tuple[str, ...]] = {
    name: (name, *words.split())
    for name, words in {
        "product_id": "item_id product item sku asin article_id clothing_id parent_asin id",
        "rating": "stars score overall review_rating star_rating",
        "title": "review_title summary headline review_summary",
        "text": "review_text review body content comment review_body reviews_text",
        "at": "date timestamp created_at review_date time unix_review_time submitted_at review_time",
        "helpful": """helpful_votes helpful_vote helpful_count positive_feedback positive_feedback_count
            votes vote likes thumbs_up upvotes""",
    }.items()
}
_NAMES = frozenset(name for names in REVIEW_FIELDS.values() for name in names)
_RATING = re.compile(r"(\d+(?:[.,]\d+)?)(?:\s*(?:/|out of)\s*5(?:\.0)?)?(?:\s*stars?)?", re.IGNORECASE)
_HELPFUL = re.compile(r"\[?\s*(\d{1,9})(?:\.0*)?(?:\s*[,/]\s*\d{1,9}\s*)?\]?")


def read_reviews(
    path: Path,
    *,
    mapping: Mapping[str, str] | None = None,
    on_error: Reject | None = None,
) -> Iterator[tuple[str, Review]]:
    """Yield (product id, review) for each good row; `on_error` gets the others, None raises the first.

    Columns: product_id, rating (1–5), title, text, at, helpful, by these and other common names.
    """
    path = Path(path)
    kind = detect_format(path)
    if kind in ("rss", "atom", "shopify"):
        raise FeedError(f"{path}: reviews are read from CSV, TSV, JSON Lines or Parquet, not from {kind}")
    return _read(path, kind, mapping or {}, refuse_cut(path, on_error or _raise))


def _raise(error: FeedRowError) -> None:
    raise error


def _known(name: str) -> bool:
    return normalise(name) in _NAMES


def _read(path: Path, kind: str, mapping: Mapping[str, str], reject: Reject) -> Iterator[tuple[str, Review]]:
    if kind == "parquet":
        yield from _reviews(read_parquet(path, _known), path, mapping, reject)
        return
    with open_feed(path) as stream:
        if kind == "jsonl":
            table = peek(partial(read_json_lines, stream, path), reject)
        else:
            table = read_delimited(stream, path, _known, reject)
        yield from _reviews(table, path, mapping, reject)


def _reviews(
    table: Table, path: Path, mapping: Mapping[str, str], reject: Reject
) -> Iterator[tuple[str, Review]]:
    columns = Columns(table.columns, mapping, REVIEW_FIELDS)
    if table.columns:
        columns.require(["product_id"], path)
        if table.complete and not {"text", "rating", "title"} & columns.column_of.keys():
            columns.require(["text"], path)
    yield from _good(table.rows, columns, reject)


def _good(rows: Iterable[Row], columns: Columns, reject: Reject) -> Iterator[tuple[str, Review]]:
    for row in rows:
        columns.extend(row.fields, MAX_NAMES)  # what has no name among ours is not read anyway
        try:
            yield _review(Cells(row, columns))
        except FeedRowError as error:
            reject(error)


def _review(cells: Cells) -> tuple[str, Review]:
    product_id = cells.key("product_id")
    review = Review(
        text=cells.text("text", MAX_DESCRIPTION),
        rating=cells.read("rating", _rating),
        at=cells.read("at", parse_date),
        helpful=cells.read("helpful", _helpful) or 0,
        title=cells.text("title", MAX_TITLE),
    )
    if not review.text and not review.title and review.rating is None:
        cells.fail("text", "a review needs a text, a title or a rating")
    return product_id, review


def _rating(text: str) -> float:
    match = _RATING.fullmatch(text.strip())
    rating = float(match[1].replace(",", ".")) if match else 0.0
    if not 1 <= rating <= 5:
        raise ValueError(f"the rating is {text!r}; allowed are numbers from 1 to 5")
    return rating


def _helpful(text: str) -> int:
    match = _HELPFUL.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"the helpful votes are {text!r}; allowed are whole numbers from 0")
    return int(match[1])
