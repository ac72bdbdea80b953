"""Fitted last, on palettes of clean pictures: how the colour block bends towards what people name so."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vision_rec.encoders import palette
from vision_rec.encoders.colour import shop_colours
from vision_rec.training.losses import NormalisedSoftmax
from vision_rec.training.soften import COLOUR, fit_soft_labels
from vision_rec.types import Array

LIGHTS = (0.5, 0.6, 0.7, 0.8, 0.9, 1.1, 1.2)  # times the brightness of a picture


@dataclass(frozen=True)
class BendTraining:
    """The recipe of `fit_bend`."""

    steps: int = 3000
    batch: int = 512
    rate: float = 3e-3
    near: float = 2.0  # pull of the metric to where it began, and of the bend to nothing
    swatches: float = 0.2  # share of each batch that is plain swatches of named colours
    dim: float = 0.1  # share of each batch that is seen in less or more light
    balance: float = 0.25  # rarer names are drawn more often: frequency ^ −balance
    seed: int = 0


def fit_bend(
    palettes: Array, names: Sequence[str], colours: palette.ColourMap, recipe: BendTraining | None = None
) -> palette.ColourMap:
    """Return `colours` with metric and bend fitted to palettes (n, 96) of products with colour `names`.

    Products without a name, or with one that fewer than eight share, are left out. Plain swatches of the
    shop's colour names are mixed in, so that a colour asked for lies where its products lie; some palettes
    are seen in other light. The map's labels are the names fitted with it.
    """
    recipe = recipe or BendTraining()
    counts = Counter(name for name in names if name)
    known = sorted(name for name, count in counts.items() if count >= 8)
    code = {name: position for position, name in enumerate(known)}
    rows = np.array([row for row, name in enumerate(names) if name in code], dtype=np.int64)
    if len(known) < 2:
        return colours
    labels = np.array([code[names[row]] for row in rows], dtype=np.int64)
    chance = np.bincount(labels)[labels] ** -recipe.balance
    swatches, swatch_labels = _swatches(code)
    torch.manual_seed(recipe.seed)
    rng = torch.Generator().manual_seed(recipe.seed)
    bend = _Bend(colours)
    proxies = NormalisedSoftmax(len(known), palette.ANCHORS, scale=12.0, smoothing=0.1)
    optimiser = torch.optim.AdamW(
        [*bend.parameters(), *proxies.parameters()], lr=recipe.rate, weight_decay=0.0
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, recipe.steps)
    seen, known_labels = torch.from_numpy(palettes[rows]), torch.from_numpy(labels)
    weights = torch.from_numpy(chance)
    extra = round(recipe.swatches * recipe.batch) if len(swatches) else 0
    lights = [torch.from_numpy(palette.relit(light)) for light in LIGHTS]
    dim = round(recipe.dim * (recipe.batch - extra))
    for _ in range(recipe.steps):
        drawn = torch.multinomial(weights, recipe.batch - extra, replacement=True, generator=rng)
        mixed, target = seen[drawn], known_labels[drawn]
        light = lights[int(torch.randint(len(lights), (1,), generator=rng))]
        mixed = torch.cat([mixed[:dim] @ light, mixed[dim:]])
        if extra:
            which = torch.randint(len(swatches), (extra,), generator=rng)
            # A swatch stands for a product that shows a little of something else, too.
            other = torch.rand(extra, 1, generator=rng) * 0.3
            beside = seen[torch.randint(len(seen), (extra,), generator=rng)]
            mixed = torch.cat([mixed, (1 - other) * swatches[which] + other * beside])
            target = torch.cat([target, swatch_labels[which]])
        raw = bend(mixed)
        loss = proxies(raw - raw.mean(0, keepdim=True), F.one_hot(target, len(known)).bool())
        loss = loss + recipe.near * bend.distance()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    fitted = bend.colour_map()
    raw = palette.palette_block(palettes[rows], fitted, np.zeros(palette.ANCHORS, np.float32))
    return replace(fitted, labels=fit_soft_labels([raw], raw.mean(axis=0), {"colour": proxies}, COLOUR))


class _Bend(nn.Module):
    """`palette.ColourMap` as a module."""

    def __init__(self, colours: palette.ColourMap) -> None:
        super().__init__()
        self.begin = torch.from_numpy(colours.metric)
        self.metric = nn.Parameter(self.begin.clone())
        self.into = nn.Parameter(torch.randn(palette.BEND, palette.ANCHORS) * palette.ANCHORS**-0.5)
        self.bias = nn.Parameter(torch.zeros(palette.BEND))
        self.out = nn.Parameter(torch.zeros(palette.ANCHORS, palette.BEND))

    def forward(self, palettes: Tensor) -> Tensor:
        """Return raw colour vectors (n, 96) of palettes (n, 96)."""
        roots = torch.sqrt(palettes + 1e-6)
        return roots @ self.metric.T + torch.relu(roots @ self.into.T + self.bias) @ self.out.T

    def distance(self) -> Tensor:
        """Return how far the map is from where it began."""
        return ((self.metric - self.begin) ** 2).mean() + (self.out**2).mean()

    def colour_map(self) -> palette.ColourMap:
        """Return the arrays."""
        parts = (self.metric, self.into, self.bias, self.out)
        metric, into, bias, out = (part.detach().numpy().copy() for part in parts)
        return palette.ColourMap(metric, into, bias, out)


def _swatches(code: dict[str, int]) -> tuple[Tensor, Tensor]:
    """Return palettes (s, 96) and labels (s,) of the shop's colours that have a class."""
    named = {name.title(): rgb for name, rgb in shop_colours().items()}
    found = [(palette.swatch_histogram([rgb]), code[name]) for name, rgb in named.items() if name in code]
    if not found:
        return torch.zeros(0, palette.ANCHORS), torch.zeros(0, dtype=torch.int64)
    return (
        torch.from_numpy(np.concatenate([swatch for swatch, _ in found])),
        torch.tensor([label for _, label in found]),
    )
