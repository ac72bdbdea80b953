"""What all routes share: the recommender, its pace, the threads, the figures, and the watch on CURRENT."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from binascii import crc32
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from typing import TypeVar

import numpy as np
from starlette.requests import Request

from vision_rec.access import Access
from vision_rec.audience import AudienceDesk
from vision_rec.errors import UnavailableError, VisionRecError
from vision_rec.events import EventLog
from vision_rec.health import HealthDesk
from vision_rec.merchandise import RuleDesk
from vision_rec.pictures import QueryPictures, Thumbnails
from vision_rec.recommend import Recommender
from vision_rec.recommend.state import State
from vision_rec.service.metrics import Metrics
from vision_rec.service.rates import Buckets
from vision_rec.service.schemas import search_body
from vision_rec.settings import Settings, thread_count
from vision_rec.types import Query, Recommendations
from vision_rec.versions import VersionDesk

log = logging.getLogger("vision_rec.service")
T = TypeVar("T")

MAX_FAILURES = 10  # wrong keys of one address per FAILURE_SECONDS; then 429 in place of 401
FAILURE_SECONDS = 60.0
# A hop to another thread costs about 0.1 ms and lets other requests run; shorter searches do without.
INLINE_SECONDS = 0.002
EVENT_THREADS = 8
HITS_SECONDS = 30.0  # between two writes of what rules did
_MENDED = "the events were damaged and have been mended; see `vision-rec doctor`"
_MEMORY = 0.2  # share of the newest search in the pace


class Service:
    """One worker's state; routes reach it by `service_of(request)`."""

    def __init__(self, settings: Settings, recommender: Recommender | None = None) -> None:
        self.settings = settings
        self.metrics = Metrics()
        self.access = Access(settings)
        self.rates = Buckets(settings.service.rate_per_second, settings.service.burst)
        self.anonymous = Buckets(settings.service.anonymous_rate_per_second, settings.service.burst)
        self.failures = Buckets(MAX_FAILURES / FAILURE_SECONDS, MAX_FAILURES)  # wrong keys, by address
        self.search_body = search_body(settings)
        self.versions = VersionDesk(settings)
        self.rules = RuleDesk(settings)
        self.audience = AudienceDesk(settings)
        self.health = HealthDesk(settings.paths.data)
        self.pictures = QueryPictures(settings.images)
        self.thumbnails = Thumbnails(settings.paths.data / "cache" / "thumbnails")
        self.defaults_hash = crc32(repr(settings.search).encode())  # they decide answers as a version does
        self.draining = False
        self.trouble: str | None = None  # why the newest version could not be opened
        self.opening = recommender is None
        self.warming = settings.service.warm  # until what queries would wait for is loaded
        self._recommender = recommender
        self._pace = INLINE_SECONDS  # seconds of a search without encoders, lately
        self._searches = ThreadPoolExecutor(thread_count(settings.service.threads), "search")
        self._files = ThreadPoolExecutor(2, "files")
        self.events = EventLog(settings)
        self.event_trouble: str | None = None  # why the last call could not be stored
        self._appends = ThreadPoolExecutor(EVENT_THREADS, "events")  # who waits for one commit share the next
        if recommender is not None:
            self._note_version()

    # ── answering ─────────────────────────────────────────────────────────────────────────────────────

    @property
    def recommender(self) -> Recommender:
        """The recommender; raises UnavailableError as long as there is none."""
        if self._recommender is None:
            what = "the index is being opened" if self.opening else self.trouble or "there is no index yet"
            raise UnavailableError(what)
        return self._recommender

    @property
    def state(self) -> State | None:
        """The version that answers, None where there is none yet."""
        return None if self._recommender is None else self._recommender.state

    @property
    def is_open(self) -> bool:
        """Whether there is a version to answer from."""
        return self._recommender is not None

    async def answer(self, query: Query) -> Recommendations:
        """Answer `query`: in the event loop where that is quick, else in a thread."""
        recommender, started = self.recommender, time.perf_counter()
        light = is_light(query)
        if light and self._pace < INLINE_SECONDS:
            answer = recommender.answer(query)
        else:
            answer = await self.search_thread(lambda: recommender.answer(query))
        seconds = time.perf_counter() - started
        if light:
            self._pace += _MEMORY * (min(seconds, 1.0) - self._pace)
        self.metrics.stages.labels("search").observe(seconds)
        for effect in answer.rules:
            self.metrics.rule_hits.labels(effect.effect).inc()
            if effect.amount:
                self.rules.hits.count(effect.id)
        self.metrics.results.labels("product" if light else "search").observe(len(answer))
        return answer

    async def search_thread(self, work: Callable[[], T]) -> T:
        """Run CPU work in one of the threads for searches."""
        return await asyncio.get_running_loop().run_in_executor(self._searches, work)

    async def file_thread(self, work: Callable[[], T]) -> T:
        """Run file work in one of the threads for files."""
        return await asyncio.get_running_loop().run_in_executor(self._files, work)

    async def event_thread(self, work: Callable[[], T]) -> T:
        """Run work on the event store in one of the threads for it."""
        return await asyncio.get_running_loop().run_in_executor(self._appends, work)

    # ── following CURRENT ─────────────────────────────────────────────────────────────────────────────

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Watch for new versions as long as the service runs."""
        works = (self._watch(), self._watch_keys(), self._write_hits(), self._mend_events())
        tasks = [asyncio.create_task(work) for work in works]  # held, or lost
        try:
            yield
        finally:
            self.draining = True
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await asyncio.to_thread(self.rules.hits.flush)
            self._searches.shutdown(wait=False, cancel_futures=True)
            self._files.shutdown(wait=False, cancel_futures=True)
            self._appends.shutdown(wait=True)
            self.events.close()
            self.pictures.close()

    async def _watch(self) -> None:
        while True:
            try:
                await self.file_thread(self.refresh)
                if self.warming and self.is_open:
                    await asyncio.to_thread(self.warm)  # no thread that a search may need meanwhile
            except Exception:  # a defect must not end the watch: later versions would never be seen
                log.exception("defect while looking for a new version")
            await asyncio.sleep(self.settings.service.poll_seconds)

    async def _mend_events(self) -> None:
        """Look at the file of events once; a damaged one is set aside before anybody needs it."""
        try:
            if await self.event_thread(self.events.vault.mend) is not None:
                self.event_trouble = _MENDED
        except (VisionRecError, OSError) as error:
            self.event_trouble = f"events are not stored: {error}"
            log.error("the events cannot be looked at", extra={"detail": str(error)})

    async def _watch_keys(self) -> None:
        """Follow the file of keys; apart from the versions, which may take long to open."""
        trouble: str | None = None
        while True:
            await asyncio.sleep(self.settings.service.poll_seconds)
            try:
                if await asyncio.to_thread(self.access.refresh):
                    log.info("keys changed", extra={"valid": self.access.valid_keys, "pid": os.getpid()})
            except Exception:  # a defect must not end the watch: revoked keys would go on
                log.exception("defect while looking for changed keys")
            if self.access.trouble not in (None, trouble):
                log.error("the keys cannot be read", extra={"detail": self.access.trouble})
            trouble = self.access.trouble

    async def _write_hits(self) -> None:
        """Write what rules did now and then; never while a request waits."""
        trouble: str | None = None
        while True:
            await asyncio.sleep(HITS_SECONDS)
            try:
                await asyncio.to_thread(self.rules.hits.flush)
            except Exception:  # a defect must not end the loop: nothing would be written again
                log.exception("defect while writing the hits of rules")
            if self.rules.hits.trouble not in (None, trouble):
                log.warning("the hits of rules are not written", extra={"detail": self.rules.hits.trouble})
            trouble = self.rules.hits.trouble

    def warm(self) -> None:
        """Load what the first queries would wait for; only then is the service ready."""
        try:
            self._load()
        finally:  # a defect in loading shows in answers, not in a service that is never ready
            self.warming = False

    def _load(self) -> None:
        """Load the session model and the encoders; note what is not available."""
        self.recommender.state.session_model.warm()
        side = self.settings.images.min_side
        for query in (Query(text="warm", k=1), Query(image=np.full((side, side, 3), 255, np.uint8), k=1)):
            try:
                self.recommender.answer(query)
            except VisionRecError as error:
                log.warning("some queries are not answered", extra={"detail": str(error)})
        with suppress(VisionRecError):  # no picture, but it starts the process that says so
            self.pictures.open(b"warm", max_side=side)

    def refresh(self) -> None:
        """Open or change to the version that CURRENT names; keep the old one where that fails."""
        try:
            if self._recommender is None:
                self._recommender = Recommender.open(
                    self.settings.paths.indexes,
                    settings=self.settings,
                    history=self.events.history,
                )
                self._note_version()
            else:
                before = self._recommender.version_id
                if self._recommender.reload_if_changed() and self._recommender.version_id != before:
                    self._note_version()
                    self.metrics.reloads.labels("changed").inc()
            self.trouble = None
        except (VisionRecError, OSError, MemoryError) as error:
            self._note_trouble(error)
        finally:
            self.opening = False

    def _note_version(self) -> None:
        recommender = self.recommender
        self._pace = INLINE_SECONDS  # unknown: the first searches go to a thread
        self.metrics.use_version(recommender.version_id, len(recommender))
        self.versions.note_good(recommender.version_id)  # opening checks every byte
        log.info("version in use", extra={"version": recommender.version_id, "pid": os.getpid()})

    def _note_trouble(self, error: Exception) -> None:
        if str(error) == self.trouble:
            return  # said once, not every two seconds
        self.trouble = str(error)
        self.metrics.reloads.labels("failed").inc()
        log.warning("the version cannot be opened", extra={"detail": str(error)})


def is_light(query: Query) -> bool:
    """Say whether stored rows answer `query`, without any encoder and without asking the event store."""
    return (
        not (query.user_id or query.session_id)
        and query.image is None
        and query.text is None
        and query.colour is None
        and all(example.image is None for example in query.examples)
    )


def service_of(request: Request) -> Service:
    """Return the service that a request came to."""
    service: Service = request.app.state.service
    return service
