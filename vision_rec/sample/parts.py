"""A product as a stack of painted parts, back to front."""

from __future__ import annotations

from dataclasses import dataclass, replace

from vision_rec.sample.curves import flipped
from vision_rec.types import Array

Knobs = tuple[float, ...]  # the free proportions of one product, −1…1 each


@dataclass(frozen=True, slots=True)
class Part:
    """Curves of one paint; a line has a width, a filled part has none. Lengths are in product units."""

    curves: tuple[Array, ...]
    paint: str = (
        "main"  # main, inner, rib, tone, pair, accent, metal, dark, light, glass, wood, thread, shade
    )
    width: float = 0.0
    patterned: bool = False
    textured: bool = True
    relief: float = 1.0  # how round it looks at its edges
    turn: float = 0.0  # of pattern and texture, radians
    lift: float = 0.0  # how strong a shadow it throws on the parts beneath
    clip: bool = False  # shown only on what is already there
    form: str = "soft"  # soft: pillow-like; round: a body of revolution; flat
    gloss: float = 0.0  # strength of the highlight
    dash: float = 0.0  # length of a stitch; 0 is a full line
    front: bool = False  # not there on a picture of the back
    opacity: float = 1.0


def fill(*curves: Array, paint: str = "main", patterned: bool | None = None, **more: object) -> Part:
    """Make a filled part; what is painted `main` carries the pattern unless told otherwise."""
    part = Part(curves, paint, patterned=paint == "main" if patterned is None else patterned)
    return replace(part, **more)  # type: ignore[arg-type]


def stroke(*curves: Array, width: float, paint: str = "shade", **more: object) -> Part:
    """Make a drawn line: a seam, a strap, a lace."""
    return replace(Part(curves, paint, width=width, textured=width > 0.05), **more)  # type: ignore[arg-type]


def stitch(*curves: Array, paint: str = "thread", width: float = 0.008) -> Part:
    """Make a dashed line of thread, clipped to the product."""
    return Part(
        curves,
        paint,
        width=width,
        textured=False,
        relief=0.0,
        dash=0.022,
        clip=True,
        form="flat",
        opacity=0.75,
    )


def seam(*curves: Array, width: float = 0.008, opacity: float = 0.5) -> Part:
    """Make a fine dark line, clipped to the product."""
    return Part(
        curves, "shade", width=width, textured=False, relief=0.0, clip=True, form="flat", opacity=opacity
    )


def pair(part: Part) -> list[Part]:
    """Return a part of the right side and its mirror image."""
    return [part, replace(part, curves=tuple(flipped(c) for c in part.curves), turn=-part.turn)]


def twin(*curves: Array) -> tuple[Array, ...]:
    """Return curves of the right side together with their mirror images."""
    return (*curves, *(flipped(c) for c in curves))
