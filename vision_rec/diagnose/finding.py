"""Finding: one line of the doctor."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from vision_rec.errors import IncompatibleError, IntegrityError, UnavailableError, VisionRecError

Status = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the doctor; `damage` marks stored files that are not what they should be."""

    name: str
    status: Status
    detail: str
    fix: str = ""
    damage: bool = False


def failed(name: str, error: VisionRecError, fix: str) -> Finding:
    """Return `error` as a finding; `fix` unless its message names the cure."""
    said = isinstance(error, UnavailableError | IncompatibleError)
    return Finding(name, "fail", str(error), "" if said else fix, damage=isinstance(error, IntegrityError))


def existing(folder: Path) -> Path:
    """Return `folder`, or the nearest folder above it that exists."""
    return next(path for path in (folder.absolute(), *folder.absolute().parents) if path.is_dir())
