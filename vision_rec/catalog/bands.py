"""Price bands: ranges that part a catalogue into about equal shares, at prices people would say."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from vision_rec.catalog.postings import Floats, Mask

Band = tuple[float, float]  # both ends belong to it, as in a filter; the outer ones are infinite
LEAST_PRICES = 8  # fewer are not parted
_SHARES = (0.25, 0.5, 0.75)


def bands_of(prices: Floats) -> tuple[Band, ...]:
    """Part `prices` (N,), NaN where there is none, into up to four bands; none for few prices."""
    known = prices[np.isfinite(prices)]
    if len(known) < LEAST_PRICES:
        return ()
    edges = sorted({nice(float(edge)) for edge in np.quantile(known, _SHARES)})
    return tuple(zip((-math.inf, *edges), (*edges, math.inf), strict=True))


def count_in(bands: Sequence[Band], prices: Floats, rows: Mask) -> dict[str, int]:
    """Count the `rows` (N,) of `prices` (N,) in each band, by its name, cheapest first."""
    chosen = prices[rows]
    return {
        band_name(low, high): int(np.count_nonzero((chosen >= low) & (chosen <= high))) for low, high in bands
    }


def band_name(low: float, high: float) -> str:
    """Write a band as `20..50`, an open end as nothing."""
    return f"{'' if math.isinf(low) else f'{low:.10g}'}..{'' if math.isinf(high) else f'{high:.10g}'}"


def nice(price: float) -> float:
    """Round a price to what people say: two digits, from 10 on to fives of the second."""
    if price <= 0:
        return 0.0
    step = 10.0 ** (math.floor(math.log10(price)) - 1) * (5 if price >= 10 else 1)
    return round(round(price / step) * step, 2)
