"""Products as plain records: the one JSON-able form that crosses processes and files."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from vision_rec.types import Product, Review


def product_to_record(product: Product) -> dict[str, Any]:
    """Write `product`, reviews included, with JSON types only; money as text, times in ISO 8601."""
    return {
        "id": product.id,
        "title": product.title,
        "description": product.description,
        "brand": product.brand,
        "category": list(product.category),
        "link": product.link,
        "image_refs": list(product.image_refs),
        "reviews": [review_to_record(review) for review in product.reviews],
        "price": _money_text(product.price),
        "sale_price": _money_text(product.sale_price),
        "currency": product.currency,
        "availability": product.availability,
        "group_id": product.group_id,
        "locale": product.locale,
        "attributes": {name: list(values) for name, values in product.attributes.items()},
    }


def product_from_record(record: Mapping[str, Any]) -> Product:
    """Read what `product_to_record` wrote; keys that are not fields of a product are left alone."""
    return Product(
        id=record["id"],
        title=record["title"],
        description=record.get("description") or "",
        brand=record.get("brand") or "",
        category=tuple(record.get("category") or ()),
        link=record.get("link"),
        image_refs=tuple(record.get("image_refs") or ()),
        reviews=tuple(review_from_record(review) for review in record.get("reviews") or ()),
        price=_money(record.get("price")),
        sale_price=_money(record.get("sale_price")),
        currency=record.get("currency"),
        availability=record.get("availability") or "in_stock",
        group_id=record.get("group_id"),
        locale=record.get("locale") or "",
        attributes={name: tuple(values) for name, values in dict(record.get("attributes") or {}).items()},
    )


def review_to_record(review: Review) -> dict[str, Any]:
    """Write `review` with JSON types only."""
    return {
        "text": review.text,
        "rating": review.rating,
        "at": None if review.at is None else review.at.isoformat(),
        "helpful": review.helpful,
        "title": review.title,
    }


def review_from_record(record: Mapping[str, Any]) -> Review:
    """Read what `review_to_record` wrote."""
    at = record.get("at")
    return Review(
        text=record["text"],
        rating=record.get("rating"),
        at=None if at is None else datetime.fromisoformat(at),
        helpful=record.get("helpful") or 0,
        title=record.get("title") or "",
    )


def _money_text(amount: Decimal | None) -> str | None:
    # Plain notation: str(Decimal("1E+2")) would write an exponent that other readers stumble over.
    return None if amount is None else format(amount, "f")


def _money(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)
