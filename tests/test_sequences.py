"""Events as sequences: order, what counts, what is held out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from vision_rec.errors import InputError
from vision_rec.sessions import EVENT_TYPES
from vision_rec.sessions.sequences import HeldOut, Sequences, from_events, from_lists
from vision_rec.types import Event

START = datetime(2026, 3, 1, tzinfo=UTC)


def event(
    product: str,
    minute: float = 0.0,
    *,
    user: str | None = "u",
    session: str | None = None,
    type: str = "view",
    value: float | None = None,
) -> Event:
    at = START + timedelta(minutes=minute)
    return Event(f"{product}{minute}", type, product, at, at, user, session, value)


def ids(sequences: Sequences) -> list[str]:
    """Return each visitor's products as one word."""
    return [
        "".join(sequences.products[item] for item in sequences.items[sequences.of(number)])
        for number in range(len(sequences))
    ]


def held(out: HeldOut) -> list[tuple[str, str]]:
    return [(word[:known], word[known:]) for word, known in zip(ids(out.sequences), out.known, strict=True)]


def test_acts_follow_the_time_of_receipt_then_the_order_they_came() -> None:
    events = [event("c", 3), event("a", 1), event("x", 1), event("b", 2)]
    assert ids(from_events(events)) == ["axbc"]


def test_what_says_nothing_good_is_left_out() -> None:
    events = [
        event("a", 0),
        event("b", 1, type="impression"),
        event("c", 2, type="rating", value=2.0),
        event("d", 3, type="rating", value=4.0),
    ]
    found = from_events(events)
    assert ids(found) == ["ad"]
    assert [EVENT_TYPES[kind] for kind in found.types] == ["view", "rating"]


def test_acts_on_one_product_in_a_row_are_one_as_far_as_it_went() -> None:
    kinds = ["view", "add_to_cart", "purchase", "view"]
    events = [event("a", minute, type=kind) for minute, kind in enumerate(kinds)]
    found = from_events([*events, event("b", 5), event("a", 6)])
    assert ids(found) == ["aba"]
    assert EVENT_TYPES[found.types[0]] == "purchase"
    assert found.at[0] == (START + timedelta(minutes=3)).timestamp()


def test_visitors_without_enough_acts_are_left_out() -> None:
    events = [event("a", 0, user="one"), event("a", 1, user="two"), event("b", 2, user="two")]
    assert ids(from_events(events)) == ["ab"]
    assert from_events(events).visitors == ("two",)
    assert ids(from_events(events, at_least=1)) == ["a", "ab"]


def test_a_visit_goes_by_user_or_by_session() -> None:
    events = [
        event("a", 0, user="u", session="s"),
        event("b", 1, user="u", session="t"),
        event("c", 2, user="u", session="t"),
        event("d", 3, user=None, session="s"),
        event("e", 4, user=None, session=None),
    ]
    assert ids(from_events(events)) == ["abc"]
    assert ids(from_events(events, by="session")) == ["ad", "bc"]
    # A user and a session of one name are two visitors.
    same = [event("a", 0, user="x"), event("b", 1, user=None, session="x"), event("c", 2, user="x")]
    assert ids(from_events(same, at_least=1)) == ["ac", "b"]


def test_an_unknown_way_to_tell_visitors_apart_is_refused() -> None:
    with pytest.raises(InputError, match="allowed are user and session"):
        from_events([], by="shop")  # type: ignore[arg-type]


def test_nothing_gives_no_sequences() -> None:
    for nothing in (from_events([]), from_lists([]), from_lists([[]])):
        assert len(nothing) == 0
        assert nothing.products == ()
        train, validation = nothing.split_by_time(0.5)
        assert len(train) == len(validation) == 0
        assert len(nothing.counts()) == 0


def test_selecting_keeps_the_numbers_of_products() -> None:
    whole = from_lists(["ab", "c", "bd"])
    assert ids(whole.select([2, 0])) == ["bd", "ab"]
    assert ids(whole.select(whole.lengths > 1)) == ["ab", "bd"]
    assert whole.select([1]).products == ("a", "b", "c", "d")


def test_counts_are_visitors() -> None:
    assert from_lists(["aab", "ac"]).counts().tolist() == [2, 1, 1]


def test_leave_one_out_holds_the_last_two_acts() -> None:
    train, validation, test = from_lists(["abcd", "ab", "xyz"]).leave_one_out()
    assert ids(train) == ["ab", "ab", "x"]
    assert held(validation) == [("ab", "c"), ("x", "y")]
    assert held(test) == [("abc", "d"), ("xy", "z")]


def test_by_time_the_later_acts_are_predicted_from_those_before() -> None:
    lists, times = ["abcd", "xy", "pq", "kl"], [[1, 2, 8, 9], [1, 3], [8, 9], [3, 9]]
    train, validation = from_lists(lists, at=times).split_by_time(0.5)
    assert ids(train) == ["ab", "xy", "k"]
    assert held(validation) == [("ab", "cd"), ("p", "q"), ("k", "l")]
    assert len(validation) == 4


def test_no_act_is_trained_on_that_is_not_before_every_act_predicted() -> None:
    rng = np.random.default_rng(0)
    lists = [[str(item) for item in rng.integers(0, 30, rng.integers(1, 9))] for _ in range(60)]
    times = [np.sort(rng.random(len(items)) * 100).tolist() for items in lists]
    train, validation = from_lists(lists, at=times).split_by_time(0.2)
    predicted = validation.sequences.at[validation.targets]
    # The first act of a new visitor is known only because something must be; it is not trained on.
    assert train.at.max() < predicted.min()
    assert 0.1 < len(validation) / sum(map(len, lists)) < 0.25


def test_without_times_the_last_sequences_are_held_out() -> None:
    train, validation = from_lists(["ab", "cd", "ef", "g"]).split_by_time(0.5)
    assert ids(train) == ["ab", "cd"]
    assert held(validation) == [("e", "f")]


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1])
def test_a_share_that_holds_out_nothing_or_all_is_refused(share: float) -> None:
    with pytest.raises(InputError, match="above 0 and below 1"):
        from_lists(["ab"]).split_by_time(share)


def test_a_sample_of_what_is_held_out_is_of_whole_visitors() -> None:
    whole = HeldOut.after_first(from_lists(["abc"] * 50))
    some = whole.sample(20, seed=1)
    assert len(some) == 20
    assert some.sample(1000) is some
    assert [known for known, _ in held(some)] == ["a"] * 10


def test_gaps_are_those_of_one_visitor() -> None:
    gaps = from_lists(["ab", "", "cde"], at=[[0, 2], [], [9, 9, 14]], at_least=0).gaps
    assert np.array_equal(gaps, [np.nan, 2, np.nan, 0, 5], equal_nan=True)


def test_lists_and_times_must_agree() -> None:
    with pytest.raises(InputError, match="one time for every product"):
        from_lists(["ab"], at=[[1.0]])
