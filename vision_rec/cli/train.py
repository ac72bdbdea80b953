"""`train`: make encoders from labelled pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vision_rec.cli.common import AsJson, Common
from vision_rec.errors import InputError

if TYPE_CHECKING:
    from vision_rec.training.aspects import Measure


def image(
    common: Common,
    packs: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder of the packs fashion, fashion_small, clothing.")
    ],
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder for the encoder; a run begun there goes on.")
    ],
    recipe: Annotated[Path | None, typer.Option(metavar="FILE", help="Training recipe, TOML.")] = None,
    teacher: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Weights of a larger network to learn from.")
    ] = None,
    cache: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Decoded pictures, for later runs [OUT/cache].")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Train the picture encoder.

    From random weights, or from the last checkpoint in --out, which Ctrl-C keeps.

    Use it with `encoders.image = "OUT"` in the settings, then `vision-rec reindex`.
    """
    from vision_rec.cli.output import remark, write_json, write_table
    from vision_rec.training.run_image import read_recipe, train_image

    if not packs.is_dir():
        raise InputError(f"there is no folder {packs}; --packs needs the folder of the training packs")
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file; --out needs a folder")
    if teacher is not None and not teacher.exists():
        raise InputError(f"there is no teacher {teacher}; give an existing file")
    table = train_image(
        packs,
        out,
        recipe=read_recipe(recipe),
        teacher=teacher,
        cache=cache,
        log=lambda line: remark(common, line),
    )
    if as_json:
        write_json({"encoder": str(out), "measures": [_entry(measure) for measure in table]})
    else:
        write_table(("block", "label", "among", "P@10", "queries"), _rows(table), right=("P@10", "queries"))


def _entry(measure: Measure) -> dict[str, object]:
    named = {"block": measure.block, "label": measure.label, "condition": measure.condition}
    return {**named, **asdict(measure.precision)}


def _rows(table: Sequence[Measure]) -> list[tuple[str, ...]]:
    return [
        (
            measure.block,
            measure.label,
            measure.condition or "all",
            f"{measure.precision.micro:.3f}",
            str(measure.precision.queries),
        )
        for measure in table
    ]
