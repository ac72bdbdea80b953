"""Pictures: decode them safely, cut and shrink them, find their files; nothing here knows about products."""

from __future__ import annotations

from vision_rec.images.decode import flatten_image, open_image, thumbnail
from vision_rec.images.paths import resolve_ref
from vision_rec.images.pool import DecodePool
from vision_rec.images.shape import crop, shrink

__all__ = ["DecodePool", "crop", "flatten_image", "open_image", "resolve_ref", "shrink", "thumbnail"]
