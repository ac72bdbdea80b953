"""Trousers, skirts, caps and watches."""

# Outlines read best as dense tables of points.
# fmt: off

from __future__ import annotations

import math

from vision_rec.sample.curves import corner, ellipse, line, mirror, outline, rounded
from vision_rec.sample.parts import Knobs, Part, fill, pair, seam, stitch, stroke, twin


def trousers(cut: str, k: Knobs) -> list[Part]:
    """Draw trousers: straight, wide-leg or tapered."""
    out, inside = {"straight": (0.34, 0.11), "wide-leg": (0.47, 0.08), "tapered": (0.27, 0.115)}[cut]
    out += 0.02 * k[0]
    waist, hip, bottom = 0.285 + 0.015 * k[1], 0.365 + 0.015 * k[2], 0.86 + 0.03 * k[3]
    crotch = -0.27 + 0.03 * k[4]
    half = [
        corner(0.0, -0.80), corner(waist, -0.83), (hip, -0.52), ((hip + out) / 2 + 0.005, 0.1),
        corner(out, bottom), corner(inside, bottom + 0.015), (0.045, 0.1), (0.012, crotch + 0.06),
        corner(0.0, crotch)
    ]
    band = [corner(0.0, -0.81), corner(waist, -0.84), corner(waist + 0.012, -0.755), (0.0, -0.72)]
    loops = [rounded(x - 0.012, -0.85, x + 0.012, -0.73, 0.008) for x in (-0.2, 0.2, -0.09, 0.09)]
    cuff = [
        corner(out + 0.01, bottom - 0.09), corner(out + 0.012, bottom + 0.004),
        corner(inside - 0.008, bottom + 0.02), corner(inside - 0.012, bottom - 0.08)
    ]
    parts = [
        fill(
            outline(
                mirror([corner(0.0, -0.86), corner(waist - 0.01, -0.86), corner(waist - 0.01, -0.76)])
            ),
            paint="inner"
        ),
        fill(outline(mirror(half)), relief=0.95), seam(line([(0.0, -0.73), (0.0, crotch)]), width=0.01),
        seam(*twin(line([(0.14, -0.74), (0.2, -0.62), (hip + 0.02, -0.56)])), width=0.012, opacity=0.7),
        stitch(*twin(line([(0.12, -0.74), (0.185, -0.60), (hip + 0.02, -0.535)]))),
        stitch(line([(0.07, -0.73), (0.068, -0.50), (0.0, -0.40)])),
        stroke(
            *twin(line([((inside + out) / 2 - 0.01, -0.3), ((inside + out) / 2, bottom)])), width=0.02,
            opacity=0.18, clip=True, form="flat"
        ),
        stroke(
            *twin(line([(0.02, crotch + 0.02), (0.16, crotch + 0.06), (0.26, crotch + 0.03)])),
            width=0.022, opacity=0.2, clip=True, form="flat"
        ),
        fill(outline(mirror(band)), lift=0.5, relief=0.5, turn=math.pi / 2),
        fill(*loops, paint="rib", lift=0.5),
        fill(
            ellipse(0.0, -0.775, 0.022, 0.022), paint="metal", textured=False, gloss=0.6, lift=0.8,
            front=True
        )
    ]
    if k[5] > 0.0:
        parts += pair(fill(outline(cuff), lift=0.5, relief=0.7, paint="rib"))
    return [*parts, stitch(*twin(line([(out, bottom - 0.045), (inside, bottom - 0.03)])))]


