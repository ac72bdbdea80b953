"""Paint one picture of a product: its parts, light, shadow and backdrop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from vision_rec.sample.articles import ARTICLES, Article
from vision_rec.sample.fields import soften
from vision_rec.sample.palette import lab_to_rgb
from vision_rec.sample.parts import Part
from vision_rec.sample.patterns import GLOSS, GRAIN_DEPTH, grain, print_pattern
from vision_rec.sample.shading import (
    Light,
    Lit,
    creases,
    light_round,
    light_soft,
    shadow_flat,
    shadow_standing,
)
from vision_rec.sample.spec import ProductSpec, Scene, paints
from vision_rec.types import Array, Picture

Mask = npt.NDArray[np.uint8]  # (H, W), 255 on the product


@dataclass(frozen=True, slots=True)
class Rendered:
    """A picture (side, side, 3) and its foreground mask (side, side), both uint8."""

    picture: Picture
    mask: Mask


class _Canvas:
    """The product being painted: premultiplied colour and coverage, with the pose that places it."""

    def __init__(self, spec: ProductSpec, scene: Scene, side: int) -> None:
        self.spec, self.scene, self.side = spec, scene, side
        self.kind: Article = ARTICLES[spec.article]
        self.zoom = 3 if side <= 360 else 2  # supersampling of the silhouettes
        self.rgb = np.zeros((3, side, side), dtype=np.float32)  # planes: arithmetic is far faster so
        self.alpha = np.zeros((side, side), dtype=np.float32)
        self.unit = scene.scale * side / 2  # pixels per product unit
        self.light = Light(float(np.cos(scene.light_angle)), float(np.sin(scene.light_angle)), scene.light)
        mixed = paints(spec)
        rgb = lab_to_rgb(list(mixed.values())).reshape(-1, 3, 1, 1)
        self.paints = dict(zip(mixed, rgb, strict=True))
        c, s = np.cos(scene.rotation), np.sin(scene.rotation)
        mirror = -1.0 if scene.flip else 1.0
        pose = np.array([[c, -s], [s, c]]) @ np.diag([mirror * scene.squeeze, 1.0])
        self.pose = (pose * self.unit).astype(np.float32)
        self.back = np.linalg.inv(pose * self.unit).astype(np.float32)
        self.origin = np.array([1 + scene.shift_x, 1 + scene.shift_y], dtype=np.float32) * side / 2
        self.folds = self._folds()

    def place(self, points: Array) -> Array:
        """Move product coordinates (n, 2) to pixels."""
        return (points @ self.pose.T + self.origin).astype(np.float32)

    def paint(self, part: Part) -> None:
        """Lay one part over what is there."""
        curves = [self.place(curve) for curve in part.curves]
        reach = part.width * self.unit / 2 + 2
        box = _box_of(curves, reach, self.side)
        if box is None:
            return
        window = (slice(box[1], box[3]), slice(box[0], box[2]))
        cover = self._cover(curves, part, box)
        if part.clip:
            cover = cover * self.alpha[window]
        if part.lift:
            self._shadow_beneath(part, cover, box)
        colour = self._colour(part, cover, box)
        strength = cover * np.float32(part.opacity)
        plane = self.rgb[:, *window]
        plane += (colour - plane) * strength
        if not part.clip:
            self.alpha[window] += (1 - self.alpha[window]) * strength

    def _cover(self, curves: Sequence[Array], part: Part, box: tuple[int, int, int, int]) -> Array:
        """Rasterise curves with supersampling → (h, w), 0–1."""
        z = self.zoom
        image = Image.new("L", ((box[2] - box[0]) * z, (box[3] - box[1]) * z))
        pen = ImageDraw.Draw(image)
        offset = np.array([box[0], box[1]], dtype=np.float32)
        width = max(1, round(part.width * self.unit * z))
        # A line thinner than a pixel is drawn one sample wide, and fainter.
        faint = min(1.0, part.width * self.unit * z) if part.width else 1.0
        for curve in curves:
            points = (curve - offset) * z
            if not part.width:
                pen.polygon([tuple(p) for p in points.tolist()], fill=255)
                continue
            pieces = _dashes(points, part.dash * self.unit * z) if part.dash else [points]
            for piece in pieces:
                flat = [tuple(p) for p in piece.tolist()]
                pen.line(flat, fill=255, width=width, joint="curve")
                if width > 4 and not part.dash:
                    for x, y in (flat[0], flat[-1]):
                        pen.ellipse((x - width / 2, y - width / 2, x + width / 2, y + width / 2), fill=255)
        return np.asarray(image.reduce(z), dtype=np.float32) * (faint / 255.0)

    def _shadow_beneath(self, part: Part, cover: Array, box: tuple[int, int, int, int]) -> None:
        pad = int(0.03 * self.side) + 2
        x0, y0 = max(0, box[0] - pad), max(0, box[1] - pad)
        x1, y1 = min(self.side, box[2] + pad), min(self.side, box[3] + pad)
        field = np.zeros((y1 - y0, x1 - x0), dtype=np.float32)
        field[box[1] - y0 : box[3] - y0, box[0] - x0 : box[2] - x0] = cover
        soft = soften(field, max(1.0, 0.012 * self.side))
        step = 0.010 * self.side
        soft = np.roll(soft, (round(-self.light.y * step), round(-self.light.x * step)), axis=(0, 1))
        self.rgb[:, y0:y1, x0:x1] *= 1 - 0.42 * min(part.lift, 1.0) * soft

    def _colour(self, part: Part, cover: Array, box: tuple[int, int, int, int]) -> Array:
        """Return the lit colour (3, h, w) of a part."""
        base = self.paints[part.paint]
        texture = _texture_of(part, self.spec)
        gloss = max(part.gloss, GLOSS.get(texture, 0.0) if part.textured else 0.0)
        middle = half = None
        if part.form == "flat" or part.relief == 0:
            lit = Lit(np.ones(1, dtype=np.float32), np.zeros(1, dtype=np.float32))
        elif part.form == "round":
            lit, middle, half = light_round(cover, part.relief, gloss, self.light)
        else:
            lit = light_soft(cover, part.relief, gloss, self.light)
        u, v, fold = self._surface(part, box, middle, half)
        colour = base
        pixel = 1.0 / self.unit
        if part.patterned and self.spec.pattern != "solid":
            size = self.spec.print_scale
            pu, pv = _turned(u, v, self.spec.print_turn)
            printed = print_pattern(
                self.spec.pattern, pu / size, pv / size, pixel=pixel / size, seed=self.spec.seed
            )
            colour = colour + printed.second * (self.paints["pair"] - colour)
            colour = colour + printed.third * (self.paints["third"] - colour)
        shade = lit.shade
        if part.textured and texture in GRAIN_DEPTH:
            shade = shade + GRAIN_DEPTH[texture] * grain(texture, u, v, pixel=pixel, seed=self.scene.seed)
        if fold is not None and part.textured and part.form != "flat":
            shade = shade + 0.13 * self.kind.folds * self.light.strength * fold
        # Dark things show their form by what they reflect, not by getting darker.
        colour = colour * shade + np.clip(shade - 1.0, 0, 0.5) * np.float32(0.16)
        if gloss:
            colour += (1.0 - colour) * lit.shine
        return np.asarray(np.clip(colour, 0.0, 1.0), dtype=np.float32)

    def _surface(
        self, part: Part, box: tuple[int, int, int, int], middle: Array | None, half: Array | None
    ) -> tuple[Array, Array, Array | None]:
        """Return the coordinates (h, w) of a part's own surface, and the folds on it."""
        y, x = np.mgrid[box[1] : box[3], box[0] : box[2]].astype(np.float32)
        if middle is not None and half is not None:
            across = np.clip((x - box[0] - middle) / half, -0.999, 0.999)
            x = box[0] + middle + half * np.arcsin(across) * 0.8
        back = self.back
        x, y = x - self.origin[0], y - self.origin[1]
        u, v = back[0, 0] * x + back[0, 1] * y, back[1, 0] * x + back[1, 1] * y
        fold = None
        if self.folds is not None:
            fold = self.folds[box[1] : box[3], box[0] : box[2]]
            u = u + 0.012 * self.kind.folds * fold
        u, v = _turned(u, v, part.turn)
        return u.astype(np.float32), v.astype(np.float32), fold

    def _folds(self) -> Array | None:
        if not self.kind.folds:
            return None
        return creases((self.side, self.side), self.unit, self.scene.seed + 1, self.light)


