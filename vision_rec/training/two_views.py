"""Learning without labels: two views of one product are near, those of others are not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vision_rec.encoders.network import ImageNetwork, Views
from vision_rec.encoders.palette import ColourMap
from vision_rec.encoders.soft_labels import SoftLabels
from vision_rec.training.batches import Batches, RawBatch
from vision_rec.training.losses import Palette
from vision_rec.training.objective import LossWeights, Objective, Targets

WEIGHT = 0.5  # of the two-view loss of each block, beside those of `LossWeights`


def two_view_loss(embeddings: Tensor, related: Tensor, temperature: float = 0.2) -> Tensor:
    """Return the mean NT-Xent loss (Chen et al., 2020, arXiv 2002.05709) of embeddings (2m, dim).

    Rows 2i and 2i + 1 are views of one product. `related` (2m, 2m) is true for pairs of products that share
    a label: such a pair is no contrast. Rows without any contrast are left out.
    """
    n = len(embeddings)
    unit = F.normalize(embeddings.float(), dim=1)
    logits = unit @ unit.T / temperature
    itself = torch.eye(n, dtype=torch.bool, device=logits.device)
    partner = torch.arange(n, device=logits.device) ^ 1
    mine = F.one_hot(partner, n).bool()
    contrast = ~(related | itself | mine)
    kept = contrast.any(1)
    if not bool(kept.any()):
        return embeddings.sum() * 0.0
    loss = -F.log_softmax(logits.masked_fill(~(contrast | mine), float("-inf")), dim=1)
    return loss[torch.arange(n, device=logits.device), partner][kept].mean()


class WatchedNetwork(ImageNetwork):
    """An image network that keeps its last views for further losses, and may keep its trunk as it is."""

    def __init__(self, trunk: nn.Module, *, frozen: bool = False) -> None:
        super().__init__(trunk)  # type: ignore[arg-type]
        self.last: Views | None = None
        self.frozen = frozen
        if frozen:
            self.trunk.requires_grad_(False)

    def forward(self, x: Tensor) -> Views:
        """Return the views of n pictures and keep them."""
        self.last = super().forward(x)
        return self.last

    def train(self, mode: bool = True) -> WatchedNetwork:
        """Go into training mode; the statistics of a frozen trunk stay."""
        super().train(mode)
        if self.frozen:
            self.trunk.eval()
        return self


class PairedBatches(Batches):
    """Batches in which every product comes twice, side by side; each view is augmented on its own."""

    def _draw(self, number: int, count: int) -> RawBatch:
        drawn = super()._draw(number, (count + 1) // 2)
        twice = {field.name: _twice(getattr(drawn, field.name), count) for field in fields(drawn)}
        return replace(drawn, **twice)


def _twice(value: Any, count: int) -> Any:
    if isinstance(value, Mapping):
        return {name: _twice(part, count) for name, part in value.items()}
    return value.repeat_interleave(2, 0)[:count]


class CatalogObjective(Objective):
    """The losses of the bundled network, a two-view loss for shape and style, and a palette that stays near.

    Batches must be paired: an article's label teaches shape as ever, a product without one its two views.
    """

    def __init__(
        self,
        network: ImageNetwork,
        table: Tensor,
        classes: Mapping[str, int],
        teacher: int,
        weights: LossWeights,
    ) -> None:
        super().__init__(network, table, classes, teacher, weights)
        self.palette = AnchoredPalette(table)

    def forward(self, jittered: Tensor, targets: Targets) -> dict[str, Tensor]:
        """Return each weighted loss by name for paired pictures (n, 3, H, W) as the trunk sees them."""
        losses = super().forward(jittered, targets)
        views = self.network.last if isinstance(self.network, WatchedNetwork) else None
        if views is not None:
            pairs = len(jittered) // 2 * 2
            for name, rows, label in (("shape", views.shape, "article"), ("style", views.style, "pattern")):
                centred = rows[:pairs].float() - rows[:pairs].float().mean(0, keepdim=True)
                related = shares_label(targets.members[label][:pairs])
                losses[f"two views, {name}"] = WEIGHT * two_view_loss(centred, related)
        return losses


class AnchoredPalette(Palette):
    """A palette whose metric is pulled to where it began, not to the identity."""

    def __init__(self, table: Tensor) -> None:
        super().__init__(table)
        self.register_buffer("start", torch.eye(table.shape[1]), persistent=False)
        self.labels: SoftLabels | None = None

    def begin(self, colours: ColourMap) -> None:
        """Begin with a colour map, such as that of the bundled encoder; its bend and its labels stay."""
        self.labels = colours.labels
        metric = torch.from_numpy(colours.metric)
        with torch.no_grad():
            self.metric.copy_(metric)
            self.get_buffer("start").copy_(metric)
        for name in ("into", "bias", "out"):
            given = torch.from_numpy(getattr(colours, name)).to(self.metric.device)
            self.register_buffer(name, given, persistent=False)

    def colour_map(self) -> ColourMap:
        """Return the map as arrays."""
        return replace(super().colour_map(), labels=self.labels)

    def smoothness(self) -> Tensor:
        """Return how far the metric is from where it began."""
        return ((self.metric - self.get_buffer("start")) ** 2).mean()


def shares_label(members: Tensor) -> Tensor:
    """Return which pairs (n, n) of rows of a membership matrix (n, classes) have a class in common."""
    flags = members.float()
    return (flags @ flags.T) > 0
