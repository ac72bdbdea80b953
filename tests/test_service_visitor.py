"""The screen of one visitor, used without scripts: every step a plain form; who may do which of them."""

from __future__ import annotations

import html
import re

import pytest
from event_calls import settings_for as event_settings
from event_calls import view
from keyed_shop import PAGE, bearer, keyed_shop, log_in
from service_shop import BASE_URL, MathEncoders, open_shop, page
from starlette.testclient import TestClient

from vision_rec import Recommender
from vision_rec.errors import UnavailableError
from vision_rec.service import create_app
from vision_rec.service.console.visitor_form import VisitorForm, new_visitor

SCREEN = "/journeys/visitor"


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    return open_shop(tmp_path_factory.mktemp("visitor"))[0]


@pytest.fixture
def app(shop, tmp_path):
    """A service with a store of events of its own."""
    events = event_settings(tmp_path).events
    paths = shop.paths.model_copy(update={"data": tmp_path})
    settings = shop.model_copy(update={"events": events, "paths": paths})
    return create_app(
        settings, Recommender.open(settings.paths.indexes, settings=settings, encoders=MathEncoders())
    )


@pytest.fixture
def client(app):
    with TestClient(app, base_url=BASE_URL) as made:
        yield made


def record(client, product, user="test-1", **fields):
    return client.post(f"{SCREEN}/view", data={"user": user, "product": product, **fields})


def offered(text):
    """The products that the page offers to view, in order, and the reasons."""
    ids = [html.unescape(ident) for ident in re.findall(r'name="product" value="([^"]*)"', text)]
    return ids, [html.unescape(reason) for reason in re.findall(r'class="reason"[^>]*>([^<]*)', text)]


def test_the_screen_says_how_to_begin(client):
    text = page(client.get(SCREEN))
    (fresh,) = re.findall(r'id="user" name="user"[^>]*value="(test-[0-9a-f]{6})"', text)
    assert fresh not in page(client.get(SCREEN)) and "Erase" in text  # another one each time
    assert new_visitor() != new_visitor()


def test_the_path_of_a_visitor(client):
    text = page(client.get(SCREEN, params={"user": "test-1"}))
    assert "Nothing is known of this visitor" in text and "Nothing to recommend yet" in text
    assert len(offered(text)[0]) == 10 and "/erase" not in text  # something to begin with
    for number in range(3):
        client.post("/v1/events", json={"events": [view("mug-red", user_id=f"other-{number}")]})
    shown, _ = offered(page(client.get(SCREEN, params={"user": "test-1"})))
    lists = [shown]
    for product in ("mug-blue", "lamp-blue", "chair-blue"):
        text = page(record(client, product, was="\r\n".join(lists[-1])))
        assert "<strong>Recorded:</strong> a view of <bdi>Blue" in text
        lists.append(offered(text)[0])
        assert product not in lists[-1] and "Left the list" in text
    assert text.index("Blue chair") < text.index("Blue lamp") < text.index("Blue mug")  # the latest first
    said = client.post("/v1/recommendations", json={"user_id": "test-1", "k": 10}).json()["items"]
    assert lists[-1] == [item["id"] for item in said]  # as shoppers get it
    reasons = offered(text)[1]
    assert reasons[0].startswith("Because you viewed Blue ") and "influence +" in text
    asked = page(client.get(f"{SCREEN}/erase?user=test-1"))
    assert "cannot be undone" in asked and "test-1" in asked
    text = page(client.post(f"{SCREEN}/erase", data={"user": "test-1"}))
    assert "<strong>Erased:</strong> 3 events. Nothing is stored" in text
    assert "Nothing is known of this visitor" in text and "What every stranger gets" in text
    assert offered(text)[1][0].startswith("Popular: 3 visitors")
    assert client.delete("/v1/users/test-1").json()["erased"] == 0


def test_what_the_address_says_is_checked_against_what_is_stored(client):
    record(client, "mug-blue")
    text = page(client.get(SCREEN, params={"user": "test-1", "erased": "7"}))
    assert "Nothing is stored" not in text  # it is
    assert "Erased" not in page(client.get(SCREEN, params={"user": "test-1", "erased": "<b>"}))


def test_a_form_sent_twice_counts_once(client):
    for _ in range(2):
        record(client, "mug-blue", token="abc")
    record(client, "lamp-blue", token="abc")  # the page was gone back to
    assert client.delete("/v1/users/test-1").json()["erased"] == 2


