"""Trunks: functions returning a module that maps pictures (n, 3, H, W) to a fine and a deep feature map."""

from __future__ import annotations

import torch
from torch import Tensor, nn


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
