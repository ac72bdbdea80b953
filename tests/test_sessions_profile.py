"""Interest vectors: one taste gives one, two give two; decay, agreement by aspect, and what is left out."""

from __future__ import annotations

import numpy as np
import pytest
from fake_shop import COLOURS, LAYOUT, SHAPES, row_of

from vision_rec.errors import InputError
from vision_rec.fusion import resolve_weights
from vision_rec.sessions.profile import MAX_INTERESTS, MAX_MEMBERS, decayed, interests

WEIGHTS = resolve_weights(LAYOUT, {"colour": 1, "shape": 1, "style": 1}, LAYOUT.names)


def grouped(rows, says=None, weights=WEIGHTS):
    rows = np.stack(rows)
    says = np.ones(len(rows), np.float32) if says is None else np.asarray(says, np.float32)
    return interests(LAYOUT, rows, says, weights)


def norm(row, name):
    return float(np.linalg.norm(row[LAYOUT.slice(name)]))


def test_one_taste_in_different_articles_is_one_interest():
    found = grouped([row_of("red", shape, "striped") for shape in SHAPES])
    assert len(found) == 1 and found[0].share == 1.0 and set(found[0].members) == set(range(5))
    row = found[0].row
    assert norm(row, "colour") == pytest.approx(1) and norm(row, "style") == pytest.approx(1)
    assert norm(row, "shape") == pytest.approx(1 / np.sqrt(5), abs=1e-6)  # five articles have none in common


def test_two_tastes_are_two_interests_and_not_their_mean():
    red = [row_of("red", shape, "striped") for shape in SHAPES]
    blue = [row_of("blue", shape, "plain") for shape in SHAPES[:3]]
    found = grouped([*blue, *red])
    assert [round(interest.share, 3) for interest in found] == [0.625, 0.375]  # the stronger first
    assert [set(interest.members) for interest in found] == [set(range(3, 8)), set(range(3))]
    for interest in found:
        assert norm(interest.row, "colour") == pytest.approx(1)


def test_says_decide_shares_and_rows():
    red, blue = row_of("red", "mug", "plain"), row_of("blue", "lamp", "striped")
    found = grouped([red, blue], says=[1, 3])
    assert [interest.share for interest in found] == pytest.approx([0.75, 0.25])
    np.testing.assert_allclose(found[0].row, blue, atol=1e-6)
    mixed = grouped([red, row_of("red", "lamp", "plain")], says=[3, 1])[0]
    assert norm(mixed.row, "shape") == pytest.approx(np.hypot(0.75, 0.25), abs=1e-6)


def test_weights_decide_what_is_alike():
    rows = [row_of("red", "mug", "plain"), row_of("red", "lamp", "striped"), row_of("blue", "mug", "plain")]
    by_colour = grouped(rows, weights=resolve_weights(LAYOUT, {"colour": 1}, LAYOUT.names))
    by_shape = grouped(rows, weights=resolve_weights(LAYOUT, {"shape": 1}, LAYOUT.names))
    assert sorted(sorted(one.members) for one in by_colour) == [[0, 1], [2]]
    assert sorted(sorted(one.members) for one in by_shape) == [[0, 2], [1]]


def test_no_more_interests_than_allowed_and_chance_is_left_out():
    many = [row_of(colour, shape) for colour, shape in zip(COLOURS * 2, SHAPES, strict=False)]
    found = grouped([*many, row_of(style="plain")])
    assert len(found) <= MAX_INTERESTS and sum(one.share for one in found) == pytest.approx(1)
    red = [row_of("red", "mug", "striped")] * 12
    assert len(grouped([*red, row_of("blue", "lamp", "plain")])) == 1  # one view of thirteen


def test_nothing_known_is_no_interest():
    assert grouped([row_of()]) == () == grouped([row_of("red")], says=[0])
    assert interests(LAYOUT, np.zeros((0, LAYOUT.dim), np.float32), np.zeros(0, np.float32), WEIGHTS) == ()


def test_long_histories_are_cut_and_the_same_history_gives_the_same_interests():
    rng = np.random.default_rng(5)
    rows = [
        row_of(COLOURS[i], SHAPES[j])
        for i, j in zip(rng.integers(4, size=300), rng.integers(5, size=300), strict=True)
    ]
    says = rng.random(300).astype(np.float32)
    once, again = grouped(rows, says), grouped(rows, says)
    assert sum(len(one.members) for one in once) <= MAX_MEMBERS
    for one, other in zip(once, again, strict=True):
        assert one.members == other.members and one.share == other.share
        np.testing.assert_array_equal(one.row, other.row)


def test_what_was_said_halves_with_the_half_life():
    day = 86_400
    found = decayed([1, 1, 3, 1], [0, 30 * day, 60 * day, -day], 30)
    np.testing.assert_allclose(found, [1, 0.5, 0.75, 1])  # a clock that runs ahead says no more than now
    with pytest.raises(InputError, match="half_life_days"):
        decayed([1], [0], 0)
