"""POST /v1/explain: why a product is where it is."""

from __future__ import annotations

import time

from fastapi import APIRouter, Request
from starlette.responses import Response

from vision_rec.errors import InputError
from vision_rec.recommend.explain import Explanation
from vision_rec.service.bodies import Asked, read_json
from vision_rec.service.catalogue import image_address
from vision_rec.service.core import Service, service_of
from vision_rec.service.openapi import answers, json_request
from vision_rec.service.problems import request_id_of
from vision_rec.service.schemas import ExplainAnswer, ExplainBody
from vision_rec.service.search import json_response, open_query
from vision_rec.types import Query

router = APIRouter(tags=["search"])


@router.post("/v1/explain", responses=answers(ExplainAnswer), openapi_extra=json_request(ExplainBody))
async def explain(request: Request) -> Response:
    """Take one product of a search apart: weights, similarities, parts, colours, words, rules, rank."""
    service, started = service_of(request), time.perf_counter()
    fields = await read_json(request)
    item = fields.pop("item", None)
    if not isinstance(item, str) or not item:
        raise InputError("give 'item', the id of the product to explain, beside the fields of a search")
    found = await explained(service, await open_query(request, service, Asked(fields)), item)
    body = found.to_dict()
    body["item"]["image"] = image_address(found.item.product)
    took_ms = round((time.perf_counter() - started) * 1000, 2)
    return json_response(
        {**body, "request_id": request_id_of(request), "took_ms": took_ms}, {"Cache-Control": "no-store"}
    )


async def explained(service: Service, query: Query, item: str) -> Explanation:
    """Explain in a thread for searches."""
    recommender = service.recommender
    return await service.search_thread(lambda: recommender.explain(query, item))
