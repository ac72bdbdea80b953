"""Queries as JSON: every field of the contract arrives, every wrong one is told, files go on."""

from __future__ import annotations

import json
import math
from dataclasses import fields

import pytest
from fake_shop import FakeEncoders, drawn_products, picture, publish
from hypothesis import given
from hypothesis import strategies as st

from vision_rec import Recommender
from vision_rec.answers import answer_to_json
from vision_rec.batch import query_from_json, run_batch
from vision_rec.errors import ImageError, InputError, UrlNotAllowedError
from vision_rec.filters import Filters
from vision_rec.types import Example, Query

PRODUCTS, ROWS = drawn_products()
PIXELS = picture("red", "mug", "plain")


def read(body):
    return query_from_json(body, open_picture=lambda text: PIXELS)


@pytest.fixture(scope="module")
def rec(tmp_path_factory):
    root = tmp_path_factory.mktemp("batch")
    publish(root, PRODUCTS, ROWS)
    return Recommender.open(root, encoders=FakeEncoders())


BODY = {
    "product_id": "00123",
    "image": "aGVsbG8=",
    "text": "long sleeve",
    "colour": "#c81e1e",
    "examples": [{"product_id": "a", "weight": -0.5}, {"image": "x"}],
    "recent": ["a", "b"],
    "recent_types": ["view", "purchase"],
    "session_model": "recency",
    "user_id": "u",
    "session_id": "s",
    "weights": {"colour": 2, "shape": 0.5},
    "preset": "look",
    "filters": {"brand": {"not": ["Acme"]}, "price": {"min": 10}},
    "exclude": ["c"],
    "k": 12,
    "offset": 24,
    "min_score": 0.25,
    "diversity": 0.5,
    "max_per_group": 2,
    "exclude_own_group": False,
    "session_share": 0.4,
    "crop": [0, 0.25, 0.5, 0.5],
    "facets": ["brand"],
    "rating_boost": 0.1,
}


def test_every_field_arrives():
    query = read(BODY)
    assert query.product_id == "00123"
    assert query.image is PIXELS
    assert (query.text, query.colour) == ("long sleeve", "#c81e1e")
    assert query.examples[0] == Example("a", weight=-0.5)
    assert query.examples[1].image is PIXELS and query.examples[1].weight == 1.0
    assert (query.recent_types, query.session_model) == (("view", "purchase"), "recency")
    assert (query.recent, query.user_id, query.session_id) == (("a", "b"), "u", "s")
    assert (query.weights, query.preset) == ({"colour": 2.0, "shape": 0.5}, "look")
    assert query.filters == Filters.parse(["brand!=Acme", "price>=10"])
    assert (query.exclude, query.k, query.offset, query.min_score) == (("c",), 12, 24, 0.25)
    assert (query.diversity, query.max_per_group, query.exclude_own_group) == (0.5, 2, False)
    assert (query.session_share, query.crop) == (0.4, (0.0, 0.25, 0.5, 0.5))
    assert (query.facets, query.rating_boost) == (("brand",), 0.1)


def test_no_field_of_a_query_is_out_of_reach():
    assert {field.name for field in fields(Query)} == set(BODY)


def test_what_is_absent_or_null_has_its_default():
    assert read({}) == Query()
    assert read(dict.fromkeys(BODY)) == Query()
    assert read({"image_url": None}) == Query()


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"prodct_id": "1"}, "unknown field 'prodct_id'; did you mean 'product_id'?"),
        ({"color": "red"}, "unknown field 'color'; did you mean 'colour'?"),
        ({"zzzzzzz": 1}, "unknown field 'zzzzzzz'; known are product_id"),
        ({"product_id": 123}, "product_id must be a text; got 123"),
        ({"text": ["a"]}, "text must be a text"),
        ({"text": "a\0b"}, "text must be a text"),
        ({"text": "x" * 513}, "text has 513 characters; allowed are 512"),
        ({"image": 5}, "image must be a text"),
        ({"image": ""}, "image must be a text"),
        ({"k": "10"}, "k must be a whole number; got '10'"),
        ({"k": 2.5}, "k must be a whole number"),
        ({"k": True}, "k must be a whole number"),
        ({"diversity": "high"}, "diversity must be a finite number"),
        ({"min_score": math.nan}, "min_score must be a finite number"),
        ({"rating_boost": False}, "rating_boost must be a finite number"),
        ({"exclude_own_group": 1}, "exclude_own_group must be true or false"),
        ({"weights": [1, 2]}, "weights must be an object of numbers"),
        ({"weights": {"colour": "2"}}, "weights.colour must be a finite number"),
        ({"weights": {"colour": 1e999}}, "weights.colour must be a finite number"),
        ({"filters": ["price<=5"]}, "filters must be an object"),
        ({"filters": {"prise": 5}}, "unknown filter field"),
        ({"recent": "a,b"}, "recent must be a list"),
        ({"recent": [1]}, "recent must be a list of texts"),
        ({"exclude": ["a"] * 1001}, "exclude has 1001 entries; allowed are 1000"),
        ({"facets": {"brand": 1}}, "facets must be a list"),
        ({"crop": [0, 0, 1]}, "crop must be four numbers"),
        ({"crop": "0,0,1,1"}, "crop must be four numbers"),
        ({"crop": [0, 0, None, 1]}, "a value of crop must be a finite number"),
        ({"examples": {"product_id": "a"}}, "examples must be a list"),
        ({"examples": ["a"]}, "expected a JSON object; got 'a'"),
        ({"examples": [{"id": "a"}]}, "unknown field of an example 'id'"),
        (
            {"examples": [{"product_id": "a", "weight": None}, {"weight": "1"}]},
            "weight of an example must be",
        ),
        ([], "expected a JSON object"),
        ("x", "expected a JSON object"),
    ],
)
def test_wrong_bodies_are_told(body, message):
    with pytest.raises(InputError) as caught:
        read(body)
    assert message in str(caught.value)
    assert len(str(caught.value)) < 700


