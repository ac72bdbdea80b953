"""A merchant's catalogue as training data: feed and pictures in, pictures with labels and masks out."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from PIL import Image

from vision_rec.aspects.catalogue import one_per_variant, read_products
from vision_rec.aspects.labels import labels_of, normalised, splits_of
from vision_rec.aspects.pictures import PictureFiles
from vision_rec.encoders.image import ImageEncoder
from vision_rec.encoders.prepare import fit_square
from vision_rec.errors import ImageError, InputError
from vision_rec.fusion import unit
from vision_rec.images import DecodePool
from vision_rec.training.data import TASKS, Source, plain_background
from vision_rec.types import Array, Product

if TYPE_CHECKING:
    from vision_rec.settings import Settings

NAME = "catalog"
LEAST_PICTURES = 50  # below it there is nothing to learn from, and too little to measure on
MOST_PICTURES = 20_000  # of those that may train; more take disk and time and change little
MOST_TEST = 1_000  # held-out pictures kept for "finds itself"
LEAST_MEMBERS = 8  # of an article type that is learned; rarer ones count as the level above
SURE, SURELY_NOT = 0.9, 0.03  # what the bundled mask must say of a pixel to teach another network
_FORM = 1  # counts up when the same feed would be packed otherwise
_BATCH = 64
Progress = Callable[[str, int, int | None], None]


@dataclass(frozen=True)
class Catalogue:
    """The pictures as a source of training, and what the bundled encoder sees in them."""

    source: Source
    teacher: npt.NDArray[np.float16]  # (n, d) its raw shape and style
    labels: dict[str, str]  # task → the feed's label it learns, how many products have one
    digest: str  # of feed, pictures and side
    notes: tuple[str, ...]


def load_catalogue(
    feed: Path,
    *,
    settings: Settings,
    encoder: ImageEncoder,
    side: int,
    cache: Path,
    images: Path | None = None,
    progress: Progress = lambda stage, done, total: None,
) -> Catalogue:
    """Read `feed`, decode the main pictures to squares of `side` and let `encoder` look at them.

    Products of md5(normalised title) ≡ 0 (mod 5) are held out. Decoded arrays stay in `cache` for the next
    run. Raises FeedError for an unusable feed, InputError for fewer than 50 usable pictures.
    """
    if images is not None and not Path(images).is_dir():
        raise InputError(f"there is no picture folder {images}; give an existing folder with --images DIR")
    products, rejected = read_products(Path(feed), settings, progress)
    files = PictureFiles(Path(images) if images else Path(feed).resolve().parent, settings)
    located = files.locate(products, progress)
    digests = [digest for _, digest in located]
    split = splits_of([product.title for product in products], digests)
    rows = [row for row in one_per_variant(products, digests) if located[row][0]]
    notes = [*files.notes, *([f"{rejected} bad rows of the feed are left out"] if rejected else [])]
    _require(len(rows), len(products), feed, notes)
    rows, dropped = _capped(rows, split, digests)
    if dropped:
        notes.append(f"{dropped} products are left out: {MOST_PICTURES} pictures are enough")
    digest = _digest(side, encoder.fingerprint, [digests[row] for row in rows])
    folder = cache / f"{NAME}-{digest}"
    if not (folder / "rows.json").is_file():
        paths = [located[row][0][0] for row in rows]
        _pack(folder, paths, side, settings, encoder, progress)
    packed = _Packed.open(folder)
    if broken := len(rows) - len(packed.kept):
        notes.append(f"{broken} pictures cannot be decoded and are left out")
    _require(len(packed.kept), len(products), feed, notes)
    chosen = [rows[number] for number in packed.kept]
    return _joined([products[row] for row in chosen], [split[row] for row in chosen], packed, digest, notes)


def _require(usable: int, products: int, feed: Path, notes: Sequence[str]) -> None:
    if usable < LEAST_PICTURES:
        why = f" ({'; '.join(notes)})" if notes else ""
        raise InputError(
            f"{usable} of {products} products of {feed} have a usable picture{why}; training needs at least "
            f"{LEAST_PICTURES}: give more products, or the folder of their pictures with --images DIR"
        )


def _capped(rows: Sequence[int], split: Sequence[int], digests: Sequence[str]) -> tuple[list[int], int]:
    """Keep at most so many rows to train on and to test on, chosen by the pictures' hashes."""
    train, test = [[row for row in rows if (split[row] == 0) == held] for held in (False, True)]
    kept = [
        *sorted(train, key=lambda row: digests[row])[:MOST_PICTURES],
        *sorted(test, key=lambda row: digests[row])[:MOST_TEST],
    ]
    return sorted(kept), max(len(train) - MOST_PICTURES, 0)


def _digest(side: int, encoder: str, digests: Sequence[str]) -> str:
    return hashlib.sha256(f"{_FORM} {side} {encoder} {' '.join(digests)}".encode()).hexdigest()[:16]


