"""Hostile addresses, hosts and sites, too much at once, defects: none gets further than its answer."""

from __future__ import annotations

import asyncio
import json
import threading
import time

import pytest
from service_shop import BASE_URL, open_shop, post, problem
from starlette.testclient import TestClient

from vision_rec.service import create_app
from vision_rec.service.limits import host_is_ours
from vision_rec.service.outermost import new_request_id

MIB = 1 << 20


# ── addresses, hosts, sites ──────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "path",
    [
        "/static/..%2f..%2fapp.py",
        "/static/%2e%2e/%2e%2e/app.py",
        "/static/console.css",
        "/static/console.0000000000.css",
        "/static/%00",
        "/static/..%252fapp.py",
        "/static/",
        "/v1/products/..%2f..%2fsecret.png/image",
        "/v1/products/%2e%2e/image",
        "/v1/products/%00/image",
        "/v1/products/%ff%fe",
        "/v1/products/%F0%9F%92%A9",
        "/v1//products",
        "/.env",
    ],
)
def test_paths_lead_nowhere(client, path):
    answer = client.get(path)
    problem(answer, 404, "not-found")


def test_wrong_methods(client):
    answer = client.get("/v1/search")
    problem(answer, 405, "method-not-allowed")
    assert "POST" in answer.headers["allow"]
    problem(client.delete("/v1/products/mug-red"), 405, "method-not-allowed")
    problem(client.post("/v1/products/mug-red/similar"), 405, "method-not-allowed")


def test_head_is_answered_wherever_get_is(client):
    paths = ("/", "/healthz", "/readyz", "/metrics", "/v1/aspects", "/v1/products", "/v1/products/mug-red")
    for path in paths:
        answer, got = client.head(path), client.get(path)
        assert (answer.status_code, answer.content) == (200, b""), path
        assert answer.headers["content-type"] == got.headers["content-type"]
    assert client.head("/v1/products/mug-red/image").headers["content-type"] == "image/webp"
    assert client.head("/v1/products/none").status_code == 404
    assert client.head("/v1/search").status_code == 405


def test_a_long_address_is_refused(client):
    problem(client.get("/v1/products/" + "a" * 9000), 413, "body-too-large")
    problem(client.get("/v1/products", params={"cursor": "a" * 9000}), 413, "body-too-large")


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:8000", "", "a b"]
)
def test_a_foreign_host_header_is_refused(client, host):
    """A hostile page that points its own name at 127.0.0.1 still sends that name."""
    problem(client.get("/v1/aspects", headers={"Host": host}), 421, "host-not-allowed")


def test_our_own_names_are_accepted():
    for host in (
        "127.0.0.1",
        "127.0.0.1:8000",
        "localhost:1",
        "LOCALHOST",
        "[::1]:8000",
        "shop.localhost",
        "web",
    ):
        assert host_is_ours(host), host
    for host in (
        "10.0.0.1",
        "8.8.8.8:80",
        "[fe80::1]",
        "[::ffff:8.8.8.8]",
        "[",
        "x.local",
        "user@evil.example",
    ):
        assert not host_is_ours(host), host


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "http://evil.example"},
        {"Origin": "http://127.0.0.1:9999"},
        {"Origin": "null"},
    ],
)
def test_pages_of_other_sites_cannot_write(client, headers):
    version = client.get("/readyz").json()["version"]
    answer = client.post(f"/v1/versions/{version}/activate", headers=headers)
    problem(answer, 403, "cross-site")


def test_our_own_page_and_programs_can_write(client):
    version = client.get("/readyz").json()["version"]
    for headers in ({}, {"Sec-Fetch-Site": "same-origin"}, {"Origin": BASE_URL}):
        assert client.post(f"/v1/versions/{version}/activate", headers=headers).status_code == 200


def test_no_cross_origin_reading(client):
    answer = client.options(
        "/v1/search", headers={"Origin": "http://evil.example", "Access-Control-Request-Method": "POST"}
    )
    assert not any(name.startswith("access-control") for name in answer.headers)


# ── headers ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "path", ["/", "/v1/aspects", "/nope", "/healthz", "/v1/products/mug-red/image", "/metrics"]
)
def test_security_headers_are_on_every_answer(client, path):
    headers = client.get(path).headers
    assert headers["content-security-policy"] == (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
        "font-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
    assert headers["x-content-type-options"] == "nosniff" and headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-opener-policy"] == "same-origin" and headers["x-frame-options"] == "DENY"
    assert headers["cross-origin-resource-policy"] == "same-origin" and "server" not in headers


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("abc-DEF_123", True),
        ("x" * 64, True),
        ("x" * 65, False),
        ("a b", False),
        ("<script>", False),
        ("", False),
    ],
)
def test_request_ids_are_kept_when_they_are_harmless(client, given, kept):
    answer = client.get("/healthz", headers={"X-Request-ID": given})
    assert (answer.headers["x-request-id"] == given) is kept
    assert len(answer.headers["x-request-id"]) <= 64


