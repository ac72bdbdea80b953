"""One picture from bytes or a file to sRGB pixels, with every limit checked before memory is spent.

The way: bytes → magic → header size → limits → scaled decoding → one resampling → orientation → sRGB.
Pillow's format classes are called directly, not `Image.open(formats=…)`: only the format that the magic bytes
name can look at the data, and neither plug-ins nor the bomb limit and warning filters of the surrounding
process matter.
"""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    ExifTags,
    GifImagePlugin,
    Image,
    ImageCms,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from vision_rec.errors import ImageError, ImageTooLargeError, ImageTooSlowError, InputError
from vision_rec.images.headers import count_scans, picture_format, webp_size
from vision_rec.images.shape import fit, resample
from vision_rec.types import Picture

if TYPE_CHECKING:
    from vision_rec.settings import ImageSettings

_READERS: dict[str, type[ImageFile.ImageFile]] = {
    "JPEG": JpegImagePlugin.JpegImageFile,
    "PNG": PngImagePlugin.PngImageFile,
    "WEBP": WebPImagePlugin.WebPImageFile,
    "GIF": GifImagePlugin.GifImageFile,
    "BMP": BmpImagePlugin.BmpImageFile,
    "TIFF": TiffImagePlugin.TiffImageFile,
    "AVIF": AvifImagePlugin.AvifImageFile,
}
FORMATS = tuple(_READERS)
_OVERSAMPLE = 2  # a JPEG is decoded at 1/2, 1/4 or 1/8 only while that leaves this many times the wanted side
_PLAIN = ("L", "RGB", "CMYK", "LA", "RGBA")  # modes that shrink without conversion
_CONVERTIBLE = ("1", "P", "PA", "RGBX", "RGBa", "La", "YCbCr")
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def open_image(
    source: bytes | Path,
    *,
    max_side: int | None = None,
    limits: ImageSettings | None = None,
    query: bool = False,
) -> Picture:
    """Decode a picture to (H, W, 3) uint8 sRGB, its longest side shrunk to `max_side` where given.

    The first frame counts; orientation, palettes, CMYK, 16 bits and colour profiles are resolved,
    transparency lies on white. `query` applies the tighter limits of pictures in requests. Raises ImageError
    (with a short `reason`), ImageTooLargeError or ImageTooSlowError. Time is limited by DecodePool only.
    """
    limits = limits or _default_limits()
    side = limits.max_side if max_side is None else max_side
    if side < 1:
        raise InputError(f"max_side is {max_side}; give 1 or more pixels")
    return np.array(_open(source, (side, side), limits, query))


def flatten_image(image: object, *, max_side: int, limits: ImageSettings | None = None) -> Picture:
    """Make of an opened Pillow image what `open_image` makes of its file, under the limits of requests.

    Raises InputError for what is no Pillow image, ImageError (with a short `reason`) or ImageTooLargeError.
    """
    if not isinstance(image, Image.Image):
        raise InputError(f"image is a {type(image).__name__}; give a Pillow image, a path, bytes or an array")
    limits = limits or _default_limits()
    _check_size(image.size, limits.max_query_pixels, limits)
    with _decoding("Pillow image"):  # an opened file is read only now
        image.load()
        turn = _orientation(image)
        flat = _flatten(image, fit(image.size, max_side, max_side))
    return np.array(flat.transpose(_TURNS[turn]) if turn in _TURNS else flat)


def thumbnail(source: bytes | Path, width: int, *, limits: ImageSettings | None = None) -> bytes:
    """Return a WebP of the picture at most `width` pixels wide (and 4 × as high), all metadata dropped."""
    if width < 1:
        raise InputError(f"width is {width}; give 1 or more pixels")
    image = _open(source, (width, 4 * width), limits or _default_limits(), query=False)
    out = io.BytesIO()
    Image.fromarray(np.array(image)).save(out, "WEBP", quality=82, method=4)
    return out.getvalue()


@lru_cache(maxsize=1)
def _default_limits() -> ImageSettings:
    from vision_rec.settings import ImageSettings  # costs pydantic; decode workers bring their own limits

    return ImageSettings()


def _open(source: bytes | Path, box: tuple[int, int], limits: ImageSettings, query: bool) -> Image.Image:
    max_bytes = limits.max_query_bytes if query else limits.max_bytes
    data = source if isinstance(source, bytes) else _read(source, max_bytes)
    if not data:
        raise ImageError("the picture is empty (0 bytes)", "empty")
    if len(data) > max_bytes:
        raise ImageTooLargeError(f"the picture has more than {max_bytes:,} bytes, the limit", "too-large")
    kind = picture_format(data)
    if kind is None:
        raise ImageError(f"this is not a picture of a known format ({', '.join(FORMATS)})", "not-an-image")
    with _decoding(f"{kind} picture"):
        return _decode(data, kind, box, limits, query)


@contextmanager
def _decoding(what: str) -> Iterator[None]:
    """Turn what decoding raises into an ImageError: codecs raise anything on hostile bytes."""
    try:
        yield
    except ImageError:
        raise
    except MemoryError as error:
        raise ImageTooLargeError(f"the {what} needs more memory than allowed", "memory") from error
    except Exception as error:  # the decode boundary
        reason = "truncated" if "truncated" in str(error).lower() else "corrupt"
        told = str(error)[:200] or type(error).__name__
        raise ImageError(f"the {what} is damaged: {told}", reason) from error


