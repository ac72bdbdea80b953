"""Pictures that could not be used before: which are tried again, and what is told of those that are not."""

from __future__ import annotations

import json

from vision_rec.errors import FeedError
from vision_rec.reindex.cache import PictureCache
from vision_rec.reindex.report import Journal
from vision_rec.reindex.staging import Staging

PASSING = ("too-slow", "memory", "crashed", "unreadable")  # may be the machine's fault, not the picture's
MAX_TRIES = 5  # then it is the picture's
LOST_PRODUCTS = 20  # fewer are no sign of a wrong folder or a failing host
_PAGE = 5_000


def set_retries(staging: Staging, cache: PictureCache) -> None:
    """List in table `retry` the products whose pictures are worth decoding again though nothing changed.

    Those are pictures refused for a passing reason, until they were tried `MAX_TRIES` times, and pictures
    that were refused under other limits than those of now.
    """
    found = staging.db.execute(
        "SELECT product.key, sha, parent.flags FROM product JOIN parent USING (key), "
        "json_each(product.refs) JOIN picture ON ref = value "
        "WHERE NOT gone AND sha IS NOT NULL AND reason IS NULL AND parent.flags LIKE '%\"image:%'"
    )
    while page := found.fetchmany(_PAGE):
        shas = [sha for _, sha, _ in page]
        refused, known = cache.refusals(shas), cache.known(shas)
        again = {
            key
            for key, sha, flags in page
            if sha not in known and _worth_a_try(refused.get(sha), json.loads(flags))
        }
        staging.fill("INSERT OR IGNORE INTO retry VALUES (?)", ((key,) for key in sorted(again)))


def _worth_a_try(refusal: tuple[str, bool, int] | None, flags: list[str]) -> bool:
    if refusal is None:  # forgotten: only the flags of its product say why
        return any(f"image:{reason}" in flags for reason in PASSING)
    reason, same_limits, tries = refusal
    return not same_limits or (reason in PASSING and tries < MAX_TRIES)


def tell_old_problems(staging: Staging, cache: PictureCache, journal: Journal) -> None:
    """Tell of the unusable pictures of products whose pictures are not looked at in this run."""
    found = staging.db.execute(
        "SELECT picture.ref, host, coalesce(sha, ''), picture.reason, parent.flags "
        "FROM target JOIN parent ON parent.row = target.parent_row JOIN product ON product.key = target.key, "
        "json_each(product.refs) JOIN picture ON ref = value WHERE NOT image AND NOT gone "
        "AND (picture.reason IS NOT NULL OR parent.flags LIKE '%\"image:%') ORDER BY target.row"
    ).fetchall()
    refused = cache.refusals([sha for _, _, sha, reason, _ in found if not reason])
    for ref, host, sha, reason, flags in found:
        told = reason or refused.get(sha, ("",))[0]
        if told and (reason or f'"image:{told}"' in flags):
            journal.problem(ref, told, host)


def count_without_picture(staging: Staging) -> int:
    """Count the products of the feed that had no usable picture in the current version."""
    return int(
        staging.one(
            "SELECT count(*) FROM parent JOIN product USING (key) "
            "WHERE NOT gone AND flags LIKE '%\"no_image\"%'"
        )
    )


def guard_against_lost_pictures(staging: Staging, *, most: float, folder: str) -> None:
    """Raise FeedError where more than the share `most` of the products with pictures have no file for any."""
    usable = (
        "EXISTS (SELECT 1 FROM json_each(product.refs) JOIN picture ON ref = value "
        "WHERE sha IS NOT NULL AND reason IS NULL)"
    )
    had, lost = staging.db.execute(
        f"SELECT count(*), coalesce(sum(NOT {usable}), 0) FROM parent JOIN product USING (key) "
        "WHERE NOT gone AND flags NOT LIKE '%\"no_image\"%'"
    ).fetchone()
    if had < LOST_PRODUCTS or lost <= most * had:
        return
    reasons = [
        reason or "no picture named"
        for (reason,) in staging.db.execute(
            "SELECT DISTINCT reason FROM parent JOIN product USING (key) "
            "LEFT JOIN json_each(product.refs) AS j LEFT JOIN picture ON ref = j.value "
            f"WHERE NOT gone AND flags NOT LIKE '%\"no_image\"%' AND NOT {usable} ORDER BY 1 LIMIT 5"
        )
    ]
    whole = "none" if lost == had else f"{had - lost} of {had}"
    raise FeedError(
        f"{whole} of the feed's pictures can be had ({', '.join(reasons)}), though {had} products had some; "
        f"look at the picture folder {folder} (--images DIR) and at the feed's column of pictures, or run "
        "again with --allow-shrink"
    )


def guard_against_unusable_pictures(staging: Staging, *, most: float) -> None:
    """Raise FeedError where pictures that have just been decoded left too many products without any."""
    had, lost = staging.db.execute(
        "SELECT count(*), coalesce(sum(result.flags LIKE '%\"no_image\"%'), 0) "
        "FROM target JOIN parent ON parent.row = target.parent_row JOIN product ON product.key = target.key "
        "LEFT JOIN result ON result.row = target.row "
        "WHERE NOT gone AND parent.flags NOT LIKE '%\"no_image\"%'"
    ).fetchone()
    if had >= LOST_PRODUCTS and lost > most * had:
        raise FeedError(
            f"{lost} of the {had} products that had a usable picture would have none: their files are there "
            f"and cannot be decoded; at most {most:.0%} may go at once (feed.max_shrink_share). The report "
            "lists why; if it is right, run again with --allow-shrink"
        )
