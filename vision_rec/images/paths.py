"""Where a feed's picture lies on disk, and nowhere else."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from vision_rec.errors import ImageError

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


def resolve_ref(ref: str, root: Path) -> Path:
    """Return the file that `ref` names under `root`, with links followed.

    A ref is a path as written: percent signs and backslashes are ordinary characters. Raises ImageError with
    reason `outside` when the file would lie outside `root` (also by a link), `missing`, `directory`,
    `not-a-file`, `empty-ref`, or `url` for anything with a scheme.
    """
    if not ref.strip():
        raise ImageError("the picture reference is empty; give a path below the picture folder", "empty-ref")
    shown = ascii(ref[:80])
    if _SCHEME.match(ref):
        raise ImageError(f"picture {shown} is a URL, not a path below {root}", "url")
    try:
        top = os.path.realpath(root)
        path = os.path.realpath(os.path.join(top, ref))
        # Checked before the file is looked at: nobody learns which files exist outside.
        if os.path.commonpath((top, path)) != top:
            raise ImageError(f"picture {shown} lies outside {root}; give a path below it", "outside")
        mode = os.stat(path).st_mode
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ImageError(f"picture {shown} does not exist below {root}", "missing") from error
    except ValueError as error:  # NUL, or characters no file name can have
        raise ImageError(f"picture {shown} is not a possible file name", "outside") from error
    except OSError as error:  # loop of links, name too long, no permission
        raise ImageError(f"picture {shown} cannot be looked up: {error.strerror}", "missing") from error
    if stat.S_ISDIR(mode):
        raise ImageError(f"picture {shown} is a directory; name one file", "directory")
    if not stat.S_ISREG(mode):
        raise ImageError(f"picture {shown} is not an ordinary file", "not-a-file")
    return Path(path)
