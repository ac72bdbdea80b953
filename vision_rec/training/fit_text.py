"""Fit the frozen part of the text encoder: centre, projections, gains and the sentiment probe.

    python -m vision_rec.training.fit_text products.csv shop/products.csv \
        --reviews reviews.csv.gz shop/reviews.csv --output all-MiniLM-L6-v2.safetensors

Each file is one shop with equal say; common product texts that belong to no shop are one more
(and common reviews, where no reviews are given).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import random
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from vision_rec.encoders.describe import describe
from vision_rec.encoders.reference_texts import reference_reviews, reference_texts
from vision_rec.encoders.reviews import WeightedSentences, review_sentences
from vision_rec.encoders.sentences import SentenceModel, open_sentences
from vision_rec.encoders.text import pool_sentences
from vision_rec.encoders.text_fit import (
    REVIEWS_AXIS_SHARE,
    REVIEWS_DIM,
    TEXT_AXIS_SHARE,
    TEXT_DIM,
    BlockFit,
    Probe,
    TextFit,
    fit_block,
    fit_probe,
    neighbour_overlap,
    random_cosines,
)
from vision_rec.encoders.text_models import PACKAGED, find_model
from vision_rec.errors import InputError
from vision_rec.feeds import read_feed, read_reviews
from vision_rec.fusion import unit
from vision_rec.types import Array, Review

MAX_TEXTS = 6_000  # per shop
MIN_SENTENCES = 2_000
MAX_PROBE_REVIEWS = 8_000
MIN_PLEASED, MAX_DISPLEASED = 4.0, 2.0  # ratings that label a review; those between say neither
_log = logging.getLogger(__name__)


def fit_text(
    feeds: Sequence[Path],
    reviews: Sequence[Path] = (),
    *,
    model: str = PACKAGED,
    cache: Path | None = None,
    seed: int = 0,
) -> TextFit:
    """Fit model `model` on the words of shops; a fifth of every file is held out and measured in `notes`.

    Equal files, model and seed give equal fits. Raises InputError for a file with too few words.
    """
    folder = find_model(model)
    sentences = open_sentences(folder, key=f"fit-{folder.sha256}", cache=cache)
    notes: dict[str, float] = {}
    texts = {_label(path): _texts(path, seed) for path in feeds}
    texts["common"] = reference_texts()
    said = {_label(path): _said(path) for path in reviews}
    if not said:
        said["common"] = [WeightedSentences(tuple(s), (1.0,) * len(s)) for s in reference_reviews()]
    shops = {name: _encode_split(sentences, given) for name, given in texts.items()}
    text, measured = _fit_and_measure("text", shops, TEXT_DIM, TEXT_AXIS_SHARE, [], seed)
    notes |= measured
    pools = {name: _pool_split(sentences, given) for name, given in said.items()}
    single = [sentences.encode(given) for given in _sample_sentences(said.values(), seed)]
    block, measured = _fit_and_measure("reviews", pools, REVIEWS_DIM, REVIEWS_AXIS_SHARE, single, seed)
    notes |= measured
    probe, accuracy = _fit_sentiment(sentences, reviews, seed)
    return TextFit(text, block, probe, folder.sha256, notes | accuracy)


def _label(path: Path) -> str:
    return path.resolve().parent.name


def _held_out(text: str) -> bool:
    """Say whether a text is for measuring only: a fifth, the same for the same words."""
    return hashlib.md5(" ".join(text.lower().split()).encode()).digest()[0] % 5 == 0


def _texts(path: Path, seed: int) -> list[str]:
    """Return the different descriptions of a feed, at most MAX_TEXTS of them."""
    texts = sorted({describe(product) for product in read_feed(path, on_error=_skip)})
    if len(texts) < 50:
        raise InputError(f"{path} has {len(texts)} different product texts; a fit needs at least 50")
    return sorted(random.Random(seed).sample(texts, min(MAX_TEXTS, len(texts))))


def _said(path: Path) -> list[WeightedSentences]:
    """Return what is said of each product in a file of reviews."""
    by_product: dict[str, list[Review]] = {}
    for product_id, review in read_reviews(path, on_error=_skip):
        by_product.setdefault(product_id, []).append(review)
    said = [review_sentences(given) for _, given in sorted(by_product.items())]
    said = [one for one in said if one.texts]
    if len(said) < 50:
        raise InputError(f"{path} has reviews of {len(said)} products; a fit needs at least 50")
    return said


def _skip(error: Exception) -> None:
    _log.info("left out: %s", error)


def _encode_split(sentences: SentenceModel, texts: list[str]) -> tuple[Array, Array]:
    """Encode texts into those to fit on and those held out."""
    _log.warning("encoding %d texts", len(texts))
    held = np.array([_held_out(text) for text in texts])
    vectors = sentences.encode(texts)
    return vectors[~held], vectors[held]


def _pool_split(sentences: SentenceModel, said: list[WeightedSentences]) -> tuple[Array, Array]:
    """Encode products' reviews into those to fit on and those held out."""
    _log.warning("encoding the reviews of %d products", len(said))
    held = np.array([_held_out(one.texts[0]) for one in said])
    vectors = pool_sentences(sentences, said)
    return vectors[~held], vectors[held]


