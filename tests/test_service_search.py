"""The routes that search, against a real small version."""

from __future__ import annotations

import base64
import io
from urllib.parse import quote

import pytest
from service_shop import BASE_URL, COLOURS, SHAPES, draw, open_shop
from starlette.testclient import TestClient

from vision_rec.service import create_app


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    settings, recommender = open_shop(tmp_path_factory.mktemp("search"))
    with TestClient(create_app(settings, recommender), base_url=BASE_URL) as client:
        yield client


def similar(client, product_id="mug-red", **params):
    return client.get(f"/v1/products/{quote(product_id, safe='')}/similar", params=params)


def png(shape, colour, side=96):
    out = io.BytesIO()
    draw(shape, colour, side).save(out, "PNG")
    return out.getvalue()


def ids(answer):
    assert answer.status_code == 200, answer.text
    return [item["id"] for item in answer.json()["items"]]


# ── similar ──────────────────────────────────────────────────────────────────────────────────────────


def test_similar_has_every_field_of_the_contract(client):
    answer = similar(client, k=5)
    body = answer.json()
    assert {
        "request_id",
        "version",
        "weights",
        "took_ms",
        "degraded",
        "empty_reason",
        "facets",
        "items",
    } <= set(body)
    item = body["items"][0]
    assert set(item) >= set(
        "id title link image brand category price currency availability group_id score parts missing boost "
        "pinned rules reasons".split()
    )
    assert body["request_id"] == answer.headers["x-request-id"]
    assert body["empty_reason"] is None and body["degraded"] == [] and body["took_ms"] > 0


def test_parts_sum_to_the_score(client):
    for item in similar(client, k=20, weights="colour:2,shape:1,text:0.5").json()["items"]:
        assert sum(item["parts"].values()) == pytest.approx(item["score"], abs=1e-5)


def test_one_aspect_alone_decides(client):
    by_colour = ids(similar(client, "bag-blue", k=3, weights="colour:1", max_per_group=0))
    assert {product_id.split("-")[1] for product_id in by_colour} == {"blue"}
    by_shape = ids(similar(client, "bag-blue", k=4, weights="shape:1", max_per_group=0))
    assert {product_id.split("-")[0] for product_id in by_shape} == {"bag"}


def test_weights_are_read_with_colon_or_equals_and_resolved(client):
    one, two = (similar(client, weights=text).json() for text in ("colour:2,shape:2", "colour=1, shape=1"))
    assert one["weights"] == two["weights"] == pytest.approx({"colour": 0.5, "shape": 0.5, "text": 0.0})
    assert similar(client, preset="colour").json()["weights"]["colour"] == 1.0


def test_filters_must_all_hold(client):
    answer = client.get(
        "/v1/products/mug-blue/similar?k=50&filter=price<=30&filter=in_stock=true&filter=category=Home"
    )
    items = answer.json()["items"]
    assert items and all(
        i["price"] <= 30 and i["availability"] == "in_stock" and "Home" in i["category"] for i in items
    )
    both = similar(client, k=50, filters='{"price": {"max": 30}, "in_stock": true, "category": ["Home"]}')
    assert len(both.json()["items"]) >= len(items) - 1


def test_nothing_left_is_an_empty_answer_with_a_reason(client):
    body = similar(client, filter="price>100000").json()
    assert body["items"] == [] and "price" in body["empty_reason"]


def test_pages_do_not_overlap_and_end(client):
    whole = ids(similar(client, k=200))
    assert len(whole) == len(set(whole)) and "mug-red" not in whole
    assert ids(similar(client, k=4)) + ids(similar(client, k=4, offset=4)) == whole[:8]
    assert ids(similar(client, k=10, offset=5000)) == []


def test_any_id_works_when_url_encoded(client):
    answer = similar(client, "a/b c%2F", k=2)
    assert answer.status_code == 200 and "a/b c%2F" not in ids(answer)
    assert client.get("/v1/products/" + quote("a/b c%2F", safe="")).json()["id"] == "a/b c%2F"


