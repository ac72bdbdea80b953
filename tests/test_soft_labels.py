"""Soft labels: what is likely of one class lies near, what is of none keeps its look."""

import numpy as np
import pytest

from vision_rec.encoders import palette
from vision_rec.encoders.soft_labels import SoftLabels
from vision_rec.fusion import unit

torch = pytest.importorskip("torch")

from vision_rec.training.losses import NormalisedSoftmax  # noqa: E402
from vision_rec.training.soften import Emphasis, fit_soft_labels  # noqa: E402

DIM, CLASSES = 12, 5


def pictures(count=200, seed=0, blur=0.75):
    """Raw vectors around five directions, far from their class's centre, and their classes."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(9).normal(size=(CLASSES, DIM))
    labels = rng.integers(CLASSES, size=count)
    return (centres[labels] + blur * rng.normal(size=(count, DIM))).astype(np.float32), labels, centres


def classifier(centres, mean):
    softmax = NormalisedSoftmax(len(centres), DIM)
    softmax.proxies.data = torch.from_numpy((centres - mean).astype(np.float32))
    return softmax


def fitted(length=1.5, classes=None, tasks=("kind",)):
    rows, _, centres = pictures()
    mean = rows.mean(axis=0)
    softmax = classifier(centres if classes is None else centres[:classes], mean)
    emphasis = Emphasis(12.0, {"kind": length, "other": length})
    return fit_soft_labels([rows[:150], rows[150:]], mean, dict.fromkeys(tasks, softmax), emphasis)


def precision(rows, labels):
    block = unit(rows - rows.mean(axis=0))
    scores = block @ block.T
    np.fill_diagonal(scores, -2)
    nearest = np.argsort(-scores, axis=1)[:, :10]
    return float((labels[nearest] == labels[:, None]).mean())


def test_joined_by_hand():
    labels = fitted(tasks=("other", "kind"))
    rows = pictures(3, seed=4)[0]
    for row, found in zip(rows, labels.joined(rows), strict=True):
        look = (row - labels.centre) / np.linalg.norm(row - labels.centre)
        parts = [look]
        for task in ("kind", "other"):
            logits = labels.classes[task] @ look
            posterior = np.exp(logits) / np.exp(logits).sum()
            offset = np.sqrt(posterior) - labels.usual[task]
            parts.append(offset / np.linalg.norm(offset))
        np.testing.assert_allclose(found, labels.project @ np.concatenate(parts), rtol=1e-4, atol=1e-5)


def test_products_of_one_class_come_nearer():
    rows, kinds, _ = pictures(300, seed=1)
    labels = fitted()
    assert labels.joined(rows).shape == rows.shape
    assert precision(labels.joined(rows), kinds) > precision(rows, kinds) + 0.02


def test_the_longer_the_roots_the_more_the_classes_count():
    rows, kinds, _ = pictures(300, seed=1)
    found = [precision(fitted(length).joined(rows), kinds) for length in (0.2, 0.6, 1.5)]
    assert found == sorted(found) and found[2] > found[0]


def test_two_looks_of_one_class_are_still_told_apart():
    rows, kinds, _ = pictures(60, seed=2)
    block = unit(fitted().joined(rows))
    same = np.flatnonzero(kinds == kinds[0])
    scores = block[same] @ block[same].T
    assert np.all(scores[~np.eye(len(same), dtype=bool)] < 0.9999)


def test_without_classes_there_is_nothing_to_join():
    assert fitted(classes=1) is None
    assert fitted(tasks=()) is None
    assert fitted(tasks=("unknown",)) is None


def test_tensors_bring_back_the_same():
    labels = fitted(tasks=("kind", "other"))
    tensors = labels.tensors("shape") | fitted().tensors("style")
    again = SoftLabels.of(tensors, "shape")
    rows = pictures(5)[0]
    np.testing.assert_array_equal(again.joined(rows), labels.joined(rows))
    assert SoftLabels.of(tensors, "colour") is None


def test_a_palette_without_colours_stays_without_colours():
    rng = np.random.default_rng(0)
    labels = SoftLabels(
        np.zeros(96, np.float32),
        {"colour": rng.normal(size=(3, 96)).astype(np.float32)},
        {"colour": np.full(3, 0.5, np.float32)},
        rng.normal(size=(96, 99)).astype(np.float32),
    )
    straight = palette.ColourMap.straight(np.eye(96, dtype=np.float32))
    colours = palette.ColourMap.of(
        palette.ColourMap(straight.metric, straight.into, straight.bias, straight.out, labels).tensors()
    )
    rows = np.stack([np.zeros(96), np.full(96, 1 / 96)]).astype(np.float32)
    found = palette.palette_block(rows, colours, np.ones(96, np.float32))
    assert not found[0].any()
    np.testing.assert_allclose(found[1], labels.joined(np.sqrt(rows[1:]))[0] - 1, rtol=1e-4, atol=1e-5)


def test_other_light_moves_a_palette_as_it_moves_the_pixels():
    pixels = np.random.default_rng(1).integers(90, 250, (4, 8, 8, 3), dtype=np.uint8) // 8 * 8
    shares = np.ones(pixels.shape[:3], np.float32)
    plain, dark = (palette.histogram(part, shares) for part in (pixels, (pixels * 0.5).astype(np.uint8)))
    moved = plain @ palette.relit(0.5)
    np.testing.assert_allclose(moved.sum(axis=1), 1, rtol=1e-4)
    assert np.abs(moved - dark).sum() < 0.35 * np.abs(plain - dark).sum()
