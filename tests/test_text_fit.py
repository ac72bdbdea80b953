"""The fitted part of the text encoder: centring, projection, gain, probe, and its file."""

from __future__ import annotations

import json

import numpy as np
import pytest

from vision_rec.encoders.text_fit import (
    SPREAD,
    BlockFit,
    Probe,
    TextFit,
    fit_block,
    fit_probe,
    load_fit,
    neighbour_overlap,
    random_cosines,
)
from vision_rec.errors import IntegrityError
from vision_rec.fusion import unit


def shop(seed, centre, count=600, width=24):
    rng = np.random.default_rng(seed)
    strengths = np.linspace(1.0, 0.05, width)
    return (centre + rng.normal(size=(count, width)) * strengths).astype(np.float32)


@pytest.fixture(scope="module")
def shops():
    rng = np.random.default_rng(9)
    return [shop(1, rng.normal(size=24)), shop(2, rng.normal(size=24))]


def test_random_pairs_of_one_shop_score_about_zero(shops):
    far = [float(random_cosines(fit_block(shops, 16, 1.0).apply(given)).mean()) for given in shops]
    near = [float(random_cosines(fit_block(shops, 16, 0.3).apply(given)).mean()) for given in shops]
    one = fit_block(shops[:1], 16, 1.0)
    assert abs(float(random_cosines(one.apply(shops[0])).mean())) < 0.01
    assert min(far) > 0.2 and max(near) < 0.1


def test_the_projection_keeps_neighbours_of_texts_it_never_saw(shops):
    block = fit_block(shops, 20, 0.5)
    whole = fit_block(shops, 24, 0.5)
    fresh = shop(3, shops[0].mean(0))
    kept = neighbour_overlap(whole.apply(fresh), block.apply(fresh))
    assert kept > 0.9
    assert kept > neighbour_overlap(whole.apply(fresh), fit_block(shops, 4, 0.5).apply(fresh)) + 0.2


def test_the_gain_evens_out_spreads(shops):
    block = fit_block(shops, 8, 1.0)
    spread = np.mean([random_cosines(block.apply(given)).std() for given in shops])
    assert block.gain == pytest.approx(SPREAD / spread, rel=1e-3)


def test_no_shop_has_more_say_for_being_large(shops):
    few = fit_block([shops[0][:300], shops[1]], 8, 1.0)
    np.testing.assert_allclose(few.mean, (shops[0][:300].mean(0) + shops[1].mean(0)) / 2, atol=1e-5)


def test_rows_are_unit_and_the_fit_is_reproducible(shops):
    block, again = fit_block(shops, 8, 0.5), fit_block(shops, 8, 0.5)
    np.testing.assert_array_equal(block.projection, again.projection)
    np.testing.assert_allclose(np.linalg.norm(block.apply(shops[0]), axis=1), 1, atol=1e-5)
    assert fit_block(shops, 99, 0.5).projection.shape == (24, 24)


def test_overlap_against_plain_loops():
    rng = np.random.default_rng(0)
    full, other = unit(rng.normal(size=(60, 8))), unit(rng.normal(size=(60, 3)))
    shared = 0
    for i in range(60):
        near = []
        for rows in (full, other):
            order = sorted((j for j in range(60) if j != i), key=lambda j: -float(rows[i] @ rows[j]))
            near.append(set(order[:5]))
        shared += len(near[0] & near[1])
    assert neighbour_overlap(full, other, k=5) == pytest.approx(shared / 300)


def test_the_probe_separates_and_gives_both_classes_equal_say():
    rng = np.random.default_rng(5)
    pleased, angry = rng.normal(0.4, 0.5, (900, 6)), rng.normal(-0.4, 0.5, (90, 6))
    vectors = np.concatenate([pleased, angry]).astype(np.float32)
    labels = np.repeat([1.0, 0.0], [900, 90]).astype(np.float32)
    probe = fit_probe(vectors, labels)
    assert (probe.apply(vectors)[labels == 1] > 0.5).mean() > 0.9
    assert (probe.apply(vectors)[labels == 0] < 0.5).mean() > 0.9


def small_fit(shops, sentiment=True):
    probe = Probe(np.linspace(-1, 1, 24).astype(np.float32), 0.25) if sentiment else None
    return TextFit(fit_block(shops, 8, 0.5), fit_block(shops, 4, 0.5), probe, "ab" * 32, {"accuracy": 0.9})


@pytest.mark.parametrize("sentiment", [True, False])
def test_a_saved_fit_answers_as_before(shops, tmp_path, sentiment):
    fit = small_fit(shops, sentiment)
    fit.save(tmp_path / "a" / "fit.safetensors")
    fit.save(tmp_path / "b.safetensors")
    assert (tmp_path / "a" / "fit.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    loaded, sha256 = load_fit(tmp_path / "b.safetensors")
    assert len(sha256) == 64 and loaded.model_sha256 == fit.model_sha256 and loaded.notes == fit.notes
    np.testing.assert_allclose(loaded.text.apply(shops[0]), fit.text.apply(shops[0]), atol=3e-3)
    assert loaded.reviews.gain == fit.reviews.gain
    assert (loaded.sentiment is None) is not sentiment
    if loaded.sentiment:
        np.testing.assert_allclose(loaded.sentiment.apply(shops[0]), fit.sentiment.apply(shops[0]), atol=5e-3)


def damaged(content, how):
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    if how == "cut":
        return content[:-9]
    if how == "empty":
        return b""
    if how == "pickle":
        return b"\x80\x04cos\nsystem\n(S'touch owned'\ntR."
    about = json.loads(header["__metadata__"]["about"])
    if how == "format":
        about["format"] = 99
    elif how == "gain":
        about["gains"]["text"] = 0
    elif how == "nan":
        return content[: 8 + length] + b"\x00\x7e" * ((len(content) - 8 - length) // 2)
    header["__metadata__"]["about"] = json.dumps(about)
    fresh = json.dumps(header).encode()
    return len(fresh).to_bytes(8, "little") + fresh + content[8 + length :]


@pytest.mark.parametrize("how", ["cut", "empty", "pickle", "format", "gain", "nan"])
def test_a_damaged_fit_is_refused_with_its_path(shops, tmp_path, how):
    path = tmp_path / "fit.safetensors"
    small_fit(shops).save(path)
    path.write_bytes(damaged(path.read_bytes(), how))
    with pytest.raises(IntegrityError, match="fit.safetensors cannot be used"):
        load_fit(path)


def test_a_missing_fit_is_refused(tmp_path):
    with pytest.raises(IntegrityError):
        load_fit(tmp_path / "none")


def test_apply_is_centre_project_normalise():
    block = BlockFit(np.array([1.0, 0.0], np.float32), np.array([[2.0], [0.0]], np.float32), 1.0)
    got = block.apply(np.array([[3.0, 5.0], [0.0, 1.0], [1.0, 7.0]], np.float32))
    np.testing.assert_array_equal(got, [[1.0], [-1.0], [0.0]])
