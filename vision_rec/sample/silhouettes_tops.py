"""Clothes of the upper body and dresses, laid flat, seen from the front."""

# Outlines read best as dense tables of points.
# fmt: off

from __future__ import annotations

import math

from vision_rec.sample.curves import Point, corner, ellipse, line, mirror, outline, rounded
from vision_rec.sample.parts import Knobs, Part, fill, pair, seam, stitch, stroke, twin
from vision_rec.types import Array


def tshirt(cut: str, k: Knobs) -> list[Part]:
    """Draw a T-shirt: crew neck, V-neck or boxy."""
    boxy = cut == "boxy"
    chest = 0.44 + 0.03 * k[0] + 0.05 * boxy
    hem, bottom = chest + 0.0 + 0.02 * k[1], 0.70 + 0.06 * k[2] - 0.12 * boxy
    neck, drop = 0.19 + 0.02 * k[3], 0.17 + 0.03 * k[4]
    vee = cut == "V-neck"
    drop += 0.11 * vee
    sleeve = _sleeve((0.47 + 0.03 * boxy, -0.57), (chest - 0.02, -0.18), 0.93, 0.43 + 0.03 * k[5], 0.27)
    body = _body(neck, drop, chest, chest - 0.015, hem, bottom, vee=vee, shoulder=0.47 + 0.03 * boxy)
    rim = _neckline(neck, drop, vee)
    return [
        _back_of_neck(neck), *pair(fill(outline(sleeve), turn=-0.55, relief=0.9)),
        *pair(stitch(line([_near(sleeve, 3, 0.06), _near(sleeve, 2, 0.06)]))),
        fill(outline(mirror(body)), lift=0.5),
        stroke(rim, width=0.05, paint="rib", relief=0.6, clip=True, front=True),
        stitch(line([(-hem, bottom - 0.04), (0.0, bottom - 0.02), (hem, bottom - 0.04)])),
        *_creases(chest)
    ]


def shirt(cut: str, k: Knobs) -> list[Part]:
    """Draw a buttoned shirt: classic, short-sleeved or band collar."""
    chest = 0.41 + 0.025 * k[0]
    bottom = 0.74 + 0.05 * k[1]
    short = cut == "short-sleeved"
    length, cuff = (0.40 + 0.03 * k[2], 0.25) if short else (1.16 + 0.04 * k[2], 0.15)
    sleeve = _sleeve((0.44, -0.56), (chest - 0.02, -0.20), 0.98 if short else 1.24, length, cuff)
    half: list[Point] = _body(0.15, 0.13, chest, chest - 0.03, chest, bottom - 0.10, vee=True, shoulder=0.44)
    half = [*half[:-2], (chest + 0.005, bottom - 0.16), (chest - 0.12, bottom - 0.02), (0.0, bottom + 0.03)]
    edge = 0.045
    buttons = [
        ellipse(0.0, -0.36 + i * 0.185, 0.019, 0.019)
        for i in range(6) if -0.36 + i * 0.185 < bottom - 0.06
    ]
    parts = [
        _back_of_neck(0.15), *pair(fill(outline(sleeve), turn=-0.3, relief=0.9)),
        fill(outline(mirror(half)), lift=0.5),
        fill(
            rounded(-edge, -0.44, edge, bottom + 0.05, 0.01), lift=0.4, relief=0.25, clip=True, front=True
        ),
        stitch(
            line([(edge - 0.012, -0.4), (edge - 0.012, bottom)]),
            line([(-edge + 0.012, -0.4), (-edge + 0.012, bottom)])
        )
    ]
    if not short:
        parts += pair(_cuff(sleeve, 0.13))
    if cut == "band collar":
        parts.append(stroke(_neckline(0.15, 0.13, True), width=0.075, paint="rib", lift=0.7, front=True))
    else:
        flap = [corner(0.0, -0.43), corner(0.165, -0.655), corner(0.285, -0.50), corner(0.125, -0.335)]
        parts += [
            fill(c, lift=0.9, relief=0.5, patterned=True, turn=t, front=True) for c,
            t in zip(twin(outline(flap)), (0.6, -0.6), strict=True)
        ]
    if k[3] > -0.2:
        pocket = [
            corner(0.13, -0.2), corner(0.31, -0.2), corner(0.31, 0.0), corner(0.22, 0.045),
            corner(0.13, 0.0)
        ]
        parts.append(fill(outline(pocket), lift=0.45, relief=0.2, front=True))
    return [
        *parts, fill(*buttons, paint="button", textured=False, lift=0.8, front=True, gloss=0.5),
        *_creases(chest)
    ]


