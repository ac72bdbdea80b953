"""How good session recommendations are: every ranker asked the same, all products ranked, all metrics."""

from __future__ import annotations

from vision_rec.evaluate_sessions.cases import Cases, given, renumbered
from vision_rec.evaluate_sessions.judging import judge
from vision_rec.evaluate_sessions.rankers import CoVisits, Popularity, Ranker, RowRanker

__all__ = ["Cases", "CoVisits", "Popularity", "Ranker", "RowRanker", "given", "judge", "renumbered"]
