"""Where trained session pairs are kept: one folder each, and the name of the one in use.

DATA/session/2026-03-01T04-00-00Z-1a2b3c4d/   pair.json ids.json behaviour.safetensors model.safetensors
DATA/session/CURRENT                          the name of the pair that the next reindex takes
"""

from __future__ import annotations

import errno
import os
import re
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

from vision_rec.errors import IntegrityError
from vision_rec.failpoints import failpoint
from vision_rec.outfile import sync, unfinished_folder
from vision_rec.sessions.pair import CONFIG, read_config, write_file

_NAME = re.compile(r"\d{4}-\d\d-\d\dT\d\d-\d\d-\d\dZ-[0-9a-f]{8}", re.ASCII)
_TIME = "%Y-%m-%dT%H-%M-%SZ"


class PairStore:
    """The pairs under one folder; a pair there never changes."""

    def __init__(self, root: Path) -> None:
        self.root = Path(root)

    def current(self) -> Path | None:
        """Return the folder of the pair in use, None where there is none.

        Raises IntegrityError where CURRENT names something else than a pair that is there.
        """
        try:
            name = (self.root / "CURRENT").read_bytes()[:100].decode("ascii", "replace").strip()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise IntegrityError(f"{self.root / 'CURRENT'} cannot be read: {error.strerror}") from error
        folder = self.root / name
        if not _NAME.fullmatch(name) or not (folder / CONFIG).is_file():
            raise IntegrityError(
                f"{self.root / 'CURRENT'} names {name[:60]!r}, no session pair there; train one with "
                "`vision-rec train session`, or set sessions.model to 'off' or to a folder"
            )
        return folder

    def publish(self, building: Path) -> Path:
        """Make the pair in the folder `building` the one in use, in one step, and return its folder.

        `building` is moved. A pair that is in use already stays as it is.
        """
        building = Path(building)
        fingerprint = read_config(building).fingerprint
        self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        if (same := self._in_use(fingerprint)) is not None:
            shutil.rmtree(building)
            return same
        folder = self.root / f"{self._next_time()}-{fingerprint[:8]}"
        _move(building, folder)
        failpoint("pair.renamed")
        sync(self.root)
        beside = self.root / ".CURRENT.tmp"
        write_file(beside, folder.name.encode() + b"\n")
        failpoint("pair.current-written")
        os.replace(beside, self.root / "CURRENT")
        sync(self.root)
        return folder

    def prune(self, keep: int = 3) -> tuple[Path, ...]:
        """Remove all but the newest `keep` pairs and the one in use; return what was removed."""
        current = self.current()
        old = [folder for folder in self._folders()[:-keep] if folder != current]
        for folder in old:
            (folder / CONFIG).unlink()  # from here on it is no pair
            shutil.rmtree(folder)
        return tuple(old)

    def _in_use(self, fingerprint: str) -> Path | None:
        try:
            folder = self.current()
            return folder if folder and read_config(folder).fingerprint == fingerprint else None
        except IntegrityError:
            return None  # a good pair takes its place

    def _folders(self) -> list[Path]:
        return sorted(path for path in self.root.iterdir() if _NAME.fullmatch(path.name) and path.is_dir())

    def _next_time(self) -> str:
        """Return now, or a second after the newest pair: names order as published."""
        now = datetime.now(UTC).replace(microsecond=0, tzinfo=None)
        for folder in self._folders()[-1:]:
            now = max(now, datetime.strptime(folder.name[:20], _TIME) + timedelta(seconds=1))
        return now.strftime(_TIME)


def _move(source: Path, target: Path) -> None:
    try:
        os.rename(source, target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        with unfinished_folder(target) as new:  # another disk: copied, then renamed
            shutil.copytree(source, new, dirs_exist_ok=True)
        shutil.rmtree(source)
