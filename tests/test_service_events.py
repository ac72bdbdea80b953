"""Events over HTTP: what is taken and refused, recommendations that follow, erasure; a new visitor's walk."""

from __future__ import annotations

import json
import sqlite3

import pytest
from event_calls import bytes_of, view
from service_shop import BASE_URL, MathEncoders, paint, post, problem, publish
from starlette.testclient import TestClient

from vision_rec.errors import UnavailableError
from vision_rec.recommend import Recommender
from vision_rec.service import create_app
from vision_rec.settings import Settings

PATIENT = {"max_disk_share": 1.0, "min_free_bytes": 0, "write_timeout_s": 60}


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shop")
    paint(folder / "shop")
    publish(folder / "indexes", folder / "shop")
    return folder


@pytest.fixture
def settings(shop, tmp_path):
    paths = {"indexes": shop / "indexes", "data": tmp_path / "var"}
    return Settings.load(paths=paths, service={"warm": False}, images={"workers": 1}, events=PATIENT)


@pytest.fixture
def client(settings):
    recommender = Recommender.open(settings.paths.indexes, settings=settings, encoders=MathEncoders())
    with TestClient(create_app(settings, recommender), base_url=BASE_URL) as made:
        yield made


def send(client, *events):
    return client.post("/v1/events", json={"events": list(events)})


def recommended(client, **body):
    answer = client.post("/v1/recommendations", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def ids(body):
    return [item["id"] for item in body["items"]]


# ── a new visitor's walk ─────────────────────────────────────────────────────────────────────────────


def test_from_no_events_over_three_views_to_reasons_and_erasure(client, settings):
    nobody = recommended(client, session_id="cookie", k=5)
    assert nobody["items"] == [] and nobody["degraded"] == []
    assert "nothing is known of this visitor" in nobody["empty_reason"]

    shown = client.get("/v1/products/mug-blue/similar").json()
    for place, product in enumerate(("mug-blue", "lamp-blue", "chair-blue")):
        answer = send(
            client,
            view(
                product,
                event_id=f"e{place}",
                session_id="cookie",
                position=place,
                request_id=shown["request_id"],
            ),
        )
        assert answer.status_code == 202
        assert answer.json() == {
            "request_id": answer.headers["x-request-id"],
            "accepted": 1,
            "duplicates": 0,
            "rejected": [],
        }
    taste = recommended(client, session_id="cookie", k=5, weights={"colour": 1})
    assert ids(taste)[0] == "bag-blue" and not {"mug-blue", "lamp-blue", "chair-blue"} & set(ids(taste))
    assert taste["items"][0]["reasons"][0].startswith("because you viewed Blue ")
    for item in taste["items"]:
        assert sum(item["parts"].values()) == pytest.approx(item["score"], abs=1e-5)

    # Logging in takes the session along, on other devices too.
    assert (
        send(client, view("bag-blue", session_id="cookie", user_id="anna@example.com")).json()["accepted"]
        == 1
    )
    assert ids(recommended(client, user_id="anna@example.com", k=5)) == ids(
        recommended(client, session_id="cookie", k=5)
    )
    other = client.get(
        "/v1/products/mug-red/similar?user_id=anna@example.com&session_share=1&weights=colour:1&k=3"
    )
    assert "etag" not in other.headers and other.json()["items"][0]["reasons"][0].startswith(
        "because you viewed"
    )

    assert client.delete("/v1/users/anna%40example.com").json()["erased"] == 4
    again = recommended(client, user_id="anna@example.com", k=5)
    assert again["items"] == [] and "nothing is known" in again["empty_reason"]
    assert client.delete("/v1/users/anna%40example.com").json()["erased"] == 0
    for path, data in bytes_of(settings.paths.data).items():
        for word in (b"anna", b"cookie", b"mug-blue"):
            assert word not in data, path


# ── what is taken and refused ────────────────────────────────────────────────────────────────────────


def test_retries_and_bad_events_are_told(client):
    call = [view("mug-red", event_id="a"), {"type": "view"}, view("mug-red", event_id="a"), 7]
    body = send(client, *call).json()
    assert (body["accepted"], body["duplicates"]) == (1, 1)
    assert [entry["index"] for entry in body["rejected"]] == [1, 3]
    assert body["rejected"][0]["reason"] == "product_id is missing"
    body = send(client, *call).json()
    assert (body["accepted"], body["duplicates"], len(body["rejected"])) == (0, 2, 2)


def test_an_event_sent_back_whole_is_taken(client):
    whole = view("mug-red", event_id="w", user_id="ida", received_at="2001-01-01T00:00:00Z", value=None)
    assert send(client, whole).json()["accepted"] == 1
    assert send(client, {**whole, "received": 1}).json()["rejected"][0]["reason"].startswith("unknown field")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 422, "invalid-input"),
        ([], 422, "invalid-input"),
        ({"events": {}}, 422, "invalid-input"),
        ({"events": "x"}, 422, "invalid-input"),
        ({"events": None}, 422, "invalid-input"),
        ({"events": [], "more": 1}, 422, "invalid-input"),
        ({"events": [{}] * 1001}, 422, "invalid-input"),
        ({"events": [[[[[[[[[[]]]]]]]]]]}, 422, "invalid-input"),
        ({"events": [view("x" * (1 << 20))]}, 413, "body-too-large"),
    ],
    ids=range(9),
)
def test_calls_that_are_refused_as_a_whole(client, body, status, code):
    problem(client.post("/v1/events", json=body), status, code)


