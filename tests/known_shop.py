"""The shop of `fake_shop` with a retired product and two that lack aspects, published."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from fake_shop import drawn_products, publish, row_of

from vision_rec.types import Product

PRODUCTS, ROWS = drawn_products()
GONE = Product("gone", "red plain mug", category=("Home", "mug"))
BARE = Product("bare", "nothing known")  # no aspect at all
PLAIN = Product("picture-only", "x")  # no text block
EXTRA = {
    "gone": {"retired_at": "2026-01-01T00:00:00+00:00"},
    "blue-bag-plain-M": {"rating": 5.0, "rating_count": 200},
    "blue-bag-striped-M": {"rating": 1.0, "rating_count": 200},
}
ALL = [*PRODUCTS, GONE, BARE, PLAIN]
ALL_ROWS = np.stack(
    [*ROWS, row_of("red", "mug", "plain", "red plain mug"), row_of(), row_of("red", "mug", "plain")]
)


def publish_known(root: Path) -> Path:
    """Publish the shop below `root` and return the folder of its versions."""
    publish(root / "indexes", ALL, ALL_ROWS, extra=EXTRA)
    return root / "indexes"


def ids(answer):
    return [item.product.id for item in answer]
