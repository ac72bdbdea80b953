"""How a command ends: one clear line on stderr and the documented exit code."""

from __future__ import annotations

import errno
import os
import re
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import FrameType

from vision_rec.errors import VisionRecError

OK, UNEXPECTED, USAGE, SOME_REJECTED = 0, 1, 2, 3
NO_ROOM, SIGINT, SIGPIPE, SIGTERM = 9, 130, 141, 143
BY_ERROR = {
    "invalid-input": USAGE,
    "not-found": USAGE,
    "image-unreadable": USAGE,
    "image-too-large": USAGE,
    "image-too-slow": USAGE,
    "url-not-allowed": USAGE,
    "feed-rejected": 4,
    "feed-row-rejected": 4,
    "integrity": 5,
    "incompatible-version": 6,
    "changed-meanwhile": USAGE,
    "locked": 7,
    "unavailable": 8,
    "fetch-failed": 8,
    "out-of-space": NO_ROOM,
}
EXIT_CODES = """\
Exit codes: 0 ok; 1 unexpected error; 2 wrong usage or input, nothing found under a name;
3 finished, but some rows or queries were rejected; 4 feed rejected, nothing published;
5 stored files damaged; 6 written by another version; 7 locked by another process;
8 a library, model or version is not available; 9 out of disk or memory;
130 stopped by Ctrl-C; 141 the reader of the output went away; 143 stopped by SIGTERM."""
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # the last: a limit on the size of files
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


@dataclass(slots=True)
class Outcome:
    """The exit code of what runs inside `reported`."""

    code: int = OK


class _TerminatedError(BaseException):
    """SIGTERM came; like KeyboardInterrupt, no handler of ordinary errors may stop it."""


@contextmanager
def reported(*, traces: bool = False) -> Iterator[Outcome]:
    """Turn whatever is raised inside into one line on stderr and an exit code.

    With `traces` the traceback is shown too.
    """
    outcome = Outcome()
    try:
        yield outcome
    except (SystemExit, GeneratorExit):
        raise
    except BaseException as error:
        outcome.code = _code_of(error)
        if traces and outcome.code not in (SIGINT, SIGPIPE, SIGTERM):
            traceback.print_exc()
        if outcome.code == SIGPIPE:
            _forget_stdout()
        else:
            say(_sentence(error))


def one_line(text: str) -> str:
    """Return `text` without line breaks and other control characters: feeds and names may hold any."""
    return _CONTROL.sub(" ", text).rstrip()


def say(text: str) -> None:
    """Write one line to stderr."""
    with suppress(OSError):  # nobody listens
        sys.stderr.write(f"{one_line(text).lstrip()}\n")
        sys.stderr.flush()


@contextmanager
def stop_on_sigterm() -> Iterator[None]:
    """End by unwinding at SIGTERM, so that locks, processes and unfinished files are cleaned up."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may set handlers
        return
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _terminate(number: int, frame: FrameType | None) -> None:
    raise _TerminatedError


def _code_of(error: BaseException) -> int:
    if isinstance(error, KeyboardInterrupt):
        return SIGINT
    if isinstance(error, _TerminatedError):
        return SIGTERM
    if isinstance(error, VisionRecError):
        return BY_ERROR.get(error.code, UNEXPECTED)
    if isinstance(error, MemoryError):
        return NO_ROOM
    if isinstance(error, BrokenPipeError):
        return SIGPIPE
    if isinstance(error, OSError) and error.errno in _NO_SPACE:
        return NO_ROOM
    return UNEXPECTED


def _sentence(error: BaseException) -> str:
    if isinstance(error, KeyboardInterrupt):
        return "stopped by Ctrl-C; what was published before is untouched"
    if isinstance(error, _TerminatedError):
        return "stopped by SIGTERM; what was published before is untouched"
    if isinstance(error, VisionRecError):
        return f"error: {error}"
    if isinstance(error, MemoryError):
        return "error: not enough memory; give the process more"
    if isinstance(error, OSError) and error.errno in _NO_SPACE:
        return f"error: the disk is full: {error}"
    what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return f"error: unexpected {what}; run it again with -vv to see where, and report it"


def _forget_stdout() -> None:
    # Else the interpreter would complain when it flushes stdout at its end.
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
