"""The page without a browser: what the server renders, its form, its addresses."""

from __future__ import annotations

import gzip
import io
import re
from decimal import Decimal
from html.parser import HTMLParser

import pytest
from service_shop import BASE_URL, draw, open_shop, products
from starlette.testclient import TestClient

from vision_rec.errors import InputError
from vision_rec.service import create_app
from vision_rec.service.console.assets import assets
from vision_rec.service.console.form import PAGE, Form
from vision_rec.service.console.views import price_text, said_reasons, version_time
from vision_rec.types import Product


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    settings, recommender = open_shop(tmp_path_factory.mktemp("console"))
    with TestClient(create_app(settings, recommender), base_url=BASE_URL) as client:
        yield client


class Page(HTMLParser):
    """The elements of a page, by tag."""

    def __init__(self, html):
        super().__init__()
        self.found, self.text = [], ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data

    def all(self, tag, **wanted):
        return [attrs for name, attrs in self.found if name == tag and wanted.items() <= attrs.items()]


def get(client, path, status=200):
    answer = client.get(path)
    assert answer.status_code == status, answer.text
    return Page(answer.text)


def cards(page):
    return [attrs["href"] for attrs in page.all("a", **{"class": "face"})]


# ── what is shown ────────────────────────────────────────────────────────────────────────────────────


def test_the_first_page_offers_products_to_start_from(client):
    page = get(client, "/")
    assert len(cards(page)) == PAGE and "Start from a product" in page.text and "34 products" in page.text
    other = get(client, "/?shift=1")
    assert len(set(cards(other))) == PAGE and set(cards(other)) != set(cards(page))


def test_a_product_shows_similar_ones_with_bars_and_reasons(client):
    page = get(client, "/?product=mug-red")
    assert "Similar to" in page.text and "Red mug" in page.text
    assert "/?product=bag-red" in cards(page) and "/?product=mug-red" not in cards(page)
    first = re.search(r'<li class="card.*?</li>', client.get("/?product=mug-red").text, re.DOTALL)[0]
    for name in ("Colour", "Shape", "Text"):
        assert f"<dt>{name}</dt>" in first
    bars = re.findall(r'class="fill" width="([\d.]+)".*?number">(-?[\d.]+)<.*?part">([+-][\d.]+)<', first)
    assert len(bars) == 3
    for width, similarity, part in bars:
        assert float(width) == pytest.approx(100 * max(float(similarity), 0), abs=1)
        assert float(part) == pytest.approx(float(similarity) / 3, abs=0.02)


def test_a_product_without_an_aspect_says_so(client):
    assert "nothing to compare" in client.get("/?product=mug-blue&weights=shape:1,text:1").text


def test_words_colour_and_filters(client):
    page = get(client, "/?text=lamp&category=Lamps&price_max=40&in_stock=1")
    assert "Results for “lamp”" in page.text and cards(page)
    assert all("lamp" in href for href in cards(page))
    assert "Only in stock" in " ".join(page.text.split())
    assert get(client, "/?colour=blue").text.count("Blue") >= 4


def test_the_address_is_the_state(client):
    page = get(client, "/?product=mug-red&weights=colour:2,shape:1&category=Home&price_min=5&in_stock=1")
    sliders = {attrs["name"]: attrs["value"] for attrs in page.all("input", type="range")}
    assert sliders == {"w.colour": "2", "w.shape": "1", "w.text": "0"}
    assert page.all("input", id="product")[0]["value"] == "mug-red"
    assert "checked" in page.all("input", name="category", value="Home")[0]
    assert "checked" in page.all("input", name="in_stock")[0]
    for href in cards(page):  # the next product is looked at in the same way
        assert "weights=colour:2,shape:1" in href and "category=Home" in href


def test_the_form_works_without_scripts(client):
    sent = "/?product=mug-red&text=&colour=&w.colour=3&w.shape=0&w.text=0&category=&price_min=&price_max="
    alone = get(client, sent)
    assert cards(alone) == cards(get(client, "/?product=mug-red&weights=colour:3"))
    assert "weights=colour:3" in cards(alone)[0]
    untouched = get(client, "/?product=mug-red&w.colour=1&w.shape=1&w.text=1")
    assert "weights" not in cards(untouched)[0]  # defaults stay defaults
    preset = get(client, "/?product=mug-red&w.colour=1&w.shape=1&w.text=1&preset=colour")
    assert "weights=colour:1" in cards(preset)[0]
    swatch = get(client, "/?product=mug-red&colour=&swatch=blue")
    assert swatch.all("input", id="colour")[0]["value"] == "blue"


