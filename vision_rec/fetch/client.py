"""One HTTP GET over checked addresses, with a deadline over everything: connect, headers, body, redirects."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import urljoin

import certifi
import httpcore

from vision_rec.errors import FetchError, UrlNotAllowedError
from vision_rec.fetch.addresses import Address, Resolver, Target, check_url, is_public, resolve_checked

_HEADERS = {"User-Agent": "vision-rec", "Accept": "image/*", "Accept-Encoding": "identity"}
_REDIRECTS = (301, 302, 303, 307, 308)
_Options = Iterable[
    tuple[int, int, int] | tuple[int, int, bytes | bytearray] | tuple[int, int, None, int]
]  # of sockets, as httpcore spells it


@dataclass(frozen=True, slots=True)
class FetchPolicy:
    """What is admitted and how long it may take; seconds and bytes."""

    ports: frozenset[int] = frozenset({80, 443})
    admits: Callable[[Address], bool] = is_public
    connect_s: float = 3.0
    read_s: float = 5.0  # between two pieces of an answer
    total_s: float = 30.0  # of one URL, all tries and redirects together
    floor_bytes_per_s: float = 10 * 1024
    floor_after_s: float = 5.0
    redirects: int = 3
    tries: int = 3
    per_host: int = 4  # requests at once
    break_after: int = 10  # failures within break_window_s stop a host …
    break_window_s: float = 60.0
    break_rest_s: float = 30.0  # … for this long


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole HTTP answer; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Client:
    """Get URLs: no proxies, cookies, credentials or environment; safe to use from several threads."""

    def __init__(
        self, hosts: tuple[str, ...], max_bytes: int, policy: FetchPolicy, resolve: Resolver
    ) -> None:
        self._hosts, self._max_bytes, self._policy, self._resolve = hosts, max_bytes, policy, resolve
        self._backend = _PinnedBackend()
        self._pool = httpcore.ConnectionPool(
            ssl_context=_trust(),
            max_connections=64,
            max_keepalive_connections=32,
            keepalive_expiry=10.0,
            network_backend=self._backend,
        )

    def close(self) -> None:
        """Close all connections; what other threads still read ends at their next piece."""
        self._backend.closed = True
        self._pool.close()

    def check(self, url: str) -> Target:
        """Check a URL's form, host and port, without any traffic."""
        return check_url(url, self._hosts, self._policy.ports)

    def get(self, url: str, deadline: float, headers: Mapping[str, str]) -> Answer:
        """Follow `url` to its answer, at most until `deadline` (of the monotonic clock).

        Raises FetchError, and UrlNotAllowedError also for a redirect's aim.
        """
        secured = False
        for _ in range(self._policy.redirects + 1):
            target = self.check(url)
            if secured and target.scheme == "http":
                raise UrlNotAllowedError(f"an https URL redirects to {target}, which is not secured")
            secured = target.scheme == "https"
            addresses = resolve_checked(target, self._resolve, self._policy.admits)
            answer = self._get_once(target, addresses, deadline, headers)
            if answer.status not in _REDIRECTS:
                return answer
            if "location" not in answer.headers:
                raise FetchError(f"{target} redirects to nowhere", "bad-redirect")
            url = urljoin(f"{target.scheme}://{target.authority}{target.path}", answer.headers["location"])
        raise FetchError(f"{target} redirects more than {self._policy.redirects} times", "redirects")

    def _get_once(
        self, target: Target, addresses: tuple[str, ...], deadline: float, headers: Mapping[str, str]
    ) -> Answer:
        policy = self._policy
        timeout = {
            "connect": policy.connect_s,
            "read": policy.read_s,
            "write": policy.read_s,
            "pool": policy.total_s,
        }
        sent = {"Host": target.authority, **_HEADERS, **headers}
        address = httpcore.URL(
            scheme=target.scheme.encode(),
            host=target.host.encode(),
            port=target.port,
            target=target.path.encode(),
        )
        try:
            with (
                self._backend.pinned(addresses, deadline),
                self._pool.stream(
                    "GET", address, headers=list(sent.items()), extensions={"timeout": timeout}
                ) as response,
            ):
                named = {
                    key.decode("latin-1").lower(): text.decode("latin-1") for key, text in response.headers
                }
                wanted = response.status == 200
                return Answer(response.status, named, self._read(response, named, target) if wanted else b"")
        except httpcore.TimeoutException as error:
            raise FetchError(f"{target} takes too long", "timeout") from error
        except (httpcore.NetworkError, httpcore.ProtocolError, OSError) as error:
            raise FetchError(f"{target} cannot be read: {error or type(error).__name__}", "broken") from error

    def _read(self, response: httpcore.Response, headers: Mapping[str, str], target: Target) -> bytes:
        if headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
            raise FetchError(f"{target} answers compressed although it was asked not to", "encoded")
        announced = headers.get("content-length", "")
        if announced.isdecimal() and int(announced[:20]) > self._max_bytes:
            raise FetchError(
                f"{target} has {announced[:20]} bytes, the limit is {self._max_bytes:,}", "too-large"
            )
        body, start = bytearray(), time.monotonic()
        for piece in response.iter_stream():
            body += piece
            if len(body) > self._max_bytes:
                raise FetchError(f"{target} has more than {self._max_bytes:,} bytes, the limit", "too-large")
            taken = time.monotonic() - start
            if taken > self._policy.floor_after_s and len(body) < taken * self._policy.floor_bytes_per_s:
                raise FetchError(f"{target} sends {len(body) / taken:.0f} bytes/s, too slow", "too-slow")
        return bytes(body)


