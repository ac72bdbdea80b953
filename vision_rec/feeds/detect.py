"""Tell the format of a feed by its content; the extension only helps to explain what is wrong."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Literal

from vision_rec.errors import FeedError
from vision_rec.feeds.columns import is_known, normalise
from vision_rec.feeds.delimited import choose_delimiter
from vision_rec.feeds.parquet import MAGIC
from vision_rec.feeds.shopify import is_shopify
from vision_rec.feeds.source import HEAD_BYTES, is_gzip, read_head

FeedFormat = Literal["merchant-csv", "merchant-tsv", "rss", "atom", "shopify", "csv", "jsonl", "parquet"]
KNOWN = (
    "CSV, TSV, JSON Lines, Parquet, Merchant Center RSS or Atom, Shopify CSV; each but Parquet may be gzipped"
)
_TAG = re.compile(rb"<([A-Za-z_][\w.:-]*)")
_COMMENT = re.compile(rb"<!--.*?-->|<\?.*?\?>", re.DOTALL)
_MERCHANT = {"id", "title", "image_link"}
_FOREIGN = {
    b"PK\x03\x04": "a zip archive or spreadsheet; unpack it or save it as CSV",
    b"%PDF": "a PDF",
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
    b"\xd0\xcf\x11\xe0": "an old spreadsheet; save it as CSV",
    b"\x1f\x8b": "gzipped twice; unpack it once",
    b"BZh": "packed with bzip2; use gzip",
    b"\x28\xb5\x2f\xfd": "packed with zstd; use gzip",
}


def detect_format(path: Path) -> FeedFormat:
    """Return the format of the feed at `path`; FeedError for a missing, empty or unknown one."""
    head = read_head(path)
    for magic, what in _FOREIGN.items():
        if head.startswith(magic):
            raise FeedError(f"{path} is {what}; known formats: {KNOWN}")
    if head.startswith(MAGIC):
        if is_gzip(path):
            raise FeedError(f"{path} is Parquet inside gzip; unpack it first")
        return "parquet"
    if path.suffix.lower() == ".parquet":
        raise FeedError(f"{path} is not a Parquet file, although its name says so")
    text = head.lstrip()
    if not text:
        raise FeedError(f"{path} is empty; it needs at least one row")
    if b"\0" in head.split(b"\n", 1)[0]:
        raise FeedError(f"{path} is not a text file; known formats: {KNOWN}")
    if text.startswith(b"<"):
        return _xml_kind(text, path)
    return "jsonl" if text.startswith((b"{", b"[")) else _table_kind(text, path)


def _xml_kind(head: bytes, path: Path) -> FeedFormat:
    head = _COMMENT.sub(b"", head)
    if b"<!DOCTYPE" in head or b"<!ENTITY" in head:
        raise FeedError(f"{path}: DTDs and entities are not allowed in feeds; remove them")
    match = _TAG.search(head)
    root = match[1].rpartition(b":")[2].decode() if match else ""
    if root == "rss":
        return "rss"
    if root == "feed":
        return "atom"
    raise FeedError(f"{path} is XML with the root <{root}>; known are <rss> and <feed> (Merchant Center)")


def _table_kind(head: bytes, path: Path) -> FeedFormat:
    line, *more = re.split(rb"\r\n|\n|\r", head, maxsplit=1)
    if not more and len(head) >= HEAD_BYTES - 1:
        raise FeedError(f"{path}: the first line is longer than {HEAD_BYTES} bytes; a header was expected")
    header = line.decode("utf-8", "replace")
    if header.lower().startswith("sep=") and len(header.strip()) == 5 and more:
        delimiter, header = (
            header[4],
            re.split(r"\r\n|\n|\r", more[0].decode("utf-8", "replace"), maxsplit=1)[0],
        )
    else:
        delimiter = choose_delimiter(header, is_known)
    names = tuple(next(csv.reader([header], delimiter=delimiter), []))
    if is_shopify(names):
        return "shopify"
    if len(names) < 2 and not any(map(is_known, names)):
        raise FeedError(f"{path} is in no known format (first line {header[:60]!r}); known formats: {KNOWN}")
    if {normalise(name) for name in names} >= _MERCHANT:
        return "merchant-tsv" if delimiter == "\t" else "merchant-csv"
    return "csv"
