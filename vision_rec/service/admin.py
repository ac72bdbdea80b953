"""The routes beside searching: aspects, health, figures."""

from __future__ import annotations

from fastapi import APIRouter, Request
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import Response

from vision_rec.service.core import service_of
from vision_rec.service.openapi import answers
from vision_rec.service.problems import request_id_of, respond
from vision_rec.service.schemas import Aspects
from vision_rec.service.search import json_response

router = APIRouter()
_NO_STORE = {"Cache-Control": "no-store"}


@router.get("/v1/aspects", tags=["search"], responses=answers(Aspects))
async def aspects(request: Request) -> Response:
    """List what can be weighed, and the named presets."""
    service = service_of(request)
    state = service.recommender.state
    body = {
        "aspects": [
            {
                "name": aspect.name,
                "dim": aspect.dim,
                "gain": aspect.gain,
                "default_weight": state.default_weights[aspect.name],
            }
            for aspect in state.layout.aspects
        ],
        "presets": {name: dict(weights) for name, weights in state.presets.items()},
        "version": state.version_id,
        "request_id": request_id_of(request),
    }
    return json_response(body, _NO_STORE)


@router.get("/healthz", tags=["operation"])
async def healthz() -> Response:
    """Say that the process runs."""
    return json_response({"status": "ok"}, _NO_STORE)


@router.get("/readyz", tags=["operation"])
async def readyz(request: Request) -> Response:
    """Say whether searches are answered without delay.

    503 while the index is opened or absent, while what queries need is loaded, and on the way out.
    """
    service = service_of(request)
    if service.draining:
        return respond(request, "unavailable", "the service is stopping")
    recommender = service.recommender  # raises UnavailableError, which answers 503
    if service.warming:
        return respond(request, "unavailable", "the encoders and the session model are being loaded")
    degraded = [*recommender.state.degraded, *([service.trouble] if service.trouble else [])]
    degraded += ["the keys cannot be read; those of before are in force"] if service.access.trouble else []
    degraded += [service.event_trouble] if service.event_trouble else []
    body = {"status": "degraded" if degraded else "ready", "version": recommender.version_id}
    return json_response({**body, "degraded": degraded}, _NO_STORE)


@router.get("/metrics", tags=["operation"], response_class=Response)
async def metrics(request: Request) -> Response:
    """Show the figures of this service for Prometheus."""
    service = service_of(request)
    text = await service.file_thread(service.metrics.render)
    return Response(text, media_type=CONTENT_TYPE_LATEST, headers=_NO_STORE)
