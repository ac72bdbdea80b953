"""The routes of visitors' events: take them in, and forget a user."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Depends, Path, Request
from starlette.responses import Response

from vision_rec.errors import IncompatibleError, InputError, IntegrityError, ResourceError, UnavailableError
from vision_rec.events import Receipt
from vision_rec.service.bodies import read_json
from vision_rec.service.core import Service, service_of
from vision_rec.service.openapi import answers, json_request
from vision_rec.service.paths import user_id_of
from vision_rec.service.problems import request_id_of
from vision_rec.service.schemas import Erased, EventsAnswer, EventsBody
from vision_rec.service.search import json_response

router = APIRouter(tags=["events"])
_NO_STORE = {"Cache-Control": "no-store"}
_T = TypeVar("_T")


@router.post(
    "/v1/events",
    status_code=202,
    responses={202: answers(EventsAnswer)[200]},
    openapi_extra=json_request(EventsBody),
)
async def record(request: Request) -> Response:
    """Store what visitors did; what is accepted is on the disk when this answers.

    An event may be sent again: the same `event_id` counts once. Bad events are told, the others go on.
    """
    service, started = service_of(request), time.perf_counter()
    body = await read_json(request)
    events = body.get("events")
    if set(body) != {"events"} or not isinstance(events, list):
        raise InputError('send {"events": […]}, a list of objects, and nothing beside it')
    receipt = await recorded(service, events)
    service.metrics.event_seconds.observe(time.perf_counter() - started)
    answer: dict[str, Any] = {
        "request_id": request_id_of(request),
        "accepted": receipt.accepted,
        "duplicates": receipt.duplicates,
        "rejected": [{"index": entry.index, "reason": entry.reason} for entry in receipt.rejected],
    }
    return json_response(answer, _NO_STORE, status=202)


def _declared(
    request: Request, user_id: Annotated[str, Path(description="URL-encoded, slashes too", min_length=1)]
) -> str:
    return user_id_of(request)


@router.delete("/v1/users/{user_id}", responses=answers(Erased))
async def erase(request: Request, user_id: Annotated[str, Depends(_declared)]) -> Response:
    """Erase all that is stored of a user; doing it again changes nothing."""
    service = service_of(request)
    count = await erased(service, user_id)
    return json_response({"request_id": request_id_of(request), "erased": count}, _NO_STORE)


async def recorded(service: Service, events: list[Any]) -> Receipt:
    """Store events as clients send them, and count them."""
    receipt = await _stored(service, partial(service.events.record, events))
    counter = service.metrics.events
    for outcome, count in (
        ("accepted", receipt.accepted),
        ("duplicate", receipt.duplicates),
        ("rejected", len(receipt.rejected)),
    ):
        counter.labels(outcome).inc(count)
    return receipt


async def erased(service: Service, user_id: str) -> int:
    """Erase a user; return how many events there were."""
    return await _stored(service, partial(service.events.erase, user_id))


async def _stored(service: Service, work: Callable[[], _T]) -> _T:
    """Run work on the event store in a thread; a damaged store is one that is not available."""
    try:
        found = await service.event_thread(work)
    except (IntegrityError, IncompatibleError, UnavailableError, ResourceError) as error:
        service.metrics.events.labels("refused").inc()
        service.event_trouble = f"events are not stored: {error}"
        if isinstance(error, UnavailableError | ResourceError):
            raise
        raise UnavailableError(str(error)) from error
    service.event_trouble = None
    return found
