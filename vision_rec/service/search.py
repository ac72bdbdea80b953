"""The routes that search: similar, search by anything, search by picture, recommendations."""

from __future__ import annotations

import base64
import time
from binascii import crc32
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import orjson
from fastapi import APIRouter, Request
from starlette.responses import Response

from vision_rec.answers import answer_to_json
from vision_rec.batch import query_from_json
from vision_rec.errors import ImageError, ImageTooLargeError, InputError
from vision_rec.service.bodies import Asked, fields_from_texts, read_json, read_upload
from vision_rec.service.catalogue import image_address
from vision_rec.service.core import Service, service_of
from vision_rec.service.openapi import answers, json_request, upload_request
from vision_rec.service.paths import product_id_of
from vision_rec.service.problems import request_id_of
from vision_rec.service.schemas import Answer, SearchBody
from vision_rec.types import Picture, Query

router = APIRouter(tags=["search"])
SIMILAR_PATH = "/v1/products/{product_id}/similar"
CROP_SIDE = 1024  # a picture to be cropped is opened larger than encoders see it
_UPLOADED = "(the uploaded file)"  # no base64
# What a similar list may be asked by in a query string; the other sources of a search are bodies' matter.
SIMILAR_FIELDS = tuple(
    "weights preset k offset min_score diversity max_per_group exclude_own_group exclude facets rating_boost "
    "filters recent recent_types user_id session_id session_share session_model".split()
)


async def similar(request: Request) -> Response:
    """Answer GET /v1/products/{id}/similar; a plain route, since it is asked most."""
    service, started = service_of(request), time.perf_counter()
    tag = entity_tag(request, service)
    headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
    if is_known(tag, request.headers.get("if-none-match", "")):
        return Response(status_code=304, headers=headers)
    asked = fields_from_texts(request.query_params.multi_items(), allowed=SIMILAR_FIELDS)
    if asked.fields.get("user_id") or asked.fields.get("session_id"):
        headers = {}  # the next event changes the answer
    fields = {**asked.fields, "product_id": product_id_of(request)}
    query = query_of(request, service, Asked(fields, asked.filters))
    return await answered(request, service, query, started, headers)


@router.post("/v1/search", responses=answers(Answer), openapi_extra=json_request(SearchBody))
async def search(request: Request) -> Response:
    """Search by any mix of product, picture, words, colour, examples and recently viewed products."""
    service, started = service_of(request), time.perf_counter()
    asked = Asked(await read_json(request))
    return await answered(request, service, await open_query(request, service, asked), started)


@router.post("/v1/search/image", responses=answers(Answer), openapi_extra=upload_request(SearchBody))
async def search_image(request: Request) -> Response:
    """Search by a picture file; the other fields of a search are form values, nested ones as JSON."""
    service, started = service_of(request), time.perf_counter()
    upload = await read_upload(request, service.settings.images.max_query_bytes)
    asked = fields_from_texts(upload.fields)
    if "image" in asked.fields:
        raise InputError("the field 'image' must be a file: send it with a file name")
    query = await open_query(request, service, asked, upload.picture)
    return await answered(request, service, query, started)


@router.post("/v1/recommendations", responses=answers(Answer), openapi_extra=json_request(SearchBody))
async def recommendations(request: Request) -> Response:
    """Recommend for what a visitor did, by stored events or `recent`, and any other field of a search.

    A visitor of whom nothing is known gets what is popular lately.
    """
    service, started = service_of(request), time.perf_counter()
    fields = await read_json(request)
    if not any(fields.get(name) for name in ("recent", "user_id", "session_id")):
        raise InputError(
            "give 'recent', the ids of the products viewed, oldest first; or a 'user_id' or 'session_id' "
            "whose events were sent to POST /v1/events"
        )
    query = await open_query(request, service, Asked(fields))
    return await answered(request, service, query, started)


