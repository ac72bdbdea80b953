"""Trunks by name: modules that map pictures (n, 3, H, W) to a fine, a middle and a deep feature map."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vision_rec.encoders.trunk_spec import BUNDLED, OPEN_CLIP, TrunkSpec
from vision_rec.errors import InputError

DEFAULT = "DEFAULT"  # the published weights, downloaded because they were asked for
COMPACT_SIDE = 112


class BasicBlock(nn.Module):
    """Two 3×3 convolutions round a shortcut (ResNet; He et al., 2015, arXiv 1512.03385)."""

    def __init__(self, width_in: int, width: int, stride: int = 1) -> None:
        super().__init__()
        self.first = conv(width_in, width, stride)
        last = nn.BatchNorm2d(width)
        nn.init.zeros_(last.weight)  # starts as the identity, which trains faster
        self.second = nn.Sequential(nn.Conv2d(width, width, 3, 1, 1, bias=False), last)
        self.shortcut = (
            nn.Sequential(nn.Conv2d(width_in, width, 1, stride, bias=False), nn.BatchNorm2d(width))
            if stride > 1 or width_in != width
            else nn.Identity()
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map features (n, c, h, w) to (n, width, h / stride, w / stride)."""
        return torch.relu(self.shortcut(x) + self.second(self.first(x)))


def conv(width_in: int, width: int, stride: int = 1) -> nn.Sequential:
    """Return a 3×3 convolution with batch norm and ReLU."""
    return nn.Sequential(
        nn.Conv2d(width_in, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True)
    )


class CompactTrunk(nn.Module):
    """The bundled trunk: dense 3×3 convolutions only, which CPUs with matrix units run best.

    Returns the maps at stride 4 (fine), stride 8 (middle) and stride 16 (deep).
    """

    widths = (64, 128, 320)

    def __init__(self) -> None:
        super().__init__()
        fine, middle, deep = self.widths
        self.stem = nn.Sequential(conv(3, 32, 2), conv(32, fine, 2))
        self.fine = nn.Sequential(BasicBlock(fine, fine), BasicBlock(fine, fine))
        self.middle = nn.Sequential(BasicBlock(fine, middle, 2), BasicBlock(middle, middle))
        self.deep = nn.Sequential(BasicBlock(middle, deep, 2), BasicBlock(deep, deep))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Map pictures (n, 3, H, W) to the fine, middle and deep maps."""
        fine = self.fine(self.stem(x))
        middle = self.middle(fine)
        return fine, middle, self.deep(middle)


def compact() -> CompactTrunk:
    """Return the bundled trunk with random weights."""
    return CompactTrunk()


@dataclass(frozen=True)
class Backbone:
    """A trunk ready for training: the module, what `image.json` says of it, and its own input side."""

    trunk: nn.Module
    spec: TrunkSpec
    side: int


def open_backbone(name: str = BUNDLED, weights: Path | str | None = None) -> Backbone:
    """Return the trunk `name` with `weights`: a file, DEFAULT (may download), or None: random ones.

    Names are `bundled`, those of torchvision's convolutional networks and, with `open_clip:` before them,
    those of open_clip. Raises InputError for an unknown name or weights that do not fit, UnavailableError
    where a library or the network is not there.
    """
    if name == BUNDLED:
        if weights is not None:
            raise InputError("weights of the bundled network include its heads; a trunk alone has none")
        return Backbone(compact(), TrunkSpec(), COMPACT_SIDE)
    library = _library(name)
    spec, side = library.default_spec(name)
    other, known = library.build(spec)
    if weights == DEFAULT:
        library.load(other, known, library.download(name), f"{name} {DEFAULT}")
    elif weights is not None:
        from vision_rec.encoders.trunk_weights import read_tensors

        library.load(other, known, read_tensors(Path(weights)), str(weights))
    return Backbone(other, spec, side)


def build_trunk(spec: TrunkSpec) -> nn.Module:
    """Return the trunk that `spec` describes with random weights; raises as `open_backbone` does."""
    if spec.is_bundled:
        return compact()
    trunk: nn.Module = _library(spec.name).build(spec)[0]
    return trunk


def _library(name: str) -> Any:
    """Return the module that knows the trunk `name`; InputError with near names where none does."""
    from vision_rec.encoders import trunk_open_clip, trunk_torchvision

    if name.startswith(OPEN_CLIP):
        trunk_open_clip.library()  # says what to install where it is missing
        if name in trunk_open_clip.names():
            return trunk_open_clip
    elif name in trunk_torchvision.names():
        return trunk_torchvision
    known = (BUNDLED, *trunk_torchvision.names(), *trunk_open_clip.names())
    bare = {other.removeprefix(OPEN_CLIP).lower(): other for other in known}
    close = get_close_matches(name.removeprefix(OPEN_CLIP).lower(), bare, n=4, cutoff=0.5)
    hint = f"near it are {', '.join(bare[found] for found in close)}" if close else "such as resnet50"
    raise InputError(
        f"there is no backbone {name!r}; {hint}. Known are {BUNDLED!r}, torchvision's convolutional "
        f"networks, and open_clip's with {OPEN_CLIP!r} before the name"
    )
