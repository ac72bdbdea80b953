"""Events in Redis 6.2 or newer, with its append-only file on; every change is one script, so it is whole."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from vision_rec.errors import IntegrityError, ResourceError, UnavailableError
from vision_rec.failpoints import failpoint
from vision_rec.sessions import IMPRESSION, PURCHASE
from vision_rec.sessions.redis_scripts import APPEND, DELETE, LOGOUT
from vision_rec.types import Event

if TYPE_CHECKING:
    import redis

PREFIX = "{vision-rec}:"  # the braces keep all keys on one node of a cluster
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_SHOWN, _DID, _BOUGHT = 0, 1, 2  # kinds: impressions, purchases, all the rest
_AT_ONCE = 500
_CHECK_SECONDS = 10.0  # how long it counts as known that the append-only file is on
_REWRITE_SECONDS = 120.0


class RedisStore:
    """An EventStore in Redis, connected at first use; safe for many threads and processes at once.

    Reads give up after `read_timeout_s`, so that a slow server never holds up a recommendation. `check` is
    the word of the key that ids are hashed with: a store of another key is refused.
    """

    def __init__(
        self,
        url: str,
        check: str,
        *,
        timeout_s: float = 5.0,
        read_timeout_s: float = 0.05,
        prefix: str = PREFIX,
    ) -> None:
        self.url, self._check, self._prefix = url, check, prefix
        self._timeout, self._read_timeout = timeout_s, read_timeout_s
        self._clients: dict[float, redis.Redis] = {}
        self._lock = threading.Lock()
        self._known_good_until = -1.0

    # ── writing ───────────────────────────────────────────────────────────────────────────────────

    def append(self, events: Sequence[Event]) -> int:
        """Store `events` and return how many were new, once Redis has them in its append-only file.

        Raises UnavailableError where that file is off: what it acknowledged would be gone at a restart.
        """
        fields = [field for event in events for field in _fields(event)]
        with self._server() as client:
            self._check_server(client)
            failpoint("events.before-commit")
            new = int(client.eval(APPEND, 0, self._prefix, _micros(datetime.now(UTC)), *fields))
            failpoint("events.after-commit")
        return new

    def forget(self, user_id: str) -> int:
        """Erase a user's events and return how many there were; Redis's files are rewritten without them."""
        count = 0
        with self._server() as client:
            for kind in (_SHOWN, _DID, _BOUGHT):
                while found := client.zrange(self._key(f"u:{user_id}:{kind}"), 0, _AT_ONCE - 1):
                    count += int(client.eval(DELETE, 0, self._prefix, *found))
            client.eval(LOGOUT, 0, self._prefix, user_id)
            _rewrite_files(client)
        return count

    def bury(self, mark: str, at: datetime) -> None:
        """Remember that the subject of `mark` was erased at `at`."""
        with self._server() as client:
            self._check_server(client)
            client.hset(self._key("tombs"), mark, str(_micros(at)))

    def prune(self, before: datetime) -> int:
        """Delete events that were stored before `before`, a bounded number at once; return how many."""
        with self._server() as client:
            old = client.zrange(
                self._key("all"), "-inf", f"({_micros(before)}", byscore=True, offset=0, num=_AT_ONCE
            )
            return int(client.eval(DELETE, 0, self._prefix, *old)) if old else 0

    # ── reading ───────────────────────────────────────────────────────────────────────────────────

    def recent(
        self, user_id: str | None, limit: int, *, session_id: str | None = None, bought: bool = False
    ) -> tuple[Event, ...]:
        """Return the last `limit` things that a user, a session or either did, oldest first."""
        owners = [f"u:{user_id}"] if user_id is not None else []
        if session_id is not None:
            owners.append(f"anon:{session_id}" if user_id is not None else f"s:{session_id}")
        kinds = (_BOUGHT,) if bought else (_DID, _BOUGHT)
        with self._server(self._read_timeout) as client:
            pipe = client.pipeline(transaction=False)
            for owner in owners:
                for kind in kinds:
                    pipe.zrange(self._key(f"{owner}:{kind}"), 0, limit - 1, desc=True, withscores=True)
            found = {seq: score for part in pipe.execute() for seq, score in part}
            ordered = sorted(found, key=lambda seq: (found[seq], seq))[max(0, len(found) - limit) :]
            return tuple(self._events(client, ordered))

    def popular(self, acts: int) -> Mapping[str, int]:
        """Count the visitors of each product among the last `acts` things that anybody did."""
        visitors: defaultdict[str, set[str]] = defaultdict(set)
        with self._server() as client:
            last = client.zrange(self._key("acts"), 0, acts - 1, desc=True)
            for start in range(0, len(last), _AT_ONCE):
                for event in self._events(client, last[start : start + _AT_ONCE]):
                    visitors[event.product_id].add(event.user_id or event.session_id or event.event_id)
        counted = {product_id: len(who) for product_id, who in visitors.items()}
        return dict(sorted(counted.items(), key=lambda entry: (-entry[1], entry[0])))

    def export(self, user_id: str | None = None) -> Iterator[Event]:
        """Yield all events of a user, or of everybody, in the order they came."""
        known: list[str] = []
        with self._server() as client:
            if user_id is None:
                last = int(client.get(self._key("seq")) or 0)
                chunks = (
                    [f"{seq:016d}" for seq in range(start, min(start + _AT_ONCE, last + 1))]
                    for start in range(1, last + 1, _AT_ONCE)
                )
            else:
                for kind in (_SHOWN, _DID, _BOUGHT):
                    known += client.zrange(self._key(f"u:{user_id}:{kind}"), 0, -1)
                known.sort()
                chunks = (known[start : start + _AT_ONCE] for start in range(0, len(known), _AT_ONCE))
        for chunk in chunks:
            with self._server() as client:
                events = self._events(client, chunk)
            yield from events

    def buried(self, marks: Collection[str]) -> Mapping[str, datetime]:
        """Return when the subjects of those of `marks` that are known were erased."""
        listed = list(marks)
        if not listed:
            return {}
        with self._server() as client:
            times = client.hmget(self._key("tombs"), listed)
        return {mark: _time(at) for mark, at in zip(listed, times, strict=True) if at is not None}

    def counts(self) -> Mapping[str, int]:
        """Count the events by type."""
        counted = Counter(event.type for event in self.export())
        return dict(sorted(counted.items()))

    def facts(self) -> Mapping[str, str]:
        """Say what matters of the server: version, append-only file, how it syncs, memory, eviction."""
        with self._server() as client:
            info = {**client.info("server"), **client.info("persistence"), **client.info("memory")}
        return {
            "version": str(info.get("redis_version", "")),
            "aof": str(info.get("aof_enabled", 0)),
            "fsync": self._config("appendfsync"),
            "maxmemory": str(info.get("maxmemory", 0)),
            "policy": str(info.get("maxmemory_policy", "")),
        }

    # ── the server ────────────────────────────────────────────────────────────────────────────────

    def close(self) -> None:
        """Close the connections; a later call opens them again."""
        with self._lock:
            for client in self._clients.values():
                client.close()
            self._clients.clear()
            self._known_good_until = -1.0

    @contextmanager
    def _server(self, timeout_s: float | None = None) -> Iterator[Any]:
        """Give a client, typed loosely since its answers are; say what Redis complains about in our words."""
        try:
            from redis import exceptions as wrong
        except ImportError as error:
            raise UnavailableError(
                'events.store is redis, but its client is not installed; pip install "vision-rec[redis]"'
            ) from error
        try:
            yield self._client(timeout_s or self._timeout)
        except wrong.OutOfMemoryError as error:
            raise ResourceError(f"Redis at {shown(self.url)} is full: {error}; raise maxmemory") from error
        except (wrong.RedisError, OSError) as error:
            self._known_good_until = -1.0
            raise UnavailableError(
                f"the events in Redis at {shown(self.url)} cannot be reached now: {_what(error)}"
            ) from error

    def _client(self, timeout_s: float) -> Any:
        with self._lock:
            if timeout_s not in self._clients:
                self._clients[timeout_s] = _connect(self.url, timeout_s)
            return self._clients[timeout_s]

    def _check_server(self, client: Any) -> None:
        """Refuse a server that forgets at a restart, and events of another key; look again now and then."""
        if time.monotonic() < self._known_good_until:
            return
        if not int(client.info("persistence").get("aof_enabled", 0)):
            raise UnavailableError(
                f"Redis at {shown(self.url)} has no append-only file, so events would be lost; "
                "set `appendonly yes` in its configuration"
            )
        client.set(self._key("key"), self._check, nx=True)
        if client.get(self._key("key")) != self._check:
            raise IntegrityError(
                f"the events in Redis at {shown(self.url)} were stored under another key than "
                "DATA/secrets/events.key; bring the old key back, or use another database"
            )
        self._known_good_until = time.monotonic() + _CHECK_SECONDS

    def _config(self, name: str) -> str:
        """Return a setting of the server, empty where it does not tell."""
        try:
            with self._server() as client:
                return str(client.config_get(name).get(name, ""))
        except UnavailableError:  # managed servers often refuse the command
            return ""

    def _key(self, name: str) -> str:
        return f"{self._prefix}{name}"

    def _events(self, client: Any, seqs: Sequence[str]) -> list[Event]:
        """Read events by number, those that are still there."""
        pipe = client.pipeline(transaction=False)
        for seq in seqs:
            pipe.hmget(self._key(f"e:{seq}"), "b", "u")
        return [_event(body, user) for body, user in pipe.execute() if body is not None] if seqs else []


def shown(url: str) -> str:
    """Return the address of a server without user and password."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _connect(url: str, timeout_s: float) -> Any:
    import redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    # One retry, for a connection that went stale; every change may be sent twice.
    return redis.Redis.from_url(
        url,
        decode_responses=True,
        protocol=2,
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        retry=Retry(NoBackoff(), 1),
    )


