"""Turn rows into products; every defect is named with the feed's own column."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from typing import NoReturn, TypeVar

from vision_rec.errors import FeedRowError
from vision_rec.feeds.columns import ATTRIBUTE_FIELDS, PICTURE_FIELD, Columns
from vision_rec.feeds.rows import MAX_FIELD, WHOLE_ROW, Reject, Row
from vision_rec.feeds.values import Money, check_currency, parse_availability, parse_price
from vision_rec.types import Availability, Product

MAX_ID = 256  # characters
MAX_TITLE = 1_024
MAX_DESCRIPTION = 20_000
MAX_PICTURES = 100
MAX_NAMES = 10_000  # different columns in one feed without a header
_SPLIT_ON_SLASH = ("color", "material")  # Merchant Center writes several as Red/White
_T = TypeVar("_T")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class Cells:
    """One row seen through its columns; problems are raised as FeedRowError."""

    def __init__(self, row: Row, columns: Columns) -> None:
        self._row, self._columns, self._id = row, columns, ""
        for name, values in row.fields.items():
            for value in values:
                if problem := _unusable(value):
                    raise FeedRowError(row.line, name or WHOLE_ROW, problem)

    @property
    def names(self) -> Iterable[str]:
        """Give the columns that this row fills."""
        return self._row.fields

    def values(self, field: str) -> tuple[str, ...]:
        """Return the non-blank values of a field, without blanks around them."""
        return self.of_column(self._columns.column_of.get(field, ""))

    def of_column(self, name: str) -> tuple[str, ...]:
        """Return the non-blank values of a column by its own name."""
        # str() keeps a plain text apart from Number, whose only use is a price
        return tuple(str(value).strip() for value in self._row.fields.get(name, ()) if value.strip())

    def text(self, field: str, limit: int = MAX_FIELD) -> str:
        """Return the first value of a field, '' where there is none."""
        value = next(iter(self.values(field)), "")
        if len(value) > limit:
            self.fail(field, f"{len(value)} characters; allowed are {limit}")
        return value

    def key(self, field: str) -> str:
        """Return an id: required, at most 256 characters, no control characters."""
        value = self.text(field, MAX_ID)
        if not value:
            self.fail(field, f"the {field} is missing")
        if _CONTROL.search(value):
            self.fail(field, f"the {field} {value!r} has a line break or control character")
        self._id = value
        return value

    def read(self, field: str, parse: Callable[[str], _T]) -> _T | None:
        """Parse the first value of a field, None where there is none."""
        raw_values = self._row.fields.get(self._columns.column_of.get(field, ""), ())
        raw = next((value for value in raw_values if value.strip()), "")
        try:
            return parse(raw) if raw else None
        except ValueError as error:
            self.fail(field, str(error))

    def fail(self, field: str, reason: str) -> NoReturn:
        """Raise FeedRowError for a field of this row."""
        raise FeedRowError(self._row.line, self._columns.label(field), reason, self._id)


def _unusable(value: str) -> str:
    """Say why no field may hold `value`, '' where it may."""
    if len(value) > MAX_FIELD:
        return f"a value of {len(value)} characters; allowed are {MAX_FIELD}"
    if "\0" in value:
        return "a NUL character"
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError as error:
            return f"not valid UTF-8 near character {error.start + 1}; save the feed as UTF-8"
    return ""


def read_products(
    rows: Iterable[Row], columns: Columns, default_currency: str | None, reject: Reject
) -> Iterator[Product]:
    """Yield a product for each good row; give the others to `reject`."""
    for row in rows:
        try:
            if not columns.extend(row.fields, MAX_NAMES):
                raise FeedRowError(
                    row.line, WHOLE_ROW, f"the feed has more than {MAX_NAMES} different columns"
                )
            yield _product(row, columns, default_currency)
        except FeedRowError as error:
            reject(error)


def _product(row: Row, columns: Columns, default_currency: str | None) -> Product:
    cells = Cells(row, columns)
    product_id, title = cells.key("id"), cells.text("title", MAX_TITLE)
    if not title:
        cells.fail("title", "the title is missing")
    price, sale_price, currency = _prices(cells, default_currency)
    availability: Availability = cells.read("availability", parse_availability) or "in_stock"
    return Product(
        id=product_id,
        title=title,
        description=cells.text("description", MAX_DESCRIPTION),
        brand=cells.text("brand"),
        category=_category(cells),
        link=cells.text("link") or None,
        image_refs=_pictures(cells, columns),
        price=price,
        sale_price=sale_price,
        currency=currency,
        availability=availability,
        group_id=cells.text("item_group_id", MAX_ID) or None,
        locale=cells.text("locale"),
        attributes=_attributes(cells, columns),
    )


def _prices(cells: Cells, default: str | None) -> tuple[Decimal | None, Decimal | None, str | None]:
    column = cells.read("currency", check_currency)

    def parse(text: str) -> Money:
        return parse_price(text, column, default)

    price, sale = cells.read("price", parse), cells.read("sale_price", parse)
    currencies = {money.currency for money in (price, sale) if money} - {None}
    if len(currencies) > 1:
        cells.fail("sale_price", f"two currencies in one row: {' and '.join(sorted(map(str, currencies)))}")
    currency = currencies.pop() if currencies else column
    # Shops write 0 where there is no sale; nobody gives the product away.
    return price.amount if price else None, (sale.amount or None) if sale else None, currency


def _category(cells: Cells) -> tuple[str, ...]:
    levels = cells.values("product_type") or cells.values("google_product_category")
    path = levels if len(levels) > 1 and not any(">" in level for level in levels) else levels[:1]
    if not cells.values("product_type") and path and path[0].isdigit():
        return ()  # Google's number for a category is no word; it stays an attribute
    return tuple(level for part in path for level in re.split(r"\s*>\s*", part) if level)


def _pictures(cells: Cells, columns: Columns) -> tuple[str, ...]:
    refs = list(cells.values("image_link"))
    for name in (columns.column_of.get(PICTURE_FIELD, ""), *columns.pictures):
        refs += (ref.strip() for value in cells.of_column(name) for ref in re.split(r"[,|\n]", value))
    pictures = tuple(dict.fromkeys(ref for ref in refs if ref))
    if len(pictures) > MAX_PICTURES:
        cells.fail(PICTURE_FIELD, f"{len(pictures)} pictures; allowed are {MAX_PICTURES}")
    return pictures


def _attributes(cells: Cells, columns: Columns) -> dict[str, tuple[str, ...]]:
    attributes = {field: cells.values(field) for field in ATTRIBUTE_FIELDS}
    for field in _SPLIT_ON_SLASH:
        attributes[field] = tuple(part.strip() for value in attributes[field] for part in value.split("/"))
    if cells.values("product_type") or not _category(cells):
        attributes["google_product_category"] = cells.values("google_product_category")
    for column in cells.names:
        if name := columns.attributes.get(column):
            attributes[name] = cells.of_column(column)
    return {
        name: tuple(dict.fromkeys(value for value in values if value))
        for name, values in attributes.items()
        if any(values)
    }
