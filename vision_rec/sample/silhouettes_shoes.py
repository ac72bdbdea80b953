"""Shoes, seen from their side."""

# Outlines read best as dense tables of points.
# fmt: off

from __future__ import annotations

import numpy as np

from vision_rec.sample.curves import corner, ellipse, line, outline, rounded
from vision_rec.sample.parts import Knobs, Part, fill, seam, stitch, stroke, twin


def sneaker(cut: str, k: Knobs) -> list[Part]:
    """Draw a sneaker from its side: low-top, high-top or runner."""
    high = 0.30 + 0.04 * k[0] if cut == "high-top" else 0.0
    sole = 0.15 + 0.025 * k[1] + (0.05 if cut == "runner" else 0.0)
    toe = 0.80 + 0.03 * k[2]
    ground = 0.48
    base = ground - sole
    tongue_x, tongue_y = -0.20 + 0.05 * high, -0.36 - high
    upper = [
        corner(-0.76, base + 0.03), (-0.79, base - 0.22), corner(-0.73, -0.20 - high),
        (-0.55, -0.155 - 0.95 * high), corner(tongue_x - 0.09, -0.27 - high),
        corner(tongue_x + 0.06, tongue_y + 0.04), (0.08, -0.11 - 0.12 * high), (0.36, 0.035),
        (toe - 0.12, 0.13), (toe, base - 0.05), corner(toe - 0.02, base + 0.04)
    ]
    tongue = [
        corner(tongue_x - 0.12, tongue_y + 0.1), (tongue_x - 0.05, tongue_y - 0.06),
        (tongue_x + 0.06, tongue_y - 0.03), corner(0.12, -0.06), corner(-0.05, 0.0)
    ]
    opening = [
        corner(-0.73, -0.19 - high), (-0.5, -0.26 - high), corner(tongue_x - 0.02, tongue_y + 0.02),
        corner(-0.25, -0.1 - high), corner(-0.6, -0.08 - high)
    ]
    toe_cap = [
        corner(toe - 0.30, base + 0.05), (toe - 0.27, 0.16), (toe - 0.14, 0.125),
        (toe + 0.02, base - 0.04), corner(toe, base + 0.05)
    ]
    heel = [
        corner(-0.80, base + 0.04), (-0.81, base - 0.2), corner(-0.74, -0.10 - high),
        corner(-0.62, -0.05 - high), (-0.58, base - 0.1), corner(-0.52, base + 0.04)
    ]
    slope = [(tongue_x + 0.08 + i * 0.088, tongue_y + 0.09 + i * (0.075 + high * 0.16)) for i in range(5)]
    laces = [line([(x - 0.085, y + 0.075), (x - 0.01, y + 0.005), (x + 0.045, y + 0.0)]) for x, y in slope]
    eyelet = [
        corner(tongue_x - 0.06, tongue_y + 0.17 + 0.1 * high), corner(tongue_x + 0.03, tongue_y + 0.09),
        (0.12, -0.06), corner(0.3, 0.05), corner(0.22, 0.10), (0.02, 0.04)
    ]
    return [
        fill(outline(opening), paint="inner"), fill(outline(tongue), paint="rib", relief=0.8),
        fill(outline(upper), lift=0.3, relief=1.1),
        _badge(cut, base, high),
        fill(outline(toe_cap), paint="light" if cut == "high-top" else "rib", lift=0.4, clip=True),
        fill(outline(heel), paint="rib", lift=0.4, clip=True), stitch(outline(heel), outline(toe_cap)),
        fill(outline(eyelet), paint="rib", lift=0.4, relief=0.4),
        stroke(*laces, width=0.035, paint="lace", lift=0.8, relief=0.7),
        *_sole(base, ground, toe, 0.05 if cut == "runner" else 0.015),
    ]


def _badge(cut: str, base: float, high: float) -> Part:
    if cut == "high-top":
        return fill(ellipse(-0.47, -0.18 - 0.5 * high, 0.085, 0.085), paint="light", lift=0.3, textured=False)
    stripes = [line([(-0.42, base), (-0.02, 0.02), (0.06, -0.03)])]
    if cut == "runner":
        first = line([(-0.5, base - 0.02), (-0.2, 0.03), (0.0, 0.0)])
        stripes = [first, line([(-0.32, base), (-0.05, 0.1), (0.12, 0.03)])]
    return stroke(*stripes, width=0.055, paint="pair", lift=0.3, clip=True)


