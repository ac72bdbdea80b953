"""Encoders turn samples into unit blocks; an EncoderSet is all encoders of one index version."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Protocol, runtime_checkable

from vision_rec.encoders.reviews import ReviewSummary
from vision_rec.fusion import Aspect, AspectLayout
from vision_rec.settings import EncoderSettings
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

    @property
    def input_side(self) -> int:
        """Longest side of the pictures the network sees."""
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

    def review_summaries(self, reviews: Sequence[tuple[Review, ...]]) -> list[ReviewSummary]:
        """Return mean rating, number of ratings and sentiment of n products' reviews."""
        ...


@dataclass(frozen=True)
class EncoderSet:
    """All encoders of one index version, in row order; their networks load at first use."""

    image: PictureEncoder
    text: TextBlocks

    @cached_property
    def layout(self) -> AspectLayout:
        """The row: the image encoder's blocks, then the text encoder's."""
        return AspectLayout((*self.image.aspects, *self.text.aspects))

    @cached_property
    def fingerprints(self) -> Mapping[str, str]:
        """Fingerprint by encoder name; no network is loaded for it."""
        return {"image": self.image.fingerprint, "text": self.text.fingerprint}

    def encode(self, samples: Sequence[Sample]) -> Blocks:
        """Encode samples with every encoder into the blocks of whole rows."""
        return {**self.image.encode(samples), **self.text.encode(samples)}


def bundled_folder() -> Path:
    """Return the folder of the weights that the package ships."""
    return Path(str(files("vision_rec.encoders").joinpath("weights")))


def load_encoders(settings: EncoderSettings, cache: Path | None = None) -> EncoderSet:
    """Return the encoders that `settings` name; exported graphs are kept in `cache`.

    Raises UnavailableError where a model is not there, IncompatibleError for another format.
    """
    from vision_rec.encoders.image import ImageEncoder
    from vision_rec.encoders.text import TextEncoder

    folder = bundled_folder() if settings.image == "bundled" else Path(settings.image)
    image = ImageEncoder(
        folder,
        kind=settings.runtime,
        device=settings.device,
        threads=settings.threads,
        batch_size=settings.batch_size,
        cache=cache,
    )
    text = TextEncoder.load(
        settings.text,
        runtime=settings.runtime,
        device=settings.device,
        threads=settings.threads,
        cache=cache,
    )
    return EncoderSet(image, text)
