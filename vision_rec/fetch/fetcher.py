"""Fetch pictures by URL: cached, revalidated, retried, fair to hosts and safe from the slow ones."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from vision_rec.errors import FetchError, UrlNotAllowedError
from vision_rec.fetch.addresses import Resolver, system_resolve
from vision_rec.fetch.breaker import Breaker
from vision_rec.fetch.cache import Entry, FileCache
from vision_rec.fetch.client import Answer, Client, FetchPolicy

if TYPE_CHECKING:
    from vision_rec.settings import ImageSettings

_THREADS = 32
_BACKLOG = 10_000  # URLs read ahead, so that one host's queue does not hide the others'
_BACKOFF_S = 0.5
_PASSING = ("timeout", "broken", "dns")  # reasons worth another try, besides http-5xx
_log = logging.getLogger(__name__)

Fetched = Path | FetchError | UrlNotAllowedError


class Fetcher:
    """Fetch URLs of `limits.allowed_hosts` into `folder`; threads may share it. Close it when done."""

    def __init__(
        self,
        limits: ImageSettings,
        folder: Path,
        *,
        policy: FetchPolicy | None = None,
        resolve: Resolver = system_resolve,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._policy = policy or FetchPolicy()
        self._client = Client(limits.allowed_hosts, limits.max_bytes, self._policy, resolve)
        self._cache = FileCache(folder)
        self._sleep, self._clock = sleep, clock
        self._lock = threading.Lock()
        self._breakers: dict[str, Breaker] = {}
        self._slots: dict[str, threading.Semaphore] = {}

    def __enter__(self) -> Fetcher:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        self._client.close()

    @property
    def stopped_hosts(self) -> tuple[str, ...]:
        """Name the hosts that failed so often that they were left alone for a while."""
        with self._lock:
            return tuple(sorted(host for host, breaker in self._breakers.items() if breaker.opened))

    def fetch(self, url: str, *, refresh: bool = False) -> Path:
        """Return the file of `url`: the cached one if its server says it is unchanged, else a new one.

        `refresh` asks for the whole file; without it, a cached file also stands in for a host that is down.
        Raises UrlNotAllowedError, or FetchError with reason `http-404` (or any status), `timeout`, `broken`,
        `dns`, `host-down`, `too-large`, `too-slow`, `encoded`, `redirects` or `bad-redirect`.
        """
        host = self._client.check(url).host
        breaker, slots = self._host(host)
        cached = None if refresh else self._cache.look(url)
        if not slots.acquire(timeout=self._policy.total_s):
            raise FetchError(f"host {host!r} is busy with other pictures", "timeout")
        try:
            answer = self._try(url, host, breaker, cached)
        except FetchError as error:
            if cached is None or not (_is_passing(error) or error.reason == "host-down"):
                raise
            _log.warning("%s; its cached file is used", error)
            return cached.path
        finally:
            slots.release()
        if cached is not None and answer.status == 304:
            return cached.path
        return self._cache.store(url, answer.body, answer.headers)

    def fetch_all(self, urls: Iterable[str], *, refresh: bool = False) -> Iterator[tuple[str, Fetched]]:
        """Yield each distinct URL with its file or its error, in the order they arrive.

        Several are on their way at once, at most `per_host` of one host: a slow host delays nobody else.
        """
        queues: dict[str, deque[str]] = {}
        busy: Counter[str] = Counter()
        running: dict[Future[Path], tuple[str, str]] = {}
        remaining = iter(dict.fromkeys(urls))
        threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="fetch")
        try:
            while True:
                yield from self._fill(queues, remaining)
                for host in _startable(queues, busy, self._policy.per_host, _THREADS - len(running)):
                    url = queues[host].popleft()
                    running[threads.submit(self.fetch, url, refresh=refresh)] = (host, url)
                    busy[host] += 1
                if not running:
                    return
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    host, url = running.pop(future)
                    busy[host] -= 1
                    yield url, _outcome(future)
        finally:
            threads.shutdown(wait=False, cancel_futures=True)  # Ctrl-C must not wait for slow hosts

    def _fill(self, queues: dict[str, deque[str]], urls: Iterator[str]) -> Iterator[tuple[str, Fetched]]:
        """Read URLs into the queues of their hosts; yield those that must not be fetched at all."""
        waiting = sum(map(len, queues.values()))
        while waiting < _BACKLOG and (url := next(urls, None)) is not None:
            try:
                queues.setdefault(self._client.check(url).host, deque()).append(url)
                waiting += 1
            except UrlNotAllowedError as error:
                yield url, error

    def _host(self, host: str) -> tuple[Breaker, threading.Semaphore]:
        with self._lock:
            if host not in self._breakers:
                self._breakers[host] = Breaker(self._policy, self._clock)
                self._slots[host] = threading.Semaphore(self._policy.per_host)
            return self._breakers[host], self._slots[host]

    def _try(self, url: str, host: str, breaker: Breaker, cached: Entry | None) -> Answer:
        """Get `url` in up to `tries` attempts with growing, jittered pauses, all within the total time."""
        deadline = time.monotonic() + self._policy.total_s
        conditions = cached.conditions() if cached else {}
        left = self._policy.tries
        pause = _BACKOFF_S
        while True:
            if not breaker.admits():
                raise FetchError(f"host {host!r} failed too often and is left alone for a while", "host-down")
            try:
                answer = self._client.get(url, deadline, conditions)
                if answer.status == 200 or (answer.status == 304 and cached):
                    breaker.succeed()
                    return answer
                raise FetchError(
                    f"{self._client.check(url)} answers {answer.status}", f"http-{answer.status}"
                )
            except FetchError as error:
                left -= 1
                _note(breaker, error)
                if not left or not _is_passing(error) or time.monotonic() + pause >= deadline:
                    raise
            self._sleep(pause * random.uniform(0.5, 1.5))
            pause *= 2


def _note(breaker: Breaker, error: FetchError) -> None:
    """Tell the breaker of a failure; a refusal such as 404 shows a host that works, and counts for it."""
    if _is_passing(error) or error.reason == "too-slow":
        breaker.fail()
    else:
        breaker.succeed()


def _is_passing(error: FetchError) -> bool:
    return error.reason in _PASSING or error.reason.startswith("http-5")


def _startable(queues: dict[str, deque[str]], busy: Counter[str], per_host: int, free: int) -> list[str]:
    """Choose hosts for the next requests, one name per request, taking turns between hosts."""
    chosen: list[str] = []
    for turn in range(per_host):
        for host, queue in queues.items():
            if len(chosen) < free and busy[host] + turn < per_host and len(queue) > turn:
                chosen.append(host)
    return chosen


def _outcome(future: Future[Path]) -> Fetched:
    try:
        return future.result()
    except (FetchError, UrlNotAllowedError) as error:
        return error
