"""The files of rules: sealed JSON that shows damage, replaced in one step; one writer at a time."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vision_rec.errors import IncompatibleError, IntegrityError, LockedError, ResourceError, UnavailableError
from vision_rec.failpoints import failpoint
from vision_rec.outfile import sync

FORMAT = 1
LOCK_SECONDS = 5.0  # a change takes milliseconds; who waits longer is told
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # the last: a limit on the size of files


def read_sealed(path: Path) -> dict[str, Any]:
    """Read what `write_sealed` wrote; raises IntegrityError, IncompatibleError, FileNotFoundError."""
    try:
        document = json.loads(path.read_bytes())
        body, seal = document["body"], document["sha256"]
    except FileNotFoundError:
        raise
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise IntegrityError(f"{path} is damaged: {error}") from error
    if document.get("format") != FORMAT:
        raise IncompatibleError(
            f"{path} has format {document.get('format')!r}, this release reads {FORMAT}; "
            "use the release that wrote it"
        )
    if not isinstance(body, dict) or seal != _seal(body):
        raise IntegrityError(f"{path} is damaged: its content is not what its SHA-256 says")
    return body


def write_sealed(path: Path, body: Mapping[str, Any], place: str) -> None:
    """Replace `path` in one step; before it readers see the old content, after it the new one.

    `place` names the failpoints on the way.
    """
    document = {"format": FORMAT, "sha256": _seal(body), "body": body}
    replace_file(path, json.dumps(document, ensure_ascii=False, indent=1).encode(), place)


def replace_file(path: Path, data: bytes, place: str) -> None:
    """Give `path` the content `data`, owner-only, and wait until the disk has it."""
    beside = path.with_name(f".{path.name}.tmp")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    failpoint(f"{place}-written")
    os.replace(beside, path)
    failpoint(f"{place}-replaced")
    sync(path.parent)


def append_line(path: Path, entry: Mapping[str, Any], place: str) -> None:
    """Add one line of JSON to `path` and wait until the disk has it."""
    line = json.dumps(entry, ensure_ascii=False).encode() + b"\n"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "ab") as file:
        file.write(line[: len(line) // 2])
        file.flush()
        failpoint(f"{place}-half")
        file.write(line[len(line) // 2 :])
        file.flush()
        os.fsync(file.fileno())
    failpoint(f"{place}-appended")


@contextmanager
def only_writer(folder: Path, seconds: float = LOCK_SECONDS) -> Iterator[None]:
    """Hold `folder`, made where absent, for writing; raises LockedError after waiting `seconds`."""
    with disk_errors(folder):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(folder / "LOCK", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            _take(descriptor, folder, seconds)
            yield
        finally:
            os.close(descriptor)  # which lets go


def _take(descriptor: int, folder: Path, seconds: float) -> None:
    end = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError as error:
            if time.monotonic() > end:
                raise LockedError(f"{folder} is being changed by another process; try again") from error
            time.sleep(0.005)


@contextmanager
def disk_errors(folder: Path) -> Iterator[None]:
    """Turn the system's errors into ours: no space → ResourceError, others → UnavailableError."""
    try:
        yield
    except OSError as error:
        if error.errno in _NO_SPACE:
            raise ResourceError(f"no space left for {folder}; make room and try again") from error
        where = error.filename or folder
        raise UnavailableError(
            f"the disk failed at {where}: {error.strerror or error}; check it and its permissions"
        ) from error


def _seal(body: Mapping[str, Any]) -> str:
    text = json.dumps(body, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
