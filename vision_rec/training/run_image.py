"""`vision-rec train image`: packs in, an encoder's folder out, with the table of what it knows."""

from __future__ import annotations

import dataclasses
import json
import time
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vision_rec.aspects import Measure, aspect_table
from vision_rec.encoders.image import ImageEncoder
from vision_rec.encoders.palette import ColourMap
from vision_rec.errors import InputError
from vision_rec.training.data import TASKS, Source, load_drawn, load_pack
from vision_rec.training.objective import LossWeights, Objective
from vision_rec.training.publish import publish_encoder
from vision_rec.training.refine import fit_bend
from vision_rec.training.train_image import ImageTraining, Trainer
from vision_rec.types import Array

PACKS = ("fashion", "fashion_small", "clothing")
CHECKPOINTS = "checkpoints"
Log = Callable[[str], None]


def read_recipe(file: Path | None, base: ImageTraining | None = None) -> ImageTraining:
    """Read a training recipe from TOML over `base`; names that no recipe has are an InputError."""
    base = base or ImageTraining()
    if file is None:
        return base
    if not file.is_file():
        raise InputError(f"no training recipe {file}; give an existing TOML file")
    try:
        fields: dict[str, Any] = tomllib.loads(file.read_text("utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"training recipe {file} is not valid TOML: {error}") from error
    known = {field.name for field in dataclasses.fields(ImageTraining)}
    losses = fields.pop("losses", {})
    known_losses = {field.name for field in dataclasses.fields(LossWeights)}
    unknown = sorted(set(fields) - known) + sorted(f"losses.{name}" for name in set(losses) - known_losses)
    if unknown:
        raise InputError(f"training recipe {file} has unknown fields {unknown}; known are {sorted(known)}")
    if "sides" in fields:
        fields["sides"] = tuple((float(start), int(side)) for start, side in fields["sides"])
    return dataclasses.replace(base, **fields, losses=dataclasses.replace(base.losses, **losses))


def train_image(
    packs: Path,
    out: Path,
    *,
    recipe: ImageTraining,
    teacher: Path | None = None,
    cache: Path | None = None,
    log: Log = lambda line: None,
) -> tuple[Measure, ...]:
    """Train from random weights (or from `out`'s checkpoint) and write the encoder to `out`.

    Returns the table of the finished encoder on the test split of the pack `fashion`.
    """
    cache = cache or out / "cache"
    sources = load_sources(packs, cache)
    features = {}
    if teacher is not None:
        from vision_rec.training.teacher import teacher_features

        features = teacher_features(teacher, [source for source in sources if source.name != "drawn"], cache)
    trainer = Trainer(recipe, sources, out / CHECKPOINTS, features)
    if trainer.resume():
        log(f"continuing from step {trainer.step} of {recipe.steps}")
    started = time.monotonic()
    objective = trainer.run(
        lambda losses: log(" ".join(f"{name} {value:.3g}" for name, value in losses.items()))
    )
    minutes = (time.monotonic() - started) / 60
    notes = {"recipe": json.loads(json.dumps(dataclasses.asdict(recipe))), "minutes": round(minutes, 1)}
    return finish(objective, sources, out, notes)


def finish(
    objective: Objective, sources: Sequence[Source], out: Path, notes: Mapping[str, Any]
) -> tuple[Measure, ...]:
    """Publish the encoder to `out` and measure it on the test split of the first source."""

    def refine(encoder: ImageEncoder) -> ColourMap:
        palettes, names = _palettes(encoder, sources)
        return fit_bend(palettes, names, encoder.colour_map)

    encoder = publish_encoder(objective, reference_pictures(sources), out, notes, refine=refine)
    return measure(encoder, sources[0], split=0)


def _palettes(
    encoder: ImageEncoder, sources: Sequence[Source], most: int = 12_000, seed: int = 0
) -> tuple[Array, list[str]]:
    """Return the palettes (n, 96) and colour names of up to `most` training products of each source."""
    rng = np.random.default_rng(seed)
    palettes: list[Array] = []
    names: list[str] = []
    for source in sources:
        named = [int(row) for row in np.flatnonzero(source.split > 1) if source.labels["colour"][int(row)]]
        rows = sorted(rng.permutation(named)[:most].tolist())
        palettes.append(encoder.palettes([np.asarray(source.pixels[row]) for row in rows]))
        names += [source.labels["colour"][row] for row in rows]
    return np.concatenate(palettes), names


def load_sources(packs: Path, cache: Path) -> list[Source]:
    """Load the packs and the drawn products; titles of `fashion`'s validation products train nowhere."""
    sources = [load_pack(packs, name, cache) for name in PACKS]
    fashion, small = sources[0], sources[1]
    held = {title for title, split in zip(fashion.groups, fashion.split, strict=True) if split == 1}
    # `fashion` alone is validated on, so the other products of split 1 may train.
    for row, (title, split) in enumerate(zip(small.groups, small.split, strict=True)):
        if split == 1 and title not in held:
            small.split[row] = 2
    return [*sources, load_drawn(cache)]


def reference_pictures(
    sources: Sequence[Source], each: int = 1500, seed: int = 0
) -> list[list[npt.NDArray[np.uint8]]]:
    """Choose the training pictures that blocks are centred on, up to `each` from every source."""
    rng = np.random.default_rng(seed)
    chosen = []
    for source in sources:
        rows = np.flatnonzero(source.split > 1)
        picked = np.sort(rng.choice(rows, min(each, len(rows)), replace=False))
        chosen.append([np.asarray(source.pixels[row]) for row in picked])
    return chosen


def measure(encoder: ImageEncoder, source: Source, split: int) -> tuple[Measure, ...]:
    """Return the table of `encoder` on one split of a source."""
    rows = np.flatnonzero(source.split == split)
    blocks = encoder.encode_pictures([np.asarray(source.pixels[row]) for row in rows])
    labels = {task: [source.labels[task][int(row)] for row in rows] for task in TASKS}
    return aspect_table(blocks, labels)
