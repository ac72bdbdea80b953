"""What is known of a visitor when recommendations are made: quick, and never a reason to fail."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from vision_rec.errors import VisionRecError
from vision_rec.sessions import PURCHASE
from vision_rec.sessions.sqlite_file import DamagedError
from vision_rec.sessions.stores import Vault
from vision_rec.types import Event

MAX_ACTS = 100  # of all time; those of the last visit decide, the others are its background
MAX_BOUGHT = 200
POPULAR_ACTS = 20_000  # of all visitors, the last ones
POPULAR_SECONDS = 60.0  # how long a count of them is used
_REST_SECONDS = 1.0  # after a failure, before the store is asked again


@dataclass(frozen=True, slots=True)
class Past:
    """What a visitor did lately, oldest first, and bought ever; `is_down` where the store could not say."""

    acts: tuple[Event, ...] = ()
    purchases: tuple[Event, ...] = ()
    is_down: bool = False
    now: datetime | None = None  # when that was

    @property
    def bought(self) -> frozenset[str]:
        """The ids of the products bought."""
        return frozenset(event.product_id for event in self.purchases)


class History:
    """Reads a visitor's past from the store; while that is down it says so at once, without waiting again."""

    def __init__(self, vault: Vault, clock: Callable[[], float] = time.monotonic) -> None:
        self._vault, self._clock = vault, clock
        self._lock = threading.Lock()
        self._rest_until = -1.0
        self._counted: Mapping[str, int] = {}
        self._counted_until = -1.0

    def of(self, user_id: str | None, session_id: str | None) -> Past:
        """Return what is known of a user, a session or both."""
        if self._clock() < self._rest_until:
            return Past(is_down=True)
        try:
            if self._vault.is_unused:
                return Past()
            names, store = self._vault.names, self._vault.store
            user = None if user_id is None else names.user(user_id)
            session = None if session_id is None else names.session(session_id)
            acts = store.recent(user, MAX_ACTS, session_id=session)
            if len(acts) < MAX_ACTS:  # all there are
                purchases = tuple(act for act in acts if act.type == PURCHASE)
            else:
                purchases = store.recent(user, MAX_BOUGHT, session_id=session, bought=True)
        except VisionRecError as error:
            self._rest_until = self._clock() + _REST_SECONDS
            if isinstance(error, DamagedError):
                self._vault.mend_soon()
            return Past(is_down=True)
        return Past(acts, purchases, now=datetime.now(UTC))

    def popular(self) -> Mapping[str, int]:
        """Return how many visitors lately had to do with each product, most first; at most a minute old.

        While the store is down the last count is used.
        """
        with self._lock:
            now = self._clock()
            if now < max(self._counted_until, self._rest_until):
                return self._counted
            try:
                if self._vault.is_unused:
                    return {}
                self._counted = self._vault.store.popular(POPULAR_ACTS)
            except VisionRecError:
                self._rest_until = now + _REST_SECONDS
                return self._counted
            # A shop's first events are seen soon.
            self._counted_until = now + (POPULAR_SECONDS if self._counted else _REST_SECONDS)
            return self._counted

    def forget(self) -> None:
        """Forget what was counted, for somebody was erased."""
        with self._lock:
            self._counted, self._counted_until = {}, -1.0
