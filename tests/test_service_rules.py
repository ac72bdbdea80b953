"""/v1/rules: edit, preview, publish, undo, log; and the lists of every route obey alike."""

from __future__ import annotations

import pytest
from service_shop import BASE_URL, MathEncoders, open_shop
from starlette.testclient import TestClient

from vision_rec.recommend import Recommender
from vision_rec.service import create_app

BASE = "mug-red"


@pytest.fixture
def shop(tmp_path):
    settings, recommender = open_shop(tmp_path)
    with TestClient(create_app(settings, recommender), base_url=BASE_URL) as client:
        client.settings = settings
        yield client


def similar(client, product=BASE, **params):
    answer = client.get(f"/v1/products/{product}/similar", params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()


def ids(body):
    return [item["id"] for item in body["items"]]


def add(client, **body):
    answer = client.post("/v1/rules", json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()


def refused(answer, status, code, word=""):
    body = answer.json()
    assert (answer.status_code, body["type"]) == (status, code), body
    assert answer.headers["content-type"] == "application/problem+json" and word in body["detail"], body
    return body


# ── editing ──────────────────────────────────────────────────────────────────────────────────────────


def test_create_read_change_and_remove(shop):
    assert shop.get("/v1/rules").json()["rules"] == []
    made = shop.post("/v1/rules", json={"effect": "hide", "products": ["mug-blue"], "name": "No blue"})
    rule = made.json()
    assert made.status_code == 201 and made.headers["location"] == f"/v1/rules/{rule['id']}"
    assert made.headers["etag"] == f'"{rule["serial"]}"' and rule["author"] == "local"
    assert (rule["state"], rule["unpublished"], rule["problems"]) == ("active", "added", [])
    assert rule["sentence"] == "Hide mug-blue in all lists"
    got = shop.get(f"/v1/rules/{rule['id']}")
    assert got.headers["etag"] == made.headers["etag"] and got.json()["name"] == "No blue"
    body = {name: value for name, value in got.json().items() if name not in made_by_us()}
    changed = shop.put(f"/v1/rules/{rule['id']}", json=body | {"products": ["gone"]})
    assert changed.json()["serial"] == rule["serial"] + 1
    assert changed.json()["problems"] == ["gone is not in the catalogue"]
    listed = shop.get("/v1/rules")
    assert listed.headers["etag"] == f'"{listed.json()["draft"]}"' and listed.json()["changed"]
    assert shop.delete(f"/v1/rules/{rule['id']}").json()["removed"] == rule["id"]
    refused(shop.get(f"/v1/rules/{rule['id']}"), 404, "not-found", "no rule")


def made_by_us():
    return ("request_id", "sentence", "state", "unpublished", "problems", "hits_7_days")


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ({"efect": "pin"}, "did you mean 'effect'"),
        ({"effect": "pin", "products": ["a"], "position": 0}, "position"),
        ({"effect": "hide", "products": ["a"], "filters": {"brand": ["x"]}}, "either"),
        ({"effect": "boost", "filters": {"brnd": ["x"]}, "strength": 0.1}, "filter field"),
        ({"effect": "hide", "products": ["a"], "starts_at": "x"}, "starts_at"),
        ([], "object"),
    ],
)
def test_bodies_are_strict(shop, body, word):
    refused(shop.post("/v1/rules", json=body), 422, "invalid-input", word)
    assert shop.get("/v1/rules").json()["rules"] == []


def test_hostile_names_do_no_harm(shop):
    for name in ("<script>alert(1)</script>", "\u202eevil", "🎉" * 250, "x" * 500, "'; DROP TABLE"):
        rule = add(shop, effect="pin", products=["mug-blue"], name=name)
        assert rule["name"] == name
    shop.post("/v1/rules/publish")
    assert similar(shop)["items"][0]["reasons"][-1].startswith("pinned to place 1 by")
    refused(shop.post("/v1/rules", content=b'{"effect": "hide", "products": ["\\ud800"]}',
                      headers={"Content-Type": "application/json"}), 400, "malformed")  # fmt: skip


