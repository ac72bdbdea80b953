"""Ranking on a larger catalogue: the index path answers as a plain sort over all rows does."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest
from fake_shop import LAYOUT, FakeEncoders, publish

from vision_rec import Recommender
from vision_rec.filters import Filters
from vision_rec.fusion import unit_blocks
from vision_rec.types import Product, Query

COUNT = 1200


def random_shop(seed=3):
    rng = np.random.default_rng(seed)
    rows = np.stack([unit_blocks(LAYOUT, row) for row in rng.normal(size=(COUNT, LAYOUT.dim))])
    rows[rng.random(COUNT) < 0.2, LAYOUT.slice("text")] = 0.0
    rows[100:140] = rows[100]  # forty copies: equal scores
    products = [
        Product(
            f"p{i}",
            f"thing number{i % 40} {'rare' if i % 500 == 7 else ''}",
            brand=f"b{i % 7}",
            price=Decimal(int(rng.integers(1, 100))),
            group_id=f"g{i // 3}" if i % 5 else None,
        )
        for i in range(COUNT)
    ]
    extra = {f"p{i}": {"retired_at": "2026-01-01"} for i in range(0, COUNT, 97)}
    for i in range(COUNT):
        extra.setdefault(f"p{i}", {}).update(rating=float(rng.integers(2, 11)) / 2, rating_count=i % 30)
    return products, rows, extra


@pytest.fixture(scope="module", params=["exact", "flat"])
def rec(request, tmp_path_factory):
    products, rows, extra = random_shop()
    root = tmp_path_factory.mktemp(request.param)
    publish(root, products, rows, kind=request.param, extra=extra)
    return Recommender.open(root, encoders=FakeEncoders())


def plain_order(rec, query, boost=None):
    """Return the ids that a sort over all rows gives, with plain loops."""
    state = rec.state
    row = state.catalog.row_of(query.product_id)
    unit_row = unit_blocks(LAYOUT, state.rows[row]).astype(np.float64)
    weights = rec.answer(query).weights
    scores = sum(
        weights[name] * (state.rows[:, LAYOUT.slice(name)].astype(np.float64) @ unit_row[LAYOUT.slice(name)])
        for name in LAYOUT.names
    )
    keys = scores + (0 if boost is None else boost)
    allowed = state.catalog.mask(query.filters, like=row)
    own = state.catalog.groups[row]
    seen: dict[int, int] = {}
    out = []
    for other in np.lexsort((np.arange(COUNT), -np.round(keys, 6))):
        group = int(state.catalog.groups[other])
        if not allowed[other] or other == row or (group >= 0 and group == own and query.max_per_group):
            continue
        if query.min_score is not None and scores[other] < query.min_score:
            continue
        seen[group] = seen.get(group, 0) + 1
        if group < 0 or query.max_per_group == 0 or seen[group] <= query.max_per_group:
            out.append(int(other))
    return out, keys


QUERIES = [
    Query("p1"),
    Query("p1", k=200),
    Query("p777", k=50, offset=150),
    Query("p5", max_per_group=0, k=100),
    Query("p5", max_per_group=2, k=100),
    Query("p100", k=30, max_per_group=0),  # among the forty copies
    Query("p9", weights={"text": 1.0}, k=200, offset=700),  # many rows score 0 there
    Query("p9", filters=Filters.parse(["brand=b1|b2|b3", "price<=50"]), k=60),
    Query("p9", filters=Filters.parse(["price<=2"]), k=60),
    Query("p9", filters=Filters.parse(["price_ratio=0.9..1.1"])),
    Query("p11", min_score=0.12, k=200),
    Query("p14", weights={"style": 1.0}, k=20),
]


@pytest.mark.parametrize("query", QUERIES, ids=range(len(QUERIES)))
def test_the_answer_is_that_of_a_whole_sort(rec, query):
    order, keys = plain_order(rec, query)
    want = order[query.offset : query.offset + query.k]
    got = [rec.state.catalog.row_of(item.product.id) for item in rec.answer(query)]
    assert len(got) == len(want)
    # Equal up to ties: the same scores in the same places, and rows only differ where scores are equal.
    np.testing.assert_allclose(keys[got], keys[want], atol=2e-6)
    clear = np.abs(np.diff(keys[want], prepend=9, append=-9)) > 1e-5
    sure = clear[:-1] & clear[1:]
    assert np.array_equal(np.array(got)[sure], np.array(want)[sure])


def test_a_rating_boost_finds_rows_that_similarity_does_not(rec):
    query = Query("p3", rating_boost=0.8, k=30)
    order, keys = plain_order(rec, query, boost=0.8 * rec.state.lifts.astype(np.float64))
    got = [rec.state.catalog.row_of(item.product.id) for item in rec.answer(query)]
    np.testing.assert_allclose(keys[got], keys[order[:30]], atol=2e-6)


def test_rare_words_are_found_whatever_the_text_network_says(rec):
    answer = rec.search(product_id="p3", text="rare", weights={"text": 1}, k=3)
    assert {item.product.id for item in answer} == {"p7", "p507", "p1007"}
    assert min(item.lexical for item in answer) > 0.5


@pytest.mark.parametrize(
    "query",
    [
        Query("p1", text="rare number7"),
        Query("p1", diversity=0.6),
        Query("p1", diversity=0.6, max_per_group=0, rating_boost=0.2),
        Query("p100", max_per_group=0),
        Query("p1", weights={"text": 1}),
    ],
)
def test_pages_make_up_the_whole_beyond_one_page(rec, query):
    whole = [
        item.product.id for start in (0, 150) for item in rec.answer(replace(query, k=150, offset=start))
    ]
    pages = [
        item.product.id
        for start in range(0, 300, 30)
        for item in rec.answer(replace(query, k=30, offset=start))
    ]
    assert pages == whole
    assert len(set(whole)) == 300


def test_a_few_results_do_not_scan_the_catalogue(rec, monkeypatch):
    asked = []
    search = type(rec.state.index).search

    def spy(self, queries, k, *, allowed=None):
        asked.append((len(queries), k, allowed is None))
        return search(self, queries, k, allowed=allowed)

    monkeypatch.setattr(type(rec.state.index), "search", spy)
    rec.similar("p1", k=10)
    rec.similar("p1", k=10, filters=["price<=50"])
    assert [n for n, _, _ in asked] == [1, 1]
    assert all(k <= 128 for _, k, _ in asked)
    asked.clear()
    list(rec.similar_all(k=10, chunk=400))
    assert sum(n for n, _, _ in asked) == COUNT - 13  # every live product once, in three searches
    assert len(asked) == 3


def test_batch_equals_one_by_one(rec):
    queries = [
        *QUERIES,
        Query(text="rare thing", k=5),
        Query("p2", text="number3", rating_boost=0.1),
        Query("p2", diversity=0.3),
        Query(recent=("p1", "p9", "p30")),
    ]
    together = rec.answer_many(queries * 5)  # more than one chunk
    for query, answer in zip(queries * 5, together, strict=True):
        alone = rec.answer(query)
        assert [item.product.id for item in answer] == [item.product.id for item in alone]
        assert [item.score for item in answer] == pytest.approx([item.score for item in alone], abs=1e-6)


def test_bad_queries_of_a_batch_do_not_stop_the_others(rec):
    results = rec.answer_many(
        [Query("p1"), Query("nope"), Query("p1", k=0), Query("p2", facets=("x",)), Query("p2")]
    )
    assert [getattr(result, "code", "ok") for result in results] == [
        "ok",
        "not-found",
        "invalid-input",
        "invalid-input",
        "ok",
    ]
    assert rec.answer_many([]) == []


def test_similar_all_equals_similar(rec):
    lines = list(rec.similar_all(k=7, chunk=50))
    live = [rec.state.catalog.ids[row] for row in rec.state.catalog.live_rows]
    assert [line.product_id for line in lines] == live
    for line in lines[::111]:
        answer = rec.similar(line.product_id, k=7)
        assert line.ids == tuple(item.product.id for item in answer)
        assert line.scores == pytest.approx([item.score for item in answer], abs=1e-6)


def test_the_whole_ranking_is_the_pages_and_all_the_rest(rec):
    query = Query("p1")
    ranking = rec.ranking(query)
    order, _ = plain_order(rec, query)
    assert len(ranking) == len(order)
    assert list(ranking[:10]) == [item.product.id for item in rec.answer(query)]
    assert rec.ranking(query, 5) == ranking[:5]
