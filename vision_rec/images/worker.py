"""The decode process: reads jobs from a socket, answers pixels or errors, and dies rather than run away.

It speaks JSON and raw bytes, never pickles: what comes out of a process that handles hostile files is data.
Job: a JSON head {"sources": [path or null], "side", "query"}, then one message of bytes per null.
Answer, per source: {"shape": [h, w, 3]} and a message of pixels, or {"error": [kind, text, reason]}.
"""

from __future__ import annotations

import json
import math
import os
import resource
import signal
import sys
import time
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

from PIL import AvifImagePlugin

from vision_rec.errors import ImageError
from vision_rec.images.decode import open_image

if TYPE_CHECKING:
    from vision_rec.settings import ImageSettings

_MEMORY = 1 << 30  # bytes of address space above the start
_GRACE_S = 5  # past the wall limit the parent kills; this process ends itself should the parent be gone


def main() -> None:
    """Serve jobs on the socket whose number is the first argument, until the other side closes it."""
    connection = Connection(int(sys.argv[1]))
    with suppress(EOFError, ConnectionError):
        values = json.loads(connection.recv_bytes())
        limits = cast("ImageSettings", SimpleNamespace(**values))  # the same fields, without pydantic
        _confine()
        connection.send_bytes(b"ready")
        while True:
            _serve(connection, limits)


def _confine() -> None:
    AvifImagePlugin.DEFAULT_MAX_THREADS = 1
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # C libraries write their complaints about files to stderr
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # Not every system can limit address space or tell its present size.
    with suppress(OSError, ValueError):
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        most = pages * resource.getpagesize() + _MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (most, most))


def _serve(connection: Connection, limits: ImageSettings) -> None:
    job = json.loads(connection.recv_bytes())
    # All bytes are taken in before the first is decoded: the parent must watch, not wait to send.
    sources = [connection.recv_bytes() if path is None else Path(path) for path in job["sources"]]
    for source in sources:
        _set_alarm(limits.timeout_s)
        try:
            picture = open_image(source, max_side=job["side"], limits=limits, query=job["query"])
        except ImageError as error:
            answer = {"error": [type(error).__name__, str(error), error.reason]}
            connection.send_bytes(json.dumps(answer).encode())
        else:
            connection.send_bytes(json.dumps({"shape": picture.shape}).encode())
            connection.send_bytes(picture.data.cast("B"))
    signal.setitimer(signal.ITIMER_REAL, 0)


def _set_alarm(timeout_s: float) -> None:
    """Give the next picture half its wall time in CPU seconds; both limits kill this process."""
    signal.setitimer(signal.ITIMER_REAL, timeout_s + _GRACE_S)
    most = math.ceil(time.process_time() + timeout_s / 2)
    resource.setrlimit(resource.RLIMIT_CPU, (most, resource.RLIM_INFINITY))