def skirt(cut: str, k: Knobs) -> list[Part]:
    """Draw a skirt: A-line, pleated or pencil."""
    waist = 0.27 + 0.02 * k[0]
    flare = {"A-line": 0.60, "pleated": 0.66, "pencil": 0.33}[cut] + 0.04 * k[1]
    bottom = {"A-line": 0.58, "pleated": 0.55, "pencil": 0.70}[cut] + 0.08 * k[2]
    top = -0.62
    hip = 0.39 + 0.02 * k[3] if cut == "pencil" else waist + 0.42 * (flare - waist)
    half = [
        corner(0.0, top + 0.02), corner(waist, top), (hip, top + 0.42), corner(flare, bottom),
        (flare * 0.55, bottom + 0.05), (0.0, bottom + 0.06)
    ]
    band = [
        corner(0.0, top - 0.075), corner(waist - 0.005, top - 0.09), corner(waist + 0.005, top + 0.01),
        (0.0, top + 0.04)
    ]
    parts = [fill(outline(mirror(half)), relief=1.0)]
    count = {"A-line": 5, "pleated": 11, "pencil": 0}[cut]
    spread = [(-1 + 2 * (i + 0.5) / count) for i in range(count)] if count else []
    pleats = [
        line(
            [
                (x * waist, top + 0.03), (x * (waist + 0.36 * (flare - waist)), top + 0.4),
                (x * flare * 0.97, bottom + 0.05)
            ]
        )
        for x in spread
    ]
    if cut == "pleated":
        light = [
            line([(x * waist + 0.012, top + 0.03), (x * flare * 0.97 + 0.032, bottom + 0.05)])
            for x in spread
        ]
        parts += [
            stroke(*pleats, width=0.02, opacity=0.42, clip=True, form="flat"),
            stroke(*light, width=0.022, paint="tint", opacity=0.25, clip=True, form="flat")
        ]
    elif pleats:
        parts.append(stroke(*pleats, width=0.03, opacity=0.2, clip=True, form="flat"))
    else:
        parts.append(
            seam(
                line([(0.0, bottom - 0.28), (0.0, bottom + 0.06)]),
                *twin(line([(0.13, top), (0.15, top + 0.22)])), width=0.012
            )
        )
    parts += [
        fill(outline(mirror(band)), paint="rib", lift=0.5, relief=0.6),
        stitch(line([(-flare, bottom - 0.04), (0.0, bottom + 0.015), (flare, bottom - 0.04)]))
    ]
    if k[4] > 0.0:
        row = [ellipse(0.0, top - 0.02 + i * 0.16, 0.024, 0.024) for i in range(4 if cut != "pleated" else 1)]
        parts.append(fill(*row, paint="button", textured=False, gloss=0.5, lift=0.8, front=True))
    return parts


def cap(cut: str, k: Knobs) -> list[Part]:
    """Draw a cap from its side: baseball cap, beanie or bucket hat."""
    return {"beanie": _beanie, "bucket hat": _bucket_hat, "baseball cap": _baseball_cap}[cut](k)


def _beanie(k: Knobs) -> list[Part]:
    dome = [(0.0, -0.62 + 0.05 * k[0]), (0.36, -0.48), (0.53, -0.1), corner(0.54, 0.30), (0.0, 0.36)]
    fold = [corner(0.0, 0.08), corner(0.56, 0.06), (0.585, 0.24), corner(0.56, 0.44), (0.0, 0.50)]
    ribs = [
        line([(x * 0.5, -0.5 + 0.35 * abs(x)), (x * 0.56, 0.1)])
        for x in (-0.8, -0.55, -0.28, 0.0, 0.28, 0.55, 0.8)
    ]
    parts = [
        fill(outline(mirror(dome)), relief=1.1), seam(*ribs, width=0.018, opacity=0.3),
        fill(outline(mirror(fold)), paint="rib", lift=0.8)
    ]
    if k[1] > 0.0:
        parts.append(fill(ellipse(0.0, -0.68, 0.17, 0.165), paint="pair", relief=1.4))
    return parts


def _bucket_hat(k: Knobs) -> list[Part]:
    crown = [corner(0.0, -0.46), (0.30, -0.45), (0.38, -0.36), corner(0.45, 0.10), (0.0, 0.16)]
    rim = [
        corner(0.0, 0.02), corner(0.44, -0.02), (0.66, 0.2), corner(0.82 + 0.02 * k[0], 0.36),
        (0.45, 0.44), (0.0, 0.46)
    ]
    rows = [
        line(
            [
                (-0.46 - i * 0.08, 0.08 + i * 0.07), (0.0, 0.14 + i * 0.075),
                (0.46 + i * 0.08, 0.08 + i * 0.07)
            ]
        )
        for i in range(5)
    ]
    return [
        fill(outline(mirror(rim)), relief=1.0, turn=0.0), stitch(*rows),
        fill(outline(mirror(crown)), lift=0.7, relief=1.1),
        seam(line([(-0.38, -0.36), (0.0, -0.31), (0.38, -0.36)]), width=0.012),
        fill(
            ellipse(0.27, -0.08, 0.02, 0.02), ellipse(0.35, -0.08, 0.02, 0.02), paint="metal",
            textured=False, gloss=0.5
        )
    ]


