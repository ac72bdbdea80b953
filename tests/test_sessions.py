"""The recency mean: against plain loops."""

from __future__ import annotations

import numpy as np
import pytest

from vision_rec.errors import InputError
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