def test_the_second_of_two_merchandisers_sees_the_change_of_the_first(shop):
    made = shop.post("/v1/rules", json={"effect": "hide", "products": ["mug-blue"]})
    path, tag = f"/v1/rules/{made.json()['id']}", made.headers["etag"]
    one = {"effect": "hide", "products": ["mug-green"]}
    assert shop.put(path, json=one, headers={"If-Match": tag}).status_code == 200
    late = shop.put(path, json={"effect": "hide", "products": ["lamp-red"]}, headers={"If-Match": tag})
    problem = refused(late, 412, "changed-meanwhile", "changed by local")
    assert problem["current"]["products"] == ["mug-green"]
    refused(shop.delete(path, headers={"If-Match": tag}), 412, "changed-meanwhile")
    refused(shop.delete(path, headers={"If-Match": '"other"'}), 412, "changed-meanwhile")
    draft = shop.get("/v1/rules").headers["etag"]
    add(shop, effect="hide", products=["lamp-blue"])
    for step in ("publish", "discard"):
        refused(shop.post(f"/v1/rules/{step}", headers={"If-Match": draft}), 412, "changed-meanwhile")
    draft = shop.get("/v1/rules").headers["etag"]
    assert shop.post("/v1/rules/publish", headers={"If-Match": draft}).json()["published"]
    assert shop.delete(path, headers={"If-Match": "*"}).status_code == 200


# ── publishing ───────────────────────────────────────────────────────────────────────────────────────


def test_publish_diff_and_undo(shop):
    before = ids(similar(shop))
    rule = add(shop, effect="pin", products=["bag-blue"], position=3, name="Bags")
    assert ids(similar(shop)) == before
    changes = shop.get("/v1/rules/diff").json()["changes"]
    assert [(c["id"], c["change"], c["is"]) for c in changes] == [
        (rule["id"], "added", "Pin bag-blue to place 3 in all lists")
    ]
    body = shop.post("/v1/rules/publish", json={"note": "bags first"}).json()
    assert (body["version"], body["published"], len(body["changes"])) == (1, True, 1)
    after = similar(shop)  # at once, in this worker
    assert ids(after)[2] == "bag-blue" and after["items"][2]["rank_without_rules"] not in (3, None)
    assert after["rules"] == [{"id": rule["id"], "name": "Bags", "effect": "pin", "amount": 1.0}]
    again = shop.post("/v1/rules/publish").json()
    assert (again["version"], again["published"], again["changes"]) == (1, False, [])
    undone = shop.post("/v1/rules/versions/0/restore").json()
    assert (undone["version"], undone["restored_from"]) == (2, 0)
    assert [c["change"] for c in undone["changes"]] == ["removed"]
    assert ids(similar(shop)) == before
    listed = shop.get("/v1/rules/versions").json()["versions"]
    assert [(v["number"], v["current"], v["count"], v["note"]) for v in listed] == [
        (2, True, 0, "back to version 0"), (1, False, 1, "bags first")
    ]  # fmt: skip
    diff = shop.get("/v1/rules/diff", params={"before": "1", "after": "2"}).json()
    assert [c["change"] for c in diff["changes"]] == ["removed"]
    log = shop.get("/v1/rules/audit", params={"limit": 2}).json()
    assert [entry["what"] for entry in log["entries"]] == ["restored", "published"]
    older = shop.get("/v1/rules/audit", params={"before": log["next"]}).json()
    assert [entry["what"] for entry in older["entries"]] == ["created"] and older["next"] is None


def test_discard_takes_the_draft_back(shop):
    add(shop, effect="hide", products=["mug-blue"])
    assert shop.post("/v1/rules/discard").json()["rules"] == []
    add(shop, effect="hide", products=["mug-blue"])
    draft = shop.get("/v1/rules").headers["etag"]
    assert shop.post("/v1/rules/discard", headers={"If-Match": draft}).json()["rules"] == []


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/v1/rules/versions/9/restore", 404),
        ("POST", "/v1/rules/versions/x/restore", 422),
        ("POST", "/v1/rules/versions/-1/restore", 422),
        ("GET", "/v1/rules/diff?before=9", 404),
        ("GET", "/v1/rules/diff?before=new", 422),
        ("GET", "/v1/rules/diff?form=1", 422),
        ("GET", "/v1/rules/audit?limit=0", 422),
        ("GET", "/v1/rules/audit?limit=501", 422),
        ("GET", "/v1/rules/versions?limit=0", 422),
        ("DELETE", "/v1/rules/r-000000000000", 404),
        ("PATCH", "/v1/rules/r-000000000000", 405),
    ],
)
def test_what_is_not_there_or_allowed(shop, method, path, status):
    answer = shop.request(method, path)
    assert answer.status_code == status and answer.json()["status"] == status