def test_picture_urls_are_not_enabled():
    with pytest.raises(UrlNotAllowedError, match="send the picture itself"):
        read({"image_url": "https://x.example/a.jpg"})


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from(sorted(BODY)), json_values, max_size=4))
def test_any_body_is_a_query_or_an_input_error(body):
    try:
        assert isinstance(read(body), Query)
    except InputError as error:
        assert error.code == "invalid-input"


def test_a_file_of_queries_goes_on_after_bad_ones(rec):
    lines = [
        json.dumps({"query_id": "q1", "product_id": "red-mug-plain-M", "k": 2}),
        "",
        "{not json",
        json.dumps({"query_id": 7, "product_id": "nope"}),
        json.dumps([1, 2]),
        json.dumps({"product_id": "red-mug-plain-M", "weights": {"color": 1}}),
        '{"query_id": "nan", "product_id": "red-mug-plain-M", "min_score": NaN}',
        json.dumps({"query_id": "q2", "text": "blue lamp", "k": 1}),
        json.dumps({"query_id": "pic", "image": "/absent.png"}),
    ]
    results = list(run_batch(rec, lines))
    assert [result["query_id"] for result in results] == ["q1", 3, 7, 5, 6, 7, "q2", "pic"]
    errors = [result["error"]["code"] for result in results if "error" in result]
    assert errors == [
        "invalid-input",
        "not-found",
        "invalid-input",
        "invalid-input",
        "invalid-input",
        "image-unreadable",
    ]
    assert "weights name 'color'" in results[4]["error"]["message"]
    assert [len(result.get("items", [])) for result in results] == [2, 0, 0, 0, 0, 0, 1, 0]
    item = results[0]["items"][0]
    assert set(item) == {"id", "score", "parts"}
    assert sum(item["parts"].values()) == pytest.approx(item["score"], abs=1e-5)
    json.dumps(results, allow_nan=False)


def test_a_line_that_asks_for_nan_by_its_own_name_is_refused(rec):
    (result,) = run_batch(rec, ['{"product_id": "red-mug-plain-M", "min_score": NaN}'])
    assert "NaN is no JSON number" in result["error"]["message"]


def test_batch_lines_equal_single_answers_in_order(rec):
    bodies = [{"query_id": i, "product_id": PRODUCTS[i % 80].id, "k": 3} for i in range(150)]
    results = list(run_batch(rec, map(json.dumps, bodies)))
    assert [result["query_id"] for result in results] == list(range(150))
    for body, result in list(zip(bodies, results, strict=True))[::29]:
        alone = rec.similar(body["product_id"], k=3)
        assert [item["id"] for item in result["items"]] == [item.product.id for item in alone]


def test_pictures_in_a_file_are_paths(rec, tmp_path):
    from PIL import Image

    Image.fromarray(picture("green", "chair", "striped", 32)).save(tmp_path / "p.png")
    (result,) = run_batch(rec, [json.dumps({"image": str(tmp_path / "p.png"), "k": 1})])
    assert result["items"][0]["id"].startswith("green-chair-striped")


def test_an_impossible_path_is_an_image_error():
    def open_picture(text):
        raise OSError(36, "File name too long")

    with pytest.raises(ImageError, match="cannot be read: File name too long"):
        query_from_json({"image": "x" * 9000}, open_picture=open_picture)


# ── the JSON answer ───────────────────────────────────────────────────────────────────────────────


def test_the_answer_has_the_fields_of_the_contract(rec):
    answer = rec.similar("red-mug-plain-M", k=3, facets=["brand"])
    body = json.loads(json.dumps(answer_to_json(answer, request_id="r1", took_ms=1.23456), allow_nan=False))
    assert list(body) == ("request_id version weights took_ms degraded empty_reason facets items".split())
    assert (body["request_id"], body["version"], body["took_ms"]) == ("r1", rec.version_id, 1.235)
    assert (body["degraded"], body["empty_reason"]) == ([], None)
    assert body["facets"]["brand"]["Acme"] > 0
    assert sum(body["weights"].values()) == pytest.approx(1.0)
    for item in body["items"]:
        assert (
            list(item)
            == (
                "id title link image brand category price currency availability group_id score parts missing "
                "boost lexical pinned rules effects rank_without_rules reasons"
            ).split()
        )
        assert sum(item["parts"].values()) == pytest.approx(item["score"], abs=1e-5)
    first = body["items"][0]
    assert isinstance(first["price"], float)
    assert (first["currency"], first["image"].endswith(".png"), first["category"][0]) == ("EUR", True, "Home")
    assert (first["pinned"], first["rules"], first["boost"]) == (False, [], 0.0)


def test_an_empty_answer_is_json_too(rec):
    body = answer_to_json(rec.similar("red-mug-plain-M", filters=["price<=1"]), request_id="r", took_ms=0)
    assert body["items"] == []
    assert "price" in body["empty_reason"]


def test_the_price_is_what_is_to_pay(tmp_path):
    from dataclasses import replace
    from decimal import Decimal

    cheap = replace(PRODUCTS[2], sale_price=Decimal("4.99"))
    bare = replace(PRODUCTS[4], price=None, image_refs=())
    publish(tmp_path, [PRODUCTS[0], cheap, bare], ROWS[:3])
    answer = Recommender.open(tmp_path).similar(PRODUCTS[0].id)
    items = {item["id"]: item for item in answer.to_dicts()}
    assert items[cheap.id]["price"] == 4.99
    assert (items[bare.id]["price"], items[bare.id]["image"]) == (None, None)
