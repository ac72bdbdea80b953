"""`export-similar`: all similar lists as Parquet; `export-onnx`: the image encoder for other languages."""

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


def export_onnx(
    common: Common,
    out: Annotated[Path, typer.Argument(metavar="DIR", help="Folder to write; a former export is replaced.")],
    encoder: Annotated[
        str | None,
        typer.Option(metavar="bundled|DIR", help="Encoder to export [the setting encoders.image]."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write the image encoder as ONNX.

    DIR gets encoder.onnx, encoder.json (how to call it) and test-vectors.json, once the graph is proven to
    give the same blocks as the network it comes from.
    """
    from vision_rec.cli.output import write_json, write_line
    from vision_rec.export_onnx import export_onnx as run_export

    done = run_export(encoder or common.settings().encoders.image, out)
    if as_json:
        write_json({**asdict(done), "folder": str(done.folder)})
        return
    worst = max(found.max_difference for found in done.parity.values())
    write_line(f"{out}: encoder {done.fingerprint}, {done.bytes} bytes, within {worst:.1g} of the network")
