"""Measure an encoder on a merchant's own catalogue: feed and pictures in, the table of aspects out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vision_rec.aspects.labels import labels_of, splits_of
from vision_rec.aspects.pictures import PictureFiles
from vision_rec.aspects.table import Measure, aspect_table, like_this_but
from vision_rec.encoders.colour import parse_colour
from vision_rec.errors import FeedError, FeedRowError, ImageError, InputError
from vision_rec.feeds import read_feed
from vision_rec.types import Array, Blocks, Product

if TYPE_CHECKING:
    from vision_rec.encoders import EncoderSet, PictureEncoder
    from vision_rec.settings import Settings

SPLITS = ("test", "all")
Progress = Callable[[str, int, int | None], None]  # stage, done, total
STEPS = (10, 5, 3, 1)  # places looked at; the fewer, the smaller the catalogue
_ENOUGH = 0.5  # of the labelled products must be queries, or fewer places are looked at
_BATCH = 256  # pictures encoded between two words about progress


@dataclass(frozen=True)
class CatalogueReport:
    """The table of one catalogue, and what it was measured on.

    `k` is the number of places looked at; labels with more than k members are queries. `products` are those
    measured, of `offered` in the split; `rejected` rows of the feed could not be read.
    """

    measures: tuple[Measure, ...]
    split: str
    k: int
    products: int
    offered: int
    rejected: int
    encoder: str
    notes: tuple[str, ...]


def measure_catalogue(
    feed: Path,
    *,
    settings: Settings,
    images: Path | None = None,
    split: str = "all",
    encoders: EncoderSet | None = None,
    progress: Progress = lambda stage, done, total: None,
) -> CatalogueReport:
    """Encode the pictures of the catalogue `feed` and measure what each block knows of its labels.

    Pictures are found and decoded as reindex does it; nothing is published. `split` "test" keeps the products
    whose normalised title has md5 ≡ 0 (mod 5), which training leaves out. Raises FeedError where the feed
    cannot be used, InputError where nothing is left to compare.
    """
    if split not in SPLITS:
        raise InputError(f"split is {split!r}; allowed are {', '.join(SPLITS)}")
    if images is not None and not Path(images).is_dir():
        raise InputError(f"there is no picture folder {images}; give an existing folder with --images DIR")
    if encoders is None:
        from vision_rec.encoders import load_encoders

        encoders = load_encoders(settings.encoders, settings.paths.data / "cache")
    products, rejected = read_products(Path(feed), settings, progress)
    files = PictureFiles(images or Path(feed).resolve().parent, settings)
    located = files.locate(products, progress)
    if split == "test":
        numbers = splits_of([product.title for product in products], [digest for _, digest in located])
        kept = [row for row, number in enumerate(numbers) if number == 0]
        products, located = [products[row] for row in kept], [located[row] for row in kept]
    offered = len(products)
    chosen = one_per_variant(products, [digest for _, digest in located])
    repeated = offered - len(chosen)
    products, located = [products[row] for row in chosen], [located[row] for row in chosen]
    rows, blocks = _encode(encoders.image, [paths for paths, _ in located], settings, progress)
    if len(rows) < 3:
        raise InputError(
            f"{len(rows)} of {offered} products of {feed} have a usable picture; give more products, or the "
            "folder of their pictures with --images DIR"
        )
    products = [products[row] for row in rows]
    labels = labels_of(products)
    k = places(labels)
    measures = _measures(encoders.image, blocks, labels, k)
    counts = {"repeated": repeated, "unusable": offered - repeated - len(rows), "rejected": rejected}
    return CatalogueReport(
        measures=measures,
        split=split,
        k=k,
        products=len(rows),
        offered=offered,
        rejected=rejected,
        encoder=encoders.image.fingerprint,
        notes=(*_notes(labels, measures, k, split, counts), *files.notes),
    )


def places(labels: Mapping[str, Sequence[str]]) -> int:
    """Choose how many places to look at: 10, or fewer where most labels have no more than 10 members."""
    main = [labels[kind] for kind in ("article", "colour") if any(labels.get(kind, ()))]
    for k in STEPS:
        if all(_share_asked(names, k) >= _ENOUGH for names in main):
            return k
    return STEPS[-1]


def _share_asked(names: Sequence[str], k: int) -> float:
    counts = Counter(name for name in names if name)
    return sum(count for count in counts.values() if count > k) / max(sum(counts.values()), 1)


def read_products(feed: Path, settings: Settings, progress: Progress) -> tuple[list[Product], int]:
    """Return the products of the feed, of repeated ids the last, and how many rows were bad."""
    bad: list[FeedRowError] = []
    found: dict[str, Product] = {}
    mapping = dict(settings.feed.map) or None
    for product in read_feed(
        feed, mapping=mapping, default_currency=settings.feed.default_currency, on_error=bad.append
    ):
        found[product.id] = product
    if len(bad) > settings.feed.max_reject_share * (len(found) + len(bad)):
        raise FeedError(
            f"{feed} has {len(bad)} bad rows of {len(found) + len(bad)}; allowed are "
            f"{settings.feed.max_reject_share:.0%} (feed.max_reject_share). The first: {bad[0]}"
        )
    progress("feed", len(found), len(found))
    return list(found.values()), len(bad)


def one_per_variant(products: Sequence[Product], digests: Sequence[str]) -> list[int]:
    """Return the rows left when each picture counts once per variant group: sizes share their pictures."""
    seen: set[tuple[str, str]] = set()
    rows = []
    for row, (product, digest) in enumerate(zip(products, digests, strict=True)):
        if product.group_id and digest:
            if (product.group_id, digest) in seen:
                continue
            seen.add((product.group_id, digest))
        rows.append(row)
    return rows


def _encode(
    encoder: PictureEncoder, paths: Sequence[Sequence[Path]], settings: Settings, progress: Progress
) -> tuple[list[int], Blocks]:
    """Return the rows of the products with a usable picture, and their pooled blocks (n, dim each)."""
    from vision_rec.images import DecodePool

    places = [(row, path) for row, own in enumerate(paths) for path in own]
    found: dict[int, list[Array]] = {}
    starts = np.cumsum([aspect.dim for aspect in encoder.aspects])[:-1]
    with DecodePool(settings.images.workers, settings.images) as pool:
        decoded = pool.decode((path for _, path in places), max_side=encoder.input_side)
        outcomes = zip((row for row, _ in places), decoded, strict=True)
        done = 0
        while batch := list(islice(outcomes, _BATCH)):
            good = [(row, picture) for row, picture in batch if not isinstance(picture, ImageError)]
            if good:
                blocks = encoder.encode_pictures([picture for _, picture in good])
                joined = np.concatenate([blocks[aspect.name] for aspect in encoder.aspects], axis=1)
                for (row, _), line in zip(good, joined, strict=True):
                    found.setdefault(row, []).append(line)
            done += len(batch)
            progress("pictures", done, len(places))
    pooled = []
    for lines in found.values():
        parts = np.split(np.stack(lines), starts, axis=1)
        pooled.append(
            encoder.pool({aspect.name: part for aspect, part in zip(encoder.aspects, parts, strict=True)})
        )
    names = [aspect.name for aspect in encoder.aspects]
    return list(found), {name: np.concatenate([part[name] for part in pooled]) for name in names if pooled}


def _measures(
    encoder: PictureEncoder, blocks: Blocks, labels: Mapping[str, Sequence[str]], k: int
) -> tuple[Measure, ...]:
    """Return the table with the line "like this, but X" for the feed's colour names that are known."""
    gains = {aspect.name: aspect.gain for aspect in encoder.aspects}
    present = {kind: names for kind, names in labels.items() if any(names)}
    table = aspect_table(blocks, present, k, gains=gains)
    if not {"article", "colour"} <= set(present):
        return table
    defaults = {aspect.name: aspect.gain * aspect.default_weight for aspect in encoder.aspects}
    edited = like_this_but(blocks, present, swatches(encoder, present["colour"]), gains=defaults, k=k)
    return (*table, edited) if edited.precision.queries else table


