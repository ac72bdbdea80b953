"""kill -9 while events are written, a disk that fails, Redis that dies: nothing acknowledged is lost."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest
from event_calls import settings_for, view
from redis_server import RedisServer
from service_shop import BASE_URL, MathEncoders, open_shop
from starlette.testclient import TestClient

from vision_rec.errors import ResourceError, UnavailableError
from vision_rec.events import EventLog
from vision_rec.failpoints import VARIABLE, arm
from vision_rec.recommend import Recommender
from vision_rec.service import create_app
from vision_rec.settings import Settings

DRILL = Path(__file__).with_name("event_drill.py")
KILLS = int(os.environ.get("VISION_REC_EVENT_KILLS", "5"))  # 50 in the benchmark
REDIS_KILLS = int(os.environ.get("VISION_REC_EVENT_KILLS", "2"))


def drill(folder, seed, *url, lines=6, env=None):
    """Run the writer, kill it with -9 after `lines` acknowledgements; return the acknowledged ids."""
    command = [sys.executable, str(DRILL), str(folder), str(seed), *url]
    environment = {**os.environ, **(env or {})}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        told = []
        for line in process.stdout:
            told.append(line)
            if len(told) == lines:
                process.kill()
        # What was in the pipe when it died was acknowledged too; a line cut short was not said.
        process.wait()
    return [name for line in told if line.endswith("\n") for name in line.split()]


def check(log, acknowledged):
    """In a fresh process' eyes: everything acknowledged is there once, and nothing twice."""
    found = Counter(event.event_id for event in log.export())
    assert max(found.values(), default=1) == 1
    assert set(acknowledged) <= set(found), sorted(set(acknowledged) - set(found))[:5]
    for thread in range(4):
        assert all(event.session_id for event in log.history.of(f"user-{thread}", None).acts)
    return set(found)


def retried(log, acknowledged):
    """A client sends again what it is not sure of: everything is there exactly once."""
    for start in range(0, len(acknowledged), 500):
        names = acknowledged[start : start + 500]
        receipt = log.record([view("again", event_id=name) for name in names])
        assert (receipt.accepted, receipt.duplicates) == (0, len(names))


@pytest.fixture
def server(tmp_path):
    found = RedisServer(tmp_path / "redis", "--appendfsync", "always").start()
    yield found
    found.kill()


def test_kill_while_events_are_written_to_sqlite(tmp_path):
    rng, acknowledged = random.Random(3), []
    for turn in range(KILLS):
        acknowledged += drill(tmp_path / "var", turn, lines=rng.randrange(1, 30))
        log = EventLog(settings_for(tmp_path / "var"))
        check(log, acknowledged)
        assert log.vault.store.damage() is None
        log.close()
    retried(EventLog(settings_for(tmp_path / "var")), acknowledged)


@pytest.mark.parametrize("place", ["events.before-commit", "events.after-commit"])
def test_kill_right_beside_the_commit(tmp_path, place):
    acknowledged = drill(tmp_path / "var", 0, lines=10**9, env={VARIABLE: f"{place}@4=kill"})
    log = EventLog(settings_for(tmp_path / "var"))
    found = check(log, acknowledged)
    if place == "events.after-commit":
        assert found > set(acknowledged)  # stored, and its client never heard of it: it will send it again
    retried(log, sorted(found))


def test_kill_of_who_writes_to_redis(tmp_path, server):
    rng, acknowledged = random.Random(4), []
    for turn in range(REDIS_KILLS):
        acknowledged += drill(tmp_path / "var", turn, server.url, lines=rng.randrange(1, 30))
        log = EventLog(settings_for(tmp_path / "var", store="redis", url=server.url))
        check(log, acknowledged)
        log.close()
    retried(EventLog(settings_for(tmp_path / "var", store="redis", url=server.url)), acknowledged)


