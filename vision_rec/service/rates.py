"""Token buckets: how often somebody may do something, in the memory of one worker."""

from __future__ import annotations

import time
from collections.abc import Callable

MAX_BUCKETS = 10_000  # the one not asked for longest is forgotten first


class Buckets:
    """One bucket for each: it holds `burst` tokens and gains `rate` per second; rate 0 means no limit."""

    def __init__(self, rate: float, burst: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.rate, self.burst = rate, max(burst, 1.0)
        self._clock = clock
        self._levels: dict[str, tuple[float, float]] = {}  # tokens, and when they were counted

    def take(self, who: str, cost: float = 1.0) -> float:
        """Take `cost` tokens and return 0, or return the seconds until they are there."""
        if not self.rate:
            return 0.0
        now, cost = self._clock(), min(cost, self.burst)
        level, counted = self._levels.pop(who, (self.burst, now))
        level = min(self.burst, level + max(now - counted, 0.0) * self.rate)
        granted = level >= cost
        self._levels[who] = (level - cost if granted else level, now)
        if len(self._levels) > MAX_BUCKETS:
            del self._levels[next(iter(self._levels))]
        return 0.0 if granted else (cost - level) / self.rate
