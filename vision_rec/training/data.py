"""Training pictures and labels: packs of real products, packed once into arrays, and drawn products."""

from __future__ import annotations

import csv
import hashlib
import io
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from vision_rec.aspects.labels import normalised, pattern_of, splits_of
from vision_rec.encoders.prepare import fit_square
from vision_rec.errors import InputError
from vision_rec.training.photo_masks import photo_masks

SIDE = 112
TASKS = ("article", "colour", "pattern", "usage", "gender")
# A customer's photo label names one or several of the shop's articles.
PHOTO_ARTICLES: Mapping[str, tuple[str, ...]] = {
    "T-Shirt": ("Tshirts",),
    "Polo": ("Tshirts",),
    "Longsleeve": ("Tshirts", "Tops", "Sweaters"),
    "Pants": ("Trousers", "Jeans", "Track Pants"),
    "Shoes": ("Casual Shoes", "Sports Shoes", "Formal Shoes", "Heels", "Flats", "Sandals"),
    "Shirt": ("Shirts",),
    "Dress": ("Dresses",),
    "Shorts": ("Shorts",),
    "Skirt": ("Skirts",),
    "Hat": ("Caps", "Hat"),
    "Outwear": ("Jackets", "Blazers", "Rain Jacket"),
    "Hoodie": ("Sweatshirts",),
    "Blazer": ("Blazers",),
    "Blouse": ("Tops", "Shirts"),
    "Top": ("Tops",),
    "Undershirt": ("Innerwear Vests", "Camisoles"),
}


@dataclass(frozen=True)
class Source:
    """Pictures of one pack (n, SIDE, SIDE, 3) with label names per task; an empty label is unknown.

    A label may name several classes, separated by "|": any of them counts as right.
    `background` (n, SIDE, SIDE) is true where a pixel surely is background, `product` where it is product.
    """

    name: str
    pixels: npt.NDArray[np.uint8]
    labels: Mapping[str, Sequence[str]]
    split: npt.NDArray[np.int64]  # 0 test, 1 validation, 2–4 training
    background: npt.NDArray[np.bool_]
    product: npt.NDArray[np.bool_] | None = None
    groups: Sequence[str] = ()

    def __len__(self) -> int:
        return len(self.pixels)


def plain_background(pixels: npt.NDArray[np.uint8], level: int = 238) -> npt.NDArray[np.bool_]:
    """Return the near-white pixels (H, W) that are connected with the border of one picture (H, W, 3)."""
    from scipy import ndimage

    regions, _ = ndimage.label(pixels.min(axis=2) >= level)
    border = np.concatenate([regions[0], regions[-1], regions[:, 0], regions[:, -1]])
    outside = np.isin(regions, np.unique(border[border > 0]))
    # Where nearly all is near-white the product itself is: better no mask than a wrong one.
    return outside if outside.mean() < 0.92 else np.zeros_like(outside)


