"""One decode process as its parent sees it: launched, fed, watched with limits, ended."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from multiprocessing import Pipe, ProcessError
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vision_rec.errors import ImageError, ImageTooLargeError, ImageTooSlowError, UnavailableError
from vision_rec.types import Picture

if TYPE_CHECKING:
    from vision_rec.settings import ImageSettings

START_S = 60.0  # a process that has not come up by then never will
# Not multiprocessing.Process: spawn and forkserver import the caller's main script again, which runs a script
# without a main guard twice. A plain child has no such side effect.
BOOTSTRAP = "from vision_rec.images.worker import main; main()"
_SAME_PATH = "import json, sys; sys.path[:] = json.loads(sys.argv[2])\n"
_KINDS = {kind.__name__: kind for kind in (ImageError, ImageTooLargeError, ImageTooSlowError)}

Source = Path | bytes
Outcome = Picture | ImageError


class CrashError(Exception):
    """The decode process is gone, and it was no limit of ours that ended it."""


class DecodeProcess:
    """One decode process and the socket to it; started when first needed, used by one thread at a time."""

    def __init__(self, limits: ImageSettings) -> None:
        self._limits = limits
        self._lock = threading.Lock()  # between `stop` and the thread that starts a process
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: Connection | None = None
        self._stopped = False

    def stop(self) -> None:
        """Kill the process and let none start; the thread that waits for it sees its socket end."""
        with self._lock:
            self._stopped = True
            if self._process is not None:
                self._process.kill()

    def decode(self, sources: Sequence[Source], max_side: int, query: bool) -> Iterator[Outcome]:
        """Yield outcomes in order; after a stalled picture's error the rest is left to the next process."""
        connection = self._start()
        try:
            _send_job(connection, sources, max_side, query)
            for _ in sources:
                if not connection.poll(self._limits.timeout_s):
                    self.end()
                    yield self._too_slow("wall time")
                    return
                yield _receive(connection, max_side)
        except (EOFError, OSError) as error:
            if self.end() != -signal.SIGXCPU:
                raise CrashError from error
            yield self._too_slow("CPU time")

    def _too_slow(self, what: str) -> ImageTooSlowError:
        share = 1.0 if what == "wall time" else 0.5
        message = (
            f"decoding the picture took more than {self._limits.timeout_s * share:g} s of {what}, the limit"
        )
        return ImageTooSlowError(message, "too-slow")

    def _start(self) -> Connection:
        if self._connection is not None and self._process is not None and self._process.poll() is None:
            return self._connection
        for _ in range(3):  # somebody may kill it while it starts
            self.end()
            connection = self._launch()
            try:
                connection.send_bytes(self._limits.model_dump_json().encode())
                if connection.poll(START_S) and connection.recv_bytes(16) == b"ready":
                    return connection
            except (EOFError, OSError):
                continue
        self.end()
        raise UnavailableError(
            f"no decode process comes up; try {sys.executable} -c 'import vision_rec.images'"
        )

    def _launch(self) -> Connection:
        ours, theirs = Pipe()
        environment = os.environ | {
            "OPENBLAS_NUM_THREADS": "1",  # its idle threads would count as address space
            "OMP_NUM_THREADS": "1",
        }
        with self._lock, theirs:
            if self._stopped:
                ours.close()
                raise UnavailableError("the decode pool is closed")
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    "-P",
                    "-c",
                    _SAME_PATH + BOOTSTRAP,
                    str(theirs.fileno()),
                    json.dumps(sys.path),
                ],
                pass_fds=[theirs.fileno()],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is the parent's; it closes the pool
            )
            self._connection = ours
        return ours

    def end(self) -> int:
        """Kill what still runs, close the socket, return the exit status (negative: the signal)."""
        process, connection = self._process, self._connection
        self._process = self._connection = None
        status = 0
        if connection is not None:
            connection.close()
        if process is not None:
            try:
                status = process.wait(timeout=0.2)  # its own end tells more than our kill
            except subprocess.TimeoutExpired:
                process.kill()
                status = process.wait()
        return status


def _send_job(connection: Connection, sources: Sequence[Source], max_side: int, query: bool) -> None:
    paths = [None if isinstance(source, bytes) else str(source) for source in sources]
    connection.send_bytes(json.dumps({"sources": paths, "side": max_side, "query": query}).encode())
    for source in sources:
        if isinstance(source, bytes):
            connection.send_bytes(source)


def _receive(connection: Connection, max_side: int) -> Outcome:
    """Take one answer; its form is checked, for the process may be under foreign control."""
    try:
        answer = json.loads(connection.recv_bytes(1 << 16))
        if "error" in answer:
            kind, text, reason = answer["error"]
            return _KINDS[kind](text, reason)
        height, width = (int(side) for side in answer["shape"][:2])
        if not (0 < height <= max_side and 0 < width <= max_side):
            raise ValueError(f"a picture of {height} × {width} from a decode process asked for {max_side}")
        picture: Picture = np.empty((height, width, 3), np.uint8)
        if connection.recv_bytes_into(picture.data.cast("B")) != picture.nbytes:
            raise ValueError("a decode process sent fewer pixels than it announced")
    except (ValueError, KeyError, TypeError, ProcessError) as error:
        raise EOFError from error
    return picture
