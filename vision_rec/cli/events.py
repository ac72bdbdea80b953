"""`events`: read what visitors did from a file, and write it to one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vision_rec.cli.common import AsJson, Common
from vision_rec.cli.exits import OK, SOME_REJECTED

_SHOWN = 10  # rejected rows told on stderr


def import_file(
    common: Common,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="CSV, TSV, JSON Lines or Parquet.")],
    map: Annotated[
        list[str] | None,
        typer.Option("--map", metavar="FIELD=COLUMN", help="Column of a field; may be repeated."),
    ] = None,
    pseudonymous: Annotated[
        bool,
        typer.Option("--pseudonymous", help="User and session ids are those that `events export` wrote."),
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Store the events of a file, each once.

    Columns: product_id, type (view where absent), user_id, session_id, at and others, by common names.
    """
    from vision_rec.cli.options import read_mapping
    from vision_rec.cli.output import remark, write_json, write_line
    from vision_rec.cli.progress import progress_bar
    from vision_rec.events import EventLog
    from vision_rec.events.files import import_events

    log = EventLog(common.settings())
    with progress_bar(common) as progress:
        done = import_events(log, file, mapping=read_mapping(map), hashed=pseudonymous, progress=progress)
    log.close()
    if as_json:
        counts = {"accepted": done.accepted, "duplicates": done.duplicates, "rejected": done.rejects}
        write_json({"file": str(file), **counts, "rejects": done.rejected})
    else:
        for bad in done.rejected[:_SHOWN]:
            remark(common, f"line {bad['line']}, column {bad['column']!r}: {bad['reason']}")
        write_line(
            f"{file}: {done.accepted} events stored, {done.duplicates} were there already, "
            f"{done.rejects} rejected"
        )
    return SOME_REJECTED if done.rejects else OK


def export_file(
    common: Common,
    out: Annotated[Path, typer.Argument(metavar="OUT", help="File to write: .csv, .jsonl or .parquet.")],
    as_json: AsJson = False,
) -> None:
    """Write all events to a file, under pseudonyms."""
    from vision_rec.cli.output import write_json, write_line
    from vision_rec.events import EventLog
    from vision_rec.events.files import export_events

    log = EventLog(common.settings())
    count = export_events(log.export(), out)
    log.close()
    if as_json:
        write_json({"output": str(out), "events": count})
    else:
        write_line(f"{out}: {count} events")