async def open_query(request: Request, service: Service, asked: Asked, upload: bytes | None = None) -> Query:
    """Make a query of `asked` and of an uploaded picture file; pictures are decoded in a thread."""
    if upload is not None or holds_pictures(asked.fields):
        return await service.search_thread(lambda: query_of(request, service, asked, upload))
    return query_of(request, service, asked)


def query_of(request: Request, service: Service, asked: Asked, upload: bytes | None = None) -> Query:
    """Check the fields and make a query of them; raises InputError, ImageError and their like."""
    fields = dict(asked.fields)
    request.state.fields = fields  # should they be refused, the problem document points into them
    cropped = fields.get("crop") is not None
    if upload is not None:
        fields["image"] = _UPLOADED

    def open_picture(text: str) -> Picture:
        uploaded = upload is not None and text == _UPLOADED
        data = upload if uploaded and upload is not None else picture_bytes(service, text)
        return opened(service, data, cropped and text == fields.get("image"))

    most = service.settings.service.max_text
    query = query_from_json(fields, open_picture=open_picture, max_text=most)
    return query if asked.filters is None else replace(query, filters=asked.filters)


def holds_pictures(fields: Mapping[str, Any]) -> bool:
    """Say whether a search body holds a picture, in its examples too."""
    examples = fields.get("examples")
    return bool(fields.get("image")) or any(
        isinstance(example, Mapping) and example.get("image")
        for example in (examples if isinstance(examples, list) else ())
    )


def picture_bytes(service: Service, text: str) -> bytes:
    """Decode the base64 of a picture, with or without a data: prefix."""
    most = service.settings.images.max_query_bytes
    _, _, data = text.rpartition(";base64,") if text.startswith("data:") else ("", "", text)
    if len(data) > most * 4 // 3 + 4:
        raise ImageTooLargeError(f"the picture has about {len(data) * 3 // 4} bytes; allowed are {most}")
    try:
        return base64.b64decode("".join(data.split()), validate=True)
    except ValueError as error:
        raise InputError("image must be the base64 of a picture file") from error


def opened(service: Service, data: bytes, cropped: bool = False) -> Picture:
    """Decode a request's picture, and count it where it is refused."""
    side = CROP_SIDE if cropped else service.recommender.encoders.image.input_side
    started = time.perf_counter()
    try:
        return service.pictures.open(data, max_side=side)
    except ImageError as error:
        service.metrics.decode_failures.labels(error.reason).inc()
        raise
    finally:
        service.metrics.stages.labels("decode").observe(time.perf_counter() - started)


async def answered(
    request: Request,
    service: Service,
    query: Query,
    started: float,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Search, and write the answer as every search route does."""
    answer = await service.answer(query)
    took_ms = round((time.perf_counter() - started) * 1000, 2)
    body = answer_to_json(answer, request_id=request_id_of(request), took_ms=took_ms)
    for item, recommendation in zip(body["items"], answer, strict=True):
        item["image"] = image_address(recommendation.product)  # paths of the feed mean nothing to clients
    return json_response(body, {"Cache-Control": "no-store", **(headers or {})})


def json_response(body: Any, headers: Mapping[str, str] | None = None, status: int = 200) -> Response:
    """Write `body` as JSON bytes."""
    return Response(orjson.dumps(body), status, dict(headers or {}), media_type="application/json")


def is_known(tag: str, header: str) -> bool:
    """Say whether an If-None-Match names `tag`; weak and strong are alike (RFC 9110, 13.1.2)."""
    return tag.removeprefix("W/") in {known.strip().removeprefix("W/") for known in header.split(",")}


def entity_tag(request: Request, service: Service) -> str:
    """Name what this address answers as long as the version and the defaults stay the same."""
    address = request.scope.get("raw_path", b"") + b"?" + request.scope["query_string"]
    state = service.recommender.state
    rules = f"{state.rules.number}.{state.rules.phase()}"  # they come and go by the clock, too
    return f'W/"{state.version_id}-{service.defaults_hash:x}-{rules}-{crc32(address):x}"'