def _sample_sentences(said: Iterable[list[WeightedSentences]], seed: int) -> list[list[str]]:
    """Return different single sentences of each shop that has many; templates repeat a few."""
    shops = []
    for given in said:
        every = sorted({text for one in given if not _held_out(one.texts[0]) for text in one.texts})
        if len(every) >= MIN_SENTENCES:
            shops.append(random.Random(seed).sample(every, min(MAX_TEXTS, len(every))))
    return shops


def _fit_and_measure(
    name: str,
    shops: Mapping[str, tuple[Array, Array]],
    dim: int,
    axis_share: float,
    extra: list[Array],
    seed: int,
) -> tuple[BlockFit, dict[str, float]]:
    """Fit a block, and measure on what each shop held out what the projection keeps and how pairs spread.

    `overlap@10` compares with all values after the same centring, `…_uncentred` with the model's own vectors.
    """
    learn = [learn for learn, _ in shops.values()]
    block = fit_block(learn, dim, axis_share, extra=extra, seed=seed)
    whole = fit_block(learn, len(block.mean), axis_share, extra=extra, seed=seed)
    notes: dict[str, float] = {}
    for shop, (_, vectors) in shops.items():
        rows = block.apply(vectors)
        cosines = random_cosines(rows)
        notes |= {
            f"{name}.{shop}.held_out": float(len(vectors)),
            f"{name}.{shop}.overlap@10": neighbour_overlap(whole.apply(vectors), rows),
            f"{name}.{shop}.overlap@10_uncentred": neighbour_overlap(unit(vectors), rows),
            f"{name}.{shop}.random_mean": float(cosines.mean()),
            f"{name}.{shop}.random_std": float(cosines.std()),
        }
    return block, {key: round(value, 4) for key, value in notes.items()}


def _fit_sentiment(
    sentences: SentenceModel, paths: Sequence[Path], seed: int
) -> tuple[Probe | None, dict[str, float]]:
    """Fit the probe on whole reviews labelled by their ratings; it is used, and measured, on sentences."""
    labelled = [pair for path in paths for pair in _labelled(path, seed)]
    learn = [(said, label) for said, label in labelled if not _held_out(said.texts[0])]
    held = [(said, label) for said, label in labelled if _held_out(said.texts[0])]
    if min((sum(label for _, label in part) for part in (learn, held)), default=0) < 25:
        return None, {}
    _log.warning("encoding %d rated reviews", len(labelled))
    labels = np.array([label for _, label in learn], dtype=np.float32)
    probe = fit_probe(pool_sentences(sentences, [said for said, _ in learn]), labels)
    right = {0: 0, 1: 0}
    for said, label in held:
        right[label] += int((probe.apply(sentences.encode(said.texts)).mean() > 0.5) == bool(label))
    counts = {value: sum(label == value for _, label in held) for value in (0, 1)}
    balanced = float(np.mean([right[value] / max(counts[value], 1) for value in (0, 1)]))
    return probe, {
        "sentiment.held_out": float(len(held)),
        "sentiment.balanced_accuracy": round(balanced, 4),
        "sentiment.accuracy": round((right[0] + right[1]) / len(held), 4),
    }


def _labelled(path: Path, seed: int) -> list[tuple[WeightedSentences, int]]:
    """Return reviews with a clear rating as sentences and label, as many pleased as displeased."""
    kinds: dict[int, list[WeightedSentences]] = {0: [], 1: []}
    for _, review in read_reviews(path, on_error=_skip):
        if review.rating is None or MAX_DISPLEASED < review.rating < MIN_PLEASED:
            continue
        said = review_sentences([review])
        if said.texts:
            kinds[int(review.rating >= MIN_PLEASED)].append(said)
    count = min(len(kinds[0]), len(kinds[1]), MAX_PROBE_REVIEWS // 2)
    draw = random.Random(seed)
    return [(said, label) for label, given in kinds.items() for said in draw.sample(given, count)]


def main(arguments: Sequence[str] | None = None) -> None:
    """Fit from the command line and write the fit; the measured figures go to stdout as JSON."""
    parser = argparse.ArgumentParser(description="Fit the frozen part of the text encoder.")
    parser.add_argument("feeds", nargs="+", type=Path, help="product feeds, one per shop")
    parser.add_argument("--reviews", nargs="*", type=Path, default=[], help="files of reviews, one per shop")
    parser.add_argument("--model", default=PACKAGED, help="the packaged model, a folder or a hub name")
    parser.add_argument("--cache", type=Path, help="where exported graphs are kept")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, required=True, help="the file to write")
    given = parser.parse_args(arguments)
    fit = fit_text(given.feeds, given.reviews, model=given.model, cache=given.cache, seed=given.seed)
    fit.save(given.output)
    sys.stdout.write(json.dumps(dict(fit.notes), indent=1) + "\n")


if __name__ == "__main__":
    main()
