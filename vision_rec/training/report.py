"""What an encoder knew of a catalogue before it was fitted to it, and what after."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vision_rec.aspects import Measure, Precision, nearest
from vision_rec.aspects.catalogue import measure_catalogue
from vision_rec.encoders import load_encoders
from vision_rec.errors import InputError
from vision_rec.training.catalog import Catalogue
from vision_rec.types import Picture

if TYPE_CHECKING:
    from vision_rec.encoders import PictureEncoder
    from vision_rec.settings import Settings

MIRRORED = "first hit, mirrored and cropped to 80 %"
ITSELF = "the product itself"


@dataclass(frozen=True)
class Change:
    """One line of the table: what a block knew before and after, and what a random order would give."""

    block: str
    label: str
    condition: str
    before: Precision
    after: Precision
    chance: float

    def to_fields(self) -> dict[str, Any]:
        """Return the line for JSON; a chance that is not known is null."""
        chance = None if math.isnan(self.chance) else self.chance
        return {**asdict(self), "chance": chance}


@dataclass(frozen=True)
class CatalogueTraining:
    """The table on the held-out products, what it is worth, and how the encoder was made.

    `k` is the number of places looked at, 10 unless the catalogue is small; 0 where nothing was measured.
    """

    encoder: Path
    fingerprint: str
    changes: tuple[Change, ...]
    k: int
    held_out: int
    notes: tuple[str, ...]
    facts: Mapping[str, Any] = field(default_factory=dict)

    def to_fields(self) -> dict[str, Any]:
        """Return what report.json holds."""
        return {
            "encoder": str(self.encoder),
            "fingerprint": self.fingerprint,
            **self.facts,
            "held_out": self.held_out,
            "k": self.k,
            "notes": list(self.notes),
            "measures": [change.to_fields() for change in self.changes],
        }


def compare(
    feed: Path,
    catalogue: Catalogue,
    *,
    settings: Settings,
    images: Path | None,
    before: PictureEncoder,
    after: PictureEncoder,
) -> CatalogueTraining:
    """Measure two encoders on the held-out products of `feed`: by labels, and by finding themselves again."""
    source, notes, k, tables = catalogue.source, list(catalogue.notes), 0, []
    held = [np.asarray(source.pixels[row]) for row in np.flatnonzero(source.split == 0)]
    for encoder in (before, after):
        found: list[Measure] = list(finds_itself(encoder, held))
        try:
            measured = measure_catalogue(
                feed,
                settings=settings,
                images=images,
                split="test",
                encoders=replace(load_encoders(settings.encoders), image=encoder),
            )
        except InputError:  # fewer than three products are held out
            measured = None
        if measured is not None:
            k, found = measured.k, [*measured.measures, *found]
            notes += [note for note in measured.notes if note not in notes]
        tables.append({(line.block, line.label, line.condition): line for line in found})
    if not k:
        notes.append(f"{len(held)} products are held out: too few to measure labels on")
    return CatalogueTraining(
        encoder=getattr(after, "folder", Path()),
        fingerprint=after.fingerprint,
        changes=tuple(
            Change(*key, line.precision, tables[1][key].precision, line.chance)
            for key, line in tables[0].items()
            if key in tables[1]
        ),
        k=k,
        held_out=len(held),
        notes=tuple(notes),
    )


def finds_itself(encoder: PictureEncoder, pictures: Sequence[Picture]) -> tuple[Measure, ...]:
    """Measure how often a picture (H, W, 3), mirrored and cropped to 80 %, finds itself first, per block."""
    if len(pictures) < 2:
        return ()
    rows = encoder.encode_pictures(pictures)
    changed = encoder.encode_pictures([mirrored(picture) for picture in pictures])
    out = []
    for name, block in rows.items():
        first = nearest(changed[name], block, 1)[:, 0]
        share = float((first == np.arange(len(pictures))).mean())
        out.append(Measure(name, ITSELF, MIRRORED, Precision(share, share, len(pictures)), 1 / len(pictures)))
    return tuple(out)


def mirrored(picture: Picture) -> Picture:
    """Return a picture (H, W, 3) mirrored, without its outer tenth on every side."""
    down, across = picture.shape[0] // 10, picture.shape[1] // 10
    inner = picture[down : picture.shape[0] - down, across : picture.shape[1] - across]
    return np.ascontiguousarray(inner[:, ::-1])
