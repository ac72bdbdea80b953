"""Things for the home."""

# Outlines read best as dense tables of points.
# fmt: off

from __future__ import annotations

import math

import numpy as np

from vision_rec.sample.curves import Point, corner, ellipse, line, mirror, outline, rounded
from vision_rec.sample.parts import Knobs, Part, fill, pair, stroke, twin


def lamp(cut: str, k: Knobs) -> list[Part]:
    """Draw a table lamp: drum, cone or dome shade."""
    wide, top_w = {"drum": (0.46, 0.40), "cone": (0.56, 0.24), "dome": (0.55, 0.05)}[cut]
    wide += 0.03 * k[0]
    top, low = -0.82, -0.14 + 0.05 * k[1]
    ground = 0.84
    if cut == "dome":
        shade: list[Point] = [
            (0.0, top + 0.10), (wide * 0.55, top + 0.17), (wide * 0.93, low - 0.25), corner(wide, low),
            (0.0, low + 0.045)
        ]
    else:
        shade = [corner(0.0, top - 0.02), corner(top_w, top), corner(wide, low), (0.0, low + 0.05)]
    foot = 0.27 + 0.03 * k[2]
    rims = [line([(-wide + 0.01, low - 0.012), (0.0, low + 0.035), (wide - 0.01, low - 0.012)])]
    if cut != "dome":
        rims.append(line([(-top_w, top + 0.012), (0.0, top - 0.005), (top_w, top + 0.012)]))
    cord = line(
        [
            (foot * 0.6, ground - 0.02), (foot + 0.2, ground + 0.03), (foot + 0.35, ground + 0.0),
            (0.85, ground + 0.04)
        ]
    )
    return [
        stroke(cord, width=0.014, paint="dark", textured=False, opacity=0.8),
        *_lamp_foot(k, low, ground, foot),
        fill(ellipse(0.0, low, wide - 0.01, 0.045), paint="glow", relief=0.0, textured=False),
        fill(outline(mirror(shade)), form="round", lift=0.6),
        stroke(*rims, width=0.024, paint="rib", clip=True),
        fill(
            rounded(
                -0.02, top - 0.08 + (0.1 if cut == "dome" else 0.0), 0.02,
                top + (0.12 if cut == "dome" else 0.0), 0.015
            ),
            paint="metal", textured=False
        )
    ]


def _lamp_foot(k: Knobs, low: float, ground: float, foot: float) -> list[Part]:
    """Draw the foot of a lamp: glazed in the lamp's colour, or slender in metal or wood."""
    if k[3] > 0.25:
        belly: list[Point] = [
            corner(0.0, low), (0.05, low + 0.1), (0.10, low + 0.22), (foot - 0.01, 0.42),
            (foot - 0.03, 0.66), (0.12, ground - 0.05), corner(0.15, ground), (0.0, ground + 0.02)
        ]
        body = outline(mirror(belly))
        return [fill(body, paint="main", patterned=False, form="round", gloss=0.7, textured=False)]
    post = "metal" if k[3] < -0.4 else "wood"
    stem: list[Point] = [
        corner(0.0, low), corner(0.03, low), (0.03, 0.4), (0.045, ground - 0.1),
        corner(0.05, ground - 0.05), (0.0, ground - 0.04)
    ]
    base: list[Point] = [
        (0.0, ground - 0.09), (foot - 0.05, ground - 0.07), (foot, ground - 0.02),
        (foot - 0.04, ground + 0.01), (0.0, ground + 0.03)
    ]
    return [
        fill(outline(mirror(base)), paint=post, gloss=0.4, form="round"),
        fill(outline(mirror(stem)), paint=post, gloss=0.5, form="round")
    ]


