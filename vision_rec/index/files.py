"""The only place that changes files of a version: durable writes, links, hashes and free space."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vision_rec.errors import IntegrityError, ResourceError, UnavailableError
from vision_rec.outfile import sync as sync  # versions call it here, where all changes of theirs are

_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # the last: a limit on the size of files


def write_durable(path: Path, data: bytes) -> None:
    """Write `data` to `path`, owner-only, and wait until the disk has it."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
    sync(path)


def rename(source: Path, target: Path) -> None:
    """Give `source` the name `target` in one step; a file there is replaced."""
    os.replace(source, target)


def link(source: Path, target: Path) -> bool:
    """Make `target` a second name of `source`; False where the file system has no hard links."""
    beside = target.with_name(f".{target.name}.link")
    beside.unlink(missing_ok=True)
    try:
        os.link(source, beside)
    except OSError as error:
        if error.errno in (errno.EPERM, errno.EXDEV, errno.EMLINK, errno.ENOTSUP):
            return False
        raise
    os.replace(beside, target)
    return True


def unshare(path: Path) -> None:
    """Give `path` bytes of its own where it shares them with a published version."""
    if path.stat().st_nlink > 1:
        beside = path.with_name(f".{path.name}.copy")
        shutil.copyfile(path, beside)
        os.replace(beside, path)


def remove_tree(folder: Path) -> None:
    """Remove `folder` and all that is in it."""
    shutil.rmtree(folder)


def hash_of(path: Path) -> str:
    """Return the SHA-256 of a file in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def files_in(folder: Path) -> Iterator[str]:
    """Yield the names of all files under `folder`, relative, in order; hidden ones are left out."""
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if path.is_symlink() or not (path.is_dir() or path.is_file()):
            raise IntegrityError(f"{path} is neither a file nor a folder; a version holds nothing else")
        if path.is_dir():
            yield from (f"{path.name}/{name}" for name in files_in(path))
        else:
            yield path.name


def load_array(path: Path, dtype: npt.DTypeLike, shape: tuple[int, ...]) -> npt.NDArray[Any]:
    """Map a `.npy` file read-only; raises IntegrityError unless it holds exactly this type and shape."""
    try:
        array = np.load(path, mmap_mode="r" if np.prod(shape) else None, allow_pickle=False)
    except Exception as error:  # a damaged header raises anything from SyntaxError to TokenError
        raise IntegrityError(f"{path} is not a readable array: {error}") from error
    if array.dtype != np.dtype(dtype) or array.shape != shape:
        raise IntegrityError(f"{path} holds {array.dtype} {array.shape}; expected {np.dtype(dtype)} {shape}")
    return array  # type: ignore[no-any-return]


def require_space(folder: Path, needed: int) -> None:
    """Raise ResourceError unless the disk of `folder` has `needed` bytes free."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise ResourceError(_no_space(folder, needed, free))


@contextmanager
def disk_errors(folder: Path, needed: int) -> Iterator[None]:
    """Turn the system's errors into ours: no space → ResourceError, others → UnavailableError."""
    try:
        yield
    except OSError as error:
        if error.errno in _NO_SPACE:
            raise ResourceError(_no_space(folder, needed, shutil.disk_usage(folder).free)) from error
        where = error.filename or folder
        raise UnavailableError(
            f"the disk failed at {where}: {error.strerror or error}; check it and its permissions"
        ) from error


def _no_space(folder: Path, needed: int, free: int) -> str:
    return (
        f"not enough space for {folder}: needed {needed} bytes, free {free} bytes; "
        "make room, or remove old versions with `vision-rec versions prune`"
    )
