"""Finished chunks on disk: what survives a killed run."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vision_rec.failpoints import failpoint
from vision_rec.reindex.plan import Chunk
from vision_rec.reindex.report import PictureProblem

Half = npt.NDArray[np.float16]


@dataclass(frozen=True, slots=True)
class Facts:
    """What the catalogue says about one product beside the feed: reviews in numbers, and flags."""

    rating: float | None = None
    rating_count: int = 0
    sentiment: float | None = None
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Encoded:
    """One finished chunk: n row numbers, their rows (n, D) float16 and facts (n)."""

    numbers: npt.NDArray[np.int64]
    rows: Half
    facts: tuple[Facts, ...]
    problems: tuple[PictureProblem, ...]
    bad_vectors: int


class ChunkStore:
    """A folder of finished chunks by signature."""

    def __init__(self, folder: Path, width: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._width = folder, width

    def _path(self, chunk: Chunk) -> Path:
        return self._folder / f"{chunk.number:06d}-{chunk.signature}.npz"

    def has(self, chunk: Chunk) -> bool:
        """Return whether this very chunk was finished before, and its file is sound."""
        path = self._path(chunk)
        if not path.exists():
            return False
        try:
            encoded = self.load(chunk)
        except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile):
            path.unlink(missing_ok=True)
            return False
        return encoded.rows.shape == (len(chunk.work), self._width)

    def save(self, chunk: Chunk, encoded: Encoded) -> None:
        """Write a finished chunk, whole or not at all."""
        told = {
            "facts": [asdict(facts) for facts in encoded.facts],
            "problems": [asdict(problem) for problem in encoded.problems],
            "bad_vectors": encoded.bad_vectors,
        }
        path = self._path(chunk)
        half = path.with_suffix(".tmp")
        with half.open("wb") as file:
            np.savez(
                file,
                numbers=encoded.numbers,
                rows=encoded.rows,
                told=np.frombuffer(json.dumps(told).encode(), np.uint8),
            )
            failpoint("reindex.chunk-half-written")
            file.flush()
            os.fsync(file.fileno())
        os.replace(half, path)

    def load(self, chunk: Chunk) -> Encoded:
        """Read a finished chunk; the file's checksums are verified."""
        with self._path(chunk).open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            told = json.loads(file["told"].tobytes())
            return Encoded(
                file["numbers"],
                file["rows"],
                tuple(_facts(facts) for facts in told["facts"]),
                tuple(PictureProblem(**problem) for problem in told["problems"]),
                told["bad_vectors"],
            )

    def keep_only(self, chunks: Iterator[Chunk]) -> None:
        """Remove files of other chunks, left by a run over another feed."""
        wanted = {self._path(chunk).name for chunk in chunks}
        for path in self._folder.iterdir():
            if path.name not in wanted:
                path.unlink()


def _facts(record: Mapping[str, object]) -> Facts:
    return Facts(**{**record, "flags": tuple(record["flags"])})  # type: ignore[arg-type]
