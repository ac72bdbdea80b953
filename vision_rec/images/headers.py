"""What the first bytes of a picture say: its format, its size where Pillow would read too far, its scans."""

from __future__ import annotations

import re

# A JPEG marker is 0xFF and a byte; FF00 is data, FFD0–FFD7 restart data, FFFF is padding.
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_START_OF_SCAN, _END_OF_IMAGE, _START_OF_IMAGE = 0xDA, 0xD9, 0xD8


def picture_format(data: bytes) -> str | None:
    """Name the format the magic bytes of `data` claim, or None; declared types and names do not count."""
    if data.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    if data[:6] in (b"GIF87a", b"GIF89a"):
        return "GIF"
    if data[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return "TIFF"
    if data[4:8] == b"ftyp" and _names_avif(data):
        return "AVIF"
    return "BMP" if data[:2] == b"BM" else None


def _names_avif(data: bytes) -> bool:
    # The box is: length, "ftyp", major brand, version, compatible brands.
    end = min(int.from_bytes(data[:4], "big"), 256)
    brands = {data[8:12], *(data[at : at + 4] for at in range(16, end, 4))}
    return bool(brands & {b"avif", b"avis"})


def webp_size(data: bytes) -> tuple[int, int] | None:
    """Read (width, height) of a WebP without a decoder, which would reserve the whole canvas first."""
    kind, body = data[12:16], data[20:30]
    if len(body) < 10:
        return None
    if kind == b"VP8X":
        return 1 + int.from_bytes(body[4:7], "little"), 1 + int.from_bytes(body[7:10], "little")
    if kind == b"VP8L" and body[0] == 0x2F:
        bits = int.from_bytes(body[1:5], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 " and body[3:6] == b"\x9d\x01\x2a":
        width, height = (int.from_bytes(body[at : at + 2], "little") for at in (6, 8))
        return width & 0x3FFF, height & 0x3FFF
    return None


def count_scans(data: bytes, stop_after: int) -> int:
    """Count the scans of a JPEG's own picture, at most `stop_after` + 1; a decoder pays for each in full.

    Walks segments as a decoder does, so that neither embedded thumbnails nor a film appended by a phone
    count, and no end marker hidden in a comment stops the count.
    """
    scans, position = 0, 2
    while scans <= stop_after:
        found = _MARKER.search(data, position)
        if found is None:
            break
        code, position = data[found.end() - 1], found.end()
        if code == _END_OF_IMAGE:
            break
        if code in (_START_OF_IMAGE, 0x01):  # these two carry no length
            continue
        scans += code == _START_OF_SCAN
        position += max(2, int.from_bytes(data[position : position + 2], "big"))
    return scans
