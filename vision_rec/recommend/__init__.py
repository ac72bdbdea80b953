"""From a query to recommendations: the one use case that every door calls."""

from __future__ import annotations

from vision_rec.recommend.answerer import Neighbours
from vision_rec.recommend.recommender import Recommender

__all__ = ["Neighbours", "Recommender"]
