"""The frozen values that cross rooms: products, samples, queries, answers, events."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from vision_rec.filters import Filters

if TYPE_CHECKING:
    import pandas as pd

Array = npt.NDArray[np.float32]
Picture = npt.NDArray[np.uint8]  # (H, W, 3), sRGB
Blocks = Mapping[str, Array]  # aspect name → (n, dim) float32, rows of norm 1 or 0
Availability = Literal["in_stock", "out_of_stock", "preorder", "backorder"]
AVAILABILITIES: tuple[Availability, ...] = ("in_stock", "out_of_stock", "preorder", "backorder")


@dataclass(frozen=True, slots=True)
class Review:
    """One customer review; `rating` is 1–5, `helpful` counts votes."""

    text: str
    rating: float | None = None
    at: datetime | None = None
    helpful: int = 0
    title: str = ""


@dataclass(frozen=True, slots=True)
class Product:
    """One catalogue entry as a feed gives it; the id is a string and stays as written."""

    id: str
    title: str
    description: str = ""
    brand: str = ""
    category: tuple[str, ...] = ()  # a path, widest level first
    link: str | None = None
    image_refs: tuple[str, ...] = ()  # main picture first; relative paths or URLs
    reviews: tuple[Review, ...] = ()
    price: Decimal | None = None  # major units
    sale_price: Decimal | None = None
    currency: str | None = None  # ISO 4217
    availability: Availability = "in_stock"
    group_id: str | None = None  # variants of one article
    locale: str = ""
    attributes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Sample:
    """What encoders see; products and queries both become Samples, so they cannot drift apart."""

    images: tuple[Picture, ...] = ()  # main picture first
    text: str = ""
    reviews: tuple[Review, ...] = ()


@dataclass(frozen=True, slots=True)
class Example:
    """One more (weight > 0) or less (weight < 0) wanted example: a product or a picture."""

    product_id: str | None = None
    image: Picture | None = None
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Query:
    """Everything a caller may ask for at once; at least one source must be given."""

    product_id: str | None = None
    image: Picture | None = None
    text: str | None = None
    colour: str | None = None  # a name or a hex value
    examples: tuple[Example, ...] = ()
    recent: tuple[str, ...] = ()  # viewed product ids, oldest first
    recent_types: tuple[str, ...] = ()  # what was done with each: view where nothing is said
    user_id: str | None = None
    session_id: str | None = None
    weights: Mapping[str, float] | None = None
    preset: str | None = None
    filters: Filters | None = None
    exclude: tuple[str, ...] = ()
    k: int = 10
    offset: int = 0
    min_score: float | None = None
    diversity: float = 0.0  # 0–1
    max_per_group: int = 1  # products per variant group; 0 = no limit
    exclude_own_group: bool = True
    session_share: float | None = None  # 0–1; None = 0.3 beside another source
    session_model: str = "auto"  # or "recency": the mean of the views, though there is a trained model
    crop: tuple[float, float, float, float] | None = None  # x, y, w, h in 0–1
    facets: tuple[str, ...] = ()
    rating_boost: float = 0.0  # 0–1


@dataclass(frozen=True, slots=True)
class RuleEffect:
    """What one rule did: `amount` is a pin's place, what a boost adds, or how many products it touched."""

    id: str
    name: str
    effect: str  # hide, pin, filter, boost, bury
    amount: float

    def to_dict(self) -> dict[str, Any]:
        """Return the effect as JSON types."""
        return {"id": self.id, "name": self.name, "effect": self.effect, "amount": self.amount}


@dataclass(frozen=True, slots=True)
class Recommendation:
    """One product of an answer; `parts` sum to `score`, `boost` and `pinned` never change it."""

    product: Product
    score: float
    parts: Mapping[str, float]
    missing: tuple[str, ...] = ()
    boost: float = 0.0
    pinned: bool = False
    lexical: float = 0.0  # BM25 share of `boost`, 0–1 before weighting
    rules: tuple[str, ...] = ()  # ids of those that pinned, boosted or buried it, in order
    effects: tuple[RuleEffect, ...] = ()  # what they did
    rank_without_rules: int | None = None  # from 1; None where that list is too long to look
    reasons: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the item of the public JSON answer; `price` is what the customer pays now."""
        product = self.product
        price = product.price if product.sale_price is None else product.sale_price
        return {
            "id": product.id,
            "title": product.title,
            "link": product.link,
            "image": product.image_refs[0] if product.image_refs else None,
            "brand": product.brand,
            "category": list(product.category),
            "price": None if price is None else float(price),
            "currency": product.currency,
            "availability": product.availability,
            "group_id": product.group_id,
            "score": self.score,
            "parts": dict(self.parts),
            "missing": list(self.missing),
            "boost": self.boost,
            "lexical": self.lexical,
            "pinned": self.pinned,
            "rules": list(self.rules),
            "effects": [effect.to_dict() for effect in self.effects],
            "rank_without_rules": self.rank_without_rules,
            "reasons": list(self.reasons),
        }


@dataclass(frozen=True, slots=True)
class Recommendations(Sequence[Recommendation]):
    """An answer: items in order, the version that gave it and the weights as resolved."""

    items: tuple[Recommendation, ...]
    version_id: str
    weights: Mapping[str, float]
    facets: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    empty_reason: str | None = None
    degraded: tuple[str, ...] = ()
    rules: tuple[RuleEffect, ...] = ()  # those of this list, in the order they act

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, position: Any) -> Any:
        return self.items[position]

    def __iter__(self) -> Iterator[Recommendation]:
        return iter(self.items)

    def to_dicts(self) -> list[dict[str, Any]]:
        """Return the items as the public JSON answer has them."""
        return [item.to_dict() for item in self.items]

    def to_pandas(self) -> pd.DataFrame:
        """Return one row per item: the single values of the JSON form, then a column part_<aspect> each."""
        import pandas as pd  # costs half a second that most callers never need

        listed = Recommendation(Product("", ""), 0.0, {}).to_dict()  # the columns of an empty answer, too
        names = [name for name, value in listed.items() if not isinstance(value, list | dict)]
        parts = list(self.weights)
        rows = [
            [*(form[name] for name in names), *(form["parts"].get(part, 0.0) for part in parts)]
            for form in self.to_dicts()
        ]
        return pd.DataFrame(rows, columns=[*names, *(f"part_{part}" for part in parts)])


@dataclass(frozen=True, slots=True)
class Event:
    """One thing a visitor did; times are UTC."""

    event_id: str
    type: str  # impression, view, click, add_to_cart, purchase, rating
    product_id: str
    at: datetime
    received_at: datetime
    user_id: str | None = None
    session_id: str | None = None
    value: float | None = None
    position: int | None = None
    request_id: str | None = None