def test_made_request_ids_rise_and_are_version_7():
    made = [new_request_id() for _ in range(100)]
    assert len(set(made)) == 100 and all(text[14] == "7" and text[19] in "89ab" for text in made)
    time.sleep(0.003)
    assert new_request_id() > max(made)


# ── load and defects ─────────────────────────────────────────────────────────────────────────────────


def test_too_many_at_once_are_told_to_come_back(tmp_path):
    settings, recommender = open_shop(tmp_path, max_in_flight=2, threads=4)
    entered, leave = threading.Semaphore(0), threading.Event()
    answer = recommender.answer

    def slow(query):
        entered.release()
        leave.wait(20)
        return answer(query)

    recommender.answer = slow
    with TestClient(create_app(settings, recommender), base_url=BASE_URL) as client:
        body = {"text": "mug"}
        waiting = [
            threading.Thread(target=client.post, args=("/v1/search",), kwargs={"json": body}) for _ in "ab"
        ]
        for thread in waiting:
            thread.start()
        for _ in waiting:
            assert entered.acquire(timeout=20)
        refused = client.post("/v1/search", json=body)
        problem(refused, 503, "overloaded")
        assert refused.headers["retry-after"] == "1"
        assert client.get("/healthz").status_code == 200 and client.get("/readyz").status_code == 200
        leave.set()
        for thread in waiting:
            thread.join(20)
        assert client.post("/v1/search", json=body).status_code == 200
        assert "vision_rec_overloaded_total 1.0" in client.get("/metrics").text


def test_a_defect_costs_its_request_and_shows_nothing(tmp_path, caplog):
    settings, recommender = open_shop(tmp_path)

    def broken(query):
        raise RuntimeError("secret detail /etc/passwd")

    answer, recommender.answer = recommender.answer, broken
    with TestClient(create_app(settings, recommender), base_url=BASE_URL) as client:
        failed = client.post("/v1/search", json={"text": "mug"})
        body = problem(failed, 500, "internal")
        assert "secret" not in failed.text and body["request_id"] in body["detail"]
        assert failed.headers["content-security-policy"]
        assert client.get("/?text=mug").status_code == 500
        recommender.answer = answer
        assert client.post("/v1/search", json={"text": "mug"}).status_code == 200
    assert "secret detail" in caplog.text  # the log has it


def test_a_body_that_never_comes_is_given_up(tmp_path):
    """Slow clients hold no place for ever; spoken in ASGI, since no client library is that rude."""
    settings, recommender = open_shop(tmp_path, read_seconds=0.05)
    app = create_app(settings, recommender)

    async def talk():
        sent = []

        async def receive():
            await asyncio.sleep(30)

        async def send(message):
            sent.append(message)

        scope = {
            "type": "http",
            "method": "POST",
            "path": "/v1/search",
            "raw_path": b"/v1/search",
            "query_string": b"",
            "headers": [(b"host", b"localhost"), (b"content-type", b"application/json")],
            "scheme": "http",
            "server": ("127.0.0.1", 80),
            "client": ("127.0.0.1", 1),
            "root_path": "",
            "http_version": "1.1",
        }
        await asyncio.wait_for(app(scope, receive, send), 10)
        return sent

    start, *rest = asyncio.run(talk())
    assert start["status"] == 408
    assert json.loads(b"".join(part["body"] for part in rest))["type"] == "too-slow"


def test_settings_arrive(tmp_path):
    settings, recommender = open_shop(tmp_path, max_json_bytes=2000, max_text=5)
    settings = settings.model_copy(
        update={"images": settings.images.model_copy(update={"max_query_bytes": 500})}
    )
    with TestClient(create_app(settings, recommender), base_url=BASE_URL) as client:
        problem(post(client, b" " * 2001), 413, "body-too-large")
        assert (
            "5" in problem(client.post("/v1/search", json={"text": "abcdef"}), 422, "invalid-input")["detail"]
        )
        large = {"image": ("a.png", bytes(501))}
        problem(client.post("/v1/search/image", files=large), 413, "image-too-large")
