"""Blocks of pictures: from the cache, or decoded ahead in processes and encoded in batches."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Protocol

import numpy as np

from vision_rec.encoders import PictureEncoder
from vision_rec.errors import ImageError, IncompatibleError
from vision_rec.failpoints import failpoint
from vision_rec.fusion import Aspect
from vision_rec.reindex.cache import Half, PictureCache
from vision_rec.reindex.plan import Chunk
from vision_rec.reindex.report import Journal
from vision_rec.reindex.staging import Staging
from vision_rec.types import Array, Picture

_PAGE = 512

Pair = tuple[str, Picture | ImageError]  # content hash, and what decoding gave


class Decodes(Protocol):
    """The part of `DecodePool` that is used here; it decodes ahead of what is taken."""

    def decode(self, sources: Iterable[Path | bytes], *, max_side: int) -> Iterator[Picture | ImageError]:
        """Decode pictures in order."""
        ...


def set_todo(staging: Staging, chunks: Iterable[Chunk], cache: PictureCache, *, fresh: bool) -> int:
    """List in table `todo` the pictures that have to be encoded for `chunks`, in their order; count them.

    A picture is listed once, at the first chunk that needs it, unless the cache knows it (`fresh`: even so).
    """
    for chunk in chunks:
        wanted = dict(
            staging.db.execute(
                "SELECT sha, picture.path FROM target JOIN product USING (key), json_each(product.refs) AS j "
                "JOIN picture ON ref = value WHERE chunk = ? AND image AND reason IS NULL "
                "ORDER BY target.row, j.key",
                (chunk.number,),
            ).fetchall()
        )
        known = set() if fresh else cache.known(list(wanted))
        staging.fill(
            "INSERT OR IGNORE INTO todo (chunk, sha, path) VALUES (?, ?, ?)",
            ((chunk.number, sha, path) for sha, path in wanted.items() if sha not in known),
        )
    return int(staging.one("SELECT count(*) FROM todo"))


def decode_todo(pool: Decodes, staging: Staging, *, max_side: int) -> Iterator[Pair]:
    """Yield the pictures of table `todo` in order; decoding runs ahead, across chunks."""
    order: deque[str] = deque()

    def sources() -> Iterator[Path]:
        after = 0
        while page := staging.db.execute(
            "SELECT place, sha, path FROM todo WHERE place > ? ORDER BY place LIMIT ?", (after, _PAGE)
        ).fetchall():
            for place, sha, path in page:
                order.append(sha)
                yield Path(path)
                after = place

    for outcome in pool.decode(sources(), max_side=max_side):
        yield order.popleft(), outcome


@dataclass(slots=True)
class PictureBlocks:
    """Gives the blocks of pictures, chunk after chunk; `broken` says why some have none."""

    encoder: PictureEncoder
    pool: Decodes
    staging: Staging
    cache: PictureCache
    journal: Journal
    max_side: int
    batch_size: int
    tell: Callable[[int], None]  # hears how many more pictures are done
    broken: dict[str, str] = field(default_factory=dict)  # content hash → reason
    _todo: Iterator[Pair] | None = None

    def of_chunk(self, chunk: Chunk, wanted: Mapping[str, str]) -> dict[str, Half]:
        """Return the blocks (width,) of the `wanted` pictures (content hash → path), but for broken ones.

        Chunks must come in order. Every batch goes to the cache as soon as it is encoded.
        """
        if self._todo is None:
            self._todo = decode_todo(self.pool, self.staging, max_side=self.max_side)
        count = int(self.staging.one("SELECT count(*) FROM todo WHERE chunk = ?", chunk.number))
        found = self._encode(islice(self._todo, count))
        known = self.cache.get([sha for sha in wanted if sha not in found and sha not in self.broken])
        self.journal.pictures_cached += len(known)
        found.update(known)
        # What the cache has lost since the plan was made, and what only an earlier run found broken.
        lost = [sha for sha in wanted if sha not in found and sha not in self.broken]
        again = self.pool.decode([Path(wanted[sha]) for sha in lost], max_side=self.max_side)
        found.update(self._encode(zip(lost, again, strict=True)))
        return found

    def _encode(self, pairs: Iterator[Pair]) -> dict[str, Half]:
        found: dict[str, Half] = {}
        while batch := self._take(pairs):
            found.update(self._encode_batch(batch))
            self.tell(len(batch))
        return found

    def _take(self, pairs: Iterator[Pair]) -> list[tuple[str, Picture]]:
        """Take sound pictures for one batch; note the broken ones."""
        start = time.monotonic()
        batch: list[tuple[str, Picture]] = []
        handled = 0
        while len(batch) < self.batch_size:
            pair = next(pairs, None)
            if pair is None:
                break
            sha, picture = pair
            handled += 1
            if isinstance(picture, ImageError):
                self.broken[sha] = picture.reason
                self.cache.refuse(sha, picture.reason)
                self.tell(1)
            else:
                batch.append((sha, picture))
        self.journal.spent("decode", time.monotonic() - start, handled)
        return batch

    def _encode_batch(self, batch: Sequence[tuple[str, Picture]]) -> dict[str, Half]:
        start = time.monotonic()
        blocks = self.encoder.encode_pictures([picture for _, picture in batch])
        rows = np.concatenate(
            [checked(blocks[aspect.name], len(batch), aspect) for aspect in self.encoder.aspects], axis=1
        )
        with np.errstate(over="ignore"):
            halves = rows.astype(np.float16)
        # Cached and fresh blocks must be the same numbers, or a resumed run would differ from a whole one.
        found = {sha: row for (sha, _), row in zip(batch, halves, strict=True)}
        self.journal.spent("image encode", time.monotonic() - start, len(batch))
        self.journal.pictures_encoded += len(batch)
        self.cache.put(found)
        failpoint("reindex.batch-encoded")
        return found


def checked(block: Array, count: int, aspect: Aspect) -> Array:
    """Return `block` where it is (count, dim), else raise: rows of another width would mix up aspects."""
    if np.shape(block) != (count, aspect.dim):
        raise IncompatibleError(
            f"the encoder gave {np.shape(block)} for aspect {aspect.name!r}; its layout says "
            f"({count}, {aspect.dim}). Install the model anew, or choose another"
        )
    return block