def test_every_route_obeys_alike(shop):
    add(shop, effect="hide", filters={"category": ["Lamps"]})
    add(shop, effect="pin", products=["bag-blue"], position=1)
    shop.post("/v1/rules/publish")
    answers = [
        similar(shop, k=50),
        shop.post("/v1/search", json={"product_id": BASE, "k": 50}).json(),
        shop.post("/v1/search", json={"text": "red mug", "k": 50}).json(),
        shop.post("/v1/recommendations", json={"recent": [BASE, "chair-red"], "k": 50}).json(),
    ]
    for body in answers:
        assert ids(body)[0] == "bag-blue" and body["items"][0]["pinned"]
        assert not any(ident.startswith("lamp-") for ident in ids(body))
        assert [effect["effect"] for effect in body["rules"]] == ["hide", "pin"]
    assert 'vision_rec_rule_hits_total{effect="pin"} 4.0' in shop.get("/metrics").text
    pages = [ids(similar(shop, k=7, offset=offset)) for offset in (0, 7, 14)]
    assert [ident for page in pages for ident in page] == ids(answers[0])[:21]
    python = Recommender.open(shop.settings.paths.indexes, settings=shop.settings, encoders=MathEncoders())
    assert [item.product.id for item in python.similar(BASE, k=50)] == ids(answers[0])


def test_a_running_service_follows_what_others_publish(shop):
    from vision_rec.merchandise import RuleDesk

    before = shop.get(f"/v1/products/{BASE}/similar")
    desk = RuleDesk(shop.settings)
    desk.store.create({"effect": "hide", "products": [ids(before.json())[0]]}, "cli")
    desk.store.publish("cli")
    shop.app.state.service.refresh()  # what the watch does every poll_seconds
    tag = {"If-None-Match": before.headers["etag"]}
    after = shop.get(f"/v1/products/{BASE}/similar", headers=tag)
    assert after.status_code == 200 and ids(after.json()) != ids(before.json())
    tag = {"If-None-Match": after.headers["etag"]}
    assert shop.get(f"/v1/products/{BASE}/similar", headers=tag).status_code == 304
    path = desk.store.folder / "versions" / "000001.json"
    path.write_text("damaged")
    shop.app.state.service.refresh()
    assert "rules" in shop.get("/readyz").json()["degraded"][0]
    assert "rules" in similar(shop)["degraded"][0]


# ── preview ──────────────────────────────────────────────────────────────────────────────────────────


def test_a_preview_shows_both_lists_and_saves_nothing(shop):
    add(shop, effect="pin", products=["bag-blue"], position=2, scope={"kind": "product", "value": BASE})
    body = shop.post("/v1/rules/preview").json()
    assert len(body["previews"]) == 10 and body["previews"][0]["label"] == "Like Red mug"
    first = body["previews"][0]
    assert first["after"][1]["id"] == "bag-blue" and first["after"][1]["pinned"]
    moves = {move["id"]: (move["from"], move["to"]) for move in first["moves"]}
    assert moves["bag-blue"][1] == 2 and moves["bag-blue"][0] != 2
    assert all(preview["moves"] == [] for preview in body["previews"][1:])
    assert not similar(shop)["items"][1]["pinned"]


def test_a_preview_of_a_rule_that_is_not_saved(shop):
    rule = {"effect": "hide", "filters": {"category": ["Mugs"]}, "starts_at": "2090-01-01"}
    asked = {"rule": rule, "queries": [{"product_id": BASE, "k": 5}, {"text": "mug"}, {"product_id": "?"}]}
    body = shop.post("/v1/rules/preview", json=asked).json()
    assert body["at"] == "2090-01-01T00:00:00Z"  # as it will be once it begins
    assert len(body["previews"][0]["after"]) == 5
    assert not any(item["id"].startswith("mug-") for item in body["previews"][0]["after"])
    assert any(item["id"].startswith("mug-") for item in body["previews"][0]["before"])
    assert "no product '?'" in body["previews"][2]["error"]
    assert shop.get("/v1/rules").json()["rules"] == []
    for wrong in (
        {"queries": []}, {"queries": [1]}, {"queries": [{}] * 21}, {"k": 0}, {"rul": 1}, {"at": "x"},
        {"rule": rule, "after": "draft"}, {"before": "x"}, {"rule": rule | {"id": "r-000000000009"}},
    ):  # fmt: skip
        assert shop.post("/v1/rules/preview", json=wrong).status_code in (404, 422), wrong


def test_the_contract_has_the_routes(shop):
    document = shop.get("/openapi.json").json()
    assert {"get", "post"} <= set(document["paths"]["/v1/rules"])
    assert {"get", "put", "delete"} <= set(document["paths"]["/v1/rules/{rule_id}"])
    assert "RuleBody" in document["components"]["schemas"]
