"""Explore without a browser: examples, filters with counts, explanations, calls to copy, export, states."""

from __future__ import annotations

import ast
import csv
import html
import io
import json
import re
import shlex
from urllib.parse import parse_qsl, urlsplit

import pytest
from service_shop import BASE_URL, draw, open_shop, products, settings_for
from starlette.testclient import TestClient

from vision_rec.errors import InputError
from vision_rec.service import create_app
from vision_rec.service.console.assets import assets
from vision_rec.service.console.calls import call_of
from vision_rec.service.console.export import to_csv
from vision_rec.service.console.facets import menu_of, panel
from vision_rec.service.console.form import PAGE, Form
from vision_rec.types import Product, Recommendation, Recommendations


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    return open_shop(tmp_path_factory.mktemp("explore"))


@pytest.fixture(scope="module")
def client(shop):
    with TestClient(create_app(*shop), base_url=BASE_URL) as client:
        yield client


def faces(text):
    hrefs = re.findall(r'<a class="face" href="([^"]+)"', text)
    return [dict(parse_qsl(urlsplit(html.unescape(href)).query))["product"] for href in hrefs]


# ── the form ─────────────────────────────────────────────────────────────────────────────────────────


def test_examples_move_between_the_sides_and_begin_anew():
    form = Form(product="p", like=("a",), offset=24).example("b", more=True)
    assert (form.like, form.offset) == (("a", "b"), 0)
    assert form.example("a", more=False).like == ("b",) and form.example("a", more=False).unlike == ("a",)
    given = Form.read([("like", "x"), ("like", "x"), ("like", ""), ("unlike", "y")])
    assert (given.like, given.unlike) == (("x",), ("y",)) and given.has_source


@pytest.mark.parametrize(
    ("sides", "box"),
    [
        ({}, None),
        ({"x": "0", "y": "0", "w": "100", "h": "100"}, None),
        ({"x": "25"}, (25.0, 0.0, 75.0, 100.0)),
        ({"x": "10", "y": "20", "w": "50.5", "h": "90"}, (10.0, 20.0, 50.5, 80.0)),
    ],
)
def test_a_crop_box_is_kept_within_the_picture(sides, box):
    assert Form.read([(f"crop_{side}", value) for side, value in sides.items()]).crop == box


@pytest.mark.parametrize("value", ["x", "-1", "101", "nan"])
def test_a_crop_box_that_cannot_be_is_refused(value):
    with pytest.raises(InputError, match="crop_w"):
        Form.read([("crop_w", value)])


def test_a_search_says_crop_only_with_a_picture():
    form = Form(product="p", crop=(10.0, 20.0, 50.0, 80.0))
    assert "crop" not in form.asked().fields
    assert form.asked(by_picture=True).fields["crop"] == [0.1, 0.2, 0.5, 0.8]


# ── examples ─────────────────────────────────────────────────────────────────────────────────────────


def test_the_page_searches_by_examples_as_the_api_does(client):
    page = client.get("/?product=mug-red&like=lamp-blue&like=bag-blue&unlike=chair-red").text
    body = {
        "product_id": "mug-red",
        "examples": [
            {"product_id": "lamp-blue", "weight": 1},
            {"product_id": "bag-blue", "weight": 1},
            {"product_id": "chair-red", "weight": -1},
        ],
        "k": PAGE,
    }
    answer = client.post("/v1/search", json=body).json()
    assert faces(page) == [item["id"] for item in answer["items"]]
    tags = html.unescape(re.search(r'<ul class="tags".*?</ul>', page, re.DOTALL)[0])
    assert "Remove Like Blue lamp" in tags and "Remove Unlike Red chair" in tags
    assert 'href="/?product=mug-red&like=bag-blue&unlike=chair-red"' in tags
    assert client.get("/?like=nobody").status_code == 404
    assert "Like your example" in client.get("/?like=mug-red").text


