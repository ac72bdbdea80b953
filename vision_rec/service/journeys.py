"""POST /v1/journeys: the list after each view, and what each view does to the last one."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from vision_rec.answers import answer_to_json
from vision_rec.errors import InputError
from vision_rec.recommend.journey import Influences, Journey
from vision_rec.service.bodies import Asked, read_json
from vision_rec.service.catalogue import image_address
from vision_rec.service.core import Service, service_of
from vision_rec.service.openapi import answers, json_request
from vision_rec.service.problems import request_id_of
from vision_rec.service.schemas import Item, SearchBody
from vision_rec.service.search import json_response, open_query
from vision_rec.types import Query, Recommendations

router = APIRouter(tags=["search"])


class StepOut(BaseModel):
    """The list after one more view; `new` and `left` compare it with the step before."""

    product_id: str
    type: str
    weights: dict[str, float]
    degraded: list[str]
    empty_reason: str | None
    items: list[Item]
    new: list[str]
    left: list[str]


class InfluenceOut(BaseModel):
    """One view: without it the mean score of the last list falls by `drop`; the parts sum to it."""

    product_id: str
    type: str
    drop: float
    parts: dict[str, float]


class JourneyAnswer(BaseModel):
    """A journey, step by step; `score` is the mean of the last list."""

    request_id: str
    version: str
    took_ms: float
    steps: list[StepOut] = Field(description="one per product of `recent`; none for a visitor alone")
    score: float
    influences: list[InfluenceOut] = Field(description="of every view, oldest first; stored ones too")


@router.post("/v1/journeys", responses=answers(JourneyAnswer), openapi_extra=json_request(SearchBody))
async def journeys(request: Request) -> Response:
    """Recommend after each of `recent`, and say what each view does to the last list.

    The body is that of a search with `recent`, and `recent_types` where not all were views. With a
    `user_id` or `session_id` stored views have influence too, and `recent` may be absent.
    """
    service, started = service_of(request), time.perf_counter()
    fields = await read_json(request)
    if not any(fields.get(name) for name in ("recent", "user_id", "session_id")):
        raise InputError(
            "give 'recent', the ids of the products viewed, oldest first; or a 'user_id' or 'session_id'"
        )
    query = await open_query(request, service, Asked(fields))
    found = await journeyed(service, query)
    took_ms = round((time.perf_counter() - started) * 1000, 2)
    body = {
        "request_id": request_id_of(request),
        "version": found.influences.version_id,
        "took_ms": took_ms,
        "steps": _steps(query, found.steps),
        **_influences(found.influences),
    }
    return json_response(body, {"Cache-Control": "no-store"})


async def journeyed(service: Service, query: Query) -> Journey:
    """Follow a journey in a thread for searches."""
    recommender = service.recommender
    return await service.search_thread(lambda: recommender.journey(query))


def moves(before: Recommendations | None, after: Recommendations) -> tuple[list[str], list[str]]:
    """Return who came into a list, and who left it, in the order of the lists; nobody at the first step."""
    if before is None:
        return [], []
    old, new = ([item.product.id for item in answer] for answer in (before, after))
    return [ident for ident in new if ident not in old], [ident for ident in old if ident not in new]


def _steps(query: Query, answers: Sequence[Recommendations]) -> list[dict[str, Any]]:
    types = (*query.recent_types, *("view",) * len(query.recent))
    out, before = [], None
    for ident, kind, answer in zip(query.recent, types, answers, strict=False):
        new, left = moves(before, answer)
        whole: Mapping[str, Any] = answer_to_json(answer, request_id="", took_ms=0.0)
        items = whole["items"]
        for item, recommendation in zip(items, answer, strict=True):
            item["image"] = image_address(recommendation.product)
        kept = {name: whole[name] for name in ("weights", "degraded", "empty_reason")}
        out.append({"product_id": ident, "type": kind, **kept, "items": items, "new": new, "left": left})
        before = answer
    return out


def _influences(found: Influences) -> dict[str, Any]:
    visits = [
        {"product_id": one.product_id, "type": one.type, "drop": one.drop, "parts": dict(one.parts)}
        for one in found.visits
    ]
    return {"score": found.score, "influences": visits}
