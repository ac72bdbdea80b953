"""The catalogue of the version in use, as routes and pages read it: from one version, never a mixture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from vision_rec.filters import Filters
from vision_rec.index.version import IndexVersion
from vision_rec.recommend import Recommender
from vision_rec.recommend.state import State
from vision_rec.service.paths import product_path
from vision_rec.types import Product

MAX_CATEGORIES = 40
_GOLDEN = 0.381966  # steps of this size never fall on the same places soon


@dataclass(frozen=True, slots=True)
class Page:
    """Some products in the order of their rows; `next` is the row where the next page begins."""

    products: Sequence[Product]
    next: int | None


@dataclass(frozen=True, slots=True)
class Catalogue:
    """One version's products; holds the version, so a change while reading does no harm."""

    state: State

    @classmethod
    def of(cls, recommender: Recommender) -> Catalogue:
        """Return the catalogue that `recommender` answers from now."""
        return cls(recommender.state)

    @property
    def version_id(self) -> str:
        """The version that this is the catalogue of."""
        return self.state.version_id

    @property
    def live(self) -> npt.NDArray[np.int64]:
        """Rows of the products that are not retired."""
        return self.state.catalog.live_rows

    @property
    def live_count(self) -> int:
        """Products that are not retired."""
        return len(self.live)

    @property
    def pictures_root(self) -> str | None:
        """The folder that the version's picture references resolve in."""
        version = self.state.version
        return version.manifest.sources.get("images") if isinstance(version, IndexVersion) else None

    def product(self, product_id: str) -> Product:
        """Return a product by id; raises NotFoundError."""
        return self.state.catalog.product(self.state.catalog.row_of(product_id))

    def page(self, start: int, limit: int) -> Page:
        """Return up to `limit` live products from row `start` on."""
        rows = self.live
        at = int(np.searchsorted(rows, start))
        chosen = rows[at : at + limit]
        following = int(rows[at + limit]) if at + limit < len(rows) else None
        return Page([self.state.catalog.product(int(row)) for row in chosen], following)

    def rows(self, filters: Filters | None) -> npt.NDArray[np.int64]:
        """Return the rows of the live products that `filters` leave; raises InputError."""
        return self.live if filters is None else np.flatnonzero(self.state.catalog.mask(filters))

    def sample(
        self, count: int, shift: int = 0, rows: npt.NDArray[np.int64] | None = None
    ) -> Sequence[Product]:
        """Return `count` products spread over `rows`, by default all live ones; others for each `shift`."""
        rows = self.live if rows is None else rows
        if not len(rows):
            return []
        count = min(count, len(rows))
        places = (np.arange(count) + shift * _GOLDEN % 1.0) * (len(rows) / count)
        return [self.state.catalog.product(int(row)) for row in rows[places.astype(np.int64) % len(rows)]]

    def details(self, product_id: str) -> dict[str, Any]:
        """Return all that the catalogue knows of a product, with JSON types."""
        catalog = self.state.catalog
        row = catalog.row_of(product_id)
        product = catalog.product(row)
        rating = float(catalog.ratings[row])
        return {
            **product_fields(product),
            "description": product.description,
            "locale": product.locale,
            "images": len(product.image_refs),
            "list_price": None if product.price is None else float(product.price),
            "attributes": {name: list(values) for name, values in product.attributes.items()},
            "rating": None if np.isnan(rating) else round(rating, 2),
            "rating_count": int(catalog.rating_counts[row]),
            "retired": bool(catalog.retired[row]),
        }

    def categories(self) -> Sequence[tuple[str, int]]:
        """Return the most frequent categories of any level, with the number of live products."""
        return _categories(self.state)


@lru_cache(maxsize=2)
def _categories_of(catalog: Any) -> Sequence[tuple[str, int]]:
    counts = catalog.facets(("category",), ~catalog.retired)["category"]
    return tuple(counts.items())[:MAX_CATEGORIES]


def _categories(state: State) -> Sequence[tuple[str, int]]:
    return _categories_of(state.catalog)


def product_fields(product: Product) -> dict[str, Any]:
    """Return what every list says of a product, with JSON types; prices are what is to pay."""
    price = product.price if product.sale_price is None else product.sale_price
    return {
        "id": product.id,
        "title": product.title,
        "link": product.link,
        "image": image_address(product),
        "brand": product.brand,
        "category": list(product.category),
        "price": None if price is None else float(price),
        "currency": product.currency,
        "availability": product.availability,
        "group_id": product.group_id,
    }


def image_address(product: Product) -> str | None:
    """Return where a client gets the main picture: the shop's own URL, or this service."""
    if not product.image_refs:
        return None
    ref = product.image_refs[0]
    return ref if ref.startswith(("https://", "http://")) else product_path(product.id, "image")
