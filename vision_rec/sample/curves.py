"""Smooth outlines in product coordinates: x and y in −1…1, y downwards."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from vision_rec.types import Array

Point = tuple[float, ...]  # x, y; a third value marks a sharp corner
STEPS = 10  # samples per stretch between two points


def corner(x: float, y: float) -> tuple[float, float, int]:
    """Mark a point where the outline turns sharply."""
    return (x, y, 1)


def outline(points: Sequence[Point]) -> Array:
    """Run a smooth closed curve through the points (n,) → (m, 2); corners stay sharp."""
    return _spline(points, closed=True)


def line(points: Sequence[Point]) -> Array:
    """Run a smooth open curve through the points (n,) → (m, 2)."""
    return _spline(points, closed=False)


def mirror(half: Sequence[Point]) -> list[Point]:
    """Complete the right half of a symmetric outline, given from top to bottom."""
    left = [(-p[0], *p[1:]) for p in reversed(half) if abs(p[0]) > 1e-6]
    return [*half, *left]


def shrunk(points: Sequence[Point], share: float, centre: float = 0.0) -> list[Point]:
    """Shrink an outline's points towards (0, `centre`), for a line of stitches inside its edge."""
    return [(p[0] * share, centre + (p[1] - centre) * share, *p[2:]) for p in points]


def flipped(points: Array) -> Array:
    """Mirror a curve at the vertical axis."""
    return np.ascontiguousarray(points * np.array([-1.0, 1.0], dtype=np.float32))


def ellipse(x: float, y: float, rx: float, ry: float, *, turn: float = 0.0) -> Array:
    """Draw an ellipse (48, 2), turned by `turn` radians."""
    t = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    px, py = rx * np.cos(t), ry * np.sin(t)
    c, s = np.cos(turn), np.sin(turn)
    return np.stack([x + c * px - s * py, y + s * px + c * py], axis=1).astype(np.float32)


def rounded(x0: float, y0: float, x1: float, y1: float, radius: float) -> Array:
    """Draw a rectangle with round corners."""
    corners = []
    for cx, cy, start in ((x1, y0, -0.5), (x1, y1, 0.0), (x0, y1, 0.5), (x0, y0, 1.0)):
        t = np.linspace(start, start + 0.5, 8) * np.pi
        mx = cx - radius if cx == x1 else cx + radius
        my = cy - radius if cy == y1 else cy + radius
        corners.append(np.stack([mx + radius * np.cos(t), my + radius * np.sin(t)], axis=1))
    return np.concatenate(corners).astype(np.float32)


def _spline(points: Sequence[Point], *, closed: bool) -> Array:
    xy = np.array([p[:2] for p in points], dtype=np.float64)
    sharp = np.array([len(p) > 2 for p in points])
    if not closed:
        sharp[[0, -1]] = True
    last = len(xy) if closed else len(xy) - 1
    start = np.arange(last)
    stop = (start + 1) % len(xy)
    chord = xy[stop] - xy[start]
    length = np.maximum(np.hypot(chord[:, 0], chord[:, 1]), 1e-9)
    before = xy[np.arange(-1, len(xy) - 1)]
    after = xy[np.arange(1, len(xy) + 1) % len(xy)]
    span = np.hypot(*(xy - before).T) + np.hypot(*(after - xy).T)
    slope = (after - before) / np.maximum(span, 1e-9)[:, None]
    leave = np.where(sharp[start, None], np.nan, slope[start] * length[:, None])
    arrive = np.where(sharp[stop, None], np.nan, slope[stop] * length[:, None])
    # A sharp end leans into the curve its neighbour asks for; two sharp ends give a straight stretch.
    lean_out = np.where(np.isnan(arrive), chord, 1.5 * chord - 0.5 * arrive)
    lean_in = np.where(np.isnan(leave), chord, 1.5 * chord - 0.5 * leave)
    leave = np.where(np.isnan(leave), lean_out, leave)
    arrive = np.where(np.isnan(arrive), lean_in, arrive)
    ends = np.stack([xy[start], leave, xy[stop], arrive], axis=1)  # (stretches, 4, 2)
    curve = (_BASIS @ ends).reshape(-1, 2)
    return (curve if closed else np.vstack([curve, xy[-1]])).astype(np.float32)


def _hermite() -> npt.NDArray[np.float64]:
    """Return the weights of start, leaving slope, end and arriving slope at each sample (STEPS, 4)."""
    t = np.linspace(0, 1, STEPS, endpoint=False)
    weights = (2 * t**3 - 3 * t**2 + 1, t**3 - 2 * t**2 + t, 3 * t**2 - 2 * t**3, t**3 - t**2)
    return np.stack(weights, axis=1)


_BASIS = _hermite()
