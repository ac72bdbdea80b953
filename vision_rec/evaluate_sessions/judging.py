"""Ask a ranker all cases, in blocks, and measure what it says."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from vision_rec.errors import InputError
from vision_rec.evaluate_sessions.cases import Cases
from vision_rec.evaluate_sessions.measures import Ranked, measure
from vision_rec.evaluate_sessions.places import Numbers, Places, first, place
from vision_rec.evaluate_sessions.rankers import Ranker

Metrics = dict[str, float | int | None]
_AT_ONCE = 1 << 24  # scores held at a time
MAX_K = 1000


def judge(
    ranker: Ranker,
    cases: Cases,
    views: Numbers,
    ks: Sequence[int] = (10, 20),
    *,
    new_only: bool = True,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Metrics:
    """Return the metrics of `ranker` on `cases`, every case ranked against all products.

    `views` (N,) are the visitors of each product in training. With `new_only` seen products are neither
    recommended nor wanted, and cases whose next product was seen are left out. Raises InputError where no
    case is left.
    """
    check_ks(ks)
    kept, wanted = cases.wanted(new_only=new_only)
    if not len(kept):
        raise InputError("there is no case to measure: nobody went on to a product that is new to them")
    count, most = len(views), max(ks)
    bounds = np.searchsorted(wanted.cases, np.arange(len(kept) + 1))
    nexts, pairs, firsts = list[Places](), list[Places](), list[Numbers]()
    done = 0
    for block in kept.blocks(max(1, _AT_ONCE // max(count, 1))):
        scores = ranker.score(block)
        if new_only:
            scores[block.seen()] = -np.inf
        low, high = bounds[done], bounds[done + len(block)]
        nexts.append(place(scores, np.arange(len(block)), block.next))
        if high - low == len(block):  # nothing but what came next is wanted
            pairs.append(nexts[-1])
        else:
            pairs.append(place(scores, wanted.cases[low:high] - done, wanted.products[low:high]))
        firsts.append(first(scores, most))
        done += len(block)
        progress(done, len(kept))
    ranked = Ranked(Places.join(nexts), Places.join(pairs), np.concatenate(firsts))
    out: Metrics = {"left_out": len(cases) - len(kept)}
    return {**measure(ranked, wanted, views, ks), **out}


def check_ks(ks: Sequence[int]) -> None:
    """Raise InputError unless `ks` are different whole numbers that lists may be long."""
    if not ks or len(set(ks)) < len(ks) or not all(1 <= k <= MAX_K for k in ks):
        raise InputError(f"k is {', '.join(map(str, ks))}; allowed are different numbers from 1 to {MAX_K}")
