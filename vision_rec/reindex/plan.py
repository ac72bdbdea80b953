"""The plan: which row of the new version is which product, and what has to be encoded for it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from vision_rec.errors import FeedError
from vision_rec.reindex.report import PlanCounts
from vision_rec.reindex.staging import Staging, digest, product_key, to_json

CHUNK_PRODUCTS = 512


@dataclass(frozen=True, slots=True)
class Stale:
    """Which blocks must be encoded for every product, whatever its hashes say."""

    image: bool = False
    text: bool = False
    image_changed: bool = False  # by another encoder, so also for products that are gone
    text_changed: bool = False

    @property
    def encoders_changed(self) -> tuple[str, ...]:
        """Names of the encoders that answer differently than those of the current version."""
        return ("image",) * self.image_changed + ("text",) * self.text_changed


@dataclass(frozen=True, slots=True)
class Work:
    """One row of the new version that needs an encoder; `parent_row` has its other blocks."""

    row: int
    key: str
    parent_row: int | None
    image: bool
    words: bool
    reviews: bool


@dataclass(frozen=True, slots=True)
class Chunk:
    """Rows that are encoded together and survive a crash together; `signature` names their content."""

    number: int
    signature: str
    work: tuple[Work, ...]


def take_parent(records: Iterable[dict[str, Any]], staging: Staging) -> None:
    """Stage the current version's hashes and facts by row."""
    names = ("text_hash", "image_hash", "review_hash", "meta_hash")
    staging.fill(
        f"INSERT INTO parent VALUES ({','.join('?' * 13)})",
        (
            (
                row,
                product_key(record["id"]),
                record["id"],
                (record["category"] or [""])[0],
                *(record[name] or "" for name in names),
                record["retired_at"],
                record["rating"],
                record["rating_count"] or 0,
                record["sentiment"],
                to_json(record["flags"] or []),
            )
            for row, record in enumerate(records)
        ),
    )


def take_gone(records: Iterable[dict[str, Any]], staging: Staging) -> None:
    """Stage the products of the current version that the feed lacks, with their records."""
    rows = "SELECT row FROM parent LEFT JOIN product USING (key) WHERE product.key IS NULL"
    gone = {row for (row,) in staging.db.execute(rows)}
    if gone:
        staging.fill(
            f"INSERT INTO product VALUES ({','.join('?' * 11)})",
            (_gone_row(row, record) for row, record in enumerate(records) if row in gone),
        )


_NOT_OF_A_PRODUCT = (
    "rating rating_count sentiment retired_at text_hash image_hash review_hash meta_hash flags".split()
)


def _gone_row(row: int, record: dict[str, Any]) -> tuple[Any, ...]:
    plain = {name: value for name, value in record.items() if name not in _NOT_OF_A_PRODUCT}
    return (
        product_key(record["id"]),
        -1 - row,
        record["id"],
        to_json(plain),
        to_json(record["image_refs"] or []),
        "",
        record["group_id"] or record["id"],
        record["text_hash"] or "",
        record["meta_hash"] or "",
        record["review_hash"] or "",
        1,
    )


def set_targets(staging: Staging, stale: Stale, *, now: datetime, retire_days: int) -> None:
    """Decide the rows of the new version: the current rows in their order, then the new products.

    Products gone from the feed keep their row for `retire_days` after they were first missed.
    """
    stamp = now.isoformat(timespec="seconds")
    dropped_before = (now - timedelta(days=retire_days)).isoformat(timespec="seconds")
    staging.db.execute(
        """
        INSERT INTO target
        SELECT row_number() OVER (ORDER BY parent.row IS NULL, parent.row, product.seq) - 1,
          product.key, parent.row,
          CASE WHEN product.gone THEN coalesce(parent.retired_at, :stamp) END,
          CASE WHEN product.gone THEN :image_changed
            ELSE :image OR parent.row IS NULL OR parent.image_hash <> coalesce(image_state.hash, '')
              OR product.key IN (SELECT key FROM retry) END,
          CASE WHEN product.gone THEN :text_changed
            ELSE :text OR parent.row IS NULL OR parent.text_hash <> product.text_hash END,
          CASE WHEN product.gone THEN :text_changed
            ELSE :text OR parent.row IS NULL OR parent.review_hash <> product.review_hash END,
          NULL
        FROM product LEFT JOIN parent USING (key) LEFT JOIN image_state USING (key)
        WHERE NOT product.gone OR (coalesce(parent.retired_at, :stamp) > :dropped AND :keeps)
        """,
        {
            "stamp": stamp,
            "dropped": dropped_before,
            "keeps": retire_days > 0,
            "image": stale.image,
            "text": stale.text,
            "image_changed": stale.image_changed,
            "text_changed": stale.text_changed,
        },
    )
    staging.db.execute(
        "UPDATE target SET chunk = numbered.chunk FROM (SELECT row, (row_number() OVER (ORDER BY row) - 1) / "
        "? AS chunk FROM target WHERE image OR words OR reviews) AS numbered WHERE numbered.row = target.row",
        (CHUNK_PRODUCTS,),
    )
    staging.db.execute("CREATE INDEX target_chunk ON target (chunk, row)")


