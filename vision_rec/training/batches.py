"""Balanced batches over several sources, with labels as class memberships."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vision_rec.training.data import TASKS, Source


@dataclass(frozen=True)
class Classes:
    """The classes of each task, in the order of the memberships' columns."""

    names: Mapping[str, tuple[str, ...]]

    @classmethod
    def of(cls, sources: Sequence[Source], minimum: int = 8) -> Classes:
        """Collect the labels that occur at least `minimum` times in the sources' training splits."""
        names = {}
        for task in TASKS:
            counts: Counter[str] = Counter()
            for source in sources:
                rows = np.flatnonzero(source.split > 0)
                counts.update(source.labels[task][int(row)] for row in rows)
            singles = sorted(name for name, n in counts.items() if name and "|" not in name and n >= minimum)
            names[task] = tuple(singles)
        return cls(names)

    def members(self, task: str, labels: Sequence[str]) -> npt.NDArray[np.bool_]:
        """Return the memberships (n, classes) of `labels`; "A|B" belongs to both, unknown names to none."""
        column = {name: position for position, name in enumerate(self.names[task])}
        out = np.zeros((len(labels), len(column)), dtype=bool)
        for row, label in enumerate(labels):
            for name in label.split("|"):
                if name in column:
                    out[row, column[name]] = True
        return out


@dataclass(frozen=True)
class RawBatch:
    """Pictures as stored (n, SIDE, SIDE, 3) with masks, memberships and teacher features."""

    pixels: Tensor
    background: Tensor
    product: Tensor
    members: dict[str, Tensor]
    teacher: Tensor
    residual: Tensor  # the teacher's features less their mean over the same article
    photos: Tensor  # (n,) which pictures are customers' photos


class Batches:
    """Endless seeded batches: a fixed share per source, rarer labels drawn more often within it."""

    def __init__(
        self,
        sources: Sequence[Source],
        shares: Mapping[str, float],
        classes: Classes,
        teacher: Mapping[str, npt.NDArray[np.float16]],
        held_out: Sequence[int] = (0, 1),
        seed: int = 0,
    ) -> None:
        self.sources, self.classes, self.teacher = list(sources), classes, teacher
        self.rows = [np.flatnonzero(~np.isin(source.split, held_out)) for source in self.sources]
        self.chances = [_chances(source, rows) for source, rows in zip(self.sources, self.rows, strict=True)]
        total = sum(shares[source.name] for source in self.sources)
        self.shares = [shares[source.name] / total for source in self.sources]
        self.members = [
            {task: classes.members(task, source.labels[task]) for task in TASKS} for source in self.sources
        ]
        self.residual = {
            source.name: _residual(teacher[source.name], source.labels["article"], rows)
            for source, rows in zip(self.sources, self.rows, strict=True)
            if source.name in teacher
        }
        self.width = next((features.shape[1] for features in teacher.values()), 1)
        self.rng = np.random.default_rng(seed)

    def stream(self, size: int) -> Iterator[RawBatch]:
        """Yield batches of `size` pictures."""
        counts = [round(share * size) for share in self.shares]
        counts[0] += size - sum(counts)
        while True:
            yield self._join([self._draw(number, count) for number, count in enumerate(counts) if count])

    def _draw(self, number: int, count: int) -> RawBatch:
        source = self.sources[number]
        rows = np.sort(self.rng.choice(self.rows[number], count, p=self.chances[number]))
        product = (
            source.product[rows] if source.product is not None else np.zeros_like(source.background[rows])
        )
        nothing = np.zeros((count, self.width), np.float32)
        taught = [
            nothing if source.name not in features else np.asarray(features[source.name][rows], np.float32)
            for features in (self.teacher, self.residual)
        ]
        return RawBatch(
            torch.from_numpy(np.ascontiguousarray(source.pixels[rows])),
            torch.from_numpy(source.background[rows]),
            torch.from_numpy(product),
            {task: torch.from_numpy(self.members[number][task][rows]) for task in TASKS},
            torch.from_numpy(taught[0]),
            torch.from_numpy(taught[1]),
            torch.full((count,), source.name == "clothing"),
        )

    @staticmethod
    def _join(parts: Sequence[RawBatch]) -> RawBatch:
        return RawBatch(
            torch.cat([part.pixels for part in parts]),
            torch.cat([part.background for part in parts]),
            torch.cat([part.product for part in parts]),
            {task: torch.cat([part.members[task] for part in parts]) for task in TASKS},
            torch.cat([part.teacher for part in parts]),
            torch.cat([part.residual for part in parts]),
            torch.cat([part.photos for part in parts]),
        )


def _residual(
    features: npt.NDArray[np.float16], articles: Sequence[str], rows: npt.NDArray[np.int64], least: int = 8
) -> npt.NDArray[np.float16]:
    """Return features (n, d) less the mean of the same article's training `rows`; 0 for rarer articles."""
    out = np.zeros_like(features)
    members: dict[str, list[int]] = {}
    for row in rows:
        members.setdefault(articles[row], []).append(int(row))
    for article, same in members.items():
        if article and len(same) >= least:
            own = features[same].astype(np.float32)
            out[same] = own - own.mean(0)
    return out


def _chances(source: Source, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Return each row's chance: frequency^-0.4 of its article × ^-0.25 of its colour; patterns ×2."""
    chance = np.ones(len(rows))
    for task, power in (("article", 0.4), ("colour", 0.25)):
        labels = [source.labels[task][row] for row in rows]
        counts = Counter(labels)
        chance *= np.array([max(counts[label], 10) ** -power for label in labels])
    chance *= np.array([2.0 if source.labels["pattern"][row] else 1.0 for row in rows])
    shares: npt.NDArray[np.float64] = chance / chance.sum()
    return shares
