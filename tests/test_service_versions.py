"""Versions over HTTP and their screens without scripts: list, verify, compare, roll back, look only."""

from __future__ import annotations

import html
import re

import pytest
from service_shop import BASE_URL, open_shop, page, problem, products, publish
from starlette.testclient import TestClient

from vision_rec.access import create_key
from vision_rec.service import create_app
from vision_rec.service.console.version_views import said_encoders
from vision_rec.types import Product

EVIL = Product(id="evil", title="<script>alert(1)</script>\u202e" + "w" * 300, category=("Odd",))


class Shop:
    def __init__(self, folder):
        settings, recommender = open_shop(folder)
        self.first, self.folder, self.settings = recommender.version_id, folder, settings
        self.second = publish(folder / "indexes", folder / "shop", [*products()[3:], EVIL]).id
        self.app = create_app(settings, recommender)
        self.service = self.app.state.service
        self.service.refresh()

    def damage(self, version):
        path = self.settings.paths.indexes / version / "catalog.parquet"
        path.chmod(0o600)
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(bytes(data))


@pytest.fixture
def shop(tmp_path):
    return Shop(tmp_path)


@pytest.fixture
def client(shop):
    with TestClient(shop.app, base_url=BASE_URL, follow_redirects=False) as client:
        yield client


def in_use(client):
    return client.get("/v1/versions").json()["in_use"]


# ── the calls ────────────────────────────────────────────────────────────────────────────────────────


def test_the_list_says_what_is_known(shop, client):
    body = client.get("/v1/versions").json()
    assert body["current"] == body["in_use"] == shop.second
    second, first = body["versions"]
    assert (second["id"], second["parent"], second["stays"]) == (shop.second, shop.first, True)
    assert second["index_kind"] == "exact" and set(second["fingerprints"]) == {"image", "text"}
    assert second["verified"]["ok"] and first["verified"]["ok"]  # both were opened by this service
    assert second["measures"] is None  # this shop's reports are empty


def test_verifying_finds_damage_and_says_where(shop, client):
    good = client.post(f"/v1/versions/{shop.first}/verify").json()
    assert good["ok"] and good["problems"] == [] and good["id"] == shop.first
    shop.damage(shop.first)
    bad = client.post(f"/v1/versions/{shop.first}/verify")
    assert bad.status_code == 200 and not bad.json()["ok"]
    assert [entry["file"] for entry in bad.json()["problems"]] == ["catalog.parquet"]
    listed = client.get("/v1/versions").json()["versions"][1]
    assert listed["verified"]["at"] == bad.json()["at"] and not listed["verified"]["ok"]
    assert (
        client.post(f"/v1/versions/{shop.first}/activate").status_code >= 400
        and in_use(client) == shop.second
    )
    problem(client.post("/v1/versions/nothing/verify"), 404, "not-found")


def test_a_comparison_names_products_with_their_pictures(shop, client):
    body = client.get(f"/v1/versions/{shop.first}/diff/{shop.second}").json()
    gone = [product.id for product in products()[:3]]
    assert body["added"] == ["evil"] and body["removed"] == gone
    assert (body["added_count"], body["removed_count"], body["changed_count"]) == (1, 3, 0)
    assert body["probes"] > 10 and 0 < body["overlap"] < 1 and body["moved"]
    assert {"evil", *gone} <= set(body["products"])
    for ident in gone:
        picture = client.get(body["products"][ident]["image"])
        assert picture.status_code == 200 and picture.headers["content-type"] == "image/webp"
    back = client.get(f"/v1/versions/{shop.second}/diff/{shop.first}?probes=0&limit=1").json()
    assert back["removed"] == ["evil"] and len(back["added"]) == 1 and back["added_count"] == 3
    assert back["overlap"] is None and back["moved"] == []
    problem(client.get(f"/v1/versions/{shop.first}/diff/x"), 404, "not-found")
    problem(client.get(f"/v1/versions/{shop.first}/diff/{shop.second}?probes=501"), 422, "invalid-input")


def test_a_picture_of_another_version(shop, client):
    assert client.get("/v1/products/mug-red/image").status_code == 404
    assert client.get(f"/v1/products/mug-red/image?version={shop.first}").status_code == 200
    assert client.get(f"/v1/products/bag-red/image?version={shop.second}").status_code == 200
    for version in ("x", "../x", shop.first[:-1]):
        assert client.get("/v1/products/mug-red/image", params={"version": version}).status_code == 404


# ── the screens ──────────────────────────────────────────────────────────────────────────────────────


