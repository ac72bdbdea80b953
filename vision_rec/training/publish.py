"""Turn a trained objective into an image encoder's folder: weights, means, gains, one fingerprint."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import save_file
from torch import Tensor

from vision_rec.aspects import random_pair_spread
from vision_rec.encoders import palette
from vision_rec.encoders.image import CONFIG, FORMAT, WEIGHTS, ImageEncoder, centred
from vision_rec.encoders.network import SHAPE_DIM, STYLE_DIM
from vision_rec.encoders.soft_labels import SoftLabels
from vision_rec.encoders.trunk_spec import TrunkSpec
from vision_rec.fusion import unit
from vision_rec.training.data import SIDE
from vision_rec.training.objective import Objective
from vision_rec.training.soften import SHAPE, STYLE, Emphasis, fit_soft_labels
from vision_rec.types import Array, Blocks

NAMES = ("colour", "shape", "style")
# Chosen on validation products: "like this, but X" and photos want colour and shape more than style.
DEFAULT_WEIGHTS = {"colour": 1.5, "shape": 1.5, "style": 0.5}
GAIN = 0.1  # gain = GAIN / spread of random-pair cosines, the same for every encoder


def publish_encoder(
    objective: Objective,
    reference: Sequence[Sequence[npt.NDArray[np.uint8]]],
    folder: Path,
    notes: Mapping[str, Any],
    *,
    side: int = SIDE,
    backbone: TrunkSpec | None = None,
    refine: Callable[[ImageEncoder], palette.ColourMap] | None = None,
) -> ImageEncoder:
    """Write `folder` and return its encoder, centred on the `reference` pictures (H, W, 3) of each source.

    `side` is that of the pictures the encoder will see, `backbone` says which trunk the objective has,
    `refine` is given the encoder as trained and returns the colour map to write instead of its own.
    The weights are written once with zero means and unit gains, the reference is encoded with them, and
    the means and gains found are written with the weights.
    """
    folder.mkdir(parents=True, exist_ok=True)
    none = {"shape": np.zeros(SHAPE_DIM, np.float32), "style": np.zeros(STYLE_DIM, np.float32)}
    zeros = {f"{name}_mean": mean for name, mean in none.items()}
    zeros |= {f"{name}_domains": np.zeros((1, len(mean)), np.float32) for name, mean in none.items()}
    zeros["palette_mean"] = np.zeros(palette.ANCHORS, np.float32)
    made = _Made(objective, side, backbone or TrunkSpec(), objective.palette.colour_map(), notes)
    _write(made, folder, zeros, {"colour": 1.0, "shape": 1.0, "style": 1.0})
    plain = ImageEncoder(folder, kind="torch", device="cpu")
    if refine is not None:
        made = replace(made, colours=refine(plain))
        _write(made, folder, zeros, {"colour": 1.0, "shape": 1.0, "style": 1.0})
        plain = ImageEncoder(folder, kind="torch", device="cpu")
    raw = [plain.raw(pictures) for pictures in reference]
    labels = _soft_labels(objective, raw)
    made = replace(made, labels=labels)
    raw = [
        {name: labels[name].joined(rows) if name in labels else rows for name, rows in part.items()}
        for part in raw
    ]
    centres = {"palette_mean": np.mean([part["colour"].mean(0) for part in raw], axis=0)}
    for name in ("shape", "style"):
        means = np.stack([part[name].mean(0) for part in raw])
        centres[f"{name}_mean"] = means.mean(0)
        centres[f"{name}_domains"] = _directions(means - means.mean(0))
    spreads = [[random_pair_spread(block) for block in _blocks(part, centres)] for part in raw]
    gains = {name: GAIN / spread for name, spread in zip(NAMES, np.mean(spreads, axis=0), strict=True)}
    _write(made, folder, centres, gains)
    return ImageEncoder(folder)


@dataclass(frozen=True)
class _Made:
    """What was trained, and what is to be said of it."""

    objective: Objective
    side: int
    backbone: TrunkSpec
    colours: palette.ColourMap
    notes: Mapping[str, Any]
    labels: Mapping[str, SoftLabels] = field(default_factory=dict)  # of shape and style


def _soft_labels(objective: Objective, raw: Sequence[Blocks]) -> dict[str, SoftLabels]:
    """Return the soft labels of shape and style, fitted to raw vectors of each kind of pictures."""
    styles: dict[str, Any] = dict(objective.style.items())
    heads: dict[str, tuple[torch.nn.BatchNorm1d, dict[str, Any], Emphasis]] = {
        "shape": (objective.shape_centre, {"article": objective.article}, SHAPE),
        "style": (objective.style_centre, styles, STYLE),
    }
    found = {}
    for name, (centre, tasks, emphasis) in heads.items():
        mean = centre.running_mean
        assert mean is not None
        fitted = fit_soft_labels([part[name] for part in raw], mean.cpu().numpy(), tasks, emphasis)
        if fitted is not None:
            found[name] = fitted
    return found


def _blocks(raw: Blocks, centres: Mapping[str, Array]) -> list[Array]:
    """Return the unit blocks of raw vectors, in the order of NAMES, as the encoder will give them."""
    rows = [raw["colour"] - centres["palette_mean"]]
    for name in ("shape", "style"):
        rows.append(centred(raw[name], centres[f"{name}_mean"], centres[f"{name}_domains"]))
    return [unit(part) for part in rows]


def _directions(offsets: Array, least: float = 0.05) -> Array:
    """Return unit vectors (m, dim) that span the offsets (s, dim); directions of no length are left out."""
    _, lengths, directions = np.linalg.svd(offsets, full_matrices=False)
    kept: Array = directions[lengths > least * lengths[0]].astype(np.float32)
    return kept


def _write(made: _Made, folder: Path, centres: Mapping[str, Array], gains: Mapping[str, float]) -> None:
    tensors = {
        f"network.{name}": _halved(value) for name, value in made.objective.network.state_dict().items()
    }
    # Written as float32: a colour asked for must lie exactly where its products lie.
    tensors |= {name: torch.from_numpy(value) for name, value in made.colours.tensors().items() if value.size}
    joins = [labels.tensors(name) for name, labels in made.labels.items()]
    for part in (centres, *joins):
        tensors |= {name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in part.items()}
    save_file(
        {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}, folder / WEIGHTS
    )
    digest = hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()
    config = {
        "format": FORMAT,
        "side": made.side,
        "dims": {"colour": palette.ANCHORS, "shape": SHAPE_DIM, "style": STYLE_DIM},
        "gains": {name: round(gain, 6) for name, gain in gains.items()},
        "default_weights": DEFAULT_WEIGHTS,
        "sha256": digest,
        "backbone": made.backbone.to_fields(),
        "notes": dict(made.notes),
    }
    (folder / CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def _halved(value: Tensor) -> Tensor:
    """Return a tensor in half precision where it fits: variances of strange networks may be too large."""
    if not value.is_floating_point():
        return value
    half = value.half()
    return half if bool(torch.isfinite(half).all()) else value
