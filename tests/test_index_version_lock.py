"""The lock of a version store: its holder, threads, children, deaths."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time

import pytest
from index_store import publish

from vision_rec.errors import (
    LockedError,
)
from vision_rec.index.version import VersionStore


@pytest.fixture
def store(tmp_path):
    return VersionStore(tmp_path / "indexes")


def test_the_lock_names_its_holder_and_is_reentrant(store):
    with store.lock(), store.lock():
        other = VersionStore(store.root)
        for use in (lambda: publish(other), lambda: other.activate("x"), lambda: other.prune(1)):
            with pytest.raises(LockedError, match=rf"process {os.getpid()} on .+ since \d{{4}}-.*Z"):
                use()
    publish(VersionStore(store.root))
    assert (store.root / "LOCK").read_bytes() == b""


def test_another_thread_of_the_same_store_is_another(store):
    seen = []

    def try_it():
        try:
            with store.lock():
                seen.append("got it")
        except LockedError:
            seen.append("locked")

    with store.lock():
        thread = threading.Thread(target=try_it)
        thread.start()
        thread.join()
    try_it()
    assert seen == ["locked", "got it"]


def test_a_holder_that_has_not_written_its_name_yet(store):
    with store.lock():
        os.truncate(store.root / "LOCK", 0)
        with pytest.raises(LockedError, match="another process"):
            VersionStore(store.root).prune(1)


ORPHAN = """
import os, sys, time
from pathlib import Path
from vision_rec.index.version import VersionStore
store = VersionStore(Path(sys.argv[1]))
with store.lock():
    if os.fork() == 0:          # a decode worker that outlives its parent
        assert not store._lock.mine
        os.close(1); sys.stdin.read(); os._exit(0)
    print("locked", flush=True)
    time.sleep(60)
"""


def test_the_lock_dies_with_its_holder_even_if_workers_live_on(store):
    command = [sys.executable, "-c", ORPHAN, str(store.root)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline() == b"locked\n"
        with pytest.raises(LockedError, match=f"process {holder.pid} "):
            publish(store)
        holder.kill()
        holder.wait()
        # The worker lets go when it first runs, which on a busy machine may be after its parent's end.
        end = time.monotonic() + 20
        while True:
            try:
                assert publish(store).id == store.current_id()
                break
            except LockedError:
                assert time.monotonic() < end, "the worker keeps the dead holder's lock"
                time.sleep(0.05)
        holder.stdin.close()


def test_the_forked_child_leaves_its_parents_with_in_peace(store):
    with store.lock():
        child = os.fork()
        if child == 0:
            try:
                with store.lock():
                    os._exit(1)
            except LockedError:
                pass
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        with pytest.raises(LockedError):
            VersionStore(store.root).prune(1)
