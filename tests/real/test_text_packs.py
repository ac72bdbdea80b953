"""The text encoder on real words: what the projection keeps, how random pairs score, what it finds."""

from __future__ import annotations

import os
import random
from pathlib import Path

import numpy as np
import pytest

from vision_rec.encoders.describe import describe
from vision_rec.encoders.text import TextEncoder
from vision_rec.encoders.text_fit import neighbour_overlap, random_cosines
from vision_rec.feeds import read_feed, read_reviews
from vision_rec.types import Review

DATA = Path(os.environ.get("VISION_REC_DATA", "/nonexistent"))
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (DATA / "fashion").is_dir(), reason="the data packs are not here"),
]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return TextEncoder.load(cache=tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def products():
    """Products of the shop that the fit never saw: the pack with other products."""
    every = sorted(read_feed(DATA / "fashion_small" / "products.csv"), key=lambda product: product.id)
    return random.Random(5).sample(every, 1_500)


def test_the_projection_keeps_the_neighbours_of_all_384_values(encoder, products):
    texts = sorted({describe(product) for product in products})
    rows = encoder.encode_texts(texts)
    plain = encoder._sentences.encode(texts)
    mean = encoder._fitted()[0].text.mean
    centred = (plain - mean) / np.linalg.norm(plain - mean, axis=1, keepdims=True)
    assert neighbour_overlap(centred, rows) >= 0.90
    assert neighbour_overlap(plain, rows) >= 0.88
    assert abs(float(random_cosines(rows).mean())) < 0.12


def test_words_find_the_article(encoder, products):
    rows = encoder.encode_texts([describe(product) for product in products])
    articles = np.array([product.category[-1] for product in products])
    scores = rows @ rows.T
    np.fill_diagonal(scores, -1)
    near = np.argsort(-scores, axis=1)[:, :10]
    common = [i for i, article in enumerate(articles) if (articles == article).sum() > 10]
    assert np.mean([(articles[near[i]] == articles[i]).mean() for i in common]) > 0.6


def test_sentiment_agrees_with_ratings(encoder):
    rated: dict[bool, list[Review]] = {True: [], False: []}
    for _, review in read_reviews(DATA / "reviews" / "reviews.csv.gz"):
        if review.rating is not None and review.text and not 2 < review.rating < 4:
            rated[review.rating >= 4].append(review)
    draw = random.Random(3)
    for pleased, reviews in rated.items():
        summaries = encoder.review_summaries([(review,) for review in draw.sample(reviews, 150)])
        right = [(summary.sentiment or 0.0) > 0.5 for summary in summaries if summary.sentiment is not None]
        assert np.mean([answer is pleased for answer in right]) > 0.85
