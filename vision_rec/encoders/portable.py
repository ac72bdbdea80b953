"""The image encoder as one network: fitted squares in, unit blocks out, the palette included."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from vision_rec.encoders import palette
from vision_rec.encoders.image import LEAST, STEP, ImageEncoder
from vision_rec.encoders.runtime_torch import onnx_bytes
from vision_rec.encoders.soft_labels import SoftLabels
from vision_rec.types import Array

INPUTS, OUTPUTS = ("pixels", "size"), ("colour", "shape", "style")
OPSET = 17  # onnxruntime 1.12 (2022) and everything newer reads it
_TINY = 1e-12  # as in fusion.unit


class PortableEncoder(nn.Module):
    """`ImageEncoder.encode_pictures` from the fitted squares on, in torch operations only.

    The lookup table of the palette (32,768 × 96) is a softmax of distances between two small tables, so the
    small ones are kept and the softmax is taken in the network: 0.4 MB instead of 12.6.
    """

    def __init__(self, encoder: ImageEncoder) -> None:
        super().__init__()
        self.network, self.side = encoder.build_module(), encoder.input_side
        anchors = palette.anchors().astype(np.float64)
        scale = 1.0 / palette.SPREAD**2
        constants = {
            "cells": palette.cells(),
            # −|p − a|² / 2σ² without its |p|², which a softmax over anchors does not see.
            "nearness": anchors.T * scale,
            "offset": -0.5 * scale * (anchors**2).sum(1),
            "places": np.arange(0, self.side, STEP),
            **encoder.tensors,
            **encoder.colour_map.tensors(),
        }
        labels = {**encoder.labels, "colour": encoder.colour_map.labels}
        self.joins = nn.ModuleDict({name: _Joined(own) for name, own in labels.items() if own is not None})
        for name, value in constants.items():
            if "_labels." not in name:
                self.register_buffer(name, _tensor(value))

    def forward(self, pixels: Tensor, size: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Map squares (n, side, side, 3) uint8 and picture heights and widths (n, 2) to unit blocks."""
        mask, shape, style = self.network(pixels)
        inside = self._inside(size[:, 0])[:, :, None] * self._inside(size[:, 1])[:, None, :]
        raw = self._palette(pixels[:, ::STEP, ::STEP], (mask + LEAST) * inside)
        roots = torch.sqrt(raw)
        colour = roots @ self._constant("palette_metric").T
        if len(self._constant("palette_bias")):  # not every encoder's colour map bends
            bent = torch.relu(roots @ self._constant("palette_into").T + self._constant("palette_bias"))
            colour = colour + bent @ self._constant("palette_out").T
        colour = self._joined(colour, "colour") - self._constant("palette_mean")
        return _unit(colour), _unit(self._centred(shape, "shape")), _unit(self._centred(style, "style"))

    def _constant(self, name: str) -> Tensor:
        return self.get_buffer(name)

    def _inside(self, length: Tensor) -> Tensor:
        """Return 1 where a place of the palette's grid lies in the picture (n, m), given its length (n)."""
        extent = length.float()[:, None]
        start = torch.floor((self.side - extent) / 2)
        places = self._constant("places")
        return ((places >= start) & (places < start + extent)).float()

    def _palette(self, pixels: Tensor, shares: Tensor) -> Tensor:
        """Return the soft histograms (n, 96) of pixels (n, m, m, 3) that count `shares` (n, m, m)."""
        level = pixels.flatten(1, 2).float().div(256 // palette.LEVELS).floor()
        red, green, blue = level[..., 0], level[..., 1], level[..., 2]
        code = ((red * palette.LEVELS + green) * palette.LEVELS + blue).long()
        energy = self._constant("cells")[code] @ self._constant("nearness") + self._constant("offset")
        weight = shares.flatten(1)
        total = torch.bmm(weight[:, None], torch.softmax(energy, dim=-1))[:, 0]
        return total / weight.sum(1, keepdim=True)

    def _joined(self, rows: Tensor, name: str) -> Tensor:
        joined: Tensor = self.joins[name](rows) if name in self.joins else rows
        return joined

    def _centred(self, rows: Tensor, name: str) -> Tensor:
        domains = self._constant(f"{name}_domains")
        moved = self._joined(rows, name) - self._constant(f"{name}_mean")
        return moved - (moved @ domains.T) @ domains


class _Joined(nn.Module):
    """`SoftLabels.joined` in torch operations."""

    def __init__(self, labels: SoftLabels) -> None:
        super().__init__()
        self.register_buffer("centre", _tensor(labels.centre))
        self.register_buffer("project", _tensor(labels.project))
        self.tasks = sorted(labels.classes)
        for place, task in enumerate(self.tasks):  # a task's name need not be one for a buffer
            self.register_buffer(f"classes_{place}", _tensor(labels.classes[task]))
            self.register_buffer(f"usual_{place}", _tensor(labels.usual[task]))

    def forward(self, rows: Tensor) -> Tensor:
        looks = _unit(rows - self.get_buffer("centre"))
        parts = [looks]
        for place in range(len(self.tasks)):
            shares = torch.softmax(looks @ self.get_buffer(f"classes_{place}").T, dim=1)
            parts.append(_unit(torch.sqrt(shares) - self.get_buffer(f"usual_{place}")))
        return torch.cat(parts, dim=1) @ self.get_buffer("project").T


def _tensor(value: Array) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(value, dtype=np.float32))


def _unit(rows: Tensor) -> Tensor:
    norm = torch.sqrt((rows * rows).sum(1, keepdim=True))
    return torch.where(norm > _TINY, rows / norm.clamp(min=_TINY), torch.zeros_like(rows))


def portable_graph(encoder: ImageEncoder) -> bytes:
    """Return the encoder as the bytes of an ONNX file with inputs `INPUTS` and outputs `OUTPUTS`."""
    side = encoder.input_side
    example = (np.zeros((2, side, side, 3), dtype=np.uint8), np.full((2, 2), side, dtype=np.int32))
    module = PortableEncoder(encoder)
    return onnx_bytes(module, example, 1, inputs=INPUTS, outputs=OUTPUTS, opset=OPSET, fold=False)
