"""Turn a product's reviews into weighted sentences, and into a mean rating."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from vision_rec.types import Review

REVIEWS_VERSION = 1  # part of the text encoder's fingerprint
HALF_LIFE_DAYS = 365.0
MAX_SENTENCES = 48  # of one product, the weightiest
MAX_SENTENCES_PER_REVIEW = 12
MAX_SENTENCE = 300  # characters
_MAX_REVIEW = 5_000  # characters
_END = re.compile(r"(?<=[.!?…。！？])\s+|(?<=[。！？])|[\r\n]+")


@dataclass(frozen=True, slots=True)
class WeightedSentences:
    """The sentences of one product's reviews and their weights > 0."""

    texts: tuple[str, ...]
    weights: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class ReviewSummary:
    """What reviews say in numbers: mean rating 1–5, how many gave one, and sentiment 0–1."""

    rating: float | None
    count: int
    sentiment: float | None


def split_sentences(text: str) -> list[str]:
    """Split a review at the ends of its sentences; pieces without a letter are dropped."""
    pieces = (" ".join(piece.split())[:MAX_SENTENCE] for piece in _END.split(text[:_MAX_REVIEW]))
    return [piece for piece in pieces if any(c.isalpha() for c in piece)]


def weigh_reviews(reviews: Sequence[Review]) -> list[float]:
    """Weigh each review by helpful votes, (1 + ln(1 + votes)), and age, halved for each year.

    Age counts from the product's newest review, so no clock decides; a review without a date among dated
    ones counts as a year old.
    """
    dates = [_utc(review.at) for review in reviews if review.at is not None]
    newest = max(dates, default=None)
    weights = []
    for review in reviews:
        share = 1.0
        if newest is not None:
            days = (newest - _utc(review.at)).total_seconds() / 86_400 if review.at else HALF_LIFE_DAYS
            share = 0.5 ** (days / HALF_LIFE_DAYS)
        weights.append((1.0 + math.log1p(max(review.helpful, 0))) * share)
    return weights


def review_sentences(reviews: Sequence[Review]) -> WeightedSentences:
    """Return the sentences of titles and texts with their review's weight; equal sentences add up."""
    total: dict[str, float] = {}
    for review, weight in zip(reviews, weigh_reviews(reviews), strict=True):
        sentences = split_sentences(f"{review.title}\n{review.text}")[:MAX_SENTENCES_PER_REVIEW]
        for sentence in sentences:
            total[sentence] = total.get(sentence, 0.0) + weight
    top = sorted(total.items(), key=lambda pair: (-pair[1], pair[0]))[:MAX_SENTENCES]
    top = [(text, weight) for text, weight in top if weight > 0]
    return WeightedSentences(tuple(text for text, _ in top), tuple(weight for _, weight in top))


def rating_of(reviews: Sequence[Review]) -> tuple[float | None, int]:
    """Return the plain mean rating and the number of reviews that give one."""
    ratings = [review.rating for review in reviews if review.rating is not None]
    return (math.fsum(ratings) / len(ratings) if ratings else None), len(ratings)


def _utc(at: datetime) -> datetime:
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at