@pytest.mark.parametrize(
    ("raw", "status", "code"),
    [
        (b"", 400, "malformed"),
        (b'{"events": [', 400, "malformed"),
        (b'{"events": [{"type": "view", "product_id": "\\ud800"}]}', 400, "malformed"),
        (b'{"events": [{"value": NaN}]}', 422, "invalid-input"),
        (b'{"events": [{"value": 1e999}]}', 422, "invalid-input"),
    ],
    ids=range(5),
)
def test_bodies_that_are_no_json(client, raw, status, code):
    problem(post(client, raw, "/v1/events"), status, code)
    problem(post(client, b"{}", "/v1/events", kind="text/plain"), 415, "unsupported-media-type")


def test_hostile_events_never_end_in_a_defect(client):
    """Every field with every kind of value: each is taken or told, and no answer is a 500."""
    odd = [None, True, 0, -1, 10**18, 1.5, "", " ", "\0", "\u2028", "x" * 5000, [], {}, [1], {"a": 1}]
    odd += ["2999-01-01T00:00:00Z", "0001-01-01", "view", "rating", "'; DROP TABLE events; --", "%s%n", "🦊"]
    fields = "event_id type product_id user_id session_id at value position request_id other".split()
    call = [{**view("mug-red"), field: value} for field in fields for value in odd]
    answer = send(client, *call)
    body = answer.json()
    assert answer.status_code == 202
    assert body["accepted"] + body["duplicates"] + len(body["rejected"]) == len(call)
    assert 20 < body["accepted"] < len(call) - 50
    assert client.post("/v1/recommendations", json={"user_id": "'; DROP TABLE events; --"}).status_code == 200


def test_an_empty_call_is_fine(client):
    assert send(client).json()["accepted"] == 0


def test_user_ids_in_paths_are_any_text(client):
    for user in ("a/b c", "%2F", "ü?#", "x" * 200):
        from urllib.parse import quote

        send(client, view("mug-red", user_id=user))
        assert client.delete(f"/v1/users/{quote(user, safe='')}").json()["erased"] == 1, user


# ── recommendations ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "body", [{}, {"user_id": ""}, {"user_id": "a\0"}, {"user_id": 5}, {"session_id": "x" * 600}]
)
def test_who_is_asked_for_must_be_said_rightly(client, body):
    problem(client.post("/v1/recommendations", json=body), 422, "invalid-input")


def test_a_search_knows_the_visitor_too(client):
    send(client, *(view(f"{shape}-blue", user_id="u") for shape in ("mug", "lamp", "chair")))
    body = {"product_id": "bag-red", "user_id": "u", "session_share": 0.9, "weights": {"colour": 1}, "k": 1}
    assert "blue" in ids(client.post("/v1/search", json=body).json())[0]
    body["user_id"] = "somebody"
    assert "red" in ids(client.post("/v1/search", json=body).json())[0]