def _sole(base: float, ground: float, toe: float, lift: float) -> list[Part]:
    """Draw the sole of a sneaker, its tip `lift` above the ground."""
    tread = [
        corner(-0.80, base), (-0.2, base + 0.02), (0.4, base + 0.02), corner(toe + 0.02, base - 0.03),
        (toe + 0.06, base + 0.04 - lift), (toe - 0.06, ground - lift), (0.4, ground), (-0.5, ground),
        (-0.79, ground - 0.01), (-0.84, base + 0.07)
    ]
    return [
        fill(outline(tread), paint="sole", lift=0.4, relief=0.7),
        stroke(
            line([(-0.84, ground - 0.045), (0.2, ground - 0.04), (toe, ground - 0.055 - lift)]),
            width=0.014, paint="dark", opacity=0.35, clip=True
        ),
        stroke(
            line([(-0.82, base + 0.035), (0.2, base + 0.05), (toe + 0.02, base + 0.02)]), width=0.012,
            paint="pair", opacity=0.7, clip=True
        )
    ]


def boot(cut: str, k: Knobs) -> list[Part]:
    """Draw a boot from its side: chelsea, lace-up or knee-high."""
    top = {"chelsea": -0.48, "lace-up": -0.60, "knee-high": -0.86}[cut] + 0.03 * k[0]
    shaft = 0.245 + 0.02 * k[1]
    heel = 0.14 + 0.03 * k[2] + (0.06 if cut == "knee-high" else 0.0)
    ground, toe = 0.74, 0.66 + 0.03 * k[3]
    base = ground - heel
    back, front = -0.42 - 0.02 * k[4], -0.42 + 2 * shaft
    upper = [
        corner(back - 0.01, top), (-0.2, top - 0.015), corner(front - 0.01, top - 0.015),
        (front - 0.035, top + 0.5 * (0.12 - top)), (front + 0.02, 0.17), (0.32, 0.33), (toe - 0.08, 0.43),
        (toe, base - 0.02), corner(toe - 0.02, ground - 0.09), (0.2, ground - 0.08),
        corner(-0.12, base + 0.03), corner(-0.45, base + 0.04), (-0.44, 0.42), (back + 0.045, 0.2)
    ]
    sole = [
        corner(-0.47, base), (-0.3, base + 0.015), (-0.1, base + 0.03), (0.2, ground - 0.105),
        (toe - 0.05, ground - 0.12), corner(toe + 0.025, ground - 0.13), (toe + 0.01, ground - 0.06),
        (toe - 0.1, ground - 0.03), (0.15, ground - 0.01), corner(-0.06, ground - 0.03),
        corner(-0.09, ground), corner(-0.46, ground)
    ]
    parts = [
        fill(ellipse((back + front) / 2 - 0.005, top, (front - back) / 2 - 0.01, 0.035), paint="inner"),
        fill(outline(upper), relief=1.15),
        seam(line([(-0.45, 0.36), (-0.2, 0.33), (0.0, 0.45), (0.05, base + 0.04)]), width=0.014),
        stitch(line([(-0.45, 0.335), (-0.19, 0.305), (0.025, 0.44), (0.075, base + 0.04)]))
    ]
    if cut == "chelsea":
        parts += _elastic(top, back)
    elif cut == "lace-up":
        parts += _lacing(top, front)
    else:
        parts += _buckle(top, back, front)
    return [*parts, fill(outline(sole), paint="outsole", lift=0.4, relief=0.5)]


def _elastic(top: float, back: float) -> list[Part]:
    elastic = [
        corner(-0.20, top + 0.02), corner(0.0, top + 0.02), (-0.04, 0.05), corner(-0.09, 0.22),
        (-0.15, 0.05)
    ]
    return [
        fill(outline(elastic), paint="dark", relief=0.3),
        seam(
            *(line([(x, top), (x, 0.25)]) for x in (-0.17, -0.14, -0.11, -0.08, -0.05, -0.02)),
            width=0.006
        ),
        stroke(
            line(
                [
                    (back, top + 0.06), (back - 0.05, top - 0.05), (back + 0.02, top - 0.06),
                    (back + 0.03, top + 0.04)
                ]
            ),
            width=0.03, paint="dark"
        )
    ]


def _lacing(top: float, front: float) -> list[Part]:
    steps = [top + 0.06 + i * (0.30 - top) / 8 for i in range(7)]
    edge = [front - 0.045 + (0.0 if y < 0.05 else 0.55 * (y - 0.05)) for y in steps]
    laces = [
        line([(x - 0.16, y + 0.05), (x - 0.05, y), (x + 0.03, y + 0.015)])
        for x, y in zip(edge, steps, strict=True)
    ]
    facing = [
        corner(front - 0.22, top), corner(front - 0.17, top), (front - 0.19, 0.05),
        corner(0.26, 0.33), corner(0.17, 0.36), (front - 0.25, 0.1)
    ]
    return [
        fill(outline(facing), paint="rib", lift=0.3, clip=True),
        stroke(*laces, width=0.028, paint="lace", lift=0.8),
        fill(
            *(ellipse(x - 0.155, y + 0.05, 0.015, 0.015) for x, y in zip(edge, steps, strict=True)),
            paint="metal", textured=False, gloss=0.5
        )
    ]


