"""Losses of the image network; each is a plain function or a small module over (n, d) embeddings."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vision_rec.encoders.palette import ColourMap


class NormalisedSoftmax(nn.Module):
    """Cross-entropy over cosines with one learned proxy per class (Zhai & Wu, 2018, arXiv 1811.12649).

    Targets are rows of a class membership matrix (n, classes): any member counts as right, and a row
    without members is left out. The loss is 0 where no row has one.
    """

    def __init__(self, classes: int, dim: int, scale: float = 16.0, smoothing: float = 0.05) -> None:
        super().__init__()
        self.proxies = nn.Parameter(torch.randn(classes, dim) * dim**-0.5)
        self.scale, self.smoothing = scale, smoothing

    def logits(self, embeddings: Tensor) -> Tensor:
        """Return scaled cosines (n, classes)."""
        return self.scale * F.normalize(embeddings, dim=1) @ F.normalize(self.proxies, dim=1).T

    def forward(self, embeddings: Tensor, members: Tensor) -> Tensor:
        """Return the mean loss of embeddings (n, dim) with memberships (n, classes)."""
        known = members.any(1)
        if not bool(known.any()):
            return embeddings.sum() * 0.0
        log_share = F.log_softmax(self.logits(embeddings[known].float()), dim=1)
        right = log_share.masked_fill(~members[known], float("-inf")).logsumexp(1)
        return -((1 - self.smoothing) * right + self.smoothing * log_share.mean(1)).mean()


class _Reverse(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, strength: float) -> Tensor:
        ctx.strength = strength
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return -ctx.strength * gradients[0], None


def reverse_gradient(x: Tensor, strength: float) -> Tensor:
    """Pass `x` on and turn its gradient round (Ganin & Lempitsky, 2015, arXiv 1409.7495)."""
    out: Tensor = _Reverse.apply(x, strength)
    return out


def mask_loss(logits: Tensor, background: Tensor, product: Tensor) -> Tensor:
    """Binary cross-entropy of mask logits (n, h, w) where a pixel is surely background or surely product.

    `background` and `product` are shares 0–1 (n, h, w); pixels that are neither carry no loss.
    """
    loss = background * F.softplus(logits) + product * F.softplus(-logits)
    return loss.sum() / (background.sum() + product.sum() + 1.0)


def distillation_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """One minus the cosine between predicted and given teacher features (n, d); zero rows are left out."""
    known = teacher.abs().sum(1) > 0
    if not bool(known.any()):
        return student.sum() * 0.0
    return (1 - F.cosine_similarity(student[known].float(), teacher[known].float(), dim=1)).mean()


class Palette(nn.Module):
    """Differentiable palettes: mask-weighted soft histograms over the anchors, then the learned metric."""

    def __init__(self, table: Tensor) -> None:
        super().__init__()
        self.register_buffer("table", table, persistent=False)
        anchors = table.shape[1]
        self.metric = nn.Parameter(torch.eye(anchors))
        # The bend is fitted when the rest is trained (see refine.py); here it stays as it is given.
        for name, shape in (("into", (0, anchors)), ("bias", (0,)), ("out", (anchors, 0))):
            self.register_buffer(name, torch.zeros(shape), persistent=False)
        self.centre = nn.BatchNorm1d(anchors, affine=False, momentum=0.02)

    def forward(self, cells: Tensor, mask_logits: Tensor) -> Tensor:
        """Return raw colour vectors (n, 96) from table cells (n, p) and mask logits (n, p)."""
        table: Tensor = self.get_buffer("table")
        share = torch.sigmoid(mask_logits.float()) + 1e-4
        share = share / share.sum(1, keepdim=True)
        palette = torch.einsum("np,npa->na", share, table[cells])
        roots = torch.sqrt(palette + 1e-6)
        bent = torch.relu(roots @ self.get_buffer("into").T + self.get_buffer("bias"))
        raw = roots @ self.metric.T + bent @ self.get_buffer("out").T
        # Centred by the batch while training, but never scaled: the metric decides what counts.
        if self.training:
            self.centre(raw.detach())
            return raw - raw.mean(0, keepdim=True)
        running = self.centre.running_mean
        return raw if running is None else raw - running

    def colour_map(self) -> ColourMap:
        """Return the map as arrays."""
        names = ("metric", "into", "bias", "out")
        return ColourMap(*(getattr(self, name).detach().cpu().float().numpy().copy() for name in names))

    def smoothness(self) -> Tensor:
        """Return how far the metric is from the identity: it may bend, not memorise."""
        return ((self.metric - torch.eye(len(self.metric), device=self.metric.device)) ** 2).mean()