def test_lists_are_separated_by_commas_or_repeated(client):
    kept = ids(similar(client, k=4))
    for exclude in (f"{kept[0]},{kept[1]}", [kept[0], kept[1]], [f'["{kept[0]}"]', kept[1]]):
        assert ids(similar(client, k=2, exclude=exclude)) == kept[2:], exclude
    facets = similar(client, k=1, facets=["brand", "category"]).json()["facets"]
    assert set(facets) == {"brand", "category"}


def test_etag_is_bound_to_version_and_address(client):
    first = similar(client, k=3)
    tag = first.headers["etag"]
    assert first.json()["version"] in tag and first.headers["cache-control"] == "private, no-cache"
    again = client.get("/v1/products/mug-red/similar?k=3", headers={"If-None-Match": tag})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    other = client.get("/v1/products/mug-red/similar?k=4", headers={"If-None-Match": tag})
    assert other.status_code == 200


@pytest.mark.parametrize(
    ("params", "word"),
    [
        ({"k": "0"}, "k is 0"),
        ({"k": "201"}, "1 to 200"),
        ({"k": "ten"}, "'k'"),
        ({"k": "NaN"}, "'k'"),
        ({"weights": "color:1"}, "colour, shape, text"),
        ({"weights": "colour:-1"}, "≥ 0"),
        ({"weights": "colour:inf"}, "finite"),
        ({"weights": "colour"}, "ASPECT:NUMBER"),
        ({"weights": "colour:1,colour:2"}, "twice"),
        ({"k": ["3", "4"]}, "twice"),
        ({"weights": "colour:0"}, "above 0"),
        ({"filter": "prise<=50"}, "unknown filter field"),
        ({"filter": "price<=cheap"}, "finite number"),
        ({"weight": "colour:1"}, "did you mean 'weights'"),
        ({"diversity": "1.5"}, "0 to 1"),
        ({"preset": "none-such"}, "colour, look, shape, words"),
        ({"facets": "nonsense"}, "no facet"),
        ({"text": "not a body"}, "unknown parameter"),
    ],
)
def test_wrong_parameters_are_answered_in_one_sentence(client, params, word):
    answer = similar(client, **params)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["type"] == "invalid-input" and word in body["detail"], body


def test_unknown_product_is_404(client):
    body = similar(client, "nobody").json()
    assert (body["type"], body["status"]) == ("not-found", 404) and "'nobody'" in body["detail"]
    assert body["instance"] == "/v1/products/nobody/similar"


# ── search ───────────────────────────────────────────────────────────────────────────────────────────


def test_search_by_text(client):
    assert ids(client.post("/v1/search", json={"text": "green lamp", "k": 1})) == ["lamp-green"]


def test_search_by_product_edited_to_another_colour(client):
    found = ids(client.post("/v1/search", json={"product_id": "chair-red", "colour": "blue", "k": 1}))
    assert found == ["chair-blue"]


def test_search_by_picture_in_json_and_as_a_file_agree(client):
    data = png("lamp", "blue")
    fields = {"k": 4, "weights": {"colour": 1, "shape": 1}, "filters": {"category": ["Lamps"]}}
    by_json = client.post("/v1/search", json={**fields, "image": base64.b64encode(data).decode()})
    by_file = client.post(
        "/v1/search/image",
        files={"image": ("photo.png", data)},
        data={"k": "4", "weights": "colour:1,shape:1", "filter": "category=Lamps"},
    )
    assert ids(by_json) == ids(by_file) and ids(by_json)[0] == "lamp-blue"


