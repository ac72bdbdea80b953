"""Who is asking: the key or the login of a request, its scopes, its rate. Without keys nothing of it runs."""

from __future__ import annotations

import html
import ipaddress
import logging
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from vision_rec.access import SCOPES, ApiKey
from vision_rec.service.core import Service
from vision_rec.service.limits import is_loopback, is_same_origin
from vision_rec.service.outermost import header
from vision_rec.service.problems import PROBLEMS, problem_response
from vision_rec.service.rates import Buckets
from vision_rec.service.scopes import ADMIN, Found, Need, find

log = logging.getLogger("vision_rec.service")

SECURE_COOKIE = "__Host-vision-rec"
LOCAL_COOKIE = "vision-rec"  # browsers refuse the other without TLS; taken from loopback names only
_SAFE = ("GET", "HEAD", "OPTIONS")
_REALM = 'Bearer realm="vision-rec"'
_HOW = "send `Authorization: Bearer vrk_…` or `X-API-Key: vrk_…`"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks; `name` and `key_id` are empty where nobody had to say."""

    key_id: str = ""
    name: str = ""
    scopes: frozenset[str] = frozenset()
    by_login: bool = False

    def may(self, scope: str) -> bool:
        """Say whether the caller has a scope."""
        return scope in self.scopes


ANYBODY = Caller(scopes=frozenset(SCOPES))  # of an open service
NOBODY = Caller()  # who asks a protected service for what is public


def caller_of(request: Request) -> Caller:
    """Return who sent a request; on an open service that is ANYBODY, with every scope and no name."""
    caller = request.scope.get("state", {}).get("caller", ANYBODY)
    assert isinstance(caller, Caller)
    return caller


class RefusedError(Exception):
    """A request that goes no further than the guard."""

    def __init__(self, code: str, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.code, self.headers = code, dict(headers or {})


class Guard:
    """Let through who may; the layer before the router."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self.app, self.service, self.access = app, service, service.access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on with its caller, or answer it."""
        if scope["type"] != "http" or (self.access.ring is None and not self.service.anonymous.rate):
            await self.app(scope, receive, send)
            return
        found = find(scope["method"], scope["path"])
        scope["state"]["template"] = found.template
        try:
            if self.access.ring is None:
                self._pace(self.service.anonymous, "", found)
            else:
                scope["state"]["caller"] = self._caller(scope, found)
        except RefusedError as error:
            await self._refusal(error, scope, found)(scope, receive, send)
            return
        await self.app(scope, receive, send)

    def _caller(self, scope: Scope, found: Found) -> Caller:
        if found.needs and all(not need.scopes or (need.local and is_local(scope)) for need in found.needs):
            return NOBODY
        caller = self._identified(scope)
        for need in found.needs or (Need((ADMIN,)),):
            if need.scopes and not caller.scopes & set(need.scopes):
                raise self._lacking(caller, need, scope, found)
        self._pace(self.service.rates, caller.key_id, found)
        return caller

    def _identified(self, scope: Scope) -> Caller:
        """Find the caller by key, else by login; raises RefusedError where there is neither."""
        token = sent_key(scope)
        if token is not None:
            return _caller(verified(self.service, token, scope))
        login = sent_login(scope)
        key = self.access.of_login(login) if login else None
        if key is None:
            ended = "the login has ended" if login else "this needs an API key"
            raise RefusedError("unauthenticated", f"{ended}; {_HOW}", {"WWW-Authenticate": _REALM})
        if scope["method"] not in _SAFE and not is_same_origin(scope):
            raise RefusedError("cross-site", "logins may write from the console's own pages only")
        return _caller(key, by_login=True)

    def _pace(self, buckets: Buckets, who: str, found: Found) -> None:
        wait = buckets.take(who, max((need.cost for need in found.needs), default=1.0))
        if wait:
            self.service.metrics.rate_limited.inc()
            limit = f"{buckets.rate:g} requests per second, {buckets.burst:g} at once"
            raise _too_often(f"too many requests; allowed are {limit}", wait)

    def _lacking(self, caller: Caller, need: Need, scope: Scope, found: Found) -> RefusedError:
        if not found.needs and not found.methods:
            return RefusedError("not-found", f"there is nothing at {scope['path']}")
        if not found.needs:
            allowed = ", ".join(sorted(found.methods))
            detail = f"{scope['path']} does not answer {scope['method']}; it answers {allowed}"
            return RefusedError("method-not-allowed", detail, {"Allow": allowed})
        wanted = " or ".join(need.scopes)
        value = f'{_REALM}, error="insufficient_scope", scope="{" ".join(need.scopes)}"'
        has = ", ".join(sorted(caller.scopes))
        detail = f"this needs the scope {wanted}; the key {caller.name!r} has {has}"
        return RefusedError("forbidden", detail, {"WWW-Authenticate": value})

    def _refusal(self, error: RefusedError, scope: Scope, found: Found) -> Response:
        people = any(need.page for need in found.needs) and sent_key(scope) is None
        if error.code == "unauthenticated" and people and is_navigation(scope):
            target = scope["path"] if scope["method"] in _SAFE else "/"
            query = scope["query_string"].decode("latin-1") if scope["method"] in _SAFE else ""
            back = quote(f"{target}?{query}" if query else target, safe="")
            return RedirectResponse(f"/login?next={back}", 303, {"Cache-Control": "no-store"})
        if people:
            return _alert(error)
        return problem_response(
            error.code,
            str(error),
            request_id=scope["state"]["request_id"],
            instance=scope["path"],
            headers=error.headers,
        )