def sweater(cut: str, k: Knobs) -> list[Part]:
    """Draw a pullover: crew neck, turtleneck or cardigan."""
    chest = 0.46 + 0.03 * k[0]
    bottom = 0.62 + 0.05 * k[1]
    sleeve = _sleeve((0.46, -0.54), (chest - 0.02, -0.16), 1.20 + 0.03 * k[2], 1.10 + 0.04 * k[3], 0.19)
    open_front = cut == "cardigan"
    neck, drop = 0.19 + 0.02 * k[4], 0.50 if open_front else 0.14
    half = _body(neck, drop, chest, chest + 0.01, chest - 0.05, bottom, vee=open_front, shoulder=0.46)
    band = [
        corner(chest - 0.02, bottom - 0.12), (chest - 0.015, bottom - 0.04),
        corner(chest - 0.06, bottom + 0.01), (0.0, bottom + 0.03)
    ]
    parts = [
        _back_of_neck(neck), *pair(fill(outline(sleeve), turn=-0.33)),
        *pair(_cuff(sleeve, 0.14, paint="rib")), fill(outline(mirror(half)), lift=0.55),
        fill(outline(mirror([(0.0, bottom - 0.10), *band])), paint="rib", lift=0.4, relief=0.6),
        seam(
            *(
                line([(x, bottom - 0.11), (x * 0.98, bottom + 0.03)])
                for x in _steps(-chest, chest, 0.045)
            ),
            width=0.007, opacity=0.3
        )
    ]
    if cut == "turtleneck":
        roll = [
            corner(0.0, -0.80), corner(neck - 0.01, -0.79), (neck + 0.02, -0.68),
            corner(neck + 0.03, -0.56), (0.0, -0.50)
        ]
        parts.append(fill(outline(mirror(roll)), paint="rib", lift=0.6, form="round"))
        ribs = (line([(x, -0.78), (x * 1.1, -0.52)]) for x in _steps(-neck, neck, 0.04))
        parts.append(seam(*ribs, width=0.007, opacity=0.3))
    elif open_front:
        rim = _neckline(neck, drop, True)
        buttons = [ellipse(0.0, y, 0.026, 0.026) for y in _steps(-0.08, bottom - 0.04, 0.165)]
        edge = stroke(
            rim, line([(0.0, drop - 0.7), (0.0, bottom + 0.02)]), width=0.075, paint="rib", lift=0.5,
            front=True
        )
        parts += [edge, fill(*buttons, paint="button", textured=False, lift=0.8, gloss=0.5, front=True)]
    else:
        parts.append(stroke(_neckline(neck, drop, False), width=0.075, paint="rib", lift=0.6, front=True))
    return [*parts, *_creases(chest)]


def jacket(cut: str, k: Knobs) -> list[Part]:
    """Draw a jacket: bomber, blazer or parka with a hood."""
    chest = 0.45 + 0.025 * k[0]
    bottom = {"bomber": 0.52, "blazer": 0.68, "parka": 0.80}[cut] + 0.04 * k[1]
    sleeve = _sleeve((0.47, -0.56), (chest - 0.02, -0.18), 1.25 + 0.03 * k[2], 1.16, 0.19)
    hem = chest - (0.04 if cut == "bomber" else -0.03)
    half = _body(
        0.17, 0.16, chest, chest - (0.05 if cut == "blazer" else 0.0), hem, bottom, vee=True,
        shoulder=0.47
    )
    parts: list[Part] = []
    if cut == "parka":
        hood = [corner(0.0, -0.86), (0.20, -0.82), (0.29, -0.66), corner(0.24, -0.46), (0.0, -0.40)]
        parts += [
            fill(outline(mirror(hood))),
            fill(ellipse(0.0, -0.62, 0.165, 0.17), paint="inner", relief=-0.6)
        ]
    else:
        parts.append(_back_of_neck(0.17))
    parts += [
        *pair(fill(outline(sleeve), turn=-0.3)),
        *pair(_cuff(sleeve, 0.10, paint="rib" if cut == "bomber" else "main"))
    ]
    parts.append(fill(outline(mirror(half)), lift=0.6))
    if cut == "blazer":
        return [*parts, *_blazer_front(chest, bottom), *_creases(chest)]
    zip_top = -0.46 if cut == "bomber" else -0.42
    parts += [
        stroke(
            line([(0.0, zip_top), (0.0, bottom + 0.02)]), width=0.05, paint="rib", lift=0.4, relief=0.4,
            clip=True, front=True
        ),
        stroke(
            line([(0.0, zip_top), (0.0, bottom + 0.01)]), width=0.018, paint="metal", textured=False,
            clip=True, front=True
        ),
        fill(
            rounded(-0.014, zip_top + 0.04, 0.014, zip_top + 0.12, 0.01), paint="metal", lift=0.8,
            textured=False, front=True
        )
    ]
    slit = [corner(0.20, 0.24), corner(0.36, 0.10), corner(0.38, 0.125), corner(0.22, 0.27)]
    if cut == "bomber":
        band = [corner(chest - 0.01, bottom - 0.11), corner(hem - 0.02, bottom + 0.01), (0.0, bottom + 0.03)]
        parts += [
            *pair(fill(outline(slit), paint="rib", lift=0.5, front=True)),
            fill(outline(mirror([(0.0, bottom - 0.09), *band])), paint="rib", lift=0.4),
            stroke(_neckline(0.17, 0.16, False), width=0.085, paint="rib", lift=0.6, front=True)
        ]
    else:
        flap = rounded(0.14, 0.22, 0.38, 0.33, 0.03)
        parts += [
            *pair(fill(rounded(0.15, 0.25, 0.37, 0.52, 0.03), lift=0.4, relief=0.4, front=True)),
            *pair(fill(flap, lift=0.6, relief=0.5, front=True)),
            *pair(fill(ellipse(0.26, 0.295, 0.016, 0.016), paint="metal", textured=False, front=True)),
            seam(line([(-chest, 0.02), (0.0, 0.04), (chest, 0.02)]), width=0.014),
            stroke(_neckline(0.20, 0.14, False), width=0.09, paint="rib", lift=0.6, front=True)
        ]
    return [*parts, *_creases(chest)]


