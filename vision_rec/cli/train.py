"""`train`: make encoders from a catalogue, or from packs of labelled pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vision_rec.cli.common import AsJson, Common
from vision_rec.errors import InputError

if TYPE_CHECKING:
    from vision_rec.aspects import Measure


def image(
    common: Common,
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder for the encoder; a run begun there goes on.")
    ],
    catalog: Annotated[Path | None, typer.Option(metavar="FEED", help="Train on this catalogue.")] = None,
    packs: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Train on the packs fashion, fashion_small, clothing."),
    ] = None,
    images: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder of the pictures [the feed's folder].")
    ] = None,
    backbone: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="bundled, or as resnet50, open_clip:ViT-B-32 [bundled]."),
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(metavar="DEFAULT|FILE", help="The backbone's weights; DEFAULT downloads them."),
    ] = None,
    freeze: Annotated[
        bool | None,
        typer.Option("--freeze/--no-freeze", help="Keep the backbone as it is, fit its heads only."),
    ] = None,
    side: Annotated[
        int | None, typer.Option(metavar="N", help="Side of the pictures it sees [the backbone's].")
    ] = None,
    steps: Annotated[int | None, typer.Option(metavar="N", help="How long to train [by the size].")] = None,
    recipe: Annotated[Path | None, typer.Option(metavar="FILE", help="Training recipe, TOML.")] = None,
    teacher: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Weights of a larger network to learn from.")
    ] = None,
    cache: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Decoded pictures, for later runs [OUT/cache].")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Train the image encoder, or fit it to your shop.

    --catalog fits the bundled encoder, or another backbone, to a feed and says what that changed.

    --packs trains from random weights. Either goes on from the last checkpoint in --out, which Ctrl-C keeps.

    Use it with `encoders.image = "OUT"` in the settings, then `vision-rec reindex`.
    """
    from vision_rec.cli.train_catalog import given, train_on_catalogue

    if (packs is None) == (catalog is None):
        raise InputError("give either --catalog FEED, your products, or --packs DIR, the training packs")
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file; --out needs a folder")
    if catalog is not None:
        if teacher is not None:
            raise InputError("--teacher is for --packs; with --catalog the bundled encoder teaches")
        asked = {"images": images, "weights": weights, "freeze": freeze, "side": side, "steps": steps}
        options = given(asked, backbone=backbone, recipe=recipe)
        train_on_catalogue(common, catalog, out, options=options, cache=cache, as_json=as_json)
    elif packs is not None:
        only = {"images": images, "backbone": backbone, "weights": weights, "freeze": freeze, "side": side}
        if wrong := [f"--{name}" for name, value in only.items() if value is not None]:
            raise InputError(
                f"{', '.join(wrong)} is for --catalog; with --packs the bundled trunk is trained"
            )
        _train_on_packs(common, packs, out, recipe=recipe, steps=steps, teacher=teacher, cache=cache,
                        as_json=as_json)  # fmt: skip


def _train_on_packs(
    common: Common,
    packs: Path,
    out: Path,
    *,
    recipe: Path | None,
    steps: int | None,
    teacher: Path | None,
    cache: Path | None,
    as_json: bool,
) -> None:
    from vision_rec.cli.output import remark, write_json, write_table
    from vision_rec.training.run_image import read_recipe, train_image

    if not packs.is_dir():
        raise InputError(f"there is no folder {packs}; --packs needs the folder of the training packs")
    if teacher is not None and not teacher.exists():
        raise InputError(f"there is no teacher {teacher}; give an existing file")
    chosen = read_recipe(recipe)
    if steps is not None:
        chosen = replace(chosen, steps=steps)
    table = train_image(
        packs,
        out,
        recipe=chosen,
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
