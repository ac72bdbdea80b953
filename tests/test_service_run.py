"""The service as a process: where it listens, how it stops, how it changes versions under load."""

from __future__ import annotations

import http.client
import json
import logging
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from service_shop import BASE_URL, open_shop, paint, products, publish, settings_for
from starlette.testclient import TestClient

from vision_rec.errors import InputError, UnavailableError
from vision_rec.service import create_app
from vision_rec.service.logs import JsonLines
from vision_rec.service.run import serve

HOST = Path(__file__).with_name("service_host.py")
FEW = products()[:8]


@contextmanager
def running(folder, *options):
    """A service over the shop below `folder`; yields its process and its URL."""
    process = subprocess.Popen(
        [sys.executable, str(HOST), str(folder), *options], stderr=subprocess.PIPE, text=True
    )
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=lambda: [lines.put(line) for line in process.stderr], daemon=True).start()
    process.lines = lines
    try:
        while True:
            line = json.loads(lines.get(timeout=60))
            if line["event"] == "listening":
                break
        wait_for(lambda: ready(line["url"]))
        yield process, line["url"]
    finally:
        process.kill()
        process.wait()


def ready(url):
    try:
        return httpx.get(f"{url}/readyz", timeout=5).status_code == 200
    except httpx.TransportError:
        return False


def wait_for(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.05)


@pytest.fixture
def shop(tmp_path):
    paint(tmp_path / "shop")
    publish(tmp_path / "indexes", tmp_path / "shop")
    return tmp_path


# ── where it listens ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.com", ""])
def test_other_machines_are_not_served_without_keys(tmp_path, host):
    with pytest.raises(InputError, match=r"without API keys.*keys create"):
        serve(settings_for(tmp_path, host=host, port=0))


def test_a_port_in_use_is_told(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UnavailableError, match=f"port {port}"):
            serve(settings_for(tmp_path, port=port))


# ── how it stops ─────────────────────────────────────────────────────────────────────────────────────


def test_sigterm_finishes_what_runs_and_ends_with_0(shop):
    with running(shop, "--slow", "4.0") as (process, url):
        answer = httpx.get(f"{url}/v1/products/mug-red/similar")
        assert "server" not in answer.headers and answer.headers["date"]
        assert len(answer.json()["items"]) == 10
        found = []
        ask = threading.Thread(
            target=lambda: found.append(httpx.post(f"{url}/v1/search", json={"text": "mug"}, timeout=30))
        )
        ask.start()
        wait_for(lambda: "vision_rec_in_flight 2.0" in httpx.get(f"{url}/metrics").text)  # it and this
        process.send_signal(signal.SIGTERM)
        assert process.wait(25) == 0
        ask.join(5)
        assert found[0].status_code == 200 and found[0].json()["items"]
        with pytest.raises(httpx.TransportError):
            httpx.get(url)


def test_a_client_that_sends_all_before_it_reads_hears_why_it_was_refused(shop):
    with running(shop) as (_, url):
        talk = http.client.HTTPConnection(url.removeprefix("http://"), timeout=60)
        json_type = {"Content-Type": "application/json"}
        for path, body, status in (("/v1/search", b" " * (8 << 20), 413), ("/healthz", None, 200)):
            talk.request("POST" if body else "GET", path, body, json_type)  # a reset would raise here
            answer = talk.getresponse()
            assert answer.status == status and json.loads(answer.read())
        asked = {**json_type, "Expect": "100-continue", "Content-Length": str(8 << 20)}
        talk.request("POST", "/v1/search", None, asked)  # nothing more is waited for
        assert talk.getresponse().status == 413


def test_ctrl_c_ends_it_as_a_key_does(shop):
    with running(shop) as (process, _):
        process.send_signal(signal.SIGINT)
        assert process.wait(25) in (130, 1, -signal.SIGINT)  # KeyboardInterrupt, which the CLI turns into 130


# ── how it changes versions ──────────────────────────────────────────────────────────────────────────


def test_versions_change_under_load_without_a_failed_request(shop):
    known = {}  # version → its products
    store = shop / "indexes"
    known[(store / "CURRENT").read_text().strip()] = {product.id for product in products()}
    stop, problems, seen, count = threading.Event(), [], set(), [0]

    def ask(url):
        with httpx.Client(base_url=url, timeout=30) as client:
            while not stop.is_set():
                answer = client.get("/v1/products/mug-red/similar", params={"k": 20, "max_per_group": 0})
                count[0] += 1
                if answer.status_code != 200:
                    problems.append(answer.text)
                    return
                body = answer.json()
                seen.add(body["version"])
                ids = {item["id"] for item in body["items"]}
                expected = known.get(body["version"])
                if expected is not None and (not ids <= expected or len(ids) != min(20, len(expected) - 1)):
                    problems.append(body)

    with running(shop) as (_, url):
        threads = [threading.Thread(target=ask, args=(url,)) for _ in range(3)]
        for thread in threads:
            thread.start()
        for turn in range(8):
            chosen = FEW if turn % 2 == 0 else products()
            version = publish(store, shop / "shop", chosen)
            known[version.id] = {product.id for product in chosen}
            if turn == 3:  # one that is damaged before anybody has opened it
                before = httpx.get(f"{url}/readyz").json()["version"]
                (version.path / "vectors.npy").write_bytes(b"damaged")
                time.sleep(0.4)
                assert httpx.get(f"{url}/readyz").json()["version"] in (before, version.id)
                continue
            wait_for(lambda v=version: httpx.get(f"{url}/readyz").json()["version"] == v.id)
        stop.set()
        for thread in threads:
            thread.join(30)
        metrics = httpx.get(f"{url}/metrics").text
    assert problems == [] and count[0] > 50 and len(seen) >= 6
    assert 'vision_rec_reload_total{outcome="changed"}' in metrics


