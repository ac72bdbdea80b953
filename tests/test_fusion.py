"""The idea itself: laws of rows, weights, parts, blends and edits, against plain loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from vision_rec.errors import InputError
from vision_rec.fusion import (
    Aspect,
    AspectLayout,
    blend,
    edit,
    explain,
    fuse,
    mix,
    present,
    resolve_weights,
    scale,
    split,
    unit,
    unit_blocks,
)

LAYOUT = AspectLayout(
    (
        Aspect("colour", 4, gain=0.8),
        Aspect("shape", 6, gain=1.5),
        Aspect("text", 5, gain=2.0, default_weight=0.5),
    )
)
seeds = st.integers(0, 2**32 - 1)
weights_of = st.fixed_dictionaries({name: st.floats(0, 1e6) for name in LAYOUT.names})
quick = settings(deadline=None, max_examples=60)


def random_rows(seed, count, lacking=0.3):
    rng = np.random.default_rng(seed)
    blocks = {}
    for aspect in LAYOUT.aspects:
        block = unit(rng.normal(size=(count, aspect.dim)).astype(np.float32))
        block[rng.random(count) < lacking] = 0
        blocks[aspect.name] = block
    return fuse(LAYOUT, blocks)


def ranked(scores):
    return np.argsort(-scores, kind="stable")


@given(seeds, weights_of)
@quick
def test_parts_sum_to_the_score(seed, weights):
    assume(sum(weights.values()) > 1e-3)
    rows, query = random_rows(seed, 20), random_rows(seed + 1, 1, lacking=0)[0]
    scaled = scale(LAYOUT, query[None], resolve_weights(LAYOUT, weights, LAYOUT.names))[0]
    parts = explain(LAYOUT, scaled, rows)
    np.testing.assert_allclose(sum(parts.values()), rows @ scaled, atol=1e-5)
    assert np.abs(rows @ scaled).max() <= 1 + 1e-5


@given(seeds, weights_of, st.floats(1e-3, 1e3))
@quick
def test_multiplying_all_weights_changes_nothing(seed, weights, factor):
    assume(sum(weights.values()) > 1e-3)
    once = resolve_weights(LAYOUT, weights, LAYOUT.names)
    twice = resolve_weights(LAYOUT, {name: w * factor for name, w in weights.items()}, LAYOUT.names)
    assert twice == pytest.approx(once, rel=1e-9)
    doubled = resolve_weights(LAYOUT, {name: w * 2 for name, w in weights.items()}, LAYOUT.names)
    assert doubled == once
    assert math.fsum(once.values()) == pytest.approx(1.0)


@given(seeds, weights_of)
@quick
def test_a_zero_block_gains_nothing_and_costs_nothing(seed, weights):
    assume(sum(weights.values()) > 1e-3)
    query = random_rows(seed, 1, lacking=0)[0]
    scaled = scale(LAYOUT, query[None], resolve_weights(LAYOUT, weights, LAYOUT.names))[0]
    row = random_rows(seed + 1, 1, lacking=0)[0]
    for name in LAYOUT.names:
        without = edit(LAYOUT, row, {name: np.zeros(LAYOUT.slice(name).stop - LAYOUT.slice(name).start)})
        parts = {key: value[0] for key, value in explain(LAYOUT, scaled, without[None]).items()}
        assert parts[name] == 0.0
        whole = explain(LAYOUT, scaled, row[None])
        assert all(parts[other] == whole[other][0] for other in LAYOUT.names if other != name)


@given(seeds)
@quick
def test_the_score_is_the_weighted_sum_of_cosines(seed):
    rows, query = random_rows(seed, 5), random_rows(seed + 1, 1)[0]
    available = present(LAYOUT, query)
    assume(available)
    weights = resolve_weights(LAYOUT, None, available)
    scores = rows @ scale(LAYOUT, query[None], weights)[0]
    for row, score in zip(rows, scores, strict=True):
        total = 0.0
        for name in LAYOUT.names:
            a, b = query[LAYOUT.slice(name)], row[LAYOUT.slice(name)]
            norms = math.sqrt(sum(float(x) ** 2 for x in a) * sum(float(x) ** 2 for x in b))
            total += (
                weights[name] * sum(float(x) * float(y) for x, y in zip(a, b, strict=True)) / (norms or 1)
            )
        assert score == pytest.approx(total, abs=1e-5)


def test_gains_and_defaults_are_folded_in_before_the_division():
    # 1 · 0.8, 1 · 1.5 and 0.5 · 2.0 over their sum 3.3
    assert resolve_weights(LAYOUT, None, LAYOUT.names) == pytest.approx(
        {"colour": 0.8 / 3.3, "shape": 1.5 / 3.3, "text": 1.0 / 3.3}
    )
    # Without text the others share what there is.
    assert resolve_weights(LAYOUT, None, ("colour", "shape")) == pytest.approx(
        {"colour": 0.8 / 2.3, "shape": 1.5 / 2.3, "text": 0.0}
    )


def test_named_weights_leave_the_others_out():
    assert resolve_weights(LAYOUT, {"shape": 7}, LAYOUT.names) == {"colour": 0, "shape": 1, "text": 0}


@pytest.mark.parametrize("weight", [-1, math.nan, math.inf, -math.inf, "1", None])
def test_a_weight_is_a_finite_number_from_zero(weight):
    with pytest.raises(InputError, match="weight of 'shape'"):
        resolve_weights(LAYOUT, {"shape": weight}, LAYOUT.names)


def test_unknown_aspects_and_empty_weights_are_told():
    with pytest.raises(InputError, match="weights name 'color'; this index has colour, shape, text"):
        resolve_weights(LAYOUT, {"color": 1}, LAYOUT.names)
    for weights, available in (
        ({"text": 1}, ("colour",)),
        ({"text": 0}, LAYOUT.names),
        (None, ()),
        ({}, ("text",)),
    ):
        with pytest.raises(InputError, match="no aspect is left to compare"):
            resolve_weights(LAYOUT, weights, available)


def test_only_the_ratios_of_weights_count_however_large_or_small():
    expected = resolve_weights(LAYOUT, {"shape": 1.0, "text": 1.0}, LAYOUT.names)
    for size in (1.7e308, 5e-324):
        found = resolve_weights(LAYOUT, {"shape": size, "text": size}, LAYOUT.names)
        assert found == pytest.approx(expected) and sum(found.values()) == pytest.approx(1)
    with pytest.raises(InputError, match="finite"):
        resolve_weights(LAYOUT, {"shape": 10**400}, LAYOUT.names)


@given(seeds)
@quick
def test_fuse_and_split_are_inverse(seed):
    rows = random_rows(seed, 3)
    np.testing.assert_array_equal(fuse(LAYOUT, split(LAYOUT, rows)), rows)
    assert fuse(LAYOUT, {}, count=2).shape == (2, LAYOUT.dim)
    assert not fuse(LAYOUT, {}, count=2).any()


def test_blocks_of_unknown_names_are_refused():
    with pytest.raises(InputError, match="blocks name"):
        fuse(LAYOUT, {"color": np.zeros((1, 4), np.float32)})


@given(seeds)
@quick
def test_an_edit_changes_one_block_only(seed):
    row, other = random_rows(seed, 2)
    part = LAYOUT.slice("colour")
    edited = edit(LAYOUT, row, {"colour": other[part]})
    np.testing.assert_array_equal(edited[part], other[part])
    np.testing.assert_array_equal(edited[part.stop :], row[part.stop :])


@given(seeds, st.floats(0.1, 0.9))
@quick
def test_a_blend_has_unit_blocks_and_leaves_absent_ones_to_the_other(seed, share):
    a, b = random_rows(seed, 2, lacking=0.4)
    mixed = blend(LAYOUT, [a, b], [share, 1 - share])
    for name in LAYOUT.names:
        part = LAYOUT.slice(name)
        norm = np.linalg.norm(mixed[part])
        assert norm == pytest.approx(1.0 if a[part].any() or b[part].any() else 0.0, abs=1e-5)
        if not a[part].any():
            np.testing.assert_allclose(mixed[part], b[part], atol=1e-6)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_a_mix_points_where_the_blend_does_and_is_as_sure_as_its_sources(share):
    a, b = random_rows(11, 2, lacking=0.4)
    sure = np.random.default_rng(4).uniform(0.2, 1.0, size=len(LAYOUT.names))
    for name, norm in zip(LAYOUT.names, sure, strict=True):
        b[LAYOUT.slice(name)] *= norm
    mixed = mix(LAYOUT, a, b, share)
    blended = blend(LAYOUT, [a, b], [1 - share, share])
    for name, norm in zip(LAYOUT.names, sure, strict=True):
        part = LAYOUT.slice(name)
        has = a[part].any(), b[part].any()
        whole = (1 - share) + share * norm if all(has) else norm if has[1] else float(has[0])
        np.testing.assert_allclose(mixed[part], whole * blended[part], atol=1e-6)


def test_blends_that_cancel_out_are_zero_and_negative_shares_push_away():
    row = random_rows(1, 1, lacking=0)[0]
    assert not blend(LAYOUT, [row, row], [1.0, -1.0]).any()
    assert not blend(LAYOUT, [], []).any()
    np.testing.assert_allclose(blend(LAYOUT, [row], [-0.5]), -row, atol=1e-6)


def test_units_of_zero_stay_zero_and_nothing_becomes_nan():
    out = unit(np.array([[3.0, 4.0], [0.0, 0.0], [1e-30, 0.0]], np.float32))
    np.testing.assert_allclose(out, [[0.6, 0.8], [0, 0], [0, 0]], atol=1e-7)
    np.testing.assert_array_equal(unit_blocks(LAYOUT, np.zeros(LAYOUT.dim, np.float32)), np.zeros(LAYOUT.dim))
    assert out.flags.c_contiguous


def test_present_names_the_blocks_that_are_there():
    row = np.zeros(LAYOUT.dim, np.float32)
    assert present(LAYOUT, row) == ()
    row[LAYOUT.slice("text").stop - 1] = 1
    assert present(LAYOUT, row) == ("text",)


def test_a_layout_knows_its_slices_and_refuses_nonsense():
    assert (LAYOUT.dim, LAYOUT.names, LAYOUT.slice("shape")) == (
        15,
        ("colour", "shape", "text"),
        slice(4, 10),
    )
    assert LAYOUT.default_weights == {"colour": 1.0, "shape": 1.0, "text": 0.5}
    with pytest.raises(InputError, match="unknown aspect 'color'; this index has colour"):
        LAYOUT.slice("color")
    for aspects in (
        (Aspect("a", 1), Aspect("a", 2)),
        (Aspect("a", 0),),
        (Aspect("a", 1, gain=0.0),),
        (Aspect("a", 1, gain=math.nan),),
    ):
        with pytest.raises(InputError):
            AspectLayout(aspects)


@given(seeds)
@quick
def test_rows_are_never_scaled(seed):
    rows = random_rows(seed, 4)
    before = rows.copy()
    scaled = scale(LAYOUT, rows, {"colour": 0.25, "shape": 0.75})
    np.testing.assert_array_equal(rows, before)
    np.testing.assert_allclose(scaled[:, LAYOUT.slice("shape")], rows[:, LAYOUT.slice("shape")] * 0.75)
    assert not scaled[:, LAYOUT.slice("text")].any()  # not named weighs 0
    assert scaled.dtype == np.float32
