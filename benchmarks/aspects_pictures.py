"""Pictures and labels that the encoder is measured on, and what may happen to a query's picture."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from vision_rec.aspects.labels import labels_of, splits_of
from vision_rec.encoders.image import ImageEncoder
from vision_rec.errors import ImageError
from vision_rec.feeds import read_feed
from vision_rec.images import DecodePool, crop, shrink
from vision_rec.settings import ImageSettings
from vision_rec.types import Blocks, Picture

SIDE = 224  # of the pictures that are changed; the encoder sees them shrunk, as every picture
# What a customer's photo may be among the shop's articles (the mapping of the goal's table).
PHOTO_ARTICLES: Mapping[str, tuple[str, ...]] = {
    "T-Shirt": ("tshirts",),
    "Pants": ("trousers", "jeans", "track pants"),
    "Shoes": ("casual shoes", "sports shoes", "formal shoes", "heels", "flats"),
    "Shirt": ("shirts",),
    "Dress": ("dresses",),
    "Shorts": ("shorts",),
    "Skirt": ("skirts",),
    "Hat": ("caps", "hat"),
    "Polo": ("tshirts",),
}


@dataclass(frozen=True)
class Shop:
    """Products with one picture file each and their labels by kind."""

    files: Sequence[Path]
    labels: Mapping[str, Sequence[str]]
    groups: Sequence[str]

    def __len__(self) -> int:
        return len(self.files)


def fashion_test(packs: Path) -> Shop:
    """Return the products of `fashion` whose titles have md5 ≡ 0 (mod 5), twins of their pictures too."""
    folder = packs / "fashion"
    products = list(read_feed(folder / "products.csv"))
    files = [folder / product.image_refs[0] for product in products]
    digests = [hashlib.md5(file.read_bytes(), usedforsecurity=False).hexdigest() for file in files]
    splits = splits_of([product.title for product in products], digests)
    rows = [row for row, number in enumerate(splits) if number == 0]
    labels = labels_of([products[row] for row in rows])
    return Shop([files[row] for row in rows], labels, [""] * len(rows))


def photos_test(packs: Path) -> tuple[list[Path], list[str]]:
    """Return the customers' photos with md5(file) ≡ 0 (mod 5) that the mapping knows, and their labels."""
    folder = packs / "clothing"
    files, names = [], []
    with (folder / "labels.csv").open(newline="", encoding="utf-8") as lines:
        for row in csv.DictReader(lines):
            file = folder / "images" / f"{row['image']}.jpg"
            if row["label"] not in PHOTO_ARTICLES:
                continue
            if int(hashlib.md5(file.read_bytes(), usedforsecurity=False).hexdigest(), 16) % 5 == 0:
                files.append(file)
                names.append(row["label"])
    return files, names


def drawn_shop(folder: Path) -> Shop:
    """Return the drawn shop (1,000 products, seed 7); articles and colours are those it was drawn from."""
    from vision_rec.sample import draw_shop

    shop = draw_shop(folder, count=1000, seed=7)
    with shop.truth.open(newline="", encoding="utf-8") as lines:
        truth = list(csv.DictReader(lines))
    paths = {product.id: product.category for product in read_feed(shop.feed)}
    labels = {name: [row[name] for row in truth] for name in ("article", "colour", "pattern")}
    labels["category"] = [paths[row["id"]][0] for row in truth]
    return Shop([shop.images / f"{row['id']}.jpg" for row in truth], labels, [row["group"] for row in truth])


def decoded(sources: Sequence[Path | bytes], side: int = SIDE) -> list[Picture]:
    """Decode pictures as the product does, longest side at most `side`; a broken one is an error here."""
    with DecodePool(0, ImageSettings()) as pool:
        found = list(pool.decode(sources, max_side=side))
    for source, picture in zip(sources, found, strict=True):
        if isinstance(picture, ImageError):
            raise ImageError(f"{source if isinstance(source, Path) else 'a picture'}: {picture}")
    return [picture for picture in found if not isinstance(picture, ImageError)]


def encoded(encoder: ImageEncoder, sources: Sequence[Path | bytes]) -> Blocks:
    """Decode and encode pictures as the product does."""
    return encoder.encode_pictures(decoded(sources, encoder.input_side))


def encoded_changed(
    encoder: ImageEncoder, pictures: Sequence[Picture], change: Callable[[Picture], Picture]
) -> Blocks:
    """Encode changed pictures; they are shrunk as decoding does it."""
    return encoder.encode_pictures([shrink(change(picture), encoder.input_side) for picture in pictures])


def jpeg(picture: Picture, quality: int = 30) -> Picture:
    """Return the picture after a lossy round."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer))


def blur(picture: Picture, radius: float = 2.0) -> Picture:
    """Return the picture under a Gaussian of `radius` pixels of 224."""
    return np.asarray(Image.fromarray(picture).filter(ImageFilter.GaussianBlur(radius * SIDE / 224)))


def rotate(picture: Picture, degrees: float = 15.0) -> Picture:
    """Return the picture turned; what comes into view has the border's median colour."""
    border = np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])
    fill = tuple(int(value) for value in np.median(border, axis=0))
    turned = Image.fromarray(picture).rotate(degrees, Image.Resampling.BICUBIC, fillcolor=fill)
    return np.asarray(turned)


def darken(picture: Picture, share: float = 0.5) -> Picture:
    """Return the picture with all values at `share`."""
    return (picture * share).round().astype(np.uint8)


def small(picture: Picture, side: int = 64) -> Picture:
    """Return the picture with its longest side at `side`."""
    return shrink(picture, side)


def mirrored_crop(picture: Picture, share: float = 0.8) -> Picture:
    """Return the middle `share` of each side, mirrored."""
    margin = (1 - share) / 2
    return np.ascontiguousarray(crop(picture, (margin, margin, share, share))[:, ::-1])


def hue_hsv(picture: Picture, degrees: float = 120.0) -> Picture:
    """Return the picture with its HSV hue turned; greys and the white background stay as they are."""
    hsv = np.array(Image.fromarray(picture).convert("HSV"))
    hsv[..., 0] = (hsv[..., 0].astype(int) + round(degrees / 360 * 256)) % 256
    height, width = picture.shape[:2]
    return np.asarray(Image.frombytes("HSV", (width, height), hsv.tobytes()).convert("RGB"))


def hue_yiq(picture: Picture, degrees: float = 120.0) -> Picture:
    """Return the picture with its chroma turned in YIQ: the luma stays."""
    to_yiq = np.array([[0.299, 0.587, 0.114], [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]])
    turn = np.radians(degrees)
    rotation = np.array([[1, 0, 0], [0, np.cos(turn), -np.sin(turn)], [0, np.sin(turn), np.cos(turn)]])
    matrix = np.linalg.inv(to_yiq) @ rotation @ to_yiq
    return np.clip((picture @ matrix.T.astype(np.float32)).round(), 0, 255).astype(np.uint8)


ROBUSTNESS: Mapping[str, Callable[[Picture], Picture]] = {
    "JPEG quality 30": jpeg,
    "blur, radius 2 of 224": blur,
    "15° rotation": rotate,
    "50 % brightness": darken,
    "64 px": small,
}