@pytest.mark.slow
def test_workers_do_not_outlive_their_parent(shop):
    with running(shop, "--workers", "2") as (process, url):
        process.kill()
        process.wait(10)
        wait_for(lambda: not ready(url), 20)


@pytest.mark.slow
def test_several_workers_follow_and_share_their_figures(shop):
    with running(shop, "--workers", "2") as (process, url):

        def answered():
            # A worker that has only just started may still be opening the index and says so.
            status = httpx.get(f"{url}/v1/products/mug-red/similar", timeout=60).status_code
            assert status in (200, 503)
            return status

        statuses = [answered()]
        wait_for(lambda: statuses.append(answered()) or statuses.count(200) >= 20, 120)

        def total():
            lines = httpx.get(f"{url}/metrics", timeout=60).text.splitlines()
            found = [line for line in lines if "seconds_count{" in line and "/similar" in line]
            return sum(float(line.split()[-1]) for line in found)

        wait_for(lambda: total() == len(statuses), 60)  # whichever worker is asked
        version = publish(shop / "indexes", shop / "shop", FEW)

        def versions():
            return {httpx.get(f"{url}/readyz", timeout=60).json().get("version") for _ in range(20)}

        wait_for(lambda: versions() == {version.id}, 60)
        process.send_signal(signal.SIGTERM)
        assert process.wait(25) == 0


# ── what it logs ─────────────────────────────────────────────────────────────────────────────────────


def test_one_line_of_json_per_request_without_what_was_asked(shop):
    with running(shop) as (process, url):
        httpx.post(
            f"{url}/v1/search", json={"text": "canary-of-a-visitor"}, headers={"X-Request-ID": "my-id"}
        )
        httpx.get(f"{url}/v1/products/canary-of-a-visitor/similar?exclude=canary-of-a-visitor")
        process.send_signal(signal.SIGTERM)
        process.wait(25)
        lines = []
        while not process.lines.empty():
            lines.append(process.lines.get())
    assert "canary" not in "".join(lines)
    (line,) = [json.loads(text) for text in lines if '"my-id"' in text]
    assert (line["event"], line["route"], line["status"]) == ("request", "/v1/search", 200)
    assert line["level"] == "info" and line["duration_ms"] > 0 and line["ts"].endswith("+00:00")


def test_log_lines_stay_one_line():
    record = logging.makeLogRecord(
        {"msg": "two\nlines", "levelno": 20, "levelname": "INFO", "path": Path("/x")}
    )
    text = JsonLines().format(record)
    assert "\n" not in text and json.loads(text)["event"] == "two\nlines"


def test_the_service_opens_its_indexes_itself(tmp_path):
    settings, _ = open_shop(tmp_path, poll_seconds=0.05)
    with TestClient(create_app(settings), base_url=BASE_URL) as client:
        wait_for(lambda: client.get("/readyz").status_code == 200)
        assert client.get("/v1/products/mug-red/similar").json()["items"]


def test_the_watch_outlives_a_defect(tmp_path, caplog):
    settings, recommender = open_shop(tmp_path, poll_seconds=0.02)
    reload, calls = recommender.reload_if_changed, []

    def broken_at_first():
        calls.append(1)
        if len(calls) < 3:
            raise RuntimeError("a defect")
        return reload()

    recommender.reload_if_changed = broken_at_first
    with TestClient(create_app(settings, recommender), base_url=BASE_URL) as client:
        version = publish(settings.paths.indexes, tmp_path / "shop", FEW)
        wait_for(lambda: client.get("/readyz").json()["version"] == version.id)
    assert "a defect" in caplog.text


def test_warming_asks_words_and_pictures_and_notes_what_is_missing(tmp_path, caplog):
    settings, recommender = open_shop(tmp_path, warm=True)
    answer, asked = recommender.answer, []

    def note(query):
        asked.append(query)
        if query.text:
            raise UnavailableError("no text model here")
        return answer(query)

    recommender.answer = note
    with TestClient(create_app(settings, recommender), base_url=BASE_URL) as client:
        wait_for(lambda: len(asked) == 2)
        assert client.get("/v1/products/mug-red/similar").status_code == 200
    assert asked[0].text and asked[1].image is not None and "not answered" in caplog.text
