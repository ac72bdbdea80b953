"""Recommendations from stored events: taste, reasons, what is left out, and strangers."""

from __future__ import annotations

import numpy as np
import pytest
from event_calls import settings_for, view
from fake_shop import LAYOUT, FakeEncoders, drawn_products, publish, row_of

from vision_rec import Recommender
from vision_rec.errors import InputError, NotFoundError, UnavailableError
from vision_rec.events import EventLog
from vision_rec.sessions import RecencyMean
from vision_rec.types import Product

PRODUCTS, ROWS = drawn_products()
BARE = Product("bare", "nothing known")  # no aspect at all
GROUPS = {product.id: product.group_id for product in PRODUCTS}
LOOK = {"colour": 1, "shape": 1, "style": 1}


@pytest.fixture(scope="module")
def indexes(tmp_path_factory):
    root = tmp_path_factory.mktemp("shop") / "indexes"
    publish(root, [*PRODUCTS, BARE], np.stack([*ROWS, row_of()]))
    return root


@pytest.fixture
def log(tmp_path):
    made = EventLog(settings_for(tmp_path / "var"))
    yield made
    made.close()


@pytest.fixture
def rec(indexes, log, tmp_path):
    settings = settings_for(tmp_path / "var")
    return Recommender.open(indexes, settings=settings, encoders=FakeEncoders(), history=log.history)


def send(log, *products, kind="view", user="ann", **fields):
    receipt = log.record([{**view(p), "type": kind, "user_id": user, **fields} for p in products])
    assert receipt.accepted == len(products), receipt


def ids(answer):
    return [item.product.id for item in answer]


def factor(answer, position):
    return [item.product.id.split("-")[position] for item in answer]


# ── taste ────────────────────────────────────────────────────────────────────────────────────────────


def test_views_of_one_taste_bring_that_taste(rec, log):
    send(log, "blue-mug-plain-M", "blue-lamp-plain-M", "blue-chair-plain-M")
    answer = rec.recommend(user_id="ann", k=6, weights={"colour": 1})
    assert set(factor(answer, 0)) == {"blue"} and not answer.degraded
    stranger = rec.recommend(session_id="ann", k=1)  # a session of that name is somebody else
    assert stranger[0].reasons == ("popular: 1 visitor lately",)


def test_an_event_changes_the_next_answer(rec, log):
    send(log, "blue-mug-plain-M")
    before = rec.recommend(user_id="ann", k=3, weights={"colour": 1})
    send(log, "red-mug-striped-M", "red-lamp-striped-M")
    after = rec.recommend(user_id="ann", k=3, weights={"colour": 1})
    assert set(factor(before, 0)) == {"blue"} and set(factor(after, 0)) == {"red"}


def test_stored_views_say_what_recent_views_say(rec, log):
    views = ["blue-mug-plain-M", "red-lamp-plain-M", "green-bag-striped-M"]
    send(log, *views)
    stored, given = rec.recommend(user_id="ann", k=9), rec.recommend(recent=views, k=9)
    scores = {item.product.id: item.score for item in stored}
    new = [item for item in given if item.product.group_id not in {GROUPS[view] for view in views}]
    assert len(new) > 3 and [item.product.id for item in new] == ids(stored)[: len(new)]
    assert [scores[item.product.id] for item in new] == pytest.approx([item.score for item in new], abs=1e-6)


def test_events_before_the_given_views_are_older(rec, log):
    send(log, "blue-mug-plain-M", "red-lamp-plain-M")
    both = rec.recommend(user_id="ann", recent=["blue-mug-plain-M", "green-bag-striped-M"], k=5)
    row = RecencyMean(layout=LAYOUT).encode(
        np.stack([ROWS[[p.id for p in PRODUCTS].index(i)] for i in
                  ("red-lamp-plain-M", "blue-mug-plain-M", "green-bag-striped-M")])[None],
        np.array([3]),
    )[0]  # fmt: skip
    expected = row  # views that disagree are less sure: their block is shorter
    best = both[0]
    stored = ROWS[[p.id for p in PRODUCTS].index(best.product.id)]
    for name in LAYOUT.names:
        part = float(expected[LAYOUT.slice(name)] @ stored[LAYOUT.slice(name)]) * both.weights[name]
        assert best.parts[name] == pytest.approx(part, abs=2e-3)


def test_a_purchase_says_more_than_a_view(rec, log):
    send(log, "blue-mug-plain-M", kind="purchase", user="buyer")
    send(log, "red-lamp-plain-M", user="buyer")
    send(log, "blue-mug-plain-M", user="looker")
    send(log, "red-lamp-plain-M", user="looker")
    assert factor(rec.recommend(user_id="buyer", k=1, weights={"colour": 1}), 0) == ["blue"]
    assert factor(rec.recommend(user_id="looker", k=1, weights={"colour": 1}), 0) == ["red"]


