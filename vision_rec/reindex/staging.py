"""The staging file of one run: products, reviews, pictures and plan in SQLite, so memory stays flat."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from vision_rec.records import product_from_record, product_to_record, review_from_record, review_to_record
from vision_rec.reindex.report import MAX_LISTED
from vision_rec.types import Product, Review

_SCHEMA = """
CREATE TABLE product (
  key TEXT PRIMARY KEY, seq INTEGER NOT NULL, id TEXT NOT NULL, record TEXT NOT NULL, refs TEXT NOT NULL,
  top TEXT NOT NULL, family TEXT NOT NULL, text_hash TEXT NOT NULL, meta_hash TEXT NOT NULL,
  review_hash TEXT NOT NULL DEFAULT '', gone INTEGER NOT NULL DEFAULT 0);
CREATE TABLE review (key TEXT NOT NULL, seq INTEGER NOT NULL, record TEXT NOT NULL);
CREATE TABLE parent (
  row INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, id TEXT NOT NULL, top TEXT NOT NULL,
  text_hash TEXT NOT NULL, image_hash TEXT NOT NULL, review_hash TEXT NOT NULL, meta_hash TEXT NOT NULL,
  retired_at TEXT, rating REAL, rating_count INTEGER NOT NULL, sentiment REAL, flags TEXT NOT NULL);
CREATE TABLE picture (ref TEXT PRIMARY KEY, path TEXT, sha TEXT, reason TEXT, host TEXT NOT NULL DEFAULT '');
CREATE INDEX picture_remote ON picture ((host <> ''), ref);
CREATE TABLE retry (key TEXT PRIMARY KEY);
CREATE TABLE image_state (key TEXT PRIMARY KEY, hash TEXT NOT NULL);
CREATE TABLE target (
  row INTEGER PRIMARY KEY, key TEXT NOT NULL, parent_row INTEGER, retired_at TEXT,
  image INTEGER NOT NULL, words INTEGER NOT NULL, reviews INTEGER NOT NULL, chunk INTEGER);
CREATE TABLE todo (
  place INTEGER PRIMARY KEY, chunk INTEGER NOT NULL, sha TEXT NOT NULL UNIQUE, path TEXT NOT NULL);
CREATE INDEX todo_chunk ON todo (chunk);
CREATE TABLE result (row INTEGER PRIMARY KEY, rating REAL, rating_count INTEGER, sentiment REAL, flags TEXT);
"""
_BATCH = 1_000


def product_key(product_id: str) -> str:
    """Return the form in which ids are compared: NFC, without surrounding space."""
    return unicodedata.normalize("NFC", product_id).strip()


def digest(*parts: str) -> str:
    """Hash texts so that no two different sequences run together; 32 hex digits."""
    state = hashlib.sha256()
    for part in parts:
        raw = part.encode("utf-8", "surrogatepass")
        state.update(b"%d:" % len(raw))
        state.update(raw)
    return state.hexdigest()[:32]


def to_json(value: Any) -> str:
    """Write `value` in the one form that is hashed and stored; the order of attributes is kept."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


