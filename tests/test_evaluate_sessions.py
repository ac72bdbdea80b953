"""Metrics of session recommendations, each derived again by plain loops; cases, rankers, ties."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from vision_rec.errors import InputError
from vision_rec.evaluate_sessions import (
    Cases,
    CoVisits,
    Popularity,
    RowRanker,
    given,
    judge,
    renumbered,
)
from vision_rec.evaluate_sessions.measures import gini, percentile_of
from vision_rec.evaluate_sessions.places import first, place
from vision_rec.fusion import Aspect, AspectLayout
from vision_rec.sessions import RecencyMean
from vision_rec.sessions.sequences import HeldOut, from_lists

LETTERS = "abcdefgh"


class Fixed:
    """Scores by a function of (the products before, oldest first) and the number of products."""

    name = "fixed"

    def __init__(self, of):
        self.of = of

    def score(self, cases):
        items, count = cases.sequences.items, len(cases.sequences.products)
        rows = [
            self.of([int(i) for i in items[b:e]], count)
            for b, e in zip(cases.begins, cases.ends, strict=True)
        ]
        return np.asarray(rows, np.float32)


def drawn(seed, count=6, visitors=8, longest=6, distinct=4):
    """Sequences, cases of every later act, and a ranker with few different scores: many ties."""
    rng = np.random.default_rng(seed)
    lists = [[LETTERS[i] for i in rng.integers(0, count, rng.integers(2, longest))] for _ in range(visitors)]
    sequences = renumbered(from_lists(lists), LETTERS[:count])
    table = rng.integers(0, distinct, (count, count)).astype(float)
    views = rng.integers(0, 4, count)
    return sequences, Fixed(lambda before, n: table[before[-1]]), views


def orders(scores):
    """All orders of the ranked products that `scores` allow, ties in every way."""
    ranked = [p for p, score in enumerate(scores) if score > -math.inf]
    levels = sorted({scores[p] for p in ranked}, reverse=True)
    groups = [itertools.permutations([p for p in ranked if scores[p] == level]) for level in levels]
    return [[p for group in order for p in group] for order in itertools.product(*groups)]


def by_loops(sequences, ranker, views, ks, new_only):
    """The metrics of `judge` by plain loops over cases, orders and places."""
    asked = []
    for visitor in range(len(sequences)):
        items = [int(i) for i in sequences.items[sequences.of(visitor)]]
        asked += [(items[:cut], items[cut], items[cut:]) for cut in range(1, len(items))]
    kept = [case for case in asked if not (new_only and case[1] in case[0])]
    sums = {}
    cold = {k: [] for k in ks}
    warm = {k: [] for k in ks}
    shown = {k: [] for k in ks}

    def add(name, values):
        sums.setdefault(name, []).append(sum(values) / len(values))

    for before, target, later in kept:
        scores = list(map(float, ranker.of(before, len(views))))
        if new_only:
            for product in before:
                scores[product] = -math.inf
        wanted = set(later) - (set(before) if new_only else set())
        possible = orders(scores)
        place_of = [order.index(target) + 1 for order in possible]
        add("mrr", [1 / place for place in place_of])
        stable = sorted(
            (p for p in range(len(scores)) if scores[p] > -math.inf), key=lambda p: (-scores[p], p)
        )
        for k in ks:
            hits = [float(place <= k) for place in place_of]
            found = [len(wanted & set(order[:k])) for order in possible]
            add(f"hr@{k}", hits)
            add(f"mrr@{k}", [1 / place if place <= k else 0 for place in place_of])
            add(f"ndcg@{k}", [1 / math.log2(place + 1) if place <= k else 0 for place in place_of])
            add(f"precision@{k}", [n / k for n in found])
            add(f"recall@{k}", [n / len(wanted) for n in found])
            precision, recall = [n / k for n in found], [n / len(wanted) for n in found]
            add(
                f"f1@{k}",
                [2 * p * r / (p + r) if p + r else 0 for p, r in zip(precision, recall, strict=True)],
            )
            (cold if views[target] == 0 else warm)[k].append(sum(hits) / len(hits))
            shown[k] += stable[:k]
    out = {name: sum(values) / len(values) for name, values in sums.items()}
    rank = [sum((other < own) + 0.5 * (other == own) for other in views) / len(views) for own in views]
    out["popularity_wanted"] = sum(rank[target] for _, target, _ in kept) / len(kept)
    for k in ks:
        out[f"cold_recall@{k}"] = sum(cold[k]) / len(cold[k]) if cold[k] else None
        out[f"warm_recall@{k}"] = sum(warm[k]) / len(warm[k]) if warm[k] else None
        out[f"coverage@{k}"] = len(set(shown[k])) / len(views)
        out[f"popularity@{k}"] = sum(rank[p] for p in shown[k]) / len(shown[k])
        counts = [shown[k].count(p) for p in range(len(views))]
        apart = sum(abs(a - b) for a in counts for b in counts)
        out[f"gini@{k}"] = apart / (2 * len(counts) * sum(counts))
    out["cases"], out["left_out"] = len(kept), len(asked) - len(kept)
    out["cold_cases"] = len(cold[ks[0]])
    return out


@pytest.mark.parametrize("new_only", [True, False])
@pytest.mark.parametrize("seed", range(4))
def test_every_metric_is_what_plain_loops_say(seed, new_only):
    sequences, ranker, views = drawn(seed)
    cases = Cases.of(HeldOut.after_first(sequences))
    measured = judge(ranker, cases, views, (1, 2, 5, 50), new_only=new_only)
    assert measured == pytest.approx(by_loops(sequences, ranker, views, (1, 2, 5, 50), new_only), abs=1e-12)


def test_blocks_change_nothing(monkeypatch):
    sequences, ranker, views = drawn(9, visitors=40)
    cases = Cases.of(HeldOut.after_first(sequences))
    whole = judge(ranker, cases, views, (1, 3))
    steps = []
    monkeypatch.setattr("vision_rec.evaluate_sessions.judging._AT_ONCE", 3 * len(views))
    monkeypatch.setattr("vision_rec.evaluate_sessions.places._AT_ONCE", 2 * len(views))
    assert judge(ranker, cases, views, (1, 3), progress=lambda *step: steps.append(step)) == whole
    assert len(steps) > 5 and steps[-1] == (whole["cases"], whole["cases"])


def test_scoring_all_alike_gains_nothing():
    """A ranker without an opinion is as good as chance, wherever the wanted products stand."""
    sequences, _, views = drawn(3)
    cases = Cases.of(HeldOut.after_first(sequences))
    same = judge(Fixed(lambda before, n: np.zeros(n)), cases, views, (2,), new_only=False)
    assert same["hr@2"] == pytest.approx(2 / 6)
    assert same["mrr"] == pytest.approx(sum(1 / p for p in range(1, 7)) / 6)


def test_what_is_not_ranked_is_not_found():
    sequences, _, views = drawn(3)
    cases = Cases.of(HeldOut.after_first(sequences))
    none = judge(Fixed(lambda before, n: np.full(n, -np.inf)), cases, views, (3,), new_only=False)
    assert none["hr@3"] == none["mrr"] == none["recall@3"] == none["coverage@3"] == 0
    assert none["popularity@3"] is None and none["gini@3"] is None


def test_scores_that_are_no_numbers_are_refused():
    sequences, _, views = drawn(3)
    with pytest.raises(InputError, match="no numbers"):
        judge(Fixed(lambda before, n: np.full(n, np.nan)), Cases.of(HeldOut.after_first(sequences)), views)


@pytest.mark.parametrize("ks", [(), (0,), (5, 5), (1001,)])
def test_k_is_checked(ks):
    sequences, ranker, views = drawn(3)
    with pytest.raises(InputError, match="allowed are different numbers from 1 to 1000"):
        judge(ranker, Cases.of(HeldOut.after_first(sequences)), views, ks)


def test_nothing_to_measure_is_said():
    cases = given([["a", "b"]], ["a"])
    with pytest.raises(InputError, match="no case to measure"):
        judge(Fixed(lambda before, n: np.ones(n)), cases, np.ones(2, np.int64))
    assert (
        judge(Fixed(lambda before, n: np.ones(n)), cases, np.ones(2, np.int64), new_only=False)["cases"] == 1
    )


@pytest.mark.parametrize("seed", range(3))
def test_places_and_first_ones_by_loops(seed):
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, 5, (9, 30)).astype(np.float32)
    scores[rng.random(scores.shape) < 0.2] = -np.inf
    cases, wanted = rng.integers(0, 9, 50), rng.integers(0, 30, 50)
    found = place(scores, cases, wanted)
    for j, (case, product) in enumerate(zip(cases, wanted, strict=True)):
        own = scores[case, product]
        if own == -np.inf:
            assert (found.above[j], found.level[j]) == (30, 0)
            continue
        assert found.above[j] == sum(other > own for other in scores[case])
        assert found.level[j] == sum(other == own for other in scores[case]) - 1
    for k in (0, 1, 7, 30, 99):
        listed = first(scores, k)
        for row, own in zip(listed, scores, strict=True):
            ranked = sorted((p for p in range(30) if own[p] > -np.inf), key=lambda p: (-own[p], p))[:k]
            assert [p for p in row if p >= 0] == ranked
            assert len(row) == min(k, 30)


def test_gini_and_percentiles():
    assert gini(np.array([3, 3, 3])) == pytest.approx(0)
    assert gini(np.array([0, 0, 0, 8])) == pytest.approx(3 / 4)
    assert gini(np.array([0, 0])) is None
    assert list(percentile_of(np.array([5, 0, 5, 9]))) == [0.5, 0.125, 0.5, 0.875]
    assert len(percentile_of(np.array([], np.int64))) == 0


# ── cases ─────────────────────────────────────────────────────────────────────────────────────────


def test_cases_of_leave_one_out_and_of_time():
    lists = [list("abcd"), list("ab"), list("cde")]
    sequences = from_lists(lists, at=[[1, 2, 3, 9], [1, 8], [8, 9, 10]])
    train, validation, test = sequences.leave_one_out()
    assert asked(Cases.of(test)) == [("abc", "d", "d"), ("cd", "e", "e")]
    assert asked(Cases.of(validation)) == [("ab", "c", "c"), ("c", "d", "d")]
    assert train.lengths.tolist() == [2, 2, 1]
    assert asked(Cases.of(sequences.held_from(8))) == [
        ("abc", "d", "d"), ("a", "b", "b"), ("c", "d", "de"), ("cd", "e", "e"),
    ]  # fmt: skip


def asked(cases):
    names, items = cases.sequences.products, cases.sequences.items
    return [
        tuple("".join(names[i] for i in items[part]) for part in (slice(b, e), [e], slice(e, s)))
        for b, e, s in zip(cases.begins, cases.ends, cases.stops, strict=True)
    ]


def test_given_cases_keep_the_numbers_of_training():
    cases = given([["b"], ["x", "a"]], ["a", "y"], ["a", "b", "c"])
    assert cases.sequences.products == ("a", "b", "c", "x", "y")
    assert cases.next.tolist() == [0, 4]
    recent = cases.recent(5)
    assert recent.products.tolist() == [[1, -1], [3, 0]] and recent.lengths.tolist() == [1, 2]
    assert cases.recent(1).products.tolist() == [[1], [0]]
    with pytest.raises(InputError, match="a prefix is empty"):
        given([[]], ["a"])
    with pytest.raises(InputError, match="1 prefixes and 2 targets"):
        given([["a"]], ["a", "b"])


def test_renumbered_drops_what_is_not_in_the_catalogue():
    sequences = from_lists([list("axb"), list("xx"), list("c")])
    here = renumbered(sequences, ["b", "a", "c"], only=True)
    assert here.products == ("b", "a", "c") and here.items.tolist() == [1, 0, 2]
    assert here.lengths.tolist() == [2, 1]
    assert renumbered(sequences, ["c"]).products == ("c", "a", "x", "b")
    with pytest.raises(InputError, match="must differ"):
        renumbered(sequences, ["a", "a"])


# ── rankers ───────────────────────────────────────────────────────────────────────────────────────


def test_popularity_counts_visitors_not_views():
    train = renumbered(from_lists([list("aaaa"), list("bc"), list("b")]), list("abcd"))
    scores = Popularity(train).score(given([["a"], ["b"]], ["b", "c"], list("abcd")))
    assert scores.tolist() == [[1, 2, 1, 0]] * 2


def test_co_visits_are_cosines_with_recency():
    lists = [list("abc"), list("ab"), list("bd"), list("cdd")]
    products = list("abcde")
    train = renumbered(from_lists(lists), products)
    score = CoVisits(train, decay=0.5).score(given([["a", "d"], ["e"]], ["b", "a"], products))
    sets = {p: {i for i, ids in enumerate(lists) if p in ids} for p in products}

    def near(p, q):
        both = math.sqrt(len(sets[p]) * len(sets[q]))
        return len(sets[p] & sets[q]) / both if p != q and both else 0.0

    for column, product in enumerate(products):
        assert score[0, column] == pytest.approx(0.5 * near("a", product) + near("d", product), abs=2e-6)
    assert list(np.argsort(-score[1], kind="stable")) == [1, 0, 2, 3, 4]  # nothing is near: what is popular


def test_rows_are_scored_as_in_an_answer():
    layout = AspectLayout((Aspect("colour", 2, gain=2.0), Aspect("text", 3, default_weight=0.5)))
    rng = np.random.default_rng(0)
    rows = np.concatenate([unit(rng.normal(size=(4, 2))), unit(rng.normal(size=(4, 3)))], axis=1)
    rows = rows.astype(np.float32)
    cases = given([["a", "b"], ["c"]], ["c", "d"], list("abcd"))
    scores = RowRanker("mean", RecencyMean(0.5), layout, rows).score(cases)
    for case, query in enumerate([(0.5 * rows[0] + rows[1]) / 1.5, rows[2]]):
        for product in range(4):
            colour, text = query[:2] @ rows[product, :2], query[2:] @ rows[product, 2:]
            assert scores[case, product] == pytest.approx(2.0 * colour + 0.5 * text, abs=1e-6)
    with pytest.raises(InputError, match="must agree"):
        RowRanker("mean", RecencyMean(), layout, rows[:, :4])


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)