def test_a_bad_rating_is_no_taste_and_a_good_one_is(rec, log):
    send(log, "blue-mug-plain-M", kind="rating", value=1)
    assert rec.recommend(user_id="ann").items == () or "popular" in rec.recommend(user_id="ann")[0].reasons[0]
    send(log, "red-mug-plain-M", kind="rating", value=5)
    answer = rec.recommend(user_id="ann", k=5, weights={"colour": 1})
    assert set(factor(answer, 0)) == {"red"}
    assert answer[0].reasons[0].startswith("because you rated ")


def test_impressions_and_products_unknown_here_say_nothing(rec, log):
    send(log, "blue-mug-plain-M", kind="impression")
    send(log, "of-another-shop", "bare")
    assert not ids(rec.recommend(user_id="ann", filters={"category": ["nowhere"]}))
    send(log, "red-mug-plain-M")
    assert set(factor(rec.recommend(user_id="ann", k=3, weights={"colour": 1}), 0)) == {"red"}


# ── what is left out ─────────────────────────────────────────────────────────────────────────────────


def test_what_was_viewed_bought_or_is_in_the_cart_is_not_recommended_again(rec, log):
    send(log, "blue-mug-plain-M", "blue-lamp-plain-M")
    send(log, "blue-chair-plain-M", kind="add_to_cart")
    send(log, "blue-bag-plain-M", kind="purchase")
    gone = {"blue-mug-plain-M", "blue-lamp-plain-M", "blue-chair-plain-M", "blue-bag-plain-M"}
    assert not gone & set(ids(rec.recommend(user_id="ann", k=200, max_per_group=0)))


def test_beside_another_source_the_viewed_is_damped_and_the_bought_is_gone(rec, log):
    send(log, "blue-mug-striped-M", user="looker")
    send(log, "blue-mug-striped-M", kind="purchase", user="buyer")
    options = {"k": 200, "weights": LOOK, "max_per_group": 0}
    looked, bought, plain = (
        {item.product.id: item for item in rec.similar("blue-mug-plain-M", user_id=user, **options)}
        for user in ("looker", "buyer", None)
    )
    variants = {ident for ident, group in GROUPS.items() if group == GROUPS["blue-mug-striped-M"]}
    assert len(variants) > 1 and variants <= set(plain) and not variants & set(bought)
    for ident, item in looked.items():
        assert item.boost == pytest.approx(-0.1 if ident in variants else 0.0)
        assert sum(item.parts.values()) == pytest.approx(item.score, abs=1e-5)
    viewed_alone = rec.recommend(user_id="looker", k=200, max_per_group=0)
    assert not variants & set(ids(viewed_alone)) and all(item.boost == 0.0 for item in viewed_alone)


def test_session_share_decides_between_product_and_visitor(rec, log):
    send(log, "red-lamp-plain-M", "red-chair-plain-M")

    def first(share):
        options = {"weights": {"colour": 1}, "user_id": "ann", "session_share": share}
        return factor(rec.similar("blue-mug-plain-M", k=1, **options), 0)

    assert (first(0.0), first(1.0)) == (["blue"], ["red"])
    assert first(None) == first(0.3) == ["blue"]


# ── reasons ──────────────────────────────────────────────────────────────────────────────────────────


def test_the_reason_is_the_view_without_which_it_would_score_least(rec, log):
    send(log, "blue-mug-plain-M", "red-lamp-striped-M")
    answer = rec.recommend(user_id="ann", k=200, weights=LOOK)
    titles = {p.id: p.title for p in PRODUCTS}
    views = ("blue-mug-plain-M", "red-lamp-striped-M")
    rows = {p.id: row for p, row in zip(PRODUCTS, ROWS, strict=True)}
    encoder = RecencyMean(layout=LAYOUT)

    def score(kept, item):
        row = encoder.encode(np.stack([rows[i] for i in kept])[None], np.array([len(kept)]))[0]
        return sum(
            answer.weights[name] * float(row[LAYOUT.slice(name)] @ rows[item][LAYOUT.slice(name)])
            for name in LAYOUT.names
        )

    seen = set()
    for item in answer:
        ident = item.product.id
        if ident not in rows:
            continue
        drops = {view: score(views, ident) - score([v for v in views if v != view], ident) for view in views}
        most = max(drops, key=drops.get)
        if drops[most] > 1e-3 and abs(drops[views[0]] - drops[views[1]]) > 1e-3:
            assert item.reasons[0] == f"because you viewed {titles[most]}"
            seen.add(most)
    assert seen == set(views)


