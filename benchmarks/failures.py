"""The worst failures of the image encoder on the drawn shop, block by block: one sheet and one table.

`python benchmarks/failures.py [ENCODER] [CATALOG]` draws the sample shop (1,000 products, seed 7) where it is
not there yet, encodes every main picture, writes docs/gallery/failures.webp, and prints which labels fail.
A row of the sheet is a query and the first products among its ten nearest that have another label.
"""

from __future__ import annotations

import csv
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from vision_rec.encoders import bundled_folder
from vision_rec.encoders.image import ImageEncoder
from vision_rec.images import open_image
from vision_rec.sample import SampleShop, draw_shop

ROOT = Path(__file__).resolve().parent.parent
COUNT, SEED = 1000, 7
SHOULD_KNOW = {"colour": "colour", "shape": "article", "style": "pattern"}  # block → column of truth.csv
NEAREST, SHOWN, QUERIES = 10, 7, 5
TILE, GAP, LINE, HEAD = 96, 4, 13, 22


@dataclass(frozen=True)
class Failure:
    """A query with the rows of its wrong neighbours, nearest first, and how many of the ten were right."""

    query: int
    wrong: tuple[int, ...]
    right: int


def nearest(rows: npt.NDArray[np.float32], count: int) -> npt.NDArray[np.int64]:
    """Return the `count` nearest other rows of each unit row (n, d), nearest first."""
    cosines = rows @ rows.T
    np.fill_diagonal(cosines, -np.inf)
    return np.argsort(-cosines, axis=1, kind="stable")[:, :count]


def failures(rows: npt.NDArray[np.float32], labels: Sequence[str], queries: int) -> list[Failure]:
    """Return the worst queries, each of another label: fewest right neighbours, then nearest wrong ones."""
    found = nearest(rows, NEAREST)
    names = np.array(labels)
    right = names[found] == names[:, None]
    first_wrong = np.where(right.all(axis=1), NEAREST, np.argmin(right, axis=1))
    closeness = np.array(
        [
            float(rows[row] @ rows[found[row, at]]) if at < NEAREST else -1.0
            for row, at in enumerate(first_wrong)
        ]
    )
    out: list[Failure] = []
    seen: set[str] = set()
    for row in np.lexsort((-closeness, right.sum(axis=1))):
        if names[row] not in seen and not right[row].all():
            seen.add(str(names[row]))
            wrong = tuple(int(other) for other in found[row][~right[row]])
            out.append(Failure(int(row), wrong, int(right[row].sum())))
    return out[:queries]


def confusions(rows: npt.NDArray[np.float32], labels: Sequence[str]) -> list[tuple[str, float, str]]:
    """Return each label's precision among the ten nearest and what it is taken for, the worst first."""
    found, names = nearest(rows, NEAREST), np.array(labels)
    out = []
    for name in sorted(set(labels)):
        around = names[found[names == name]].ravel()
        others = Counter(around[around != name].tolist()).most_common(2)
        taken = ", ".join(f"{other} {count / len(around):.2f}" for other, count in others)
        out.append((name, float((around == name).mean()), taken))
    return sorted(out, key=lambda entry: entry[1])


def sheet(
    parts: dict[str, list[Failure]], labels: dict[str, list[str]], pictures: Sequence[Path]
) -> Image.Image:
    """Draw all failures on one sheet."""
    height = TILE + LINE + GAP
    total = sum(HEAD + height * len(found) for found in parts.values())
    out = Image.new("RGB", ((TILE + GAP) * (SHOWN + 1) + 2 * GAP, total + GAP), "white")
    draw = ImageDraw.Draw(out)
    top = 0
    for block, found in parts.items():
        wanted = SHOULD_KNOW[block]
        draw.text((GAP, top + 6), f"{block} alone: {wanted} wrong among the ten nearest", fill="black")
        top += HEAD
        for failure in found:
            for place, row in enumerate((failure.query, *failure.wrong[:SHOWN])):
                left = GAP + place * (TILE + GAP) + (GAP if place else 0)
                with Image.open(pictures[row]) as picture:
                    out.paste(
                        picture.convert("RGB").resize((TILE, TILE), Image.Resampling.LANCZOS), (left, top)
                    )
                word = labels[block][row]
                draw.text((left, top + TILE), word if place else f"{word} {failure.right}/10", fill="black")
            draw.rectangle((GAP, top, GAP + TILE - 1, top + TILE - 1), outline="black", width=2)
            top += height
    return out


def _truth(shop: SampleShop) -> list[dict[str, str]]:
    with shop.truth.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def main(encoder: str = "", catalog: str = "catalog") -> None:
    shop = draw_shop(ROOT / catalog, count=COUNT, seed=SEED)
    truth = _truth(shop)
    pictures = [shop.images / f"{entry['id']}.jpg" for entry in truth]
    network = ImageEncoder(Path(encoder) if encoder else bundled_folder())
    blocks = network.encode_pictures([open_image(path, max_side=network.input_side) for path in pictures])
    labels = {block: [entry[column] for entry in truth] for block, column in SHOULD_KNOW.items()}
    parts = {block: failures(blocks[block], labels[block], QUERIES) for block in SHOULD_KNOW}
    target = ROOT / "docs" / "gallery" / "failures.webp"
    sheet(parts, labels, pictures).save(target, quality=80)
    print(
        f"{target.relative_to(ROOT)}: encoder {network.fingerprint}, {len(truth)} products of seed {SEED}\n"
    )
    print("| Block | Label | P@10 | Taken for |\n|---|---|---|---|")
    for block in SHOULD_KNOW:
        for name, precision, taken in confusions(blocks[block], labels[block])[:QUERIES]:
            print(f"| {block} | {name} | {precision:.2f} | {taken} |")


if __name__ == "__main__":
    main(*sys.argv[1:])
