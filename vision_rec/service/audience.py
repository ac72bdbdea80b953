"""The route of the audience's segments, for the merchandiser."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from vision_rec.service.core import service_of
from vision_rec.service.openapi import answers
from vision_rec.service.problems import request_id_of
from vision_rec.service.schemas import AudienceOut
from vision_rec.service.search import json_response

router = APIRouter(tags=["rules"])


@router.get("/v1/audience", responses=answers(AudienceOut))
async def audience(request: Request) -> Response:
    """List the segments of users that `vision-rec audience` made last, largest first.

    `fits` says whether this index has the encoders that they were made with; else they are not used, and
    are to be made again.
    """
    service = service_of(request)
    shown = await service.file_thread(lambda: service.audience.show(service.state))
    body = {"request_id": request_id_of(request), **shown}
    return json_response(body, {"Cache-Control": "no-store"})
