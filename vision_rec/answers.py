"""The JSON form of an answer, one for the command line and HTTP."""

from __future__ import annotations

from typing import Any

from vision_rec.types import Recommendations


def answer_to_json(recommendations: Recommendations, *, request_id: str, took_ms: float) -> dict[str, Any]:
    """Return the whole answer as JSON types; the parts of each item sum to its score within 1e-5."""
    answer = {
        "request_id": request_id,
        "version": recommendations.version_id,
        "weights": dict(recommendations.weights),
        "took_ms": round(took_ms, 3),
        "degraded": list(recommendations.degraded),
        "empty_reason": recommendations.empty_reason,
        "facets": {name: dict(counts) for name, counts in recommendations.facets.items()},
        "items": recommendations.to_dicts(),
    }
    if recommendations.rules:  # lists that no rule acts on have the plain form
        answer["rules"] = [effect.to_dict() for effect in recommendations.rules]
    return answer
