"""Pictures as Python callers have them: a path, bytes, an array or a Pillow image."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from vision_rec.errors import ImageError, InputError, UrlNotAllowedError
from vision_rec.settings import ImageSettings
from vision_rec.types import Picture


@runtime_checkable
class PillowLike(Protocol):
    """What is used of a `PIL.Image.Image`."""

    def convert(self, mode: str) -> Any:
        """Return the image in another mode."""
        ...


AnyPicture = str | Path | bytes | npt.NDArray[np.uint8] | PillowLike


def picture_from(source: AnyPicture, *, max_side: int, limits: ImageSettings) -> Picture:
    """Return `source` as (H, W, 3) uint8; files are opened with their longest side at most `max_side`.

    Raises ImageError for what cannot be opened, InputError for what is no picture at all.
    """
    from vision_rec.images import flatten_image, open_image

    if isinstance(source, str) and source.startswith(("http://", "https://")):
        raise UrlNotAllowedError(
            "pictures are not fetched from URLs here: give a path, or the picture itself"
        )
    if isinstance(source, str) and not source:
        raise ImageError("image is empty; give the path of a picture", "empty")
    if isinstance(source, str | Path):
        return open_image(Path(source), max_side=max_side, limits=limits, query=True)
    if isinstance(source, bytes | bytearray | memoryview):
        return open_image(bytes(source), max_side=max_side, limits=limits, query=True)
    if isinstance(source, np.ndarray):
        return source
    if isinstance(source, PillowLike):
        return flatten_image(source, max_side=max_side, limits=limits)
    raise InputError(
        f"image is a {type(source).__name__}; allowed are a path, bytes, an (H, W, 3) array or a Pillow image"
    )
