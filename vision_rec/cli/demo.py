"""`demo`: the sample shop from nothing to a page in the browser."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vision_rec.cli.common import AsJson, Common


def demo(
    common: Common,
    port: Annotated[int | None, typer.Option(metavar="N", help="Port of the page [8000].")] = None,
    products: Annotated[int, typer.Option(metavar="N", help="Products to draw.")] = 1000,
    no_serve: Annotated[bool, typer.Option("--no-serve", help="Draw and reindex only.")] = False,
    catalog: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder of the sample shop [catalog].")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Draw, index and serve the sample shop.

    What is there already is neither drawn nor encoded again.
    """
    from vision_rec.cli.output import remark, write_json, write_line
    from vision_rec.cli.progress import progress_bar
    from vision_rec.cli.reindex import write_summary
    from vision_rec.demo import check_port, prepare_demo

    settings = common.settings(service={"port": port}, paths={"catalog": catalog})
    if not no_serve:
        check_port(settings.service)  # before the minute that drawing and encoding take
    with progress_bar(common) as progress:
        ready = prepare_demo(settings, products=products, progress=progress)
    url = f"http://{settings.service.host}:{settings.service.port}/"
    if as_json:
        write_json({"url": None if no_serve else url, "feed": str(ready.shop.feed), **ready.report.to_dict()})
    else:
        write_summary(common, ready.report)
        write_line("try:")
        for line in ready.commands:
            write_line(f"  {line}")
    if no_serve:
        return
    if not as_json:
        write_line(f"open {url}")
    remark(common, "Ctrl-C ends the service")
    from vision_rec.service.run import serve

    serve(settings)
