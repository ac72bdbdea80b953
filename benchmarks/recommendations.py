"""`/v1/recommendations` beside `similar`, over HTTP, with and without a trained session model.

    python benchmarks/recommendations.py INDEXES [--data DIR] [--turns N]

DIR/session has the trained pair of that index (`vision-rec train session`, then reindex); without --data only
the recency mean is measured. Nothing is written to either.
"""

from __future__ import annotations

import argparse
import random
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import bench
import events
import httpx

from vision_rec import Recommender
from vision_rec.settings import Settings

USERS, SESSIONS, CALLS = 50, 200, 10


def cases(
    client: httpx.Client, ids: list[str], rng: random.Random
) -> dict[str, Callable[[], httpx.Response]]:
    """Return what is asked, by name; `similar` comes first."""

    def recommend(**body: object) -> Callable[[], httpx.Response]:
        return lambda: client.post(
            "/v1/recommendations",
            json={name: value() if callable(value) else value for name, value in body.items()},
        )

    return {
        "GET similar": lambda: client.get(f"/v1/products/{quote(rng.choice(ids), safe='')}/similar"),
        "POST recommendations, 5 recent": recommend(recent=lambda: rng.sample(ids, 5)),
        "POST recommendations, user": recommend(user_id=lambda: f"u{rng.randrange(USERS)}"),
        "POST recommendations, session": recommend(session_id=lambda: f"s{rng.randrange(SESSIONS)}"),
        "POST recommendations, stranger": recommend(session_id="nobody"),
    }


def timed(client: httpx.Client, ids: list[str], turns: int) -> list[list[object]]:
    """Return p50, p99 and the ratio of the p50 to that of `similar`; the requests take turns."""
    rng = random.Random(2)
    for _ in range(CALLS):
        call = events.events(rng, ids, events.CALL)
        client.post("/v1/events", json={"events": call}).raise_for_status()
    asked = cases(client, ids, rng)
    times: dict[str, list[float]] = {name: [] for name in asked}
    for turn in range(-10, turns):
        for name, ask in asked.items():
            started = time.perf_counter()
            ask().raise_for_status()
            if turn >= 0:  # the first ones load what is loaded once
                times[name].append(time.perf_counter() - started)
    base = bench.percentile(times["GET similar"], 0.5)
    return [
        [
            name,
            f"{bench.percentile(own, 0.5) * 1e3:.1f}",
            f"{bench.percentile(own, 0.99) * 1e3:.1f}",
            f"{bench.percentile(own, 0.5) / base:.2f}",
        ]
        for name, own in times.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("indexes", type=Path)
    parser.add_argument("--data", type=Path, help="folder whose `session` has the trained pair")
    parser.add_argument("--turns", type=int, default=250)
    given = parser.parse_args()
    if given.data is not None and not (given.data / "session" / "CURRENT").is_file():
        parser.error(f"--data {given.data} has no trained pair in {given.data / 'session'}")
    header = ["request", "p50 ms", "p99 ms", "× similar"]
    text = ""
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        recommender = Recommender.open(
            given.indexes, settings=Settings.load(paths={"indexes": given.indexes, "data": scratch / "var"})
        )
        ids = [product.id for product in recommender.products(limit=2000)]
        where = f"{given.indexes} ({len(recommender)} products)"
        for title in ("recency mean", *(("trained model",) if given.data else ())):
            data = scratch / title.replace(" ", "-")
            if title == "trained model":
                shutil.copytree(given.data / "session", data / "session")
            with events.served(given.indexes, data) as client:
                rows = timed(client, ids, given.turns)
            text += bench.table(f"{title.capitalize()}, one client, on {where}", header, rows) + "\n"
    bench.record("recommendations", text)


if __name__ == "__main__":
    main()
