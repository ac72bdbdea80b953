"""Metrics of rankings, re-derived with plain loops, and whole evaluations."""

from __future__ import annotations

import json
import math

import pytest
from fake_shop import NoEncoders, drawn_products, publish
from hypothesis import given
from hypothesis import strategies as st

from vision_rec import Recommender
from vision_rec.errors import InputError
from vision_rec.evaluate import METRICS, evaluate, measure

PRODUCTS, ROWS = drawn_products()


@pytest.fixture(scope="module")
def rec(tmp_path_factory):
    root = tmp_path_factory.mktemp("evaluate")
    publish(root, PRODUCTS, ROWS)
    return Recommender.open(root, encoders=NoEncoders())


def by_hand(ranking, relevant):
    """Compute every metric the slow way."""
    hits = [product in relevant for product in ranking]
    count = len(relevant)
    first = hits.index(True) + 1 if True in hits else None
    gain = ideal = 0.0
    for i in range(10):
        discount = 1 / (math.log(i + 2) / math.log(2))
        gain += discount if i < len(hits) and hits[i] else 0.0
        ideal += discount if i < count else 0.0
    total = 0.0
    for product in relevant:
        if product in ranking:
            place = ranking.index(product) + 1
            total += sum(hits[:place]) / place
    return {
        "recall@1": sum(hits[:1]) / count,
        "recall@10": sum(hits[:10]) / count,
        "precision@10": sum(hits[:10]) / 10,
        "r_precision": sum(hits[:count]) / count,
        "mrr": 0.0 if first is None else 1 / first,
        "ndcg@10": gain / ideal,
        "map": total / count,
    }


@given(
    st.permutations([f"p{i}" for i in range(25)]),
    st.integers(0, 25),
    st.sets(st.sampled_from([f"p{i}" for i in range(30)]), min_size=1),
)
def test_metrics_are_what_plain_loops_give(ranking, length, relevant):
    assert measure(ranking[:length], relevant) == pytest.approx(by_hand(ranking[:length], relevant))


def test_known_values():
    perfect = measure(["a", "b", "c"], {"a", "b"})
    assert perfect == pytest.approx(
        {
            "recall@1": 0.5,
            "recall@10": 1,
            "precision@10": 0.2,
            "r_precision": 1,
            "mrr": 1,
            "ndcg@10": 1,
            "map": 1,
        }
    )
    late = measure(["x", "a"], {"a"})
    assert (late["mrr"], late["map"], late["recall@1"], late["r_precision"]) == (0.5, 0.5, 0, 0)
    assert late["ndcg@10"] == pytest.approx(1 / math.log2(3))
    assert set(measure([], {"a"}).values()) == {0.0}
    assert tuple(perfect) == METRICS


def qrels(**options):
    """Ask, for every product, for all others of its colour."""
    for product in PRODUCTS[::7]:
        colour = product.id.split("-")[0]
        relevant = [p.id for p in PRODUCTS if p.id.startswith(colour) and p.id != product.id]
        yield {"product_id": product.id, "max_per_group": 0, "relevant": relevant, **options}


def test_the_right_weight_finds_everything_and_another_does_not(rec):
    colour = evaluate(rec, qrels(weights={"colour": 1}))
    assert colour["queries"] == 12
    assert {name: colour[name] for name in ("precision@10", "r_precision", "mrr", "ndcg@10", "map")} == (
        pytest.approx({"precision@10": 1, "r_precision": 1, "mrr": 1, "ndcg@10": 1, "map": 1})
    )
    assert colour["recall@10"] == pytest.approx(10 / 19)
    shape = evaluate(rec, qrels(weights={"shape": 1}))
    assert shape["map"] < 0.5
    json.dumps(colour, allow_nan=False)


def test_means_are_over_queries_and_lines_may_be_text(rec):
    lines = [json.dumps(line) for line in qrels()]
    rankings = []
    for line in qrels():
        ranking = [item for page in range(2) for item in _page(rec, line["product_id"], page)]
        rankings.append(measure(ranking, line["relevant"]))
    got = evaluate(rec, ["", *lines, "\n"])
    for name in METRICS:
        assert got[name] == pytest.approx(sum(ranking[name] for ranking in rankings) / len(rankings))


def _page(rec, product_id, page):
    answer = rec.similar(product_id, k=40, offset=40 * page, max_per_group=0)
    return [item.product.id for item in answer]


def test_ignored_products_are_left_out_of_the_ranking(rec):
    first = rec.similar("red-mug-plain-M", k=2, max_per_group=0)
    ids = [item.product.id for item in first]
    line = {"query_id": 1, "product_id": "red-mug-plain-M", "max_per_group": 0, "relevant": [ids[1]]}
    assert evaluate(rec, [line])["mrr"] == 0.5
    assert evaluate(rec, [{**line, "ignore": [ids[0]]}])["mrr"] == 1.0


def test_the_query_itself_is_not_expected_and_unknown_ids_are_misses(rec):
    line = {"product_id": "red-mug-plain-M", "max_per_group": 0}
    first = rec.similar("red-mug-plain-M", k=1, max_per_group=0)[0].product.id
    assert evaluate(rec, [{**line, "relevant": ["red-mug-plain-M", first]}])["recall@1"] == 1.0
    assert evaluate(rec, [{**line, "relevant": ["unheard-of", first]}])["recall@1"] == 0.5


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 1: not valid JSON"),
        ("[]", "line 1: a query must be a JSON object; got list"),
        ({"product_id": "red-mug-plain-M"}, "line 1: `relevant` names no product"),
        ({"product_id": "red-mug-plain-M", "relevant": "a"}, "line 1: `relevant` must be a list"),
        ({"product_id": "red-mug-plain-M", "relevant": ["a"], "ignore": [1]}, "`ignore` must be a list"),
        ({"product_id": "nope", "relevant": ["a"]}, "line 1: no product 'nope'"),
        ({"product_id": "red-mug-plain-M", "relevnt": ["a"]}, "names no product"),
        ({"product_id": "red-mug-plain-M", "relevant": ["a"], "kk": 3}, "line 1: unknown field 'kk'"),
    ],
)
def test_bad_lines_are_named(rec, line, message):
    with pytest.raises(InputError) as caught:
        evaluate(rec, [line])
    assert message in str(caught.value)


def test_no_queries_are_no_result(rec):
    with pytest.raises(InputError, match="no query to evaluate"):
        evaluate(rec, ["", "  "])
