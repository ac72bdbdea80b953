"""`evaluate-sessions`: how well recommendations foresee what visitors do next."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vision_rec.cli.common import AsJson, Common
from vision_rec.cli.exits import OK, SOME_REJECTED
from vision_rec.errors import FeedRowError, InputError

if TYPE_CHECKING:
    from vision_rec.evaluate_sessions.run import SessionReport, Shop

_SHOWN = 10  # rejected rows told on stderr
_BY = ("user", "session")


def evaluate_sessions(
    common: Common,
    events: Annotated[
        list[Path] | None,
        typer.Option("--events", metavar="FILE", help="Events; may be repeated [the event store]."),
    ] = None,
    index: Annotated[
        Path | None,
        typer.Option("--index", metavar="DIR", help="Index versions with the products [--indexes]."),
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option("--model", metavar="DIR", help="Session model [the index's, or the one in use]."),
    ] = None,
    protocol: Annotated[
        str, typer.Option("--protocol", metavar="last|time", help="What is predicted [last].")
    ] = "last",
    k: Annotated[str, typer.Option("-k", "--k", metavar="K,…", help="Lengths of lists [10,20].")] = "10,20",
    by: Annotated[
        str, typer.Option("--by", metavar="user|session", help="Whose acts are one sequence [user].")
    ] = "user",
    keep_seen: Annotated[
        bool, typer.Option("--keep-seen", help="Recommend what was seen before, too.")
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Measure session recommendations.

    Popularity, co-visits, the recency mean and the trained model, each asked what visitors did next, with
    all products ranked: the last act of each visitor, or everything after a cut in time.
    """
    from vision_rec.cli.output import remark
    from vision_rec.cli.progress import progress_bar
    from vision_rec.evaluate_sessions.run import evaluate_sessions as measure
    from vision_rec.evaluate_sessions.run import stored_events
    from vision_rec.events.files import read_event_files

    if by not in _BY:
        raise InputError(f"--by is {by!r}; allowed are user and session")
    ks = _whole_numbers(k)
    rejected: list[FeedRowError] = []
    settings = common.settings()
    source = read_event_files(events, on_error=rejected.append) if events else stored_events(settings)
    with progress_bar(common) as progress:
        report = measure(
            source,
            shop=(shop := _shop(common, index)),
            pair=_pair(common, model, shop),
            protocol=protocol,
            ks=ks,
            by="session" if by == "session" else "user",
            keep_seen=keep_seen,
            progress=progress,
        )
    for bad in rejected[:_SHOWN]:
        remark(common, f"line {bad.line}, column {bad.column!r}: {bad.reason}")
    _write(common, report, len(rejected), as_json=as_json)
    return SOME_REJECTED if rejected else OK


def _whole_numbers(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError as error:
        raise InputError(f"--k is {text!r}; give whole numbers such as 10,20") from error


def _shop(common: Common, index: Path | None) -> Shop | None:
    """Open the index that was named; the usual one counts only where it is there."""
    from vision_rec.evaluate_sessions.run import open_shop

    named = index or common.indexes
    if named is not None:
        return open_shop(named)
    usual = common.settings().paths.indexes
    return open_shop(usual, is_asked=False) if (usual / "CURRENT").is_file() else None


def _pair(common: Common, model: Path | None, shop: Shop | None) -> Path | None:
    """Return the model that was named, else that of the index, else the one in use."""
    from vision_rec.evaluate_sessions.run import current_pair

    if model is None and shop is not None and shop.pair is not None:
        return shop.pair
    if model is None:
        return current_pair(common.settings())
    if not model.is_dir():
        raise InputError(f"there is no folder {model}; --model needs the folder of a trained session model")
    return model


def _write(common: Common, report: SessionReport, rejects: int, *, as_json: bool) -> None:
    from vision_rec.cli.output import remark, write_json, write_line, write_table

    if as_json:
        write_json(
            {
                "protocol": report.protocol,
                "k": list(report.ks),
                "products": report.products,
                "visitors": report.visitors,
                "cases": report.cases,
                "left_out": report.left_out,
                "rejected": rejects,
                "models": [{"model": one.model, **one.metrics} for one in report.models],
                "notes": list(report.notes),
            }
        )
        return
    write_line(
        f"{report.cases} cases of {report.visitors} visitors, {report.products} products, all ranked; "
        f"{report.left_out} cases left out: their product had been seen"
    )
    names = [
        f"{name}@{k}" for k in report.ks for name in ("hr", "ndcg", "coverage", "popularity", "cold_recall")
    ]
    columns = (*names[:2], "mrr", *names[2:])
    rows = [[one.model, *(_cell(one.metrics[name]) for name in columns)] for one in report.models]
    write_table(("model", *columns), rows, right=columns)
    for note in report.notes:
        remark(common, f"note: {note}")


def _cell(value: float | int | None) -> str:
    return "–" if value is None else f"{value:.4f}"
