"""One check of the version in use, from its rows alone."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime

from vision_rec.errors import VisionRecError
from vision_rec.health.categories import text_against_picture
from vision_rec.health.colours import colour_labels
from vision_rec.health.facts import Facts
from vision_rec.health.lists import never_shown
from vision_rec.health.model import HealthReport, Thresholds
from vision_rec.health.pictures import Tell, find_alike, near_duplicates, placeholders
from vision_rec.recommend import Recommender
from vision_rec.recommend.encoding import QueryEncoders

Progress = Callable[[str, int, "int | None"], None]  # stage, done, total if known
_log = logging.getLogger(__name__)


def check_health(
    recommender: Recommender,
    *,
    thresholds: Thresholds | None = None,
    progress: Progress = lambda stage, done, total: None,
) -> HealthReport:
    """Look for products of the version in use that its vectors say something is wrong with.

    Memory is bounded by chunks; of more than `thresholds.queries` products a seeded sample is compared.
    """
    limits = Thresholds() if thresholds is None else thresholds
    started, state = time.monotonic(), recommender.state
    at = datetime.now(UTC).isoformat(timespec="seconds")

    def tell(stage: str) -> Tell:
        return lambda done, total: progress(stage, done, total)

    progress("catalogue", 0, None)
    facts = Facts.read(state)
    alike = find_alike(facts, limits, tell("pictures"))
    shared_pictures, shared = placeholders(facts, limits, alike)
    findings = (
        near_duplicates(facts, alike, shared),
        colour_labels(facts, limits, _encoders(recommender), shared, tell("colours")),
        text_against_picture(facts, limits, shared, tell("shapes and words")),
        shared_pictures,
        never_shown(facts, limits, recommender, tell("lists")),
    )
    return HealthReport(
        version_id=state.version_id,
        checked_at=at,
        seconds=round(time.monotonic() - started, 1),
        products=len(facts.live),
        weights=dict(state.default_weights),
        thresholds=limits,
        findings=findings,
    )


def _encoders(recommender: Recommender) -> QueryEncoders | None:
    try:
        return recommender.encoders
    except VisionRecError as error:
        _log.warning("colours are not checked: %s", error)
        return None
