"""No answer waits for the session model: when the service is ready, and how new versions come."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager

import pytest
from event_calls import settings_for
from fake_shop import FakeEncoders
from service_shop import BASE_URL, problem
from session_shop import VIEWS, ids, publish_with
from starlette.testclient import TestClient

from vision_rec import Recommender
from vision_rec.service import create_app
from vision_rec.sessions.model import SequenceModel

PATIENCE = 60  # seconds until a test that hangs ends


class SlowLoad:
    """Holds up every load of a model until told to go on."""

    def __init__(self, monkeypatch):
        self.begun, self.go = threading.Event(), threading.Event()
        load = SequenceModel.load

        def slow(*args, **options):
            self.begun.set()
            assert self.go.wait(PATIENCE)
            return load(*args, **options)

        monkeypatch.setattr(SequenceModel, "load", slow)


@pytest.fixture(scope="module")
def indexes(tmp_path_factory):
    root = tmp_path_factory.mktemp("shop")
    publish_with(root / "indexes", root / "pair")
    return root / "indexes"


@pytest.fixture
def slow(monkeypatch):
    made = SlowLoad(monkeypatch)
    yield made
    made.go.set()


def opened(indexes, tmp_path):
    return Recommender.open(indexes, settings=settings_for(tmp_path / "var"), encoders=FakeEncoders())


@contextmanager
def served(indexes, tmp_path, monkeypatch, **service):
    """Serve the index as `vision-rec serve` does, with encoders that need no loading."""
    settings = settings_for(tmp_path / "var")
    paths = settings.paths.model_copy(update={"indexes": indexes})
    kept = settings.service.model_copy(update={"poll_seconds": 0.05, **service})
    settings = settings.model_copy(update={"paths": paths, "service": kept})
    monkeypatch.setattr("vision_rec.recommend.recommender._load_encoders", lambda settings: FakeEncoders())
    with TestClient(create_app(settings), base_url=BASE_URL) as client:
        yield client


def recommended(client):
    answer = client.post("/v1/recommendations", json={"recent": VIEWS, "k": 10})
    assert answer.status_code == 200, answer.text
    body = answer.json()
    return [item["id"] for item in body["items"]], body["degraded"]


def wait_for(condition):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


# ── new versions ─────────────────────────────────────────────────────────────────────────────────────


def test_a_new_versions_model_is_loaded_before_it_answers(tmp_path, monkeypatch):
    root = tmp_path / "indexes"
    first = publish_with(root, tmp_path / "one")
    rec = opened(root, tmp_path)
    before = ids(rec.recommend(recent=VIEWS, k=10))
    slow = SlowLoad(monkeypatch)
    second = publish_with(root, tmp_path / "two", seed=1)
    reloading = threading.Thread(target=rec.reload_if_changed)
    reloading.start()
    assert slow.begun.wait(PATIENCE)
    meanwhile = rec.recommend(recent=VIEWS, k=10)
    assert (ids(meanwhile), meanwhile.version_id, meanwhile.degraded) == (before, first.id, ())
    slow.go.set()
    reloading.join(PATIENCE)
    after = rec.recommend(recent=VIEWS, k=10)
    assert (after.version_id, after.degraded) == (second.id, ()) and ids(after) != before


def test_a_model_that_nobody_has_asked_for_is_not_loaded_with_a_new_version(tmp_path):
    root = tmp_path / "indexes"
    publish_with(root, tmp_path / "one")
    rec = opened(root, tmp_path)
    publish_with(root, tmp_path / "two", seed=1)
    assert rec.reload_if_changed() and not rec.state.session_model.is_wanted


# ── over HTTP ────────────────────────────────────────────────────────────────────────────────────────


def test_a_service_is_ready_when_all_that_queries_need_is_loaded(indexes, tmp_path, monkeypatch, slow):
    with served(indexes, tmp_path, monkeypatch, threads=1) as client:
        assert slow.begun.wait(PATIENCE)
        detail = problem(client.get("/readyz"), 503, "unavailable")["detail"]
        assert "being loaded" in detail and client.get("/healthz").status_code == 200
        # Whoever asks already is answered: loading takes none of the threads for searches.
        similar = f"/v1/products/{VIEWS[0]}/similar"
        assert client.get(similar).status_code == 200
        assert client.get(similar, params={"user_id": "nobody"}).status_code == 200
        slow.go.set()
        wait_for(lambda: client.get("/readyz").status_code == 200)
        assert recommended(client)[1] == []


def test_a_service_stays_ready_while_a_new_version_is_loaded(tmp_path, monkeypatch):
    root = tmp_path / "indexes"
    publish_with(root, tmp_path / "one")
    with served(root, tmp_path, monkeypatch) as client:
        wait_for(lambda: client.get("/readyz").status_code == 200)
        before = recommended(client)
        slow = SlowLoad(monkeypatch)
        second = publish_with(root, tmp_path / "two", seed=1)
        assert slow.begun.wait(PATIENCE)
        assert client.get("/readyz").status_code == 200 and recommended(client) == before
        slow.go.set()
        wait_for(lambda: client.get("/readyz").json()["version"] == second.id)
        after, said = recommended(client)
        assert said == [] and after != before[0]


def test_a_defect_in_loading_does_not_keep_the_service_from_being_ready(indexes, tmp_path, monkeypatch):
    def broken(*args, **options):
        raise RuntimeError("a defect")

    monkeypatch.setattr(Recommender, "answer", broken)
    with served(indexes, tmp_path, monkeypatch) as client:
        wait_for(lambda: client.get("/readyz").status_code == 200)


def test_without_a_warm_up_the_service_is_ready_at_once(indexes, tmp_path, monkeypatch, slow):
    with served(indexes, tmp_path, monkeypatch, warm=False) as client:
        wait_for(lambda: client.get("/readyz").status_code == 200)
        assert not slow.begun.is_set()