def render(spec: ProductSpec, scene: Scene, side: int) -> Rendered:
    """Paint one picture of a product, `side` pixels square."""
    canvas = _Canvas(spec, scene, side)
    for part in canvas.kind.draw(spec.cut, spec.knobs):
        if scene.view != "back":
            canvas.paint(part)
        elif not part.front:
            inside = part.paint == "inner" and not canvas.kind.stands
            # From behind, the back of a garment covers what shows inside its neck and waist.
            canvas.paint(replace(part, paint="main", patterned=True, relief=0.5) if inside else part)
    backdrop = _backdrop(scene, side, canvas.kind.stands)
    cast = shadow_standing if canvas.kind.stands and scene.view != "detail" else shadow_flat
    shadow = cast(canvas.alpha, canvas.light)
    around = (1 - canvas.alpha) * (1 - shadow)
    picture = np.multiply(backdrop, around, dtype=np.float32)
    picture += canvas.rgb
    tint = np.array([1 + scene.warmth, 1.0, 1 - scene.warmth], dtype=np.float32).reshape(3, 1, 1)
    picture *= tint * np.float32(scene.exposure * 255)
    noise = np.random.default_rng(scene.seed + 2).standard_normal((side, side), dtype=np.float32)
    picture += noise + np.float32(0.5)
    np.clip(picture, 0, 255, out=picture)
    pixels = np.ascontiguousarray(picture.astype(np.uint8).transpose(1, 2, 0))
    return Rendered(pixels, (canvas.alpha * 255 + 0.5).astype(np.uint8))


