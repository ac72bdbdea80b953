"""What the disk says when keys and logins are written, in this project's errors."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vision_rec.errors import ResourceError, UnavailableError

_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # the last: a limit on the size of files


@contextmanager
def disk_errors(place: Path, outcome: str) -> Iterator[None]:
    """Turn an OSError of writing `place` into ResourceError or UnavailableError that tells the `outcome`."""
    try:
        yield
    except OSError as error:
        if error.errno in _NO_SPACE:
            raise ResourceError(f"no space to write {place}; {outcome}") from error
        raise UnavailableError(f"{place} cannot be written: {error.strerror or error}; {outcome}") from error
