"""POST /v1/journeys and its screen, used without scripts."""

from __future__ import annotations

import html
import re

import pytest
from service_shop import BASE_URL, MathEncoders, open_shop, page, post, problem
from starlette.testclient import TestClient

from vision_rec import Recommender
from vision_rec.service import create_app
from vision_rec.service.console.journey_form import JourneyForm, Viewed
from vision_rec.sessions import RecencyMean
from vision_rec.types import Query

VIEWS = ["mug-blue", "lamp-blue", "chair-blue"]


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    settings, recommender = open_shop(tmp_path_factory.mktemp("journeys"))
    with TestClient(create_app(settings, recommender), base_url=BASE_URL, follow_redirects=False) as client:
        yield client, recommender


@pytest.fixture
def client(opened):
    return opened[0]


def links(text, word):
    """The addresses of links whose text or label has a word."""
    found = re.findall(r'<a [^>]*?href="([^"]+)"([^>]*)>([^<]*)', text)
    return [html.unescape(href) for href, rest, said in found if word in said or word in rest]


# ── the call ─────────────────────────────────────────────────────────────────────────────────────────


def test_a_journey_is_told_step_by_step(opened):
    client, recommender = opened
    body = client.post(
        "/v1/journeys", json={"recent": VIEWS, "recent_types": ["view", "purchase"], "k": 4}
    ).json()
    assert [(step["product_id"], step["type"]) for step in body["steps"]] == [
        ("mug-blue", "view"),
        ("lamp-blue", "purchase"),
        ("chair-blue", "view"),
    ]
    lists = [[item["id"] for item in step["items"]] for step in body["steps"]]
    assert all(len(ids) == 4 for ids in lists)
    assert body["steps"][0]["new"] == body["steps"][0]["left"] == []
    for before, after, step in zip(lists, lists[1:], body["steps"][1:], strict=False):
        assert step["new"] == [ident for ident in after if ident not in before]
        assert step["left"] == [ident for ident in before if ident not in after]
    found = recommender.influences(Query(recent=tuple(VIEWS), recent_types=("view", "purchase"), k=4))
    assert body["score"] == pytest.approx(found.score)
    assert [one["drop"] for one in body["influences"]] == pytest.approx([one.drop for one in found.visits])
    assert body["version"] == recommender.version_id and body["steps"][0]["items"][0]["image"]


def test_a_journey_may_have_filters_and_the_last_step_is_the_recommendation(client):
    asked = {"recent": VIEWS, "filters": {"category": ["Mugs"]}, "k": 3}
    last = client.post("/v1/journeys", json=asked).json()["steps"][-1]
    said = client.post("/v1/recommendations", json=asked).json()
    assert [item["id"] for item in last["items"]] == [item["id"] for item in said["items"]]


def test_a_visitor_alone_has_influences_and_no_steps(client):
    sent = [
        {"type": "view", "product_id": ident, "user_id": "anna", "event_id": f"j-{ident}"} for ident in VIEWS
    ]
    assert client.post("/v1/journeys", json={"user_id": "anna"}).json()["influences"] == []
    if client.post("/v1/events", json={"events": sent}).status_code == 507:
        pytest.skip("the disk of this machine is too full for events")
    body = client.post("/v1/journeys", json={"user_id": "anna", "k": 4}).json()
    assert body["steps"] == [] and [one["product_id"] for one in body["influences"]] == VIEWS
    more = client.post("/v1/journeys", json={"user_id": "anna", "recent": ["bag-blue"], "k": 4}).json()
    assert len(more["steps"]) == 1 and len(more["influences"]) == 4
    client.delete("/v1/users/anna")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"k": 3}, 422, "invalid-input"),
        ({"recent": []}, 422, "invalid-input"),
        ({"recent": ["mug-blue"] * 21}, 422, "invalid-input"),
        ({"recent": ["nobody"]}, 404, "not-found"),
        ({"recent": ["mug-blue"], "recent_types": ["stare"]}, 422, "invalid-input"),
        ({"recent": ["mug-blue"], "steps": 3}, 422, "invalid-input"),
    ],
)
def test_what_is_no_journey_is_refused(client, body, status, code):
    problem(client.post("/v1/journeys", json=body), status, code)
    problem(post(client, b"{", "/v1/journeys"), 400, "malformed")


def test_types_may_be_said_in_every_search(client):
    plain = client.get("/v1/products/mug-red/similar?recent=lamp-blue,bag-green&k=5").json()
    bought = client.get(
        "/v1/products/mug-red/similar?recent=lamp-blue,bag-green&recent_types=purchase,view&k=5"
    ).json()
    assert [item["score"] for item in plain["items"]] != [item["score"] for item in bought["items"]]