def chair(cut: str, k: Knobs) -> list[Part]:
    """Draw a chair from the front, slightly above: dining chair, armchair or shell chair."""
    if cut == "armchair":
        return _armchair(k)
    w = 0.40 + 0.03 * k[0]
    legs = [line([(-w + 0.05, 0.16), (-w - 0.03, 0.86)]), line([(w - 0.05, 0.16), (w + 0.03, 0.86)])]
    rear = [line([(-w + 0.12, 0.1), (-w + 0.07, 0.74)]), line([(w - 0.12, 0.1), (w - 0.07, 0.74)])]
    seat = [
        corner(-w + 0.06, 0.02), (0.0, 0.0), corner(w - 0.06, 0.02), (w + 0.015, 0.15), (w, 0.24),
        (0.0, 0.27), (-w, 0.24), (-w - 0.015, 0.15)
    ]
    if cut == "shell chair":
        shell: list[Point] = [
            (0.0, -0.66), (w - 0.06, -0.60), (w + 0.06, -0.3), (w + 0.12, -0.02), (w + 0.1, 0.14),
            (w - 0.02, 0.24), (0.0, 0.28)
        ]
        bowl: list[Point] = [(0.0, 0.02), (w - 0.06, 0.01), (w + 0.03, 0.1), (w - 0.06, 0.20), (0.0, 0.23)]
        bars = [line([(-w, 0.7), (w - 0.1, 0.5)]), line([(w, 0.7), (-w + 0.1, 0.5)])]
        return [
            stroke(*rear, width=0.04, paint="wood"),
            stroke(*bars, width=0.018, paint="dark", textured=False),
            stroke(*legs, width=0.05, paint="wood", relief=1.2),
            fill(outline(mirror(shell)), relief=1.2, gloss=0.2),
            fill(outline(mirror(bowl)), relief=-0.7, patterned=True)
        ]
    posts = twin(line([(w - 0.05, 0.1), (w - 0.04, -0.4), (w - 0.02, -0.80)]))
    top = -0.76 - 0.03 * k[1]
    pad: list[Point] = [
        (0.0, top), (w - 0.08, top + 0.02), (w - 0.035, top + 0.1), (w - 0.06, -0.22), (w - 0.12, -0.14),
        (0.0, -0.13)
    ]
    return [
        stroke(*rear, width=0.045, paint="wood"),
        stroke(line([(-w + 0.02, 0.56), (w - 0.02, 0.56)]), width=0.035, paint="wood"),
        stroke(*posts, width=0.055, paint="wood", relief=1.2),
        stroke(*legs, width=0.06, paint="wood", relief=1.2),
        fill(outline(mirror(pad)), lift=0.5, relief=1.1),
        fill(rounded(-w, 0.18, w, 0.31, 0.03), paint="wood", relief=0.6),
        fill(outline(seat), lift=0.6, relief=1.2)
    ]


def _armchair(k: Knobs) -> list[Part]:
    w, top = 0.60 + 0.03 * k[0], -0.60 - 0.05 * k[1]
    back: list[Point] = [
        (0.0, top - 0.03), (w - 0.18, top + 0.01), (w - 0.05, top + 0.16), (w - 0.04, 0.2),
        corner(w - 0.08, 0.4), (0.0, 0.4)
    ]
    seat: list[Point] = [
        (0.0, 0.07), (w - 0.2, 0.08), (w - 0.12, 0.15), (w - 0.13, 0.28), (w - 0.2, 0.32),
        (0.0, 0.335)
    ]
    front: list[Point] = [
        corner(0.0, 0.28), corner(w - 0.08, 0.27), (w - 0.08, 0.45), (w - 0.14, 0.56), (0.0, 0.57)
    ]
    arm: list[Point] = [
        (w - 0.17, -0.04), (w - 0.03, -0.12), (w + 0.11, -0.05), (w + 0.12, 0.3), (w + 0.07, 0.58),
        (w - 0.1, 0.58), (w - 0.16, 0.3)
    ]
    legs = [line([(x, 0.5), (x * 1.04, 0.84)]) for x in (-w, w, -w + 0.2, w - 0.2)]
    tufts = [
        ellipse(x, y, 0.018, 0.018)
        for y, row in ((top + 0.2, (-0.28, 0.0, 0.28)), (top + 0.42, (-0.15, 0.15)))
        for x in row
    ]
    parts = [stroke(*legs, width=0.06, paint="wood", relief=1.2), fill(outline(mirror(back)), relief=1.2)]
    if k[2] > 0.0:
        parts.append(fill(*tufts, paint="inner", relief=0.5, front=True))
    return [
        *parts, fill(outline(mirror(front)), lift=0.5),
        fill(outline(mirror(seat)), lift=0.8, relief=1.2),
        *pair(fill(outline(arm), lift=0.7, relief=1.3))
    ]


