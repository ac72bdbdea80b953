"""How good a ranking is: metrics of information retrieval over queries with known relevant products."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from vision_rec.batch import OpenPicture, openers, query_from_json, read_object
from vision_rec.errors import ImageError, InputError, NotFoundError

if TYPE_CHECKING:
    from vision_rec.recommend import Recommender

METRICS = ("recall@1", "recall@10", "precision@10", "r_precision", "mrr", "ndcg@10", "map")
_OWN_FIELDS = ("query_id", "relevant", "ignore")


def recall_at(k: int, ranking: Sequence[str], relevant: Collection[str]) -> float:
    """Return the share of `relevant` among the first `k` of `ranking`."""
    return len(set(ranking[:k]) & set(relevant)) / len(relevant)


def precision_at(k: int, ranking: Sequence[str], relevant: Collection[str]) -> float:
    """Return the share of `k` places that a relevant product has; empty places count as misses."""
    return sum(product in relevant for product in ranking[:k]) / k


def reciprocal_rank(ranking: Sequence[str], relevant: Collection[str]) -> float:
    """Return 1 / place of the first relevant product, 0 where none is there."""
    return next((1 / place for place, product in enumerate(ranking, 1) if product in relevant), 0.0)


def ndcg_at(k: int, ranking: Sequence[str], relevant: Collection[str]) -> float:
    """Return the discounted gain of the first `k`, relevance 0 or 1, over that of the ideal order."""
    gain = sum(1 / math.log2(place + 1) for place, id_ in enumerate(ranking[:k], 1) if id_ in relevant)
    ideal = sum(1 / math.log2(place + 1) for place in range(1, min(k, len(relevant)) + 1))
    return gain / ideal


def average_precision(ranking: Sequence[str], relevant: Collection[str]) -> float:
    """Return the mean, over `relevant`, of the precision where each is found; 0 where it is not."""
    found, total = 0, 0.0
    for place, product in enumerate(ranking, 1):
        if product in relevant:
            found += 1
            total += found / place
    return total / len(relevant)


def measure(ranking: Sequence[str], relevant: Collection[str]) -> dict[str, float]:
    """Return all metrics of one query's ranking; `relevant` must not be empty."""
    wanted = frozenset(relevant)
    return {
        "recall@1": recall_at(1, ranking, wanted),
        "recall@10": recall_at(10, ranking, wanted),
        "precision@10": precision_at(10, ranking, wanted),
        "r_precision": precision_at(len(wanted), ranking, wanted),
        "mrr": reciprocal_rank(ranking, wanted),
        "ndcg@10": ndcg_at(10, ranking, wanted),
        "map": average_precision(ranking, wanted),
    }


def evaluate(
    recommender: Recommender,
    lines: Iterable[str | Mapping[str, Any]],
    *,
    open_picture: OpenPicture | None = None,
    open_cropped: OpenPicture | None = None,
) -> dict[str, float]:
    """Return the mean metrics over the lines of a QRELS file, and how many queries there were.

    A line is a query plus `relevant` and optionally `ignore`, ids left out of the ranking. The whole
    ranking counts, not only a page. Raises InputError naming the bad line.
    """
    opener = openers(recommender, open_picture, open_cropped)
    totals = dict.fromkeys(METRICS, 0.0)
    count = 0
    for number, line in enumerate(lines, 1):
        if isinstance(line, str) and not line.strip():
            continue
        try:
            measured = _measure_line(recommender, line, opener)
        except (InputError, NotFoundError, ImageError) as error:
            raise InputError(f"line {number}: {error}") from error
        totals = {name: totals[name] + value for name, value in measured.items()}
        count += 1
    if not count:
        raise InputError("there is no query to evaluate; give at least one line")
    return {"queries": count, **{name: total / count for name, total in totals.items()}}


def _measure_line(
    recommender: Recommender,
    line: str | Mapping[str, Any],
    opener: Callable[[Mapping[str, Any]], OpenPicture],
) -> dict[str, float]:
    fields = read_object(line) if isinstance(line, str) else dict(line)
    relevant, ignore = (_ids(name, fields.get(name, [])) for name in ("relevant", "ignore"))
    wanted = relevant - ignore - {fields.get("product_id")}
    if not wanted:
        raise InputError("`relevant` names no product but the query's own; leave such queries out")
    body = {name: value for name, value in fields.items() if name not in _OWN_FIELDS}
    query = query_from_json(body, open_picture=opener(body))
    ranking = [product for product in recommender.ranking(query) if product not in ignore]
    return measure(ranking, wanted)


def _ids(name: str, value: object) -> set[str]:
    if not isinstance(value, list) or not all(isinstance(entry, str) for entry in value):
        raise InputError(f"`{name}` must be a list of product ids (texts); got {json.dumps(value)[:80]}")
    return set(value)
