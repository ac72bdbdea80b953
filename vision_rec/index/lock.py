"""One writer per folder of indexes: a lock of the kernel's that dies with its holder."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from vision_rec.errors import LockedError
from vision_rec.index.files import disk_errors


class FolderLock:
    """The lock file of a folder; the thread that holds it may take it again."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._owner: int | None = None
        self._descriptor = -1

    @property
    def mine(self) -> bool:
        """Whether this thread holds the lock through this object."""
        return self._owner == threading.get_ident()

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Hold the lock; raises LockedError naming the holder where another has it."""
        if self.mine:
            yield
            return
        with disk_errors(self._path.parent, 4096):
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                self._take(descriptor)
            except BaseException:
                os.close(descriptor)
                raise
        self._descriptor, self._owner = descriptor, threading.get_ident()
        _held.add(self)
        try:
            yield
        finally:
            self._release()

    def forget(self) -> None:
        """Let go in a forked child: the lock stays with the parent, and dies with the parent."""
        os.close(self._descriptor)
        self._owner = None

    def _release(self) -> None:
        if not self.mine:
            return  # a forked child leaves its parent's `with`
        self._owner = None
        _held.discard(self)
        os.ftruncate(self._descriptor, 0)
        os.close(self._descriptor)

    def _take(self, descriptor: int) -> None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise LockedError(
                f"{self._path.parent} is in use by {_holder(descriptor)}; wait until it ends and try again"
            ) from error
        started = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        entry = {"pid": os.getpid(), "host": socket.gethostname(), "started_at": started}
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(entry).encode(), 0)


def _holder(descriptor: int) -> str:
    try:
        entry = json.loads(os.pread(descriptor, 4096, 0))
        return f"process {entry['pid']} on {entry['host']} since {entry['started_at']}"
    except (ValueError, KeyError, TypeError):
        return "another process"  # it has the lock and has not written its name yet


def _forget_all() -> None:
    # A forked worker shares the lock's open file and would keep it alive after its parent was killed.
    for lock in _held:
        lock.forget()
    _held.clear()


_held: set[FolderLock] = set()
os.register_at_fork(after_in_child=_forget_all)
