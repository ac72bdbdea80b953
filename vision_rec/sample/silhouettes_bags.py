"""Bags and umbrellas."""

# Outlines read best as dense tables of points.
# fmt: off

from __future__ import annotations

from vision_rec.sample.curves import Point, corner, ellipse, line, mirror, outline, rounded, shrunk
from vision_rec.sample.parts import Knobs, Part, fill, pair, seam, stitch, stroke, twin


def handbag(cut: str, k: Knobs) -> list[Part]:
    """Draw a handbag: tote, satchel or bucket bag."""
    return {"satchel": _satchel, "bucket bag": _bucket_bag, "tote": _tote}[cut](k)


def _satchel(k: Knobs) -> list[Part]:
    w, top, low = 0.66 + 0.03 * k[0], -0.20, 0.52 + 0.04 * k[1]
    body = [
        corner(0.0, top), (w - 0.08, top + 0.01), (w - 0.01, top + 0.1), (w, 0.3), (w - 0.07, low),
        (0.0, low + 0.01)
    ]
    flap = [
        corner(0.0, top - 0.03), (w - 0.08, top - 0.02), (w + 0.005, top + 0.08), (w - 0.02, 0.08),
        (w - 0.22, 0.22 + 0.05 * k[2]), (0.0, 0.26 + 0.06 * k[2])
    ]
    y = 0.24 + 0.06 * k[2]
    handle = line([(-0.22, top), (-0.2, top - 0.20), (0.0, top - 0.30), (0.2, top - 0.20), (0.22, top)])
    return [
        stroke(handle, width=0.06, paint="accent", relief=1.2),
        fill(outline(mirror(body)), relief=0.9), fill(outline(mirror(flap)), lift=0.9, relief=0.8),
        stitch(outline(shrunk(mirror(flap), 0.95))),
        *pair(
            fill(
                rounded(0.195, top - 0.05, 0.255, top + 0.03, 0.02), paint="metal", textured=False,
                gloss=0.6
            )
        ),
        fill(
            rounded(-0.07, y - 0.09, 0.07, y + 0.07, 0.025), paint="metal", textured=False, lift=0.7,
            gloss=0.8, front=True
        ),
        fill(ellipse(0.0, y, 0.022, 0.022), paint="dark", textured=False, front=True)
    ]


def _bucket_bag(k: Knobs) -> list[Part]:
    w, low = 0.44 + 0.03 * k[0], 0.66 + 0.03 * k[1]
    body = [
        corner(0.0, -0.22), corner(w + 0.03, -0.24), (w + 0.02, 0.2), (w - 0.02, low - 0.1),
        (w - 0.12, low), (0.0, low + 0.03)
    ]
    base = [
        corner(0.0, low - 0.2), corner(w - 0.0, low - 0.22), (w - 0.02, low - 0.08), (w - 0.12, low),
        (0.0, low + 0.03)
    ]
    strap = line([(-w, -0.2), (-w * 0.75, -0.68), (0.0, -0.88), (w * 0.75, -0.68), (w, -0.2)])
    folds = [line([(x * w, -0.24), (x * w * 0.9, 0.1)]) for x in (-0.75, -0.4, 0.0, 0.4, 0.75)]
    return [
        stroke(strap, width=0.05, paint="accent", relief=1.2),
        fill(ellipse(0.0, -0.225, w + 0.03, 0.05), paint="inner"),
        fill(outline(mirror(body)), form="round"),
        stroke(*folds, width=0.028, opacity=0.25, clip=True, form="flat"),
        stroke(
            line([(-w, -0.10), (0.0, -0.06), (w, -0.10)]), width=0.024, paint="accent", lift=0.6,
            clip=True
        ),
        stroke(
            line([(0.0, -0.06), (-0.06, 0.18)]), line([(0.0, -0.06), (0.05, 0.16)]), width=0.024,
            paint="accent", lift=0.6
        ),
        fill(outline(mirror(base)), paint="rib", lift=0.4, form="round", clip=True),
        *pair(fill(ellipse(w - 0.01, -0.18, 0.035, 0.035), paint="metal", textured=False, gloss=0.7))
    ]


