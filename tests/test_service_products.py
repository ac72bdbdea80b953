"""Products, pictures, aspects, versions, health and the OpenAPI document."""

from __future__ import annotations

import io
import shutil

import numpy as np
import pytest
from PIL import Image
from service_shop import BASE_URL, MathEncoders, open_shop, paint, products, publish, settings_for
from starlette.testclient import TestClient

from vision_rec.recommend import Recommender
from vision_rec.service import create_app
from vision_rec.types import Product


@pytest.fixture
def shop(tmp_path):
    settings, recommender = open_shop(tmp_path)
    with TestClient(create_app(settings, recommender), base_url=BASE_URL) as client:
        client.folder, client.settings = tmp_path, settings
        yield client


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    settings, recommender = open_shop(tmp_path_factory.mktemp("products"))
    with TestClient(create_app(settings, recommender), base_url=BASE_URL) as client:
        yield client


# ── products ─────────────────────────────────────────────────────────────────────────────────────────


def test_pages_list_every_product_once(client):
    seen, cursor = [], None
    while True:
        params = {"limit": 11} | ({"cursor": cursor} if cursor else {})
        body = client.get("/v1/products", params=params).json()
        seen += [item["id"] for item in body["items"]]
        cursor = body["next_cursor"]
        if cursor is None:
            break
    assert seen == [product.id for product in products()] and body["total"] == len(seen)


@pytest.mark.parametrize("limit", ["0", "501", "x", "-1"])
def test_limit_has_bounds(client, limit):
    answer = client.get("/v1/products", params={"limit": limit})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "/query/limit"


@pytest.mark.parametrize("cursor", ["x", "!!!!", "AAAA", "é", "MTIzNDU2Nzg6LTE"])
def test_garbage_is_no_cursor(client, cursor):
    answer = client.get("/v1/products", params={"cursor": cursor})
    assert (answer.status_code, answer.json()["type"]) == (422, "invalid-input")


def test_cursor_of_another_version_has_expired(shop):
    cursor = shop.get("/v1/products", params={"limit": 2}).json()["next_cursor"]
    publish(shop.settings.paths.indexes, shop.folder / "shop", products()[:5])
    shop.app.state.service.refresh()
    answer = shop.get("/v1/products", params={"cursor": cursor})
    assert (answer.status_code, answer.json()["type"]) == (410, "cursor-expired")
    assert "/v1/products" in answer.json()["detail"]


def test_product_tells_all_it_knows(client):
    body = client.get("/v1/products/lamp-green").json()
    assert (body["title"], body["brand"], body["category"]) == (
        "Green lamp",
        "Atelier Öst",
        ["Home", "Lamps"],
    )
    assert (body["price"], body["currency"], body["availability"]) == (9.9, "EUR", "in_stock")
    assert body["attributes"] == {"color": ["green"]} and body["images"] == 1 and body["retired"] is False
    assert body["rating"] == 4.5 and body["description"] == "A green lamp for every day."
    sale = client.get("/v1/products/mug-black").json()
    assert (sale["price"], sale["list_price"]) == (7.5, 49.9)


def test_retired_products_keep_their_page_and_leave_the_list(tmp_path):
    paint(tmp_path / "shop")
    publish(tmp_path / "indexes", tmp_path / "shop", [*products(), Product("retired-1", "Old mug")])
    settings = settings_for(tmp_path)
    recommender = Recommender.open(settings.paths.indexes, settings=settings, encoders=MathEncoders())
    with TestClient(create_app(settings, recommender), base_url=BASE_URL) as client:
        assert client.get("/v1/products/retired-1").json()["retired"] is True
        assert client.get("/v1/products/retired-1/similar").status_code == 200
        listed = client.get("/v1/products", params={"limit": 500}).json()
        assert "retired-1" not in [item["id"] for item in listed["items"]]


# ── pictures ─────────────────────────────────────────────────────────────────────────────────────────


def test_thumbnail_is_a_webp_of_the_product(client):
    answer = client.get("/v1/products/bag-blue/image", params={"w": 80})
    assert answer.headers["content-type"] == "image/webp"
    picture = Image.open(io.BytesIO(answer.content))
    assert (picture.format, picture.size) == ("WEBP", (80, 80))
    red, green, blue = np.asarray(picture.convert("RGB"))[50, 40]
    assert blue > red + 60 and blue > green


