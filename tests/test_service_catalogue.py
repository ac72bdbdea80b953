"""The catalogue screen without scripts, and the calls of /v1/catalogue that it stands on."""

from __future__ import annotations

import csv
import io
import threading
from urllib.parse import quote

import pytest
from health_shop import Encoders, opened, plant, report_of, shelf
from service_shop import BASE_URL, open_shop, page, problem, settings_for
from starlette.testclient import TestClient

from vision_rec.health import KINDS
from vision_rec.service import create_app

HOSTILE = "<script>alert(1)</script>\u202e🎉 'x' \"y\" " + "w" * 300


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    chosen = shelf()
    plant(chosen)
    chosen.add("a/b c%2F", "Mugs", "red", title=HOSTILE, group_id="odd")
    chosen.add("odd-2", "Mugs", "green", title="Sister", group_id="odd")
    folder = tmp_path_factory.mktemp("catalogue")
    opened(folder, chosen, report_of())
    return folder


@pytest.fixture(scope="module")
def shop(folder):
    from vision_rec.recommend import Recommender

    settings = settings_for(folder)
    rec = Recommender.open(settings.paths.indexes, settings=settings, encoders=Encoders())
    with TestClient(create_app(settings, rec), base_url=BASE_URL, follow_redirects=False) as client:
        yield client


@pytest.fixture(scope="module")
def checked(shop):
    """The shop after a check that a caller of the API started."""
    assert shop.get("/v1/catalogue/health").json()["state"] == "none"
    assert "Not checked yet" in page(shop.get("/catalogue"))
    answer = shop.post("/v1/catalogue/health")
    assert answer.status_code == 202 and answer.json()["state"] in ("running", "done")
    for _ in range(600):
        body = shop.get("/v1/catalogue/health").json()
        if body["state"] == "done":
            return shop
        assert body["state"] == "running"
        threading.Event().wait(0.1)
    raise AssertionError("the check does not end")


def lines(answer):
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert "attachment" in answer.headers["content-disposition"]
    return list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig"))))


# ── the report ───────────────────────────────────────────────────────────────────────────────────────


def test_the_report_over_http(shop):
    body = shop.get("/v1/catalogue/report").json()
    assert body["report"]["rejected"] == 3 and body["failed"] is None and body["damage"] is None
    assert body["lacking"]["picture"] == {"count": 0, "products": []}
    assert body["lacking"]["image:missing"] == {"count": 1, "products": ["mugs-4"]}
    assert body["version"] == shop.get("/v1/versions").json()["in_use"]


def test_the_screen_counts_and_each_number_opens_its_rows(shop):
    text = page(shop.get("/catalogue"))
    for said in (
        "Rows rejected",
        "price: cannot read the price …",
        "cdn.example",
        "truncated",
        "no reviews file",
    ):
        assert said in text
    assert '<a href="/catalogue" aria-current="page">Catalogue</a>' in text
    text = page(shop.get("/catalogue/rows?list=rejected"))
    assert "free" in text and ">7<" in text and "products.csv" in text and "3 in all" in text
    narrow = page(shop.get("/catalogue/rows", params={"list": "rejected", "column": "title"}))
    assert "the title is missing" in narrow and "free" not in narrow and "1 in all" in narrow
    pictures = page(shop.get("/catalogue/rows", params={"list": "pictures", "host": "cdn.example"}))
    assert "a.jpg" in pictures and "c.jpg" not in pictures and "2 in all" in pictures
    assert "mugs-1" in page(shop.get("/catalogue/rows?list=repeated"))
    assert "images/none.png" in page(shop.get("/catalogue/rows?list=placeholders"))
    assert "mugs-4" in page(shop.get("/catalogue/rows?list=lacking&what=image:missing"))


def test_csv_runs_no_formula(shop):
    found = lines(shop.get("/catalogue/rows.csv?list=rejected"))
    assert found[0] == ["product", "file", "line", "column", "value", "why"] and len(found) == 4
    assert found[2][0] == "'=cmd|' /C calc'!A0" and found[2][4] == "'=1+1"
    assert found[1][:4] == ["p7", "products.csv", "7", "price"]


@pytest.mark.parametrize("asked", ["", "?list=nothing", "?list=lacking&what=x"])
def test_lists_that_are_not_there(shop, asked):
    assert "Not found" in page(shop.get(f"/catalogue/rows{asked}"), 404)
    problem(shop.get(f"/catalogue/rows.csv{asked}"), 404, "not-found")


