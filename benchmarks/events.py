"""Events: calls stored durably, recommendations beside `similar`, kill -9 fifty times.

`python benchmarks/events.py [INDEXES]` uses an index that is there already, else it builds one first.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import bench
import httpx

from vision_rec import Recommender
from vision_rec.events import EventLog
from vision_rec.settings import Settings

KILLS = 50
CALL = 1000


def events(rng: random.Random, ids: list[str], count: int) -> list[dict[str, object]]:
    """Return views of visitors, some of them known users."""
    return [
        {
            "event_id": f"{rng.getrandbits(64):x}",
            "type": "view",
            "product_id": rng.choice(ids),
            "session_id": f"s{rng.randrange(200)}",
            **({"user_id": f"u{rng.randrange(50)}"} if rng.random() < 0.3 else {}),
        }
        for _ in range(count)
    ]


def stored(settings: Settings, ids: list[str]) -> list[list[object]]:
    """Return how long calls take in this process, and how many small calls share the disk per second."""
    log, rng = EventLog(settings), random.Random(1)
    log.record(events(rng, ids, CALL))
    times = []
    for _ in range(20):
        call = events(rng, ids, CALL)
        times.append(bench.clock(lambda c=call: log.record(c)))
    rows = [
        [f"{CALL} events in one call", *(f"{bench.percentile(times, s) * 1e3:.1f} ms" for s in (0.5, 0.95))]
    ]
    for threads in (1, 16):
        done, end = [0] * threads, time.perf_counter() + 5

        def write(number: int, done: list[int] = done, end: float = end) -> None:
            own = random.Random(number)
            while time.perf_counter() < end:
                log.record(events(own, ids, 1))
                done[number] += 1

        workers = [threading.Thread(target=write, args=(i,)) for i in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        what = "calls/s, a commit each" if threads == 1 else "calls/s, sharing commits"
        rows.append([f"1 event a call, {threads} at once", f"{sum(done) / 5:.0f} {what}", ""])
    log.close()
    return rows


@contextmanager
def served(indexes: Path, data: Path) -> Iterator[httpx.Client]:
    """Serve the index and give a client of it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-c", "from vision_rec.cli import main; main()", "serve", "--port", str(port)]
    command += ["--indexes", str(indexes), "--data", str(data)]
    environment = {
        **os.environ,
        "VISION_REC_SERVICE__WARM": "false",
        "VISION_REC_SERVICE__RATE_PER_SECOND": "0",
    }
    server = subprocess.Popen(command, stderr=subprocess.DEVNULL, env=environment)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=30) as client:
            for _ in range(600):
                try:
                    if client.get("/readyz").status_code == 200:
                        break
                except httpx.TransportError:
                    time.sleep(0.1)
            yield client
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(30)


def asked(client: httpx.Client, ids: list[str]) -> list[list[object]]:
    """Return p50 and p95 of one client: events, `similar` and recommendations, turn by turn."""
    rng = random.Random(2)
    for _ in range(10):
        client.post("/v1/events", json={"events": events(rng, ids, CALL)}).raise_for_status()
    cases = {
        "GET similar": lambda: client.get(f"/v1/products/{quote(rng.choice(ids), safe='')}/similar"),
        "POST recommendations, user": lambda: client.post(
            "/v1/recommendations", json={"user_id": f"u{rng.randrange(50)}"}
        ),
        "POST recommendations, session": lambda: client.post(
            "/v1/recommendations", json={"session_id": f"s{rng.randrange(200)}"}
        ),
        "POST recommendations, stranger": lambda: client.post(
            "/v1/recommendations", json={"session_id": "nobody"}
        ),
        f"POST events, {CALL} in one call": lambda: client.post(
            "/v1/events", json={"events": events(rng, ids, CALL)}
        ),
    }
    times: dict[str, list[float]] = {name: [] for name in cases}
    for turn in range(250):
        for name, call in cases.items():
            if "events" in name and turn % 10:
                continue
            started = time.perf_counter()
            call().raise_for_status()
            times[name].append(time.perf_counter() - started)
    base = bench.percentile(times["GET similar"], 0.5)
    return [
        [
            name,
            f"{bench.percentile(own, 0.5) * 1e3:.1f}",
            f"{bench.percentile(own, 0.95) * 1e3:.1f}",
            f"{bench.percentile(own, 0.5) / base:.2f}",
        ]
        for name, own in times.items()
    ]


def killed() -> str:
    """Kill writers and Redis with -9, KILLS times, and return what the tests say."""
    tests = ["tests/faults/test_event_faults.py", "-k", "kill"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:xdist", *tests],
        cwd=bench.ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, "VISION_REC_EVENT_KILLS": str(KILLS)},
    )
    return done.stdout.strip().splitlines()[-1]


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        indexes = Path(sys.argv[1]) if len(sys.argv) > 1 else scratch / "indexes"
        settings = Settings.load(paths={"indexes": indexes, "data": scratch / "var"})
        title = str(indexes)
        if indexes.exists():
            recommender = Recommender.open(indexes, settings=settings)
        else:
            source = bench.catalogue(scratch)
            title = source.name
            recommender = Recommender.build(
                source.feed, images=source.images, indexes=indexes, settings=settings
            )
        ids = [product.id for product in recommender.products(limit=2000)]
        text = bench.table("Stored in SQLite, in one process", ["what", "p50", "p95"], stored(settings, ids))
        if shutil.which("redis-server"):
            text += "\n" + with_redis(scratch, settings, ids)
        with served(indexes, scratch / "served") as client:
            rows = asked(client, ids)
        header = ["request", "p50 ms", "p95 ms", "× similar"]
        text += "\n" + bench.table(
            f"Over HTTP, one client, on {title} ({len(recommender)} products)", header, rows
        )
    text += f"\n## kill -9, {KILLS} times\n\n`{killed()}`\n"
    bench.record("events", text)


def with_redis(scratch: Path, settings: Settings, ids: list[str]) -> str:
    """Return the same table for a Redis that syncs every write."""
    sys.path.insert(0, str(bench.ROOT / "tests"))
    from redis_server import RedisServer

    server = RedisServer(scratch / "redis", "--appendfsync", "always").start()
    try:
        own = settings.events.model_copy(update={"store": "redis", "url": server.url})
        paths = settings.paths.model_copy(update={"data": scratch / "var-redis"})
        rows = stored(settings.model_copy(update={"events": own, "paths": paths}), ids)
        return bench.table("Stored in Redis, appendfsync always", ["what", "p50", "p95"], rows)
    finally:
        server.kill()


if __name__ == "__main__":
    main()
