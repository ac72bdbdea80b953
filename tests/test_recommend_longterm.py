"""A known user's older interests: their say in scores, their places, exact parts, reasons, and pages."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np
import pytest
from event_calls import settings_for, view
from fake_shop import FakeEncoders, drawn_products, publish

from vision_rec import Recommender
from vision_rec.events import EventLog
from vision_rec.recommend.longterm import VISIT_GAP, is_reserved, merged, parted
from vision_rec.types import Event, Query

PRODUCTS, ROWS = drawn_products()
TITLES = {product.id: product.title for product in PRODUCTS}
LOOK = {"colour": 1, "style": 1}
LONG_AGO = (datetime.now(UTC) - timedelta(days=3)).isoformat()


@pytest.fixture(scope="module")
def indexes(tmp_path_factory):
    root = tmp_path_factory.mktemp("shop") / "indexes"
    publish(root, PRODUCTS, ROWS)
    return root


@pytest.fixture
def log(tmp_path):
    made = EventLog(settings_for(tmp_path / "var"))
    yield made
    made.close()


@pytest.fixture
def open_with(indexes, log, tmp_path):
    def opened(**sessions):
        settings = settings_for(tmp_path / "var")
        changed = settings.sessions.model_copy(update=sessions)
        settings = settings.model_copy(update={"sessions": changed})
        return Recommender.open(indexes, settings=settings, encoders=FakeEncoders(), history=log.history)

    return opened


@pytest.fixture
def rec(open_with):
    return open_with()


def send(log, *products, kind="view", user="ann", **fields):
    receipt = log.record([{**view(p), "type": kind, "user_id": user, **fields} for p in products])
    assert receipt.accepted == len(products), receipt


def loved_red_now_blue(log):
    """Red striped things were bought days ago; today two blue plain ones are looked at."""
    send(log, "red-mug-striped-M", "red-lamp-striped-M", kind="purchase", at=LONG_AGO)
    send(log, "red-chair-striped-M", at=LONG_AGO)
    send(log, "blue-mug-plain-M", "blue-lamp-plain-M")


def colours(answer):
    return [item.product.id.split("-")[0] for item in answer]


# ── the new taste comes, the old one stays ───────────────────────────────────────────────────────────


def test_two_views_lead_the_list_and_the_older_taste_keeps_its_places(rec, log):
    loved_red_now_blue(log)
    answer = rec.recommend(user_id="ann", k=10, weights=LOOK)
    assert [item.product.title.split()[:2] for item in answer[:3]] == [["blue", "plain"]] * 3
    # Two red striped articles are left that were not had before: they are at the places of the interests.
    assert [place for place, item in enumerate(answer, 1) if "red striped" in item.product.title] == [5, 10]
    assert answer[4].boost > 0 < answer[9].boost and not any(item.boost for item in answer[:4])


def test_the_share_of_the_settings_decides_how_many(open_with, log):
    loved_red_now_blue(log)
    found = []
    for share in (0.0, 0.1, 0.2, 0.4):
        answer = open_with(long_term_share=share).recommend(user_id="ann", k=10, weights=LOOK)
        found.append([place for place, item in enumerate(answer, 1) if "red striped" in item.product.title])
    assert found == [[], [10], [5, 10], [3, 5]]


def test_keys_fall_and_parts_sum_to_scores(rec, log):
    loved_red_now_blue(log)
    answer = rec.recommend(user_id="ann", k=40)
    keys = [item.score + item.boost for item in answer]
    assert all(key >= following - 1e-6 for key, following in pairwise(keys))
    assert len({item.product.id for item in answer}) == len(answer)
    for item in answer:
        assert sum(item.parts.values()) == pytest.approx(item.score, abs=1e-5)


def test_pages_fit_together(rec, log):
    loved_red_now_blue(log)
    whole = [item.product.id for item in rec.recommend(user_id="ann", k=25)]
    pages = [
        item.product.id for start in (0, 7, 14) for item in rec.recommend(user_id="ann", k=7, offset=start)
    ]
    assert pages == whole[:21]


def test_explanations_give_the_numbers_of_the_list(rec, log):
    loved_red_now_blue(log)
    query = Query(user_id="ann", k=10)
    answer = rec.answer(query)
    for item in (answer[0], answer[4]):
        told = rec.explain(query, item.product.id)
        assert told.item == item
        for name, weight in told.weights.items():
            assert told.to_dict()["item"]["parts"][name] == pytest.approx(item.parts[name])
            assert 0 <= weight <= 1
    beyond = rec.answer(replace(query, k=30))[25]
    assert rec.explain(query, beyond.product.id).item.score == pytest.approx(beyond.score, abs=1e-6)


def test_scores_are_those_of_the_visit_blended_with_the_best_interest(rec, log):
    loved_red_now_blue(log)
    answer = rec.recommend(user_id="ann", k=40, weights=LOOK)
    rows = {product.id: row for product, row in zip(PRODUCTS, np.asarray(ROWS, np.float32), strict=True)}
    weights = np.concatenate([np.full(a.dim, answer.weights[a.name], np.float32) for a in rec.layout.aspects])
    now = (rows["blue-mug-plain-M"] + rows["blue-lamp-plain-M"]) / 2  # alike in what is weighed
    old = rows["red-mug-striped-M"]
    for item in answer:
        found = rows[item.product.id] * weights
        expected = 0.8 * float(now @ found) + 0.2 * float(old @ found)
        assert item.score == pytest.approx(expected, abs=2e-3)


def test_reasons_name_what_was_bought_before(rec, log):
    loved_red_now_blue(log)
    answer = rec.recommend(user_id="ann", k=10, weights=LOOK)
    said = [item.reasons[0] for item in answer]
    assert said[0].startswith("because you viewed blue") and not said[0].endswith("before")
    assert said[4].startswith("because you bought red striped ") and said[4].endswith(" before")


def test_filters_groups_rules_of_a_query_and_what_was_bought_hold_for_older_interests(rec, log):
    loved_red_now_blue(log)
    options = {"user_id": "ann", "weights": LOOK, "k": 40}
    assert not {"mug", "lamp"} & {
        item.product.id.split("-")[1] for item in rec.recommend(filters=["category=shoe|bag"], **options)
    }
    groups = [item.product.group_id for item in rec.recommend(**options)]
    assert len(set(groups)) == len(groups)
    bought = {"red-mug-striped-S", "red-mug-striped-M", "red-lamp-striped-S", "red-lamp-striped-M"}
    assert not bought & {item.product.id for item in rec.recommend(**{**options, "max_per_group": 0})}
    high = rec.recommend(min_score=0.5, **options)
    assert len(high) and all(item.score >= 0.5 for item in high)
    first = rec.recommend(**{**options, "k": 5})[4].product.id
    assert first not in {item.product.id for item in rec.recommend(exclude=[first], **options)}


# ── who has no older interests ───────────────────────────────────────────────────────────────────────


def test_one_visit_is_all_there_is(rec, log, open_with):
    send(log, "red-mug-striped-M", "blue-mug-plain-M", user="bob")
    with_older, without = rec.recommend(user_id="bob"), open_with(long_term_share=0).recommend(user_id="bob")
    assert [item.to_dict() for item in with_older] == [item.to_dict() for item in without]


def test_a_session_without_a_user_has_the_present_only(rec, log):
    fields = {"user_id": None, "session_id": "cookie"}
    log.record(
        [{**view("red-mug-striped-M"), **fields, "at": LONG_AGO}, {**view("blue-mug-plain-M"), **fields}]
    )
    assert all(item.boost == 0 for item in rec.recommend(session_id="cookie", k=10))


def test_given_views_after_a_pause_are_the_visit(rec, log):
    send(log, "red-mug-striped-M", "red-lamp-striped-M", "red-chair-striped-M", at=LONG_AGO)
    answer = rec.recommend(
        user_id="ann", recent=["blue-mug-plain-M", "blue-lamp-plain-M"], k=10, weights=LOOK
    )
    assert colours(answer)[:3] == ["blue"] * 3 and "red" in colours(answer)


def test_many_queries_at_once_agree_with_one(rec, log):
    loved_red_now_blue(log)
    send(log, "blue-mug-plain-M", user="bob")
    queries = [Query(user_id="ann", k=9), Query(user_id="bob", k=9), Query(product_id="red-mug-plain-M", k=9)]
    for one, query in zip(rec.answer_many(queries), queries, strict=True):
        assert [item.to_dict() for item in one] == [item.to_dict() for item in rec.answer(query)]


# ── the steps ────────────────────────────────────────────────────────────────────────────────────────


def act(minutes, session=None):
    at = datetime(2026, 3, 1, 12, tzinfo=UTC) + timedelta(minutes=minutes)
    return Event(f"e{minutes}", "view", "p", at, at, session_id=session)


def test_a_visit_ends_with_a_pause_or_with_its_session():
    acts = [act(0), act(10), act(45), act(60), act(89)]
    assert parted(acts) == (tuple(acts[:2]), tuple(acts[2:]))
    tabs = [act(0, "a"), act(1, "b"), act(2), act(3, "b")]
    before, visit = parted(tabs)
    assert [a.event_id for a in before] == ["e0"] and [a.event_id for a in visit] == ["e1", "e2", "e3"]
    assert parted(()) == ((), ())
    late = acts[-1].at + VISIT_GAP
    assert parted(acts, late)[1] and not parted(acts, late + timedelta(seconds=1))[1]


def test_reserved_places_are_spread_and_never_more_than_the_share():
    for share in (0.0, 0.1, 0.2, 0.3, 0.5):
        places = [is_reserved(place, share) for place in range(1, 101)]
        assert not places[0] and sum(places) == round(100 * share)
        assert all(sum(places[:n]) <= n * share + 1e-9 for n in range(101))


def test_merged_lists_have_each_row_once_and_serve_interests_by_their_share():
    groups = dict.fromkeys(range(100), -1)
    own, older = list(range(20)), [[50, 3, 51, 52, 53], [60, 61, 62]]
    laid = merged(own, older, [0.75, 0.25], 0.5, 12, groups, 1, {})
    rows = [row for row, _ in laid]
    assert rows == [0, 50, 1, 3, 2, 51, 4, 60, 5, 52, 6, 53] and len(set(rows)) == len(rows)
    for count in range(12):
        assert merged(own, older, [0.75, 0.25], 0.5, count, groups, 1, {}) == laid[:count]
    assert [row for row, _ in merged([0, 1], [[7]], [1.0], 0.5, 9, groups, 1, {})] == [0, 7, 1]


def test_merged_lists_hold_the_limit_of_variants():
    groups = {0: 5, 1: 6, 2: 7, 50: 5, 51: 8}
    laid = merged([0, 1, 2], [[50, 51]], [1.0], 0.5, 9, groups, 1, {7: 1})
    assert [row for row, _ in laid] == [0, 51, 1]
    assert len(merged([0, 1, 2], [[50, 51]], [1.0], 0.5, 9, groups, 0, {})) == 5