@dataclass(frozen=True)
class _Packed:
    """Arrays of the pictures that could be decoded; `kept` are their positions among those wanted."""

    kept: list[int]
    pixels: npt.NDArray[np.uint8]
    background: npt.NDArray[np.bool_]
    product: npt.NDArray[np.bool_]
    teacher: npt.NDArray[np.float16]

    @classmethod
    def open(cls, folder: Path) -> _Packed:
        kept = json.loads((folder / "rows.json").read_text())
        pixels, background, product, teacher = (
            np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)[: len(kept)]
            for name in ("pixels", "background", "product", "teacher")
        )
        return cls(kept, pixels, background, product, teacher)


def _pack(
    folder: Path,
    paths: Sequence[Path],
    side: int,
    settings: Settings,
    encoder: ImageEncoder,
    progress: Progress,
) -> None:
    """Decode the pictures into arrays on disk, with masks and features beside them."""
    folder.mkdir(parents=True, exist_ok=True)
    width = sum(aspect.dim for aspect in encoder.aspects if aspect.name != "colour")

    def array(name: str, dtype: npt.DTypeLike, shape: tuple[int, ...]) -> npt.NDArray[np.generic]:
        return np.lib.format.open_memmap(folder / f"{name}.npy", "w+", dtype, (len(paths), *shape))

    pixels = array("pixels", np.uint8, (side, side, 3))
    background, product = (array(name, np.bool_, (side, side)) for name in ("background", "product"))
    teacher = array("teacher", np.float16, (width,))
    kept: list[int] = []
    with DecodePool(settings.images.workers, settings.images) as pool:
        outcomes = enumerate(pool.decode(paths, max_side=side))
        good = ((number, p) for number, p in outcomes if not isinstance(p, ImageError))
        for batch in _batches(good):
            squares = np.stack([fit_square(picture, side) for _, picture in batch])
            place = slice(len(kept), len(kept) + len(batch))
            pixels[place] = squares
            background[place], product[place] = masks(squares, encoder.masks(list(squares)))
            raw = encoder.raw(list(squares))
            teacher[place] = np.concatenate([unit(raw["shape"]), unit(raw["style"])], axis=1)
            kept += [number for number, _ in batch]
            progress("pictures", batch[-1][0] + 1, len(paths))
    for stored in (pixels, background, product, teacher):
        stored.flush()  # type: ignore[attr-defined]
    (folder / "rows.json").write_text(json.dumps(kept))


def _batches(
    pictures: Iterator[tuple[int, npt.NDArray[np.uint8]]],
) -> Iterator[list[tuple[int, npt.NDArray[np.uint8]]]]:
    batch: list[tuple[int, npt.NDArray[np.uint8]]] = []
    for entry in pictures:
        batch.append(entry)
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def masks(
    squares: npt.NDArray[np.uint8], shares: Array
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Return where pictures (n, side, side, 3) surely show background, and surely the product.

    `shares` (n, m, m) is what a trained network takes for the product. A plain white background counts
    whatever that says.
    """
    side = squares.shape[1]
    enlarged = (Image.fromarray(share).resize((side, side), Image.Resampling.BILINEAR) for share in shares)
    large = np.stack([np.asarray(share) for share in enlarged])
    plain = np.stack([plain_background(square) for square in squares])
    product = (large > SURE) & ~plain
    seen = product.mean((1, 2), keepdims=True) > 0.01  # else that network saw no product at all
    return plain | ((large < SURELY_NOT) & seen), product


def _joined(
    products: Sequence[Product], split: Sequence[int], packed: _Packed, digest: str, notes: Sequence[str]
) -> Catalogue:
    labels, named = training_labels(products)
    # Nothing is chosen on a validation split here, so its products may train.
    numbers = np.array([0 if number == 0 else 2 for number in split])
    source = Source(
        NAME,
        packed.pixels,
        labels,
        numbers,
        packed.background,
        packed.product,
        groups=[normalised(product.title) for product in products],
    )
    return Catalogue(source, packed.teacher, named, digest, tuple(notes))


def training_labels(products: Sequence[Product]) -> tuple[dict[str, list[str]], dict[str, str]]:
    """Return the names that each training task learns, and what of the feed they are, by task.

    The task `usage` learns materials where the feed has no usage, `gender` where it has but no gender.
    """
    found = labels_of(products)
    found["article"] = article_types(products)
    columns = {task: task for task in TASKS}
    if any(found["material"]):
        spare = next((task for task in ("usage", "gender") if not any(found[task])), None)
        if spare:
            columns[spare] = "material"
    labels = {task: found[column] for task, column in columns.items()}
    known = {task: sum(map(bool, names)) for task, names in labels.items()}
    return labels, {task: f"{columns[task]}: {count}" for task, count in known.items() if count}


def article_types(products: Sequence[Product], least: int = LEAST_MEMBERS) -> list[str]:
    """Return each product's deepest level of the category that `least` products share, or nothing."""
    paths = [tuple(normalised(level) for level in product.category) for product in products]
    counts = Counter(path[:depth] for path in paths for depth in range(1, len(path) + 1))
    out = []
    for path in paths:
        depth = next((d for d in range(len(path), 0, -1) if counts[path[:d]] >= least), 0)
        out.append(path[depth - 1] if depth else "")
    return out