def test_products_are_found_by_words_or_id(client):
    text = page(client.get(SCREEN, params={"user": "test-1", "q": "blue mug"}))
    assert 'class="found"' in text and 'aria-label="View Blue mug"' in text
    assert "Slash" in page(client.get(SCREEN, params={"user": "test-1", "q": "a/b c%2F"}))


@pytest.mark.parametrize("user", ['"><script>alert(1)</script>', "a/b c%2F", "👩‍👩‍👧", "שלום"])
def test_any_id_is_the_id_of_a_visitor(client, user):
    text = page(record(client, "a/b c%2F", user=user, was="<script>alert(1)</script>\nmug-red"))
    assert "a view of <bdi>Slash &lt;script&gt;" in text
    (link,) = re.findall(r'href="(/journeys/visitor/erase\?[^"]+)"', text)
    page(client.get(html.unescape(link)))
    assert "1 event." in page(client.post(f"{SCREEN}/erase", data={"user": user}))


@pytest.mark.parametrize(
    ("path", "fields", "word"),
    [
        ("view", {"product": "mug-red"}, "name the visitor"),
        ("view", {"user": "test-1"}, "product_id"),
        ("view", {"user": "x" * 300, "product": "mug-red"}, "user_id"),
        ("erase", {}, "name the visitor"),
    ],
)
def test_what_cannot_be_done_is_said(client, path, fields, word):
    text = page(client.post(f"{SCREEN}/{path}", data=fields), 422)
    assert 'role="alert"' in text and word in text.lower() and "Request <code>" in text


def test_an_erasure_of_nobody_leads_back(client):
    assert "Begin" in page(client.get(f"{SCREEN}/erase"))
    assert client.post(f"{SCREEN}/view", json={"user": "a"}).status_code == 415


def test_while_the_store_is_down_nothing_typed_is_lost(app, client, monkeypatch):
    def down(*_):
        raise UnavailableError("the event store cannot be reached now")

    monkeypatch.setattr(app.state.service.events, "record", down)
    text = page(record(client, "mug-blue"), 503)
    assert "cannot be reached now" in text and 'value="test-1"' in text
    assert "Running with limits" in text and "Searches and rules work" in text


def test_a_form_reads_what_it_writes():
    form = VisitorForm("a&b", viewed="p 1", was=("p 1", "p,2"))
    assert form.address() == "/journeys/visitor?user=a%26b&viewed=p+1&was=p+1%0Ap%2C2"
    assert VisitorForm.read([("user", "a&b"), ("viewed", "p 1"), ("was", "p 1\r\np,2"), ("x", "y")]) == form
    assert "was" not in VisitorForm("a", was=("p" * 3000,)).address()  # an address has its limits
    assert VisitorForm.read([("erased", "12")]).erased == "12" and VisitorForm().address() == SCREEN


# ── who may ──────────────────────────────────────────────────────────────────────────────────────────


def test_each_step_needs_the_scope_of_its_call(tmp_path):
    with keyed_shop(tmp_path) as shop:
        client, tokens = shop.client, shop.tokens
        log_in(client, tokens["search"])
        text = page(client.get(f"{SCREEN}?user=test-1", headers=PAGE))
        assert "scope <strong>events</strong>" in text and "scope <strong>admin</strong>" in text
        assert 'name="product"' not in text and "/erase" not in text
        refused = client.post(f"{SCREEN}/view", data={"user": "u", "product": "p"}, headers=PAGE)
        assert refused.status_code == 403 and 'role="alert"' in refused.text
        assert client.get(f"{SCREEN}/erase?user=u", headers=PAGE).status_code == 403
        log_in(client, tokens["all"])
        text = page(client.get(f"{SCREEN}?user=test-1", headers=PAGE))
        assert 'name="product"' in text and "needs the scope" not in text
        body = {"user": "test-1", "product": "mug-red"}
        elsewhere = {**PAGE, "Sec-Fetch-Site": "cross-site"}
        for path in ("view", "erase"):
            assert client.post(f"{SCREEN}/{path}", data=body, headers=elsewhere).status_code == 403
        assert client.post(f"{SCREEN}/view", data=body, headers=PAGE).status_code == 303
        client.cookies.clear()
        for scope, path, status in (
            ("events", "view", 303),
            ("admin", "view", 403),
            ("events", "erase", 403),
        ):
            sent = client.post(f"{SCREEN}/{path}", data=body, headers=bearer(tokens[scope]))
            assert sent.status_code == status, (scope, path)
