"""The image network: one trunk, a product mask for the palette, heads for shape and style."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vision_rec.encoders.backbones import CompactTrunk, compact, conv

SHAPE_DIM = 128
STYLE_DIM = 64


class Views(NamedTuple):
    """What the network says of n pictures; shape and style are raw, not centred, not unit."""

    mask: Tensor  # (n, h, w) logits: which pixels are the product
    shape: Tensor  # (n, 128)
    style: Tensor  # (n, 64)
    pooled: Tensor  # (n, width of the deep map) for auxiliary losses


class MaskHead(nn.Module):
    """Product-or-not logits at the fine map's resolution, seen with the deep map's context."""

    def __init__(self, fine: int, middle: int, deep: int, width: int = 32) -> None:
        super().__init__()
        self.from_deep = nn.Conv2d(deep, width, 1)
        self.from_middle = nn.Conv2d(middle, width, 1)
        self.from_fine = nn.Conv2d(fine, width, 1)
        self.join = conv(width, width)
        self.logit = nn.Conv2d(width, 1, 1)

    def forward(self, fine: Tensor, middle: Tensor, deep: Tensor) -> Tensor:
        """Return logits (n, h, w) at the resolution of `fine`."""
        size = fine.shape[-2:]
        joined = (
            self.from_fine(fine)
            + F.interpolate(self.from_middle(middle), size=size, mode="bilinear", align_corners=False)
            + F.interpolate(self.from_deep(deep), size=size, mode="bilinear", align_corners=False)
        )
        logits: Tensor = self.logit(self.join(torch.relu(joined)))
        return logits[:, 0]


class ImageNetwork(nn.Module):
    """Map normalised pictures (n, 3, H, W) to `Views`."""

    def __init__(self, trunk: CompactTrunk | None = None) -> None:
        super().__init__()
        self.trunk = trunk or compact()
        fine, middle, deep = self.trunk.widths
        self.mask = MaskHead(fine, middle, deep)
        self.shape = nn.Sequential(
            nn.Linear(3 * deep, 256), nn.BatchNorm1d(256), nn.ReLU(inplace=True), nn.Linear(256, SHAPE_DIM)
        )
        self.style = nn.Sequential(
            nn.Linear(2 * (fine + middle + deep), 256),
            nn.BatchNorm1d(256),
            nn.ReLU(inplace=True),
            nn.Linear(256, STYLE_DIM),
        )

    def forward(self, x: Tensor) -> Views:
        """Return the views of n pictures."""
        fine, middle, deep = self.trunk(x)
        mask = self.mask(fine, middle, deep)
        # Gradients of shape and style must not bend the mask towards what helps them.
        weight = torch.sigmoid(mask.detach())[:, None]
        average = deep.mean((2, 3))
        shape = torch.cat([average, deep.amax((2, 3)), _masked_mean(deep, weight)], 1)
        # Texture statistics at three scales, inside the product only (mean and spread of responses).
        style = torch.cat(
            [part for scale in (fine, middle, deep) for part in _masked_moments(scale, weight)], 1
        )
        return Views(mask, self.shape(shape), self.style(style), average)


def _resized(weight: Tensor, like: Tensor) -> Tensor:
    if weight.shape[-2:] == like.shape[-2:]:
        return weight
    return F.interpolate(weight, size=like.shape[-2:], mode="bilinear", align_corners=False)


def _masked_mean(features: Tensor, weight: Tensor) -> Tensor:
    share = _resized(weight, features).to(features.dtype) + 1e-3
    return (features * share).sum((2, 3)) / share.sum((2, 3))


def _masked_moments(features: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    mean = _masked_mean(features, weight)
    spread = _masked_mean((features - mean[:, :, None, None]) ** 2, weight)
    return mean, torch.sqrt(spread + 1e-4)


class InferenceNetwork(nn.Module):
    """What is exported: uint8 pictures (n, H, W, 3) in; product shares (n, m, m), raw shape and style out."""

    def __init__(self, network: ImageNetwork, mask_side: int) -> None:
        super().__init__()
        self.network, self.mask_side = network, mask_side

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return product shares, shape and style."""
        views = self.network(normalise_pixels(pixels))
        size = (self.mask_side, self.mask_side)
        mask = F.interpolate(views.mask[:, None], size=size, mode="bilinear", align_corners=False)[:, 0]
        return torch.sigmoid(mask), views.shape, views.style


def normalise_pixels(pixels: Tensor) -> Tensor:
    """Turn uint8 pictures (n, H, W, 3) into floats (n, 3, H, W) around 0."""
    return (pixels.permute(0, 3, 1, 2).float() - 128.0) / 64.0
