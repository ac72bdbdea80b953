"""Log in to the console with an API key, and out again; the key itself never stays in the browser."""

from __future__ import annotations

from functools import partial
from typing import Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route
from starlette.types import Scope

from vision_rec.access import Entry
from vision_rec.errors import VisionRecError
from vision_rec.service.auth import (
    LOCAL_COOKIE,
    SECURE_COOKIE,
    Caller,
    RefusedError,
    caller_of,
    host_of,
    sent_login,
    verified,
)
from vision_rec.service.bodies import media_type
from vision_rec.service.console.assets import templates
from vision_rec.service.core import Service, service_of
from vision_rec.service.limits import is_loopback, is_same_origin
from vision_rec.service.outermost import header
from vision_rec.service.problems import PROBLEMS, RequestError
from vision_rec.service.scopes import MERCH, SEARCH

MAX_FORM_BYTES = 16 << 10
MAX_NEXT = 4000  # characters of the address to go on to
_NO_STORE = {"Cache-Control": "no-store"}
_PLAIN_HTTP = (
    "A login works over https, or on this machine itself: otherwise the key could be read on its way. "
    "Put a proxy with TLS before the service, or come through an SSH tunnel."
)


async def show(request: Request) -> Response:
    """Answer the page that asks for a key."""
    trouble = None if cookie_for(request.scope) else _PLAIN_HTTP
    return await _page(request, request.query_params.get("next", "/"), trouble=trouble)


async def log_in(request: Request) -> Response:
    """Check the key of the form, set the cookie of a login and lead on to the page that was asked for."""
    if not is_same_origin(request.scope):
        raise RequestError("cross-site", "a login comes from the login page")
    service, form = service_of(request), await _form(request)
    target = form.get("next", "/")
    if service.access.is_open:
        return RedirectResponse(safe_target(target), 303, _NO_STORE)
    if cookie_for(request.scope) is None:
        return await _page(request, target, trouble=_PLAIN_HTTP, code="forbidden")
    try:
        entry = await _entered(service, request.scope, form.get("key", "").strip())
    except RefusedError as error:
        return await _page(request, target, trouble=_sentence(error), code=error.code, headers=error.headers)
    response = RedirectResponse(safe_target(target), 303, _NO_STORE)
    _set_cookie(response, request.scope, entry.token, entry.seconds)
    return response


async def log_out(request: Request) -> Response:
    """End the login and forget the cookie."""
    if not is_same_origin(request.scope):
        raise RequestError("cross-site", "a logout comes from a page of the console")
    token = sent_login(request.scope)
    if token:
        access = service_of(request).access
        await service_of(request).file_thread(partial(access.log_out, token))
    response = RedirectResponse("/login", 303, _NO_STORE)
    _set_cookie(response, request.scope, "", 0)
    return response


ROUTES = (
    Route("/login", show, methods=["GET"]),
    Route("/login", log_in, methods=["POST"]),
    Route("/logout", log_out, methods=["POST"]),
)


def access_view(request: Request) -> dict[str, Any]:
    """Return what `access.html` shows: whether the service is open, who is logged in, what they may do."""
    caller: Caller = caller_of(request)
    return {
        "open": service_of(request).access.is_open,
        "name": caller.name if caller.by_login else "",
        "scopes": sorted(caller.scopes),
        "may_edit": caller.may(MERCH),
    }


def safe_target(text: str) -> str:
    """Return a path of ours to go on to; whatever could lead elsewhere becomes `/`."""
    plain = text.isprintable() and "\\" not in text and len(text) <= MAX_NEXT
    if not plain or not text.startswith("/") or text.startswith("//") or text.startswith("/log"):
        return "/"
    return quote(text, safe="/?&=%:,;@!$'()*+~#[]")


def cookie_for(scope: Scope) -> str | None:
    """Return the name of the cookie that the browser of this request keeps, None where it must keep none.

    Browsers keep `__Host-` cookies over TLS only. They say `Sec-Fetch-Site` over TLS or to this machine
    itself, and a proxy that ends TLS says `X-Forwarded-Proto`; who lies about them hurts himself only.
    """
    if header(scope, b"x-forwarded-proto") == b"https":
        return SECURE_COOKIE
    if is_loopback(host_of(scope)):
        return LOCAL_COOKIE
    return SECURE_COOKIE if header(scope, b"sec-fetch-site") is not None else None


async def _form(request: Request) -> dict[str, str]:
    if media_type(request) != "application/x-www-form-urlencoded":
        raise RequestError("unsupported-media-type", "send the form as application/x-www-form-urlencoded")
    if int(request.headers.get("content-length", "0")) > MAX_FORM_BYTES:
        raise RequestError("body-too-large", f"a login form has at most {MAX_FORM_BYTES} bytes")
    form = await request.form(max_fields=10)
    return {name: str(value) for name, value in form.multi_items()}


async def _entered(service: Service, scope: Scope, token: str) -> Entry:
    key = verified(service, token, scope)
    if SEARCH not in key.scopes:
        detail = f"the key {key.name!r} has {', '.join(key.scopes)}; the console needs {SEARCH}"
        raise RefusedError("forbidden", detail)
    try:
        return await service.file_thread(partial(service.access.log_in, key))
    except VisionRecError as error:
        raise RefusedError(error.code, str(error)) from error


async def _page(
    request: Request,
    target: str,
    *,
    trouble: str | None = None,
    code: str | None = None,
    headers: dict[str, str] | None = None,
) -> Response:
    service = service_of(request)
    values = {
        "page": {"title": "Sign in", "count": None, "version": "", "version_time": ""},
        "access": access_view(request),
        "target": safe_target(target),
        "trouble": trouble,
        # The cookie is not sent with the first request that a link elsewhere leads to; with the next it is.
        "from_elsewhere": header(request.scope, b"sec-fetch-site") in (b"cross-site", b"same-site"),
    }
    html = await service.file_thread(partial(templates().get_template("login.html").render, **values))
    status = PROBLEMS[code].status if code else 200
    return Response(html, status, {**_NO_STORE, **(headers or {})}, media_type="text/html")


def _set_cookie(response: Response, scope: Scope, token: str, seconds: int) -> None:
    name = cookie_for(scope) or SECURE_COOKIE
    response.set_cookie(
        name,
        token,
        max_age=seconds,
        path="/",
        secure=name == SECURE_COOKIE,
        httponly=True,
        samesite="strict",
    )


def _sentence(error: RefusedError) -> str:
    text = str(error)
    return text[:1].upper() + text[1:] + "."