def verified(service: Service, token: str, scope: Scope) -> ApiKey:
    """Return the key of a token; raises RefusedError, and sooner or later 429 for who keeps guessing."""
    checked = service.access.check(token)
    if checked.key is not None:
        return checked.key
    service.metrics.refused_keys.labels(checked.reason).inc()
    wait = service.failures.take(address_of(scope))
    if wait:
        raise _too_often(f"too many wrong keys from this address; wait {math.ceil(wait)} s", wait)
    log.warning("a key was refused", extra={"reason": checked.reason, "address": address_of(scope)})
    why = {
        "expired": "the key has expired; ask for a new one",
        "revoked": "the key was revoked; ask for a new one",
    }.get(checked.reason, "there is no such key")
    value = f'{_REALM}, error="invalid_token"'
    raise RefusedError("unauthenticated", why, {"WWW-Authenticate": value})


# ── reading requests ─────────────────────────────────────────────────────────────────────────────────


def sent_key(scope: Scope) -> str | None:
    """Return the key that a request brings in its headers, None where it brings none."""
    given = header(scope, b"authorization")
    if given is not None:
        kind, _, token = given.decode("latin-1").partition(" ")
        if kind.lower() == "bearer":
            return token.strip()
    given = header(scope, b"x-api-key")
    return None if given is None else given.decode("latin-1").strip()


def sent_login(scope: Scope) -> str | None:
    """Return the token of the login cookie; without TLS that of a loopback name only."""
    wanted = [SECURE_COOKIE, *([LOCAL_COOKIE] if is_loopback(host_of(scope)) else [])]
    found: dict[str, str] = {}
    for name, value in scope["headers"]:
        if name == b"cookie":
            for part in value.decode("latin-1").split(";"):
                key, _, token = part.strip().partition("=")
                found.setdefault(key, token)
    return next((found[name] for name in wanted if name in found), None)


def host_of(scope: Scope) -> str:
    """Return the Host header."""
    return (header(scope, b"host") or b"").decode("latin-1")


def address_of(scope: Scope) -> str:
    """Return the address that a request comes from; of IPv6 its network, which belongs to one holder."""
    host = _client(scope)
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if address.version == 6 and address.ipv4_mapped is None:
        return str(ipaddress.ip_network(f"{address}/64", strict=False))
    return str(getattr(address, "ipv4_mapped", None) or address)


def is_local(scope: Scope) -> bool:
    """Say whether a request comes from this machine itself and not through a proxy on it."""
    proxied = any(header(scope, name) for name in (b"x-forwarded-for", b"forwarded", b"via"))
    return not proxied and is_loopback(_client(scope)) and is_loopback(host_of(scope))


def is_navigation(scope: Scope) -> bool:
    """Say whether a person goes to a page, and not a script."""
    mode = header(scope, b"sec-fetch-mode")
    if mode is not None:
        return mode == b"navigate"
    return bool(re.search(rb"\btext/html\b", header(scope, b"accept") or b""))


def _client(scope: Scope) -> str:
    return str((scope.get("client") or ("",))[0])


def _alert(error: RefusedError) -> Response:
    """Tell people in the page's own form; its script puts this where the answer would be."""
    text = "You are signed out." if error.code == "unauthenticated" else str(error)
    link = ' <a href="/login">Sign in</a>' if error.code == "unauthenticated" else ""
    body = f'<p class="notice error" role="alert">{html.escape(text)}{link}</p>'
    headers = {"Cache-Control": "no-store", **error.headers}
    return Response(body, PROBLEMS[error.code].status, headers, media_type="text/html")


def _caller(key: ApiKey, *, by_login: bool = False) -> Caller:
    return Caller(key.id, key.name, frozenset(key.scopes), by_login)


def _too_often(detail: str, wait: float) -> RefusedError:
    return RefusedError("rate-limited", detail, {"Retry-After": str(max(1, math.ceil(wait)))})
