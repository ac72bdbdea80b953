"""`reindex`: from a feed to a new version, with a progress bar and a summary."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vision_rec.cli.common import AsJson, Common
from vision_rec.cli.exits import OK, SOME_REJECTED
from vision_rec.cli.options import read_mapping

if TYPE_CHECKING:
    from vision_rec.reindex import ReindexReport

_SHOWN = 5  # rejected rows in the summary; the JSON report lists them


def reindex(
    common: Common,
    feed: Annotated[Path, typer.Argument(metavar="FEED", help="Feed: CSV, TSV, XML, JSON Lines, Parquet.")],
    images: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder of the pictures [the feed's folder].")
    ] = None,
    reviews: Annotated[Path | None, typer.Option(metavar="FILE", help="Customers' reviews.")] = None,
    views: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Views, where no session pair is trained.")
    ] = None,
    plan: Annotated[bool, typer.Option("--plan", help="Say what would be done, and stop.")] = False,
    full: Annotated[bool, typer.Option("--full", help="Encode everything anew.")] = False,
    index: Annotated[
        str | None, typer.Option(metavar="exact|flat|hnsw|ivf|auto", help="Kind of the index [auto].")
    ] = None,
    map: Annotated[
        list[str] | None,
        typer.Option("--map", metavar="FIELD=COLUMN", help="Column of a field; may be repeated."),
    ] = None,
    default_currency: Annotated[
        str | None, typer.Option(metavar="CODE", help="Currency of prices without one, as EUR.")
    ] = None,
    max_reject_share: Annotated[
        float | None,
        typer.Option(metavar="SHARE", help="Most bad rows allowed [0.05]."),
    ] = None,
    allow_shrink: Annotated[
        bool, typer.Option("--allow-shrink", help="Accept that much of the catalogue is gone.")
    ] = False,
    refresh_images: Annotated[
        bool, typer.Option("--refresh-images", help="Fetch pictures with URLs again.")
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Make a new index version from a feed.

    Only what has changed is encoded. A run that was stopped goes on where it was when it is called again.
    """
    from vision_rec.cli.output import write_json
    from vision_rec.cli.progress import progress_bar
    from vision_rec.reindex import reindex as run_reindex

    settings = common.settings(
        index={"kind": index},
        feed={
            "map": read_mapping(map),
            "default_currency": default_currency,
            "max_reject_share": max_reject_share,
        },
    )
    with progress_bar(common) as progress:
        report = run_reindex(
            feed,
            settings=settings,
            images=images,
            reviews=reviews,
            views=views,
            plan_only=plan,
            full=full,
            allow_shrink=allow_shrink,
            refresh_images=refresh_images,
            progress=progress,
        )
    if as_json:
        write_json(report.to_dict())
    else:
        write_summary(common, report)
    rejected = report.rejected or report.reviews_rejected or report.views_rejected
    return SOME_REJECTED if rejected else OK


def write_summary(common: Common, report: ReindexReport) -> None:
    """Write what a run did to stdout, what it left out to stderr."""
    from vision_rec.cli.output import remark, write_line

    plan = report.plan
    done = {
        "planned": "nothing was done yet, since --plan",
        "unchanged": f"nothing has changed; version {report.version_id} stays",
        "published": f"published version {report.version_id}",
    }
    write_line(f"{done.get(report.outcome, report.outcome)} ({report.seconds:.1f} s)")
    counts = {
        "products": plan.products,
        "new": plan.new,
        "text changed": plan.text_changed,
        "pictures changed": plan.pictures_changed,
        "reviews changed": plan.reviews_changed,
        "only price, stock and the like": plan.meta_changed,
        "unchanged": plan.unchanged,
        "returned": plan.returned,
        "gone": plan.gone,
        "kept without being in the feed": plan.retired,
        "dropped": plan.dropped,
        "behaviour changed": plan.behaviour_changed,
        "to encode": plan.to_encode,
    }
    for name, count in counts.items():
        if count or name in ("products", "to encode"):
            write_line(f"{name + ':':32}{count:>8}")
    if report.outcome == "published":
        write_line(f"{'pictures encoded:':32}{report.pictures_encoded:>8}")
    for sentence in _remarks(report):
        remark(common, sentence)


def _remarks(report: ReindexReport) -> list[str]:
    out = [f"note: {note}" for note in report.notes]
    if report.plan.encoders_changed:
        out.append(f"encoders changed: {', '.join(report.plan.encoders_changed)}")
    if report.duplicates:
        out.append(f"{report.duplicates} rows repeat an id; the last of each counts")
    if stray := report.reviews_without_product:
        out.append(f"{stray} of {report.reviews} reviews belong to no product of the feed")
    for reason, count in report.image_problems.items():
        out.append(f"{count} pictures not used: {reason}")
    if report.products_without_image:
        out.append(f"{report.products_without_image} products have no usable picture")
    for reject in report.rejects[:_SHOWN]:
        out.append(f"rejected {reject.file}:{reject.line}, column {reject.column!r}: {reject.reason}")
    left = report.rejected + report.reviews_rejected + report.views_rejected - _SHOWN
    if left > 0:
        out.append(f"and {left} more rejected rows; --json lists them")
    return out
