"""Encoders turn samples into unit blocks; an EncoderSet is all encoders of one index version."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from vision_rec.fusion import Aspect
from vision_rec.types import Array, Blocks, Picture, Review, Sample


@runtime_checkable
class Encoder(Protocol):
    """One network (or several) that fills one or more aspects of the row.

    `encode` takes n samples and returns one block (n, dim) float32 per aspect, rows of norm 1, or all
    zeros where the sample lacks what the aspect needs. `fingerprint` changes when any answer may.
    """

    @property
    def aspects(self) -> tuple[Aspect, ...]:
        """The blocks this encoder fills."""
        ...

    @property
    def fingerprint(self) -> str:
        """Hash of everything that decides an answer."""
        ...

    def encode(self, samples: Sequence[Sample]) -> Blocks:
        """Encode n samples into blocks (n, dim)."""
        ...


@runtime_checkable
class PictureEncoder(Encoder, Protocol):
    """An encoder of pictures: blocks per picture can be cached, then pooled per product."""

    def encode_pictures(self, pictures: Sequence[Picture]) -> Blocks:
        """Encode m pictures (H, W, 3) into one block (m, dim) per aspect."""
        ...

    def pool(self, blocks: Blocks) -> Blocks:
        """Pool the blocks of one product's m pictures, main picture first, into blocks of one row."""
        ...

    def encode_colour(self, rgb: Sequence[tuple[int, int, int]]) -> Array:
        """Return the colour block (1, dim) of a swatch of equal shares of sRGB colours 0–255."""
        ...


@runtime_checkable
class TextBlocks(Encoder, Protocol):
    """An encoder of words: descriptions → `text`, review sentences → `reviews`."""

    def encode_texts(self, texts: Sequence[str]) -> Array:
        """Encode n texts into the block `text` (n, dim); empty texts give zero rows."""
        ...

    def encode_reviews(self, reviews: Sequence[tuple[Review, ...]]) -> Array:
        """Encode n products' reviews into the block `reviews` (n, dim); none give zero rows."""
        ...
