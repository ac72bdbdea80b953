"""ReindexReport: what one run found and did; and the Journal that collects it."""

from __future__ import annotations

import json
import resource
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

Outcome = Literal["published", "unchanged", "planned", "failed"]
Progress = Callable[[str, int, int | None], None]  # stage, done, total if known
MAX_LISTED = 1_000


@dataclass(frozen=True, slots=True)
class Reject:
    """One row of a file that was left out."""

    file: str
    line: int
    column: str
    reason: str
    product_id: str = ""


@dataclass(frozen=True, slots=True)
class PictureProblem:
    """One picture that could not be used; the product stays, with its other aspects."""

    ref: str
    reason: str
    host: str = ""


@dataclass(frozen=True, slots=True)
class Placeholder:
    """One picture that so many products share that it says nothing about any of them."""

    ref: str
    products: int


@dataclass(frozen=True, slots=True)
class PlanCounts:
    """How the feed differs from the current version; a product may have changed in several ways.

    `meta_changed` counts products of which only price, stock and the like changed: no encoder runs for
    them. `gone` are missing since this run, `retired` are all that are kept without being in the feed,
    `dropped` were missing for long enough to be removed.
    """

    products: int = 0
    new: int = 0
    text_changed: int = 0
    pictures_changed: int = 0
    reviews_changed: int = 0
    meta_changed: int = 0
    unchanged: int = 0
    returned: int = 0
    gone: int = 0
    retired: int = 0
    dropped: int = 0
    to_encode: int = 0
    encoders_changed: tuple[str, ...] = ()
    behaviour_changed: int = 0  # products that other views, or another session pair, gave another block


@dataclass(frozen=True, slots=True)
class Check:
    """One check of a version before it is published."""

    name: str
    passed: bool
    detail: str


@dataclass(frozen=True, slots=True)
class StageTime:
    """Wall seconds of one stage and how many things it handled."""

    seconds: float
    done: int = 0

    @property
    def rate(self) -> float | None:
        """Things per second, where that can be said."""
        return self.done / self.seconds if self.seconds > 0 and self.done else None


@dataclass(frozen=True, slots=True)
class ReindexReport:
    """What one run of `reindex` found and did."""

    outcome: Outcome
    feed: str
    started_at: str
    seconds: float
    parent: str | None
    version_id: str | None
    plan: PlanCounts
    rejected: int
    rejects: tuple[Reject, ...]
    duplicates: int
    reviews: int
    reviews_rejected: int
    reviews_without_product: int
    products_without_image: int
    image_problems: Mapping[str, int]
    image_problems_by_host: Mapping[str, int]
    image_problem_list: tuple[PictureProblem, ...]
    placeholders: tuple[Placeholder, ...]
    bad_vectors: int
    pictures_encoded: int
    pictures_cached: int
    chunks: int
    chunks_resumed: int
    index_kind: str | None
    checks: tuple[Check, ...]
    recall: Mapping[str, float]
    stages: Mapping[str, StageTime]
    peak_memory_bytes: int
    peak_worker_memory_bytes: int
    notes: tuple[str, ...] = ()
    error: str | None = None
    duplicate_ids: tuple[str, ...] = ()  # those that the feed repeats, the first of them
    views: int = 0
    views_rejected: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Return the report with JSON types only; stages carry their rate per second."""
        out: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        for name, stage in self.stages.items():
            out["stages"][name] = {
                "seconds": round(stage.seconds, 3),
                "done": stage.done,
                "per_second": None if stage.rate is None else round(stage.rate, 1),
            }
        out["seconds"] = round(self.seconds, 3)
        return out


@dataclass(slots=True)
class Journal:
    """The notes of a running reindex; `report` freezes them."""

    feed: str
    parent: str | None = None
    version_id: str | None = None
    plan: PlanCounts = PlanCounts()
    rejected: int = 0
    rejects: list[Reject] = field(default_factory=list)
    duplicates: int = 0
    duplicate_ids: tuple[str, ...] = ()
    reviews: int = 0
    reviews_rejected: int = 0
    reviews_without_product: int = 0
    views: int = 0
    views_rejected: int = 0
    products_without_image: int = 0
    problems: Counter[str] = field(default_factory=Counter)
    problem_hosts: Counter[str] = field(default_factory=Counter)
    problem_list: list[PictureProblem] = field(default_factory=list)
    placeholders: tuple[Placeholder, ...] = ()
    bad_vectors: int = 0
    pictures_encoded: int = 0
    pictures_cached: int = 0
    chunks: int = 0
    chunks_resumed: int = 0
    index_kind: str | None = None
    checks: list[Check] = field(default_factory=list)
    recall: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    _started: float = field(default_factory=time.monotonic)
    _stages: dict[str, StageTime] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[list[int]]:
        """Time a stage; append to the yielded list how many things it handled."""
        start, done = time.monotonic(), [0]
        try:
            yield done
        finally:
            self.spent(name, time.monotonic() - start, sum(done))

    def spent(self, name: str, seconds: float, done: int) -> None:
        """Add to the time of a stage."""
        before = self._stages.get(name, StageTime(0.0))
        self._stages[name] = StageTime(before.seconds + seconds, before.done + done)

    def reject(self, reject: Reject) -> None:
        """List a rejected row, as long as the list is short; the caller counts."""
        if len(self.rejects) < MAX_LISTED:
            self.rejects.append(reject)

    def problem(self, ref: str, reason: str, host: str) -> None:
        """Count and list one picture that cannot be used."""
        self.problems[reason] += 1
        if host:
            self.problem_hosts[host] += 1
        if len(self.problem_list) < MAX_LISTED:
            self.problem_list.append(PictureProblem(ref, reason, host))

    def report(self, outcome: Outcome, error: str | None = None) -> ReindexReport:
        """Freeze what is known now."""
        return ReindexReport(
            outcome=outcome,
            feed=self.feed,
            started_at=self.started_at.isoformat(timespec="seconds"),
            seconds=time.monotonic() - self._started,
            parent=self.parent,
            version_id=self.version_id,
            plan=self.plan,
            rejected=self.rejected,
            rejects=tuple(self.rejects),
            duplicates=self.duplicates,
            reviews=self.reviews,
            reviews_rejected=self.reviews_rejected,
            reviews_without_product=self.reviews_without_product,
            products_without_image=self.products_without_image,
            image_problems=dict(self.problems),
            image_problems_by_host=dict(self.problem_hosts),
            image_problem_list=tuple(self.problem_list),
            placeholders=self.placeholders,
            bad_vectors=self.bad_vectors,
            pictures_encoded=self.pictures_encoded,
            pictures_cached=self.pictures_cached,
            chunks=self.chunks,
            chunks_resumed=self.chunks_resumed,
            index_kind=self.index_kind,
            checks=tuple(self.checks),
            recall=dict(self.recall),
            stages=dict(self._stages),
            peak_memory_bytes=_peak(resource.RUSAGE_SELF),
            peak_worker_memory_bytes=_peak(resource.RUSAGE_CHILDREN),
            notes=tuple(self.notes),
            error=error,
            duplicate_ids=self.duplicate_ids,
            views=self.views,
            views_rejected=self.views_rejected,
        )


def _peak(who: int) -> int:
    """Return the largest resident memory so far; of the children, that of the largest one."""
    unit = 1 if sys.platform == "darwin" else 1024
    return int(resource.getrusage(who).ru_maxrss) * unit
