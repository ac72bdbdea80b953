"""What products viewed gain: by their latest view, in evaluation, and in answers where asked for."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from event_calls import settings_for, view
from fake_shop import FakeEncoders, drawn_products, publish
from session_pairs import network_of

from vision_rec import Recommender
from vision_rec.errors import InputError
from vision_rec.evaluate_sessions import RowRanker, given
from vision_rec.events import EventLog
from vision_rec.fusion import Aspect, AspectLayout
from vision_rec.sessions import RecencyMean
from vision_rec.sessions.returns import returning, returns_of
from vision_rec.sessions.spec import SequenceSpec
from vision_rec.settings import Settings

PRODUCTS, ROWS = drawn_products()
GROUPS = {product.id: product.group_id for product in PRODUCTS}
VIEWED = ("blue-mug-plain-M", "red-lamp-striped-M")


class Returning(RecencyMean):
    """The recency mean, with amounts as a trained model has them."""

    returns = (-0.5, 0.9)


def added(returns, sessions):
    width = max(map(len, sessions))
    items = np.array([[*session, *[-1] * (width - len(session))] for session in sessions])
    found = returning(returns, items, np.array([len(session) for session in sessions]))
    return {(int(s), int(p)): round(float(a), 3) for s, p, a in zip(*found, strict=True)}


def test_the_latest_view_of_a_product_counts():
    assert added((0.1, 0.2, 0.3), [[7, 8, 7, 9], [5], [1, 2, 3, 4, 1]]) == {
        (0, 9): 0.1, (0, 7): 0.2, (0, 8): 0.3, (1, 5): 0.1,
        (2, 1): 0.1, (2, 4): 0.2, (2, 3): 0.3, (2, 2): 0.3,
    }  # fmt: skip


def test_nothing_learned_and_nothing_viewed_add_nothing():
    assert added((), [[1, 2]]) == {}
    assert len(returning((0.1,), np.zeros((0, 3), np.int64), np.zeros(0, np.int64))[0]) == 0
    assert returns_of(RecencyMean()) == () and returns_of(Returning()) == (-0.5, 0.9)


def test_rankers_add_it_to_what_was_viewed():
    rows = np.eye(4, dtype=np.float32)
    cases = given([["a", "b"]], ["c"], ["a", "b", "c", "d"])
    layout = AspectLayout((Aspect("behaviour", 4),))
    plain = RowRanker("mean", RecencyMean(0.5), layout, rows).score(cases)
    found = RowRanker("mean", Returning(0.5), layout, rows).score(cases)
    np.testing.assert_allclose(found - plain, [[0.9, -0.5, 0, 0]], atol=1e-6)


def test_the_form_of_a_model_keeps_it_and_older_ones_have_none():
    spec = network_of(AspectLayout((Aspect("behaviour", 6),))).spec
    fields = json.loads(json.dumps(replace(spec, returns=(0.1, -0.2)).to_fields()))
    assert SequenceSpec.from_fields(fields).returns == (0.1, -0.2)
    del fields["returns"], fields["hold"]
    assert SequenceSpec.from_fields(fields).returns == ()
    with pytest.raises(InputError, match="returns are"):
        SequenceSpec((6,), returns=(9.0,))


# ── answers ──────────────────────────────────────────────────────────────────────────────────────────


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


def opened(indexes, log, tmp_path, viewed="rank", session=None):
    settings = settings_for(tmp_path / "var")
    sessions = settings.sessions.model_copy(update={"viewed": viewed})
    return Recommender.open(
        indexes, settings=settings.model_copy(update={"sessions": sessions}), encoders=FakeEncoders(),
        history=log.history, session_encoder=session,
    )  # fmt: skip


def send(log, *products, kind="view"):
    log.record([{**view(product), "type": kind, "user_id": "ann"} for product in products])


def boosts(answer):
    return {item.product.id: round(item.boost, 3) for item in answer if item.boost}


def test_what_was_viewed_is_left_out_unless_asked_for(indexes, log, tmp_path):
    send(log, *VIEWED)
    assert Settings().sessions.viewed == "drop"
    dropped = opened(indexes, log, tmp_path, "drop", Returning()).recommend(user_id="ann", k=100)
    assert not {item.product.id for item in dropped} & set(VIEWED) and not boosts(dropped)


def test_what_was_viewed_is_ranked_as_was_learned(indexes, log, tmp_path):
    send(log, *VIEWED)
    rec = opened(indexes, log, tmp_path, session=Returning())
    for answer in (rec.recommend(user_id="ann", k=100), rec.recommend(recent=VIEWED, k=100)):
        assert boosts(answer) == {VIEWED[0]: 0.9, VIEWED[1]: -0.5}
        assert answer[0].product.id == VIEWED[0] and answer[0].reasons[0] == "you viewed it before"
        assert all("you viewed it before" not in item.reasons for item in answer[1:] if not item.boost)
        shown = {item.product.group_id for item in answer if item.product.id not in VIEWED}
        assert not shown & {GROUPS[viewed] for viewed in VIEWED}  # another size of it is no news


def test_a_page_further_on_goes_on_where_the_first_ended(indexes, log, tmp_path):
    send(log, *VIEWED)
    rec = opened(indexes, log, tmp_path, session=Returning())
    whole = [item.product.id for item in rec.recommend(user_id="ann", k=12)]
    pages = [rec.recommend(user_id="ann", k=4, offset=offset) for offset in (0, 4, 8)]
    assert [item.product.id for page in pages for item in page] == whole


def test_without_a_learned_amount_what_was_viewed_loses_a_little(indexes, log, tmp_path):
    send(log, VIEWED[0])
    answer = opened(indexes, log, tmp_path).recommend(user_id="ann", recent=[VIEWED[1]], k=100)
    assert boosts(answer)[VIEWED[0]] == boosts(answer)[VIEWED[1]] == -0.1


def test_what_was_bought_or_is_in_the_cart_stays_out(indexes, log, tmp_path):
    send(log, VIEWED[0], kind="purchase")
    rec = opened(indexes, log, tmp_path, session=Returning())
    answer = rec.recommend(user_id="ann", recent=[VIEWED[1]], recent_types=["add_to_cart"], k=100)
    assert not {item.product.id for item in answer} & set(VIEWED)


def test_beside_a_product_nothing_changes(indexes, log, tmp_path):
    send(log, *VIEWED)
    answers = [
        opened(indexes, log, tmp_path, viewed, Returning()).similar("green-bag-plain-M", user_id="ann", k=50)
        for viewed in ("drop", "rank")
    ]
    first, second = ([(item.product.id, item.boost) for item in answer] for answer in answers)
    assert first == second and any(boost for _, boost in first)


def test_other_values_are_refused():
    with pytest.raises(ValueError, match="viewed"):
        Settings(sessions={"viewed": "keep"})
