"""Segments of the audience: k-means over the interests of all users, and the file that they are kept in.

No segment is smaller than a number of users, no product is counted for fewer than a few, and no id of a
user or session is in the file.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vision_rec.errors import IntegrityError
from vision_rec.fusion import AspectLayout, scale, unit
from vision_rec.outfile import unfinished
from vision_rec.sessions.pair import BEHAVIOUR
from vision_rec.types import Array

FILE_NAME = "audience.json"
FORMAT = 1
PAIR = "session"  # its name among the fingerprints
FACES = 5  # products that show what a segment likes
MAX_POPULAR = 50
MIN_VISITORS = 3  # of a product that is told to be popular
_ROUNDS, _STARTS = 30, 4
_DIGITS = 4  # of the values of a row
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Segment:
    """Users of like taste: their row (D,), how many, their share of all that users said, what they like.

    `face` are the products nearest to the row, `popular` those that most of them had to do with.
    """

    row: Array
    users: int
    share: float
    face: tuple[str, ...] = ()
    popular: Mapping[str, int] | None = None


@dataclass(frozen=True, slots=True)
class Audience:
    """The segments, largest first, and the rows that they were made of."""

    made_at: datetime
    users: int  # of whom anything is known
    dims: Mapping[str, int]
    fingerprints: Mapping[str, str]
    segments: tuple[Segment, ...] = ()

    def shared(self, layout: AspectLayout, fingerprints: Mapping[str, str]) -> tuple[str, ...]:
        """Name the aspects in which rows of this layout can be compared with the segments.

        There are none where the encoders differ. Another session pair, which who trains every night has,
        leaves out `behaviour` alone: the other blocks are what they were.
        """
        both = (self.fingerprints, fingerprints)
        mine, theirs = ({name: mark for name, mark in one.items() if name != PAIR} for one in both)
        if mine != theirs:
            return ()
        same = self.fingerprints.get(PAIR) == fingerprints.get(PAIR)
        return tuple(
            aspect.name
            for aspect in layout.aspects
            if self.dims.get(aspect.name) == aspect.dim and (same or aspect.name != BEHAVIOUR)
        )

    def rows(self, layout: AspectLayout, names: Collection[str]) -> Array:
        """Return the segments' rows (n, D) in `layout`, with the blocks `names`, the others zero."""
        out = np.zeros((len(self.segments), layout.dim), dtype=np.float32)
        stop = 0
        for name, dim in self.dims.items():
            start, stop = stop, stop + dim
            if name in names:
                out[:, layout.slice(name)] = [segment.row[start:stop] for segment in self.segments]
        return out


def near_rows(layout: AspectLayout, rows: Array, weights: Mapping[str, float]) -> Array:
    """Scale rows (n, D) so that inner products are cosines of whole rows, aspects weighing `weights`."""
    return unit(scale(layout, rows, {name: float(np.sqrt(w)) for name, w in weights.items()}))


def clusters(points: Array, says: Array, count: int, seed: int) -> Ints:
    """Group unit vectors (n, D), of which each says `says` (n,), into `count` groups at most; label each.

    Spherical k-means with k-means++ starts; the best of a few, the same for the same `seed`.
    """
    rng = np.random.default_rng(seed)
    best, most = np.zeros(len(points), dtype=np.int64), -np.inf
    for _ in range(_STARTS):
        centres = points[_starts(points, says, min(count, len(points)), rng)]
        labels = best
        for _ in range(_ROUNDS):
            near = points @ centres.T
            labels = near.argmax(axis=1)
            sums = np.zeros_like(centres)
            np.add.at(sums, labels, points * says[:, None])
            moved = np.where(sums.any(axis=1, keepdims=True), unit(sums), centres)
            if np.allclose(moved, centres, atol=1e-6):
                break
            centres = moved
        fit = float((near[np.arange(len(points)), labels] * says).sum())
        if fit > most + 1e-9:
            best, most = labels, fit
    return np.asarray(np.unique(best, return_inverse=True)[1], dtype=np.int64)


