"""Decoding in several supervised processes, in order; one thread per process feeds and watches it."""

from __future__ import annotations

import hashlib
import logging
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice, takewhile
from queue import SimpleQueue
from types import TracebackType
from typing import TYPE_CHECKING

from vision_rec.errors import ImageError, InputError
from vision_rec.images.process import CrashError, DecodeProcess, Outcome, Source
from vision_rec.types import Picture

if TYPE_CHECKING:
    from vision_rec.settings import ImageSettings

BATCH = 8  # pictures per message
LOOK_AHEAD = 256  # pictures decoded before they are asked for
REFUSE_S = 3600.0  # bytes that cost a process are not tried again for this long
_REFUSED_MOST = 1000
_log = logging.getLogger(__name__)


class DecodePool:
    """Decode pictures in `workers` processes (0 = one per core), each under memory, CPU and wall limits.

    A picture that crashes or stalls its process is answered with an error, the process is replaced, and all
    other pictures are unaffected. Several threads may use one pool. Close it, or use it as a context manager.
    """

    def __init__(self, workers: int, limits: ImageSettings) -> None:
        from vision_rec.settings import thread_count

        if workers < 0:
            raise InputError(f"workers is {workers}; give 0 (one per core) or more")
        self.workers = thread_count(workers)
        self._threads = ThreadPoolExecutor(self.workers, thread_name_prefix="decode")
        self._all = [DecodeProcess(limits) for _ in range(self.workers)]
        self._idle: SimpleQueue[DecodeProcess] = SimpleQueue()
        for worker in self._all:
            self._idle.put(worker)
        self._refused: dict[bytes, float] = {}  # SHA-256 of bytes that cost a process → until when

    def __enter__(self) -> DecodePool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End all processes at once; pictures not yet decoded are dropped."""
        for worker in self._all:
            worker.stop()
        self._threads.shutdown(wait=True, cancel_futures=True)
        for worker in self._all:
            worker.end()

    def decode(
        self, sources: Iterable[Source], *, max_side: int, query: bool = False
    ) -> Iterator[Picture | ImageError]:
        """Yield one picture (H, W, 3), or the error that stands for it, per source, in order.

        At most a few hundred sources are read ahead of what has been taken.
        """
        waiting: deque[Future[list[Outcome]]] = deque()
        remaining = iter(sources)
        try:
            while batch := list(islice(remaining, BATCH)):
                waiting.append(self._threads.submit(self._run, batch, max_side, query))
                while waiting and (waiting[0].done() or len(waiting) * BATCH >= LOOK_AHEAD):
                    yield from waiting.popleft().result()
            while waiting:
                yield from waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()

    def open(self, source: Source, *, max_side: int, query: bool = False) -> Picture:
        """Decode one picture under the pool's limits; raises the ImageError that `decode` would yield."""
        outcome = self._threads.submit(self._run, [source], max_side, query).result()[0]
        if isinstance(outcome, ImageError):
            raise outcome
        return outcome

    def _run(self, batch: Sequence[Source], max_side: int, query: bool) -> list[Outcome]:
        worker = self._idle.get()
        outcomes: list[Outcome] = []
        crashes = 0  # of the picture that is next
        try:
            while len(outcomes) < len(batch):
                part = list(takewhile(self._is_welcome, batch[len(outcomes) :]))
                if not part:
                    outcomes.append(ImageError("this picture crashed or stalled a decoder before", "refused"))
                    continue
                try:
                    for outcome in worker.decode(part, max_side, query):
                        outcomes.append(outcome)
                        crashes = 0
                except CrashError:
                    crashes += 1
                    if crashes == 2:  # once may be somebody else's kill, twice is the picture
                        outcomes.append(ImageError("decoding the picture crashed its process", "crashed"))
                        crashes = 0
                if outcomes and _cost_a_process(outcomes[-1]):
                    self._refuse(batch[len(outcomes) - 1])
            return outcomes
        finally:
            self._idle.put(worker)

    def _is_welcome(self, source: Source) -> bool:
        if not self._refused or not isinstance(source, bytes):
            return True
        return self._refused.get(hashlib.sha256(source).digest(), 0.0) < time.monotonic()

    def _refuse(self, source: Source) -> None:
        if not isinstance(source, bytes):
            _log.warning("picture %s crashed or stalled its decode process", source)
            return
        digest = hashlib.sha256(source).digest()
        _log.warning("picture with SHA-256 %s crashed or stalled its decode process", digest.hex())
        while len(self._refused) >= _REFUSED_MOST:
            self._refused.pop(next(iter(self._refused)), None)
        self._refused[digest] = time.monotonic() + REFUSE_S


def _cost_a_process(outcome: Outcome) -> bool:
    return isinstance(outcome, ImageError) and outcome.reason in ("crashed", "too-slow")
