"""Files and folders for results: there as a whole, or not at all; and safely on the disk."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from vision_rec.errors import InputError, ResourceError

_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # the last: a limit on the size of files


@contextmanager
def unfinished(path: Path) -> Iterator[Path]:
    """Give the name of a file to write, which takes the place of `path` once the block has ended well.

    What is no plain file (a pipe, a terminal) is written to directly. Raises InputError where `path` cannot
    be written, ResourceError where the disk is full; an older file is then still there.
    """
    with _told(path):
        if path.is_dir():
            raise InputError(f"{path} is a folder; name a file to write")
        if path.exists() and not path.is_file():
            yield path
            return
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
        os.close(handle)
        try:
            yield Path(name)
            os.chmod(name, 0o666 & ~_umask())
            os.replace(name, path)
        finally:
            with suppress(FileNotFoundError):
                os.unlink(name)


@contextmanager
def unfinished_folder(path: Path) -> Iterator[Path]:
    """Give a new folder to fill, which takes the place of the folder `path` once the block has ended well.

    What `path` held before is then gone; the caller has made sure that nobody misses it. Raises InputError
    where it cannot be written, ResourceError where the disk is full; what was there is then still there.
    """
    path = path.resolve()
    with _told(path):
        scratch = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part"))
        try:
            new, old = scratch / "new", scratch / "old"
            new.mkdir()
            yield new
            if path.exists():
                path.rename(old)
            try:
                new.rename(path)
            except OSError:
                if old.exists():
                    old.rename(path)
                raise
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


def sync(path: Path) -> None:
    """Wait until the disk has the bytes of a file, or the names in a folder."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        if error.errno in _NO_SPACE:
            free = shutil.disk_usage(path.parent).free
            raise ResourceError(f"the disk ran full while writing {path}; {free} bytes are free") from error
        raise InputError(f"{path} cannot be written: {error.strerror or error}") from error


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
