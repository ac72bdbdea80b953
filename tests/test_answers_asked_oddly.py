"""What callers give in other forms, or too much of: the same answer, or one clear refusal."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from fake_shop import FakeEncoders, drawn_products, publish
from PIL import Image

from vision_rec import Recommender
from vision_rec.batch import run_batch
from vision_rec.errors import ImageError, ImageTooLargeError, InputError, UrlNotAllowedError, VisionRecError
from vision_rec.recommend.pictures import picture_from
from vision_rec.service.bodies import _TEXTS
from vision_rec.service.schemas import SearchBody
from vision_rec.settings import ImageSettings
from vision_rec.types import Query

PRODUCTS, ROWS = drawn_products()
FIRST = PRODUCTS[0].id
GROUPS = {product.id: product.group_id for product in PRODUCTS}


@pytest.fixture(scope="module")
def rec(tmp_path_factory):
    root = tmp_path_factory.mktemp("shop") / "indexes"
    publish(root, PRODUCTS, ROWS)
    return Recommender.open(root, encoders=FakeEncoders())


# ── pictures ─────────────────────────────────────────────────────────────────────────────────────────


def drawn(mode):
    """Return a picture whose left half is dark and whose right half is light, in a mode."""
    grey = np.zeros((40, 64), np.uint8)
    grey[:, 32:] = 200
    if mode == "I;16":
        return Image.fromarray(grey.astype(np.uint16) * 257)
    if mode == "RGBA":
        pixels = np.stack([grey, grey, 255 - grey, np.where(grey, 255, 0)], -1).astype(np.uint8)
        return Image.fromarray(pixels)
    return Image.fromarray(grey).convert(mode)


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA", "P", "1", "I;16"])
def test_an_opened_picture_is_what_its_file_is(mode):
    file = io.BytesIO()
    drawn(mode).save(file, "PNG")
    given = picture_from(file.getvalue(), max_side=32, limits=ImageSettings())
    opened = picture_from(Image.open(file), max_side=32, limits=ImageSettings())
    np.testing.assert_array_equal(opened, given)


@pytest.mark.parametrize("turn", range(1, 9))
def test_an_opened_picture_is_turned_as_its_file_is(turn):
    file, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = turn
    drawn("RGB").save(file, "PNG", exif=exif)
    given = picture_from(file.getvalue(), max_side=32, limits=ImageSettings())
    opened = picture_from(Image.open(file), max_side=32, limits=ImageSettings())
    np.testing.assert_array_equal(opened, given)
    assert opened.shape == ((20, 32, 3) if turn < 5 else (32, 20, 3))


def test_what_an_opened_picture_may_not_be():
    limits = ImageSettings()
    with pytest.raises(ImageTooLargeError, match="the limit is"):
        picture_from(Image.new("L", (9000, 9000)), max_side=32, limits=limits)
    with pytest.raises(ImageError, match="shorter side"):
        picture_from(Image.new("RGB", (8, 8)), max_side=32, limits=limits)
    with pytest.raises(ImageError, match="mode F"):
        picture_from(Image.new("F", (40, 40)), max_side=32, limits=limits)
    file = io.BytesIO()
    drawn("RGB").save(file, "PNG")
    cut = Image.open(io.BytesIO(file.getvalue()[:90]))
    with pytest.raises(ImageError, match="the Pillow image is damaged"):
        picture_from(cut, max_side=32, limits=limits)


def test_a_picture_that_is_an_address_or_nothing_is_told_so():
    with pytest.raises(UrlNotAllowedError, match="not fetched"):
        picture_from("https://shop.example/a.jpg", max_side=32, limits=ImageSettings())
    with pytest.raises(ImageError, match="empty"):
        picture_from("", max_side=32, limits=ImageSettings())


# ── numbers ──────────────────────────────────────────────────────────────────────────────────────────


def test_only_ratios_of_weights_count_however_large_or_small(rec):
    expected = rec.similar(FIRST, weights={"colour": 2, "shape": 1})
    for factor in (1e307, 5e-323, 1e-300):
        found = rec.similar(FIRST, weights={"colour": 2 * factor, "shape": factor})
        assert [item.product.id for item in found] == [item.product.id for item in expected]
        assert dict(found.weights) == pytest.approx(dict(expected.weights), rel=1e-3)


@pytest.mark.parametrize(
    "options",
    [{"weights": {"colour": 10**400}}, {"weights": {"colour": True}}, {"min_score": 10**400},
     {"exclude_own_group": "no"}, {"rating_boost": "x"}, {"crop": 5}, {"filters": {5: 1}}, {"exclude": 7},
     {"k": 10**400}],
)  # fmt: skip
def test_what_is_no_number_or_flag_is_refused(rec, options):
    with pytest.raises(InputError) as error:
        (rec.search if "crop" in options else rec.similar)(**{"product_id": FIRST, **options})
    assert len(str(error.value)) < 400


def test_none_is_not_given(rec):
    plain = rec.search(product_id=FIRST)
    names = ("examples", "recent", "recent_types", "exclude", "facets", "rating_boost", "diversity",
             "exclude_own_group", "filters", "weights")  # fmt: skip
    for name in names:
        assert rec.search(product_id=FIRST, **{name: None}).items == plain.items


def test_filters_of_a_query_are_filters(rec):
    with pytest.raises(InputError, match=r"Filters\.from_dict"):
        rec.answer(Query(product_id=FIRST, filters={"price": {"max": 50}}))


def test_pages_of_the_catalogue_begin_at_0(rec):
    assert len(rec.products(limit=3)) == 3 and not rec.products(limit=0)
    for options in ({"limit": -5}, {"offset": -1}, {"limit": True}, {"offset": 1.5}):
        with pytest.raises(InputError, match="at least 0|whole number"):
            rec.products(**options)


# ── batches ──────────────────────────────────────────────────────────────────────────────────────────


def test_one_bad_query_costs_no_other_its_answer(rec, monkeypatch):
    asked = {"a": {}, "b": {"min_score": 10**400}, "c": {"weights": {"colour": 10**400}}, "d": {}}
    lines = [
        json.dumps({"query_id": name, "product_id": FIRST, "k": 1, **more}) for name, more in asked.items()
    ]
    found = {line["query_id"]: line for line in run_batch(rec, lines)}
    assert list(found) == ["a", "b", "c", "d"] and "items" in found["a"] and "items" in found["d"]
    assert found["b"]["error"]["code"] == found["c"]["error"]["code"] == "invalid-input"

    plain = Recommender.answer_many

    def failing(self, queries):
        if any(query.k == 2 for query in queries):
            raise ZeroDivisionError("nobody foresaw this")
        return plain(self, queries)

    monkeypatch.setattr(Recommender, "answer_many", failing)
    lines[1] = json.dumps({"query_id": "b", "product_id": FIRST, "k": 2})
    found = {line["query_id"]: line for line in run_batch(rec, lines)}
    assert "items" in found["a"] and "items" in found["d"]
    assert found["b"]["error"]["code"] == "internal" and "nobody foresaw" in found["b"]["error"]["message"]


# ── visits that are given ────────────────────────────────────────────────────────────────────────────


def shown_groups(answer):
    return {item.product.group_id for item in answer}


@pytest.mark.parametrize("kind", ["view", "add_to_cart", "purchase"])
def test_variants_of_what_is_given_as_visited_are_no_news(rec, kind):
    assert GROUPS[FIRST]
    answer = rec.recommend(recent=[FIRST], recent_types=[kind], k=100)
    assert GROUPS[FIRST] not in shown_groups(answer)


def test_beside_words_a_viewed_product_leaves_its_variants(rec):
    other = next(product.id for product in PRODUCTS if GROUPS[product.id] not in ("", GROUPS[FIRST]))
    viewed = rec.search(product_id=other, recent=[FIRST], k=100)
    assert GROUPS[FIRST] in shown_groups(viewed) and FIRST not in {item.product.id for item in viewed}
    bought = rec.search(product_id=other, recent=[FIRST], recent_types=["purchase"], k=100)
    assert GROUPS[FIRST] not in shown_groups(bought)


# ── places ───────────────────────────────────────────────────────────────────────────────────────────


def test_explain_knows_the_place_of_a_product_beyond_the_page(rec):
    whole = rec.similar(FIRST, k=20)
    far = whole[15]
    told = rec.explain(Query(product_id=FIRST, k=5), far.product.id)
    assert told.rank is None and told.item.rank_without_rules == 16


def test_every_text_of_a_search_is_read_as_one_from_a_query_string():
    schema = SearchBody.model_json_schema()["properties"]
    texts = {
        name for name, field in schema.items()
        if any(part.get("type") == "string" for part in (field, *field.get("anyOf", ())))
    }  # fmt: skip
    assert texts == _TEXTS - {"cursor"}


def test_errors_are_of_one_tree():
    assert issubclass(ImageError, VisionRecError) and issubclass(UrlNotAllowedError, VisionRecError)
