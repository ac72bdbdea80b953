"""The parts of benchmarks/aspects.py that are arithmetic: changes of pictures, the baseline, siblings."""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np
import pytest

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"


@pytest.fixture
def load(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module


def _picture(rgb, side=32):
    picture = np.full((side, side, 3), 255, np.uint8)
    picture[side // 4 : -side // 4, side // 4 : -side // 4] = rgb
    return picture


def test_turned_hues_leave_white_and_grey_alone(load):
    pictures = load("aspects_pictures")
    red = _picture((180, 60, 60))
    for turn in (pictures.hue_hsv, pictures.hue_yiq):
        turned = turn(red)
        assert (turned[0, 0] == 255).all() and turned.shape == red.shape and turned.dtype == np.uint8
        assert turned[16, 16].argmax() != 0  # red no more
        thrice = turn(turn(turned)).astype(int)
        assert np.abs(thrice - red).max() <= 10
        assert (np.ptp(turn(_picture((90, 90, 90)))[16, 16].astype(int))) <= 1
    luma = np.array([0.299, 0.587, 0.114])
    assert pictures.hue_yiq(red)[16, 16] @ luma == pytest.approx(red[16, 16] @ luma, abs=1.0)
    assert tuple(pictures.hue_hsv(_picture((200, 0, 0)))[16, 16]) == pytest.approx((0, 200, 0), abs=4)


def test_changes_keep_what_they_say(load):
    pictures = load("aspects_pictures")
    ramp = np.repeat(np.arange(100, dtype=np.uint8)[None, :, None], 100, axis=0).repeat(3, axis=2)
    cut = pictures.mirrored_crop(ramp)
    assert cut.shape == (80, 80, 3) and cut[0, 0, 0] == 89 and cut[0, -1, 0] == 10
    assert pictures.small(np.zeros((224, 112, 3), np.uint8)).shape == (64, 32, 3)
    assert (pictures.darken(ramp) == (ramp / 2).round()).all()
    assert pictures.rotate(_picture((10, 10, 10)))[0, 0].tolist() == [255, 255, 255]
    for change in pictures.ROBUSTNESS.values():
        changed = change(_picture((200, 30, 30), 224))
        assert changed.ndim == 3 and changed.shape[2] == 3 and changed.dtype == np.uint8


def test_the_histogram_sees_the_product_and_not_the_background(load):
    peer = load("aspects_peer")
    colours = [(200, 20, 20), (20, 20, 200), (250, 250, 250)]
    rows = peer.histograms([_picture(rgb) for rgb in colours])
    swatches = np.stack([peer.swatch_histogram(rgb) for rgb in colours])
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1.0, rtol=1e-5)
    np.testing.assert_array_equal((rows @ swatches.T).argmax(axis=1), [0, 1, 2])
    assert np.diag(rows @ swatches.T).min() > 0.95
    near, far = peer.swatch_histogram((190, 40, 40)), peer.swatch_histogram((20, 160, 40))
    assert swatches[0] @ near > 0.3 > swatches[0] @ far


def test_without_its_file_the_baseline_is_left_out_with_a_word(load, tmp_path, capsys):
    peer = load("aspects_peer")
    assert peer.open_peer(None, 1) is None and peer.open_peer(tmp_path / "no.tflite", 1) is None
    said = capsys.readouterr().out.splitlines()
    assert "--teacher" in said[0] and "no.tflite" in said[1]
    assert peer.blocks_of(None, [], tmp_path / "kept.npz") is None


def test_photos_are_right_by_any_of_their_articles(load):
    parts = load("aspects_parts")
    axes = np.eye(3, dtype=np.float32)
    articles = ["jeans"] * 5 + ["trousers"] * 5 + ["caps"] * 10
    gallery = np.repeat(axes[[0, 2]], 10, axis=0)
    shares = parts.article_shares(axes[[0, 2, 2]], gallery, ["Pants", "Pants", "Hat"], articles)
    np.testing.assert_allclose(shares, [1.0, 0.0, 1.0])


def test_siblings_are_found_by_what_is_no_colour(load):
    """Six articles in two colours each, every one in a group of its own: all is found."""
    parts, pictures = load("aspects_parts"), load("aspects_pictures")
    shape = np.repeat(np.eye(6, dtype=np.float32), 2, axis=0)
    colour = np.tile(np.eye(2, dtype=np.float32), (6, 1))
    labels = {"colour": ["red", "blue"] * 6, "article": ["mug", "lamp"] * 6}
    groups = [f"g{number // 2}" for number in range(12)]
    shop = pictures.Shop([Path("x")] * 12, labels, groups)
    named = {"red": np.eye(2, dtype=np.float32)[0], "blue": np.eye(2, dtype=np.float32)[1]}
    gains = {"colour": 1.0, "shape": 1.0}
    found = parts.siblings(shop, {"colour": colour, "shape": shape}, named, gains)
    assert [value for value, _ in found.values()] == [1.0, 1.0, 1.0]
    assert [queries for _, queries in found.values()] == [12, 12, 12]
    mixed = parts.siblings(shop, {"colour": colour, "shape": np.roll(shape, 1, axis=0)}, named, gains)
    assert list(mixed.values())[1][0] == 0.0  # the neighbour's form, in the asked colour
