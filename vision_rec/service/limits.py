"""What is refused before any route runs: foreign hosts and sites, too many at once, too large, too slow."""

from __future__ import annotations

import asyncio
import ipaddress
import re
from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vision_rec.access import Access
from vision_rec.errors import InputError
from vision_rec.service.metrics import Metrics
from vision_rec.service.outermost import header
from vision_rec.service.problems import PROBLEMS, RequestError, problem_response
from vision_rec.settings import ImageSettings, ServiceSettings

MAX_FIELDS = 64
MAX_FIELD_BYTES = 64 << 10
MAX_TARGET = 8 << 10  # bytes of path and query string
LOOPBACK_HOSTS = ("127.0.0.1", "::1", "localhost")
_ALWAYS_ANSWERED = ("/healthz", "/readyz", "/metrics")
_SAFE = ("GET", "HEAD", "OPTIONS")
_MULTIPART_PATHS = ("/v1/search/image", "/results", "/", "/why", "/export.csv")


def check_host(service: ServiceSettings, access: Access) -> None:
    """Refuse to serve without API keys beyond this machine, or where the settings require keys."""
    if not access.is_open:
        return
    create = f"`vision-rec keys create --name NAME --scope search` makes one; {access.folder} has none"
    if service.require_keys:
        raise InputError(f"service.require_keys is set, so API keys are needed; {create}")
    if service.host not in LOOPBACK_HOSTS:
        raise InputError(
            f"service.host is {service.host!r}; without API keys the service listens on this machine only, "
            f"at {', '.join(LOOPBACK_HOSTS)}; {create}"
        )


def is_loopback(host: str) -> bool:
    """Tell whether an address or a Host header means this machine by itself: 127.0.0.1, ::1, localhost."""
    name = _name(host)
    return bool(re.fullmatch(r"127(\.\d{1,3}){3}|::1|localhost", name)) or name.endswith(".localhost")


def host_is_ours(host: str) -> bool:
    """Tell whether a Host header can only mean this machine or its private network.

    A page on a hostile site may point its own name at 127.0.0.1 and call us (DNS rebinding). Such a name
    has a dot; loopback addresses, *.localhost and names without a dot cannot be bought.
    """
    name = _name(host)
    return bool(re.fullmatch(r"127(\.\d{1,3}){3}|::1|[a-z0-9_-]+", name)) or name.endswith(".localhost")


def host_is_allowed(host: str, allowed: Iterable[str], *, with_keys: bool) -> bool:
    """Tell whether `host` is among the names of `service.allowed_hosts`; `*.example.com` means all below.

    Where keys are in force addresses are allowed too: no page can make a name of its own look like one.
    """
    name = _name(host)
    if any(name.endswith(given[1:]) if given.startswith("*.") else name == given for given in allowed):
        return bool(name)
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return with_keys


def _name(host: str) -> str:
    """Return the name in a Host header or an address, in lower case, without port, brackets and last dot."""
    if host.count(":") > 1 and not host.startswith("["):
        return host.lower()  # a bare IPv6 address
    try:
        return (urlsplit(f"//{host}").hostname or "").rstrip(".")
    except ValueError:
        return ""


def is_cross_site(scope: Scope) -> bool:
    """Tell whether a browser says that an unsafe request comes from another site."""
    if scope["method"] in _SAFE:
        return False
    site = header(scope, b"sec-fetch-site")
    if site is not None:
        return site not in (b"same-origin", b"none")
    origin = header(scope, b"origin")
    if origin is None:  # not a browser
        return False
    return urlsplit(origin.decode("latin-1")).netloc.encode("latin-1") != (header(scope, b"host") or b"")


def is_same_origin(scope: Scope) -> bool:
    """Tell whether a browser vouches that a request comes from a page of ours; silence is a no."""
    site = header(scope, b"sec-fetch-site")
    if site is not None:
        return site == b"same-origin"
    return header(scope, b"origin") is not None and not is_cross_site(scope)


class Limits:
    """Refuse what no route should see, and count every byte of a body on its way in."""

    def __init__(
        self,
        app: ASGIApp,
        service: ServiceSettings,
        images: ImageSettings,
        metrics: Metrics,
        access: Access,
    ) -> None:
        self.app, self.service, self.metrics, self.access = app, service, metrics, access
        self.hosts = tuple(name.lower() for name in service.allowed_hosts)
        self.upload_bytes = images.max_query_bytes + MAX_FIELDS * MAX_FIELD_BYTES
        self.in_flight = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it with a problem."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        try:
            self._check(scope)
            limit = self._body_limit(scope)
        except RequestError as error:
            await self._refuse(error, scope, receive, send)
            return
        self.in_flight += 1
        self.metrics.in_flight.inc()
        try:
            await self.app(scope, self._counted(receive, limit), send)
        finally:
            self.in_flight -= 1
            self.metrics.in_flight.dec()

    def _check(self, scope: Scope) -> None:
        host = (header(scope, b"host") or b"").decode("latin-1")
        if not host_is_ours(host) and not host_is_allowed(
            host, self.hosts, with_keys=not self.access.is_open
        ):
            raise RequestError(
                "host-not-allowed",
                f"the Host header is {host[:100]!r}; this service answers to localhost and 127.0.0.1, "
                "and to the names in service.allowed_hosts",
            )
        if is_cross_site(scope):
            raise RequestError("cross-site", "pages of other sites may not call this service")
        target = len(scope.get("raw_path") or scope["path"]) + len(scope["query_string"])
        if target > MAX_TARGET:
            raise RequestError(
                "body-too-large", f"path and query have {target} bytes; allowed are {MAX_TARGET}"
            )
        if self.in_flight >= self.service.max_in_flight and scope["path"] not in _ALWAYS_ANSWERED:
            self.metrics.refused.inc()
            raise RequestError(
                "overloaded",
                f"{self.in_flight} requests are being answered, the limit; try again in a second",
            )

    def _body_limit(self, scope: Scope) -> int:
        multipart = (header(scope, b"content-type") or b"").lower().startswith(b"multipart/")
        limit = self.service.max_json_bytes
        if multipart and scope["path"] in _MULTIPART_PATHS:
            limit = self.upload_bytes
        length = header(scope, b"content-length") or b"0"
        if not length.isdigit():
            raise RequestError("malformed", "the Content-Length header is not a number")
        if int(length[:20]) > limit:
            raise _too_large(limit, f"{int(length[:20])} bytes")
        return limit

    def _counted(self, receive: Receive, limit: int) -> Receive:
        received, more = 0, True

        async def counted() -> Message:
            nonlocal received, more
            if not more:  # then this waits for the client to hang up, which may take long
                return await receive()
            try:
                message = await asyncio.wait_for(receive(), self.service.read_seconds)
            except TimeoutError as error:
                raise RequestError(
                    "too-slow", f"no byte of the body came for {self.service.read_seconds:g} s"
                ) from error
            more = message.get("more_body", False)
            received += len(message.get("body", b""))
            if received > limit:
                raise _too_large(limit, f"more than {limit} bytes")
            return message

        return counted

    async def _refuse(self, error: RequestError, scope: Scope, receive: Receive, send: Send) -> None:
        closes = {"Connection": "close"} if PROBLEMS[error.code].status == 413 else {}
        response = problem_response(
            error.code,
            str(error),
            request_id=scope["state"]["request_id"],
            instance=scope["path"],
            headers=closes,
        )
        await response(scope, receive, send)


def _too_large(limit: int, given: str) -> RequestError:
    return RequestError(
        "body-too-large",
        f"the body has {given}; allowed are {limit}. Send larger pictures as multipart to /v1/search/image",
    )
