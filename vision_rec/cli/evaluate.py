"""`evaluate`: how good rankings are on queries with known answers, or what blocks know of a catalogue."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vision_rec.cli.common import AsJson, Common
from vision_rec.cli.exits import OK, SOME_REJECTED
from vision_rec.errors import InputError

if TYPE_CHECKING:
    from vision_rec.aspects.catalogue import CatalogueReport


def evaluate(
    common: Common,
    qrels: Annotated[
        Path | None, typer.Argument(metavar="QRELS.jsonl", help='Queries, each with "relevant": [ids].')
    ] = None,
    aspects: Annotated[
        Path | None,
        typer.Option(metavar="FEED", help="Instead: what each block knows of this catalogue's labels."),
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="With --aspects: folder of the pictures [the feed's folder]."),
    ] = None,
    encoder: Annotated[
        str | None,
        typer.Option(metavar="bundled|DIR", help="With --aspects: image encoder [that of the settings]."),
    ] = None,
    split: Annotated[
        str | None, typer.Option(metavar="test|all", help="With --aspects: products measured [all].")
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Measure rankings, or what each block knows.

    Of QRELS.jsonl: recall, precision, MRR, nDCG and MAP, averaged over the queries. Of --aspects FEED: how
    often the nearest products by one block alone share a label, beside what chance would give.
    """
    if (qrels is None) == (aspects is None):
        raise InputError("give either QRELS.jsonl or --aspects FEED, one of the two")
    if aspects is not None:
        return _aspects(common, aspects, images, encoder, split, as_json=as_json)
    given = {"--images": images, "--encoder": encoder, "--split": split}
    if wrong := [name for name, value in given.items() if value is not None]:
        raise InputError(f"{', '.join(wrong)} goes with --aspects FEED only")
    assert qrels is not None
    _rankings(common, qrels, as_json=as_json)
    return OK


def _rankings(common: Common, qrels: Path, *, as_json: bool) -> None:
    from vision_rec.cli.output import lines_of, write_json, write_table
    from vision_rec.cli.search import query_pictures
    from vision_rec.evaluate import evaluate as run_evaluate

    lines = lines_of(qrels)
    recommender = common.recommender(rules=False)  # what is measured is the ranking, not the merchandiser
    with query_pictures(recommender, folder=qrels.parent) as open_picture:
        measured = run_evaluate(
            recommender,
            lines,
            open_picture=open_picture,
            open_cropped=partial(open_picture, cropped=True),
        )
    if as_json:
        write_json(measured)
        return
    rows = [
        (name, f"{value:.4f}" if name != "queries" else f"{value:.0f}") for name, value in measured.items()
    ]
    write_table(("metric", "value"), rows, right=("value",))


def _aspects(
    common: Common,
    feed: Path,
    images: Path | None,
    encoder: str | None,
    split: str | None,
    *,
    as_json: bool,
) -> int:
    from vision_rec.aspects.catalogue import measure_catalogue
    from vision_rec.cli.output import remark, write_json
    from vision_rec.cli.progress import progress_bar

    settings = common.settings(encoders={"image": encoder})
    with progress_bar(common) as progress:
        report = measure_catalogue(
            feed, settings=settings, images=images, split=split or "all", progress=progress
        )
    if as_json:
        write_json(_document(report))
    else:
        _write_table(report)
        for note in report.notes:
            remark(common, f"note: {note}")
    return SOME_REJECTED if report.rejected else OK


def _document(report: CatalogueReport) -> dict[str, object]:
    fields = ("split", "k", "products", "offered", "rejected", "encoder")
    measures = [
        {
            "block": measure.block,
            "label": measure.label,
            "condition": measure.condition,
            **asdict(measure.precision),
            "chance": measure.chance,
        }
        for measure in report.measures
    ]
    named = {name: getattr(report, name) for name in fields}
    return {**named, "measures": measures, "notes": list(report.notes)}


def _write_table(report: CatalogueReport) -> None:
    from vision_rec.cli.output import write_line, write_table

    write_line(f"{report.products} products, P@{report.k}, labels with more than {report.k} members")
    rows = [
        (
            measure.block,
            measure.label,
            measure.condition or "all",
            f"{measure.precision.micro:.3f}",
            f"{measure.precision.macro:.3f}",
            f"{measure.chance:.3f}",
            str(measure.precision.queries),
        )
        for measure in report.measures
    ]
    numbers = ("micro", "macro", "chance", "queries")
    write_table(("block", "label", "among", *numbers), rows, right=numbers)
