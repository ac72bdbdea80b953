"""`similar` from Python and over HTTP with 16 connections, on the catalogue's index."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import bench
import httpx

from vision_rec import Recommender
from vision_rec.settings import Settings


def from_python(recommender: Recommender, ids: list[str], queries: int = 2000) -> list[list[object]]:
    """Return p50 and p99 of one `similar` under several conditions."""
    rng = random.Random(0)
    cases = {
        "similar, k 10": {},
        "similar, colour alone": {"weights": {"colour": 1}},
        "similar, one category": {"filters": {"category": "Topwear"}},
        "similar, diversity 0.5": {"diversity": 0.5},
    }
    rows = []
    for name, options in cases.items():
        times = []
        for _ in range(queries // len(cases)):
            product = rng.choice(ids)
            times.append(bench.clock(lambda p=product, o=options: recommender.similar(p, k=10, **o)))
        rows.append([name, *(f"{bench.percentile(times, share) * 1e3:.2f}" for share in (0.5, 0.95, 0.99))])
    return rows


async def over_http(
    base: str, ids: list[str], seconds: float = 8.0, connections: int = 16
) -> tuple[float, list[float]]:
    """Return requests/s and latencies of GET similar from `connections` clients, for a bounded time."""
    limits = httpx.Limits(max_connections=connections)
    times: list[float] = []
    end = time.perf_counter() + seconds

    async def client(seed: int, session: httpx.AsyncClient) -> None:
        rng = random.Random(seed)
        while time.perf_counter() < end:
            started = time.perf_counter()
            answer = await session.get(f"/v1/products/{rng.choice(ids)}/similar", params={"k": 10})
            answer.raise_for_status()
            times.append(time.perf_counter() - started)

    async with httpx.AsyncClient(base_url=base, limits=limits, trust_env=False) as session:
        await asyncio.gather(*(client(seed, session) for seed in range(connections)))
    return len(times) / seconds, times


def with_wrk(base: str, product: str, seconds: int = 8) -> str:
    """Return what wrk says, which costs less CPU than a Python client; empty where it is not installed."""
    url = f"{base}/v1/products/{product}/similar?k=10"
    try:
        done = subprocess.run(
            ["wrk", "-t1", "-c16", f"-d{seconds}s", "--latency", url],
            capture_output=True, text=True, check=True, timeout=seconds + 20,
        )  # fmt: skip
    except FileNotFoundError:
        return ""
    return done.stdout


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        source = bench.catalogue(scratch)
        settings = Settings.load(paths={"indexes": scratch / "indexes", "data": scratch / "var"})
        recommender = Recommender.build(
            source.feed, images=source.images, indexes=scratch / "indexes", settings=settings
        )
        ids = [product.id for product in recommender.products(offset=0, limit=2000)]
        rows = from_python(recommender, ids)
        text = bench.table(f"From Python on {source.name}, ms", ["query", "p50", "p95", "p99"], rows)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        command = [sys.executable, "-m", "vision_rec.cli", "serve", "--port", str(port)]
        command += ["--indexes", str(scratch / "indexes"), "--data", str(scratch / "var")]
        server = subprocess.Popen(command, stderr=subprocess.DEVNULL, env=os.environ)
        base = f"http://127.0.0.1:{port}"
        try:
            for _ in range(200):
                try:
                    if httpx.get(f"{base}/readyz", trust_env=False).status_code == 200:
                        break
                except httpx.TransportError:
                    time.sleep(0.1)
            rate, times = asyncio.run(over_http(base, ids))
            shares = [f"{bench.percentile(times, share) * 1e3:.1f}" for share in (0.5, 0.99)]
            text += "\n" + bench.table(
                "Over HTTP, GET similar, 16 connections, one worker, client on the same cores",
                ["client", "requests/s", "p50 ms", "p99 ms"],
                [["httpx, random products", f"{rate:.0f}", *shares]],
            )
            said = with_wrk(base, ids[0])
            if said:
                text += "\nwrk, one product:\n\n```\n" + said + "```\n"
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(30)
        bench.record("query", text)


if __name__ == "__main__":
    main()
