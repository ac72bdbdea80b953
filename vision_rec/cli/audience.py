"""`audience`: segment the users by what they like."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vision_rec.cli.common import AsJson, Common


def audience(
    common: Common,
    segments: Annotated[int, typer.Option(metavar="N", help="Segments at most.")] = 8,
    seed: Annotated[int, typer.Option(metavar="N", help="The same seed gives the same segments.")] = 0,
    output: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the JSON document here.")] = None,
    as_json: AsJson = False,
) -> None:
    """Segment the users by what they like.

    The segments are kept in DATA/audience.json, from which services recommend to visitors of whom little is
    known. No segment is smaller than the setting sessions.min_segment_users; no ids of users are kept.
    """
    import json

    from vision_rec.audience import AudienceDesk
    from vision_rec.cli.output import write_json, write_line, write_table
    from vision_rec.events import EventLog
    from vision_rec.outfile import unfinished

    settings = common.settings()
    state, log, desk = common.recommender().state, EventLog(settings), AudienceDesk(settings)
    shown = desk.show(state, desk.make(state, log, count=segments, seed=seed))
    log.close()
    if output is not None:
        with unfinished(output) as path:
            path.write_text(json.dumps(shown, ensure_ascii=False) + "\n", encoding="utf-8")
    if as_json:
        write_json(shown)
        return
    listed = shown["segments"]
    if listed:
        rows = [
            [
                str(one["segment"]),
                str(one["users"]),
                f"{one['share']:.0%}",
                ", ".join(product["title"] or product["id"] for product in one["face"]),
            ]
            for one in listed
        ]
        write_table(
            ["segment", "users", "share", "nearest products"], rows, right=["segment", "users", "share"]
        )
    write_line(f"{len(listed)} segments of {shown['users']} users in {desk.file.path}")