@lru_cache(maxsize=1)
def _trust() -> ssl.SSLContext:
    """Return one context for all: it takes long to build and holds nothing of a connection."""
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())  # small systems bring no certificates of their own
    return context


class _PinnedBackend(httpcore.NetworkBackend):
    """Connect to the addresses that were checked, whatever the host name; TLS still verifies the name.

    Addresses and deadline belong to the calling thread, so a kept connection obeys whoever uses it now.
    """

    def __init__(self) -> None:
        self._inner = httpcore.SyncBackend()
        self._call = threading.local()
        self.closed = False

    @contextmanager
    def pinned(self, addresses: tuple[str, ...], deadline: float) -> Iterator[None]:
        self._call.addresses, self._call.deadline = addresses, deadline
        try:
            yield
        finally:
            del self._call.addresses, self._call.deadline

    def remaining(self, timeout: float | None) -> float:
        """Return the smaller of `timeout` and the time left; raises when none is left."""
        if self.closed:
            raise FetchError("the fetcher is closed", "closed")
        left: float = self._call.deadline - time.monotonic()
        if left <= 0:
            raise httpcore.ReadTimeout("the total time is over")
        return left if timeout is None else min(timeout, left)

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: _Options | None = None,
    ) -> httpcore.NetworkStream:
        failure: Exception = httpcore.ConnectError(f"no address of {host}")
        for address in self._call.addresses:
            try:
                stream = self._inner.connect_tcp(
                    address, port, self.remaining(timeout), local_address, socket_options
                )
                return _TimedStream(stream, self)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure


class _TimedStream(httpcore.NetworkStream):
    """A socket whose every wait ends at the deadline; per-phase timeouts alone never end a drip of bytes."""

    def __init__(self, stream: httpcore.NetworkStream, backend: _PinnedBackend) -> None:
        self._stream, self._backend = stream, backend

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._backend.remaining(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._backend.remaining(timeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        secured = self._stream.start_tls(ssl_context, server_hostname, self._backend.remaining(timeout))
        return _TimedStream(secured, self._backend)

    def get_extra_info(self, info: str) -> object:
        return self._stream.get_extra_info(info)