def _tote(k: Knobs) -> list[Part]:
    w, low = 0.55 + 0.03 * k[0], 0.68 + 0.04 * k[1]
    body = [
        corner(0.0, -0.19), corner(w + 0.09, -0.20), (w + 0.03, 0.3), (w - 0.03, low - 0.02),
        (w - 0.12, low + 0.01), (0.0, low + 0.015)
    ]
    back = line([(-0.27, -0.14), (-0.22, -0.62), (0.0, -0.76), (0.22, -0.62), (0.27, -0.14)])
    front = line([(-0.27, -0.05), (-0.24, -0.52), (0.0, -0.67), (0.24, -0.52), (0.27, -0.05)])
    parts = [
        stroke(back, width=0.05, paint="accent", relief=0.6),
        fill(ellipse(0.0, -0.195, w + 0.08, 0.035), paint="inner"),
        fill(outline(mirror(body)), relief=0.9),
        stitch(line([(-w - 0.1, -0.15), (0.0, -0.14), (w + 0.1, -0.15)])),
        stroke(front, width=0.05, paint="accent", lift=0.8, relief=0.8),
        *pair(fill(rounded(0.225, -0.14, 0.315, 0.05, 0.02), paint="accent", lift=0.5)),
        *pair(
            fill(
                ellipse(0.27, -0.08, 0.016, 0.016), ellipse(0.27, 0.0, 0.016, 0.016), paint="metal",
                textured=False
            )
        )
    ]
    if k[2] > 0.0:
        parts.append(
            fill(
                rounded(-0.1, 0.02, 0.1, 0.13, 0.02), paint="accent", lift=0.4, textured=False, front=True
            )
        )
    return parts


def backpack(cut: str, k: Knobs) -> list[Part]:
    """Draw a backpack from the front: daypack, rolltop or school bag."""
    w, low = 0.47 + 0.03 * k[0], 0.74 + 0.03 * k[1]
    top = -0.62 if cut != "rolltop" else -0.56
    round_top: list[Point] = [(0.0, top - 0.04), (w * 0.62, top), (w - 0.03, top + 0.24)]
    flat_top: list[Point] = [corner(0.0, top), corner(w - 0.08, top), (w - 0.02, top + 0.3)]
    body: list[Point] = [
        *(flat_top if cut == "rolltop" else round_top), (w + 0.02, 0.3), (w - 0.03, low - 0.05),
        (w - 0.14, low), (0.0, low + 0.01)
    ]
    pw, pt = w * 0.76, 0.12 + 0.05 * k[2]
    pocket: list[Point] = [
        (0.0, pt - 0.03), (pw - 0.06, pt), (pw, pt + 0.12), (pw - 0.01, low - 0.16),
        (pw - 0.08, low - 0.07), (0.0, low - 0.06)
    ]
    loop = line([(-0.10, top), (-0.09, top - 0.14), (0.09, top - 0.14), (0.10, top)])
    side: list[Point] = [
        corner(w - 0.05, 0.25), (w + 0.08, 0.28), (w + 0.1, low - 0.14), corner(w - 0.06, low - 0.04)
    ]
    parts = [
        stroke(
            *twin(line([(w - 0.15, top + 0.06), (w + 0.10, -0.1), (w + 0.07, 0.35)])), width=0.09,
            paint="accent", relief=0.9
        ),
        stroke(loop, width=0.045, paint="accent", relief=1.0),
        *pair(fill(outline(side), paint="rib", relief=1.0)),
        fill(outline(mirror(body)), lift=0.6, relief=1.15)
    ]
    parts += _closing(cut, w, top)
    parts += _pocket(cut, pocket, w, pw, pt, top)
    if k[3] > -0.2:
        parts.append(
            fill(rounded(-0.075, -0.24, 0.075, -0.14, 0.015), paint="accent", lift=0.4, textured=False)
        )
    return [*parts, stitch(outline(shrunk(mirror(pocket), 0.93, 0.4)))]


def _closing(cut: str, w: float, top: float) -> list[Part]:
    """Draw what closes the top of a backpack: a roll with a strap, or a zip."""
    if cut == "rolltop":
        return [
            fill(rounded(-w + 0.03, top - 0.10, w - 0.03, top + 0.07, 0.06), lift=0.7, relief=1.2),
            stroke(
                line([(0.0, top - 0.11), (0.0, 0.02)]), width=0.06, paint="accent", lift=0.6, relief=0.6
            ),
            fill(
                rounded(-0.055, -0.16, 0.055, -0.07, 0.02), paint="metal", textured=False, lift=0.6,
                gloss=0.6
            )
        ]
    arc = line(
        [
            (-w + 0.03, -0.1), (-w * 0.74, top + 0.22), (0.0, top + 0.09), (w * 0.74, top + 0.22),
            (w - 0.03, -0.1)
        ]
    )
    return [
        stroke(arc, width=0.03, paint="dark", textured=False, relief=0.3),
        stroke(arc, width=0.010, paint="metal", textured=False)
    ]


