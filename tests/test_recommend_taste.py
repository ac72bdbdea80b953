"""Customers of a known taste in the drawn shop, with the bundled encoders: figures of recommendations.

How it is counted: a taste is a colour, a pattern, or both; it is shown by views of different articles. The
share of the first ten that have the taste is taken of ten, or of as many as the shop has left of them.
`pytest --log-cli-level=INFO` shows the figures.
"""

from __future__ import annotations

import csv
import logging
from collections import Counter
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from event_calls import settings_for, view

from vision_rec import Recommender
from vision_rec.events import EventLog
from vision_rec.reindex import reindex
from vision_rec.sample import draw_shop

COUNT = 300
figures = logging.getLogger("figures")
LAST_WEEK = (datetime.now(UTC) - timedelta(days=6)).isoformat()


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A recommender of the drawn shop, its log, and the factors of each product."""
    root = tmp_path_factory.mktemp("taste")
    draw_shop(root / "catalog", count=COUNT, seed=7, side=96)
    made = settings_for(root / "var")
    settings = made.model_copy(update={"paths": made.paths.model_copy(update={"indexes": root / "indexes"})})
    reindex(root / "catalog" / "products.csv", settings=settings, reviews=root / "catalog" / "reviews.csv")
    log = EventLog(settings)
    rec = Recommender.open(root / "indexes", settings=settings, history=log.history)
    with (root / "catalog" / "truth.csv").open(encoding="utf-8") as file:
        truth = {row["id"]: row for row in csv.DictReader(file)}
    yield rec, log, truth
    log.close()


def has(truth, ident, taste):
    return all(truth[ident][factor] == value for factor, value in taste.items())


def of_taste(truth, taste, rng):
    """Return the products of a taste, each article and variant group once, in random order."""
    found, seen = [], set()
    for ident in rng.permutation(sorted(truth)):
        row = truth[ident]
        if has(truth, ident, taste) and not {row["article"], row["group"]} & seen:
            seen |= {row["article"], row["group"]}
            found.append(str(ident))
    return found


def tastes(truth, *factors, least):
    """Return the values of `factors` that at least `least` products have."""
    counted = Counter(tuple(row[factor] for factor in factors) for row in truth.values())
    common = sorted(value for value, count in counted.items() if count >= least)
    return [dict(zip(factors, value, strict=True)) for value in common]


def share_of(truth, answer, taste, viewed):
    """Return which share of the first ten has the taste, of as many as the shop still has."""
    groups = {truth[ident]["group"] for ident in viewed}
    left = {row["group"] for row in truth.values() if has(truth, row["id"], taste)} - groups
    return sum(has(truth, item.product.id, taste) for item in answer) / min(10, max(len(left), 1))


@pytest.mark.parametrize(
    ("factors", "least"),
    [(("colour", "pattern"), 6), (("colour",), 10), (("pattern",), 10)],
    ids=["colour-and-pattern", "colour", "pattern"],
)
def test_three_views_of_one_taste_fill_the_first_ten_with_it(shop, factors, least):
    rec, _, truth = shop
    rng = np.random.default_rng(5)
    shares = []
    for taste in tastes(truth, *factors, least=least):
        viewed = of_taste(truth, taste, rng)[:3]
        if len(viewed) == 3:
            shares.append(share_of(truth, rec.recommend(recent=viewed, k=10), taste, viewed))
    figures.info(f"{' and '.join(factors)}: {np.mean(shares):.2f} of the first ten, {len(shares)} tastes")
    assert len(shares) >= 5 and np.mean(shares) >= 0.7


def test_two_views_bring_a_new_taste_and_the_old_one_stays(shop):
    rec, log, truth = shop
    rng = np.random.default_rng(6)
    found = tastes(truth, "colour", least=10)
    new_shares, old_counts = [], []
    for number, (old, new) in enumerate(zip(found, found[1:] + found[:1], strict=True)):
        user = f"switches-{number}"
        before, now = of_taste(truth, old, rng)[:6], of_taste(truth, new, rng)[:2]
        log.record([view(ident, user_id=user, session_id=f"{user}-a", at=LAST_WEEK) for ident in before])
        log.record([view(ident, user_id=user, session_id=f"{user}-b") for ident in now])
        answer = rec.recommend(user_id=user, k=10)
        new_shares.append(sum(has(truth, item.product.id, new) for item in answer) / 10)
        old_counts.append(sum(has(truth, item.product.id, old) for item in answer))
        assert any(item.reasons[0].endswith(" before") for item in answer)
    figures.info(f"after two views: new taste {np.mean(new_shares):.2f}, at least {min(new_shares):.2f}; "
          f"old one {np.mean(old_counts):.1f} of ten, at least {min(old_counts)}")  # fmt: skip
    assert min(new_shares) > 0 and np.mean(new_shares) >= 0.4
    assert min(old_counts) >= 1


def test_within_one_visit_two_views_bring_a_new_taste_too(shop):
    rec, _, truth = shop
    rng = np.random.default_rng(7)
    found = tastes(truth, "colour", least=10)
    new, old = [], []
    for before, now in zip(found, found[1:] + found[:1], strict=True):
        viewed = of_taste(truth, before, rng)[:8] + of_taste(truth, now, rng)[:2]
        answer = rec.recommend(recent=viewed, k=10)
        new.append(sum(has(truth, item.product.id, now) for item in answer))
        old.append(sum(has(truth, item.product.id, before) for item in answer))
    figures.info(f"eight views, then two: new taste {np.mean(new):.1f} of ten, old one {np.mean(old):.1f}")
    assert np.mean(new) >= 3 and np.mean([count > 0 for count in new]) >= 0.8 and np.mean(old) > 0


def test_products_that_nobody_has_viewed_are_reached(shop):
    rec, log, truth = shop
    rng = np.random.default_rng(8)
    cold = set(rng.choice(sorted(truth), len(truth) // 5, replace=False).tolist())
    hits = {True: [], False: []}
    for number, taste in enumerate(tastes(truth, "colour", least=10) + tastes(truth, "pattern", least=10)):
        liked = [ident for ident in of_taste(truth, taste, rng) if ident not in cold]
        others = [i for i in truth if has(truth, i, taste) and i not in cold]
        log.record([view(ident, user_id=f"fan-{number}") for ident in others])  # the warm ones are viewed
        viewed = liked[:3]
        shown = {item.product.id for item in rec.recommend(recent=viewed, k=50, max_per_group=0)}
        for ident in truth:
            if has(truth, ident, taste) and ident not in viewed:
                hits[ident in cold].append(ident in shown)
    warm, reached = np.mean(hits[False]), np.mean(hits[True])
    figures.info(
        f"recall@50: {reached:.2f} of {len(hits[True])} never viewed, {warm:.2f} of {len(hits[False])} others"
    )
    assert len(hits[True]) >= 50 and reached >= warm / 2
