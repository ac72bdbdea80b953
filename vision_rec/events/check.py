"""One event as a client or a file gives it: every field checked, clocks clamped."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from typing import Any

from vision_rec.errors import InputError
from vision_rec.sessions import EVENT_TYPES, RATING
from vision_rec.settings import EventSettings
from vision_rec.types import Event

FIELDS = ("event_id", "type", "product_id", "user_id", "session_id", "at", "value", "position", "request_id")
PASSED_OVER = "received_at"  # of a whole Event sent back; the time of receipt is this clock's
MAX_IDENT = 256  # characters of a product, user or session id
MAX_EVENT_ID = 128  # of an event or request id
MAX_POSITION = 1_000_000
MAX_VALUE = 1e12
MAX_TIME = 64  # characters of a time
_LIMITS = {"event_id": MAX_EVENT_ID, "request_id": MAX_EVENT_ID}
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Times:
    """When events are received, and how far a client's clock may be from it."""

    now: datetime
    earliest: datetime
    latest: datetime

    @classmethod
    def of(cls, now: datetime, settings: EventSettings) -> Times:
        """Return the bounds that `settings` give around `now`."""
        past = timedelta(days=settings.max_past_days)
        return cls(now, now - past, now + timedelta(minutes=settings.max_future_minutes))

    def clamp(self, moment: datetime) -> datetime:
        """Bring a time that is out of bounds back to them."""
        return min(max(moment, self.earliest), self.latest)


def event_of(body: Any, times: Times) -> Event:
    """Check one event; its `event_id` is empty where none is given, its ids are still those of the client.

    Its time is what the client said, not yet clamped; a missing one is the time of receipt. Raises InputError
    with the reason.
    """
    if not isinstance(body, Mapping):
        raise InputError(f"an event is an object, not {_shown(body)}")
    for name in body:
        if name not in FIELDS and name != PASSED_OVER:
            near = get_close_matches(str(name), FIELDS, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(FIELDS)}"
            raise InputError(f"unknown field {str(name)[:50]!r}; {hint}")
    kind = body.get("type")
    if kind not in EVENT_TYPES:
        raise InputError(f"type is {_shown(kind)}; allowed are {', '.join(EVENT_TYPES)}")
    product_id = _ident(body, "product_id")
    if product_id is None:
        raise InputError("product_id is missing")
    at = _moment(body.get("at"), times)
    return Event(
        event_id=_ident(body, "event_id") or "",
        type=kind,
        product_id=product_id,
        at=at,
        received_at=times.now,
        user_id=_ident(body, "user_id"),
        session_id=_ident(body, "session_id"),
        value=_value(body.get("value"), kind),
        position=_position(body.get("position")),
        request_id=_ident(body, "request_id"),
    )


def _ident(body: Mapping[str, Any], name: str) -> str | None:
    value = body.get(name)
    if value is None:
        return None
    most = _LIMITS.get(name, MAX_IDENT)
    if not isinstance(value, str):
        raise InputError(f"{name} is {_shown(value)}; allowed is a text")
    if not value.strip():
        raise InputError(f"{name} is empty; leave it out or give one")
    if len(value) > most:
        raise InputError(f"{name} has {len(value)} characters; allowed are {most}")
    if _CONTROL.search(value):
        raise InputError(f"{name} holds a control character or half a character")
    return value


def _moment(value: Any, times: Times) -> datetime:
    if value is None:
        return times.now
    if not isinstance(value, datetime):
        if not isinstance(value, str) or len(value) > MAX_TIME:
            raise InputError(f"at is {_shown(value)}; write a time such as 2026-03-01T12:00:00Z")
        try:
            value = datetime.fromisoformat(value)
        except ValueError as error:
            raise InputError(f"at is {_shown(value)}; write a time such as 2026-03-01T12:00:00Z") from error
    try:
        moment: datetime = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
        return moment
    except OverflowError:  # the first or last hours that there are
        return times.earliest if value.year == 1 else times.latest


def _value(value: Any, kind: str) -> float | None:
    if value is None:
        if kind == RATING:
            raise InputError("a rating needs its stars, 1 to 5, in value")
        return None
    good = isinstance(value, int | float) and not isinstance(value, bool)
    if not good or not abs(value) <= MAX_VALUE:  # NaN is not either
        raise InputError(f"value is {_shown(value)}; allowed is a finite number up to {MAX_VALUE:g}")
    if kind == RATING and not 1 <= value <= 5:
        raise InputError(f"value of a rating is {_shown(value)}; allowed are 1 to 5")
    return float(value)


def _position(value: Any) -> int | None:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MAX_POSITION:
        raise InputError(f"position is {_shown(value)}; allowed are whole numbers from 0 to {MAX_POSITION}")
    return value


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"
