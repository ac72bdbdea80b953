"""Contact sheets of the drawn shop: ten queries a sheet, the query on the left, its answers in order.

`python benchmarks/gallery.py [INDEXES] [CATALOG]` writes docs/gallery/*.webp from the shop that
`make demo` draws and indexes.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from PIL import Image, ImageDraw

from vision_rec import Recommender
from vision_rec.types import Product, Recommendations

ROOT = Path(__file__).resolve().parent.parent
TILE, GAP, SHOWN, QUERIES = 104, 4, 8, 10
TEXTS = (
    "red striped mug",
    "leather boots",
    "floral summer dress",
    "blue denim jacket",
    "something warm to wear in winter",
    "checked shirt for the office",
    "black handbag",
    "yellow lamp for the bedside",
    "vase for tall flowers",
    "comfortable white sneakers",
)
COLOURS = ("red", "blue", "green", "black", "yellow", "pink", "purple", "white", "orange", "teal")


def sheet(title: str, rows: list[tuple[str | Product, Recommendations]], images: Path) -> Image.Image:
    """Draw one contact sheet."""
    width = (TILE + GAP) * (SHOWN + 1) + 2 * GAP
    out = Image.new("RGB", (width, 28 + (TILE + GAP) * len(rows) + GAP), "white")
    draw = ImageDraw.Draw(out)
    draw.text((GAP, 8), title, fill="black")
    for number, (query, answer) in enumerate(rows):
        top = 28 + number * (TILE + GAP)
        if isinstance(query, str):
            draw.multiline_text((GAP, top + 8), _wrapped(query), fill="black")
        else:
            out.paste(_tile(query, images), (GAP, top))
            draw.rectangle((GAP, top, GAP + TILE - 1, top + TILE - 1), outline="black", width=2)
        for position, item in enumerate(answer[:SHOWN]):
            out.paste(_tile(item.product, images), (2 * GAP + (position + 1) * (TILE + GAP), top))
    return out


def _wrapped(text: str, width: int = 16) -> str:
    lines, line = [], ""
    for word in text.split():
        if len(line) + len(word) + 1 > width:
            lines.append(line)
            line = ""
        line = f"{line} {word}".strip()
    return "\n".join([*lines, line])


def _tile(product: Product, images: Path) -> Image.Image:
    return (
        Image.open(images / product.image_refs[0])
        .convert("RGB")
        .resize((TILE, TILE), Image.Resampling.LANCZOS)
    )


def main(indexes: str = "indexes", catalog: str = "catalog") -> None:
    recommender, images = Recommender.open(ROOT / indexes), ROOT / catalog
    every = [product for product in recommender.products(offset=0, limit=5000) if product.image_refs]
    chosen = every[:: max(len(every) // QUERIES, 1)][:QUERIES]
    alone = {name: {name: 1.0} for name in ("colour", "shape", "style", "text")}
    weighted: dict[str, dict[str, float] | None] = {"default": None, **alone}
    ask: dict[str, tuple[str, Callable[[], list[tuple[str | Product, Recommendations]]]]] = {
        f"similar-{name}": (
            f"similar items, weights: {name}",
            lambda w=weights: [(p, recommender.similar(p.id, k=SHOWN, weights=w)) for p in chosen],
        )
        for name, weights in weighted.items()
    }
    ask["words"] = (
        "search by words",
        lambda: [(text, recommender.search(text=text, k=SHOWN)) for text in TEXTS],
    )
    ask["like-this-but"] = (
        f"like this, but {', '.join(COLOURS)}",
        lambda: [
            (p, recommender.search(product_id=p.id, colour=colour, k=SHOWN))
            for p, colour in zip(chosen, COLOURS, strict=True)
        ],
    )
    target = ROOT / "docs" / "gallery"
    target.mkdir(parents=True, exist_ok=True)
    for name, (title, rows) in ask.items():
        sheet(title, rows(), images).save(target / f"{name}.webp", quality=80)


if __name__ == "__main__":
    main(*sys.argv[1:])
