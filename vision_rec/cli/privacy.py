"""`privacy`: give somebody what is stored of them, and erase it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vision_rec.cli.common import AsJson, Common

User = Annotated[str, typer.Argument(metavar="USER", help="The user's id, as events carry it.")]


def export_user(
    common: Common,
    user: User,
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help="File to write: .csv, .jsonl or .parquet [stdout].")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write all events of a user."""
    from vision_rec.cli.output import output_lines, write_json, write_line
    from vision_rec.events import EventLog
    from vision_rec.events.files import event_to_json, export_events

    log = EventLog(common.settings())
    if output is not None:
        count = export_events(log.export(user), output)
        if as_json:
            write_json({"user": user, "output": str(output), "events": count})
        else:
            write_line(f"{output}: {count} events")
    elif as_json:
        write_json({"user": user, "events": [event_to_json(event) for event in log.export(user)]})
    else:
        with output_lines(None) as write:
            for event in log.export(user):
                write(event_to_json(event))
    log.close()


def erase_user(common: Common, user: User, as_json: AsJson = False) -> None:
    """Erase all that is stored of a user.

    Events of before that are sent or imported again are refused.
    """
    from vision_rec.cli.output import write_json, write_line
    from vision_rec.events import EventLog

    log = EventLog(common.settings())
    count = log.erase(user)
    log.close()
    if as_json:
        write_json({"erased": count})
    else:
        write_line(f"{count} events erased")