def dress(cut: str, k: Knobs) -> list[Part]:
    """Draw a dress: strappy summer dress, A-line with short sleeves, or shift."""
    waist, flare = 0.235 + 0.02 * k[0], 0.46 + 0.08 * k[1]
    bottom = 0.82 + 0.05 * k[2]
    wy = -0.16 + 0.04 * k[3]
    if cut == "shift":
        waist, flare, wy = 0.31 + 0.02 * k[0], 0.36 + 0.03 * k[1], -0.1
    strappy = cut == "summer"
    top, shoulder = (-0.62, 0.20) if strappy else (-0.74, 0.34)
    drop = (0.05 if strappy else 0.16) + 0.02 * k[4]
    neck = 0.13 if strappy else 0.165
    bust: list[Point] = [
        (0.0, top + drop), _bow(neck + 0.02, drop, top), corner(neck + 0.02, top),
        corner(shoulder, top + (0.05 if strappy else 0.06))
    ]
    side: list[Point] = [(0.285, top + 0.30), (waist + 0.005, wy), (waist + 0.35 * (flare - waist), wy + 0.3)]
    skirt: list[Point] = [corner(flare, bottom - 0.02), (flare * 0.5, bottom + 0.03), (0.0, bottom + 0.025)]
    parts: list[Part] = []
    if strappy:
        parts.append(
            stroke(
                *twin(line([(0.17, top + 0.03), (0.15, -0.84), (0.11, -0.88)])), width=0.035, paint="rib"
            )
        )
    else:
        parts.append(_back_of_neck(neck, top=top))
        sleeve = _sleeve(
            (shoulder, top + 0.06), (0.275, top + 0.33), 1.0, 0.26 if cut == "A-line" else 0.4, 0.2
        )
        parts += pair(fill(outline(sleeve), turn=-0.5))
    parts.append(fill(outline(mirror([*bust, *side, *skirt])), lift=0.5))
    folds = [
        line([(x * waist, wy + 0.06), (x * flare * 0.92, bottom - 0.04)])
        for x in (-0.8, -0.45, -0.1, 0.3, 0.65)
    ]
    if cut != "shift":
        parts.append(stroke(*folds, width=0.022, opacity=0.22, clip=True, form="flat"))
        belt = [corner(waist + 0.02, wy - 0.035), corner(waist + 0.025, wy + 0.03), (0.0, wy + 0.045)]
        parts.append(fill(outline(mirror([(0.0, wy - 0.025), *belt])), paint="rib", lift=0.5, clip=True))
        if k[5] > 0.1:
            parts += [
                fill(c, paint="rib", lift=0.6, front=True)
                for c in twin(ellipse(0.07, wy, 0.065, 0.032, turn=-0.35))
            ]
    if not strappy:
        parts.append(
            stroke(_neckline(neck, drop, False, top=top), width=0.04, paint="rib", clip=True, front=True)
        )
    return [*parts, stitch(line([(-flare, bottom - 0.05), (0.0, bottom - 0.01), (flare, bottom - 0.05)]))]


