import math

import numpy as np
import pytest
import torch

from vision_rec.encoders import palette
from vision_rec.training.losses import (
    NormalisedSoftmax,
    Palette,
    distillation_loss,
    mask_loss,
    reverse_gradient,
)


def test_normalised_softmax_equals_the_plain_loop():
    torch.manual_seed(0)
    loss = NormalisedSoftmax(4, 3, scale=7.0, smoothing=0.1)
    embeddings = torch.randn(5, 3)
    members = torch.tensor([[1, 0, 0, 0], [0, 1, 1, 0], [0, 0, 0, 0], [0, 0, 0, 1], [1, 0, 0, 0]]).bool()
    total, count = 0.0, 0
    for row in range(5):
        if not members[row].any():
            continue
        logits = []
        for proxy in loss.proxies.detach():
            cosine = float(embeddings[row] @ proxy) / float(embeddings[row].norm() * proxy.norm())
            logits.append(7.0 * cosine)
        normaliser = math.log(sum(math.exp(value) for value in logits))
        right = math.log(sum(math.exp(logits[c] - normaliser) for c in range(4) if members[row, c]))
        smooth = sum(value - normaliser for value in logits) / 4
        total -= 0.9 * right + 0.1 * smooth
        count += 1
    assert float(loss(embeddings, members).detach()) == pytest.approx(total / count, rel=1e-5)


def test_normalised_softmax_without_labels_is_zero_and_differentiable():
    loss = NormalisedSoftmax(4, 3)
    embeddings = torch.randn(2, 3, requires_grad=True)
    value = loss(embeddings, torch.zeros(2, 4, dtype=torch.bool))
    value.backward()
    assert float(value.detach()) == 0.0
    assert embeddings.grad is not None and not embeddings.grad.any()


def test_reverse_gradient_turns_the_gradient_round():
    x = torch.tensor([2.0, 3.0], requires_grad=True)
    (reverse_gradient(x, 0.5) ** 2).sum().backward()
    torch.testing.assert_close(x.grad, torch.tensor([-2.0, -3.0]))


def test_mask_loss_is_weighted_cross_entropy_of_known_pixels():
    logits = torch.tensor([[[0.3, -1.0], [2.0, 5.0]]])
    background = torch.tensor([[[1.0, 0.0], [0.5, 0.0]]])
    product = torch.tensor([[[0.0, 1.0], [0.0, 0.0]]])
    expected = (math.log1p(math.exp(0.3)) + math.log1p(math.exp(1.0)) + 0.5 * math.log1p(math.exp(2.0))) / 3.5
    assert float(mask_loss(logits, background, product)) == pytest.approx(expected, rel=1e-5)


def test_distillation_leaves_out_pictures_without_teacher():
    student = torch.tensor([[1.0, 0.0], [5.0, 1.0]])
    teacher = torch.tensor([[0.0, 2.0], [0.0, 0.0]])
    assert float(distillation_loss(student, teacher)) == pytest.approx(1.0)
    assert float(distillation_loss(student, torch.zeros(2, 2))) == 0.0


def test_palette_module_agrees_with_the_numpy_palette():
    rng = np.random.default_rng(1)
    pixels = rng.integers(0, 256, (2, 6, 6, 3), dtype=np.uint8)
    logits = rng.normal(size=(2, 6, 6)).astype(np.float32)
    module = Palette(torch.from_numpy(palette.table())).eval()
    colours = palette.ColourMap(
        np.eye(96, dtype=np.float32),
        *(rng.normal(size=shape).astype(np.float32) * 0.1 for shape in ((7, 96), (7,), (96, 7))),
    )
    for name in ("into", "bias", "out"):
        setattr(module, name, torch.from_numpy(getattr(colours, name)))
    cells = torch.from_numpy(palette.codes(pixels)).flatten(1)
    found = module(cells, torch.from_numpy(logits).flatten(1)).detach().numpy()
    shares = (1 / (1 + np.exp(-logits)) + 1e-4).astype(np.float32)
    mean = np.zeros(palette.ANCHORS, np.float32)
    expected = palette.palette_block(palette.histogram(pixels, shares), colours, mean)
    np.testing.assert_allclose(found, expected, atol=2e-3)