def test_a_picture_works_without_scripts_and_alone(client):
    out = io.BytesIO()
    draw("lamp", "blue").save(out, "PNG")
    for path in ("/", "/results"):
        answer = client.post(
            path, files={"image": ("x.png", out.getvalue())}, data={"weights": "shape:1,colour:1"}
        )
        page = Page(answer.text)
        assert answer.status_code == 200 and "Like your picture" in page.text
        assert cards(page)[0] == "/?product=lamp-blue&weights=shape:1,colour:1"
        assert ("<html" in answer.text) is (path == "/")


def test_more_products_follow(client):
    page = get(client, "/results?text=mug")
    (more,) = page.all("a", **{"data-more": None})
    assert len(cards(page)) == PAGE and more["href"] == f"/?text=mug&offset={PAGE}"
    rest = get(client, more["href"])
    assert cards(rest) and not rest.all("a", **{"data-more": None})
    assert not set(cards(rest)) & set(cards(page))


def test_filters_narrow_the_first_page(client):
    page = get(client, "/?category=Lamps&in_stock=1&shift=1")
    assert all(href.startswith("/?product=lamp-") for href in cards(page))
    assert cards(page) and f"{len(cards(page))} of 34 products" in page.text
    words = " ".join(page.text.split())
    assert "Category Lamps" in words and "Only in stock" in words
    assert page.all("a", **{"aria-label": "Remove Category Lamps"})[0]["href"] == "/?in_stock=1"
    fragment = get(client, "/results?category=Lamps&in_stock=1")
    assert len(cards(fragment)) == len(cards(page))
    none = get(client, "/?category=Lamps&price_max=1&in_stock=1")
    assert "Nothing fits" in none.text and "catalogue is empty" not in none.text and not cards(none)
    assert "/?category=Lamps&in_stock=1" in [a["href"] for a in none.all("a", **{"class": "button"})]
    wrong = get(client, "/?price_min=9&price_max=1&weights=colour:2", 422)
    assert "swap them" in wrong.text and wrong.all("input", id="product")
    sliders = {attrs["name"]: attrs["value"] for attrs in wrong.all("input", type="range")}
    assert (sliders["w.colour"], sliders["w.text"]) == ("2", "0")


def test_enter_searches_instead_of_sending_a_picture(client):
    form = client.get("/").text.split("<form id=", 1)[1].split("</form>")[0]
    first = re.search(r"<button[^>]*>", form)[0]  # what Enter presses where scripts are off
    assert "formaction" not in first and "name=" not in first and 'tabindex="-1"' in first


def test_a_picture_field_that_was_left_empty_is_no_picture(client):
    for path in ("/", "/results", "/why?item=mug-red", "/export.csv"):
        head = "Content-Disposition: form-data; name="
        body = (
            f'--x\r\n{head}"image"; filename=""\r\nContent-Type: application/octet-stream\r\n\r\n\r\n'
            f'--x\r\n{head}"text"\r\n\r\nmug\r\n--x--\r\n'
        )
        sent = {"Content-Type": "multipart/form-data; boundary=x"}
        answer = client.post(path, content=body, headers=sent)
        assert answer.status_code == 200 and ("mug" in answer.text), path
    named = client.post("/", files={"image": ("x.png", b"")})
    assert named.status_code == 422 and "empty" in named.text


def test_nothing_that_matters_is_said_and_not_replaced_by_defaults(client):
    page = get(client, "/?product=mug-red&w.colour=0&w.shape=0&w.text=0", 422)
    assert page.all("div", role="alert")
    assert {attrs["value"] for attrs in page.all("input", type="range")} == {"0"}


def test_too_many_examples_are_told(client):
    def address(count):
        return "/?" + "&".join(f"like={product.id}" for product in products()[:count])

    full = get(client, address(20))
    assert "at most 20 examples of “More”; remove one first" in full.text
    assert not full.all("a", **{"data-go": "more"}) and full.all("a", **{"data-go": "less"})
    assert get(client, address(19)).all("a", **{"data-go": "more"})
    assert "remove one first" in get(client, address(21), 422).text
    assert "Unlike your example" in get(client, "/?unlike=mug-red").text


# ── what goes wrong ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("path", "status", "word"),
    [
        ("/?product=nobody", 404, "No product 'nobody'"),
        ("/?text=mug&weights=color:1", 422, "this index has colour"),
        ("/?text=mug&weights=nonsense", 422, "ASPECT:NUMBER"),
        ("/?text=mug&price_max=cheap", 422, "such as 49.90"),
        ("/?text=mug&price_min=9&price_max=1", 422, "swap them"),
        ("/?colour=octarine", 422, "nknown colour"),
        ("/?text=" + "a" * 600, 200, "Results for"),
    ],
)
def test_errors_are_sentences_and_nothing_typed_is_lost(client, path, status, word):
    page = get(client, path, status)
    assert word in page.text
    if status != 200:
        assert page.all("div", role="alert") and "Request " in page.text
        if "text=mug" in path:
            assert page.all("input", id="text")[0]["value"] == "mug"


