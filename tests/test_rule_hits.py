"""How often rules acted: counted in memory, kept by day in a small file, summed over seven days."""

from __future__ import annotations

import sqlite3
import stat
from datetime import UTC, datetime, timedelta

import pytest
from service_shop import BASE_URL, open_shop
from starlette.testclient import TestClient

from vision_rec.rules import RuleHits
from vision_rec.rules.hits import KEPT_DAYS
from vision_rec.service import create_app


class Clock:
    """A clock that a test moves."""

    def __init__(self):
        self.now = datetime(2026, 3, 1, 23, 30, tzinfo=UTC)

    def __call__(self):
        return self.now

    def later(self, days):
        self.now += timedelta(days=days)


@pytest.fixture
def clock():
    return Clock()


def test_counting_touches_no_disk_and_is_seen_at_once(tmp_path, clock):
    hits = RuleHits(tmp_path / "rules" / "hits.sqlite", clock=clock)
    for _ in range(3):
        hits.count("r-1")
    assert hits.of_week() == {"r-1": 3} and not (tmp_path / "rules").exists()
    assert hits.flush() and hits.of_week() == {"r-1": 3}
    assert stat.S_IMODE(hits.path.stat().st_mode) == 0o600
    assert hits.flush() and hits.of_week() == {"r-1": 3}  # nothing is added twice


def test_workers_add_to_one_file(tmp_path, clock):
    one, other = (RuleHits(tmp_path / "hits.sqlite", clock=clock) for _ in range(2))
    one.count("r-1")
    other.count("r-1")
    other.count("r-2")
    assert one.flush() and other.flush()
    assert one.of_week() == other.of_week() == {"r-1": 2, "r-2": 1}


def test_seven_days_with_today(tmp_path, clock):
    hits = RuleHits(tmp_path / "hits.sqlite", clock=clock)
    for day in range(10):
        if day:
            clock.later(1)
        for _ in range(day + 1):
            hits.count("r-1")
        if day % 2:
            hits.flush()
    assert hits.of_week() == {"r-1": sum(range(4, 11))}
    clock.later(6)
    assert hits.of_week() == {"r-1": 10}
    clock.later(1)
    assert hits.of_week() == {}


def test_old_days_are_dropped(tmp_path, clock):
    hits = RuleHits(tmp_path / "hits.sqlite", clock=clock)
    for days in (0, KEPT_DAYS - 1, 1):
        clock.later(days)
        hits.count("r-1")
        hits.flush()
    with sqlite3.connect(hits.path) as db:
        assert [day for (day,) in db.execute("SELECT day FROM hits ORDER BY day")] == [
            "2026-03-30",
            "2026-03-31",
        ]
    db.close()


def test_what_cannot_be_written_stays_counted(tmp_path, clock):
    hits = RuleHits(tmp_path / "hits.sqlite", clock=clock)
    hits.path.write_bytes(b"this is no database, and it is long enough to be looked at" * 20)
    hits.count("r-1")
    assert not hits.flush() and "hits.sqlite" in hits.trouble
    assert hits.of_week() == {"r-1": 1}
    hits.path.unlink()
    assert hits.flush() and hits.trouble is None and hits.of_week() == {"r-1": 1}


def test_a_service_counts_answers_and_keeps_them(tmp_path):
    settings, recommender = open_shop(tmp_path)
    pin = {"effect": "pin", "products": ["bag-blue"], "scope": {"kind": "product", "value": "mug-red"}}
    with TestClient(create_app(settings, recommender), base_url=BASE_URL) as shop:
        rule = shop.post("/v1/rules", json=pin).json()
        assert rule["hits_7_days"] == 0
        shop.post("/v1/rules/publish")
        for product in ("mug-red", "mug-red", "mug-blue"):
            assert shop.get(f"/v1/products/{product}/similar").status_code == 200
        shop.post("/v1/rules/preview", json={})  # what would be is no hit
        assert [one["hits_7_days"] for one in shop.get("/v1/rules").json()["rules"]] == [2]
        assert "<strong>2</strong>" in shop.get("/rules").text
    with TestClient(create_app(settings, recommender), base_url=BASE_URL) as shop:
        assert shop.get(f"/v1/rules/{rule['id']}").json()["hits_7_days"] == 2
