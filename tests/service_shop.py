"""A small real shop for tests of the service: a published version, drawn pictures, encoders of arithmetic."""

from __future__ import annotations

import json
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from vision_rec.catalog import CatalogTable
from vision_rec.encoders.colour import parse_colour
from vision_rec.fusion import Aspect, AspectLayout, fuse, unit
from vision_rec.index import build_index
from vision_rec.index.version import IndexVersion, VersionStore
from vision_rec.recommend import Recommender
from vision_rec.records import product_to_record
from vision_rec.settings import Settings
from vision_rec.types import Array, Blocks, Picture, Product, Review, Sample

COLOURS = ("red", "green", "blue", "yellow", "black", "white")
SHAPES = ("mug", "lamp", "chair", "bag")
BASE_URL = "http://127.0.0.1"
LAYOUT = AspectLayout((Aspect("colour", 27), Aspect("shape", 8), Aspect("text", 16)))
_LEVELS = (0, 128, 255)
FINGERPRINTS = {"image": "arithmetic-image", "text": "arithmetic-text"}


class PictureMath:
    """Colour: mean of what is not background, against fixed anchors. Shape: how it spreads."""

    input_side = 64
    fingerprint = FINGERPRINTS["image"]
    aspects = LAYOUT.aspects[:2]

    def encode(self, samples: Sequence[Sample]) -> Blocks:
        return self.encode_pictures([sample.images[0] for sample in samples])

    def encode_pictures(self, pictures: Sequence[Picture]) -> Blocks:
        colours, shapes = [], []
        for picture in pictures:
            ink = (np.abs(picture.astype(int) - picture[0, 0]).sum(axis=2) > 30).astype(np.float32)
            object_ = picture[ink > 0] if ink.any() else picture.reshape(-1, 3)
            colours.append(self._colour(np.median(object_, axis=0)))
            quarters = [part.mean() for band in np.array_split(ink, 4) for part in np.array_split(band, 2, 1)]
            shapes.append(np.asarray(quarters) - np.mean(quarters))
        return {"colour": unit(np.array(colours, np.float32)), "shape": unit(np.array(shapes, np.float32))}

    def encode_colour(self, rgb: Sequence[tuple[int, int, int]]) -> Array:
        return unit(np.array([self._colour(np.mean(rgb, axis=0))], np.float32))

    def _colour(self, rgb: np.ndarray) -> np.ndarray:
        anchors = np.array([[r, g, b] for r in _LEVELS for g in _LEVELS for b in _LEVELS])
        near = np.exp(-(((anchors - rgb) / 70.0) ** 2).sum(axis=1))
        return near - near.mean()

    def pool(self, blocks: Blocks) -> Blocks:
        return {name: block[:1] for name, block in blocks.items()}


class TextMath:
    """Hashed words."""

    fingerprint = FINGERPRINTS["text"]
    aspects = LAYOUT.aspects[2:]

    def encode(self, samples: Sequence[Sample]) -> Blocks:
        return {"text": self.encode_texts([sample.text for sample in samples])}

    def encode_texts(self, texts: Sequence[str]) -> Array:
        rows = np.zeros((len(texts), 16), np.float32)
        for row, text in zip(rows, texts, strict=True):
            for word in text.lower().split():
                row[sum(word.encode()) % 16] += 1
        return unit(rows - rows.mean(axis=1, keepdims=True))

    def encode_reviews(self, reviews: Sequence[tuple[Review, ...]]) -> Array:
        return np.zeros((len(reviews), 0), np.float32)


class MathEncoders:
    """Both, as the recommender asks for them."""

    layout = LAYOUT
    fingerprints = FINGERPRINTS
    image = PictureMath()
    text = TextMath()


def draw(shape: str, colour: str, side: int = 96, tilt: int = 0) -> Image.Image:
    picture = Image.new("RGB", (side, side), "#f4f4f2" if colour == "white" else "#ffffff")
    pen, s = ImageDraw.Draw(picture), side / 96
    fill = parse_colour(colour)
    boxes = {
        "mug": [(20, 28, 66, 80), (66, 40, 82, 64)],
        "lamp": [(28, 10, 68, 44), (45, 44, 51, 80), (30, 80, 66, 88)],
        "chair": [(28, 8, 68, 50), (24, 50, 72, 58), (26, 58, 32, 90), (64, 58, 70, 90)],
        "bag": [(14, 34, 82, 86), (36, 18, 60, 34)],
    }[shape]
    for x0, y0, x1, y1 in boxes:
        pen.rectangle((x0 * s + tilt, y0 * s, x1 * s + tilt, y1 * s), fill=fill, outline="#222222")
    return picture


