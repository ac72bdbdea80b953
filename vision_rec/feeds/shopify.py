"""Shopify's product CSV export: the rows of one handle become one product per variant."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from itertools import groupby

from vision_rec.errors import FeedRowError
from vision_rec.feeds.columns import Columns, normalise
from vision_rec.feeds.rows import Reject, Row, Table
from vision_rec.feeds.values import html_to_text

MAX_ROWS = 5_000  # of one handle: Shopify allows 2,048 variants and 250 pictures
_FIELDS: Mapping[str, tuple[str, ...]] = {  # what we need → Shopify's columns, older export first
    name: tuple(words.split())
    for name, words in {
        "handle": "handle url_handle",
        "title": "title",
        "body": "body_html description",
        "vendor": "vendor",
        "category": "product_category",
        "type": "type",
        "tags": "tags",
        "published": "published published_on_online_store",
        "status": "status",
        "sku": "variant_sku sku",
        "price": "variant_price price",
        "compare_price": "variant_compare_at_price compare_at_price",
        "tracker": "variant_inventory_tracker inventory_tracker",
        "stock": "variant_inventory_qty inventory_quantity",
        "policy": "variant_inventory_policy continue_selling_when_out_of_stock",
        "image": "image_src product_image_url",
        "position": "image_position",
        "variant_image": "variant_image variant_image_url",
        **{f"option{i}_{part}": f"option{i}_{part}" for i in (1, 2, 3) for part in ("name", "value")},
    }.items()
}
_BOOKKEEPING = re.compile(
    r"^(variant|seo|image|gift_card|cost|weight|fulfillment|requires_shipping|charge_tax|tax|barcode|option\d|"
    r"included|price|unit_price|compare_at)(_|$)"
)


def is_shopify(names: tuple[str, ...]) -> bool:
    """Tell whether a header is that of a Shopify product export."""
    plain = {normalise(name) for name in names}
    has_handle = bool(plain & {"handle", "url_handle"})
    return has_handle and "title" in plain and bool(plain & {"variant_price", "option1_name", "variant_sku"})


@dataclass(frozen=True, slots=True)
class _Line:
    """One row of the export, read by what we need."""

    row: Row
    columns: Columns

    def get(self, name: str) -> str:
        return next(iter(self.row.fields.get(self.columns.column_of.get(name, ""), ())), "").strip()

    @property
    def is_variant(self) -> bool:
        return any(map(self.get, ("sku", "price", "option1_value")))


@dataclass(frozen=True, slots=True)
class _Names:
    """`ours`: our field → column; `kept`: column → attribute; `own`: the column of ids."""

    ours: Mapping[str, str]
    kept: Mapping[str, str]
    own: str


def read_shopify(table: Table, mapping: Mapping[str, str], reject: Reject) -> tuple[Iterator[Row], Columns]:
    """Return one row per variant and the columns that name its fields; drafts are left out."""
    read = Columns(table.columns, fields=_FIELDS)
    names = {
        "id": "sku", "title": "title", "description": "body", "brand": "vendor", "price": "price",
        "sale_price": "compare_price", "availability": "stock", "image_link": "variant_image",
        "additional_image_link": "image", "product_type": "category", "item_group_id": "handle",
    }  # fmt: skip
    ours = {field: read.column_of.get(name, f"({name})") for field, name in names.items()}
    chosen = {**ours, **mapping}
    kept = {name: _short(name) for name, plain in read.attributes.items() if not _BOOKKEEPING.match(plain)}
    kept |= {name: name for name in mapping.values()}
    columns = Columns(chosen.values(), chosen)
    return _variants(table.rows, read, _Names(ours, kept, columns.column_of["id"]), reject), columns


def _short(name: str) -> str:
    """Return what a column is about: 'Google Shopping / Gender' and 'Fabric (product.metafields…)'."""
    return name.removeprefix("Google Shopping / ").partition(" (")[0]


def _variants(rows: Iterator[Row], read: Columns, names: _Names, reject: Reject) -> Iterator[Row]:
    lines = (_Line(row, read) for row in rows)
    for handle, group in groupby(lines, key=lambda line: line.get("handle")):
        members: list[_Line] = []
        for line in group:
            if len(members) < MAX_ROWS:
                members.append(line)
            else:
                reason = f"more than {MAX_ROWS} rows of one handle"
                reject(FeedRowError(line.row.line, names.ours["item_group_id"], reason, handle))
        first = members[0]
        if first.get("published").lower() == "false" or first.get("status").lower() in ("draft", "archived"):
            continue  # not for sale, so not for anybody's eyes
        for line in [member for member in members if member.is_variant] or [first]:
            yield _variant(line, members, names)


def _variant(line: _Line, group: list[_Line], names: _Names) -> Row:
    first, ours = group[0], names.ours
    rows = (first.row.fields, line.row.fields)
    fields = {short: row[name] for row in rows for name, short in names.kept.items() if name in row}
    if names.own not in line.row.fields:
        fields.pop(names.own, None)  # variants must not share the first one's id
    fields |= _options(line, first)
    several = sum(member.is_variant for member in group) > 1
    values = [line.get(f"option{i}_value") for i in (1, 2, 3)] if several else []
    handle = line.get("handle")
    price, sale_price = _prices(line)
    known = {
        "id": line.get("sku") or "-".join([handle, *(normalise(value) for value in values if value)]),
        "title": first.get("title"),
        "description": html_to_text(first.get("body")),
        "brand": first.get("vendor"),
        "price": price,
        "sale_price": sale_price,
        "availability": _availability(line),
        "product_type": first.get("category") or first.get("type"),
        "item_group_id": handle,
        "image_link": line.get("variant_image"),
    }
    fields |= {ours[field]: (value,) for field, value in known.items() if value}
    if pictures := _pictures(group):
        fields[ours["additional_image_link"]] = pictures
    if kind := first.get("type"):
        fields["type"] = (kind,)
    if tags := tuple(tag.strip() for tag in first.get("tags").split(",") if tag.strip()):
        fields["tags"] = tags
    return Row(line.row.line, fields)


def _options(line: _Line, first: _Line) -> dict[str, tuple[str, ...]]:
    options: dict[str, tuple[str, ...]] = {}
    for i in (1, 2, 3):
        name, value = first.get(f"option{i}_name"), line.get(f"option{i}_value")
        if name and value and (name, value) != ("Title", "Default Title"):
            options[normalise(name)] = (value,)
    return options


def _prices(line: _Line) -> tuple[str, str]:
    """Return price and sale price: Shopify's own price is what is paid now, the other what it was."""
    now, before = line.get("price"), line.get("compare_price")
    try:
        return (before, now) if Decimal(before) > Decimal(now) > 0 else (now, "")
    except InvalidOperation:
        return now, ""


def _availability(line: _Line) -> str:
    stock = line.get("stock")
    if not line.get("tracker") or not re.fullmatch(r"-?\d+", stock) or int(stock) > 0:
        return "in_stock"
    return "backorder" if line.get("policy").lower() in ("continue", "true") else "out_of_stock"


def _pictures(group: list[_Line]) -> tuple[str, ...]:
    def place(line: _Line) -> int:
        position = line.get("position")
        return int(position) if position.isdecimal() and len(position) < 6 else MAX_ROWS

    return tuple(line.get("image") for line in sorted(group, key=place) if line.get("image"))
