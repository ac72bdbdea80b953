"""What callers of the Recommender give, as a query has it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from vision_rec.errors import InputError
from vision_rec.filters import Filters
from vision_rec.recommend.encoding import Crop
from vision_rec.types import Example, Picture

AnyFilters = Filters | Mapping[str, Any] | Sequence[str]


def box_of(crop: Sequence[float] | None) -> Crop | None:
    """Return a crop as four numbers; raises InputError."""
    if crop is None:
        return None
    if not isinstance(crop, Sequence | np.ndarray) or isinstance(crop, str | bytes) or len(crop) != 4:
        raise InputError(f"crop is {crop!r:.80}; allowed are four numbers x, y, w, h in 0–1")
    x, y, w, h = crop
    return x, y, w, h


def listed(values: Sequence[str] | None) -> tuple[str, ...]:
    """Return texts as a tuple; one text alone is a list of one, None is an empty one."""
    if isinstance(values, str):
        return (values,)
    if not isinstance(values, Iterable | None):
        raise InputError(f"{values!r:.80} is no list of texts")
    return tuple(values or ())


def example_of(entry: Example | Mapping[str, Any], picture: Callable[[Any], Picture]) -> Example:
    """Return an example given as such or as a mapping, whose image `picture` opens; raises InputError."""
    if isinstance(entry, Example):
        return entry
    if not isinstance(entry, Mapping) or not set(entry) <= {"product_id", "image", "weight"}:
        raise InputError(f"an example is {entry!r:.80}; it has a product_id or an image, and a weight")
    image = entry.get("image")
    opened = None if image is None else picture(image)
    return Example(entry.get("product_id"), opened, entry.get("weight", 1.0))


def filters_of(filters: AnyFilters | None) -> Filters | None:
    """Return filters given as such, as a mapping or as expressions."""
    if filters is None or isinstance(filters, Filters):
        return filters
    if isinstance(filters, Mapping):
        return Filters.from_dict(filters)
    if isinstance(filters, str):
        return Filters.parse([filters])
    if not isinstance(filters, Sequence) or not all(isinstance(entry, str) for entry in filters):
        raise InputError(
            f"filters is {filters!r}; allowed are a mapping such as {{'price': {{'max': 50}}}} "
            "and a list of expressions such as 'price<=50'"
        )
    return Filters.parse(filters)
