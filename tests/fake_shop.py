"""A tiny shop with known factors, encoders that read them, and versions written the real way."""

from __future__ import annotations

import json
import zlib
from decimal import Decimal
from functools import cached_property

import numpy as np

from vision_rec.catalog import CatalogTable
from vision_rec.fusion import Aspect, AspectLayout, fuse, unit
from vision_rec.index import build_index
from vision_rec.index.version import VersionStore
from vision_rec.records import product_to_record
from vision_rec.settings import Settings
from vision_rec.types import Product

COLOURS = ("red", "green", "blue", "black")
SHAPES = ("mug", "lamp", "chair", "shoe", "bag")
STYLES = ("plain", "striped")
DIMS = {"colour": 8, "shape": 8, "style": 4, "text": 256, "reviews": 4}
FACTORS = {"colour": COLOURS, "shape": SHAPES, "style": STYLES}
LAYOUT = AspectLayout(tuple(Aspect(name, dim) for name, dim in DIMS.items()))
FINGERPRINTS = {"image": "img1", "text": "txt1"}


def direction(aspect, word):
    """Return the unit vector (1, dim) that stands for `word` in an aspect; factors are orthogonal."""
    if word in FACTORS.get(aspect, ()):
        return np.eye(DIMS[aspect], dtype=np.float32)[[FACTORS[aspect].index(word)]]
    rng = np.random.default_rng(zlib.crc32(f"{aspect}:{word}".encode()))
    return unit(rng.normal(size=(1, DIMS[aspect])).astype(np.float32))


def text_block(text):
    words = text.lower().split()
    total = (
        np.sum([direction("text", word) for word in words], axis=0) if words else np.zeros((1, DIMS["text"]))
    )
    return unit(total.astype(np.float32))


def row_of(colour=None, shape=None, style=None, text=""):
    """Fuse one row (D,) from factor names; absent factors are zero blocks."""
    named = {"colour": colour, "shape": shape, "style": style}
    blocks = {name: direction(name, word) for name, word in named.items() if word}
    return fuse(LAYOUT, {**blocks, **({"text": text_block(text)} if text else {})}, count=1)[0]


def picture(colour, shape, style, size=8):
    """Draw what FakeImageEncoder reads: the factors as numbers in every pixel."""
    out = np.zeros((size, size, 3), dtype=np.uint8)
    out[:] = (COLOURS.index(colour), SHAPES.index(shape), STYLES.index(style))
    return out


class FakeImageEncoder:
    """Reads factors out of the middle pixel."""

    aspects = LAYOUT.aspects[:3]
    fingerprint = "img1"
    input_side = 16

    def __init__(self):
        self.seen = []

    def encode(self, samples):
        self.seen += [sample.images[0].shape for sample in samples]
        middles = [p[p.shape[0] // 2, p.shape[1] // 2] for sample in samples for p in sample.images]
        return {
            name: np.concatenate([direction(name, words[middle[channel]]) for middle in middles])
            for channel, (name, words) in enumerate(FACTORS.items())
        }

    def encode_colour(self, rgb):
        from vision_rec.encoders.colour import parse_colour

        known = {name: np.array(parse_colour(name)) for name in COLOURS}
        nearest = min(known, key=lambda name: np.abs(known[name] - np.array(rgb[0])).sum())
        return direction("colour", nearest)


class FakeTextEncoder:
    """Sums one fixed vector per word."""

    aspects = LAYOUT.aspects[3:]
    fingerprint = "txt1"

    def __init__(self):
        self.seen = []

    def encode_texts(self, texts):
        self.seen.append(tuple(texts))
        return np.concatenate([text_block(text) for text in texts])


class FakeEncoders:
    """The two of them, as an EncoderSet has them."""

    def __init__(self, **fingerprints):
        self.fingerprints = {**FINGERPRINTS, **fingerprints}

    @cached_property
    def image(self):
        return FakeImageEncoder()

    @cached_property
    def text(self):
        return FakeTextEncoder()


class NoEncoders:
    """Fails at any touch: what answers from stored rows must never get here."""

    def __getattr__(self, name):
        raise AssertionError(f"the encoders were asked for {name}")


def publish(root, products, rows, *, kind="exact", extra=None, **fields):
    """Write a version the real way; `extra` has further catalogue columns by product id."""
    store = VersionStore(root)
    building = store.begin("test")
    stored = np.asarray(rows, dtype=np.float16)
    np.save(building / "vectors.npy", stored)
    (building / "ids.json").write_text(json.dumps([product.id for product in products]))
    records = [product_to_record(p) | (extra or {}).get(p.id, {}) for p in products]
    CatalogTable.write(building / "catalog.parquet", records)
    (building / "index").mkdir(exist_ok=True)
    build_index(stored.astype(np.float32), kind).save(building / "index")
    options = {"layout": LAYOUT, "fingerprints": FINGERPRINTS, "index_kind": kind, "feed_sha256": "0" * 64}
    return store.publish(building, count=len(products), **{**options, **fields})


def drawn_products():
    """Return all colours × shapes × styles, two variants of each in one group, and their rows."""
    products, rows = [], []
    for colour in COLOURS:
        for shape in SHAPES:
            for style in STYLES:
                for size in ("S", "M"):
                    title = f"{colour} {style} {shape}"
                    products.append(
                        Product(
                            f"{colour}-{shape}-{style}-{size}",
                            title,
                            brand="Acme" if shape in ("mug", "lamp") else "Bolt",
                            category=("Home" if shape != "shoe" else "Shoes", shape),
                            image_refs=(f"{colour}.png",),
                            price=Decimal(10 * (SHAPES.index(shape) + 1)),
                            currency="EUR",
                            availability="in_stock" if size == "M" else "out_of_stock",
                            group_id=f"{colour}-{shape}-{style}",
                            attributes={"color": (colour,), "size": (size,)},
                        )
                    )
                    rows.append(row_of(colour, shape, style, title))
    return products, np.stack(rows)


def settings_for(root, **sections):
    return Settings.load(paths={"indexes": root}, **sections)
