"""Hear out a client whose body nobody wants: one that is cut off while it sends never reads why."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vision_rec.service.outermost import header

LINGER_SECONDS = 5.0
LINGER_BYTES = 64 << 20
_TOO_SLOW = 408  # whoever sends nothing is not waited for again


class Linger:
    """Answer at once, then read on for a while before the connection may close.

    A connection that is closed with bytes unread is reset, and a reset throws away the answer on its way.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on; its answer ends when its body has."""
        if scope["type"] != "http" or not _announces_body(scope):
            await self.app(scope, receive, send)
            return
        unread, owing, status = True, False, 0

        async def heard() -> Message:
            nonlocal unread
            message = await receive()
            unread = message.get("more_body", False)
            return message

        async def said(message: Message) -> None:
            nonlocal owing, status
            status = message.get("status", status)
            last = message["type"] == "http.response.body" and not message.get("more_body", False)
            owing = last and unread and status != _TOO_SLOW
            await send({**message, "more_body": True} if owing else message)

        try:
            await self.app(scope, heard, said)
        finally:
            if owing:
                with suppress(TimeoutError):
                    await asyncio.wait_for(_drain(heard), LINGER_SECONDS)
                await send({"type": "http.response.body"})


async def _drain(heard: Receive) -> None:
    left = LINGER_BYTES
    while left > 0:
        message = await heard()
        left -= len(message.get("body", b""))
        if not message.get("more_body", False):
            return


def _announces_body(scope: Scope) -> bool:
    """Say whether a body is on its way; with `Expect: 100-continue` it comes only when asked for."""
    if header(scope, b"expect") is not None:
        return False
    return header(scope, b"transfer-encoding") is not None or header(scope, b"content-length") not in (
        None,
        b"0",
    )
