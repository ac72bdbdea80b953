"""Everything trained together: network, palette metric, proxies, adversary, the teacher's head."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from vision_rec.encoders.network import SHAPE_DIM, STYLE_DIM, ImageNetwork
from vision_rec.training.losses import (
    NormalisedSoftmax,
    Palette,
    distillation_loss,
    mask_loss,
    reverse_gradient,
)

STYLE_TASKS = ("pattern", "usage", "gender")


@dataclass(frozen=True)
class LossWeights:
    """How much each loss counts."""

    article: float = 1.0
    colour: float = 1.0
    pattern: float = 1.0
    usage: float = 0.5
    gender: float = 0.2
    mask: float = 0.5
    teacher: float = 1.0
    metric: float = 20.0  # pull of the palette's metric to the identity
    residual: float = 0.7  # style learns what the teacher sees beyond the article
    forget: float = 0.3  # style forgets the article
    forget_colour: float = 0.3  # shape forgets the colour


@dataclass(frozen=True)
class Targets:
    """Class memberships (n, classes) per task, teacher features (n, t), pixel cells and masks."""

    members: Mapping[str, Tensor]
    teacher: Tensor
    residual: Tensor  # (n, t) teacher features less the mean of their article
    cells: Tensor  # (n, h, w) int64 palette table cells at the mask's resolution
    background: Tensor  # (n, h, w)
    product: Tensor  # (n, h, w)


class Objective(nn.Module):
    """The sum of all losses for one batch."""

    def __init__(
        self,
        network: ImageNetwork,
        table: Tensor,
        classes: Mapping[str, int],
        teacher: int,
        weights: LossWeights,
    ) -> None:
        super().__init__()
        self.network = network
        self.weights = weights
        self.palette = Palette(table)
        self.shape_centre = nn.BatchNorm1d(SHAPE_DIM, affine=False, momentum=0.02)
        self.style_centre = nn.BatchNorm1d(STYLE_DIM, affine=False, momentum=0.02)
        self.article = NormalisedSoftmax(classes["article"], SHAPE_DIM)
        self.colour = NormalisedSoftmax(classes["colour"], table.shape[1], scale=12.0, smoothing=0.1)
        self.style = nn.ModuleDict(
            {
                task: NormalisedSoftmax(classes[task], STYLE_DIM, scale=12.0)
                for task in ("pattern", "usage", "gender")
            }
        )
        self.forget = nn.Sequential(nn.Linear(STYLE_DIM, 128), nn.ReLU(), nn.Linear(128, classes["article"]))
        self.forget_colour = nn.Sequential(
            nn.Linear(SHAPE_DIM, 128), nn.ReLU(), nn.Linear(128, classes["colour"])
        )
        self.teacher = nn.Linear(network.trunk.widths[-1], max(teacher, 1))
        self.residual = nn.Linear(STYLE_DIM, max(teacher, 1))

    def forward(self, jittered: Tensor, targets: Targets) -> dict[str, Tensor]:
        """Return each weighted loss by name for pictures (n, 3, H, W) as the trunk sees them."""
        views = self.network(jittered)
        mask = views.mask.float()
        colour = self.palette(targets.cells.flatten(1), mask.flatten(1))
        shape = _centred(self.shape_centre, views.shape.float())
        style = _centred(self.style_centre, views.style.float())
        members, weight = targets.members, self.weights
        losses = {
            "article": weight.article * self.article(shape, members["article"]),
            "colour": weight.colour * self.colour(colour, members["colour"]),
            "mask": weight.mask * mask_loss(mask, targets.background, targets.product),
            "teacher": weight.teacher
            * distillation_loss(self.teacher(views.pooled.float()), targets.teacher),
            "residual": weight.residual * distillation_loss(self.residual(style), targets.residual),
            "metric": weight.metric * self.palette.smoothness(),
            "forget": _forget(self.forget, style, members["article"], weight.forget),
            "forget_colour": _forget(self.forget_colour, shape, members["colour"], weight.forget_colour),
        }
        for task, share in (("pattern", weight.pattern), ("usage", weight.usage), ("gender", weight.gender)):
            losses[task] = share * self.style[task](style, members[task])
        return losses


def _forget(adversary: nn.Module, embeddings: Tensor, members: Tensor, strength: float) -> Tensor:
    """Return the loss of an adversary that reads labels from `embeddings`, which unlearn what it reads."""
    single = members.sum(1) == 1
    if strength == 0 or not bool(single.any()):
        return embeddings.sum() * 0.0
    hidden = reverse_gradient(F.normalize(embeddings, dim=1), strength)
    return F.cross_entropy(adversary(hidden[single] * 8.0), members[single].float().argmax(1))


def _centred(centre: nn.BatchNorm1d, x: Tensor) -> Tensor:
    """Take away the batch mean while training (the running mean after), without scaling."""
    if centre.training:
        centre(x.detach())
        return x - x.mean(0, keepdim=True)
    running = centre.running_mean
    return x if running is None else x - running
