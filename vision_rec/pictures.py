"""Pictures at the door: those that requests bring, and small ones of products for pages."""

from __future__ import annotations

import hashlib
import os
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from vision_rec.errors import ImageError, NotFoundError
from vision_rec.fetch.cache import FileCache
from vision_rec.images import DecodePool, resolve_ref, thumbnail
from vision_rec.settings import ImageSettings
from vision_rec.types import Picture

WIDTHS = (80, 160, 320, 480, 640, 960)
_FORM = b"1"  # raise it when thumbnails are made in another way: old ones are then not found


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """A small picture as WebP; `tag` changes whenever the bytes may."""

    data: bytes
    tag: str


class QueryPictures:
    """Decodes pictures of requests, in processes of their own: a hostile one costs only itself."""

    def __init__(self, limits: ImageSettings, workers: int = 2) -> None:
        self._pool = DecodePool(workers, limits)

    def open(self, data: bytes, *, max_side: int) -> Picture:
        """Decode a picture (H, W, 3), longest side at most `max_side`; raises ImageError and its kinds."""
        return self._pool.open(data, max_side=max_side, query=True)

    def close(self) -> None:
        """End the processes."""
        self._pool.close()


class Thumbnails:
    """Thumbnails of catalogue pictures, kept in a folder that may be deleted at any time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def tag(self, path: Path, width: int) -> str:
        """Name the thumbnail of the file at `path` as it is now."""
        stat = path.stat()
        seed = f"{path}\0{stat.st_size}\0{stat.st_mtime_ns}\0{snap(width)}".encode("utf-8", "surrogateescape")
        return hashlib.sha256(_FORM + seed).hexdigest()[:32]

    def read(self, path: Path, width: int) -> Thumbnail:
        """Return the thumbnail of the picture at `path`, at least `width` wide where the picture is.

        Raises ImageError where the picture cannot be read.
        """
        tag = self.tag(path, width)
        kept = self.folder / tag[:2] / f"{tag}.webp"
        try:
            return Thumbnail(kept.read_bytes(), tag)
        except OSError:
            made = Thumbnail(thumbnail(path, snap(width)), tag)
        # A full or read-only disk costs only speed: the answer is there without the copy.
        with suppress(OSError):
            _write(kept, made.data)
        return made


def snap(width: int) -> int:
    """Round up to one of the few widths that are made, so that nobody can fill the disk by asking."""
    return next((step for step in WIDTHS if step >= width), WIDTHS[-1])


def find_picture(ref: str, root: str | None, fetched: Path) -> Path:
    """Return the file of a catalogue's picture reference; raises NotFoundError.

    Paths resolve inside `root`, the folder that reindex read. A URL is looked up in the folder `fetched`
    of files that reindex fetched; a page never fetches.
    """
    if "://" in ref:
        path = FileCache(fetched).path(ref)
        if path.is_file():
            return path
        raise NotFoundError("this picture is not kept here; `vision-rec reindex` fetches it again")
    if root is None:
        raise NotFoundError("the version does not say where its pictures are; `vision-rec reindex` does")
    try:
        return resolve_ref(ref, Path(root))
    except ImageError as error:  # its text names folders of this machine
        raise NotFoundError(f"this picture is not stored here ({error.reason})") from error


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.replace(name, path)
    except OSError:
        with suppress(OSError):
            os.unlink(name)
        raise