def test_thumbnail_is_kept_on_disk_and_revalidated(shop):
    folder = shop.settings.paths.data / "cache" / "thumbnails"
    first = shop.get("/v1/products/bag-blue/image", params={"w": 320})
    (kept,) = folder.rglob("*.webp")
    assert kept.read_bytes() == first.content
    again = shop.get("/v1/products/bag-blue/image?w=320", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    for width in (300, 319, 320):  # no way to fill the disk by asking for every width
        assert shop.get("/v1/products/bag-blue/image", params={"w": width}).content == first.content
    assert len(list(folder.rglob("*.webp"))) == 1


def test_thumbnail_follows_a_changed_picture(shop):
    first = shop.get("/v1/products/bag-blue/image")
    path = shop.folder / "shop" / "images" / "bag-blue.png"
    Image.new("RGB", (200, 120), "lime").save(path)
    second = shop.get("/v1/products/bag-blue/image")
    assert second.headers["etag"] != first.headers["etag"] and second.content != first.content


def test_thumbnail_needs_no_cache(shop):
    (shop.settings.paths.data / "cache").mkdir(parents=True)
    (shop.settings.paths.data / "cache" / "thumbnails").write_text("a file where the folder would be")
    assert shop.get("/v1/products/bag-blue/image").headers["content-type"] == "image/webp"


def test_thumbnail_is_kept_for_ever_only_when_its_version_is_named(client):
    version = client.get("/readyz").json()["version"]
    named = client.get("/v1/products/bag-blue/image", params={"v": version})
    assert "immutable" in named.headers["cache-control"]
    for other in ({}, {"v": "2020-01-01T00-00-00Z-00000000"}):
        answer = client.get("/v1/products/bag-blue/image", params=other)
        assert "immutable" not in answer.headers["cache-control"]


@pytest.mark.parametrize("product_id", ["no-picture", "lost-picture", "outside", "nobody"])
def test_no_picture_is_404_and_names_no_folder(client, product_id):
    answer = client.get(f"/v1/products/{product_id}/image")
    assert answer.status_code == 404 and "/tmp" not in answer.text and ".png" not in answer.text


def test_damaged_picture_is_404(shop):
    (shop.folder / "shop" / "images" / "bag-blue.png").write_bytes(b"<html>not found</html>")
    answer = shop.get("/v1/products/bag-blue/image")
    assert answer.status_code == 404 and "cannot be shown" in answer.json()["detail"]


# ── aspects, versions, health ────────────────────────────────────────────────────────────────────────


def test_aspects_name_what_can_be_weighed(client):
    body = client.get("/v1/aspects").json()
    assert body["aspects"][0] == {"name": "colour", "dim": 27, "gain": 1.0, "default_weight": 1.0}
    assert [aspect["name"] for aspect in body["aspects"]] == ["colour", "shape", "text"]
    assert body["presets"]["look"] == {"colour": 1.0, "shape": 1.0} and "style" not in body["presets"]


def test_versions_are_listed_and_activated(shop):
    first = shop.get("/v1/versions").json()
    publish(shop.settings.paths.indexes, shop.folder / "shop", products()[:5])
    shop.app.state.service.refresh()
    second = shop.get("/v1/versions").json()
    assert len(second["versions"]) == 2 and second["versions"][0]["id"] == second["in_use"] != first["in_use"]
    assert second["versions"][0]["count"] == 5 and second["versions"][0]["current"] is True
    back = shop.post(f"/v1/versions/{first['in_use']}/activate").json()
    assert back["current"] == back["in_use"] == first["in_use"]
    assert shop.get("/v1/products").json()["total"] == len(products())


def test_activating_nonsense(shop):
    assert shop.post("/v1/versions/..%2f..%2fetc/activate").status_code == 404
    assert shop.post("/v1/versions/none/activate").json()["type"] == "not-found"
    version = shop.get("/v1/versions").json()["in_use"]
    old = shop.settings.paths.indexes / version
    publish(shop.settings.paths.indexes, shop.folder / "shop", products()[:5])
    (old / "ids.json").write_text("[]")
    damaged = shop.post(f"/v1/versions/{version}/activate")
    assert (damaged.status_code, damaged.json()["type"]) == (409, "integrity")


def test_without_an_index_the_service_lives_and_says_so(tmp_path):
    with TestClient(create_app(settings_for(tmp_path)), base_url=BASE_URL) as client:
        assert client.get("/healthz").json() == {"status": "ok"}
        for path in ("/readyz", "/v1/aspects", "/v1/products", "/v1/products/x/similar"):
            answer = client.get(path)
            assert (answer.status_code, answer.json()["type"]) == (503, "unavailable")
            assert int(answer.headers["retry-after"]) >= 1
        assert client.post("/v1/search", json={"text": "x"}).status_code == 503
        assert client.get("/v1/versions").json()["versions"] == []
        page = client.get("/")
        assert page.status_code == 200 and "vision-rec reindex" in page.text


def test_damaged_version_is_stood_in_for_and_said(shop):
    new = publish(shop.settings.paths.indexes, shop.folder / "shop", products()[:5])
    new.close()
    (new.path / "vectors.npy").write_bytes(b"rubbish")
    shop.app.state.service.refresh()
    answer = shop.get("/readyz")
    assert answer.status_code == 200 and shop.get("/v1/products").json()["total"] == len(products())
    assert answer.json()["status"] == "degraded" and new.id in str(answer.json()["degraded"])


def test_empty_catalogue_answers(tmp_path):
    paint(tmp_path / "shop")
    publish(tmp_path / "indexes", tmp_path / "shop", [])
    settings = settings_for(tmp_path)
    recommender = Recommender.open(settings.paths.indexes, settings=settings, encoders=MathEncoders())
    with TestClient(create_app(settings, recommender), base_url=BASE_URL) as client:
        assert client.get("/v1/products").json()["items"] == []
        body = client.post("/v1/search", json={"text": "mug"}).json()
        assert body["items"] == [] and body["empty_reason"]
        assert client.get("/").status_code == 200


def test_indexes_removed_while_serving(shop):
    shutil.rmtree(shop.settings.paths.indexes)
    shop.app.state.service.refresh()
    assert shop.get("/v1/products/mug-red/similar").status_code == 200


# ── the document ─────────────────────────────────────────────────────────────────────────────────────


RULE_ROUTES = """
get /v1/rules
post /v1/rules
get /v1/rules/{rule_id}
put /v1/rules/{rule_id}
delete /v1/rules/{rule_id}
post /v1/rules/publish
post /v1/rules/discard
post /v1/rules/preview
get /v1/rules/diff
get /v1/rules/versions
post /v1/rules/versions/{number}/restore
get /v1/rules/audit
""".strip().split("\n")


def test_openapi_has_the_whole_contract(client):
    document = client.get("/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    assert {f"{method} {path}" for path, all_ in document["paths"].items() for method in all_} == {
        "get /v1/products/{product_id}/similar",
        "post /v1/search",
        "post /v1/search/image",
        "post /v1/recommendations",
        "get /v1/products",
        "get /v1/products/{product_id}",
        "get /v1/products/{product_id}/image",
        "get /v1/aspects",
        "get /v1/versions",
        "post /v1/versions/{version_id}/activate",
        "post /v1/versions/{version_id}/verify",
        "get /v1/versions/{before}/diff/{after}",
        "post /v1/explain",
        "post /v1/journeys",
        "get /v1/audience",
        "get /v1/catalogue/report",
        "get /v1/catalogue/health",
        "post /v1/catalogue/health",
        "get /v1/catalogue/products/{product_id}",
        "post /v1/events",
        "delete /v1/users/{user_id}",
        *RULE_ROUTES,
        "get /healthz",
        "get /readyz",
        "get /metrics",
    }


def test_openapi_references_resolve_and_problems_are_declared(client):
    document = client.get("/openapi.json").json()
    names = set(document["components"]["schemas"])

    def walk(node):
        if isinstance(node, dict):
            if "$ref" in node:
                assert node["$ref"].removeprefix("#/components/schemas/") in names, node
            for value in node.values():
                walk(value)
        elif isinstance(node, list):
            for value in node:
                walk(value)

    walk(document)
    for operations in document["paths"].values():
        for operation in operations.values():
            assert "application/problem+json" in operation["responses"]["default"]["content"]


def test_openapi_says_what_a_search_may_hold(client):
    from vision_rec.batch import query_from_json
    from vision_rec.errors import InputError

    fields = client.get("/openapi.json").json()["components"]["schemas"]["SearchBody"]["properties"]
    for name in fields:  # each is known to the reader, too
        try:
            query_from_json({name: None}, open_picture=lambda _: None)
        except InputError as error:
            pytest.fail(str(error))
    with pytest.raises(InputError) as refused:
        query_from_json({"zzzz": 1}, open_picture=lambda _: None)
    assert set(fields) == set(str(refused.value).split("known are ")[1].split(", "))


def test_metrics_have_bounded_labels(client):
    client.get("/v1/products/mug-red/similar")
    client.get("/v1/products/secret-id-of-a-visitor")
    client.get("/nowhere/secret-id-of-a-visitor")
    client.request("BREW", "/v1/search")
    text = client.get("/metrics").text
    assert 'http_route="/v1/products/{product_id}/similar"' in text and "secret-id" not in text
    assert "BREW" not in text and 'http_request_method="other"' in text
    assert 'vision_rec_version_info{version="' in text
    assert "vision_rec_search_stage_seconds_bucket" in text