def _rewrite_files(client: Any) -> None:
    """Make Redis write its files anew and wait, so that what was deleted is in none of them."""
    state = client.info("persistence")
    if int(state.get("aof_enabled", 0)):
        _finish(client, "aof_rewrite_in_progress", "aof_rewrite_scheduled")
        client.bgrewriteaof()
        _finish(client, "aof_rewrite_in_progress", "aof_rewrite_scheduled")
    if int(state.get("rdb_last_bgsave_time_sec", -1)) >= 0 or _saves(client):
        _finish(client, "rdb_bgsave_in_progress")
        client.bgsave()
        _finish(client, "rdb_bgsave_in_progress")


def _saves(client: Any) -> bool:
    from redis.exceptions import ResponseError

    try:
        return bool(client.config_get("save").get("save"))
    except ResponseError:  # not told: rather one snapshot too many
        return True


def _finish(client: Any, *flags: str) -> None:
    ends = time.monotonic() + _REWRITE_SECONDS
    while any(int(client.info("persistence").get(flag, 0)) for flag in flags):
        if time.monotonic() > ends:
            raise UnavailableError(
                "the events are erased, but Redis has not rewritten its files yet; run it again later"
            )
        time.sleep(0.02)


def _what(error: Exception) -> str:
    return str(error) or type(error).__name__


def _fields(event: Event) -> tuple[str | int, ...]:
    """Return what the script APPEND takes of an event."""
    kind = {IMPRESSION: _SHOWN, PURCHASE: _BOUGHT}.get(event.type, _DID)
    times = _micros(event.at), _micros(event.received_at)
    rest = event.session_id, event.value, event.position, event.request_id
    body = json.dumps([event.event_id, event.type, event.product_id, *times, *rest], ensure_ascii=False)
    return event.event_id, kind, times[1], event.user_id or "", event.session_id or "", body


def _event(body: str, user: str) -> Event:
    event_id, kind, product_id, at, received, session, value, position, request_id = json.loads(body)
    who = user or None, session
    return Event(event_id, kind, product_id, _time(at), _time(received), *who, value, position, request_id)


def _micros(moment: datetime) -> int:
    return (moment - _EPOCH) // _MICROSECOND


def _time(micros: int | str) -> datetime:
    return _EPOCH + int(micros) * _MICROSECOND
