"""Feed and reviews into the staging file: rejects are counted, listed and limited, duplicates resolved."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from vision_rec.encoders.describe import describe
from vision_rec.errors import FeedError, FeedRowError
from vision_rec.failpoints import failpoint
from vision_rec.feeds import read_feed, read_reviews
from vision_rec.reindex.report import Journal, Progress, Reject
from vision_rec.reindex.staging import Staging
from vision_rec.settings import FeedSettings
from vision_rec.types import Product, Review

_TELL_EVERY = 500


class Rejects:
    """Counts and lists the bad rows of one file."""

    def __init__(self, path: Path, journal: Journal) -> None:
        self.count = 0
        self._path, self._journal = path, journal
        self._first: FeedRowError | None = None

    def __call__(self, error: FeedRowError) -> None:
        """Count and list one row."""
        self.count += 1
        self._first = self._first or error
        self._journal.reject(
            Reject(self._path.name, error.line, error.column, error.reason, error.product_id)
        )

    def check(self, good: int, most: float) -> None:
        """Raise FeedError where more than the share `most` of all rows was rejected."""
        total = good + self.count
        if self.count > most * total:
            raise FeedError(
                f"{self._path} has {self.count} bad rows of {total} ({self.count / total:.0%}); allowed are "
                f"{most:.0%} (feed.max_reject_share). The first: {self._first}"
            )


def take_feed(
    path: Path, staging: Staging, journal: Journal, *, settings: FeedSettings, progress: Progress
) -> None:
    """Stage the products of the feed at `path`.

    Raises FeedError where the file cannot be read, holds no product, or has too many bad rows.
    """
    rejects = Rejects(path, journal)
    mapping = dict(settings.map) or None
    currencies = Counter[str]()

    def told() -> Iterator[Product]:
        feed = read_feed(path, mapping=mapping, default_currency=settings.default_currency, on_error=rejects)
        for number, product in enumerate(feed, start=1):
            if number % _TELL_EVERY == 0:
                progress("feed", number, None)
            failpoint("reindex.feed-row")
            if product.price is not None:
                currencies[product.currency or "none"] += 1
            yield product

    taken = 0
    with journal.stage("feed") as done:
        try:
            taken = staging.add_products(told(), describe=describe)
        finally:
            journal.rejected = rejects.count
            done.append(taken)
    journal.duplicates = taken - int(staging.one("SELECT count(*) FROM product"))
    journal.duplicate_ids = tuple(staging.repeated)
    progress("feed", taken, taken)
    rejects.check(taken, settings.max_reject_share)
    if not taken:
        raise FeedError(f"{path} holds no product; an empty feed is never published")
    if len(currencies) > 1:
        found = ", ".join(f"{name} {count}" for name, count in currencies.most_common())
        journal.notes.append(
            f"prices are in several currencies ({found}); filters and facets compare the bare numbers: "
            "filter by currency too, or convert them in the feed"
        )


def take_reviews(
    path: Path,
    staging: Staging,
    journal: Journal,
    *,
    settings: FeedSettings,
    progress: Progress,
    may_lose: bool = False,
) -> None:
    """Stage the reviews of the file at `path`; reviews of unknown products are counted and left out.

    Raises FeedError where the file cannot be read, has too many bad rows, or, unless it `may_lose` them, has
    no review of any product.
    """
    rejects = Rejects(path, journal)

    def told() -> Iterator[tuple[str, Review]]:
        for number, pair in enumerate(read_reviews(path, on_error=rejects), start=1):
            if number % _TELL_EVERY == 0:
                progress("reviews", number, None)
            yield pair

    with journal.stage("reviews") as done:
        try:
            staging.add_reviews(told())
        finally:
            journal.reviews_rejected = rejects.count
        journal.reviews = int(staging.one("SELECT count(*) FROM review"))
        done.append(journal.reviews)
    progress("reviews", journal.reviews, journal.reviews)
    rejects.check(journal.reviews, settings.max_reject_share)
    journal.reviews_without_product = int(
        staging.one("SELECT count(*) FROM review WHERE key NOT IN (SELECT key FROM product)")
    )
    _check_reviews(path, staging, journal, may_lose=may_lose)


def _check_reviews(path: Path, staging: Staging, journal: Journal, *, may_lose: bool) -> None:
    """Raise FeedError where the file would take every product's reviews away without a word.

    A shop that has no reviews yet has none to lose.
    """
    cure = "if that is right, run again with --allow-shrink"
    if not journal.reviews:
        if staging.one("SELECT EXISTS (SELECT 1 FROM parent WHERE rating_count > 0)") and not may_lose:
            raise FeedError(f"{path} holds no review, and the version in use has some; {cure}")
        return
    # Products that have just left the feed show, too, that the ids are of this shop.
    known = "SELECT key FROM product UNION ALL SELECT key FROM parent"
    if not may_lose and not staging.one(f"SELECT EXISTS (SELECT 1 FROM review WHERE key IN ({known}))"):
        first = staging.one("SELECT key FROM review ORDER BY seq LIMIT 1")
        raise FeedError(
            f"none of the {journal.reviews} reviews in {path} belongs to a product of the feed (the first is "
            f"of {first!r}); their product ids must be ids of the feed: correct them; {cure}"
        )