def load_pack(root: Path, name: str, cache: Path) -> Source:
    """Load one pack of `root` (fashion, fashion_small or clothing), packed into `cache` at first use."""
    folder = root / name
    table = folder / ("labels.csv" if name == "clothing" else "products.csv")
    if not table.is_file():
        raise InputError(f"no data pack {name!r} in {root}; it needs {table}")
    with table.open(newline="", encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    packed = _packed(name, cache, lambda: _pictures(folder, name, rows), len(rows))
    if name == "clothing":
        return _photo_source(packed, rows, _photo_masks(packed, cache))
    return _product_source(name, packed, rows)


def _pictures(folder: Path, name: str, rows: Sequence[Mapping[str, str]]) -> Iterator[bytes]:
    if name == "clothing":
        yield from ((folder / "images" / f"{row['image']}.jpg").read_bytes() for row in rows)
    elif name == "fashion_small":
        with zipfile.ZipFile(folder / "images.zip") as archive:
            yield from (archive.read(row["image_link"]) for row in rows)
    else:
        yield from ((folder / row["image_link"]).read_bytes() for row in rows)


@dataclass(frozen=True)
class _Packed:
    pixels: npt.NDArray[np.uint8]
    background: npt.NDArray[np.bool_]
    digests: list[str]


def _packed(name: str, cache: Path, pictures: object, count: int) -> _Packed:
    """Decode a pack's pictures once; later runs map the arrays from disk."""
    cache.mkdir(parents=True, exist_ok=True)
    pixels_file, digest_file = cache / f"{name}-{SIDE}.npy", cache / f"{name}-{SIDE}.md5"
    background_file = cache / f"{name}-{SIDE}-background.npy"
    if not digest_file.is_file():
        pixels = np.lib.format.open_memmap(
            pixels_file, mode="w+", dtype=np.uint8, shape=(count, SIDE, SIDE, 3)
        )
        background = np.zeros((count, SIDE * SIDE // 8), dtype=np.uint8)
        digests = []
        iterator: Iterable[bytes] = pictures()  # type: ignore[operator]
        for row, data in enumerate(iterator):
            pixels[row] = fit_square(np.asarray(Image.open(io.BytesIO(data)).convert("RGB")), SIDE)
            background[row] = np.packbits(plain_background(pixels[row]))
            digests.append(hashlib.md5(data, usedforsecurity=False).hexdigest())
        pixels.flush()
        np.save(background_file, background)
        digest_file.write_text("\n".join(digests))
    bits = np.load(background_file)
    background_mask = np.unpackbits(bits, axis=1).reshape(-1, SIDE, SIDE).astype(bool)
    return _Packed(np.load(pixels_file, mmap_mode="r"), background_mask, digest_file.read_text().split("\n"))


def _product_source(name: str, packed: _Packed, rows: Sequence[Mapping[str, str]]) -> Source:
    path = [row["product_type"].split(" > ") for row in rows]
    labels = {
        "article": [levels[-1] for levels in path],
        "colour": ["" if row["color"] in ("NA", "Multi") else row["color"] for row in rows],
        "pattern": [pattern_of(row["title"]) for row in rows],
        "usage": ["" if row["usage"] in ("NA", "", "Home") else row["usage"] for row in rows],
        "gender": [row["gender"] for row in rows],
    }
    split = np.array(splits_of([row["title"] for row in rows], packed.digests))
    groups = [normalised(row["title"]) for row in rows]
    return Source(name, packed.pixels, labels, split, packed.background, groups=groups)


def _photo_masks(packed: _Packed, cache: Path) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Return the ground and the garments (n, SIDE, SIDE) of photos, cut into `cache` at first use."""
    file = cache / f"clothing-{SIDE}-masks.npy"
    if not file.is_file():
        masks = np.zeros((2, len(packed.pixels), SIDE * SIDE // 8), dtype=np.uint8)
        for row, picture in enumerate(packed.pixels):
            masks[:, row] = [np.packbits(mask) for mask in photo_masks(picture)]
        np.save(file, masks)
    ground, garment = np.unpackbits(np.load(file), axis=2).reshape(2, -1, SIDE, SIDE).astype(bool)
    return ground, garment


def _photo_source(
    packed: _Packed,
    rows: Sequence[Mapping[str, str]],
    masks: tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]],
) -> Source:
    unknown = [""] * len(rows)
    labels: dict[str, Sequence[str]] = {task: unknown for task in TASKS}
    labels["article"] = ["|".join(PHOTO_ARTICLES.get(row["label"], ())) for row in rows]
    split = np.array([int(digest, 16) % 5 for digest in packed.digests])
    ground, garment = masks
    return Source("clothing", packed.pixels, labels, split, ground, garment)


def load_drawn(cache: Path, *, count: int = 6000, seed: int = 1_000_003) -> Source:
    """Draw training pictures with true masks, packed into `cache` at first use; tests use other seeds."""
    file = cache / f"drawn-{SIDE}-{seed}-{count}.npz"
    if not file.is_file():
        cache.mkdir(parents=True, exist_ok=True)
        _draw(file, count, seed)
    with np.load(file) as arrays:
        pixels, masks = arrays["pixels"], np.unpackbits(arrays["masks"], axis=1)
        labels = {task: [str(name) for name in arrays[task]] for task in TASKS}
    product = masks.reshape(-1, SIDE, SIDE).astype(bool)
    return Source("drawn", pixels, labels, np.full(count, 2), ~product, product)


def _draw(file: Path, count: int, seed: int) -> None:
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    step = 200
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        parts = list(pool.map(_draw_stretch, [(seed, start, step) for start in range(0, count, step)]))
    labels = {task: np.array([entry[task] for _, _, entries in parts for entry in entries]) for task in TASKS}
    pixels = np.concatenate([part[0] for part in parts])[:count]
    masks = np.concatenate([part[1] for part in parts])[:count]
    np.savez(file, pixels=pixels, masks=masks, **labels)  # type: ignore[arg-type]


def _draw_stretch(
    job: tuple[int, int, int],
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8], list[dict[str, str]]]:
    from vision_rec.sample.draw import iter_drawn

    seed, start, count = job
    pixels, masks, labels = [], [], []
    for picture, factors in iter_drawn(seed, count, SIDE * 2, start=start):
        # Drawn at twice the size and averaged, like a photograph that was scaled down.
        pixels.append(picture.reshape(SIDE, 2, SIDE, 2, 3).mean((1, 3)).round().astype(np.uint8))
        masks.append(np.packbits(factors.mask[::2, ::2] > 127))
        spec = factors.spec
        labels.append(
            {
                "article": f"drawn {spec.article}",
                "colour": spec.colour.title(),
                "pattern": {"solid": "solid", "stripes": "striped", "check": "check"}.get(
                    spec.pattern, f"drawn {spec.pattern}"
                ),
                "usage": "",
                "gender": "",
            }
        )
    return np.stack(pixels), np.stack(masks), labels