def swatches(encoder: PictureEncoder, names: Sequence[str]) -> dict[str, Array]:
    """Return the colour block (dim,) of each distinct name that is known as a colour, most frequent first."""
    out = {}
    for name, _ in Counter(name for name in names if name).most_common():
        try:
            out[name] = encoder.encode_colour([parse_colour(name)])[0]
        except InputError:  # a shop's own word, such as "Aurora"
            continue
    return out


def _notes(
    labels: Mapping[str, Sequence[str]],
    measures: Sequence[Measure],
    k: int,
    split: str,
    counts: Mapping[str, int],
) -> Iterator[str]:
    if k < STEPS[0]:
        yield (
            f"few products per label: the first {k} places count instead of {STEPS[0]}, and labels with more "
            f"than {k} members; do not compare these figures with others at {STEPS[0]}"
        )
    absent = [kind for kind in ("article", "colour", "pattern") if not any(labels[kind])]
    columns = {"article": "product_type", "colour": "color", "pattern": "pattern"}
    for kind in absent:
        yield f"the feed has no {kind} labels (column {columns[kind]}); their lines are left out"
    if not measures:
        yield "no label has enough products to measure anything"
    if counts["repeated"]:
        yield f"{counts['repeated']} variants share the picture of another; each picture counts once"
    if counts["unusable"]:
        yield f"{counts['unusable']} products have no usable picture and are left out"
    if counts["rejected"]:
        yield f"{counts['rejected']} bad rows of the feed are left out"
    if split == "all":
        yield "all products were measured; for an encoder trained on this catalogue use --split test"