def test_nothing_found_names_the_filter_and_offers_a_way_out(client):
    page = get(client, "/?text=mug&price_max=1")
    assert "Nothing fits" in page.text and "price" in page.text
    assert [a["href"] for a in page.all("a", **{"class": "button"})] == ["/?text=mug"]


def test_bad_pictures_are_told(client):
    answer = client.post("/results", files={"image": ("x.png", b"<html>")})
    assert answer.status_code == 422 and 'role="alert"' in answer.text


# ── safety and weight ────────────────────────────────────────────────────────────────────────────────


def test_texts_of_feeds_and_visitors_are_escaped(client):
    evil = '"><script>alert(1)</script>'
    for path in ("/", "/?shift=3", "/?product=mug-red", f"/?text={evil}&category={evil}&product={evil}"):
        html = client.get(path).text
        assert "<script>alert" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in client.get("/?product=mug-red").text


@pytest.mark.parametrize("path", ["/", "/?product=mug-red", "/?product=nobody", "/?text=mug&price_max=1"])
def test_nothing_is_inline_and_nothing_comes_from_elsewhere(client, path):
    page = Page(client.get(path).text)
    for tag, attrs in page.found:
        assert "style" not in attrs and not any(name.startswith("on") for name in attrs), (tag, attrs)
        for name in ("src", "href", "action", "formaction"):
            assert attrs.get(name, "/").startswith(("/", "#")) and not attrs.get(name, "/").startswith("//")
        if tag in ("script", "style"):
            assert tag == "script" and attrs["src"].startswith("/static/")
    for attrs in page.all("link"):
        answer = client.get(attrs["href"])
        assert answer.status_code == 200 and "immutable" in answer.headers["cache-control"]


def test_every_field_has_a_name_to_read_out(client):
    page = Page(client.get("/?product=mug-red").text)
    ids = {attrs["id"] for _, attrs in page.found if "id" in attrs}
    for attrs in page.all("label"):
        assert "for" not in attrs or attrs["for"] in ids
    assert all("alt" in attrs for attrs in page.all("img"))
    assert page.all("html", lang="en") and page.all("p", role="status")
    assert len(ids) == sum("id" in attrs for _, attrs in page.found), "ids must differ"


def test_the_page_is_light(client):
    page = client.get("/?product=mug-red").content
    whole = [page, *(asset.data for asset in assets().values())]
    scripts = sum(
        len(gzip.compress(a.data)) for a in assets().values() if a.media_type.endswith("javascript")
    )
    assert sum(len(gzip.compress(data)) for data in whole) < 60_000 and scripts < 40_000


# ── the form and the sentences ───────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "form",
    [
        Form(),
        Form(product="a/b c%2F&=?#", text="long dress, red", colour="#c81e1e"),
        Form(
            chosen={"category": ("A & B", "C"), "a.fit": ("wide",)}, price_min="1", in_stock=True, offset=24
        ),
        Form(like=("a/b", "c"), unlike=("d",), view="list", picture="ab12", crop=(10.0, 0.0, 50.5, 100.0)),
        Form(text="x", weights={"colour": 2.5, "text": 0.0}, shift=2),
    ],
)
def test_an_address_reads_back_as_the_same_form(form):
    from urllib.parse import parse_qsl, urlsplit

    assert Form.read(parse_qsl(urlsplit(form.address()).query)) == form


def test_numbers_in_addresses_are_harmless():
    for text in ("-1", "1e9", "99999999999999", "²", "x"):
        assert Form.read([("offset", text)]).offset == 0
    with pytest.raises(InputError, match="finite"):
        Form.read([("w.colour", "nan")])


@pytest.mark.parametrize(
    ("product", "text"),
    [
        (Product("1", "x"), ""),
        (Product("1", "x", price=Decimal("1234.5"), currency="EUR"), "€1,234.50"),
        (Product("1", "x", price=Decimal("10"), sale_price=Decimal("7.999"), currency="usd"), "$8.00"),
        (Product("1", "x", price=Decimal("1500"), currency="JPY"), "¥1,500"),
        (Product("1", "x", price=Decimal("12"), currency="SEK"), "12.00 SEK"),
        (Product("1", "x", price=Decimal("12")), "12.00"),
    ],
)
def test_prices_are_written_as_in_a_shop(product, text):
    assert price_text(product) == text


def test_reasons_do_not_repeat_the_bars():
    given = [
        "colour 0.92: blue, like yours",
        "shape 0.81",
        "text -0.20",
        "has the words mug",
        "rated 4.5 of 5 by 3",
    ]
    assert said_reasons(given) == ["Colour: blue, like yours", "Has the words mug", "Rated 4.5 of 5 by 3"]


def test_versions_are_told_by_their_time():
    assert version_time("2026-03-01T04-05-00Z-1a2b3c4d") == "indexed 1 Mar 2026, 04:05 UTC"
    assert version_time("odd") == "odd"
