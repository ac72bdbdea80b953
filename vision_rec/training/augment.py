"""Augmentation of whole batches on the network's device: geometry, background, light and hue."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

# YIQ turns hue into an angle: rotating the last two channels changes the hue and keeps the brightness.
_TO_YIQ = torch.tensor([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])


@dataclass(frozen=True)
class Batch:
    """Pictures (n, 3, H, W) in 0–255, what is known of their pixels, and the same under strange light."""

    picture: Tensor  # what the palette sees: true colours
    jittered: Tensor  # what the trunk sees: colours it must not rely on
    background: Tensor  # (n, H, W) share that surely is background
    product: Tensor  # (n, H, W) share that surely is product


def augment(
    pixels: Tensor,
    background: Tensor,
    product: Tensor,
    side: int,
    rng: torch.Generator,
    photos: Tensor | None = None,
) -> Batch:
    """Augment uint8 pictures (n, H, W, 3) with masks (n, H, W) to `side` pixels.

    `photos` (n,) is true where a picture is a customer's photo; their corners serve the others as background.
    """
    picture = pixels.permute(0, 3, 1, 2).float()
    scenes = picture[photos] if photos is not None else picture[:0]
    masks = torch.stack([background, product], 1).float()
    picture, masks = _replace_background(picture, masks, scenes, rng)
    stacked = _warp(torch.cat([picture, masks], 1), side, rng)
    picture, masks = stacked[:, :3], stacked[:, 3:]
    return Batch(picture.clamp(0, 255), _relight(picture, rng), masks[:, 0], masks[:, 1])


def _uniform(n: int, low: float, high: float, rng: torch.Generator) -> Tensor:
    return torch.rand(n, generator=rng) * (high - low) + low


def _chance(n: int, share: float, rng: torch.Generator) -> Tensor:
    return torch.rand(n, generator=rng) < share


def _replace_background(
    picture: Tensor, masks: Tensor, scenes: Tensor, rng: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Put four products in ten before a plain tint, another picture, blurred, or a corner of a photo."""
    n, _, height, width = picture.shape
    chosen = _chance(n, 0.4, rng) & (masks[:, 0].mean((1, 2)) > 0.1)
    if not bool(chosen.any()):
        return picture, masks
    kind = torch.rand(n, generator=rng).view(n, 1, 1, 1)
    tint = _uniform(n * 3, 40, 255, rng).view(n, 3, 1, 1).expand(n, 3, height, width)
    other = _shrunk(picture.roll(1, 0), 8)
    scene = torch.where(kind < 0.3, tint, other)
    if len(scenes):
        scene = torch.where(kind < 0.5, scene, _corners(scenes, n, (height, width), rng))
    edge = F.avg_pool2d(masks[:, :1], 3, 1, 1) * chosen.view(n, 1, 1, 1)
    return picture * (1 - edge) + scene * edge, masks


def _shrunk(picture: Tensor, step: int) -> Tensor:
    """Return pictures (n, 3, H, W) as coarse as if every `step`-th pixel had been kept: blurred, cheaply."""
    kept = picture[:, :, step // 2 :: step, step // 2 :: step]
    return F.interpolate(kept, size=picture.shape[-2:], mode="bilinear", align_corners=False)


def _corners(scenes: Tensor, n: int, size: tuple[int, int], rng: torch.Generator) -> Tensor:
    """Return n scenes of `size`, each a corner of one of the photos (m, 3, H, W), enlarged."""
    chosen = scenes[torch.randint(len(scenes), (n,), generator=rng)]
    shift = torch.where(torch.rand(n, 2, generator=rng) < 0.5, -0.65, 0.65)
    scale = _uniform(n, 0.2, 0.35, rng)
    angle = _uniform(n, -math.pi, math.pi, rng)
    cos, sin = torch.cos(angle) * scale, torch.sin(angle) * scale
    matrix = torch.stack(
        [torch.stack([cos, -sin, shift[:, 0]], 1), torch.stack([sin, cos, shift[:, 1]], 1)], 1
    )
    grid = F.affine_grid(matrix, [n, 3, *size], align_corners=False)
    return F.grid_sample(chosen, grid, mode="bilinear", padding_mode="reflection", align_corners=False)


def _warp(stack: Tensor, side: int, rng: torch.Generator) -> Tensor:
    """Flip, rotate, scale, stretch and shift; what lies outside repeats the border."""
    n = len(stack)
    angle = _uniform(n, -15, 15, rng) * (math.pi / 180) * _chance(n, 0.6, rng)
    scale = torch.where(_chance(n, 0.2, rng), _uniform(n, 0.35, 0.7, rng), _uniform(n, 0.75, 1.15, rng))
    stretch = _uniform(n, 0.9, 1.1, rng)
    flip = torch.where(_chance(n, 0.5, rng), -1.0, 1.0)
    room = (1 - scale).clamp(min=0.0) * 0.5 + 0.05
    shift = (torch.rand(n, 2, generator=rng) * 2 - 1) * room[:, None]
    cos, sin = torch.cos(angle) * scale, torch.sin(angle) * scale
    matrix = torch.stack(
        [
            torch.stack([cos * flip * stretch, -sin, shift[:, 0]], 1),
            torch.stack([sin * flip * stretch, cos, shift[:, 1]], 1),
        ],
        1,
    )
    grid = F.affine_grid(matrix, [n, stack.shape[1], side, side], align_corners=False)
    return F.grid_sample(stack, grid, mode="bilinear", padding_mode="border", align_corners=False)


def _relight(picture: Tensor, rng: torch.Generator) -> Tensor:
    """Rotate hue, change saturation, brightness and contrast, blur and pixelate some, add noise."""
    n = len(picture)
    strong = _chance(n, 0.8, rng)
    hue = _uniform(n, -math.pi, math.pi, rng) * strong
    saturation = torch.where(_chance(n, 0.2, rng), torch.zeros(n), _uniform(n, 0.6, 1.4, rng))
    saturation = torch.where(strong, saturation, torch.ones(n))
    rotation = torch.zeros(n, 3, 3)
    rotation[:, 0, 0] = 1
    rotation[:, 1, 1] = rotation[:, 2, 2] = torch.cos(hue) * saturation
    rotation[:, 1, 2] = -torch.sin(hue) * saturation
    rotation[:, 2, 1] = torch.sin(hue) * saturation
    mix = torch.linalg.inv(_TO_YIQ) @ rotation @ _TO_YIQ
    out = torch.einsum("nij,njhw->nihw", mix, picture)
    contrast, level = _uniform(n, 0.7, 1.3, rng), _uniform(n, 0.6, 1.25, rng)
    out = ((out - 128) * contrast.view(n, 1, 1, 1) + 128) * level.view(n, 1, 1, 1)
    coarse = torch.nonzero(_chance(n, 0.2, rng))[:, 0]
    out[coarse] = _shrunk(out[coarse], 2)
    out = out + torch.randn(out.shape, generator=rng) * 4.0
    return out.clamp(0, 255)
