"""The image encoder: one CNN, and of each picture its colour, shape and style blocks."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vision_rec.encoders import palette
from vision_rec.encoders.colour import RGB, shop_colours
from vision_rec.encoders.prepare import Squares, squares
from vision_rec.encoders.runtime import Device, Kind, Network, load_runtime
from vision_rec.encoders.soft_labels import SoftLabels
from vision_rec.encoders.trunk_spec import TrunkSpec
from vision_rec.errors import IncompatibleError, IntegrityError, UnavailableError
from vision_rec.fusion import Aspect, unit
from vision_rec.types import Array, Blocks, Picture, Sample

if TYPE_CHECKING:
    import torch

WEIGHTS, CONFIG = "image.safetensors", "image.json"
FORMAT = 2
READ = (1, 2)  # 1 has no soft labels
_CODE = "3"  # counts up when preprocessing, palette or pooling change what the same weights answer
STEP = 2  # every second pixel each way is plenty for a palette
SECOND = 0.35  # share of each further picture against the main one: back views must not blur it
LEAST = 1e-4  # share a pixel keeps though the mask denies it, so that no picture has an empty palette


@dataclass(frozen=True)
class ImageConfig:
    """What `image.json` says beside the weights."""

    side: int
    dims: Mapping[str, int]
    gains: Mapping[str, float]
    sha256: str
    backbone: TrunkSpec = TrunkSpec()
    default_weights: Mapping[str, float] = field(default_factory=dict)  # where not 1

    @classmethod
    def read(cls, folder: Path) -> ImageConfig:
        """Read and check `folder`/image.json; raises UnavailableError or IncompatibleError."""
        file = folder / CONFIG
        if not file.is_file():
            raise UnavailableError(
                f"no image encoder in {folder}: it needs {CONFIG} and {WEIGHTS}; "
                "train one with `vision-rec train image`, or use 'bundled'"
            )
        fields: dict[str, Any] = json.loads(file.read_text("utf-8"))
        if fields.get("format") not in READ:
            raise IncompatibleError(
                f"image encoder {folder} has format {fields.get('format')}, this version reads "
                f"{' and '.join(map(str, READ))}; "
                "train it again with `vision-rec train image`"
            )
        backbone = TrunkSpec.from_fields(fields.get("backbone"))
        weights = fields.get("default_weights", {})
        return cls(fields["side"], fields["dims"], fields["gains"], fields["sha256"], backbone, weights)


class ImageEncoder:
    """Encodes pictures; the network is loaded at the first picture, colours and pooling need none."""

    def __init__(
        self,
        folder: Path,
        *,
        kind: Kind = "auto",
        device: Device = "auto",
        threads: int = 0,
        batch_size: int = 32,
        cache: Path | None = None,
    ) -> None:
        self.folder, self.config = folder, ImageConfig.read(folder)
        self._kind, self._device, self._threads = kind, device, threads
        self._batch_size, self._cache = batch_size, cache
        self._lock = threading.Lock()

    @property
    def input_side(self) -> int:
        """Longest side of the pictures the network sees; larger ones are scaled down to it."""
        return self.config.side

    @cached_property
    def aspects(self) -> tuple[Aspect, ...]:
        """Colour, shape and style."""
        dims, gains, weights = self.config.dims, self.config.gains, self.config.default_weights
        return tuple(
            Aspect(name, dims[name], gain=gains[name], default_weight=weights.get(name, 1.0))
            for name in ("colour", "shape", "style")
        )

    @cached_property
    def fingerprint(self) -> str:
        """Hash of weights and code version, and of what another trunk than the bundled one sees."""
        config = self.config
        text = f"image {_CODE} {config.sha256}"
        if not config.backbone.is_bundled:
            text += f" {config.side} {json.dumps(config.backbone.to_fields())}"
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def runtime(self) -> str:
        """Where the network runs, such as `openvino-bf16`; loads it."""
        return self._network.name

    def encode(self, samples: Sequence[Sample]) -> Blocks:
        """Encode each sample's pictures and pool them; a sample without pictures gets zero rows."""
        pictures = [picture for sample in samples for picture in sample.images]
        blocks = self.encode_pictures(pictures)
        out = {aspect.name: np.zeros((len(samples), aspect.dim), np.float32) for aspect in self.aspects}
        start = 0
        for row, sample in enumerate(samples):
            end = start + len(sample.images)
            if end > start:
                pooled = self.pool({name: block[start:end] for name, block in blocks.items()})
                for name, block in pooled.items():
                    out[name][row] = block[0]
            start = end
        return out

    def encode_pictures(self, pictures: Sequence[Picture]) -> Blocks:
        """Encode m pictures (H, W, 3) uint8 into unit blocks (m, dim)."""
        return {name: unit(rows) for name, rows in self.raw(pictures).items()}

    def pool(self, blocks: Blocks) -> Blocks:
        """Pool one product's picture blocks (m, dim), main picture first, into one unit row per aspect."""
        out = {}
        for name, block in blocks.items():
            shares = np.full(len(block), SECOND / max(len(block) - 1, 1), np.float32)
            shares[:1] = 1.0
            out[name] = unit(shares[None] @ block)
        return out

    def encode_colour(self, rgb: Sequence[RGB]) -> Array:
        """Return the colour block (1, dim) of equal shares of sRGB colours 0–255; needs no network."""
        tensors = self.tensors
        histograms = palette.swatch_histogram(rgb)
        return unit(palette.palette_block(histograms, self.colour_map, tensors["palette_mean"]))

    def name_colours(self, block: Array) -> tuple[str, ...]:
        """Name the one or two shop colours nearest to a colour block (dim,); a zero block has none."""
        if not block.any():
            return ()
        names, swatches = self._named
        closeness = swatches @ block
        first, second = np.argsort(-closeness)[:2]
        if closeness[first] <= 0:
            return ("mixed",)
        return (
            (names[first], names[second]) if closeness[second] > 0.9 * closeness[first] else (names[first],)
        )

    def raw(self, pictures: Sequence[Picture]) -> Blocks:
        """Encode pictures into vectors (m, dim) less the stored means, not yet brought to norm 1."""
        parts = [
            self._raw_batch(pictures[start : start + self._batch_size])
            for start in range(0, len(pictures), self._batch_size)
        ]
        return {
            aspect.name: np.concatenate([part[aspect.name] for part in parts])
            if parts
            else np.zeros((0, aspect.dim), np.float32)
            for aspect in self.aspects
        }

    def _raw_batch(self, pictures: Sequence[Picture]) -> Blocks:
        fitted, tensors = squares(pictures, self.input_side), self.tensors
        mask, shape, style = self._network(fitted.pixels)
        histograms = _histograms(fitted, mask)
        return {
            "colour": palette.palette_block(histograms, self.colour_map, tensors["palette_mean"]),
            "shape": self._centred("shape", shape),
            "style": self._centred("style", style),
        }

    def _centred(self, name: str, rows: Array) -> Array:
        """Return a head's raw vectors, joined with their soft labels, less the block's means."""
        labels, tensors = self.labels[name], self.tensors
        joined = rows if labels is None else labels.joined(rows)
        return centred(joined, tensors[f"{name}_mean"], tensors[f"{name}_domains"])

    def masks(self, pictures: Sequence[Picture]) -> Array:
        """Return what the network takes for the product: shares (m, side / 2, side / 2) in 0–1."""
        return self._network(squares(pictures, self.input_side).pixels)[0]

    def palettes(self, pictures: Sequence[Picture]) -> Array:
        """Return the products' palettes (m, 96): the share of each anchor colour, summing to 1."""
        parts = [np.zeros((0, palette.ANCHORS), np.float32)]
        for start in range(0, len(pictures), self._batch_size):
            fitted = squares(pictures[start : start + self._batch_size], self.input_side)
            parts.append(_histograms(fitted, self._network(fitted.pixels)[0]))
        return np.concatenate(parts)

    @cached_property
    def colour_map(self) -> palette.ColourMap:
        """What turns palettes into colour blocks."""
        return palette.ColourMap.of(self.tensors)

    @cached_property
    def labels(self) -> Mapping[str, SoftLabels | None]:
        """The soft labels of shape and style; those of colours are in the colour map."""
        return {name: SoftLabels.of(self.tensors, name) for name in ("shape", "style")}

    @cached_property
    def _named(self) -> tuple[tuple[str, ...], Array]:
        colours = shop_colours()
        return tuple(colours), np.concatenate([self.encode_colour([rgb]) for rgb in colours.values()])

    @cached_property
    def tensors(self) -> dict[str, Array]:
        """The small tensors that colours need, read without the network."""
        from safetensors.numpy import safe_open

        with safe_open(self._checked_weights, framework="numpy") as file:
            names = [name for name in file.keys() if not name.startswith("network.")]
            return {name: file.get_tensor(name).astype(np.float32) for name in names}

    @cached_property
    def _checked_weights(self) -> Path:
        """The weights file, once its hash is what `image.json` says."""
        file = self.folder / WEIGHTS
        if not file.is_file():
            raise UnavailableError(f"image encoder {self.folder} lacks {WEIGHTS}; reinstall it or train one")
        found = hashlib.sha256(file.read_bytes()).hexdigest()
        if found != self.config.sha256:
            raise IntegrityError(
                f"{file} is damaged: expected SHA-256 {self.config.sha256}, found {found}; "
                "reinstall the package or train again"
            )
        return file

    @cached_property
    def _loaded(self) -> Network:
        side = self.config.side
        example = (np.zeros((2, side, side, 3), dtype=np.uint8),)
        return load_runtime(
            self.build_module,
            example,
            key=f"image-{self.fingerprint}",
            kind=self._kind,
            device=self._device,
            threads=self._threads,
            cache=self._cache,
        )

    @property
    def _network(self) -> Network:
        with self._lock:
            return self._loaded

    def build_module(self) -> torch.nn.Module:
        """Build the torch network that runtimes run: uint8 squares in, product shares and raw vectors out."""
        from safetensors.torch import load_file

        from vision_rec.encoders.backbones import build_trunk
        from vision_rec.encoders.network import ImageNetwork, InferenceNetwork

        network = ImageNetwork(build_trunk(self.config.backbone))  # type: ignore[arg-type]
        tensors = load_file(self._checked_weights)
        network.load_state_dict(
            {
                name.removeprefix("network."): value.float() if value.is_floating_point() else value
                for name, value in tensors.items()
                if name.startswith("network.")
            }
        )
        return InferenceNetwork(network, self.config.side // STEP).eval()


def _histograms(fitted: Squares, mask: Array) -> Array:
    """Return the palettes (n, 96) of fitted pictures under what the network takes for the product."""
    shares = (mask + LEAST) * fitted.inside[:, ::STEP, ::STEP]
    return palette.histogram(fitted.pixels[:, ::STEP, ::STEP], shares.astype(np.float32))


def centred(rows: Array, mean: Array, domains: Array) -> Array:
    """Take away the mean, and what only tells one kind of picture from another (studio, customer, drawn).

    `domains` (m, dim) spans the directions from the overall mean to each kind's own mean, so that random
    pairs score about 0 within every kind, and within a new one nearly so.
    """
    moved: Array = rows - mean
    moved = (moved - (moved @ domains.T) @ domains).astype(np.float32)
    return moved