def test_pages_of_a_long_list(tmp_path):
    rejects = [
        {"file": "f.csv", "line": n, "column": "price", "reason": f"cannot read '{n}'", "product_id": ""}
        for n in range(120)
    ]
    rec = opened(tmp_path, shelf(), report_of(rejects=rejects, rejected=4000))
    with TestClient(create_app(settings_for(tmp_path), rec), base_url=BASE_URL) as client:
        text = page(client.get("/catalogue/rows?list=rejected&page=2"))
        assert "Page 2 of 3" in text and ">50<" in text and ">49<" not in text
        assert "4,000 in all; the first 120 were written down" in text
        for odd in ("0", "-1", "99999999", "x", "³"):
            assert "of 3" in page(client.get("/catalogue/rows", params={"list": "rejected", "page": odd}))


def test_nothing_rejected_no_report_and_a_failed_run(tmp_path):
    clean = dict.fromkeys(("rejects", "placeholders", "image_problem_list", "notes", "duplicate_ids"), [])
    counts = {"image_problems": {}, "image_problems_by_host": {}, "rejected": 0, "duplicates": 0}
    chosen = shelf()
    chosen.products = [p for p in chosen.products if p.id != "mugs-4"]
    del chosen.blocks[4]
    rec = opened(tmp_path / "clean", chosen, report_of(**clean, **counts))
    with TestClient(create_app(settings_for(tmp_path / "clean"), rec), base_url=BASE_URL) as client:
        assert "Nothing was left out" in page(client.get("/catalogue"))
    settings, rec = open_shop(tmp_path / "none")
    reports = tmp_path / "none" / "var" / "reports"
    with TestClient(create_app(settings, rec), base_url=BASE_URL) as client:
        assert "has no report of how it was made" in page(client.get("/catalogue"))
        assert client.get("/v1/catalogue/report").json()["report"] is None
        reports.mkdir(parents=True)
        import json

        body = report_of(outcome="failed", error=f"too many bad rows {HOSTILE}", started_at="2099-01-01")
        (reports / "reindex-2099-01-01T00-00-00Z.json").write_text(json.dumps(body))
        text = page(client.get("/catalogue"))
        assert "The newest reindex failed" in text and "too many bad rows" in text
        assert "free" in page(client.get("/catalogue/rows?list=failed"))
        assert client.get("/v1/catalogue/report").json()["failed"]["outcome"] == "failed"


def test_without_an_index(tmp_path):
    with TestClient(create_app(settings_for(tmp_path)), base_url=BASE_URL) as client:
        for path in ("/catalogue/products/x", "/catalogue/rows?list=rejected"):
            page(client.get(path), 503)
        text = page(client.get("/catalogue"))
        assert "No catalogue yet" in text or "Opening the catalogue" in text
        for path in ("report", "health", "products/x"):
            problem(client.get(f"/v1/catalogue/{path}"), 503, "unavailable")


# ── health ───────────────────────────────────────────────────────────────────────────────────────────


def test_the_check_over_http(checked):
    body = checked.get("/v1/catalogue/health").json()
    assert body["progress"] is None and body["error"] is None
    found = {finding["kind"]: finding for finding in body["health"]["findings"]}
    assert list(found) == list(KINDS) and found["near_duplicates"]["count"] >= 1
    assert found["text_against_picture"]["rows"][0]["product_id"] == "stranger"


def test_findings_on_the_screen_and_their_rows(checked):
    text = page(checked.get("/catalogue"))
    for said in ("Near-duplicate products", "One picture for many", "Never shown", "Check again", "See it"):
        assert said in text
    assert "/catalogue/products/stranger" in text
    text = page(checked.get("/catalogue/rows?list=near_duplicates"))
    assert "twin" in text and "mugs-0" in text and "altogether" in text and "<b>" not in text
    found = lines(checked.get("/catalogue/rows.csv?list=text_against_picture"))
    assert found[0] == ["product", "others", "what was found"] and found[1][0] == "stranger"
    assert len(found[1][1].split()) == 3


def test_a_plain_form_starts_a_check_and_comes_back(checked):
    answer = checked.post("/catalogue/check")
    assert answer.status_code == 303 and answer.headers["location"] == "/catalogue#health"
    alone = page(checked.post("/catalogue/check", headers={"HX-Request": "true"}))
    assert alone.lstrip().startswith("<section") and "<html" not in alone
    for _ in range(600):
        alone = page(checked.get("/catalogue/health"))
        if "hx-trigger" not in alone:
            break
        threading.Event().wait(0.1)
    assert "Check again" in alone and "Near-duplicate products" in alone


