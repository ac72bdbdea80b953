"""Exported graphs on disk: one folder per network, complete or absent, checked before use."""

from __future__ import annotations

import hashlib
import json
import logging
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy.typing as npt

_FORMAT = 1  # raise when the way of exporting changes
_SUMS = "SHA256.json"
_log = logging.getLogger(__name__)


def graph_folder(cache: Path, key: str, example: tuple[npt.NDArray[Any], ...], free: int) -> Path:
    """Return where the graphs of network `key` lie; inputs of another shape or type lie elsewhere."""
    fixed = [(array.dtype.str, array.shape[free:]) for array in example]
    text = json.dumps([_FORMAT, key, free, fixed])
    return cache / "graphs" / hashlib.sha256(text.encode()).hexdigest()[:32]


def is_intact(folder: Path) -> bool:
    """Say whether `folder` holds a graph whose every file has the recorded SHA-256."""
    try:
        recorded = json.loads((folder / _SUMS).read_text("utf-8"))
        found = {name: file_sha256(folder / name) for name in recorded}
    except FileNotFoundError:
        if folder.exists():
            _log.warning("cached graph %s is incomplete; exporting it again", folder)
        return False
    except (OSError, ValueError, TypeError) as error:
        _log.warning("cached graph %s is unreadable (%s); exporting it again", folder, error)
        return False
    if not recorded or found != recorded:
        _log.warning("cached graph %s is damaged; exporting it again", folder)
        return False
    return True


def store(folder: Path, write: Callable[[Path], None]) -> bool:
    """Let `write` fill a new folder, then put it in place in one step; say whether that worked.

    A cache that cannot be written (full disk, read-only) costs time at the next start, not this run.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(
            prefix=".new-", dir=folder.parent, ignore_cleanup_errors=True
        ) as name:
            scratch = Path(name) / "graph"
            scratch.mkdir()
            write(scratch)
            sums = {path.name: file_sha256(path) for path in sorted(scratch.iterdir())}
            (scratch / _SUMS).write_text(json.dumps(sums), "utf-8")
            if folder.exists():
                folder.rename(Path(name) / "damaged")  # a rename cannot replace a folder that holds files
            scratch.rename(folder)
    except (OSError, RuntimeError) as error:  # OpenVINO reports a full disk as RuntimeError
        if is_intact(folder):  # another process was faster
            return True
        _log.warning("cannot keep the exported graph in %s: %s", folder, error)
        return False
    return True


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
