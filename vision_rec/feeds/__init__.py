"""Read product feeds and reviews: any of the known formats in, typed values out, in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

from vision_rec.errors import FeedError, FeedRowError
from vision_rec.feeds.columns import Columns, is_known
from vision_rec.feeds.delimited import read_delimited
from vision_rec.feeds.detect import FeedFormat, detect_format
from vision_rec.feeds.jsonlines import read_json_lines
from vision_rec.feeds.parquet import read_parquet
from vision_rec.feeds.products import read_products
from vision_rec.feeds.reviews import read_reviews
from vision_rec.feeds.rows import Reject, Row, Table, peek, refuse_cut
from vision_rec.feeds.shopify import read_shopify
from vision_rec.feeds.source import open_feed
from vision_rec.feeds.values import check_currency
from vision_rec.feeds.xml import read_xml
from vision_rec.types import Product

__all__ = ["FeedFormat", "detect_format", "read_feed", "read_reviews"]


def read_feed(
    path: Path,
    *,
    mapping: Mapping[str, str] | None = None,
    default_currency: str | None = None,
    on_error: Callable[[FeedRowError], None] | None = None,
) -> Iterator[Product]:
    """Yield a product for each good row; `on_error` gets the bad ones, None raises the first.

    `mapping` names columns (our name → the feed's), `default_currency` (ISO 4217) fills in where a price
    has none. Ids stay as written; duplicates are all yielded, in order. FeedError where the whole feed is
    unusable: missing, a directory, empty, of unknown format, without id or title, cut off, or a bomb.
    """
    path = Path(path)
    try:
        currency = check_currency(default_currency) if default_currency else None
    except ValueError as error:
        raise FeedError(f"default_currency: {error}") from error
    return _read(path, detect_format(path), mapping or {}, currency, refuse_cut(path, on_error or _raise))


def _raise(error: FeedRowError) -> None:
    raise error


def _read(
    path: Path, kind: FeedFormat, mapping: Mapping[str, str], currency: str | None, reject: Reject
) -> Iterator[Product]:
    rejected = 0

    def count(error: FeedRowError) -> None:
        nonlocal rejected
        rejected += 1
        reject(error)

    empty = True
    for product in _products(path, kind, mapping, currency, count):
        empty = False
        yield product
    if empty and not rejected:
        raise FeedError(f"{path} is empty: it has a header but no products")


def _products(
    path: Path, kind: FeedFormat, mapping: Mapping[str, str], currency: str | None, reject: Reject
) -> Iterator[Product]:
    if kind == "parquet":
        rows, columns = _named(read_parquet(path, is_known), path, mapping)
        yield from read_products(rows, columns, currency, reject)
        return
    with open_feed(path) as stream:
        if kind == "jsonl":
            table = peek(partial(read_json_lines, stream, path), reject)
        elif kind in ("rss", "atom"):
            table = peek(partial(read_xml, stream, path), reject)
        else:
            table = read_delimited(stream, path, is_known, reject)
        if kind == "shopify":
            Columns(table.columns, mapping).require_mapped(path)
            rows, columns = read_shopify(table, mapping, reject)
        else:
            rows, columns = _named(table, path, mapping)
        yield from read_products(rows, columns, currency, reject)


def _named(table: Table, path: Path, mapping: Mapping[str, str]) -> tuple[Iterator[Row], Columns]:
    columns = Columns(table.columns, mapping)
    if table.columns:
        columns.require(["id", "title"], path)
        if table.complete:
            columns.require_mapped(path)
    return table.rows, columns