# ── one product ──────────────────────────────────────────────────────────────────────────────────────


def test_a_product_inside_out(checked):
    body = checked.get("/v1/catalogue/products/twin").json()
    assert body["record"]["title"] == "Another mug <b>altogether</b>" and "reviews" not in body["record"]
    assert (body["rating"], body["rating_count"], body["flags"]) == (4.5, 12, [])
    by = {aspect["name"]: aspect["neighbours"] for aspect in body["aspects"]}
    assert list(by) == ["colour", "shape", "style", "text"]  # every aspect of the layout
    assert by["style"][0]["id"] == "mugs-0" and by["style"][0]["similarity"] > 0.99
    assert all(len(near) == 8 for near in by.values())
    told = [finding["kind"] for finding in body["findings"]]
    assert "near_duplicates" in told
    text = page(checked.get("/catalogue/products/twin"))
    assert "Nearest by style alone" in text and "/?product=twin" in text and "Another mug &lt;b&gt;" in text
    assert "4.5 of 5 from 12 reviews" in text and "Near-duplicate products" in text


def test_ids_with_slashes_and_hostile_titles(checked):
    address = f"/catalogue/products/{quote('a/b c%2F', safe='')}"
    text = page(checked.get(address))
    assert "&lt;script&gt;" in text and "Sister" in text and "Variants of it" in text
    assert checked.get(f"/v1{address}").json()["variants"][0]["id"] == "odd-2"
    found = checked.get("/catalogue/find", params={"id": " a/b c%2F "})
    assert found.status_code == 303 and found.headers["location"] == address
    assert checked.get("/catalogue/find").headers["location"] == "/catalogue"


def test_unknown_products(shop):
    text = page(shop.get("/catalogue/products/nobody"), 404)
    assert "nobody" in text and 'value="nobody"' in text
    problem(shop.get("/v1/catalogue/products/nobody"), 404, "not-found")


def test_rules_that_touch_a_product(shop):
    made = [
        {"effect": "pin", "products": ["lamps-1"], "position": 1, "name": HOSTILE},
        {"effect": "hide", "products": ["mugs-2"], "scope": {"kind": "product", "value": "lamps-1"}},
        {"effect": "boost", "filters": {"category": ["Lamps"]}, "strength": 0.1, "enabled": False},
        {"effect": "hide", "products": ["mugs-3"]},
    ]
    kept = [shop.post("/v1/rules", json=rule).json()["id"] for rule in made]
    found = shop.get("/v1/catalogue/products/lamps-1").json()["rules"]
    assert {rule["how"] for rule in found} == {"acts on it", "acts on its list"}
    assert {rule["id"] for rule in found} == set(kept[:3]) and not any(rule["published"] for rule in found)
    text = page(shop.get("/catalogue/products/lamps-1"))
    assert "acts on its list" in text and f"/rules/edit/{kept[0]}" in text and "&lt;script&gt;" in text
    for rule in kept:
        shop.delete(f"/v1/rules/{rule}")


def test_why_and_cards_lead_to_the_inspector(shop):
    text = shop.get("/why?product=mugs-0&item=mugs-5").text
    assert "/catalogue/products/mugs-5" in text


# ── further states ───────────────────────────────────────────────────────────────────────────────────


def test_nothing_found_on_a_version_that_stands_in_for_a_damaged_one(tmp_path):
    from vision_rec.recommend import Recommender

    opened(tmp_path, shelf(1), report_of())
    opened(tmp_path, shelf(2), report_of(rejected=99))
    settings = settings_for(tmp_path)
    current = settings.paths.indexes / (settings.paths.indexes / "CURRENT").read_text().strip()
    data = bytearray((current / "vectors.npy").read_bytes())
    data[-1] ^= 1
    (current / "vectors.npy").unlink()
    (current / "vectors.npy").write_bytes(data)
    rec = Recommender.open(settings.paths.indexes, settings=settings, encoders=Encoders())
    assert rec.version_id != current.name
    with TestClient(create_app(settings, rec), base_url=BASE_URL) as client:
        text = page(client.get("/catalogue"))
        assert "Running with limits" in text and "is damaged" in text
        assert client.get("/v1/catalogue/report").json()["report"]["rejected"] == 3  # of the one in use
        client.app.state.service.health.check(rec)
        assert "Nothing was found" in page(client.get("/catalogue"))
