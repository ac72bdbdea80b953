"""The sample shop as a whole: what is planned, what is said, what lies on disk."""

from __future__ import annotations

import csv
import json
from collections import Counter, defaultdict
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vision_rec.errors import InputError
from vision_rec.sample import draw_shop, draw_spec
from vision_rec.sample import shop as shop_module
from vision_rec.sample.articles import ARTICLES
from vision_rec.sample.palette import (
    COLOUR_NAMES,
    nearest_colour,
)
from vision_rec.sample.patterns import PATTERNS, TEXTURES
from vision_rec.sample.plan import plan_shop
from vision_rec.sample.reviews import COMFORT, EASE, FIT, QUALITY, draw_reviews
from vision_rec.sample.spec import KNOBS, recolour
from vision_rec.sample.texts import description_of, material_of, shade_of, title_of
from vision_rec.sample.views import DEVOTION, draw_customers, draw_views, loved
from vision_rec.sample.words import MATERIALS, PATTERN_LABEL, PATTERN_SENTENCE, WORDING

RNG = np.random.default_rng
ALL_CUTS = [(name, cut) for name, article in ARTICLES.items() for cut in article.cuts]


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


# ── the plan ─────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def planned():
    return plan_shop(1000, 7)


def test_a_thousand_products_are_spread_evenly(planned):
    assert len(planned) == len({p.id for p in planned}) == 1000
    articles, colours, patterns = (
        Counter(getattr(p.spec, f) for p in planned) for f in ("article", "colour", "pattern")
    )
    assert set(articles.values()) == {50}
    assert set(colours) == set(COLOUR_NAMES) and min(colours.values()) > 75
    assert set(patterns) == set(PATTERNS) and min(patterns.values()) > 60
    cuts = Counter((p.spec.article, p.spec.cut) for p in planned)
    assert min(cuts.values()) >= 8 and set(cuts) == set(ALL_CUTS)


def test_variants_share_all_but_colour(planned):
    groups = defaultdict(list)
    for product in planned:
        groups[product.group].append(product)
    several = [g for g in groups.values() if len(g) > 1]
    assert len(several) > 150 and max(map(len, several)) <= 4
    for group in several:
        first = group[0].spec
        assert len({p.spec.colour for p in group}) == len(group)
        for p in group:
            same = ("article", "cut", "pattern", "texture", "knobs", "print_scale", "seed", "accent")
            assert all(getattr(p.spec, field) == getattr(first, field) for field in same)
            assert (p.label, p.character) == (group[0].label, group[0].character)


def test_some_products_have_several_pictures_prices_and_stock(planned):
    pictures = Counter(len(p.scenes) for p in planned)
    assert set(pictures) == {1, 2, 3} and pictures[1] > 700
    assert all(p.scenes[0].view == "front" for p in planned)
    assert 60 < sum(p.sale_price is not None for p in planned) < 200
    assert all(0 < p.sale_price < p.label.price for p in planned if p.sale_price is not None)
    assert set(p.availability for p in planned) == {"in_stock", "out_of_stock", "preorder", "backorder"}
    assert {s.backdrop for p in planned for s in p.scenes} == {
        "white",
        "soft grey",
        "warm",
        "tinted",
        "stage",
    }


def test_the_seed_decides_the_plan():
    assert plan_shop(40, 3) == plan_shop(40, 3) != plan_shop(40, 4)
    assert [len(plan_shop(n, 1)) for n in (1, 19, 20, 21)] == [1, 19, 20, 21]


def test_recolour_changes_only_colours():
    spec = draw_spec(RNG(2), colour="red", pattern="check")
    other = recolour(spec, "green", RNG(3))
    assert other.colour == "green" and nearest_colour(other.lab) == "green"
    assert (other.knobs, other.seed, other.scheme) == (spec.knobs, spec.seed, spec.scheme)


# ── words ────────────────────────────────────────────────────────────────────────────────


