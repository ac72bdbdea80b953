"""Trunks of other makers: any chain of stages, tapped where the heads want its maps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vision_rec.encoders.trunk_spec import TrunkSpec
from vision_rec.errors import InputError

_PROBE = 128  # side of the picture that finds out the stages' strides
Stage = tuple[str, nn.Module]  # a module by its name in the whole network


class OtherTrunk(nn.Module):
    """A trunk that takes pictures as the package prepares them and normalises them as its weights want.

    The fine map always has a quarter of the picture's side, as the mask and the palette expect.
    """

    scale: Tensor
    shift: Tensor
    widths: tuple[int, int, int]

    def __init__(self, spec: TrunkSpec, widths: tuple[int, int, int]) -> None:
        super().__init__()
        self.widths = widths
        mean, std = (torch.tensor(values).view(3, 1, 1) for values in (spec.mean, spec.std))
        # The network's pixels are (value − 128) / 64; see `network.normalise_pixels`.
        self.register_buffer("scale", 64 / 255 / std, persistent=False)
        self.register_buffer("shift", (128 / 255 - mean) / std, persistent=False)

    def normalised(self, x: Tensor) -> Tensor:
        """Return pictures (n, 3, H, W) as the trunk's weights want them."""
        return x * self.scale + self.shift


class StageTrunk(OtherTrunk):
    """A convolutional network as a chain of stages: maps at strides 4 and 8, and its last map."""

    def __init__(self, spec: TrunkSpec, stages: Sequence[Stage], *, channels_last: bool = False) -> None:
        taps, widths = _taps(spec, stages, channels_last)
        super().__init__(spec, widths)
        self.names = tuple(name for name, _ in stages)
        self.taps, self.channels_last = taps, channels_last
        self.stages = nn.ModuleList(stage for _, stage in stages)

    def tensors(self) -> dict[str, Tensor]:
        """Return its tensors by their names in the whole network."""
        return {
            f"{name}.{key}": value
            for name, stage in zip(self.names, self.stages, strict=True)
            for key, value in stage.state_dict().items()
        }

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Map pictures (n, 3, H, W) to the fine, middle and deep maps."""
        size = (x.shape[-2] // 4, x.shape[-1] // 4)
        maps, x = [], self.normalised(x)
        for number, stage in enumerate(self.stages):
            x = stage(x)
            if number in self.taps:
                maps.append(x.permute(0, 3, 1, 2) if self.channels_last else x)
        fine, middle, deep = maps
        return at_size(fine, size), middle, deep


def at_size(features: Tensor, size: tuple[int, int]) -> Tensor:
    """Return features (n, c, h, w) at `size`, as they are where they have it."""
    if tuple(features.shape[-2:]) == size:
        return features
    return F.interpolate(features, size=size, mode="bilinear", align_corners=False)


def _taps(
    spec: TrunkSpec, stages: Sequence[Stage], channels_last: bool
) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """Return the stages whose maps are taken, and the channels of these maps, found with one grey picture."""
    last: dict[int, int] = {}  # stride → the last stage that has it
    channels = []
    x = torch.zeros(2, 3, _PROBE, _PROBE)
    with torch.inference_mode():
        for number, (_, stage) in enumerate(stages):
            x = stage.eval()(x)
            height, width = (x.shape[1], x.shape[3]) if channels_last else (x.shape[2], x.shape[1])
            last[round(_PROBE / height)] = number
            channels.append(width)
            stage.train()
    end = len(stages) - 1
    if 4 not in last or 8 not in last or last[8] == end:
        raise InputError(
            f"backbone {spec.name!r} has maps at the strides {sorted(last)}; 4, 8 and one beyond are needed: "
            "take resnet50, mobilenet_v3_small, efficientnet_b0, convnext_tiny or another such network"
        )
    taps = (last[4], last[8], end)
    return taps, cast("tuple[int, int, int]", tuple(channels[tap] for tap in taps))
