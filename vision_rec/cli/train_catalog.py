"""`train image --catalog`: what is asked goes in, what it changed comes out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vision_rec.cli.common import Common

if TYPE_CHECKING:
    from vision_rec.training.report import CatalogueTraining
    from vision_rec.training.run_catalog import CatalogueOptions

_OUT_OF_FEW = 10  # places that count where the catalogue is large enough


def given(asked: Mapping[str, Any], *, backbone: str | None, recipe: Path | None) -> CatalogueOptions:
    """Return the options of a run; a backbone that is not given is the bundled one."""
    from vision_rec.training.run_catalog import CatalogueOptions

    named: dict[str, Any] = {} if backbone is None else {"backbone": backbone}
    return CatalogueOptions(**asked, **named, recipe=recipe)


def train_on_catalogue(
    common: Common, feed: Path, out: Path, *, options: CatalogueOptions, cache: Path | None, as_json: bool
) -> None:
    """Fit an encoder to a feed; the table goes to stdout, how it goes and what it is worth to stderr."""
    from vision_rec.cli.output import remark, write_json, write_table
    from vision_rec.training.run_catalog import train_catalogue

    report = train_catalogue(
        feed,
        out,
        settings=common.settings(),
        options=options,
        cache=cache,
        log=lambda line: remark(common, line),
    )
    if as_json:
        write_json(report.to_fields())
        return
    for note in report.notes:
        remark(common, f"note: {note}")
    places = f"P@{report.k or _OUT_OF_FEW}"
    numbers = ("before", "after", "change", "queries")
    remark(common, f"{places} on {report.held_out} held-out products, before and after")
    write_table(("block", "label", "among", *numbers), _rows(report), right=numbers)


def _rows(report: CatalogueTraining) -> list[tuple[str, ...]]:
    return [
        (
            line.block,
            line.label,
            line.condition or "all",
            f"{line.before.micro:.3f}",
            f"{line.after.micro:.3f}",
            f"{line.after.micro - line.before.micro:+.3f}",
            str(line.after.queries),
        )
        for line in report.changes
    ]