def _blazer_front(chest: float, bottom: float) -> list[Part]:
    lapel = [
        corner(0.0, -0.02), corner(0.17, -0.66), corner(0.285, -0.46), corner(0.215, -0.40),
        corner(0.255, -0.335)
    ]
    shirt_gap = [corner(-0.15, -0.64), corner(0.15, -0.64), corner(0.0, -0.02)]
    pocket = rounded(0.16, 0.28, 0.37, 0.345, 0.015)
    return [
        fill(outline(shirt_gap), paint="light", relief=0.2, patterned=False, front=True),
        seam(line([(0.0, -0.03), (0.015, 0.3), (0.05, bottom)]), width=0.014),
        *pair(fill(outline(lapel), lift=0.9, relief=0.6, turn=0.3, front=True)),
        *pair(fill(pocket, lift=0.6, relief=0.4, front=True)),
        fill(
            ellipse(0.02, 0.06, 0.024, 0.024), ellipse(0.03, 0.22, 0.024, 0.024), paint="button",
            lift=0.8, gloss=0.5, textured=False, front=True
        )
    ]


def _body(
    neck: float, drop: float, chest: float, waist: float, hem: float, bottom: float, *,
    vee: bool, shoulder: float
) -> list[Point]:
    """Return the right half of a body: neckline, shoulder, armhole, side, hem."""
    throat: list[Point] = (
        [corner(0.0, -0.64 + drop)] if vee else [(0.0, -0.64 + drop), _bow(neck, drop, -0.64)]
    )
    return [
        *throat, corner(neck, -0.66), corner(shoulder, -0.555), (shoulder - 0.045, -0.40),
        corner(chest, -0.17), (waist, 0.18), corner(hem, bottom), (0.0, bottom + 0.02)
    ]


def _bow(neck: float, drop: float, top: float) -> tuple[float, float]:
    """Return the point that makes a round neckline full."""
    return (0.74 * neck, top + 0.66 * drop)


def _neckline(neck: float, drop: float, vee: bool, *, top: float = -0.64) -> Array:
    if vee:
        return line([corner(-neck, top - 0.02), corner(0.0, top + drop), corner(neck, top - 0.02)])
    bow = _bow(neck, drop, top)
    return line(
        [corner(-neck, top - 0.02), (-bow[0], bow[1]), (0.0, top + drop), bow, corner(neck, top - 0.02)]
    )


def _back_of_neck(neck: float, *, top: float = -0.64) -> Part:
    back = [corner(neck + 0.01, top - 0.02), (neck * 0.9, top + 0.14), (0.0, top + 0.2)]
    return fill(outline(mirror([(0.0, top - 0.015), *back])), paint="inner", relief=-0.4)


def _sleeve(
    shoulder: tuple[float, float], armpit: tuple[float, float], angle: float, length: float, width: float
) -> list[Point]:
    """Return a right sleeve hanging at `angle` below the horizontal; points 2 and 3 are its opening."""
    dx, dy = math.cos(angle), math.sin(angle)
    sx, sy = shoulder
    ox, oy = sx + dx * length, sy + dy * length
    ix, iy = ox - dy * width, oy + dx * width
    bulge = 0.03 * min(1.0, length)
    return [
        corner(sx - 0.12, sy - 0.01), (sx + 0.01, sy), corner(ox, oy), corner(ix, iy),
        ((ix + armpit[0]) / 2 + bulge * 0.6, (iy + armpit[1]) / 2 + 0.01),
        corner(armpit[0], armpit[1] + 0.015), corner(armpit[0] - 0.16, armpit[1])
    ]


def _near(sleeve: list[Point], place: int, back: float) -> Point:
    """Return a point of the sleeve's opening moved back up along the sleeve."""
    towards = sleeve[1] if place == 2 else sleeve[5]
    x, y = sleeve[place][:2]
    far = math.hypot(towards[0] - x, towards[1] - y)
    return (x + (towards[0] - x) * back / far, y + (towards[1] - y) * back / far)


def _cuff(sleeve: list[Point], height: float, *, paint: str = "main") -> Part:
    points = [
        sleeve[2], sleeve[3], corner(*_near(sleeve, 3, height)[:2]), corner(*_near(sleeve, 2, height)[:2])
    ]
    return fill(outline(points), paint=paint, patterned=paint == "main", lift=0.5, relief=0.8, turn=-0.3)


def _creases(chest: float) -> list[Part]:
    soft = [
        line([(chest - 0.03, -0.15), (chest - 0.14, -0.04), (chest - 0.24, 0.0)]),
        line([(chest - 0.02, 0.25), (chest - 0.12, 0.33)])
    ]
    return [stroke(*twin(*soft), width=0.02, opacity=0.16, clip=True, form="flat")]


def _steps(start: float, stop: float, step: float) -> list[float]:
    return [start + i * step for i in range(int((stop - start) / step) + 1)]