def _baseball_cap(k: Knobs) -> list[Part]:
    tall = -0.50 - 0.05 * k[0]
    dome = [
        corner(-0.66, 0.28), (-0.67, -0.05), (-0.48, tall + 0.13), (-0.12, tall), (0.2, tall + 0.15),
        (0.37, -0.05), corner(0.40, 0.22), (0.0, 0.33), (-0.4, 0.34)
    ]
    brim = [
        corner(0.36, 0.10), (0.58, 0.08), (0.82, 0.18), (0.93 + 0.02 * k[1], 0.34), corner(0.88, 0.385),
        (0.6, 0.29), (0.2, 0.30), corner(-0.02, 0.33), (0.15, 0.2)
    ]
    panels = [
        line([(-0.12, tall), (0.12, -0.15), (0.17, 0.32)]),
        line([(-0.12, tall), (-0.38, -0.2), (-0.40, 0.34)])
    ]
    badge = fill(
        ellipse(0.285, -0.04, 0.05, 0.09, turn=-0.25), paint="pair", textured=False, lift=0.4, front=True
    )
    return [
        fill(outline(dome), relief=1.1), seam(*panels, width=0.012, opacity=0.6),
        stitch(
            line([(-0.15, tall), (0.09, -0.15), (0.14, 0.32)]),
            line([(-0.09, tall), (-0.35, -0.2), (-0.37, 0.34)])
        ),
        fill(ellipse(-0.12, tall + 0.005, 0.045, 0.022), paint="rib"), *([badge] if k[2] > -0.3 else []),
        fill(ellipse(-0.2, -0.16, 0.018, 0.018), paint="dark", textured=False, opacity=0.6),
        fill(outline(brim), lift=0.8, turn=0.3, paint="main", relief=1.0),
        stitch(
            line([(0.1, 0.27), (0.55, 0.235), (0.86, 0.335)]),
            line([(0.2, 0.22), (0.55, 0.18), (0.84, 0.28)])
        )
    ]


def watch(cut: str, k: Knobs) -> list[Part]:
    """Draw a watch from above: round, square or chronograph."""
    r = 0.34 + 0.02 * k[0]
    w = 0.20 + 0.02 * k[1]
    square = cut == "square"
    case = rounded(-r * 0.92, -r * 0.98, r * 0.92, r * 0.98, 0.1) if square else ellipse(0.0, 0.0, r, r)
    round_glass = ellipse(0.0, 0.0, r * 0.84, r * 0.84)
    glass = rounded(-r * 0.76, -r * 0.82, r * 0.76, r * 0.82, 0.06) if square else round_glass
    top = [corner(w, -0.2), corner(w - 0.015, -0.55), corner(w - 0.05, -0.90), (0.0, -0.92)]
    low = [corner(w, 0.2), corner(w - 0.015, 0.55), corner(w - 0.05, 0.86), (0.0, 0.94)]
    dials = ((-1, 0), (1, 0), (0, 1)) if cut == "chronograph" else ()
    small = [ellipse(x * r * 0.36, y * r * 0.36, r * 0.15, r * 0.15) for x, y in dials]
    holes = [ellipse(0.0, 0.5 + i * 0.075, 0.016, 0.02) for i in range(5)]
    crowns = [rounded(r * 0.9, -0.05, r + 0.07, 0.05, 0.02)]
    if small:
        crowns += [rounded(r * 0.75, y - 0.03, r + 0.04, y + 0.03, 0.015) for y in (-0.16, 0.16)]
    parts = [
        fill(outline(mirror([(0.0, -0.2), *top])), outline(mirror([(0.0, 0.2), *low])), relief=0.9),
        stitch(
            *twin(line([(w - 0.035, -0.3), (w - 0.06, -0.88)]), line([(w - 0.035, 0.3), (w - 0.065, 0.84)]))
        ),
        fill(*holes, paint="dark", textured=False, relief=0.0),
        stroke(
            rounded(-w + 0.01, -0.87, w - 0.01, -0.80, 0.02), width=0.03, paint="metal", textured=False,
            gloss=0.6, lift=0.6
        ),
        fill(*crowns, paint="metal", textured=False, gloss=0.6),
        fill(case, paint="metal", textured=False, relief=1.6, gloss=0.8, lift=0.8),
        fill(glass, paint="main", patterned=False, textured=False, relief=-0.5, gloss=0.0),
    ]
    if small:
        parts.append(fill(*small, paint="tone", textured=False, relief=-0.4))
    return [*parts, *_hands(r, k)]


def _hands(r: float, k: Knobs) -> list[Part]:
    """Draw the marks and hands of a watch of radius `r`."""
    marks = []
    for i in range(12):
        a = i * math.pi / 6
        out, inner = (0.70, 0.56) if i % 3 == 0 else (0.70, 0.62)
        marks.append(
            line(
                [
                    (r * out * math.sin(a), -r * out * math.cos(a)),
                    (r * inner * math.sin(a), -r * inner * math.cos(a))
                ]
            )
        )
    hour, minute = 0.9 + 1.2 * k[2], 2.4 + 2.0 * k[3]
    hands = [
        line([(0.0, 0.0), (r * n * math.sin(a), -r * n * math.cos(a))])
        for a, n in ((hour, 0.36), (minute, 0.56))
    ]
    return [
        stroke(*marks, width=0.018, paint="mark", textured=False, relief=0.0),
        stroke(*hands, width=0.024, paint="mark", textured=False, lift=0.6, relief=0.3),
        fill(ellipse(0.0, 0.0, 0.022, 0.022), paint="metal", textured=False)
    ]
