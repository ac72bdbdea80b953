"""The recommender: known answers on a shop with known factors, weights, words, what is said."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from fake_shop import (
    LAYOUT,
    FakeEncoders,
    NoEncoders,
    publish,
    settings_for,
)
from known_shop import ALL, ALL_ROWS, ids, publish_known

from vision_rec import Recommender
from vision_rec.errors import InputError, NotFoundError
from vision_rec.filters import Filters
from vision_rec.types import Example, Query


@pytest.fixture(scope="module")
def indexes(tmp_path_factory):
    return publish_known(tmp_path_factory.mktemp("shop"))


@pytest.fixture(scope="module")
def rec(indexes):
    return Recommender.open(indexes, encoders=FakeEncoders())


def factor(answer, position):
    return [item.product.id.split("-")[position] for item in answer]


# ── known answers ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("aspect", "position"), [("colour", 0), ("shape", 1), ("style", 2)])
def test_weight_on_one_factor_puts_that_factor_first(rec, aspect, position):
    answer = rec.similar("blue-bag-plain-M", k=7, weights={aspect: 1})
    assert set(factor(answer, position)) == {"blue-bag-plain".split("-")[position]}
    assert [item.score for item in answer] == pytest.approx([1.0] * 7, abs=2e-3)


def test_the_nearest_differ_in_one_factor_only(rec):
    answer = rec.similar("blue-bag-plain-M", k=3, weights={"colour": 2, "shape": 2, "style": 1})
    assert ids(answer)[0].startswith("blue-bag-striped")


def test_parts_sum_to_the_score_and_scores_fall(rec):
    answer = rec.similar("red-mug-plain-M", k=40, weights={"colour": 1, "shape": 3, "text": 0.5})
    for item in answer:
        assert sum(item.parts.values()) == pytest.approx(item.score, abs=1e-5)
        assert set(item.parts) == set(LAYOUT.names)
    assert all(a.score >= b.score for a, b in zip(answer.items, answer.items[1:], strict=False))


def test_scores_are_what_plain_loops_give(rec):
    answer = rec.similar("red-mug-plain-M", k=20, max_per_group=0)
    stored = ALL_ROWS.astype(np.float16).astype(np.float64)
    query = stored[[p.id for p in ALL].index("red-mug-plain-M")]
    for item in answer:
        row = stored[[p.id for p in ALL].index(item.product.id)]
        for name in LAYOUT.names:
            part = LAYOUT.slice(name)
            norm = math.sqrt(sum(query[part] ** 2)) or 1.0  # the query's blocks are brought to norm 1
            cosine = sum(query[part] * row[part]) / norm
            assert item.parts[name] == pytest.approx(answer.weights[name] * cosine, abs=1e-5)


def test_a_product_by_id_never_touches_an_encoder(indexes):
    rec = Recommender.open(indexes, encoders=NoEncoders())
    assert (
        len(rec.similar("red-mug-plain-M", filters={"in_stock": True}, diversity=0.4, facets=["brand"])) == 10
    )
    assert len(rec.recommend(recent=["red-mug-plain-M", "blue-bag-plain-M"])) == 10
    assert (
        len(rec.search(examples=[Example("red-mug-plain-M"), Example("blue-bag-plain-M", weight=-0.5)])) == 10
    )
    assert len(list(rec.similar_all(k=3))) == 82  # BARE has an empty list
    with pytest.raises(AssertionError, match="encoders were asked"):
        rec.search(text="red mug")


# ── who may answer ────────────────────────────────────────────────────────────────────────────────


def test_one_per_group_and_never_the_own_group(rec):
    answer = rec.similar("red-mug-plain-M", k=200)
    groups = [item.product.group_id for item in answer if item.product.group_id]
    assert len(groups) == len(set(groups)) == 39
    assert "red-mug-plain" not in groups
    assert set(ids(answer)) >= {"bare", "picture-only"}


def test_group_options(rec):
    own = rec.similar("red-mug-plain-M", k=1, exclude_own_group=False, filters={"brand": ["Acme"]})
    assert ids(own) == ["red-mug-plain-S"]
    two = rec.similar("red-mug-plain-M", k=200, max_per_group=2)
    assert len(two) == 78 + 2
    everyone = rec.similar("red-mug-plain-M", k=200, max_per_group=0)
    assert len(everyone) == len(ALL) - 2  # itself and the retired one
    assert "red-mug-plain-S" in ids(everyone)


def test_a_retired_product_is_asked_for_but_never_answers(rec):
    assert (
        ids(rec.similar("gone", k=2)) == ["red-mug-plain-S", "picture-only"]
        or len(rec.similar("gone", k=2)) == 2
    )
    assert "gone" not in ids(rec.similar("red-mug-plain-M", k=200, max_per_group=0))
    assert rec.product("gone").title == "red plain mug"


def test_excluded_viewed_and_example_products_are_left_out(rec):
    first = ids(rec.similar("red-mug-plain-M", k=3))
    assert not set(first) & set(ids(rec.similar("red-mug-plain-M", k=50, exclude=[*first, "unknown-id"])))
    viewed = ["blue-bag-plain-M", "blue-mug-plain-M"]
    assert not set(viewed) & set(ids(rec.recommend(recent=viewed, k=200, max_per_group=0)))
    asked = rec.search(examples=[Example("blue-bag-plain-M")], k=200, max_per_group=0)
    assert "blue-bag-plain-M" not in ids(asked)


def test_numbers_of_numpy_are_numbers(rec):
    plain = rec.similar("red-mug-plain-M", k=3, offset=1, diversity=0.5, weights={"colour": 2})
    given = rec.similar(
        "red-mug-plain-M",
        k=np.int64(3),
        offset=np.int32(1),
        diversity=np.float32(0.5),
        weights={"colour": np.float32(2)},
    )
    assert [item.product.id for item in given] == [item.product.id for item in plain]
    assert dict(given.weights) == dict(plain.weights)
    with pytest.raises(InputError, match="finite number"):
        rec.similar("red-mug-plain-M", weights={"colour": np.float32("nan")})


def test_filters_of_any_other_type_are_refused(rec):
    for filters in (5, [5], {"brand=acme"}):
        with pytest.raises(InputError, match="filters is .*allowed are"):
            rec.similar("red-mug-plain-M", filters=filters)


def test_filters_in_all_three_forms(rec):
    for filters in ({"brand": ["acme"]}, ["brand=acme"], Filters.parse(["brand=acme"]), "brand=acme"):
        answer = rec.similar("red-mug-plain-M", k=50, filters=filters)
        assert {item.product.brand for item in answer} == {"Acme"}
    near = rec.similar("red-mug-plain-M", k=50, filters=["price_ratio=0.5..2", "same_category=true"])
    assert set(factor(near, 1)) == {"mug"}
    with pytest.raises(InputError, match="give a product id"):
        rec.search(text="mug", filters=["same_category=true"])


def test_min_score_is_a_floor_of_the_score(rec):
    everything = rec.similar("red-mug-plain-M", k=200)
    floor = everything[5].score
    answer = rec.similar("red-mug-plain-M", k=200, min_score=floor)
    assert ids(answer) == [item.product.id for item in everything if item.score >= floor]


def test_unknown_products_are_not_found(rec):
    for search in (
        lambda: rec.similar("nope"),
        lambda: rec.product("nope"),
        lambda: rec.search(examples=[Example("nope")]),
        lambda: rec.recommend(recent=["nope", "never"]),
    ):
        with pytest.raises(NotFoundError):
            search()
    assert rec.recommend(recent=["nope", "red-mug-plain-M"], k=1)


# ── pages ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"max_per_group": 0},
        {"diversity": 0.5},
        {"rating_boost": 0.3},
        {"filters": Filters.parse(["brand=Bolt"])},
        {"min_score": 0.1},
        {"weights": {"style": 1}},  # many equal scores
    ],
)
def test_pages_make_up_the_whole(rec, options):
    query = Query(product_id="red-mug-plain-M", text="red shoe", k=200, **options)
    whole = ids(rec.answer(query))
    pages = [ids(rec.answer(replace(query, k=7, offset=start))) for start in range(0, len(whole) + 7, 7)]
    assert [product for page in pages for product in page] == whole


def test_a_page_past_the_end_is_empty_and_says_so(rec):
    answer = rec.similar("red-mug-plain-M", offset=1000)
    assert (len(answer), answer.empty_reason) == (0, "offset 1000 is past the last of 41 results")


# ── weights ───────────────────────────────────────────────────────────────────────────────────────


def test_doubling_all_weights_changes_nothing(rec):
    once = rec.similar("red-mug-plain-M", weights={"colour": 1, "text": 0.5})
    twice = rec.similar("red-mug-plain-M", weights={"colour": 2, "text": 1.0})
    assert (ids(once), once.weights) == (ids(twice), twice.weights)


def test_weights_not_named_weigh_nothing_and_defaults_are_even(rec):
    assert rec.similar("red-mug-plain-M", weights={"colour": 3}).weights == {
        **dict.fromkeys(LAYOUT.names, 0.0),
        "colour": 1.0,
    }
    weights = rec.similar("red-mug-plain-M").weights
    assert weights == {"colour": 0.25, "shape": 0.25, "style": 0.25, "text": 0.25, "reviews": 0.0}


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"color": 1}, "weights name 'color'; this index has colour, shape"),
        ({"colour": -1}, "finite number ≥ 0"),
        ({"colour": math.nan}, "finite number ≥ 0"),
        ({"colour": 0}, "no aspect is left"),
        ({"reviews": 1}, "the weights ask for reviews, the query has colour, shape, style, text"),
    ],
)
def test_bad_weights(rec, weights, message):
    with pytest.raises(InputError, match=message):
        rec.similar("red-mug-plain-M", weights=weights)


def test_presets_and_settings(rec, indexes):
    assert rec.similar("red-mug-plain-M", preset="colour").weights["colour"] == 1.0
    with pytest.raises(InputError, match="unknown preset 'warm'; for this index there are colour, look"):
        rec.similar("red-mug-plain-M", preset="warm")
    with pytest.raises(InputError, match="both weights and preset"):
        rec.similar("red-mug-plain-M", preset="colour", weights={"colour": 1})
    own = Recommender.open(
        indexes, settings=settings_for(indexes, search={"weights": {"text": 0, "colour": 2}})
    )
    assert own.similar("red-mug-plain-M").weights == {
        "colour": 0.5,
        "shape": 0.25,
        "style": 0.25,
        "text": 0.0,
        "reviews": 0.0,
    }
    with pytest.raises(InputError, match=r"search.weights names \['color'\]"):
        Recommender.open(indexes, settings=settings_for(indexes, search={"weights": {"color": 1}}))


def test_the_versions_own_weights_and_presets_come_before_the_layouts(tmp_path):
    publish(tmp_path, ALL, ALL_ROWS, weights={"shape": 3.0}, presets={"mine": {"style": 1.0, "behaviour": 1}})
    rec = Recommender.open(tmp_path)
    assert rec.default_weights["shape"] == 3.0
    assert rec.presets["mine"] == {"style": 1.0}
    assert rec.similar("red-mug-plain-M", preset="mine").weights["style"] == 1.0


# ── words and ratings ─────────────────────────────────────────────────────────────────────────────


def test_an_exact_id_comes_first_and_only_the_boost_says_so(rec):
    answer = rec.search(text="blue-lamp-striped-S", k=2)
    assert ids(answer)[0] == "blue-lamp-striped-S"
    assert (answer[0].boost, answer[0].lexical) == (1.0, 1.0)
    assert sum(answer[0].parts.values()) == pytest.approx(answer[0].score, abs=1e-5)


def test_words_lift_what_has_them(rec, indexes):
    answer = rec.search(text="acme", k=40)
    assert {item.product.brand for item in answer.items[:16]} == {"Acme"}
    assert 0 < answer[0].boost <= 0.3
    assert any("acme" in reason for reason in answer[0].reasons)
    without = Recommender.open(
        indexes, encoders=FakeEncoders(), settings=settings_for(indexes, search={"lexical_weight": 0})
    ).search(text="acme", k=5)
    assert {item.boost for item in without} == {0.0}


def test_rating_boost_lifts_well_rated_products(rec):
    base = rec.similar("blue-mug-plain-M", k=200, max_per_group=0)
    lifted = rec.similar("blue-mug-plain-M", k=200, max_per_group=0, rating_boost=1.0)
    assert ids(lifted)[0] == "blue-bag-plain-M"
    assert lifted[0].boost == pytest.approx(0.976, abs=1e-3)
    assert lifted[0].score == base[ids(base).index("blue-bag-plain-M")].score
    assert "rated 5.0 of 5 by 200" in lifted[0].reasons
    assert next(item for item in lifted if item.product.id == "blue-bag-striped-M").boost == 0.0


def test_diversity_spreads_the_page(rec):
    narrow = rec.similar("blue-bag-plain-M", k=8, weights={"colour": 3, "shape": 1, "style": 1})
    wide = rec.similar("blue-bag-plain-M", k=8, weights={"colour": 3, "shape": 1, "style": 1}, diversity=0.8)
    assert set(factor(narrow, 0)) == {"blue"}
    assert len(set(factor(wide, 0))) > 1
    assert ids(wide)[0] == ids(narrow)[0]  # the nearest stays first


# ── what an answer says ───────────────────────────────────────────────────────────────────────────


def test_missing_aspects_gain_nothing_and_are_named(rec):
    items = {item.product.id: item for item in rec.similar("red-mug-plain-M", k=200)}
    assert items["picture-only"].missing == ("text",)
    assert items["picture-only"].parts["text"] == 0.0
    assert items["bare"].missing == ("colour", "shape", "style", "text")
    assert (items["bare"].score, items["bare"].parts["colour"]) == (0.0, 0.0)
    assert items["blue-bag-plain-S"].missing == ()


def test_facets_count_all_that_may_answer(rec):
    answer = rec.similar("red-mug-plain-M", k=1, facets=["brand", "attributes.color"], max_per_group=0)
    assert answer.facets["brand"] == {"Bolt": 48, "Acme": 31}
    assert answer.facets["attributes.color"] == {"black": 20, "blue": 20, "green": 20, "red": 19}


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"filters": ["price<=5"]}, "filter 'price<=5.0' removes 82 of 82 products"),
        (
            {"filters": ["brand=Acme", "category=Shoes"]},
            "no product passes all filters; filter 'category=Shoes' removes 66 of 82 products, the most",
        ),
        ({"min_score": 2.0}, "no product scores 2 (min_score) or more"),
        (
            {"filters": ["id=red-mug-plain-M|red-mug-plain-S"]},
            "all 2 products that pass are the query's own, of its variant group, viewed or in `exclude`",
        ),
    ],
)
def test_an_empty_answer_says_why(rec, options, reason):
    answer = rec.similar("red-mug-plain-M", **options)
    assert (len(answer), answer.empty_reason) == (0, reason)
    assert rec.similar("red-mug-plain-M").empty_reason is None


def test_reasons_are_short_and_from_the_largest_parts(rec):
    item = rec.similar("red-mug-plain-M", k=1)[0]
    assert 1 <= len(item.reasons) <= 3
    joined = " | ".join(item.reasons)
    assert "shape 1.00" in joined or "style 1.00" in joined
    red = rec.similar("red-mug-plain-M", weights={"colour": 1}, k=1)[0]
    assert red.reasons == ("colour 1.00: red, like yours",) or red.product.id == "picture-only"
    edited = rec.search(product_id="red-mug-plain-M", colour="blue", weights={"colour": 1}, k=1)[0]
    assert edited.reasons == ("colour 1.00: blue, for blue",)
    words = rec.search(text="striped chair", k=1)[0]
    assert words.reasons[0].startswith("text") and words.reasons[0].endswith(": striped, chair")


def test_colours_are_named_by_the_encoder_where_it_can(indexes):
    rec = Recommender.open(indexes, name_colours=lambda block: ("navy", "ivory"))
    assert rec.similar("red-mug-plain-M", weights={"colour": 1}, k=1)[0].reasons == (
        "colour 1.00: navy and ivory, like yours",
    )
