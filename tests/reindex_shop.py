"""A small shop for reindex tests: pictures of one colour, a CSV feed, encoders with known answers."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from PIL import Image

from vision_rec.catalog import CatalogTable
from vision_rec.encoders import EncoderSet
from vision_rec.encoders.describe import describe
from vision_rec.encoders.reviews import ReviewSummary, rating_of
from vision_rec.errors import ImageError
from vision_rec.fusion import Aspect, unit
from vision_rec.images import open_image
from vision_rec.index.version import IndexVersion, VersionStore
from vision_rec.records import product_from_record
from vision_rec.reindex import ReindexReport, reindex
from vision_rec.settings import Settings

COLOUR, SHAPE, TEXT, REVIEWS = 4, 3, 16, 8


class FakeImages:
    """Colour = mean RGB and 1, shape = height, width and 1; notes each picture it is given."""

    aspects = (Aspect("colour", COLOUR), Aspect("shape", SHAPE))
    input_side = 32

    def __init__(self, log: Path, fingerprint: str = "image-1") -> None:
        self.log, self.fingerprint = log, fingerprint

    def encode_pictures(self, pictures):
        note(self.log, "picture", [colour_of(picture) for picture in pictures])
        colours = np.stack([[*picture.reshape(-1, 3).mean(0) / 255, 1.0] for picture in pictures])
        shapes = np.stack([[*picture.shape[:2], 8.0] for picture in pictures])
        return {"colour": unit(colours.astype(np.float32)), "shape": unit(shapes.astype(np.float32))}

    def pool(self, blocks):
        shares = np.array([1.0] + [0.25] * (len(blocks["colour"]) - 1), np.float32)
        return {name: unit(shares[None] @ block) for name, block in blocks.items()}


class FakeWords:
    """Blocks of hashed words; notes each text it is given."""

    aspects = (Aspect("text", TEXT), Aspect("reviews", REVIEWS))

    def __init__(self, log: Path, fingerprint: str = "text-1") -> None:
        self.log, self.fingerprint = log, fingerprint

    def encode_texts(self, texts):
        note(self.log, "text", list(texts))
        return unit(np.stack([word_block(text, TEXT) for text in texts]))

    def encode_reviews(self, reviews):
        note(self.log, "reviews", [review.text for own in reviews for review in own])
        blocks = [sum(word_block(review.text, REVIEWS) for review in own) for own in reviews]
        return unit(np.stack(blocks).astype(np.float32))

    def review_summaries(self, reviews):
        rated = [rating_of(own) for own in reviews]
        return [ReviewSummary(rating, n, None if rating is None else (rating - 1) / 4) for rating, n in rated]


def word_block(text: str, dim: int) -> np.ndarray:
    block = np.zeros(dim, np.float32)
    for word in text.lower().split():
        raw = hashlib.sha256(word.encode()).digest()
        block[raw[0] % dim] += 1.0 if raw[1] % 2 else -1.0
        block[raw[2] % dim] += 0.5
    return block


def colour_of(picture) -> str:
    return "#" + "".join(f"{int(round(value)):02x}" for value in picture.reshape(-1, 3).mean(0))


def note(log: Path, kind: str, what: list[str]) -> None:
    with log.open("a") as file:
        file.write(json.dumps([kind, what]) + "\n")


class InProcessPool:
    """DecodePool without its processes, for tests that run many times."""

    def __init__(self, workers, limits) -> None:
        self.limits = limits

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def decode(self, sources, *, max_side):
        for source in sources:
            try:
                yield open_image(source, max_side=max_side, limits=self.limits)
            except ImageError as error:
                yield error


@dataclass
class Shop:
    """A folder with a feed, pictures, indexes and data; `run` reindexes it."""

    root: Path
    rows: list[dict[str, str]] = field(default_factory=list)
    reviews: list[dict[str, str]] = field(default_factory=list)
    image: str = "image-1"
    text: str = "text-1"
    overrides: dict[str, dict[str, object]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        (self.root / "images").mkdir(parents=True)
        self.log = self.root / "encoded.jsonl"

    @property
    def feed(self) -> Path:
        return self.root / "products.csv"

    @property
    def settings(self) -> Settings:
        sections: dict[str, dict[str, object]] = {
            "paths": {"indexes": self.root / "indexes", "data": self.root / "var"},
            "images": {"workers": 1},
            "encoders": {"batch_size": 4},
        }
        for name, section in self.overrides.items():
            sections[name] = {**sections.get(name, {}), **section}
        return Settings(**sections)

    @property
    def encoders(self) -> EncoderSet:
        return EncoderSet(FakeImages(self.log, self.image), FakeWords(self.log, self.text))

    def add(self, name: str, colour=(200, 30, 30), *, side: int = 24, **columns: str) -> dict[str, str]:
        """Add a product with one picture of one colour."""
        self.paint(name, colour, side=side)
        row = {
            "id": name,
            "title": f"thing {name}",
            "description": "",
            "price": "10.00 EUR",
            "product_type": "Things > Small",
            "image_link": f"images/{name}.png",
            "additional_image_link": "",
            "item_group_id": "",
            "availability": "in_stock",
            **columns,
        }
        self.rows.append(row)
        return row

    def fill(self, count: int) -> Shop:
        for number in range(count):
            colour = (20 + 9 * number % 200, 200 - 7 * number % 150, 30 + 31 * number % 190)
            self.add(f"p{number:03d}", colour, side=20 + number % 7)
        return self

    def paint(self, name: str, colour, *, side: int = 24) -> Path:
        path = self.root / "images" / f"{name}.png"
        Image.new("RGB", (side, 24), tuple(colour)).save(path)
        return path

    def row(self, name: str) -> dict[str, str]:
        return next(row for row in self.rows if row["id"] == name)

    def write(self) -> Path:
        columns = list(self.rows[0]) if self.rows else ["id", "title"]
        with self.feed.open("w", newline="") as file:
            writer = csv.DictWriter(file, columns, extrasaction="ignore")
            writer.writeheader()
            writer.writerows(self.rows)
        if self.reviews:
            with (self.root / "reviews.csv").open("w", newline="") as file:
                writer = csv.DictWriter(file, ["product_id", "rating", "text"])
                writer.writeheader()
                writer.writerows(self.reviews)
        return self.feed

    def run(self, **options: object) -> ReindexReport:
        self.write()
        self.log.unlink(missing_ok=True)
        return self.rerun(**options)

    def rerun(self, **options: object) -> ReindexReport:
        """Reindex what is written, adding to the log."""
        if self.reviews:
            options.setdefault("reviews", self.root / "reviews.csv")
        chosen = {"settings": self.settings, "encoders": self.encoders, **options}
        return reindex(self.feed, **chosen)  # type: ignore[arg-type]

    def encoded(self, kind: str) -> list[str]:
        """Return what the encoders were given since the last `run`, in order."""
        if not self.log.exists():
            return []
        lines = [json.loads(line) for line in self.log.read_text().splitlines()]
        return [thing for name, things in lines if name == kind for thing in things]

    @property
    def store(self) -> VersionStore:
        return VersionStore(self.root / "indexes")

    def open(self) -> IndexVersion:
        return self.store.open()

    def current(self) -> str | None:
        return self.store.current_id()

    def building(self) -> list[str]:
        return [path.name for path in (self.root / "indexes").glob(".building-*")]


def records(version: IndexVersion) -> dict[str, dict]:
    return {record["id"]: record for record in CatalogTable.load(version.catalog_path).records()}


def content(version: IndexVersion) -> tuple:
    """Everything a version says, without when it was made."""
    lines = [
        {name: value for name, value in record.items()}
        for record in CatalogTable.load(version.catalog_path).records()
    ]
    return version.ids, version.stored_rows().tobytes(), lines


def expected_row(shop: Shop, record: dict, files: Sequence[Path], reviews: Sequence[str] = ()) -> np.ndarray:
    """Derive a row the plain way: one product, one picture at a time."""
    quiet = shop.root / "quiet.jsonl"
    images, words = FakeImages(quiet), FakeWords(quiet)
    row = np.zeros(COLOUR + SHAPE + TEXT + REVIEWS, np.float32)
    if files:
        each = [images.encode_pictures([open_image(path, max_side=32)]) for path in files]
        stored = {name: np.concatenate([e[name] for e in each]).astype(np.float16) for name in each[0]}
        pooled = images.pool({name: block.astype(np.float32) for name, block in stored.items()})
        row[: COLOUR + SHAPE] = np.concatenate([pooled["colour"][0], pooled["shape"][0]])
    row[COLOUR + SHAPE :][:TEXT] = words.encode_texts([describe(product_from_record(record))])[0]
    if reviews:
        said = [tuple(SimpleNamespace(text=text) for text in reviews)]
        row[-REVIEWS:] = words.encode_reviews(said)[0]
    return row.astype(np.float16)