def test_cards_offer_more_less_and_why(client):
    page = html.unescape(client.get("/?product=mug-red&category=Lamps").text)
    first = faces(page)[0]
    assert f'href="/?product=mug-red&like={first}&category=Lamps" data-go="more"' in page
    assert f'href="/?product=mug-red&unlike={first}&category=Lamps" data-go="less"' in page
    assert f'href="/why?product=mug-red&category=Lamps&item={first}" data-why' in page
    start = html.unescape(client.get("/").text)
    assert f'href="/?like={faces(start)[0]}"' in start and "data-why" not in start


# ── filters with counts ──────────────────────────────────────────────────────────────────────────────


def counts(shown, name):
    facet = next(facet for facet in shown.facets if facet.name == name)
    return {option.value: option.count for option in (*facet.first, *facet.rest)}


def test_a_facet_is_counted_under_all_filters_but_its_own(shop):
    catalog = shop[1].state.catalog
    everything = panel(catalog, Form())
    assert counts(everything, "category")["Mugs"] == 7 and counts(everything, "a.color")["red"] == 4
    assert [facet.label for facet in everything.facets] == ["Category", "Brand", "Colour"]
    narrowed = panel(catalog, Form(chosen={"category": ("Mugs",), "a.color": ("red",)}))
    assert counts(narrowed, "category")["Lamps"] == 1  # red ones
    assert counts(narrowed, "a.color") == dict.fromkeys(counts(everything, "a.color"), 1)
    assert list(counts(narrowed, "category")) == list(counts(everything, "category"))  # nothing jumps
    lamps = [p for p in products() if "Lamps" in p.category]
    stock = panel(catalog, Form(chosen={"category": ("Lamps",)}, in_stock=True)).in_stock
    assert stock == sum(p.availability == "in_stock" for p in lamps)


def test_price_bands_hold_every_price_and_are_links(shop):
    catalog = shop[1].state.catalog
    shown = panel(catalog, Form(text="mug", price_min="9"))
    priced = [p for p in products() if p.price is not None]
    assert sum(band.count for band in shown.bands) >= len(priced) and len(shown.bands) == 4
    assert all(band.href.startswith("/?text=mug") for band in shown.bands)
    ends = [re.findall(r"price_(min|max)=([\d.]+)", band.href) for band in shown.bands]
    assert [len(found) for found in ends] == [1, 2, 2, 1]
    low, high = ends[1][0][1], ends[1][1][1]
    assert [band.label for band in shown.bands[:2]] == [f"up to {low}", f"{low} to {high}"]
    assert shown.bands[3].label == f"from {ends[3][0][1]}"


def test_counts_are_made_once(shop, monkeypatch):
    catalog = shop[1].state.catalog
    panel(catalog, Form(in_stock=True))
    monkeypatch.setattr(type(catalog), "facets", lambda *_: pytest.fail("counted again"))
    panel(catalog, Form(in_stock=True, text="other words"))
    assert menu_of(catalog) is menu_of(catalog)


def test_several_values_of_a_facet_are_alternatives(client):
    page = client.get("/?text=thing&category=Lamps&category=Bags&a.color=blue&a.color=red").text
    assert set(faces(page)) == {"lamp-blue", "lamp-red", "bag-blue", "bag-red"}
    assert re.search(r'name="category" value="Bags" checked', page)
    for path in ("/?text=mug&a.nothing=x", "/?product=mug-red&a.%3C=x"):
        answer = client.get(path)
        assert answer.status_code == 422 and 'role="alert"' in answer.text


def test_the_filter_that_removed_most_comes_first(client):
    page = html.unescape(client.get("/?text=mug&category=Lamps&category=Bags&price_max=1").text)
    relax = re.findall(
        r'<li><a class="button" href="([^"]+)" data-go>Drop (.*?)</a> <span class="fine">(\d+)', page
    )
    assert [(said, left) for _, said, left in relax] == [("Price", "0"), ("Category Lamps, Bags", "12")]
    assert relax[0][0] == "/?text=mug&category=Lamps&category=Bags"


# ── why ──────────────────────────────────────────────────────────────────────────────────────────────


