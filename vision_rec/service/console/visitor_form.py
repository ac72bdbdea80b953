"""What the address and the forms of the visitor screen say: who, what was found, what has just been done."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Any
from urllib.parse import urlencode

PAGE = "/journeys/visitor"
_MAX_WAS = 2000  # characters of the ids of a list, in an address
_LENGTHS = {"user": 256, "q": 256, "product": 256, "token": 32, "viewed": 256, "erased": 9, "was": _MAX_WAS}


@dataclass(frozen=True, slots=True)
class VisitorForm:
    """A visitor; the words that look for a product; the last act, and the list as it was before that."""

    user: str = ""
    q: str = ""
    product: str = ""  # to be viewed
    token: str = ""  # of the page that a view was recorded from
    viewed: str = ""
    erased: str = ""
    was: tuple[str, ...] = ()

    @classmethod
    def read(cls, pairs: Iterable[tuple[str, str]]) -> VisitorForm:
        """Read a query string or a form; unknown names do nothing."""
        texts: dict[str, str] = {}
        for name, value in pairs:
            if name in _LENGTHS:
                texts[name] = value.strip()[: _LENGTHS[name] + 1]  # too long ones are refused, not cut
        lines = texts.pop("was", "").split("\n")  # browsers send \r\n
        was = tuple(ident for line in lines if (ident := line.strip()))
        if not texts.get("erased", "0").isascii() or not texts.get("erased", "0").isdigit():
            texts["erased"] = ""
        return cls(**texts, was=was)

    def address(self, path: str = PAGE) -> str:
        """Return the shortest address that says the same."""
        names = ("user", "q", "viewed", "erased")
        said = [(name, getattr(self, name)) for name in names if getattr(self, name)]
        listed = "\n".join(self.was)
        if listed and len(listed) <= _MAX_WAS:
            said.append(("was", listed))
        return f"{path}?{urlencode(said)}" if said else path

    def after_view(self) -> str:
        """Return where a recorded view leads: the visitor, with the list as it was before."""
        return replace(self, q="", viewed=self.product, erased="").address()

    def after_erasure(self, count: int) -> str:
        """Return where an erasure leads."""
        return VisitorForm(self.user, erased=str(count)).address()

    def event(self) -> dict[str, Any]:
        """Return the view as a body of POST /v1/events; sent twice from one page it counts once."""
        event = {"type": "view", "product_id": self.product, "user_id": self.user}
        if self.token:
            mark = blake2b(f"{self.user}\n{self.product}".encode(), digest_size=8).hexdigest()
            event["event_id"] = f"console-{self.token}-{mark}"
        return event


def new_visitor() -> str:
    """Return the id of a test visitor that nobody has yet."""
    return f"test-{secrets.token_hex(3)}"