def test_kill_of_redis_itself(tmp_path, server):
    """While several clients write: after each start what was acknowledged is there, once, and no more."""
    log = EventLog(settings_for(tmp_path / "var", store="redis", url=server.url))
    acknowledged, sent, lock = [], set(), threading.Lock()

    def write(thread, turn, stop):
        number = 0
        while not stop.is_set():
            names = [f"{turn}-{thread}-{number}-{i}" for i in range(5)]
            number += 1
            with lock:
                sent.update(names)
            try:
                log.record([view(event_id=name, user_id="u") for name in names])
            except UnavailableError:
                continue
            with lock:
                acknowledged.extend(names)

    for turn in range(REDIS_KILLS):
        stop, before = threading.Event(), len(acknowledged)
        threads = [threading.Thread(target=write, args=(i, turn, stop)) for i in range(3)]
        for thread in threads:
            thread.start()
        try:
            while len(acknowledged) < before + 40:
                assert all(thread.is_alive() for thread in threads)
                threads[0].join(0.01)
            server.kill()
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        server.start()
        found = Counter(event.event_id for event in log.export())
        assert set(acknowledged) <= set(found) <= sent and max(found.values()) == 1
    retried(log, acknowledged)


def test_redis_that_is_down_costs_history_and_nothing_else(tmp_path, server):
    settings = settings_for(tmp_path / "var", store="redis", url=server.url, read_timeout_s=5)
    log = EventLog(settings)
    log.record([view("p1", user_id="u", event_id="e1")])
    assert [event.product_id for event in log.history.of("u", None).acts] == ["p1"]
    server.kill()
    with pytest.raises(UnavailableError, match="cannot be reached now"):
        log.record([view("p2", user_id="u", event_id="e2")])
    assert log.history.of("u", None).is_down
    with pytest.raises(UnavailableError):
        log.erase("u")
    server.start()
    assert log.record([view("p2", user_id="u", event_id="e2")]).accepted == 1
    log.history._rest_until = -1.0
    assert [event.product_id for event in log.history.of("u", None).acts] == ["p1", "p2"]


def test_redis_that_hangs_costs_a_recommendation_its_budget_once(tmp_path, server):
    settings = settings_for(tmp_path / "var", store="redis", url=server.url, read_timeout_s=0.5)
    log = EventLog(settings)
    log.record([view("p1", user_id="u")])
    asked = []
    recent = log.vault.store.recent
    log.vault.store.recent = lambda *args, **options: asked.append(1) or recent(*args, **options)
    server.process.send_signal(signal.SIGSTOP)
    try:
        assert [log.history.of("u", None).is_down for _ in range(20)] == [True] * 20
        assert len(asked) < 20  # after one wait the store is left alone for a while
    finally:
        server.process.send_signal(signal.SIGCONT)
    ends = time.monotonic() + 60
    while log.history.of("u", None).is_down:
        assert time.monotonic() < ends
        time.sleep(0.05)


def test_redis_stopped_under_load_never_makes_a_500_and_loses_nothing(tmp_path, server):
    """Over HTTP: events are stored or refused, recommendations go on; all that was stored is there after."""
    open_shop(tmp_path)
    paths = {"indexes": tmp_path / "indexes", "data": tmp_path / "var"}
    kept = {"store": "redis", "url": server.url, "max_disk_share": 1.0, "min_free_bytes": 0}
    settings = Settings.load(paths=paths, service={"warm": False}, images={"workers": 1}, events=kept)
    recommender = Recommender.open(paths["indexes"], settings=settings, encoders=MathEncoders())
    acknowledged, statuses, stop = [], Counter(), threading.Event()

    def load(client, number):
        turn = 0
        while not stop.is_set():
            names = [f"{number}-{turn}-{i}" for i in range(3)]
            turn += 1
            call = [view("mug-blue", event_id=name, user_id="u") for name in names]
            answer = client.post("/v1/events", json={"events": call})
            statuses["events", answer.status_code] += 1
            if answer.status_code == 202:
                acknowledged.extend(names)
            answer = client.post("/v1/recommendations", json={"user_id": "u", "recent": ["lamp-red"]})
            statuses["recommendations", answer.status_code] += 1

    with TestClient(create_app(settings, recommender), base_url=BASE_URL) as client:
        threads = [threading.Thread(target=load, args=(client, i)) for i in range(3)]
        for thread in threads:
            thread.start()
        try:
            wait_until(lambda: len(acknowledged) > 30, threads)
            server.kill()
            wait_until(lambda: statuses["events", 503] > 5, threads)
            server.start()
            seen = len(acknowledged)
            wait_until(lambda: len(acknowledged) > seen + 30, threads)
        finally:
            stop.set()
            for thread in threads:
                thread.join()
    assert set(statuses) == {("events", 202), ("events", 503), ("recommendations", 200)}
    found = Counter(event.event_id for event in EventLog(settings).export())
    assert set(acknowledged) <= set(found) and max(found.values()) == 1


