"""`train session`: what is asked goes in, which model won comes out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vision_rec.cli.common import AsJson, Common
from vision_rec.errors import InputError

if TYPE_CHECKING:
    from vision_rec.training.run_session import SessionReport
    from vision_rec.training.session_recipe import SessionRecipe


def session(
    common: Common,
    events: Annotated[
        list[Path] | None,
        typer.Option("--events", metavar="FILE", help="Events to learn from; may be repeated [the store]."),
    ] = None,
    index: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Index whose rows are viewed [--indexes, if it has them]."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder for the pair [publish it in --data].")
    ] = None,
    recipe: Annotated[Path | None, typer.Option(metavar="FILE", help="Training recipe, TOML.")] = None,
    kind: Annotated[
        str | None, typer.Option(metavar="KIND", help="attention, gru, or auto: what does better.")
    ] = None,
    epochs: Annotated[int | None, typer.Option(metavar="N", help="How long to train at most.")] = None,
    minutes: Annotated[float | None, typer.Option(metavar="M", help="Stop after so many minutes.")] = None,
    go_on: Annotated[
        bool, typer.Option("--continue", help="From the pair in use; publish only what is no worse.")
    ] = False,
    by: Annotated[str, typer.Option(metavar="user|session", help="Whose acts make one sequence.")] = "user",
    as_json: AsJson = False,
) -> None:
    """Learn from events what is viewed together.

    Trains the behaviour block and the sequence model, and publishes them as one pair for the next reindex.

    Ctrl-C keeps the last checkpoint; the same command goes on from there.
    """
    from vision_rec.cli.output import remark, write_json, write_table
    from vision_rec.training.run_session import SessionOptions, train_session

    if by not in ("user", "session"):
        raise InputError(f"--by is {by!r}; allowed are user and session")
    if minutes is not None and not 0 < minutes < 1e6:
        raise InputError(f"--minutes is {minutes}; allowed is above 0")
    if out is not None and out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file; --out needs a folder")
    chosen = _recipe(recipe, kind, epochs, go_on=go_on)
    options = SessionOptions(
        tuple(events or ()), index, out, "user" if by == "user" else "session", minutes, go_on
    )
    report = train_session(common.settings(), options, chosen, log=lambda line: remark(common, line))
    if as_json:
        write_json(report.to_fields())
        return
    numbers = ("HR@10", "NDCG@10", "MRR")
    write_table(("model", *numbers, "acts", "kept"), _rows(report), right=(*numbers, "acts"))
    if report.is_published and out is None:
        remark(common, f"published {report.folder}; the next reindex takes it")


def _recipe(file: Path | None, kind: str | None, epochs: int | None, *, go_on: bool) -> SessionRecipe:
    """Read the recipe; options win over it."""
    from vision_rec.training.session_recipe import read_session_recipe

    chosen = read_session_recipe(file)
    if kind is not None:
        chosen = replace(chosen, kind=kind)
    if epochs is not None:
        chosen = replace(chosen, continue_epochs=epochs) if go_on else chosen
        chosen = replace(chosen, epochs=epochs)
    return chosen


def _rows(report: SessionReport) -> list[tuple[str, ...]]:
    return [
        (
            name,
            f"{found.hr10:.4f}",
            f"{found.ndcg10:.4f}",
            f"{found.mrr:.4f}",
            str(found.count),
            "yes" if name == report.kept else "",
        )
        for name, found in report.measures.items()
    ]