def products() -> list[Product]:
    """Every shape in every colour, four products with something odd, and six without a picture."""
    out = []
    for i, (shape, colour) in enumerate((s, c) for s in SHAPES for c in COLOURS):
        out.append(
            Product(
                id=f"{shape}-{colour}",
                title=f"{colour.title()} {shape}",
                description=f"A {colour} {shape} for every day.",
                brand=("Nordlicht", "Atelier Öst", "Plain & Co")[i % 3],
                category=("Home" if shape != "bag" else "Fashion", shape.title() + "s"),
                image_refs=(f"images/{shape}-{colour}.png",),
                price=Decimal("9.90") + 10 * (i % 7),
                sale_price=Decimal("7.50") if i % 9 == 4 else None,
                currency="EUR",
                availability="out_of_stock" if i % 5 == 3 else "in_stock",
                group_id=f"group-{shape}" if colour in ("red", "green") else None,
                attributes={"color": (colour,)},
            )
        )
    odd = "images/mug-red.png"
    return [
        *out,
        Product(id="a/b c%2F", title="Slash <script>alert(1)</script>", image_refs=(odd,), category=("Odd",)),
        Product(id="no-picture", title="Mug without a picture", category=("Home", "Mugs")),
        Product(id="lost-picture", title="Mug with a lost picture", image_refs=("images/absent.png",)),
        Product(id="outside", title="Mug from outside", image_refs=("../secret.png",)),
        *(Product(id=f"pen-{i}", title=f"Pen number {i}", category=("Desk", "Pens")) for i in range(6)),
    ]


def paint(folder: Path) -> None:
    """Draw the pictures of `products`, and one outside the folder that nobody may see."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    for shape in SHAPES:
        for colour in COLOURS:
            draw(shape, colour).save(folder / "images" / f"{shape}-{colour}.png")
    draw("mug", "red").save(folder.parent / "secret.png")


def publish(indexes: Path, shop: Path, chosen: Sequence[Product] | None = None) -> IndexVersion:
    """Publish a version of `chosen` (all where None), as reindex would."""
    chosen = products() if chosen is None else chosen
    store, encoders = VersionStore(indexes), MathEncoders()
    blank = {"colour": np.zeros((1, 27), np.float32), "shape": np.zeros((1, 8), np.float32)}
    rows = []
    for product in chosen:
        path = shop / (product.image_refs[0] if product.image_refs else "none")
        seen = path.is_file() and ".." not in product.image_refs[0]
        pixels = np.asarray(Image.open(path).convert("RGB").resize((64, 64))) if seen else None
        blocks = dict(encoders.image.encode_pictures([pixels]) if pixels is not None else blank)
        blocks["text"] = encoders.text.encode_texts([f"{product.title} {product.description}"])
        rows.append(fuse(LAYOUT, blocks)[0])
    stored = np.array(rows, np.float32).reshape(len(rows), LAYOUT.dim).astype(np.float16)
    with store.lock():
        building = store.begin("test")
        (building / "ids.json").write_text(json.dumps([product.id for product in chosen]))
        np.save(building / "vectors.npy", stored)
        CatalogTable.write(building / "catalog.parquet", [_record(product) for product in chosen])
        (building / "index").mkdir(exist_ok=True)
        build_index(stored.astype(np.float32), "exact").save(building / "index")
        (building / "report.json").write_text("{}")
        return store.publish(
            building,
            layout=LAYOUT,
            fingerprints=FINGERPRINTS,
            index_kind="exact",
            count=len(chosen),
            feed_sha256="0" * 64,
            sources={"images": str(shop)},
        )


def _record(product: Product) -> dict[str, object]:
    retired = "2026-01-01T00:00:00+00:00" if product.id.startswith("retired") else None
    return {**product_to_record(product), "retired_at": retired, "rating": 4.5, "rating_count": 12}


def settings_for(folder: Path, **service: object) -> Settings:
    """Settings with all paths below `folder`."""
    return Settings.load(
        paths={"indexes": folder / "indexes", "data": folder / "var"},
        service={"warm": False, **service},
        images={"workers": 1},
    )


def open_shop(folder: Path, **service: object) -> tuple[Settings, Recommender]:
    """Draw and publish the shop below `folder` and open it."""
    paint(folder / "shop")
    publish(folder / "indexes", folder / "shop")
    settings = settings_for(folder, **service)
    return settings, Recommender.open(settings.paths.indexes, settings=settings, encoders=MathEncoders())


def post(
    client: Any, content: Any, path: str = "/v1/search", kind: str = "application/json", **headers: str
) -> Any:
    """Send raw bytes."""
    return client.post(path, content=content, headers={"Content-Type": kind, **headers})


def problem(answer: Any, status: int, code: str) -> dict[str, Any]:
    """Return the problem document of `answer`, after checking that it is one and what it is."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    body: dict[str, Any] = answer.json()
    assert (answer.status_code, body["status"], body["type"]) == (status, status, code), body
    assert set(body) == {"type", "title", "status", "detail", "instance", "request_id", "errors"}
    assert body["request_id"] == answer.headers["x-request-id"]
    assert "Traceback" not in answer.text and "site-packages" not in answer.text
    return body


def page(answer, status=200):
    """Return the text of a page that is not kept and has nothing in it that a browser would run."""
    assert answer.status_code == status, answer.text[:2000]
    assert answer.headers["content-type"].startswith("text/html")
    assert answer.headers["cache-control"] == "no-store"
    assert not [bad for bad in ("<script>alert", " style=", " onclick") if bad in answer.text]
    return answer.text