def wait_until(condition, threads):
    ends = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < ends and all(thread.is_alive() for thread in threads)
        time.sleep(0.02)


def test_no_byte_of_an_erased_user_is_in_the_files_of_redis(tmp_path):
    server = RedisServer(tmp_path / "redis", "--save", "3600 1").start()
    try:
        log = EventLog(settings_for(tmp_path / "var", store="redis", url=server.url))
        log.record([view("anon-mine", session_id="anna-session")])
        log.record(
            [
                view("mine-only", user_id="anna", session_id="anna-session", event_id=f"anna-{i}")
                for i in range(40)
            ]
        )
        log.record([view("other", user_id="bob", event_id=f"b{i}") for i in range(40)])
        words = [
            log.vault.names.user("anna"),
            log.vault.names.session("anna-session"),
            "anna",
            "mine-only",
            "anon-mine",
        ]
        patience = range(300)  # a busy disk lets the server write later, and it unlinks old files in a thread
        for _ in patience:
            if any(words[0].encode() in read(path) for path in server.folder.rglob("*") if path.is_file()):
                break
            threading.Event().wait(0.1)
        else:
            pytest.fail("what is to be erased was never in the files")
        assert log.erase("anna") == 41
        for _ in patience:
            files = [path for path in server.folder.rglob("*") if path.is_file()]
            left = [(path, word) for path in files for word in words if word.encode() in read(path)]
            if not left:
                break
            threading.Event().wait(0.1)
        assert left == [] and len(list(log.export())) == 40
        server.kill()
        server.start()
        assert len(list(log.export())) == 40 and list(log.export("anna")) == []
    finally:
        server.kill()


def read(path):
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""


def test_redis_that_would_forget_is_refused(tmp_path):
    server = RedisServer(tmp_path / "redis", "--appendonly", "no").start()
    try:
        log = EventLog(settings_for(tmp_path / "var", store="redis", url=server.url))
        with pytest.raises(UnavailableError, match="set `appendonly yes`"):
            log.record([view()])
        assert list(log.export()) == []
    finally:
        server.kill()


def test_redis_that_is_full_is_told(tmp_path):
    server = RedisServer(tmp_path / "redis", "--maxmemory", "3mb", "--maxmemory-policy", "noeviction").start()
    try:
        log = EventLog(settings_for(tmp_path / "var", store="redis", url=server.url))
        with pytest.raises(ResourceError, match="raise maxmemory"):
            for _ in range(200):
                log.record([view("x" * 256, request_id="y" * 100) for _ in range(200)])
        log.history.of("u", None)
        assert len(list(log.export())) % 200 == 0  # whole calls or nothing
    finally:
        server.kill()


def test_redis_with_a_password_never_shows_it(tmp_path):
    settings = settings_for(
        tmp_path, store="redis", url="redis://user:hunter2@127.0.0.1:1/0", read_timeout_s=1
    )
    log = EventLog(settings)
    with pytest.raises(UnavailableError) as told:
        log.record([view()])
    assert "hunter2" not in str(told.value) and "127.0.0.1:1" in str(told.value)
    assert log.history.of("u", None).is_down


@pytest.mark.parametrize("fault", ["ENOSPC", "EIO"])
def test_a_disk_that_fails_in_the_commit_acknowledges_nothing(tmp_path, fault):
    log = EventLog(settings_for(tmp_path / "var"))
    log.record([view(event_id="e1")])
    arm(f"events.before-commit=raise:{fault}")
    try:
        with pytest.raises((ResourceError, UnavailableError)):
            log.record([view(event_id="e2")])
    finally:
        arm("")
    assert [event.event_id for event in log.export()] == ["e1"]
    assert log.record([view(event_id="e2")]).accepted == 1


def test_a_store_that_another_process_holds_is_waited_for_and_then_told(tmp_path):
    import sqlite3

    log = EventLog(settings_for(tmp_path / "var", write_timeout_s=0.2))
    log.record([view(event_id="e1")])
    other = sqlite3.connect(tmp_path / "var" / "events.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(UnavailableError, match="locked"):
        log.record([view(event_id="e2")])
    assert (
        len(log.history.of(None, "s").acts) == 0 and not log.history.of(None, "s").is_down
    )  # reading goes on
    other.execute("ROLLBACK")
    assert log.record([view(event_id="e2")]).accepted == 1
    other.close()