# ── the screen ───────────────────────────────────────────────────────────────────────────────────────


def test_the_empty_screen_offers_examples_that_work(client):
    text = page(client.get("/journeys"))
    assert "Or begin with an example" in text and "recency mean" in text
    hrefs = [html.unescape(href) for href in re.findall(r'<a href="(/journeys\?v=[^"]+)"', text)]
    assert len(hrefs) == 3
    for href in hrefs:
        shown = page(client.get(href))
        assert "The list now" in shown and "Influence" in shown and "Left out" not in shown


def test_steps_are_added_moved_told_and_removed_by_links(client):
    text = page(client.get("/journeys?q=Blue+mug"))
    first = links(text, "Add Blue mug")[0]
    assert first == "/journeys?v=mug-blue"
    text = page(client.get(f"{first}&q=lamp-blue"))  # an id as it stands
    second = links(text, "Add Blue lamp")[0]
    text = page(client.get(second))
    assert text.index("Blue mug") < text.index("Blue lamp") and "are new" in text
    moved = links(text, "Move Blue lamp up")[0]
    assert moved == "/journeys?v=lamp-blue&v=mug-blue"
    bought = links(text, "Bought")[1]
    assert bought == "/journeys?v=mug-blue&v=lamp-blue&t=purchase"
    assert links(page(client.get(bought)), "Remove Blue mug")[0] == "/journeys?v=lamp-blue&t=purchase"
    following = links(text, "View next:")[-1]
    assert following.startswith("/journeys?v=mug-blue&v=lamp-blue&v=")
    assert text.count('aria-label="Move') == 2  # the first cannot go up, the last not down


def test_products_that_are_gone_and_hostile_words_do_no_harm(client):
    evil = '"><script>alert(1)</script>'
    text = page(
        client.get("/journeys", params={"v": ["mug-blue", evil], "q": evil, "model": evil, "t": evil})
    )
    assert "Not in this catalogue, and left out" in text and "The list now" in text
    text = page(client.get("/journeys", params={"v": "a/b c%2F"}))
    assert "Slash &lt;script&gt;" in text
    assert "left out" in page(client.get("/journeys?v=nobody"))


def test_without_pictures_a_list_is_a_list_all_the_same(client):
    assert "No picture" in page(client.get("/journeys?v=no-picture&v=pen-1"))


def test_a_journey_ends_somewhere(client):
    text = page(client.get("/journeys", params={"v": ["mug-blue"] * 30, "q": "lamp-red"}))
    assert text.count('class="jstep') == 20 and "View next" not in text and ">Full<" in text


def test_a_model_that_is_not_there_is_not_asked_for(client):
    text = page(client.get("/journeys?v=mug-blue&model=recency"))
    assert "session_model" not in text and "no trained sequence model" in text


def test_the_form_reads_what_it_writes():
    form = JourneyForm((Viewed("a&b"), Viewed("c", "purchase"), Viewed("d")), "", "recency")
    assert form.address() == "/journeys?v=a%26b&v=c&t=purchase&v=d&model=recency"
    pairs = [("v", "a&b"), ("v", "c"), ("t", "purchase"), ("v", "d"), ("model", "recency")]
    assert JourneyForm.read([("t", "view"), *pairs, ("t", "nonsense"), ("x", "y")]) == form
    assert form.body(8) == {
        "recent": ["a&b", "c", "d"],
        "recent_types": ["view", "purchase", "view"],
        "k": 8,
        "session_model": "recency",
    }
    assert [step.ident for step in form.swapped(0).steps] == ["c", "a&b", "d"]
    assert JourneyForm().address() == "/journeys"


def test_the_switch_between_models_is_there_where_it_makes_a_difference(opened):
    _, plain = opened
    settings = plain.settings
    recommender = Recommender.open(
        settings.paths.indexes,
        settings=settings,
        encoders=MathEncoders(),
        session_encoder=RecencyMean(0.01),  # as good as the last view alone
    )
    journey = "/journeys?v=bag-green&v=mug-blue"
    with TestClient(create_app(settings, recommender), base_url=BASE_URL) as client:
        trained, mean = page(client.get(journey)), page(client.get(f"{journey}&model=recency"))
    for text in (trained, mean):
        assert f'href="{html.escape(journey)}"' in text
        assert f'href="{html.escape(journey + "&model=recency")}"' in text and "no trained" not in text
    lists = [re.findall(r'aria-label="View next: ([^,]+), place \d', text)[8:] for text in (trained, mean)]
    assert lists[0] != lists[1]
    assert "session_model" in mean and "session_model" not in trained