def test_texts_are_true(planned):
    for p in planned:
        title, text = title_of(p.spec, p.label), description_of(p.spec, p.label)
        assert p.spec.colour in title.lower() and p.label.brand in title
        assert p.spec.pattern == "solid" or PATTERN_LABEL[p.spec.pattern] in title.lower()
        assert material_of(p.spec) in text and p.spec.colour in text and "{" not in title + text
        assert len(title) < 90 and 80 < len(text) < 500
        if shade_of(p.spec):
            assert f"{shade_of(p.spec)} {p.spec.colour}" in text


def test_every_article_pattern_and_material_has_words():
    assert set(WORDING) == set(ARTICLES)
    assert set(PATTERN_LABEL) == set(PATTERN_SENTENCE) == set(PATTERNS)
    assert set(MATERIALS) == set(TEXTURES) == {t for a in ARTICLES.values() for t in a.textures}
    assert len({w.code for w in WORDING.values()}) == len(WORDING)
    assert (
        len({title_of(draw_spec(RNG(1), article=a, cut=c), plan_shop(1, 1)[0].label) for a, c in ALL_CUTS})
        > 55
    )


def test_reviews_agree_with_their_stars_and_their_product(planned):
    by_id = {p.id: p for p in planned}
    low = (*QUALITY["low"], *COMFORT["low"], *EASE["low"])
    high = (*QUALITY["high"], *COMFORT["high"], *EASE["high"])
    reviews = list(draw_reviews(planned, 7))
    stars = Counter(r.rating for r in reviews)
    assert (
        2000 < len(reviews) < 6000
        and set(stars) == {1, 2, 3, 4, 5}
        and stars[5] + stars[4] > stars[1] + stars[2]
    )
    for review in reviews:
        product = by_id[review.product_id]
        assert "{" not in review.text and review.text
        if review.rating >= 4:
            assert not any(words in review.text for words in low)
        if review.rating <= 2:
            assert any(words in review.text for words in (*low, *FIT["small"], *FIT["large"]))
        if review.rating == 5:
            assert any(
                words in review.text for words in (*high, *QUALITY["fair"], *COMFORT["fair"], *EASE["fair"])
            )
        for colour in COLOUR_NAMES:
            if f" {colour} " in f" {review.text.lower()} ":
                assert colour == product.spec.colour
        if any(words in review.text for words in FIT["small"]):
            assert product.character.fit < -0.5


def test_good_products_get_better_reviews(planned):
    goodness = {p.id: p.character.comfort + p.character.quality for p in planned}
    pairs = np.array([(goodness[r.product_id], r.rating) for r in draw_reviews(planned, 7)])
    assert np.corrcoef(pairs.T)[0, 1] > 0.6


def test_customers_follow_their_taste(planned):
    customers = draw_customers(planned, 7)
    assert {c.taste for c in customers} == {"colour", "pattern", "brand"} and len(customers) == 333
    by_id, by_user = {p.id: p for p in planned}, {c.user_id: c for c in customers}
    views = list(draw_views(planned, customers, 7))
    hits = [loved(by_user[v.user_id], by_id[v.product_id]) for v in views if v.type == "view"]
    assert np.mean(hits) > DEVOTION - 0.05
    assert {v.type for v in views} == {"view", "add_to_cart", "purchase"}
    sessions = defaultdict(list)
    for view in views:
        sessions[view.session_id].append(view)
    for session in sessions.values():
        assert len({v.user_id for v in session}) == 1
        assert [v.at for v in session] == sorted(v.at for v in session)
        assert all(v.at.tzinfo is not None for v in session)


# ── the shop on disk ─────────────────────────────────────────────────────────────────────


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shop")
    (folder / "README.md").write_text("stays")
    return draw_shop(folder, count=40, seed=3, side=64, workers=1)


def test_the_feed_is_complete(drawn):
    rows, truth = read(drawn.feed), {row["id"]: row for row in read(drawn.truth)}
    assert len(rows) == 40 and set(truth) == {row["id"] for row in rows}
    for row in rows:
        known = truth[row["id"]]
        assert (row["color"], row["item_group_id"], row["material"]) == (
            known["colour"],
            known["group"],
            known["material"],
        )
        amount, currency = row["price"].split()
        assert Decimal(amount) > 0 and currency == "EUR"
        pictures = [row["image_link"], *filter(None, row["additional_image_link"].split(","))]
        assert len(pictures) == len(known["views"].split())
        for picture in pictures:
            with Image.open(drawn.folder / picture) as image:
                assert image.size == (64, 64) and image.format == "JPEG" and image.mode == "RGB"
        assert len(known["knobs"].split()) == KNOBS and known["article"] in ARTICLES