def mug(cut: str, k: Knobs) -> list[Part]:
    """Draw a mug: straight, round or tall."""
    sizes = {"straight": (0.42, -0.46, 0.50), "round": (0.44, -0.34, 0.50), "tall": (0.34, -0.66, 0.60)}
    w, top, low = sizes[cut]
    w += 0.03 * k[0]
    top += 0.03 * k[1]
    if cut == "round":
        side: list[Point] = [
            corner(w * 0.86, top), (w + 0.07, (top + low) / 2), (w * 0.72, low - 0.04),
            corner(w * 0.55, low), (0.0, low + 0.05)
        ]
        lip = w * 0.86
    else:
        side = [corner(w, top), (w - 0.01, 0.2), (w - 0.03, low - 0.06), (w - 0.10, low), (0.0, low + 0.05)]
        lip = w
    mid, tall = (top + low) / 2, (low - top) * 0.29
    reach = w + 0.30 + 0.03 * k[2]
    ear = line(
        [
            (w - 0.06, mid - tall), (w + 0.13, mid - tall - 0.02), (reach, mid - 0.05),
            (w + 0.15, mid + tall - 0.02), (w - 0.08, mid + tall * 0.9)
        ]
    )
    parts = [
        stroke(ear, width=0.095, paint="main", gloss=0.7, relief=1.5, textured=False),
        fill(outline(mirror([(0.0, top + 0.02), *side])), form="round", gloss=0.75),
        fill(
            ellipse(0.0, top, lip, 0.085), paint="main", patterned=False, gloss=0.5, relief=0.6,
            textured=False
        ),
        fill(
            ellipse(0.0, top + 0.006, lip - 0.035, 0.066), paint="light" if k[3] > 0 else "inner",
            relief=-0.8, textured=False
        )
    ]
    if k[4] > 0.3:
        parts.append(
            fill(ellipse(0.0, top + 0.028, lip - 0.06, 0.045), paint="coffee", relief=0.0, textured=False)
        )
    return parts


def vase(cut: str, k: Knobs) -> list[Part]:
    """Draw a vase: bottle, amphora, bulb or cylinder."""
    ground = 0.80
    neck, belly = 0.12 + 0.02 * k[0], 0.42 + 0.04 * k[1]
    top = -0.78 + 0.04 * k[2]
    profile: dict[str, list[Point]] = {
        "bottle": [
            corner(neck, top), (neck - 0.02, -0.4), (neck + 0.03, -0.14), (belly, 0.3),
            (belly - 0.06, 0.62), corner(belly - 0.16, ground)
        ],
        "amphora": [
            corner(neck + 0.1, top), (neck + 0.01, top + 0.17), (neck + 0.06, top + 0.32),
            (belly + 0.03, -0.1), (belly - 0.1, 0.4), corner(0.17, ground)
        ],
        "bulb": [
            corner(neck + 0.03, -0.46), (neck - 0.01, -0.34), (belly + 0.1, 0.1), (belly + 0.08, 0.5),
            corner(belly - 0.14, ground)
        ],
        "cylinder": [
            corner(belly - 0.10, top + 0.1), (belly - 0.13, -0.1), (belly - 0.11, 0.4),
            corner(belly - 0.08, ground)
        ]
    }
    side = profile[cut]
    lip_x, lip_y = side[0][0], side[0][1]
    parts: list[Part] = []
    if k[3] > 0.35:
        parts += _twigs(lip_y, k[4])
    parts += [
        fill(outline(mirror([corner(0.0, lip_y), *side, (0.0, ground + 0.04)])), form="round", gloss=0.7),
        fill(ellipse(0.0, lip_y, lip_x, max(0.03, lip_x * 0.2)), paint="rib", textured=False, relief=0.5),
        fill(
            ellipse(0.0, lip_y + 0.004, lip_x - 0.025, max(0.018, lip_x * 0.2 - 0.014)), paint="inner",
            textured=False, relief=-0.4
        )
    ]
    if cut == "amphora":
        ear = line([(neck + 0.06, top + 0.12), (neck + 0.32, top + 0.14), (belly - 0.02, -0.22)])
        parts.insert(
            len(parts) - 3,
            stroke(*twin(ear), width=0.06, paint="main", gloss=0.5, relief=1.4, textured=False)
        )
    return parts


