"""Every SessionEncoder: the same shapes, bounds and independence, whatever it makes of the views."""

from __future__ import annotations

import numpy as np
import pytest
from session_pairs import make_pair, network_of

from vision_rec.fusion import Aspect, AspectLayout, fuse, unit
from vision_rec.recommend.session_model import VersionModel
from vision_rec.sessions import EVENT_TYPES, RecencyMean, ViewContext
from vision_rec.sessions.model import SequenceModel

COLOUR = Aspect("colour", 4)
LAYOUT = AspectLayout((COLOUR, Aspect("behaviour", 6)))
KINDS = ("mean", "agreeing mean", "attention", "gru", "rows alone", "of a version")


@pytest.fixture(scope="module", params=KINDS)
def encoder(request, tmp_path_factory):
    if request.param == "mean":
        return RecencyMean()
    if request.param == "agreeing mean":
        return RecencyMean(layout=LAYOUT)
    folder = tmp_path_factory.mktemp("encoder") / "pair"
    form = {"gru": {"kind": "gru"}, "rows alone": {"event_types": 0}}.get(request.param, {})
    make_pair(folder, ["a", "b", "c"], [COLOUR], network=network_of(LAYOUT, **form))
    return VersionModel(folder, LAYOUT) if request.param == "of a version" else SequenceModel.load(folder)


def drawn(n=6, length=11, seed=3):
    """Return rows of unit or zero blocks, lengths and what is known of the views."""
    rng = np.random.default_rng(seed)
    blocks = {a.name: unit(rng.normal(size=(n * length, a.dim)).astype(np.float32)) for a in LAYOUT.aspects}
    blocks["behaviour"][rng.random(n * length) < 0.4] = 0.0  # products that nobody has viewed
    views = fuse(LAYOUT, blocks).reshape(n, length, LAYOUT.dim)
    types = rng.integers(1, len(EVENT_TYPES), size=(n, length))
    gaps = np.where(rng.random((n, length)) < 0.3, np.nan, rng.exponential(600, size=(n, length)))
    lengths = np.array([11, 1, 4, 0, 9, 2])[:n]
    return views, lengths, rng.uniform(0.5, 3, size=(n, length)).astype(np.float32), ViewContext(types, gaps)


def test_one_finite_row_per_session(encoder):
    views, lengths, weights, context = drawn()
    for extra in ((), (weights,), (weights, context), (None, context)):
        rows = encoder.encode(views, lengths, *extra)
        assert rows.shape == (6, LAYOUT.dim) and rows.dtype == np.float32 and np.isfinite(rows).all()
        assert not rows[3].any() and rows[[0, 1, 2, 4, 5]].any(axis=1).all()


def test_no_block_is_longer_than_one(encoder):
    for seed in range(5):
        rows = encoder.encode(*drawn(seed=seed))
        for name in LAYOUT.names:
            assert np.linalg.norm(rows[:, LAYOUT.slice(name)], axis=1).max() <= 1 + 1e-5


def test_what_fills_up_has_no_say(encoder):
    views, lengths, weights, context = drawn()
    rows = encoder.encode(views, lengths, weights, context)
    noise = np.arange(11)[None, :] >= lengths[:, None]
    views[noise] = 1e3
    weights[noise] = 99.0
    context = ViewContext(np.where(noise, 5, context.types), np.where(noise, 1.0, context.gaps))
    np.testing.assert_allclose(encoder.encode(views, lengths, weights, context), rows, atol=1e-5)


def test_sessions_have_nothing_to_do_with_each_other(encoder):
    views, lengths, weights, context = drawn()
    together = encoder.encode(views, lengths, weights, context)
    for i, length in enumerate(lengths):
        part = slice(i, i + 1)
        own = ViewContext(context.types[part, :length], context.gaps[part, :length])
        alone = encoder.encode(views[part, :length], lengths[part], weights[part, :length], own)
        np.testing.assert_allclose(alone[0], together[i], atol=1e-5)
    assert encoder.encode(views[:0], lengths[:0]).shape == (0, LAYOUT.dim)
    np.testing.assert_array_equal(encoder.encode(views, lengths, weights, context), together)


def test_later_views_change_the_answer(encoder):
    views, lengths, weights, context = drawn(1)
    shorter = encoder.encode(views, lengths - 1, weights, context)
    assert np.abs(shorter - encoder.encode(views, lengths, weights, context)).max() > 1e-4