def test_an_explanation_is_the_arithmetic_of_the_answer(client):
    search = {"product_id": "mug-red", "weights": {"colour": 2, "text": 1}, "k": 10}
    items = client.post("/v1/search", json=search).json()["items"]
    body = client.post("/v1/explain", json={**search, "item": items[3]["id"]}).json()
    assert body["rank"] == 4 and body["item"] == items[3]
    counted = [aspect for aspect in body["aspects"] if aspect["weight"]]
    for aspect in counted:
        assert aspect["weight"] * aspect["similarity"] == pytest.approx(aspect["part"], abs=1e-6)
    assert sum(aspect["part"] for aspect in counted) == pytest.approx(body["item"]["score"], abs=1e-5)
    assert body["query_colours"] == [{"name": "red", "hex": body["query_colours"][0]["hex"]}]
    assert re.fullmatch("#[0-9a-f]{6}", body["query_colours"][0]["hex"])


def test_what_the_page_does_not_hold_is_explained_without_a_place(client):
    body = {"text": "blue lamp", "filters": {"category": "Lamps"}, "k": 2, "item": "chair-red"}
    answer = client.post("/v1/explain", json=body).json()
    assert answer["rank"] is None and answer["words"] == []
    mine = client.post("/v1/explain", json={**body, "item": "lamp-blue"}).json()
    assert mine["rank"] == 1 and mine["words"] == ["blue", "lamp"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"text": "mug"}, 422),
        ({"text": "mug", "item": 3}, 422),
        ({"text": "mug", "item": "nobody"}, 404),
        ({"item": "mug-red"}, 422),
        ({"text": "mug", "item": "mug-red", "itme": 1}, 422),
    ],
)
def test_explanations_that_cannot_be(client, body, status):
    assert client.post("/v1/explain", json=body).status_code == status


def test_why_is_a_page_and_a_fragment(client):
    path = "/why?product=mug-red&weights=colour:2,text:1&item=bag-red"
    page, fragment = client.get(path), client.get(path, headers={"HX-Request": "true"})
    assert "<html" in page.text and "<html" not in fragment.text
    assert "Compared with" in fragment.text and "<td>0.667</td>" in fragment.text
    for path, status in (("/why?product=mug-red", 422), ("/why?product=mug-red&item=nobody", 404)):
        answer = client.get(path)
        assert answer.status_code == status and 'role="alert"' in answer.text
    lost = client.get("/why?picture=0123&item=mug-red")
    assert lost.status_code == 422 and "only the browser" in lost.text


# ── calls to copy, export ────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "path",
    [
        "/?product=mug-red&like=lamp-red&weights=colour:2&price_max=60&in_stock=1&category=Home",
        "/?text=it's+a+%22mug%22+%24(ls)&a.color=red",
        f"/?text=mug&offset={PAGE}",
    ],
)
def test_both_calls_ask_what_the_page_asked(client, path):
    page = client.get(path).text
    curl, python = (
        html.unescape(text) for text in re.findall(r"<pre[^>]*><code>(.*?)</code>", page, re.DOTALL)
    )
    words = shlex.split(curl.replace("\\\n", " "))
    assert words[:2] == ["curl", f"{BASE_URL}/v1/search"]
    body = json.loads(words[words.index("-d") + 1])
    answer = client.post("/v1/search", json=body).json()
    assert [item["id"] for item in answer["items"]] == faces(page)
    assert ast.literal_eval(re.search(r"body = (\{.*?\n\})", python, re.DOTALL)[1]) == body
    compile(python, "call", "exec")


def test_calls_name_the_key_where_keys_are_needed():
    for by_picture in (False, True):
        call = call_of(Form(text="mug"), BASE_URL, by_picture=by_picture, keyed=True)
        assert '-H "Authorization: Bearer $VISION_REC_KEY"' in call.curl and "VISION_REC_KEY" in call.python
        compile(call.python, "call", "exec")


def picture():
    out = io.BytesIO()
    draw("lamp", "blue").save(out, "PNG")
    return out.getvalue()