def test_the_answer_without_a_visitor_keeps_its_tag(client):
    first = client.get("/v1/products/mug-red/similar?k=2")
    again = client.get("/v1/products/mug-red/similar?k=2", headers={"If-None-Match": first.headers["etag"]})
    assert again.status_code == 304


# ── trouble ──────────────────────────────────────────────────────────────────────────────────────────


def test_while_the_store_is_down_events_are_refused_and_searches_go_on(client, monkeypatch):
    service = client.app.state.service
    send(client, view("mug-blue", user_id="u"))
    history = service.recommender._answerer.history

    def down(*args, **options):
        raise UnavailableError("the events cannot be reached now")

    for vault in (service.events.vault, history._vault):
        for name in ("append", "recent", "popular", "forget", "bury"):
            monkeypatch.setattr(vault.store, name, down)
    answer = send(client, view("mug-red", user_id="u"))
    problem(answer, 503, "unavailable")
    assert answer.headers["retry-after"] == "2"
    problem(client.delete("/v1/users/u"), 503, "unavailable")
    ready = client.get("/readyz")
    assert (ready.status_code, ready.json()["status"]) == (200, "degraded")
    assert "events are not stored" in ready.json()["degraded"][0]
    plain = client.get("/v1/products/mug-red/similar").json()
    asked = client.get("/v1/products/mug-red/similar?user_id=u").json()
    assert asked["degraded"] == ["history"] and ids(asked) == ids(plain) and plain["degraded"] == []
    body = recommended(client, user_id="u", recent=["mug-blue"])
    assert body["degraded"] == ["history"] and body["items"]
    monkeypatch.undo()
    assert send(client, view("mug-red", user_id="u")).json()["accepted"] == 1
    assert client.get("/readyz").json()["status"] == "ready"


def test_a_damaged_store_is_mended_and_one_of_another_key_is_down(client, settings):
    settings.paths.data.mkdir(exist_ok=True)
    (settings.paths.data / "events.db").write_bytes(b"no database at all" * 500)
    assert send(client, view("mug-red", user_id="u")).json()["accepted"] == 1
    assert recommended(client, user_id="u")["degraded"] == []
    assert len(list((settings.paths.data / "quarantine").glob("*.db"))) == 1
    with sqlite3.connect(settings.paths.data / "events.db") as db:
        db.execute("UPDATE meta SET value = 'other'")
    client.app.state.service.events.close()
    problem(send(client, view("mug-red")), 503, "unavailable")
    assert client.get("/healthz").status_code == 200


def test_a_full_disk_is_507_and_searches_go_on(client, monkeypatch):
    monkeypatch.setattr(client.app.state.service.events, "_fullness", lambda was_full: "the disk is full")
    answer = send(client, view("mug-red"))
    problem(answer, 507, "out-of-space")
    assert answer.headers["retry-after"] == "60"
    assert client.get("/v1/products/mug-red/similar?user_id=u").status_code == 200


# ── figures and logs ─────────────────────────────────────────────────────────────────────────────────


def test_events_are_counted_and_never_logged(client, caplog, monkeypatch):
    import logging

    monkeypatch.setattr(logging.getLogger("vision_rec"), "propagate", True)
    caplog.set_level(logging.DEBUG)
    send(client, view("mug-red", event_id="x", user_id="canary-user", session_id="canary-session"), {})
    recommended(client, user_id="canary-user")
    client.get("/v1/products/mug-red/similar?session_id=canary-session")
    client.delete("/v1/users/canary-user")
    text = client.get("/metrics").text
    assert 'vision_rec_events_total{outcome="accepted"} 1.0' in text
    assert 'vision_rec_events_total{outcome="rejected"} 1.0' in text
    assert 'http_route="/v1/users/{user_id}"' in text
    said = text + "".join(
        json.dumps(vars(record), default=str)
        for record in caplog.records
        if record.name.startswith("vision_rec")
    )
    assert "canary" not in said


def test_the_contract_names_the_routes(client):
    document = client.get("/openapi.json").json()
    assert "202" in document["paths"]["/v1/events"]["post"]["responses"]
    assert set(document["components"]["schemas"]["EventBody"]["properties"]) == set(
        "type product_id event_id user_id session_id at value position request_id".split()
    )
    assert "delete" in document["paths"]["/v1/users/{user_id}"]