def test_the_other_files_fit_the_feed(drawn):
    ids = {row["id"] for row in read(drawn.feed)}
    for row in read(drawn.reviews):
        assert row["product_id"] in ids and 1 <= int(row["rating"]) <= 5 and int(row["helpful"]) >= 0
        assert datetime.fromisoformat(row["at"]).tzinfo is not None
    views = read(drawn.views)
    assert {row["product_id"] for row in views} <= ids and [r["at"] for r in views] == sorted(
        r["at"] for r in views
    )
    assert {row["user_id"] for row in views} <= {row["user_id"] for row in read(drawn.customers)}


def test_a_second_draw_has_the_same_bytes_in_one_or_several_processes(drawn, tmp_path, monkeypatch):
    monkeypatch.setattr(shop_module, "ALONE", 10)
    monkeypatch.setattr(shop_module, "CHUNK", 16)
    told = []
    again = draw_shop(
        tmp_path / "deep" / "er",
        count=40,
        seed=3,
        side=64,
        workers=2,
        progress=lambda *done: told.append(done),
    )
    first = contents(drawn.folder)
    assert first.pop("README.md") == b"stays"
    assert contents(again.folder) == first
    assert told[-1] == (len(list(again.images.iterdir())),) * 2 and told == sorted(told)


def test_a_shop_that_is_there_is_left_alone(drawn, monkeypatch):
    monkeypatch.setattr(shop_module, "plan_shop", lambda *_: pytest.fail("drew again"))
    assert draw_shop(drawn.folder, count=40, seed=3, side=64) == drawn


def test_interrupted_and_damaged_shops_are_drawn_again(tmp_path):
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        draw_shop(tmp_path, count=6, seed=1, side=32, workers=1, progress=stop)
    assert not json.loads((tmp_path / "shop.json").read_text())["complete"]
    assert not (tmp_path / "products.csv").exists()
    shop = draw_shop(tmp_path, count=6, seed=1, side=32, workers=1)
    whole = contents(tmp_path)
    next(shop.images.iterdir()).unlink()
    draw_shop(tmp_path, count=6, seed=1, side=32, workers=1)
    assert contents(tmp_path) == whole
    shop.reviews.write_text("cut off")
    draw_shop(tmp_path, count=6, seed=1, side=32, workers=1)
    (tmp_path / "shop.json").write_text("{half")
    draw_shop(tmp_path, count=6, seed=1, side=32, workers=1)
    assert contents(tmp_path) == whole


def test_other_numbers_replace_the_old_shop(tmp_path):
    draw_shop(tmp_path, count=8, seed=1, side=32, workers=1)
    shop = draw_shop(tmp_path, count=5, seed=2, side=32, workers=1)
    rows = read(shop.feed)
    wanted = {r["image_link"] for r in rows} | {
        x for r in rows for x in r["additional_image_link"].split(",") if x
    }
    assert len(rows) == 5 and {f"images/{p.name}" for p in shop.images.iterdir()} == wanted


def test_files_of_others_are_never_written_over(tmp_path):
    (tmp_path / "products.csv").write_text("id,title\n1,mine\n")
    with pytest.raises(InputError, match="was not drawn by the sample shop"):
        draw_shop(tmp_path, count=5, side=32)
    assert contents(tmp_path) == {"products.csv": b"id,title\n1,mine\n"}
    with pytest.raises(InputError, match="is a file"):
        draw_shop(tmp_path / "products.csv", count=5)


@pytest.mark.parametrize(
    "asked", [{"count": 0}, {"count": -3}, {"count": 10**6}, {"side": 8}, {"side": 5000}, {"seed": -1}]
)
def test_impossible_numbers_are_refused(tmp_path, asked):
    with pytest.raises(InputError, match="choose|must be"):
        draw_shop(tmp_path / "new", **asked)
    assert not (tmp_path / "new").exists()
