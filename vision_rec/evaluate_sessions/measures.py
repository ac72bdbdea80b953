"""What rankings are worth: metrics of places and of lists, for all cases at once.

Products that score the same share their places: a metric is its mean over all orders of equals, so that no
ranker gains by scoring many products alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vision_rec.evaluate_sessions.places import Numbers, Places

Values = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was wanted in n cases: the `next` product (n,), and all that came later as pairs (case, product).

    `cases` and `products` are (m,); every case has at least one pair, and its next product is one of them.
    """

    next: Numbers
    cases: Numbers
    products: Numbers


@dataclass(frozen=True, slots=True)
class Ranked:
    """What a ranker did: places of the next products (n,), of all pairs (m,), and the first ones (n, K)."""

    next: Places
    pairs: Places
    first: Numbers


def measure(
    ranked: Ranked, wanted: Wanted, views: Numbers, ks: Sequence[int]
) -> dict[str, float | int | None]:
    """Return every metric at each of `ks`, None where no case counts for it.

    `views` (N,) says how many visitors each product had in training. Of each case, hr, ndcg and mrr look at
    the next product; precision, recall and f1 at all that came later. The hr of cases whose next product had
    no visitor is the cold recall, that of the others the warm one.
    """
    count, n = len(views), len(wanted.next)
    percentiles = percentile_of(views)
    cold = views[wanted.next] == 0
    out: dict[str, float | int | None] = {
        "cases": n,
        "cold_cases": int(cold.sum()),
        "mrr": _mean(expected(ranked.next, _gains(count, count, "mrr"))),
        "popularity_wanted": _mean(percentiles[wanted.next]),
    }
    sizes = np.bincount(wanted.cases, minlength=n)
    for k in ks:
        for name in ("hr", "ndcg", "mrr"):
            out[f"{name}@{k}"] = _mean(expected(ranked.next, _gains(count, k, name)))
        hits = expected(ranked.next, _gains(count, k, "hr"))
        found = np.bincount(wanted.cases, weights=expected(ranked.pairs, _gains(count, k, "hr")), minlength=n)
        out[f"precision@{k}"] = _mean(found / k)
        out[f"recall@{k}"] = _mean(found / np.maximum(sizes, 1))
        out[f"f1@{k}"] = _mean(2 * found / (k + sizes))
        out[f"cold_recall@{k}"], out[f"warm_recall@{k}"] = _mean(hits[cold]), _mean(hits[~cold])
        shown = ranked.first[:, :k]
        shown = shown[shown >= 0]
        counts = np.bincount(shown, minlength=count)
        out[f"coverage@{k}"] = float(np.count_nonzero(counts) / count) if count else None
        out[f"popularity@{k}"] = _mean(percentiles[shown])
        out[f"gini@{k}"] = gini(counts)
    return out


def expected(places: Places, gains: Values) -> Values:
    """Return what each place (m,) gains, the mean over its equals; `gains[p]` is that of the place p + 1."""
    sums = np.concatenate([[0.0], np.cumsum(gains)])
    last = places.above + places.level + 1
    return np.asarray((sums[last] - sums[places.above]) / (places.level + 1), dtype=np.float64)


def _gains(count: int, k: int, name: str) -> Values:
    """Return what places 1 to `count` gain, and the one behind, that of what is not ranked: nothing."""
    place = np.arange(1, count + 2)
    gain = {"hr": np.ones(count + 1), "mrr": 1 / place, "ndcg": 1 / np.log2(place + 1)}[name]
    return np.where(place <= min(k, count), gain, 0.0)


def percentile_of(views: Numbers) -> Values:
    """Return the share of products viewed less than each of (N,), those viewed as often counting half."""
    if not len(views):
        return np.zeros(0)
    _, which, counts = np.unique(views, return_inverse=True, return_counts=True)
    below = np.cumsum(counts) - counts
    return np.asarray((below + counts / 2)[which] / len(views), dtype=np.float64)


def gini(counts: Numbers) -> float | None:
    """Return how unevenly `counts` (N,) are spread: 0 all alike, near 1 where one has everything."""
    total = counts.sum()
    if not total:
        return None
    rising = np.sort(counts)
    place = np.arange(1, len(rising) + 1)
    return float(2 * (place * rising).sum() / (len(rising) * total) - (len(rising) + 1) / len(rising))


def _mean(values: npt.NDArray[np.float64]) -> float | None:
    return float(values.mean()) if len(values) else None