def test_crop_looks_at_a_part_of_the_picture(client):
    wide = io.BytesIO()
    from PIL import Image

    sheet = Image.new("RGB", (192, 96), "white")
    sheet.paste(draw("bag", "red"), (0, 0))
    sheet.paste(draw("lamp", "blue"), (96, 0))
    sheet.save(wide, "PNG")
    for crop, wanted in (("[0, 0, 0.5, 1]", "bag-red"), ("[0.5, 0, 0.5, 1]", "lamp-blue")):
        found = client.post(
            "/v1/search/image", files={"image": ("x.png", wide.getvalue())}, data={"crop": crop}
        )
        assert ids(found)[0] == wanted


def test_examples_pull_and_push(client):
    liked = [{"product_id": "mug-blue", "weight": 1}, {"product_id": "lamp-blue", "weight": 1}]
    found = ids(client.post("/v1/search", json={"examples": liked, "k": 3, "weights": {"colour": 1}}))
    assert all(product_id.endswith("blue") for product_id in found[:2])


def test_null_is_not_given_and_every_field_has_a_value(client):
    body = {"product_id": "mug-red", "text": None, "weights": None, "filters": None, "k": None, "crop": None}
    assert len(ids(client.post("/v1/search", json=body))) == 10


def test_facets_are_counted(client):
    body = client.post("/v1/search", json={"text": "mug", "facets": ["brand", "category"]}).json()
    assert body["facets"]["category"]["Mugs"] == len(COLOURS) + 1
    assert body["facets"]["category"]["Home"] == 3 * len(COLOURS) + 1 and len(SHAPES) == 4


def test_wrong_fields_are_pointed_at(client):
    body = client.post("/v1/search", json={"text": "x", "k": 500, "diversity": 7}).json()
    assert body["type"] == "invalid-input" and "k is 500" in body["detail"]
    assert {error["pointer"] for error in body["errors"]} == {"/k", "/diversity"}
    body = client.post("/v1/search", json={"txt": "x"}).json()
    assert "did you mean 'text'" in body["detail"] and body["errors"][0]["pointer"] == "/txt"


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 422, "invalid-input"),
        ({"text": "  "}, 422, "invalid-input"),
        ({"text": "x" * 513}, 422, "invalid-input"),
        ({"text": "x", "weights": {"text": -1}}, 422, "invalid-input"),
        ({"text": "x", "weights": {"nope": 1}}, 422, "invalid-input"),
        ({"text": "x", "filters": {"price": {"min": 9, "max": 1}}}, 422, "invalid-input"),
        ({"text": "x", "offset": -1}, 422, "invalid-input"),
        ({"colour": "no such colour at all"}, 422, "invalid-input"),
        ({"image": "!!!"}, 422, "invalid-input"),
        ({"image": base64.b64encode(b"<html>").decode()}, 422, "image-unreadable"),
        ({"image_url": "http://169.254.169.254/latest"}, 422, "url-not-allowed"),
        ({"product_id": "nobody"}, 404, "not-found"),
        ({"recent": ["nobody"]}, 404, "not-found"),
        ({"text": "x", "crop": [0, 0, 1, 1]}, 422, "invalid-input"),
        ({"user_id": 1}, 422, "invalid-input"),
        ({"session_id": ""}, 422, "invalid-input"),
    ],
)
def test_what_is_refused(client, body, status, code):
    answer = client.post("/v1/search", json=body)
    problem = answer.json()
    assert (answer.status_code, problem["type"], problem["status"]) == (status, code, status), problem
    assert problem["request_id"] == answer.headers["x-request-id"]


# ── recommendations ──────────────────────────────────────────────────────────────────────────────────


def test_recommendations_follow_recent_views(client):
    body = {"recent": ["mug-blue", "lamp-blue", "chair-blue"], "weights": {"colour": 1}, "k": 1}
    assert ids(client.post("/v1/recommendations", json=body)) == ["bag-blue"]