def test_one_view_is_the_reason_of_all_and_words_fit_what_was_done(rec, log):
    words = {"purchase": "bought", "add_to_cart": "put", "click": "viewed", "view": "viewed"}
    for kind, said in words.items():
        send(log, "blue-mug-plain-M", kind=kind, user=kind)
        reasons = [item.reasons[0] for item in rec.recommend(user_id=kind, k=3)]
        assert all(reason.startswith(f"because you {said} ") for reason in reasons), reasons


# ── strangers ────────────────────────────────────────────────────────────────────────────────────────


def test_nothing_known_and_no_events_is_an_empty_answer_with_a_reason(rec):
    answer = rec.recommend(user_id="nobody")
    assert len(answer) == 0 and answer.empty_reason.startswith("nothing is known of this visitor")
    assert answer.degraded == ()


def test_a_stranger_gets_what_is_popular_and_filters_hold(rec, log):
    for i in range(4):
        send(log, "red-mug-plain-M", user=f"u{i}")
    for i in range(2):
        send(log, "blue-lamp-plain-M", "unknown-product", user=f"u{i}")
    answer = rec.recommend(session_id="stranger", facets=["category"])
    assert ids(answer) == ["red-mug-plain-M", "blue-lamp-plain-M"] and not answer.degraded
    assert [item.reasons[0] for item in answer] == [f"popular: {n} visitors lately" for n in (4, 2)]
    assert [(item.score, item.boost) for item in answer] == [(0.0, 1.0), (0.0, 0.5)]
    assert all(sum(item.parts.values()) == 0.0 and not item.missing for item in answer)
    assert ids(rec.recommend(session_id="stranger", filters=["category=lamp"])) == ["blue-lamp-plain-M"]
    assert ids(rec.recommend(session_id="stranger", exclude=["red-mug-plain-M"])) == ["blue-lamp-plain-M"]
    assert ids(rec.recommend(session_id="stranger", offset=1)) == ["blue-lamp-plain-M"]
    none = rec.recommend(session_id="stranger", filters=["category=shoe"])
    assert none.empty_reason == "nothing is known of this visitor, and no popular product passes"
    with pytest.raises(InputError, match="weights name 'nope'"):
        rec.recommend(session_id="stranger", weights={"nope": 1})
    with pytest.raises(InputError, match="unknown preset"):
        rec.recommend(session_id="stranger", preset="nope")


def test_a_stranger_beside_another_source_changes_nothing(rec):
    alone, beside = rec.similar("red-mug-plain-M", k=9), rec.similar("red-mug-plain-M", k=9, user_id="nobody")
    assert ids(alone) == ids(beside) and alone.weights == beside.weights


def test_views_given_that_are_all_unknown(rec):
    with pytest.raises(NotFoundError, match="none of the 1 recent products"):
        rec.recommend(recent=["nope"])
    assert rec.recommend(recent=["nope"], user_id="nobody").empty_reason


def test_while_the_store_is_down_answers_go_on_without_history(rec, log, monkeypatch):
    send(log, "red-mug-plain-M")
    assert ids(rec.recommend(user_id="stranger")) == ["red-mug-plain-M"]

    def down(*args, **options):
        raise UnavailableError("down")

    monkeypatch.setattr(log.vault.store, "recent", down)
    known = rec.similar("blue-mug-plain-M", k=5, user_id="ann")
    assert known.degraded == ("history",) and ids(known) == ids(rec.similar("blue-mug-plain-M", k=5))
    assert rec.recommend(user_id="ann").degraded == ("history",)
    assert ids(rec.recommend(user_id="ann")) == ["red-mug-plain-M"]  # what was popular before
    log.history.forget()
    assert "cannot be reached" in rec.recommend(user_id="ann").empty_reason


def test_many_queries_at_once_know_their_visitors(rec, log):
    from vision_rec.types import Query

    send(log, "blue-mug-plain-M", user="ann")
    send(log, "red-mug-plain-M", user="bob")
    queries = [Query(user_id=user, k=3, weights={"colour": 1}) for user in ("ann", "bob", "zoe")]
    ann, bob, zoe = rec.answer_many(queries)
    assert set(factor(ann, 0)) == {"blue"} and set(factor(bob, 0)) == {"red"}
    assert "popular" in zoe[0].reasons[0]


def test_an_erased_user_is_a_stranger(rec, log):
    send(log, "blue-mug-plain-M")
    assert log.erase("ann") == 1
    assert rec.recommend(user_id="ann").empty_reason.startswith("nothing is known")
