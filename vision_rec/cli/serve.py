"""`serve`: the HTTP API and the page, until told to stop."""

from __future__ import annotations

from typing import Annotated

import typer

from vision_rec.cli.common import Common


def serve(
    common: Common,
    host: Annotated[
        str | None, typer.Option(metavar="HOST", help="Address to listen on [127.0.0.1].")
    ] = None,
    port: Annotated[int | None, typer.Option(metavar="N", help="Port; 0 = a free one [8000].")] = None,
    workers: Annotated[int | None, typer.Option(metavar="N", help="Processes [1].")] = None,
) -> None:
    """Serve the HTTP API and the page.

    New versions are taken up while it runs; SIGTERM ends it with exit code 0.
    """
    settings = common.settings(service={"host": host, "port": port, "workers": workers})
    from vision_rec.service.run import serve as run_service

    run_service(settings)
