"""The recency mean: against plain loops."""

from __future__ import annotations

import numpy as np
import pytest

from vision_rec.errors import InputError
from vision_rec.fusion import Aspect, AspectLayout
from vision_rec.sessions import RecencyMean, SessionEncoder


def test_it_is_the_weighted_mean_of_the_real_views():
    rng = np.random.default_rng(1)
    views, lengths = rng.normal(size=(5, 6, 4)).astype(np.float32), np.array([6, 1, 3, 0, 5])
    rows = RecencyMean(decay=0.7).encode(views, lengths)
    for session, length in enumerate(lengths):
        total, shares = np.zeros(4), 0.0
        for position in range(length):
            share = 0.7 ** (length - 1 - position)
            total, shares = total + share * views[session, position], shares + share
        np.testing.assert_allclose(rows[session], total / (shares or 1), atol=1e-6)
    assert rows.dtype == np.float32


def test_padding_has_no_say():
    views = np.ones((1, 3, 2), np.float32)
    views[0, 2] = 1e6
    np.testing.assert_allclose(RecencyMean().encode(views, np.array([2])), [[1, 1]])


def test_the_last_view_weighs_most_and_decay_one_is_the_mean():
    views = np.eye(2, dtype=np.float32)[None]
    first, last = RecencyMean().encode(views, np.array([2]))[0]
    assert last > first
    np.testing.assert_allclose(RecencyMean(1.0).encode(views, np.array([2])), [[0.5, 0.5]])


@pytest.mark.parametrize("decay", [0, -1, 1.1, float("nan")])
def test_decay_is_a_share(decay):
    with pytest.raises(InputError, match="decay"):
        RecencyMean(decay)


def test_it_is_a_session_encoder():
    encoder: SessionEncoder = RecencyMean()
    assert encoder.encode(np.zeros((0, 3, 2), np.float32), np.zeros(0, np.int64)).shape == (0, 2)


# ── agreement ────────────────────────────────────────────────────────────────────────────────────────

LAYOUT = AspectLayout((Aspect("colour", 4), Aspect("shape", 4)))


def norms(row):
    return [float(np.linalg.norm(row[LAYOUT.slice(name)])) for name in LAYOUT.names]


def agreed(*views, **options):
    rows = np.stack(
        [np.concatenate([np.eye(4)[c] if c >= 0 else np.zeros(4), np.eye(4)[s]]) for c, s in views]
    )
    return RecencyMean(layout=LAYOUT, **options).encode(
        rows[None].astype(np.float32), np.array([len(views)])
    )[0]


def test_aspects_in_which_views_agree_lead():
    assert norms(agreed((0, 0), (0, 1), (0, 2), decay=1.0)) == pytest.approx([1, 0.05], abs=1e-6)
    mean = RecencyMean(1.0).encode(np.eye(8, dtype=np.float32)[[0, 0, 0]][None], np.array([3]))[0]
    assert np.linalg.norm(mean) == pytest.approx(1)


def test_agreement_is_the_mean_cosine_of_two_different_views():
    # Of three pairs one is alike in shape; all are alike in colour.
    assert norms(agreed((0, 0), (0, 0), (0, 2), decay=1.0)) == pytest.approx([1, 1 / 3], abs=1e-6)


def test_one_view_and_views_without_anything_in_common_are_as_they_are():
    assert norms(agreed((0, 1))) == pytest.approx([1, 1])
    assert norms(agreed((0, 1), (1, 2), decay=1.0)) == pytest.approx([0.5**0.5] * 2)


def test_views_without_an_aspect_make_it_shorter_and_nothing_else():
    row = agreed((0, 0), (-1, 0), decay=1.0)
    assert norms(row) == pytest.approx([0.5, 1])
    assert not RecencyMean(layout=LAYOUT).encode(np.zeros((1, 0, 8), np.float32), np.array([0])).any()


def test_the_last_two_views_outweigh_all_before():
    views = np.repeat(np.eye(2, dtype=np.float32), [40, 2], axis=0)
    before, now = RecencyMean().encode(views[None], np.array([42]))[0]
    assert now > before > 0.4