def _pocket(cut: str, pocket: list[Point], w: float, pw: float, pt: float, top: float) -> list[Part]:
    """Draw the front of a backpack: a zipped pocket, or a flap with straps above it."""
    if cut != "school bag":
        zip_line = line(
            [
                (-pw + 0.03, pt + 0.14), (-pw * 0.7, pt + 0.05), (0.0, pt + 0.03), (pw * 0.7, pt + 0.05),
                (pw - 0.03, pt + 0.14)
            ]
        )
        return [
            fill(outline(mirror(pocket)), lift=0.8, relief=1.1),
            stroke(zip_line, width=0.028, paint="dark", textured=False, relief=0.2),
            stroke(zip_line, width=0.009, paint="metal", textured=False),
            stroke(
                line([(pw * 0.62, pt + 0.05), (pw * 0.62, pt + 0.15)]), width=0.02, paint="accent",
                lift=0.5
            )
        ]
    flap: list[Point] = [
        (0.0, top - 0.02), (w * 0.6, top + 0.02), (w - 0.02, top + 0.26), (w - 0.04, -0.02),
        (w - 0.18, 0.06), (0.0, 0.08)
    ]
    straps = twin(line([(0.19, -0.22), (0.19, 0.22)]))
    parts = [fill(outline(mirror(flap)), lift=0.9), fill(outline(mirror(pocket)), lift=0.8)]
    parts += [
        stroke(*straps, width=0.055, paint="accent", lift=0.7),
        *pair(
            fill(
                rounded(0.15, 0.13, 0.23, 0.20, 0.015), paint="metal", textured=False, gloss=0.6,
                lift=0.5
            )
        )
    ]
    return parts


def umbrella(cut: str, k: Knobs) -> list[Part]:
    """Draw an open umbrella: classic, dome or golf."""
    w, high = {"classic": (0.86, 0.62), "dome": (0.74, 0.82), "golf": (0.92, 0.54)}[cut]
    high += 0.04 * k[0]
    low = -0.02 + 0.03 * k[1]
    tips = [-w, -w * 0.58, 0.0, w * 0.58, w]
    hem: list[Point] = []
    for a, b in zip(tips[::-1], tips[::-1][1:], strict=False):
        hem += [corner(a, low), ((a + b) / 2, low - 0.07)]
    canopy: list[Point] = [
        corner(-w, low), (-w * 0.8, low - high * 0.62), (-w * 0.36, low - high * 0.95),
        (0.0, low - high - 0.01), (w * 0.36, low - high * 0.95), (w * 0.8, low - high * 0.62), *hem
    ]
    ribs = [
        line([(0.0, low - high), (t * 0.72, low - high * (0.66 if t else 0.6)), (t, low)])
        for t in tips[1:-1]
    ]
    grip = [(0.0, 0.62), (0.0, 0.76), (0.06, 0.86), (0.15, 0.84), (0.17, 0.74)]
    inner: list[Point] = [
        corner(-w + 0.05, low - 0.02), (0.0, low - 0.16), corner(w - 0.05, low - 0.02), (0.0, low + 0.015)
    ]
    return [
        fill(outline(inner), paint="inner", relief=0.3),
        stroke(line([(0.0, low - 0.3), (0.0, 0.64)]), width=0.026, paint="metal", textured=False),
        stroke(line(grip), width=0.062, paint="wood", relief=1.3, gloss=0.4),
        fill(outline(canopy), relief=1.2, lift=0.3), seam(*ribs, width=0.012, opacity=0.6),
        stroke(
            line([(0.0, low - high - 0.08), (0.0, low - high + 0.01)]), width=0.026, paint="metal",
            textured=False
        ),
        fill(*(ellipse(t, low + 0.005, 0.014, 0.018) for t in tips), paint="metal", textured=False)
    ]
