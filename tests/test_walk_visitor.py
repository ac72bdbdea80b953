"""A new user's path over HTTP: nothing known, three views, a login, an older love, and nothing known."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from event_calls import bytes_of, settings_for, view
from service_shop import BASE_URL, MathEncoders, paint, publish
from starlette.testclient import TestClient

from vision_rec.events import EventLog
from vision_rec.recommend import Recommender
from vision_rec.service import create_app

USER, COOKIE = "anna@example.com", "cookie-of-anna"
LAST_WEEK = (datetime.now(UTC) - timedelta(days=6)).isoformat()


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shop")
    paint(folder / "shop")
    publish(folder / "indexes", folder / "shop")
    return folder


@pytest.fixture
def settings(shop, tmp_path):
    made = settings_for(tmp_path / "var")
    return made.model_copy(
        update={
            "paths": made.paths.model_copy(update={"indexes": shop / "indexes"}),
            "service": made.service.model_copy(update={"warm": False}),
            "images": made.images.model_copy(update={"workers": 1}),
        }
    )


@pytest.fixture
def client(settings):
    recommender = Recommender.open(settings.paths.indexes, settings=settings, encoders=MathEncoders())
    with TestClient(create_app(settings, recommender), base_url=BASE_URL) as made:
        yield made


def send(client, *events):
    answer = client.post("/v1/events", json={"events": list(events)})
    assert answer.status_code == 202 and answer.json()["accepted"] == len(events), answer.text


def recommended(client, **body):
    answer = client.post("/v1/recommendations", json={"k": 8, "weights": {"colour": 1}, **body})
    assert answer.status_code == 200, answer.text
    return answer.json()


def ids(body):
    return [item["id"] for item in body["items"]]


def colour(item):
    return item["id"].rpartition("-")[2]


def test_the_path_of_a_new_user(client, settings):
    # Others were here: a stranger gets what they liked.
    for number in range(3):
        send(client, view("mug-red", user_id=f"other-{number}"))
    send(client, view("lamp-green", user_id="other-0"))
    stranger = recommended(client, session_id=COOKIE)
    assert ids(stranger) == ["mug-red", "lamp-green"]
    assert stranger["items"][0]["reasons"] == ["popular: 3 visitors lately"]

    # Three views of blue things, without a login.
    for product in ("mug-blue", "lamp-blue", "chair-blue"):
        send(client, view(product, session_id=COOKIE, request_id=stranger["request_id"]))
    taste = recommended(client, session_id=COOKIE)
    assert ids(taste)[0] == "bag-blue" and not {"mug-blue", "lamp-blue", "chair-blue"} & set(ids(taste))
    assert taste["items"][0]["reasons"][0].startswith("because you viewed Blue ")
    for item in taste["items"]:
        assert sum(item["parts"].values()) == pytest.approx(item["score"], abs=1e-5)

    # The login joins the session, and what the user did last week is known again.
    bought = {"type": "purchase", "product_id": "mug-yellow", "user_id": USER, "at": LAST_WEEK}
    send(client, bought, view("chair-yellow", user_id=USER, at=LAST_WEEK))
    send(client, view("mug-blue", session_id=COOKIE, user_id=USER))
    known = recommended(client, user_id=USER)
    assert colour(known["items"][0]) == "blue"
    older = known["items"][4]  # every fifth place belongs to older interests
    assert colour(older) == "yellow" and older["boost"] > 0
    assert older["reasons"][0] == "because you bought Yellow mug before"
    assert "mug-yellow" not in ids(known)
    keys = [item["score"] + item["boost"] for item in known["items"]]
    assert all(key >= following - 1e-6 for key, following in pairwise(keys))

    # The session alone sees the user's events of that session, not those of last week.
    assert "bag-yellow" not in ids(recommended(client, session_id=COOKIE, k=5))

    # Erased: a stranger again, and not a byte of the user in any file.
    names = EventLog(settings).vault.names
    hashes = names.user(USER).encode(), names.session(COOKIE).encode()
    stored = b"".join(bytes_of(settings.paths.data).values())
    assert all(word in stored for word in hashes)
    erased = client.delete(f"/v1/users/{USER}").json()["erased"]
    assert erased == 6
    for body in (recommended(client, user_id=USER), recommended(client, session_id=COOKIE)):
        assert ids(body) == ["mug-red", "lamp-green"] and "popular" in body["items"][0]["reasons"][0]
    for path, data in bytes_of(settings.paths.data).items():
        for word in (*hashes, b"anna", b"mug-yellow", b"chair-yellow", b"mug-blue"):
            assert word not in data, (path, word)
    replayed = client.post("/v1/events", json={"events": [bought]}).json()
    assert replayed["accepted"] == 0 and "erased" in replayed["rejected"][0]["reason"]