def _backdrop(scene: Scene, side: int, stands: bool) -> Array:
    """Return the wall and floor behind a product (3, side, side)."""
    wall, floor = (lab_to_rgb(lab).reshape(3, 1, 1) for lab in (scene.wall, scene.floor))
    y = (np.arange(side, dtype=np.float32) / side)[:, None]
    x = y.T
    edge = 0.03 if scene.backdrop == "stage" else 0.22
    horizon = 0.70 if stands else 0.85
    share = 1 / (1 + np.exp(-(y - horizon) / edge))
    plain = wall * (1 - share) + floor * share  # (3, side, 1)
    c, s = float(np.cos(scene.light_angle)), float(np.sin(scene.light_angle))
    depth = 0.02 if scene.backdrop == "white" else 0.06
    across = 0.5 * c * (x - 0.5) - 0.8 * (x - 0.5) ** 2
    down = 0.5 * s * (y - 0.5) - 0.8 * (y - 0.5) ** 2
    return np.asarray(plain * (1 - depth * 0.5 + depth * (across + down)), dtype=np.float32)


def _box_of(curves: Sequence[Array], reach: float, side: int) -> tuple[int, int, int, int] | None:
    low = np.min([c.min(axis=0) for c in curves], axis=0) - reach
    high = np.max([c.max(axis=0) for c in curves], axis=0) + reach + 1
    x0, y0 = (int(max(0, np.floor(v))) for v in low)
    x1, y1 = (int(min(side, np.ceil(v))) for v in high)
    return (x0, y0, x1, y1) if x1 - x0 > 1 and y1 - y0 > 1 else None


def _texture_of(part: Part, spec: ProductSpec) -> str:
    if part.paint == "wood":
        return "wood"
    if part.paint == "accent":
        return "leather"
    if part.paint in ("sole", "outsole", "light", "dark", "lace"):
        return ""
    return spec.texture


def _turned(u: Array, v: Array, angle: float) -> tuple[Array, Array]:
    if not angle:
        return u, v
    c, s = float(np.cos(angle)), float(np.sin(angle))
    return c * u + s * v, c * v - s * u


def _dashes(points: Array, length: float) -> list[Array]:
    """Cut a line (n, 2) into dashes with gaps of the same length."""
    steps = np.hypot(*np.diff(points, axis=0).T)
    along = np.concatenate([[0.0], np.cumsum(steps)])
    starts = np.arange(0.0, along[-1], max(2.0, 1.8 * length))
    ends = np.minimum(starts + max(1.0, length), along[-1])
    sx, sy = np.interp(starts, along, points[:, 0]), np.interp(starts, along, points[:, 1])
    ex, ey = np.interp(ends, along, points[:, 0]), np.interp(ends, along, points[:, 1])
    return list(np.stack([np.stack([sx, sy], 1), np.stack([ex, ey], 1)], axis=1))