def _starts(points: Array, says: Array, count: int, rng: np.random.Generator) -> list[int]:
    chosen = [int(rng.choice(len(points), p=_chances(says)))]
    far = np.full(len(points), np.inf)
    while len(chosen) < count:
        far = np.minimum(far, np.maximum(0.0, 1.0 - points @ points[chosen[-1]]))
        if not (far * says > 1e-9).any():  # all points are chosen ones
            break
        chosen.append(int(rng.choice(len(points), p=_chances(far * says))))
    return chosen


def _chances(values: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    wide = np.asarray(values, dtype=np.float64)
    return np.asarray(wide / wide.sum(), dtype=np.float64)


def large_enough(points: Array, labels: Ints, owners: Sequence[int], least: int) -> Ints:
    """Join groups of fewer than `least` owners to the nearest others; one that stays too small gets −1."""
    labels, who = labels.copy(), np.asarray(owners)
    while True:
        names = [int(name) for name in np.unique(labels)]
        sizes = {name: len(np.unique(who[labels == name])) for name in names}
        small = min(names, key=lambda name: (sizes[name], name))
        if sizes[small] >= least:
            return np.asarray(np.unique(labels, return_inverse=True)[1], dtype=np.int64)
        if len(names) == 1:
            return np.full(len(labels), -1, dtype=np.int64)
        centres = {name: unit(points[labels == name].mean(axis=0)[None])[0] for name in names}
        others = [name for name in names if name != small]
        nearest = max(others, key=lambda name: float(centres[name] @ centres[small]))
        labels[labels == small] = nearest


class AudienceFile:
    """The file of segments, read again when it changes; a missing one is no audience."""

    def __init__(self, data: Path) -> None:
        self.path = data / FILE_NAME
        self._stamp: tuple[int, int, int] | None = None
        self._known: Audience | None = None

    def current(self) -> Audience | None:
        """Return what the file holds now; a damaged one is none."""
        try:
            found = self.path.stat()
            stamp = found.st_ino, found.st_mtime_ns, found.st_size
        except OSError:
            self._stamp = self._known = None
            return None
        if stamp != self._stamp:
            try:
                self._known = load(self.path)
            except IntegrityError:
                self._known = None
            self._stamp = stamp
        return self._known


def save(audience: Audience, path: Path) -> None:
    """Write the segments to `path`, for the owner's eyes; the file appears when it is whole."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with unfinished(path) as out:
        out.write_text(json.dumps(_to_json(audience), ensure_ascii=False), encoding="utf-8")
    os.chmod(path, 0o600)


def load(path: Path) -> Audience:
    """Read what `save` wrote; raises IntegrityError where it is not that."""
    try:
        body = json.loads(path.read_text("utf-8"))
        if body["format"] != FORMAT:
            raise ValueError(f"format {body['format']!r}")
        segments = tuple(
            Segment(
                np.asarray(one["row"], dtype=np.float32),
                int(one["users"]),
                float(one["share"]),
                tuple(map(str, one["face"])),
                {str(ident): int(count) for ident, count in one["popular"].items()},
            )
            for one in body["segments"]
        )
        if any(segment.row.shape != (sum(body["dims"].values()),) for segment in segments):
            raise ValueError("rows of another width")
        made_at = datetime.fromisoformat(body["made_at"])
        return Audience(made_at, int(body["users"]), body["dims"], body["fingerprints"], segments)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise IntegrityError(f"{path} is damaged: {error}; run `vision-rec audience` again") from error


def _to_json(audience: Audience) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "made_at": audience.made_at.isoformat(),
        "users": audience.users,
        "dims": dict(audience.dims),
        "fingerprints": dict(audience.fingerprints),
        "segments": [
            {
                "users": one.users,
                "share": one.share,
                "face": list(one.face),
                "popular": dict(one.popular or {}),
                "row": [round(float(value), _DIGITS) for value in one.row],
            }
            for one in audience.segments
        ],
    }
