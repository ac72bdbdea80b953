"""The outermost layer: request id, security headers, metrics, one log line, and no stack trace ever."""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Mapping
from typing import Any

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vision_rec.service.metrics import Metrics
from vision_rec.service.problems import problem_response

log = logging.getLogger("vision_rec.service")

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
    "font-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
SECURITY_HEADERS = (
    (b"content-security-policy", CSP.encode("ascii")),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=()"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
)
_REQUEST_ID = re.compile(rb"[A-Za-z0-9_-]{1,64}")
_CLIENT_GONE = 499


def new_request_id() -> str:
    """Make a UUID of version 7: random, but rising with time, so logs sort."""
    value = (time.time_ns() // 1_000_000) << 80 | int.from_bytes(os.urandom(10), "big")
    value = value & ~(0xF << 76) | 7 << 76
    value = value & ~(0x3 << 62) | 2 << 62
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def header(scope: Scope, name: bytes) -> bytes | None:
    """Return the first value of a header, by its name in lower case."""
    for key, value in scope["headers"]:
        if key == name:
            return bytes(value)
    return None


class Outermost:
    """Wrap the whole app; what is raised below ends here as a problem document."""

    def __init__(self, app: ASGIApp, metrics: Metrics, templates: Mapping[Any, str]) -> None:
        self.app, self.metrics = app, metrics
        self.templates = templates  # endpoint of a plain route → its path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        method = scope["method"]
        if method == "HEAD":  # wherever GET answers; servers send no body to it
            scope = {**scope, "method": "GET"}
        given = header(scope, b"x-request-id")
        request_id = given.decode() if given and _REQUEST_ID.fullmatch(given) else new_request_id()
        scope.setdefault("state", {})["request_id"] = request_id
        own_headers = (*SECURITY_HEADERS, (b"x-request-id", request_id.encode("ascii")))
        started, status = time.perf_counter(), 0

        async def send_dressed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), *own_headers]
            await send(message)

        try:
            await self.app(scope, receive, send_dressed)
        except ClientDisconnect:
            status = _CLIENT_GONE
        except Exception as error:  # the last boundary: a defect costs its request, not the service
            log.exception("defect", extra={"request_id": request_id})
            if status:
                raise error from None
            await self._answer_defect(scope, receive, send_dressed, request_id)
        finally:
            self._note(scope, method, status, time.perf_counter() - started, request_id)

    async def _answer_defect(self, scope: Scope, receive: Receive, send: Send, request_id: str) -> None:
        detail = f"the service has a defect; report it with request id {request_id}"
        response = problem_response(
            "internal", detail, request_id=request_id, instance=scope.get("path", "/")
        )
        await response(scope, receive, send)

    def _note(self, scope: Scope, method: str, status: int, seconds: float, request_id: str) -> None:
        path = getattr(scope.get("route"), "path", None)
        state = scope["state"]
        route = path or self.templates.get(scope.get("endpoint")) or state.get("template") or "other"
        caller = state.get("caller")  # there only where keys are in force
        self.metrics.observe(method, route, status, seconds)
        if log.isEnabledFor(logging.INFO):
            log.info(
                "request",
                extra={
                    "request_id": request_id,
                    "method": method,
                    "route": route,
                    "status": status,
                    "duration_ms": round(seconds * 1000, 2),
                    **({"key": caller.key_id} if caller is not None and caller.key_id else {}),
                },
            )