class Staging:
    """One SQLite file that lives as long as one run; it is rebuilt, never repaired."""

    def __init__(self, path: Path) -> None:
        for leftover in (path, path.with_name(path.name + "-journal")):
            leftover.unlink(missing_ok=True)
        self.path = path
        self.trusts_text_hashes = False
        self.repeated: dict[str, None] = {}  # ids that the feed repeats, the first of them
        self.db = sqlite3.connect(path, isolation_level=None)
        # The file is thrown away after a crash, so nothing in it has to survive one.
        self.db.execute("PRAGMA journal_mode=OFF")
        self.db.execute("PRAGMA synchronous=OFF")
        self.db.execute("PRAGMA cache_size=-16384")
        self.db.executescript(_SCHEMA)

    def close(self) -> None:
        """Close the file and leave it where it is."""
        self.db.close()

    def __enter__(self) -> Staging:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def one(self, sql: str, *values: Any) -> Any:
        """Return the first value of the first row of a query that has one."""
        return self.db.execute(sql, values).fetchone()[0]

    def fill(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        """Run `sql` once per row, in one transaction."""
        self.db.execute("BEGIN")
        self.db.executemany(sql, rows)
        self.db.execute("COMMIT")

    def add_products(self, products: Iterable[Product], *, describe: Callable[[Product], str]) -> int:
        """Store products in feed order, a later one in place of an earlier one with the same id.

        Where the text encoder is still the current version's, a product with the same record keeps its text
        hash and is not described.
        """
        taken = 0

        def rows() -> Iterator[Sequence[Any]]:
            nonlocal taken
            for product in products:
                taken += 1
                yield self._product_row(product, taken, describe)

        self.fill(f"INSERT OR REPLACE INTO product VALUES ({','.join('?' * 11)})", rows())
        return taken

    def _product_row(self, product: Product, seq: int, describe: Callable[[Product], str]) -> tuple[Any, ...]:
        key = product_key(product.id)
        if len(self.repeated) < MAX_LISTED and self._has(key):
            self.repeated[product.id] = None
        record = product_to_record(product)
        reviews = record.pop("reviews", [])
        meta = to_json(record)
        meta_hash = digest(to_json(_ordered(record)))
        known = self.db.execute(
            "SELECT text_hash FROM parent WHERE key = ? AND meta_hash = ? AND ?",
            (key, meta_hash, self.trusts_text_hashes),
        ).fetchone()
        return (
            key,
            seq,
            product.id,
            to_json({**record, "reviews": reviews}) if reviews else meta,
            to_json(list(product.image_refs)),
            product.category[0] if product.category else "",
            product.group_id or product.id,
            known[0] if known else digest(describe(product)),
            meta_hash,
            digest(to_json(reviews)) if reviews else "",
            0,
        )

    def _has(self, key: str) -> bool:
        return self.db.execute("SELECT 1 FROM product WHERE key = ?", (key,)).fetchone() is not None

    def add_reviews(self, reviews: Iterable[tuple[str, Review]]) -> None:
        """Store reviews of the reviews file in its order."""
        self.fill(
            "INSERT INTO review VALUES (?, ?, ?)",
            (
                (product_key(product_id), number, to_json(review_to_record(review)))
                for number, (product_id, review) in enumerate(reviews)
            ),
        )
        self.db.execute("CREATE INDEX review_key ON review (key, seq)")
        self._hash_reviews()

    def _hash_reviews(self) -> None:
        """Fold the file's reviews of each product into its review hash."""
        self.db.create_aggregate("fold", 1, _Fold)  # type: ignore[arg-type]
        self.db.execute(
            "UPDATE product SET review_hash = folded.hash || product.review_hash FROM "
            "(SELECT key, fold(record) AS hash FROM (SELECT key, record FROM review ORDER BY key, seq) "
            "GROUP BY key) AS folded WHERE folded.key = product.key AND product.gone = 0"
        )

    def products(self, keys: Sequence[str]) -> dict[str, Product]:
        """Load products by key, with the reviews of both sources."""
        marks = ",".join("?" * len(keys))
        found = {
            key: json.loads(record)
            for key, record in self.db.execute(
                f"SELECT key, record FROM product WHERE key IN ({marks})", list(keys)
            )
        }
        extra: dict[str, list[Review]] = {}
        for key, record in self.db.execute(
            f"SELECT key, record FROM review WHERE key IN ({marks}) ORDER BY key, seq", list(keys)
        ):
            extra.setdefault(key, []).append(review_from_record(json.loads(record)))
        return {key: _with_reviews(record, extra.get(key, ())) for key, record in found.items()}


def _ordered(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record with its attributes by name: the order of a feed's columns is no news."""
    attributes = record.get("attributes", {})
    return {**record, "attributes": {name: attributes[name] for name in sorted(attributes)}}


class _Fold:
    """Aggregate of SQLite: the digest of all values of a group."""

    def __init__(self) -> None:
        self._parts: list[str] = []

    def step(self, value: str) -> None:
        self._parts.append(value)

    def finalize(self) -> str:
        return digest(*self._parts)


def _with_reviews(record: Mapping[str, Any], extra: Sequence[Review]) -> Product:
    """Rebuild a product; the reviews of the reviews file follow its own."""
    product = product_from_record(record)
    return replace(product, reviews=(*product.reviews, *extra)) if extra else product