def _twigs(top: float, lean: float) -> list[Part]:
    """Draw a few dried stems with leaves above the rim at `top`."""
    parts: list[Part] = []
    for i, tilt in enumerate((-0.32, 0.05, 0.36)):
        tip_x, tip_y = tilt * 0.75 + 0.05 * lean, max(-0.97, top - 0.36 - 0.06 * (i == 1))
        parts.append(
            stroke(
                line([(0.0, top + 0.1), (tilt * 0.3, (top + tip_y) / 2), (tip_x, tip_y)]), width=0.012,
                paint="leaf", textured=False
            )
        )
        leaves = []
        for j in range(4):
            share = 0.35 + 0.2 * j
            x, y = tip_x * share, top + (tip_y - top) * share
            leaves.append(ellipse(x + 0.04 * (-1) ** j, y - 0.01, 0.05, 0.018, turn=0.6 * (-1) ** (j + 1)))
        parts.append(fill(*leaves, paint="leaf", textured=False, relief=0.6))
    return parts


def cushion(cut: str, k: Knobs) -> list[Part]:
    """Draw a cushion: square, lumbar or round."""
    if cut == "round":
        r = 0.68 + 0.04 * k[0]
        disc = ellipse(0.0, 0.0, r, r * 0.95)
        rays = [
            line([(0.05 * math.cos(a), 0.05 * math.sin(a)), (0.45 * math.cos(a), 0.45 * math.sin(a))])
            for a in (i * math.pi / 6 for i in range(12))
        ]
        return [
            fill(disc, relief=1.5),
            stroke(*rays, width=0.03, opacity=0.18, clip=True, form="flat"),
            stroke(
                np.vstack([disc, disc[:1]]),
                width=0.03, paint="trim", relief=0.8
            ),
            fill(ellipse(0.0, 0.0, 0.055, 0.05), paint="trim", lift=0.8, relief=1.2, front=True)
        ]
    w, h = (0.68 + 0.03 * k[0], 0.66 + 0.03 * k[1]) if cut == "square" else (0.84, 0.46 + 0.03 * k[1])
    dip = 0.055 + 0.02 * k[2]
    edge: list[Point] = [(0.0, -h + dip), corner(w, -h), (w - dip, 0.0), corner(w, h), (0.0, h - dip)]
    shape = outline(mirror(edge))
    piping = np.vstack([shape, shape[:1]])
    dents = twin(
        line([(w - 0.05, -h + 0.05), (w - 0.24, -h + 0.22)]),
        line([(w - 0.05, h - 0.05), (w - 0.26, h - 0.2)])
    )
    parts = [fill(shape, relief=1.5), stroke(*dents, width=0.035, opacity=0.2, clip=True, form="flat")]
    if k[3] > 0.3:
        threads = [
            line([(x, y), (x * 1.07, y * 1.09)])
            for x in (-w, w) for y in [h * (i / 6 - 1) for i in range(13)]
        ]
        return [stroke(*threads, width=0.022, paint="trim"), *parts, stroke(piping, width=0.018, paint="rib")]
    return [*parts, stroke(piping, width=0.03, paint="trim" if k[3] > -0.4 else "rib", relief=0.8)]
