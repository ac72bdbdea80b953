"""Journeys: the list after each view, and what each view does to the last; re-derived with plain loops."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from service_shop import LAYOUT, MathEncoders, open_shop

from vision_rec import Recommender
from vision_rec.errors import InputError, NotFoundError
from vision_rec.sessions import RecencyMean
from vision_rec.types import Query

VIEWS = ("mug-blue", "lamp-blue", "chair-red")


@pytest.fixture(scope="module")
def rec(tmp_path_factory):
    """A shop whose views are read by their plain mean."""
    settings, _ = open_shop(tmp_path_factory.mktemp("journeys"))
    return Recommender.open(
        settings.paths.indexes, settings=settings, encoders=MathEncoders(), session_encoder=RecencyMean(0.8)
    )


def mean_row(rec, views, says):
    """The plain mean of the views."""
    state = rec.state
    row, shares = np.zeros(LAYOUT.dim), 0.0
    for age, (view, say) in enumerate(zip(reversed(views), reversed(says), strict=True)):
        row += say * 0.8**age * state.rows[state.catalog.row_of(view)]
        shares += say * 0.8**age
    return row / shares


def mean_score(rec, row, full, answer):
    """The mean score of the products of `answer` for `row`, its blocks as long as those of `full`."""
    state = rec.state
    total = 0.0
    for item in answer:
        other = state.rows[state.catalog.row_of(item.product.id)]
        for aspect in LAYOUT.aspects:
            part = LAYOUT.slice(aspect.name)
            length = np.linalg.norm(full[part]) / (np.linalg.norm(row[part]) or 1.0)
            total += answer.weights[aspect.name] * float(row[part] @ other[part]) * length
    return total / len(answer)


@pytest.mark.parametrize("types", [(), ("view", "purchase"), ("add_to_cart", "view", "purchase")])
def test_an_influence_is_what_the_list_loses_without_the_view(rec, types):
    query = Query(recent=VIEWS, recent_types=types, k=6)
    says = [{"view": 1, "add_to_cart": 2, "purchase": 3}[kind] for kind in (*types, *["view"] * 3)][:3]
    answer, found = rec.answer(query), rec.influences(query)
    assert found.product_ids == tuple(item.product.id for item in answer)
    assert found.version_id == rec.version_id
    assert found.score == pytest.approx(np.mean([item.score for item in answer]), abs=1e-5)
    full = mean_row(rec, VIEWS, says)
    assert found.score == pytest.approx(mean_score(rec, full, full, answer), abs=1e-3)
    assert [one.product_id for one in found.visits] == list(VIEWS)
    assert [one.type for one in found.visits] == [*types, *["view"] * 3][:3]
    for place, one in enumerate(found.visits):
        rest = [i for i in range(3) if i != place]
        row = mean_row(rec, [VIEWS[i] for i in rest], [says[i] for i in rest])
        without = mean_score(rec, row, full, answer)
        assert one.drop == pytest.approx(found.score - without, abs=1e-3)
        assert sum(one.parts.values()) == pytest.approx(one.drop, abs=1e-6)
        assert set(one.parts) == set(LAYOUT.names)


def test_a_view_alone_is_all_there_is(rec):
    found = rec.influences(Query(recent=("mug-blue",)))
    assert found.visits[0].drop == pytest.approx(found.score) and found.score > 0


def test_the_same_view_twice_is_two_visits(rec):
    found = rec.influences(Query(recent=("mug-blue", "mug-blue")))
    assert [one.drop for one in found.visits] == pytest.approx([0.0, 0.0], abs=1e-3)


def test_without_views_nobody_has_influence(rec):
    found = rec.influences(Query(product_id="mug-blue", k=3))
    assert found.visits == () and len(found.product_ids) == 3 and found.score > 0


def test_the_steps_are_the_answers_to_what_was_viewed_so_far(rec):
    types = ("view", "purchase", "view")
    query = Query(recent=VIEWS, recent_types=types, k=5)
    journey = rec.journey(query)
    assert journey.influences == rec.influences(query)
    for count, step in enumerate(journey.steps, 1):
        same = rec.answer(replace(query, recent=VIEWS[:count], recent_types=types[:count]))
        assert step.to_dicts() == same.to_dicts()


def test_what_was_done_counts(rec):
    viewed = rec.answer(Query(recent=VIEWS, k=5))
    assert rec.answer(Query(recent=VIEWS, recent_types=("view",), k=5)).to_dicts() == viewed.to_dicts()
    bought = rec.recommend(recent=VIEWS, recent_types=("purchase",), k=5)
    assert bought.to_dicts() != viewed.to_dicts()
    assert any("because you bought" in reason for item in bought for reason in item.reasons)


@pytest.mark.parametrize(
    ("query", "error", "said"),
    [
        (Query(product_id="mug-blue"), InputError, "1 to 20"),
        (Query(recent=("mug-blue",) * 21), InputError, "recent has 21"),
        (Query(recent=("mug-blue", "nobody")), NotFoundError, "'nobody'"),
        (Query(recent=("mug-blue",), recent_types=("stared",)), InputError, "'stared'.*view, click"),
        (
            Query(recent=("mug-blue",), recent_types=("view", "view")),
            InputError,
            "has 2 entries; recent has 1",
        ),
        (Query(recent=("mug-blue",), recent_types=("rating",)), InputError, "'rating'"),
    ],
)
def test_what_cannot_be_followed_is_refused(rec, query, error, said):
    with pytest.raises(error, match=said):
        rec.journey(query)


def test_which_models_can_be_chosen(rec):
    assert rec.session_models == ("auto", "recency")  # an encoder of its own
    plain = Recommender.open(rec.settings.paths.indexes, settings=rec.settings, encoders=MathEncoders())
    assert plain.session_models == ("recency",)
