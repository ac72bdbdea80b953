"""`export-similar`: the whole catalogue's similar lists as Parquet."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from vision_rec.cli.common import AsJson, Common


def export_similar(
    common: Common,
    out: Annotated[Path, typer.Argument(metavar="OUT.parquet", help="File to write.")],
    k: Annotated[int, typer.Option("-k", "--k", help="Products per list, at most 200.")] = 20,
    as_json: AsJson = False,
) -> None:
    """Write all similar lists to Parquet.

    Columns: product_id, position (1 = most similar), similar_id, score.
    """
    from vision_rec.cli.output import write_json, write_line
    from vision_rec.cli.progress import progress_bar
    from vision_rec.export import export_similar as run_export

    recommender = common.recommender()
    with progress_bar(common) as progress:
        done = run_export(recommender, out, k=k, progress=progress)
    if as_json:
        write_json({"output": str(out), **asdict(done)})
    else:
        write_line(f"{out}: {done.rows} pairs of {done.products} products, version {done.version_id}")