def _buckle(top: float, back: float, front: float) -> list[Part]:
    return [
        stroke(
            line([(back - 0.02, top + 0.1), (0.0, top + 0.085), (front + 0.02, top + 0.1)]),
            width=0.05, paint="rib", lift=0.6, clip=True
        ),
        fill(
            rounded(-0.12, top + 0.05, -0.03, top + 0.13, 0.02), paint="metal", lift=0.7,
            textured=False, gloss=0.6
        ),
        stroke(
            line([(back + 0.1, 0.16), (0.0, 0.22), (front, 0.16)]),
            line([(back + 0.06, 0.25), (0.0, 0.3), (0.1, 0.28)]), width=0.02, opacity=0.2, clip=True,
            form="flat"
        )
    ]


def pump(cut: str, k: Knobs) -> list[Part]:
    """Draw a court shoe from its side: stiletto, block heel or ballet flat."""
    heel = {"stiletto": 0.52, "block heel": 0.36, "ballet flat": 0.07}[cut] + 0.03 * k[0]
    ground, toe = 0.46 - 0.1 * (heel < 0.2), 0.84 + 0.02 * k[1]
    back = ground - heel
    wall = 0.30 + 0.02 * k[2]
    upper = [
        corner(-0.70, back), (-0.755, back - 0.13), corner(-0.71, back - wall),
        (-0.50, back - wall + 0.11), (-0.15, (back + ground) / 2 - 0.15), (0.2, ground - 0.17),
        corner(0.42 + 0.04 * k[3], ground - 0.20), (0.64, ground - 0.14), (toe, ground - 0.035),
        corner(toe - 0.02, ground - 0.01), (0.3, ground), (0.12, ground - 0.02),
        (-0.25, (back + ground) / 2 + 0.0), (-0.5, back + 0.02)
    ]
    inside = [
        corner(-0.71, back - wall + 0.01), (-0.45, back - wall + 0.0), (0.05, ground - 0.32),
        corner(0.42, ground - 0.19), (0.1, ground - 0.10), (-0.4, back - 0.02)
    ]
    insole = [
        corner(-0.70, back - wall + 0.02), (-0.42, back - wall + 0.04), (0.0, (back + ground) / 2 - 0.22),
        corner(0.4, ground - 0.19), (0.1, ground - 0.1), (-0.4, back)
    ]
    tip = 0.035 if cut == "stiletto" else 0.15
    post = [
        corner(-0.72, back - 0.06), (-0.69, back + 0.4 * heel), corner(-0.66 - 0.3 * tip, ground),
        corner(-0.64 + tip, ground), (-0.56 + tip, back + 0.35 * heel), corner(-0.38, back + 0.03)
    ]
    parts = [
        fill(outline(inside), paint="inner", relief=0.2),
        fill(outline(insole), paint="light", relief=0.2, opacity=0.55, clip=True)
    ]
    if heel > 0.2:
        parts.append(fill(outline(post), patterned=False, relief=1.2))
    else:
        parts.append(fill(rounded(-0.70, ground - 0.05, -0.40, ground + 0.01, 0.02), paint="outsole"))
    parts += [
        stroke(
            line(
                [
                    (-0.5, back + 0.02), (-0.25, (back + ground) / 2 + 0.01), (0.12, ground - 0.01),
                    (0.4, ground + 0.005), (toe - 0.04, ground - 0.01)
                ]
            ),
            width=0.03, paint="outsole"
        ),
        fill(outline(upper), lift=0.4, relief=1.2, gloss=0.25),
        stitch(
            line(
                [
                    (-0.68, back - wall + 0.035), (-0.49, back - wall + 0.145),
                    (-0.14, (back + ground) / 2 - 0.115), (0.2, ground - 0.135), (0.42, ground - 0.16)
                ]
            )
        )
    ]
    if k[4] > 0.1:
        bow = twin(ellipse(0.06, 0.0, 0.07, 0.035, turn=-0.4))
        knot = ellipse(0.0, 0.0, 0.025, 0.025)
        place = np.array([0.42, ground - 0.19], dtype=np.float32)
        parts.append(fill(*(curve + place for curve in (*bow, knot)), paint="rib", lift=0.6))
    return parts
