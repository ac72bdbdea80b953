"""What changed of products that two catalogues have: columns side by side, by row."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vision_rec.catalog.postings import Ints, Mask
from vision_rec.catalog.table import CatalogTable

# What people call it → the columns that hold it; hashes tell what the columns do not.
FACTS: Mapping[str, tuple[str, ...]] = {
    "text": ("title", "description", "brand", "category", "attributes"),
    "pictures": ("image_refs", "image_hash"),
    "price": ("price", "sale_price", "currency"),
    "stock": ("availability",),
    "reviews": ("review_hash",),
    "other": ("link", "group_id", "locale"),
}


def changes(before: CatalogTable, after: CatalogTable, rows: Ints, others: Ints) -> dict[str, Mask]:
    """Mark for each of FACTS where (n,) product `rows[i]` of `before` differs from `others[i]` of `after`."""
    out = {}
    for fact, names in FACTS.items():
        changed = np.zeros(len(rows), dtype=bool)
        for name in names:
            changed |= _differs(before, after, name, rows, others)
        out[fact] = changed
    return out


def _differs(before: CatalogTable, after: CatalogTable, name: str, rows: Ints, others: Ints) -> Mask:
    was = before.arrow(name).take(pa.array(rows))
    now = after.arrow(name).take(pa.array(others))
    if pa.types.is_nested(was.type) or was.type != now.type:
        return np.array([a != b for a, b in zip(was.to_pylist(), now.to_pylist(), strict=True)], dtype=bool)
    differs = pc.fill_null(pc.not_equal(was, now), False)
    appeared = pc.xor(pc.is_null(was), pc.is_null(now))
    return np.asarray(pc.or_(differs, appeared).to_numpy(zero_copy_only=False), dtype=bool)
