"""`evaluate`: how good the rankings are, measured on queries with known relevant products."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from vision_rec.cli.common import AsJson, Common


def evaluate(
    common: Common,
    qrels: Annotated[
        Path, typer.Argument(metavar="QRELS.jsonl", help='Queries, each with "relevant": [ids].')
    ],
    as_json: AsJson = False,
) -> None:
    """Measure rankings against known answers.

    Recall, precision, MRR, nDCG and MAP, averaged over the queries.
    """
    from vision_rec.cli.output import lines_of, write_json, write_table
    from vision_rec.cli.search import query_pictures
    from vision_rec.evaluate import evaluate as run_evaluate

    lines = lines_of(qrels)
    recommender = common.recommender()
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