def test_a_picture_is_named_in_the_call(client):
    answer = client.post("/results?picture=ab&crop_w=60&in_stock=1", files={"image": ("x.png", picture())})
    curl, python = (
        html.unescape(text) for text in re.findall(r"<pre[^>]*><code>(.*?)</code>", answer.text, re.DOTALL)
    )
    words = shlex.split(curl.replace("\\\n", " "))
    sent = dict(
        word.split("=", 1) for flag, word in zip(words, words[1:], strict=False) if flag == "--form-string"
    )
    assert json.loads(sent["crop"]) == [0.0, 0.0, 0.6, 1.0] and "image=@picture.jpg" in words
    posted = client.post("/v1/search/image", files={"image": ("x.png", picture())}, data=sent).json()
    assert [item["id"] for item in posted["items"]] == faces(answer.text)
    compile(python, "call", "exec")


def test_an_export_is_the_whole_list(client):
    answer = client.get("/export.csv?text=mug&offset=24&view=list")
    assert answer.headers["content-type"].startswith("text/csv")
    assert "attachment" in answer.headers["content-disposition"]
    rows = list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"))))
    assert [row["id"] for row in rows[:PAGE]] == faces(client.get("/?text=mug").text)
    assert len(rows) > PAGE and [row["place"] for row in rows[:2]] == ["1", "2"]
    parts = sum(
        float(rows[0][f"part_{name}"]) for name in ("colour", "shape", "text") if f"part_{name}" in rows[0]
    )
    assert parts == pytest.approx(float(rows[0]["score"]), abs=1e-4)
    by_picture = client.post("/export.csv?picture=ab", files={"image": ("x.png", picture())})
    assert b"lamp-blue" in by_picture.content
    assert client.get("/export.csv").status_code == 422


def test_an_export_runs_nothing_in_a_spreadsheet():
    evil = Product(id="=1+1", title='=HYPERLINK("x")', brand="@SUM(A1)", category=("+x",))
    answer = Recommendations((Recommendation(evil, 0.5, {"colour": 0.5}),), "v", {"colour": 1.0})
    (row,) = csv.DictReader(io.StringIO(to_csv(answer).decode("utf-8-sig")))
    assert (row["id"], row["brand"], row["category"]) == ("'=1+1", "'@SUM(A1)", "'+x")
    assert row["title"].startswith("'=") and row["score"] == "0.50000"


# ── states, fragments, weight ────────────────────────────────────────────────────────────────────────


def test_fragments_carry_title_version_and_filters(client, shop):
    text = client.get("/results?text=mug&in_stock=1").text
    assert "<title>mug · vision-rec</title>" in text and f'data-version="{shop[1].version_id}"' in text
    assert '<hx-partial hx-target="#facets"' in text
    more = client.get(f"/results?text=mug&offset={PAGE}&part=more").text
    assert more.strip().startswith("<li") and "hx-partial" not in more and faces(more)


def test_a_picture_that_only_a_browser_has_is_asked_for(client):
    page = client.get("/?picture=ab12&like=mug-red").text
    assert "This search began with a picture" in page and not faces(page)


def test_without_a_catalogue_the_page_says_how_to_begin(tmp_path):
    with TestClient(create_app(settings_for(tmp_path)), base_url=BASE_URL) as client:
        page = client.get("/").text
        assert "vision-rec reindex" in page or "Opening the catalogue" in page
        assert client.get("/why?item=x").status_code == 503


def test_limits_are_said_on_every_view(shop, monkeypatch):
    app = create_app(*shop)
    monkeypatch.setattr(app.state.service, "refresh", lambda: None)  # it would find that all is well
    app.state.service.trouble = "version X is damaged"
    with TestClient(app, base_url=BASE_URL) as client:
        page = client.get("/?product=mug-red").text
    assert "Running with limits" in page and "version X is damaged" in page and faces(page)


def test_htmx_is_the_version_that_was_looked_at():
    import hashlib

    (name,) = [name for name in assets() if name.startswith("htmx.")]
    digest = hashlib.sha256(assets()[name].data).hexdigest()
    assert digest == "a0abb04f2f45a1f89d1d4844023245537e5e6014c87b144553e0607b4cc32130"
