"""Turn a trained objective into an image encoder's folder: weights, means, gains, one fingerprint."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import save_file

from vision_rec.encoders import palette
from vision_rec.encoders.image import CONFIG, FORMAT, WEIGHTS, ImageEncoder
from vision_rec.encoders.network import SHAPE_DIM, STYLE_DIM
from vision_rec.fusion import unit
from vision_rec.training.data import SIDE
from vision_rec.training.objective import Objective
from vision_rec.training.precision import random_pair_spread

_MEANS = {"colour": "palette_mean", "shape": "shape_mean", "style": "style_mean"}
GAIN = 0.1  # gain = GAIN / spread of random-pair cosines, the same for every encoder


def publish_encoder(
    objective: Objective, reference: Sequence[npt.NDArray[np.uint8]], folder: Path, notes: Mapping[str, Any]
) -> ImageEncoder:
    """Write `folder` and return its encoder, centred on the `reference` pictures (H, W, 3).

    The weights are written once with zero means and unit gains, the reference is encoded with them, and
    the means and gains found are written with the weights.
    """
    folder.mkdir(parents=True, exist_ok=True)
    zeros = {
        "palette_mean": torch.zeros(palette.ANCHORS),
        "shape_mean": torch.zeros(SHAPE_DIM),
        "style_mean": torch.zeros(STYLE_DIM),
    }
    _write(objective, folder, zeros, {"colour": 1.0, "shape": 1.0, "style": 1.0}, notes)
    raw = ImageEncoder(folder, kind="torch", device="cpu").raw(reference)
    means = {
        f"{'palette' if name == 'colour' else name}_mean": torch.from_numpy(rows.mean(0))
        for name, rows in raw.items()
    }
    gains = {name: GAIN / random_pair_spread(unit(rows - rows.mean(0))) for name, rows in raw.items()}
    _write(objective, folder, means, gains, notes)
    return ImageEncoder(folder)


def _write(
    objective: Objective,
    folder: Path,
    means: Mapping[str, torch.Tensor],
    gains: Mapping[str, float],
    notes: Mapping[str, Any],
) -> None:
    tensors = {
        f"network.{name}": value.half() if value.is_floating_point() else value
        for name, value in objective.network.state_dict().items()
    }
    tensors["palette_metric"] = objective.palette.metric.detach()
    tensors |= means
    save_file(
        {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}, folder / WEIGHTS
    )
    digest = hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()
    config = {
        "format": FORMAT,
        "side": SIDE,
        "dims": {"colour": palette.ANCHORS, "shape": SHAPE_DIM, "style": STYLE_DIM},
        "gains": {name: round(gain, 6) for name, gain in gains.items()},
        "sha256": digest,
        "notes": dict(notes),
    }
    (folder / CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