@pytest.mark.parametrize("body", [{}, {"recent": []}, {"user_id": ""}, {"product_id": "mug-red"}])
def test_recommendations_need_views(client, body):
    answer = client.post("/v1/recommendations", json=body)
    assert answer.status_code == 422 and "'recent'" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("path", "pointer", "code", "word"),
    [
        ("/v1/products/chair-red/similar?k=abc", "/k", "unreadable", "give a finite number"),
        ("/v1/products/chair-red/similar?k=3&k=4", "/k", "repeated", "given twice"),
        ("/v1/products/chair-red/similar?weight=colour:1", "/weight", "unknown", "did you mean 'weights'"),
        ("/v1/products?limt=5", "/limt", "unknown", "did you mean 'limit'"),
        ("/v1/products/chair-red/image?width=300", "/width", "unknown", "known are n, v, version, w"),
    ],
)
def test_a_parameter_that_cannot_be_read_is_pointed_at(client, path, pointer, code, word):
    body = client.get(path).json()
    assert body["status"] == 422 and word in body["detail"]
    (error,) = body["errors"]
    assert (error["pointer"], error["code"]) == (pointer, code) and error["message"] == body["detail"]


def test_routes_without_parameters_take_no_notice_of_any(client):
    assert client.get("/healthz?_=1").status_code == 200
    assert client.get("/v1/products/chair-red?_=1").status_code == 200


def test_the_session_model_is_named_in_a_query_string_as_in_a_body(client):
    for model in ("auto", "recency"):
        given = {"recent": "lamp-blue", "session_model": model}
        posted = {"product_id": "mug-red", "recent": ["lamp-blue"], "session_model": model}
        answer = similar(client, **given)
        assert answer.status_code == 200 and ids(answer) == ids(client.post("/v1/search", json=posted))


@pytest.mark.parametrize(
    "wrong", [{"k": "10"}, {"k": True}, {"weights": {"colour": "1"}}, {"exclude_own_group": "yes"}]
)
def test_values_of_the_wrong_type_are_pointed_at(client, wrong):
    body = client.post("/v1/search", json={"product_id": "chair-red", **wrong}).json()
    assert body["status"] == 422 and body["errors"][0]["pointer"].startswith(f"/{next(iter(wrong))}")


def test_a_body_is_no_query_string(client):
    body = client.post("/v1/search?k=2", json={"text": "lamp"}).json()
    assert body["status"] == 422 and body["errors"][0]["pointer"] == "/k" and "in the body" in body["detail"]


def test_any_form_of_a_known_tag_is_not_sent_again(client):
    path = "/v1/products/chair-red/similar"
    tag = client.get(path).headers["etag"]
    for known in (tag, tag.removeprefix("W/"), f'"other", {tag}'):
        assert client.get(path, headers={"If-None-Match": known}).status_code == 304
    for other in (tag[:-2] + '"', tag + "x", ""):
        assert client.get(path, headers={"If-None-Match": other}).status_code == 200


@pytest.mark.parametrize("path", ["/v1/products", "/v1/aspects", "/healthz", "/metrics", "/openapi.json"])
def test_allow_names_head_wherever_get_is(client, path):
    assert client.head(path).status_code == 200
    allowed = client.put(path).headers["allow"].split(", ")
    assert "GET" in allowed and "HEAD" in allowed


def test_long_names_are_not_sent_back_whole(client):
    for body in (
        {"weights": {"x" * 100_000: 1}},
        {"filters": {"y" * 100_000: 1}},
        {"facets": ["z" * 100_000]},
    ):
        answer = client.post("/v1/search", json={"product_id": "chair-red", **body})
        assert answer.status_code == 422 and len(answer.content) < 3000


def test_all_parameters_are_in_the_openapi_document(client):
    paths = client.get("/openapi.json").json()["paths"]
    assert {p["name"] for p in paths["/v1/rules/diff"]["get"]["parameters"]} == {"before", "after"}
    guarded = [("/v1/rules/publish", "post"), ("/v1/rules/discard", "post"), ("/v1/rules/{rule_id}", "put"),
               ("/v1/rules/{rule_id}", "delete")]  # fmt: skip
    for path, method in guarded:
        assert "If-Match" in {p["name"] for p in paths[path][method]["parameters"]}, path
