"""Products that a visitor has viewed and may come back to: what is added to their scores.

Amounts are for the last view, the one before and so on; the last amount is for all views before these. A row
alone cannot say them: the product just viewed is nearest to it, whether people come back to it or not.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from vision_rec.sessions import SessionEncoder
from vision_rec.types import Array

Ints = npt.NDArray[np.int64]


def returns_of(encoder: SessionEncoder) -> tuple[float, ...]:
    """Return the amounts that an encoder has learned, () where it has none."""
    return tuple(getattr(encoder, "returns", ()))


def returning(returns: Sequence[float], items: Ints, lengths: Ints) -> tuple[Ints, Ints, Array]:
    """Return (session, product, amount) for each product viewed in n sessions.

    `items` (n, L) are products, oldest first, of which `lengths` (n,) are real. `returns` are the amounts. Of
    a product viewed more than once the latest view counts.
    """
    if not len(returns) or not items.size:
        return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.float32)
    back = lengths[:, None] - 1 - np.arange(items.shape[1])
    sessions, places = np.nonzero(back >= 0)
    sessions, places = sessions[::-1], places[::-1]  # the latest view of each comes first
    products = items[sessions, places]
    _, kept = np.unique(np.stack([sessions, products]), axis=1, return_index=True)
    sessions, products, places = sessions[kept], products[kept], places[kept]
    far = np.minimum(back[sessions, places], len(returns) - 1)
    return sessions, products, np.asarray(returns, dtype=np.float32)[far]