def count_plan(staging: Staging, stale: Stale) -> PlanCounts:
    """Count how the feed differs from the current version."""
    both = "product JOIN parent USING (key) LEFT JOIN image_state USING (key) WHERE NOT product.gone AND "
    text, image = (
        "parent.text_hash <> product.text_hash",
        "(parent.image_hash <> coalesce(hash, '') OR product.key IN (SELECT key FROM retry))",
    )
    reviews = "parent.review_hash <> product.review_hash"
    same = f"NOT ({text}) AND NOT ({image}) AND NOT ({reviews})"
    meta = "(parent.meta_hash <> product.meta_hash OR parent.retired_at IS NOT NULL)"

    def of_both(condition: str) -> int:
        return int(staging.one(f"SELECT count(*) FROM {both} {condition}"))

    live = int(staging.one("SELECT count(*) FROM product WHERE NOT gone"))
    missing = int(staging.one("SELECT count(*) FROM product WHERE gone"))
    retired = int(staging.one("SELECT count(*) FROM target WHERE retired_at IS NOT NULL"))
    return PlanCounts(
        products=live,
        new=live - of_both("1"),
        text_changed=of_both(text),
        pictures_changed=of_both(image),
        reviews_changed=of_both(reviews),
        meta_changed=of_both(f"{same} AND {meta}"),
        unchanged=of_both(f"{same} AND NOT {meta}"),
        returned=of_both("parent.retired_at IS NOT NULL"),
        gone=int(
            staging.one(
                "SELECT count(*) FROM product JOIN parent USING (key) WHERE gone AND retired_at IS NULL"
            )
        ),
        retired=retired,
        dropped=missing - retired,
        to_encode=int(staging.one("SELECT count(*) FROM target WHERE chunk IS NOT NULL")),
        encoders_changed=stale.encoders_changed,
    )


def rows_stay(staging: Staging) -> bool:
    """Return whether every row keeps its place and its blocks, so that rows, ids and index stay files."""
    if staging.one("SELECT count(*) FROM target") != staging.one("SELECT count(*) FROM parent"):
        return False
    # The same product may write its id in another Unicode form.
    return not staging.one(
        "SELECT count(*) FROM target JOIN product USING (key) JOIN parent USING (key) "
        "WHERE target.row <> parent.row OR chunk IS NOT NULL OR product.id <> parent.id"
    )


def guard_against_shrinking(staging: Staging, *, most: float, parent_id: str) -> None:
    """Raise FeedError where the share `most` of the current products or a whole category is missing."""
    before = int(staging.one("SELECT count(*) FROM parent WHERE retired_at IS NULL"))
    lost = int(
        staging.one("SELECT count(*) FROM parent JOIN product USING (key) WHERE retired_at IS NULL AND gone")
    )
    cure = "if the shop really lost them, run again with --allow-shrink"
    if lost > most * before:
        raise FeedError(
            f"the feed lacks {lost} of the {before} products of version {parent_id}; at most {most:.0%} may "
            f"go at once (feed.max_shrink_share); {cure}"
        )
    vanished = [
        top
        for (top,) in staging.db.execute(
            "SELECT top FROM parent WHERE retired_at IS NULL AND top <> '' "
            "EXCEPT SELECT top FROM product WHERE NOT gone"
        )
    ]
    if vanished:
        raise FeedError(
            f"no product is left in {', '.join(map(repr, sorted(vanished)[:5]))}, which version {parent_id} "
            f"has; {cure}"
        )


def read_chunks(staging: Staging, salt: str) -> Iterator[Chunk]:
    """Yield the chunks in row order; `salt` stands for all else that decides their blocks."""
    total = staging.one("SELECT coalesce(max(chunk), -1) + 1 FROM target")
    for number in range(total):
        found = staging.db.execute(
            "SELECT target.row, target.key, parent_row, image, words, reviews, product.text_hash, "
            "coalesce(hash, ''), product.review_hash FROM target JOIN product USING (key) "
            "LEFT JOIN image_state USING (key) WHERE chunk = ? ORDER BY target.row",
            (number,),
        ).fetchall()
        work = tuple(
            Work(row, key, parent, bool(image), bool(words), bool(reviews))
            for row, key, parent, image, words, reviews, *_ in found
        )
        yield Chunk(number, digest(salt, to_json([list(line) for line in found])), work)