def _read(path: Path, max_bytes: int) -> bytes:
    try:
        # Without O_NONBLOCK, opening a pipe somebody named .jpg would wait for ever.
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            if stat.S_ISDIR(mode):
                raise IsADirectoryError
            if not stat.S_ISREG(mode):
                raise ImageError(f"{path} is not an ordinary file", "not-a-file")
            return file.read(max_bytes + 1)
    except FileNotFoundError as error:
        raise ImageError(f"there is no picture {path}", "missing") from error
    except IsADirectoryError as error:
        raise ImageError(f"{path} is a directory; name one picture", "directory") from error
    except (OSError, ValueError) as error:
        raise ImageError(f"picture {ascii(str(path))} cannot be read: {error}", "unreadable") from error


def _decode(data: bytes, kind: str, box: tuple[int, int], limits: ImageSettings, query: bool) -> Image.Image:
    most = limits.max_pixels
    if query:
        most = limits.max_query_pixels_jpeg if kind == "JPEG" else limits.max_query_pixels
    if kind == "WEBP" and (declared := webp_size(data)):
        _check_size(declared, most, limits)
    if kind == "JPEG" and count_scans(data, limits.max_scans) > limits.max_scans:
        raise ImageTooSlowError(
            f"the JPEG has more than {limits.max_scans} scans, the limit", "too-many-scans"
        )
    with _READERS[kind](io.BytesIO(data)) as image:
        _check_size(image.size, most, limits)
        turn = _orientation(image)
        wide, high = box if turn < 5 else box[::-1]
        size = fit(image.size, wide, high)
        image.draft("RGB", (size[0] * _OVERSAMPLE, size[1] * _OVERSAMPLE))
        image.load()
        flat = _flatten(image, size)
    return flat.transpose(_TURNS[turn]) if turn in _TURNS else flat


def _check_size(size: tuple[int, int], most: int, limits: ImageSettings) -> None:
    width, height = size
    if min(size) < limits.min_side:
        message = f"the picture has {width} × {height} pixels; the shorter side needs {limits.min_side}"
        raise ImageError(message, "too-small")
    if width * height > most:
        raise ImageTooLargeError(
            f"the picture has {width * height:,} pixels, the limit is {most:,}", "too-large"
        )
    if max(size) > limits.max_side:
        message = f"the picture has a side of {max(size):,} pixels, the limit is {limits.max_side:,}"
        raise ImageTooLargeError(message, "too-large")
    if max(size) > limits.max_aspect * min(size):
        message = f"the picture is {width} × {height}; one side may be {limits.max_aspect:g} × the other"
        raise ImageTooLargeError(message, "too-long")


def _orientation(image: Image.Image) -> int:
    """Read the EXIF orientation, 1 where there is none or the EXIF block is broken (as browsers do)."""
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        return 1  # Pillow turns TIFFs itself while loading
    try:
        turn = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # part of the decode boundary: metadata may be any bytes
        return 1
    return turn if isinstance(turn, int) else 1


def _flatten(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Shrink to `size` and resolve mode, transparency and colour profile to sRGB."""
    profile = image.info.get("icc_profile")
    if image.mode == "I" or image.mode.startswith("I;16"):
        image = _eight_bits(image)
    seen_through = image.has_transparency_data
    if image.mode in _CONVERTIBLE or (seen_through and image.mode in ("L", "RGB")):
        image = image.convert("RGBA" if seen_through else "RGB")
    if image.mode not in _PLAIN:
        raise ImageError(f"pictures of mode {image.mode} are not supported; save it as RGB", "unsupported")
    image = resample(image, size)
    if image.mode in ("LA", "RGBA"):
        # Not convert("RGB"): invisible pixels keep a colour of their own, often black or red.
        ground = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(ground, image.convert("RGBA"))
    return _to_srgb(image, profile)


def _eight_bits(image: Image.Image) -> Image.Image:
    """Scale 16-bit grey by 257; Pillow's own conversion would clip it to nearly two values."""
    clear = image.info.get("transparency")
    values = np.asarray(image)
    if image.mode == "I":
        values = values.clip(0, 65535).astype(np.uint16)
    grey = (values // 257).astype(np.uint8)
    if isinstance(clear, int):
        grey[values == clear] = 255
    return Image.fromarray(grey)


def _to_srgb(image: Image.Image, profile: object) -> Image.Image:
    """Convert to RGB, through the embedded colour profile where it is not sRGB itself."""
    if image.mode == "RGBA":
        image = image.convert("RGB")
    if isinstance(profile, bytes) and image.mode in ("RGB", "CMYK") and not _names_srgb(profile):
        transform = _transform(profile, image.mode)
        if transform is not None:
            return ImageCms.applyTransform(image, transform) or image
    return image.convert("RGB")


def _names_srgb(profile: bytes) -> bool:
    return b"sRGB" in profile or "sRGB".encode("utf-16-be") in profile


@lru_cache(maxsize=16)
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """Build the way from a colour profile to sRGB; None for a broken or unfitting one (then ignored)."""
    try:
        given = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        return ImageCms.buildTransform(given, ImageCms.createProfile("sRGB"), mode, "RGB")
    except (ImageCms.PyCMSError, OSError, ValueError):
        return None
