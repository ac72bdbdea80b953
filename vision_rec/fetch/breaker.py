"""A host that keeps failing is left alone for a while, so that it cannot hold up the others."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

from vision_rec.fetch.client import FetchPolicy


class Breaker:
    """Count one host's failures; open after too many, then let one trial through after a rest."""

    def __init__(self, policy: FetchPolicy, clock: Callable[[], float]) -> None:
        self._policy, self._clock = policy, clock
        self._failures: deque[float] = deque(maxlen=policy.break_after)
        self._closed_until: float | None = None  # None: not open
        self._lock = threading.Lock()
        self.opened = False  # ever, for reports

    def admits(self) -> bool:
        """Tell whether a request may be sent now; while open, one per rest."""
        with self._lock:
            if self._closed_until is None:
                return True
            if self._clock() < self._closed_until:
                return False
            self._closed_until = self._clock() + self._policy.break_rest_s
            return True

    def succeed(self) -> None:
        """Note an answer, of whatever status below 500."""
        with self._lock:
            self._failures.clear()
            self._closed_until = None

    def fail(self) -> None:
        """Note a request without a usable answer."""
        with self._lock:
            now = self._clock()
            self._failures.append(now)
            full = len(self._failures) == self._policy.break_after
            if full and now - self._failures[0] <= self._policy.break_window_s:
                self._closed_until = now + self._policy.break_rest_s
                self.opened = True
