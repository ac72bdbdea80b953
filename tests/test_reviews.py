"""Reviews as weighted sentences, and their plain numbers."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vision_rec.encoders.reviews import (
    MAX_SENTENCE,
    MAX_SENTENCES,
    MAX_SENTENCES_PER_REVIEW,
    rating_of,
    review_sentences,
    split_sentences,
    weigh_reviews,
)
from vision_rec.types import Review

DAY = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("Love it! Fits well. Really?", ["Love it!", "Fits well.", "Really?"]),
        ("One line\nanother line", ["One line", "another line"]),
        ("Costs 3.50 at shop.example today", ["Costs 3.50 at shop.example today"]),
        ("とても良い。また買います！", ["とても良い。", "また買います！"]),
        ("*** 10/10 !!! ok", ["ok"]),
        ("   \n\t ", []),
        ("", []),
        ("no end", ["no end"]),
    ],
)
def test_sentences(text, sentences):
    assert split_sentences(text) == sentences


def test_endless_sentences_and_reviews_are_cut():
    assert split_sentences("a" * 10_000)[0] == "a" * MAX_SENTENCE
    said = review_sentences([Review(text=" ".join(f"Sentence number {i}." for i in range(500)))])
    assert len(said.texts) == MAX_SENTENCES_PER_REVIEW
    many = [Review(text=f"Word{i} is said.", helpful=i) for i in range(200)]
    said = review_sentences(many)
    assert len(said.texts) == MAX_SENTENCES and said.texts[0] == "Word199 is said."


def test_helpful_votes_weigh_by_their_logarithm():
    plain, liked, loved = weigh_reviews([Review("a"), Review("b", helpful=9), Review("c", helpful=99)])
    assert plain == 1.0
    assert liked == pytest.approx(1 + math.log(10)) and loved == pytest.approx(1 + math.log(100))
    assert weigh_reviews([Review("d", helpful=-5)]) == [1.0]


def test_a_year_halves_the_weight_counted_from_the_newest():
    reviews = [Review("new", at=DAY), Review("old", at=DAY - timedelta(days=365)), Review("undated")]
    assert weigh_reviews(reviews) == pytest.approx([1.0, 0.5, 0.5])
    moved = [
        Review("new", at=DAY - timedelta(days=4_000)),
        Review("old", at=DAY - timedelta(days=4_365)),
        Review("undated"),
    ]
    assert weigh_reviews(moved) == pytest.approx([1.0, 0.5, 0.5])  # no clock decides


def test_dates_with_and_without_a_zone_mix():
    naive = datetime(2026, 3, 1)
    assert weigh_reviews([Review("a", at=naive), Review("b", at=DAY)]) == pytest.approx([1.0, 1.0])
    centuries = [Review("a", at=datetime(1, 1, 1)), Review("b", at=datetime(9999, 12, 31, tzinfo=UTC))]
    assert review_sentences(centuries).texts[0] == "b"


def test_equal_sentences_add_up_and_titles_count():
    said = review_sentences([Review("Too small.", title="Returned"), Review("Too small.")])
    assert dict(zip(said.texts, said.weights, strict=True)) == {"Too small.": 2.0, "Returned": 1.0}


def test_the_order_of_reviews_does_not_matter():
    reviews = [Review(f"Text {word}.", helpful=len(word)) for word in ("one", "three", "eleven", "nine")]
    assert review_sentences(reviews) == review_sentences(reviews[::-1])


def test_ratings():
    assert rating_of([]) == (None, 0)
    assert rating_of([Review("a"), Review("b")]) == (None, 0)
    assert rating_of([Review("a", 5.0), Review("b"), Review("c", 2.0)]) == (3.5, 2)


@given(st.lists(st.builds(Review, text=st.text(max_size=80), title=st.text(max_size=9)), max_size=5))
def test_any_reviews_give_sentences_with_letters_and_weights_above_zero(reviews):
    said = review_sentences(reviews)
    assert len(said.texts) == len(said.weights) and all(weight > 0 for weight in said.weights)
    assert all(any(c.isalpha() for c in text) for text in said.texts)
