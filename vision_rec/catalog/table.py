"""CatalogTable: the columns of one version by row, masks from filters, counts for facets."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from vision_rec.catalog.bands import Band, bands_of, count_in
from vision_rec.catalog.postings import Coded, Floats, Ints, Mask, Postings, code, flatten, is_valid, numbers
from vision_rec.catalog.writer import CHUNK_ROWS, PRODUCT_COLUMNS, CatalogWriter
from vision_rec.errors import InputError, IntegrityError, NotFoundError
from vision_rec.filters import FLAGS, NUMBERS, TEXTS, Clause, Filters
from vision_rec.records import product_from_record
from vision_rec.types import Product

_MASK_BYTES = 64 * 2**20  # of cached masks, one byte per row and clause
_PRODUCTS_KEPT = 20_000  # read from the columns once; popular ones are asked for again and again
_PATH_MARK = "\x1f"  # joins the levels of a category path; cannot stand in a feed's text
_ENTRIES = pa.list_(pa.struct([("key", pa.string()), ("value", pa.list_(pa.string()))]))


class CatalogTable:
    """Columns of one version, read when first asked for; safe to share between threads."""

    def __init__(self, path: Path) -> None:
        try:
            # The open file outlives a pruned version, so running calls can still read late columns.
            self._file = pq.ParquetFile(path, memory_map=True)
        except (OSError, pa.ArrowInvalid) as error:
            raise IntegrityError(f"catalogue {path} cannot be read: {error}") from error
        self._lock = threading.RLock()
        self._columns: dict[str, Any] = {}
        self._postings: dict[str, Postings] = {}
        self._products: dict[int, Product] = {}
        self._masks: OrderedDict[Clause, Mask] = OrderedDict()

    @classmethod
    def load(cls, path: Path) -> CatalogTable:
        """Open the catalogue at `path`; raise IntegrityError where it cannot be read."""
        return cls(path)

    @staticmethod
    def write(path: Path, records: Iterable[Mapping[str, Any]], *, extra: Sequence[str] = ()) -> int:
        """Write `records` to `path` and return how many there were."""
        with CatalogWriter(path, extra=extra) as writer:
            for record in records:
                writer.append(record)
        return writer.count

    def __len__(self) -> int:
        return int(self._file.metadata.num_rows)

    # ── rows ──────────────────────────────────────────────────────────────────────────────────────

    @cached_property
    def ids(self) -> tuple[str, ...]:
        """Product ids by row."""
        return tuple(self._column("id").to_pylist())

    @cached_property
    def _row_by_id(self) -> dict[str, int]:
        return {product_id: row for row, product_id in enumerate(self.ids)}

    def row_of(self, product_id: str) -> int:
        """Return the row of a product; raise NotFoundError for an unknown id."""
        try:
            return self._row_by_id[product_id]
        except KeyError:
            raise NotFoundError(f"no product {product_id!r} in this catalogue of {len(self)}") from None

    def __contains__(self, product_id: object) -> bool:
        return product_id in self._row_by_id

    def product(self, row: int) -> Product:
        """Return the product of `row`, without its reviews."""
        product = self._products.get(row)
        if product is None:
            columns = self._product_columns
            product = product_from_record({name: column[row].as_py() for name, column in columns})
            if len(self._products) >= _PRODUCTS_KEPT:
                self._products.clear()
            self._products[row] = product
        return product

    @cached_property
    def _product_columns(self) -> list[tuple[str, Any]]:
        return [(name, self._column(name).combine_chunks()) for name in PRODUCT_COLUMNS]

    def cells(self, row: int, names: Sequence[str]) -> dict[str, Any]:
        """Return some columns of one row, for example its `flags`."""
        return {name: self._column(name)[row].as_py() for name in names}

    def column(self, name: str) -> list[Any]:
        """Return one column as a list by row, for example `text_hash`."""
        values: list[Any] = self._column(name).to_pylist()
        return values

    def arrow(self, name: str) -> Any:
        """Return one column as Arrow holds it."""
        return self._column(name).combine_chunks()

    def records(self) -> Iterator[dict[str, Any]]:
        """Yield the rows as records with all columns, in constant memory."""
        for batch in self._file.iter_batches(batch_size=CHUNK_ROWS):
            for record in batch.to_pylist():
                yield {**record, "attributes": dict(record["attributes"] or ())}

    def words(self) -> list[str]:
        """Return per row the words for lexical search: id, brand, title, category and attributes."""
        columns = (self.column(name) for name in ("id", "brand", "title", "category", "attributes"))
        return [
            " ".join([ident, brand or "", title or "", *(path or ()), *_attribute_words(attributes or ())])
            for ident, brand, title, path, attributes in zip(*columns, strict=True)
        ]

    # ── numbers by row ────────────────────────────────────────────────────────────────────────────

    @cached_property
    def retired(self) -> Mask:
        """Rows (N,) of products that are gone from the feed and are never results."""
        return is_valid(self._column("retired_at"))

    @cached_property
    def live_rows(self) -> Ints:
        """Rows (m,) of products that are not retired, in order."""
        return np.flatnonzero(~self.retired)

    @cached_property
    def groups(self) -> Ints:
        """Variant group of each row (N,) as a number, −1 where it has none."""
        postings = self._posting("group_id")
        out = np.full(len(self), -1, dtype=np.int64)
        out[postings.rows] = postings.codes
        return out

    @cached_property
    def prices(self) -> Floats:
        """Effective prices (N,): the sale price where given; NaN where there is none."""
        price, sale = (self._numbers(name) for name in ("price", "sale_price"))
        return np.where(np.isnan(sale), price, sale)

    @cached_property
    def ratings(self) -> Floats:
        """Mean ratings (N,) 1–5, NaN where there is none."""
        return self._numbers("rating")

    @cached_property
    def rating_counts(self) -> Floats:
        """Number of ratings (N,)."""
        return np.nan_to_num(self._numbers("rating_count"))

    @cached_property
    def _paths(self) -> Ints:
        """Category path of each row (N,) as a number; an absent path is one of its own."""
        paths = code(pc.binary_join(self._column("category").combine_chunks(), _PATH_MARK))
        postings = Postings.build(np.arange(len(self), dtype=np.int64), paths)
        out = np.full(len(self), -1, dtype=np.int64)
        out[postings.rows] = postings.codes
        return out

    # ── filters ───────────────────────────────────────────────────────────────────────────────────

    def mask(self, filters: Filters | None, *, like: int | None = None) -> Mask:
        """Mark the rows (N,) where all clauses hold and that are not retired.

        `like` is the row of the query product, which `price_ratio` and `same_category` refer to.
        Raises InputError for an unknown attribute, or a relative filter without a query product.
        """
        out = ~self.retired
        for clause in filters.clauses if filters is not None else ():
            out &= self.clause_mask(clause, like=like)
        return out

    def clause_mask(self, clause: Clause, *, like: int | None = None) -> Mask:
        """Mark the rows (N,) where one clause holds; the result must not be written to."""
        if clause.field in ("price_ratio", "same_category"):
            return self._relative_mask(clause, like)
        with self._lock:
            known = self._masks.get(clause)
            if known is None:
                known = self._masks[clause] = self._absolute_mask(clause)
                known.flags.writeable = False
                if len(self._masks) > max(8, _MASK_BYTES // max(len(self), 1)):
                    self._masks.popitem(last=False)
            self._masks.move_to_end(clause)
            return known

    def _absolute_mask(self, clause: Clause) -> Mask:
        if clause.field == "in_stock":
            return self._text_mask(Clause("availability", ("in_stock",), negate=not clause.flag))
        if clause.field in NUMBERS:
            values = self.prices if clause.field == "price" else self.ratings
            return _within(values, clause, clause.minimum, clause.maximum)
        return self._text_mask(clause)

    def _text_mask(self, clause: Clause) -> Mask:
        postings = self._posting(clause.field)
        wanted = {value.strip().casefold() for value in clause.values}
        chosen = np.fromiter((key in wanted for key in postings.keys), dtype=bool, count=len(postings.keys))
        mask = postings.mask(chosen, len(self))
        return ~mask if clause.negate else mask

    def _relative_mask(self, clause: Clause, like: int | None) -> Mask:
        if like is None:
            raise InputError(f"filter {clause.field!r} compares with the query product; give a product id")
        if clause.field == "same_category":
            same: Mask = self._paths == self._paths[like]
            return same if clause.flag else ~same
        price = self.prices[like]  # NaN where the query product has none: then nothing passes
        # A ratio of two decimal prices is seldom exact in binary; inclusive bounds get that much air.
        air = 0.0 if clause.exclusive else 1e-9
        return _within(
            self.prices, clause, price * clause.minimum * (1 - air), price * clause.maximum * (1 + air)
        )

    def facets(self, names: Sequence[str], rows: Mask) -> dict[str, dict[str, int]]:
        """Count the values of text fields or attributes among `rows` (N,), most frequent first.

        Categories are counted at every level of the path; at most MAX_FACET_VALUES values are listed.
        `price` counts `price_bands`, the cheapest first.
        """
        for name in names:
            if name != "price" and (
                name in (*NUMBERS, *FLAGS) or not (name in TEXTS or name.startswith("attributes."))
            ):
                known = ", ".join((*TEXTS, "price"))
                raise InputError(f"no facet {name!r:.80}; allowed are {known} and attributes.NAME")
        return {
            name: count_in(self.price_bands, self.prices, rows)
            if name == "price"
            else self._posting(name).counts(rows)
            for name in names
        }

    @cached_property
    def price_bands(self) -> tuple[Band, ...]:
        """Ranges that part the prices of the live products into about equal shares."""
        return bands_of(self.prices[~self.retired])

    def attribute_names(self) -> dict[str, int]:
        """Count the live products that have each attribute, by case-folded name; most frequent first."""
        rows, names, _ = self._attributes
        merged: dict[str, int] = {}
        codes = np.asarray(
            [merged.setdefault(word.casefold(), len(merged)) for word in names.words], np.int64
        )
        live = ~self.retired[rows]
        width = max(len(merged), 1)
        pairs = np.unique(rows[live] * width + codes[names.codes[live]]) if len(codes) else rows[:0]
        totals = np.bincount(pairs % width, minlength=width)
        return dict(sorted(((name, int(totals[code])) for name, code in merged.items()), key=lambda e: -e[1]))

    # ── columns ───────────────────────────────────────────────────────────────────────────────────

    def _column(self, name: str) -> Any:
        with self._lock:
            if name not in self._columns:
                if name not in self._file.schema_arrow.names:
                    raise IntegrityError(f"the catalogue has no column {name!r}; run `vision-rec reindex`")
                self._columns[name] = self._file.read(columns=[name]).column(0)
            return self._columns[name]

    def _numbers(self, name: str) -> Floats:
        return numbers(self._column(name))

    def _posting(self, name: str) -> Postings:
        with self._lock:
            if name not in self._postings:
                self._postings[name] = self._read_posting(name)
            return self._postings[name]

    def _read_posting(self, name: str) -> Postings:
        everyone = np.arange(len(self), dtype=np.int64)
        if name == "category":
            rows, levels = flatten(self._column(name), everyone)
            return Postings.build(rows, code(levels))
        if name.startswith("attributes."):
            return self._attribute(name.removeprefix("attributes."))
        return Postings.build(everyone, code(self._column(name)))

    def _attribute(self, name: str) -> Postings:
        rows, names, values = self._attributes
        wanted = [c for c, known in enumerate(names.words) if known.casefold() == name.strip().casefold()]
        if not wanted:
            some = sorted({known.casefold() for known in names.words})
            raise InputError(
                f"no product has the attribute {name!r}; "
                f"this catalogue has {', '.join(some[:12]) or 'none'}{' …' if len(some) > 12 else ''}"
            )
        keep = np.isin(names.codes, wanted)
        return Postings.build(rows[keep], values.chosen(keep))

    @cached_property
    def _attributes(self) -> tuple[Ints, Coded, Coded]:
        """Row, attribute name and value of every value of every attribute."""
        rows, entries = flatten(
            self._column("attributes").cast(_ENTRIES), np.arange(len(self), dtype=np.int64)
        )
        owners, texts = flatten(pc.struct_field(entries, 1), np.arange(len(rows), dtype=np.int64))
        names = code(pc.struct_field(entries, 0))
        return rows[owners], Coded(names.codes[owners], names.words), code(texts)


def _within(values: Floats, clause: Clause, low: float, high: float) -> Mask:
    """Mark numbers between the bounds; NaN is within none."""
    if clause.exclusive:
        return np.asarray((values > low) & (values < high))
    return np.asarray((values >= low) & (values <= high))


def _attribute_words(attributes: Iterable[tuple[str, list[str]]]) -> list[str]:
    # Links in unknown columns are no words that anybody searches for.
    return [value for _, values in attributes for value in values or () if "://" not in value]
