"""Product ids in paths: any text, URL-encoded, slashes too."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote, unquote

from fastapi import Depends, Path, Request
from starlette.types import ASGIApp, Receive, Scope, Send

PREFIX = b"/v1/products/"
PREFIXES = (PREFIX, b"/v1/catalogue/products/", b"/catalogue/products/")
USERS = b"/v1/users/"
_STAND_IN = "\u2215"  # looks like a slash, routes like a letter


class EncodedSlashes:
    """Keep %2F within a path's segment, so that the id a%2Fb is one segment; servers decode it too early.

    What is encoded otherwise is decoded here too, once: some servers decode twice.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Route by a path in which encoded slashes are letters."""
        raw: bytes = scope.get("raw_path") or b""
        if raw.startswith((*PREFIXES, USERS)) and b"%" in raw:
            segments = (unquote(segment.decode("latin-1")) for segment in raw.split(b"/"))
            scope["path"] = "/".join(segment.replace("/", _STAND_IN) for segment in segments)
        await self.app(scope, receive, send)


def product_id_of(request: Request) -> str:
    """Return the product id in the request's path, as it was before encoding."""
    raw: bytes = request.scope.get("raw_path") or b""
    for prefix in PREFIXES:
        if raw.startswith(prefix):
            return unquote(raw[len(prefix) :].partition(b"/")[0].decode("latin-1"))
    return str(request.path_params["product_id"])


def user_id_of(request: Request) -> str:
    """Return the user id in the request's path, as it was before encoding."""
    raw: bytes = request.scope.get("raw_path") or b""
    if raw.startswith(USERS):
        return unquote(raw[len(USERS) :].partition(b"/")[0].decode("latin-1"))
    return str(request.path_params["user_id"])


def _declared(
    request: Request,
    product_id: Annotated[str, Path(description="URL-encoded, slashes too", min_length=1)],
) -> str:
    return product_id_of(request)


ProductId = Annotated[str, Depends(_declared)]


def product_path(product_id: str, *rest: str) -> str:
    """Return the path of a product, or of something below it."""
    return "/".join([f"/v1/products/{quote(product_id, safe='')}", *rest])