def test_roll_back_and_forward_without_scripts(shop, client):
    text = page(client.get("/versions"))
    back = html.unescape(re.search(r'href="(/versions/activate[^"]+)">Roll back to', text)[1])
    asked = page(client.get(back))
    assert "Roll back?" in asked and in_use(client) == shop.second  # asking changes nothing
    newest = re.search(r"Answers now</p><h2>([^<]+)", asked)[1]
    assert f"The way back is <em>Activate</em> at {newest}." in asked
    wanted = re.search(r'name="id" value="([^"]+)"', asked)[1]
    assert wanted == shop.first
    done = client.post("/versions/activate", data={"id": wanted})
    assert done.status_code == 303 and in_use(client) == shop.first
    text = page(client.get(done.headers["location"]))
    assert "This version answers now" in text
    assert "Change the version?" in page(client.get(f"/versions/activate?id={shop.second}"))
    client.post("/versions/activate", data={"id": shop.second})
    assert in_use(client) == shop.second


def test_verify_by_a_form(shop, client):
    sent = client.post("/versions/verify", data={"id": shop.first})
    assert "as it was written" in page(client.get(sent.headers["location"]))
    shop.damage(shop.first)
    sent = client.post("/versions/verify", data={"id": shop.first})
    text = page(client.get(sent.headers["location"]))
    assert "Damaged: 1 file" in text and "catalog.parquet: expected SHA-256" in text
    text = page(client.post("/versions/activate", data={"id": shop.first}), 409)
    assert 'role="alert"' in text and in_use(client) == shop.second


def test_the_comparison_shows_who_came_and_went(shop, client):
    text = page(client.get("/versions/diff"))  # from the one before to the current one
    assert "Came in" in text and "Went out" in text and "Lists that changed most" in text
    assert "&lt;script&gt;alert(1)" in text and f"version={shop.first}" in text
    assert "Compare" in page(client.get(f"/versions/diff?before={shop.second}&after={shop.first}"))
    assert "choose two" in page(client.get(f"/versions/diff?before={shop.first}&after={shop.first}"), 422)
    assert "There is no version" in page(client.get("/versions/diff?before=x&after=<b>"), 404)
    page(client.get("/versions/activate?id=<b>x"), 404)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ((), ""),
        (("session",), "recommendations for visitors change, lists of similar products do not"),
        (("image",), "The encoder differs: image. The order of every list changes"),
        (("image", "session"), "The encoders differ: image, session. The order of every list changes"),
    ],
)
def test_what_other_encoders_change_is_said(changed, said):
    text = said_encoders(changed)
    assert said in text and bool(text) is bool(changed)


def test_one_version_and_none(tmp_path):
    settings, recommender = open_shop(tmp_path / "one")
    with TestClient(create_app(settings, recommender), base_url=BASE_URL) as client:
        assert "Nothing to compare" in page(client.get("/versions/diff"))
        assert "Roll back" not in page(client.get("/versions"))
    none = settings.model_copy(
        update={"paths": settings.paths.model_copy(update={"indexes": tmp_path / "none"})}
    )
    with TestClient(create_app(none), base_url=BASE_URL) as client:
        assert "No version yet" in page(client.get("/versions"))
        assert "Nothing to compare" in page(client.get("/versions/diff"))
        assert "Journeys" in page(client.get("/journeys"))


@pytest.mark.parametrize("scope", ["search", "merch", "admin"])
def test_only_admin_has_buttons_and_may_press_them(tmp_path, scope):
    key = create_key(tmp_path / "var", "ana", ["search", scope] if scope != "search" else ["search"]).token
    shop = Shop(tmp_path)
    headers = {"Authorization": f"Bearer {key}"}
    with TestClient(shop.app, base_url=BASE_URL, follow_redirects=False, headers=headers) as client:
        text = page(client.get("/versions"))
        assert ("scope <strong>admin</strong>" in text) == (scope != "admin")
        assert ("Verify</button>" in text) == ("/versions/activate" in text) == (scope == "admin")
        assert "Came in" in page(client.get("/versions/diff"))
        assert client.get(f"/v1/versions/{shop.first}/diff/{shop.second}").status_code == 200
        wanted = 303 if scope == "admin" else 403
        for path in ("/versions/verify", "/versions/activate"):
            assert client.post(path, data={"id": shop.first}).status_code == wanted
        verified = client.post(f"/v1/versions/{shop.first}/verify")
        assert verified.status_code == (200 if scope == "admin" else 403)


@pytest.mark.parametrize("path", ["/versions/verify", "/versions/activate"])
def test_pages_of_others_cannot_press_them(shop, client, path):
    for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}):
        assert client.post(path, data={"id": shop.first}, headers=headers).status_code == 403
    assert client.post(path, json={"id": shop.first}).status_code == 415
    assert in_use(client) == shop.second


def test_every_screen_can_say_that_the_catalogue_is_newer(shop, client):
    for path in ("/", "/rules", "/journeys", "/versions", "/versions/diff"):
        text = page(client.get(path))
        assert f'id="stale" class="banner" role="status" data-version="{shop.second}"' in text, path
        assert "frame." in text
