"""A catalogue of made-up vectors with planted defects, for tests of the health checks and their screens."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from service_shop import FINGERPRINTS, PictureMath, TextMath, settings_for

from vision_rec.catalog import CatalogTable
from vision_rec.encoders.colour import parse_colour
from vision_rec.fusion import Aspect, AspectLayout, fuse, unit
from vision_rec.index import build_index
from vision_rec.index.version import VersionStore
from vision_rec.recommend import Recommender
from vision_rec.records import product_to_record
from vision_rec.types import Product

LAYOUT = AspectLayout((Aspect("colour", 27), Aspect("shape", 16), Aspect("style", 24), Aspect("text", 20)))
CATEGORIES = ("Mugs", "Lamps", "Chairs", "Bags")
COLOURS = ("red", "green", "blue", "yellow", "black")
EACH = 25  # products of a category


class Encoders:
    """Colours by arithmetic, as the made-up blocks are."""

    fingerprints = FINGERPRINTS
    image, text = PictureMath(), TextMath()


@dataclass
class Shelf:
    """Products and their blocks (one row each), before they are published."""

    rng: np.random.Generator
    products: list[Product] = field(default_factory=list)
    blocks: list[dict[str, np.ndarray]] = field(default_factory=list)
    retired: set[str] = field(default_factory=set)

    def add(self, ident: str, category: str, colour: str, **fields: Any) -> dict[str, np.ndarray]:
        """Add a product that looks and reads like its category; return its blocks, to be changed."""
        title = fields.pop("title", f"{colour} {ident}")
        attributes = {"color": (fields.pop("label", colour),)}
        product = Product(id=ident, title=title, category=("Home", category), attributes=attributes, **fields)
        place = CATEGORIES.index(category)
        self.products.append(product)
        self.blocks.append(
            {
                "colour": self._near(swatch(colour), 0.05),
                "shape": self._near(np.eye(16)[place] - 1 / 16, 0.05),
                "style": self._near(np.zeros(24), 1.0),
                "text": self._near(np.eye(20)[place] - 1 / 20, 0.08),
            }
        )
        return self.blocks[-1]

    def _near(self, centre: np.ndarray, noise: float) -> np.ndarray:
        return unit((centre + noise * self.rng.standard_normal(len(centre)))[None].astype(np.float32))[0]


def swatch(colour: str) -> np.ndarray:
    return Encoders.image.encode_colour([parse_colour(colour)])[0]


def shelf(seed: int = 5) -> Shelf:
    """A catalogue in which nothing is wrong: `mugs-3` is a mug."""
    out = Shelf(np.random.default_rng(seed))
    for category in CATEGORIES:
        for number in range(EACH):
            out.add(f"{category.lower()}-{number}", category, COLOURS[number % len(COLOURS)])
    return out


def plant(out: Shelf) -> None:
    """Put one defect of each kind into a shelf."""
    of = {product.id: blocks for product, blocks in zip(out.products, out.blocks, strict=True)}
    twin = out.add("twin", "Mugs", "red", title="Another mug <b>altogether</b>")
    twin.update({name: of["mugs-0"][name] for name in ("colour", "shape", "style")})
    out.add("mislabelled", "Lamps", "red", label="blue")
    stranger = out.add("stranger", "Bags", "green")
    stranger["shape"] = of["chairs-2"]["shape"]
    blank = out.add("blank-0", "Chairs", "yellow", title="Blank 0")
    for number in range(1, 7):
        same = out.add(f"blank-{number}", "Chairs", "yellow", title=f"Blank {number}")
        same.update({name: blank[name] for name in ("colour", "shape", "style")})
    hidden = out.add("hidden", "Bags", "black", label="multicolour")
    for name in LAYOUT.names:
        hidden[name] = unit(-sum(blocks[name] for blocks in of.values())[None].astype(np.float32))[0]


def publish(folder: Path, chosen: Shelf, report: Mapping[str, Any] | None = None) -> None:
    """Publish a shelf below `folder`, as reindex would."""
    store = VersionStore(folder / "indexes")
    stacked = {name: np.stack([blocks[name] for blocks in chosen.blocks]) for name in LAYOUT.names}
    stored = fuse(LAYOUT, stacked).astype(np.float16)
    with store.lock():
        building = store.begin("test")
        (building / "ids.json").write_text(json.dumps([product.id for product in chosen.products]))
        np.save(building / "vectors.npy", stored)
        records = [_record(product, chosen.retired) for product in chosen.products]
        CatalogTable.write(building / "catalog.parquet", records)
        (building / "index").mkdir(exist_ok=True)
        build_index(stored.astype(np.float32), "exact").save(building / "index")
        (building / "report.json").write_text(json.dumps(report or {}))
        store.publish(
            building,
            layout=LAYOUT,
            fingerprints=FINGERPRINTS,
            index_kind="exact",
            count=len(stored),
            feed_sha256="0" * 64,
            sources={"images": str(folder / "shop")},
        )


def opened(folder: Path, chosen: Shelf, report: Mapping[str, Any] | None = None) -> Recommender:
    """Publish a shelf and open it."""
    publish(folder, chosen, report)
    settings = settings_for(folder)
    return Recommender.open(settings.paths.indexes, settings=settings, encoders=Encoders())


def report_of(**fields: Any) -> dict[str, Any]:
    """A report as reindex writes it, of a run with something in every list."""
    unread = "cannot read the price {!r}; write it like '12.99 USD'"
    found = [
        (7, "price", unread.format("free"), "p7"),
        (9, "price", unread.format("=1+1"), "=cmd|' /C calc'!A0"),
        (12, "title", "the title is missing", "<script>alert(1)</script>"),
    ]
    names = ("line", "column", "reason", "product_id")
    rejects = [{"file": "products.csv", **dict(zip(names, values, strict=True))} for values in found]
    return {
        "outcome": "published",
        "feed": "/srv/shop/products.csv",
        "started_at": "2026-11-01T04:00:00+00:00",
        "seconds": 12.5,
        "plan": {"products": 100, "new": 100},
        "rejected": 3,
        "rejects": rejects,
        "duplicates": 1,
        "duplicate_ids": ["mugs-1"],
        "reviews_rejected": 0,
        "image_problems": {"missing": 2, "truncated": 1},
        "image_problems_by_host": {"cdn.example": 2},
        "image_problem_list": [
            {"ref": "https://cdn.example/a.jpg", "reason": "missing", "host": "cdn.example"},
            {"ref": "https://cdn.example/b.jpg", "reason": "missing", "host": "cdn.example"},
            {"ref": "images/c.jpg", "reason": "truncated", "host": ""},
        ],
        "placeholders": [{"ref": "images/none.png", "products": 40}],
        "checks": [{"name": "lengths", "passed": True, "detail": "fine"}],
        "notes": ["no reviews file was given"],
        "error": None,
        **fields,
    }


def _record(product: Product, retired: Sequence[str] | set[str]) -> dict[str, Any]:
    gone = "2026-01-01T00:00:00+00:00" if product.id in retired else None
    flags = ["image:missing"] if product.id == "mugs-4" else []
    record = product_to_record(product)
    return {**record, "retired_at": gone, "rating": 4.5, "rating_count": 12, "flags": flags}
