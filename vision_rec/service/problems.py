"""Errors as RFC 9457 problem documents: one registry from stable code to status and title."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import orjson
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from vision_rec.errors import ChangedError, InputError, VisionRecError

MEDIA_TYPE = "application/problem+json"


@dataclass(frozen=True, slots=True)
class Problem:
    """What a code means over HTTP; `retry_after` is in seconds."""

    status: int
    title: str
    retry_after: int | None = None


PROBLEMS: Mapping[str, Problem] = {
    "malformed": Problem(400, "The request cannot be read"),
    "unauthenticated": Problem(401, "An API key is needed"),
    "forbidden": Problem(403, "The API key may not do this"),
    "cross-site": Problem(403, "The request comes from another site"),
    "not-found": Problem(404, "Not found"),
    "method-not-allowed": Problem(405, "Method not allowed"),
    "too-slow": Problem(408, "The request arrives too slowly", 1),
    "locked": Problem(409, "Another process holds the lock", 5),
    "integrity": Problem(409, "A stored file is damaged"),
    "incompatible-version": Problem(409, "Stored by another format version"),
    "changed-meanwhile": Problem(412, "Somebody else changed it meanwhile"),
    "cursor-expired": Problem(410, "The list has changed since the cursor was made"),
    "body-too-large": Problem(413, "The request body is too large"),
    "image-too-large": Problem(413, "The picture is too large"),
    "unsupported-media-type": Problem(415, "The content type is not supported"),
    "host-not-allowed": Problem(421, "The Host header names another machine"),
    "invalid-input": Problem(422, "The request is not allowed"),
    "feed-rejected": Problem(422, "The feed is unusable"),
    "feed-row-rejected": Problem(422, "A row of the feed is unusable"),
    "image-unreadable": Problem(422, "The picture cannot be read"),
    "image-too-slow": Problem(422, "The picture takes too long to read"),
    "url-not-allowed": Problem(422, "The URL is not allowed"),
    "rate-limited": Problem(429, "Too many requests"),
    "internal": Problem(500, "Something went wrong here"),
    "fetch-failed": Problem(502, "A picture could not be fetched"),
    "unavailable": Problem(503, "Not available now", 2),
    "overloaded": Problem(503, "Too many requests at once", 1),
    "out-of-space": Problem(507, "Not enough disk or memory", 60),
}


class RequestError(VisionRecError):
    """A request that is wrong as HTTP, before its meaning: syntax, size, type, host."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code


class ParameterError(InputError):
    """A parameter that cannot be read, before any schema sees it."""

    def __init__(self, name: str, kind: str, detail: str) -> None:
        super().__init__(detail)
        self.field = {"pointer": _pointer([name[:50]]), "code": kind, "message": detail}


def problem_response(
    code: str,
    detail: str,
    *,
    request_id: str,
    instance: str,
    errors: Iterable[Mapping[str, str]] = (),
    headers: Mapping[str, str] | None = None,
    more: Mapping[str, Any] | None = None,
) -> Response:
    """Build the problem document of `code`, with further members; unknown codes read as `internal`."""
    code = code if code in PROBLEMS else "internal"
    problem = PROBLEMS[code]
    body: dict[str, Any] = {
        "type": code,
        "title": problem.title,
        "status": problem.status,
        "detail": detail,
        "instance": instance,
        "request_id": request_id,
        "errors": list(errors),
        **(more or {}),
    }
    extra = {"Cache-Control": "no-store", **(headers or {})}
    if problem.retry_after is not None:
        extra["Retry-After"] = str(problem.retry_after)
    # Text echoed from a request may hold lone surrogates, which are not UTF-8.
    text = orjson.dumps(_speakable(body))
    return Response(text, problem.status, extra, media_type=MEDIA_TYPE)


def _speakable(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, dict):
        return {key: _speakable(item) for key, item in value.items()}
    return [_speakable(item) for item in value] if isinstance(value, list) else value


def request_id_of(request: Request) -> str:
    """Return the id that the outermost layer gave this request."""
    return str(request.scope.get("state", {}).get("request_id", ""))


def respond(request: Request, code: str, detail: str, **options: Any) -> Response:
    """Answer `request` with the problem of `code`."""
    path = request.scope.get("raw_path", b"").decode("ascii", "replace") or request.url.path
    return problem_response(code, detail, request_id=request_id_of(request), instance=path, **options)


async def known_error(request: Request, error: Exception) -> Response:
    """Answer an error that this package raised on purpose."""
    code = error.code if isinstance(error, VisionRecError) else "internal"
    headers = {"Connection": "close"} if PROBLEMS.get(code, PROBLEMS["internal"]).status in (408, 413) else {}
    errors = _wrong_fields(request) if code == "invalid-input" else []
    if isinstance(error, ParameterError):
        errors = [error.field]
    more = {"current": error.current} if isinstance(error, ChangedError) else None
    return respond(request, code, str(error), headers=headers, errors=errors, more=more)


def _wrong_fields(request: Request) -> list[dict[str, str]]:
    """Point at the fields of a refused search that its schema refuses too."""
    fields = getattr(request.state, "fields", None)
    if fields is None:
        return []
    given = {  # null means not given, and 10.0 is 10
        name: int(value) if isinstance(value, float) and value.is_integer() else value
        for name, value in fields.items()
        if value is not None
    }
    try:
        request.app.state.service.search_body.model_validate(given, strict=True)
    except ValidationError as error:
        return _field_errors(error)
    return []


async def http_error(request: Request, error: Exception) -> Response:
    """Answer what the router refuses: no such path, no such method."""
    assert isinstance(error, HTTPException)
    codes = {404: "not-found", 405: "method-not-allowed", 400: "malformed"}
    code = codes.get(error.status_code, "internal")
    method, path = request.method, request.url.path
    details = {
        "not-found": f"there is nothing at {path}; the paths are listed in /openapi.json",
        "method-not-allowed": f"{path} does not answer {method}; the methods are listed in /openapi.json",
    }
    detail = details.get(code) or str(error.detail) or HTTPStatus(error.status_code).phrase
    headers = {name.title(): text for name, text in (error.headers or {}).items()}
    if "GET" in (allowed := headers.get("Allow", "").split(", ")) and "HEAD" not in allowed:
        headers["Allow"] = ", ".join(sorted([*allowed, "HEAD"]))  # the outermost layer answers it
    return respond(request, code, detail, headers=headers)


async def validation_error(request: Request, error: Exception) -> Response:
    """Answer parameters of the wrong type or out of bounds, each with its pointer."""
    assert isinstance(error, ValidationError | RequestValidationError)
    errors = _field_errors(error)
    first = errors[0]
    return respond(request, "invalid-input", f"{first['pointer']}: {first['message']}", errors=errors)


def _field_errors(error: ValidationError | RequestValidationError) -> list[dict[str, str]]:
    return [
        {"pointer": _pointer(item["loc"]), "code": str(item["type"]), "message": _message(item)}
        for item in error.errors()[:20]
    ]


def _pointer(location: Iterable[str | int]) -> str:
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in location) or "/"


def _message(item: Mapping[str, Any]) -> str:
    if item["type"] == "extra_forbidden":
        return "no such field"
    given = repr(item.get("input"))
    return f"{item['msg']}; got {given if len(given) <= 80 else given[:77] + '…'}"
