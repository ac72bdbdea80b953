"""From products to rows: chunk by chunk, with the current version's blocks where they still hold."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from vision_rec.encoders import EncoderSet
from vision_rec.encoders.describe import describe
from vision_rec.encoders.reviews import ReviewSummary
from vision_rec.fusion import Aspect, AspectLayout, split
from vision_rec.reindex.blocks import PictureBlocks, checked
from vision_rec.reindex.chunks import Encoded, Facts
from vision_rec.reindex.plan import Chunk, Work
from vision_rec.reindex.report import Journal, PictureProblem
from vision_rec.reindex.staging import Staging
from vision_rec.types import Array, Product

NORM_TOLERANCE = 5e-3  # a unit block stored as float16 is off by about 1e-4
WORDS, REVIEWS = "text", "reviews"  # the aspects of the text encoder; all others are the picture encoder's
_TINY = 1e-6


@dataclass(frozen=True, slots=True)
class ParentRows:
    """The stored rows (N, D) of the current version, and their layout."""

    layout: AspectLayout
    rows: Any  # memmap (N, D) float16


@dataclass(frozen=True, slots=True)
class _Line:
    """One picture of one product."""

    ref: str
    host: str
    sha: str | None
    path: str | None
    reason: str | None


def renews(work: Work, aspect: str) -> bool:
    """Return whether `work` encodes the block of `aspect` anew."""
    if aspect in (WORDS, REVIEWS):
        return work.words if aspect == WORDS else work.reviews
    return work.image


@dataclass(slots=True)
class ChunkEncoder:
    """Encodes chunks in their order; one per run."""

    encoders: EncoderSet
    staging: Staging
    journal: Journal
    pictures: PictureBlocks | None  # None where no picture has to be looked at
    parent: ParentRows | None

    def encode(self, chunk: Chunk) -> Encoded:
        """Encode one chunk."""
        products = self.staging.products([work.key for work in chunk.work])
        rows = np.zeros((len(chunk.work), self.encoders.layout.dim), np.float32)
        flags: list[set[str]] = [set() for _ in chunk.work]
        self._copy_parent(chunk, rows)
        problems = self._fill_pictures(chunk, rows, flags)
        summaries = self._fill_words(chunk, products, rows)
        facts = [self._facts(work, summaries.get(work.key)) for work in chunk.work]
        bad = self._quarantine(rows, flags)
        return Encoded(
            np.array([work.row for work in chunk.work], np.int64),
            rows.astype(np.float16),
            tuple(
                replace(fact, flags=tuple(sorted({*fact.flags, *own})))
                for fact, own in zip(facts, flags, strict=True)
            ),
            tuple(problems),
            bad,
        )

    def _copy_parent(self, chunk: Chunk, rows: Array) -> None:
        """Copy the blocks that are not encoded anew from the current version."""
        if self.parent is None:
            return
        old = {(aspect.name, aspect.dim) for aspect in self.parent.layout.aspects}
        for at, work in enumerate(chunk.work):
            if work.parent_row is None:
                continue
            row = np.asarray(self.parent.rows[work.parent_row], np.float32)
            for aspect in self.encoders.layout.aspects:
                if (aspect.name, aspect.dim) in old and not renews(work, aspect.name):
                    place = self.encoders.layout.slice(aspect.name)
                    rows[at, place] = row[self.parent.layout.slice(aspect.name)]

    # ── pictures ──────────────────────────────────────────────────────────────────────────────────

    def _fill_pictures(self, chunk: Chunk, rows: Array, flags: list[set[str]]) -> list[PictureProblem]:
        """Pool each product's pictures into its blocks; say which could not be used."""
        lines = self._picture_lines(chunk)
        wanted = {
            line.sha: line.path
            for found in lines.values()
            for line in found
            if line.sha and line.path and not line.reason
        }
        blocks = self.pictures.of_chunk(chunk, wanted) if self.pictures else {}
        broken = self.pictures.broken if self.pictures else {}
        problems = []
        for at, work in enumerate(chunk.work):
            if not work.image:
                continue
            usable = []
            for line in lines.get(work.key, ()):
                reason = line.reason or broken.get(line.sha or "")
                if reason:
                    problems.append(PictureProblem(line.ref, reason, line.host))
                    flags[at].add(f"image:{reason}")
                elif line.sha:
                    usable.append(blocks[line.sha])
            if usable:
                self._pool(np.stack(usable).astype(np.float32), rows[at])
            else:
                flags[at].add("no_image")
        return problems

    def _pool(self, blocks: Array, row: Array) -> None:
        """Pool the blocks (m, width) of one product's pictures into its `row` (D,)."""
        encoder = self.encoders.image
        pooled = encoder.pool(split(AspectLayout(tuple(encoder.aspects)), blocks))
        for aspect in encoder.aspects:
            row[self.encoders.layout.slice(aspect.name)] = checked(pooled[aspect.name], 1, aspect)[0]

    def _picture_lines(self, chunk: Chunk) -> dict[str, list[_Line]]:
        """Return the pictures of the chunk's products that need them, by product key, main one first."""
        out: dict[str, list[_Line]] = {}
        for key, *values in self.staging.db.execute(
            "SELECT product.key, picture.ref, host, sha, picture.path, reason FROM target "
            "JOIN product USING (key), json_each(product.refs) AS j JOIN picture ON ref = value "
            "WHERE chunk = ? AND image ORDER BY target.row, j.key",
            (chunk.number,),
        ):
            out.setdefault(key, []).append(_Line(*values))
        return out

    # ── words ─────────────────────────────────────────────────────────────────────────────────────

    def _fill_words(
        self, chunk: Chunk, products: Mapping[str, Product], rows: Array
    ) -> dict[str, ReviewSummary]:
        """Encode descriptions and reviews; return what reviews say in numbers, by product key."""
        start = time.monotonic()
        aspects: dict[str, Aspect] = {aspect.name: aspect for aspect in self.encoders.layout.aspects}
        words = [at for at, work in enumerate(chunk.work) if work.words and WORDS in aspects]
        if words:
            texts = [describe(products[chunk.work[at].key]) for at in words]
            block = checked(self.encoders.text.encode_texts(texts), len(words), aspects[WORDS])
            rows[words, self.encoders.layout.slice(WORDS)] = block
        said = [at for at, work in enumerate(chunk.work) if work.reviews and products[work.key].reviews]
        reviews = [products[chunk.work[at].key].reviews for at in said]
        if said and REVIEWS in aspects:
            block = checked(self.encoders.text.encode_reviews(reviews), len(said), aspects[REVIEWS])
            rows[said, self.encoders.layout.slice(REVIEWS)] = block
        summaries = self.encoders.text.review_summaries(reviews) if said else []
        self.journal.spent("text", time.monotonic() - start, len(words) + len(said))
        return dict(zip((chunk.work[at].key for at in said), summaries, strict=True))

    def _facts(self, work: Work, summary: ReviewSummary | None) -> Facts:
        """Return what reviews say in numbers, and the flags that stay."""
        before, gone = self._facts_before(work)
        kept = tuple(flag for flag in before.flags if not renews(work, _aspect_of(flag)))
        if summary is not None:
            return Facts(summary.rating, summary.count, summary.sentiment, kept)
        return replace(before, flags=kept) if gone or not work.reviews else Facts(flags=kept)

    def _facts_before(self, work: Work) -> tuple[Facts, bool]:
        """Return the facts of the current version, and whether the product is gone from the feed."""
        found = self.staging.db.execute(
            "SELECT rating, rating_count, sentiment, flags, gone FROM parent JOIN product USING (key) "
            "WHERE key = ?",
            (work.key,),
        ).fetchone()
        if found is None:
            return Facts(), False
        rating, count, sentiment, flags, gone = found
        return Facts(rating, count, sentiment, tuple(json.loads(flags))), bool(gone)

    def _quarantine(self, rows: Array, flags: list[set[str]]) -> int:
        """Empty the blocks that are no unit vectors, flag their products, return how many blocks."""
        bad = 0
        for aspect in self.encoders.layout.names:
            block = rows[:, self.encoders.layout.slice(aspect)]
            for at in np.flatnonzero(unsound(block)):
                block[at] = 0.0
                flags[at].add(f"bad_vector:{aspect}")
                bad += 1
        return bad


def unsound(block: Array) -> Any:
    """Mark the rows of `block` (n, d) that are neither zero nor of norm 1, or hold NaN or infinity."""
    with np.errstate(over="ignore", invalid="ignore"):
        norms = np.linalg.norm(block.astype(np.float32), axis=1)
    return ~((np.abs(norms - 1.0) <= NORM_TOLERANCE) | (norms <= _TINY))


def _aspect_of(flag: str) -> str:
    """Return an aspect whose encoding anew makes `flag` obsolete; flags of pictures are no aspect's name."""
    return flag.removeprefix("bad_vector:")
