"""What a search may start from: products, pictures, words, colours, examples, views; and its limits."""

from __future__ import annotations

import math

import numpy as np
import pytest
from fake_shop import (
    FakeEncoders,
    picture,
)
from known_shop import ids, publish_known

from vision_rec import Recommender
from vision_rec.errors import InputError
from vision_rec.types import Example, Query


@pytest.fixture(scope="module")
def indexes(tmp_path_factory):
    return publish_known(tmp_path_factory.mktemp("shop"))


@pytest.fixture(scope="module")
def rec(indexes):
    return Recommender.open(indexes, encoders=FakeEncoders())


def factor(answer, position):
    return [item.product.id.split("-")[position] for item in answer]


# ── sources ───────────────────────────────────────────────────────────────────────────────────────


def test_text_alone_asks_the_text_block(rec):
    answer = rec.search(text="green striped chair", k=2)
    assert answer.weights["text"] == 1.0
    assert ids(answer)[0].startswith("green-chair-striped")


def test_a_picture_asks_its_own_aspects(rec):
    answer = rec.search(image=picture("green", "chair", "striped"), k=2)
    assert ids(answer)[0].startswith("green-chair-striped")
    assert answer.weights["text"] == 0.0


def test_pictures_are_shrunk_to_what_encoders_see_and_cropped_first(indexes):
    encoders = FakeEncoders()
    rec = Recommender.open(indexes, encoders=encoders)
    both = np.concatenate([picture("red", "mug", "plain", 64), picture("blue", "bag", "striped", 64)], axis=1)
    answer = rec.search(image=both, crop=(0.5, 0.0, 0.5, 1.0), k=1)
    assert ids(answer)[0].startswith("blue-bag-striped")
    assert encoders.image.seen == [(16, 16, 3)]


def test_pictures_from_files_bytes_and_pillow(rec, tmp_path):
    from PIL import Image

    image = Image.fromarray(picture("green", "chair", "striped", 32))
    path = tmp_path / "p.png"
    image.save(path)
    want = ids(rec.search(image=picture("green", "chair", "striped"), k=3))
    for source in (path, str(path), path.read_bytes(), image, np.asarray(image)):
        assert ids(rec.search(image=source, k=3)) == want
    with pytest.raises(InputError, match="image is a int"):
        rec.search(image=7)


def test_like_this_but_red(rec):
    answer = rec.search(product_id="blue-bag-plain-M", colour="red", k=3)
    assert ids(answer)[0].startswith("red-bag-plain")
    assert answer.weights["text"] == 0.0
    said = rec.search(product_id="blue-bag-plain-M", colour="red", weights={"colour": 1, "text": 1})
    assert said.weights["text"] == 0.5
    assert rec.search(product_id="blue-bag-plain-M", colour="red", preset="words").weights["text"] == 1.0


def test_words_beside_a_colour_edit_keep_their_say(rec):
    answer = rec.search(product_id="blue-bag-plain-M", colour="red", text="striped", k=1)
    assert answer.weights["text"] > 0
    # The title of the blue bag, which names the old colour, has none.
    assert "blue" not in " ".join(ids(answer))


def test_colour_alone_and_colour_with_words(rec):
    answer = rec.search(colour="red", k=10)
    assert answer.weights["colour"] == 1.0
    assert set(factor(answer, 0)) <= {"red", "picture"}
    answer = rec.search(colour="red", text="red striped chair", k=1)
    assert ids(answer)[0].startswith("red-chair-striped")
    assert answer.weights["text"] == answer.weights["colour"] == 0.5
    with pytest.raises(InputError, match="unknown colour 'rouge-ish'"):
        rec.search(colour="rouge-ish")


def test_words_beside_a_product_blend_with_its_words(rec):
    plain = rec.similar("blue-bag-plain-M", k=1, weights={"text": 1})
    assert factor(plain, 0) == ["blue"]
    blended = rec.search(product_id="blue-bag-plain-M", text="striped striped", weights={"text": 1}, k=1)
    assert ids(blended)[0].startswith("blue-bag-striped")


def test_examples_pull_and_push(rec):
    pull = rec.search(examples=[Example("blue-bag-plain-M"), Example("blue-shoe-plain-M")], k=4)
    assert set(factor(pull, 0)) == {"blue"}
    push = rec.search(
        examples=[Example("blue-bag-plain-M", weight=-1.0)], weights={"colour": 1}, k=200, max_per_group=0
    )
    colours = factor(push, 0)
    assert set(colours[-10:]) == {"blue"}
    by_picture = rec.search(examples=[Example(image=picture("green", "mug", "plain"))], k=1)
    assert ids(by_picture)[0].startswith("green-mug-plain")


def test_the_last_view_counts_most(rec):
    answer = rec.recommend(
        recent=["red-mug-plain-M", "red-mug-plain-M", "blue-bag-striped-M"], k=4, weights={"colour": 1}
    )
    assert answer.weights["colour"] == 1.0
    reverse = rec.recommend(
        recent=["blue-bag-striped-M", "red-mug-plain-M", "red-mug-plain-M"], k=4, weights={"colour": 1}
    )
    assert set(factor(reverse, 0)) <= {"red", "picture"}
    assert answer[0].parts["colour"] != reverse[0].parts["colour"]


def test_session_share_says_how_much_views_count(rec):
    def first_colour(share):
        answer = rec.search(
            product_id="green-mug-plain-M",
            recent=["blue-bag-plain-M"],
            session_share=share,
            weights={"colour": 1},
            k=1,
        )
        return factor(answer, 0)[0]

    assert (first_colour(0.0), first_colour(0.1), first_colour(0.9), first_colour(1.0)) == (
        "green",
        "green",
        "blue",
        "blue",
    )
    assert first_colour(None) == first_colour(0.3)
    alone = rec.search(recent=["blue-bag-plain-M"], session_share=0.0, k=1)
    assert factor(alone, 0) == ["blue"]


def test_aspects_that_only_views_bring_have_their_share_of_the_say(rec):
    weights = rec.search(text="mug", recent=["blue-bag-plain-M"]).weights
    assert weights["colour"] == pytest.approx(0.3 * weights["text"])


def test_an_empty_query_is_refused(rec):
    for query in (Query(), Query(text="  "), Query(examples=(Example("bare", weight=0.0),))):
        with pytest.raises(InputError, match="the query is empty; give at least one of product_id"):
            rec.answer(query)
    with pytest.raises(InputError, match="the query has no aspect at all"):
        rec.similar("bare")


# ── limits ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k": 0}, "k is 0; allowed is 1 to 200"),
        ({"k": 201}, "k is 201"),
        ({"k": True}, "k is True; allowed is a whole number"),
        ({"k": 3.0}, "whole number"),
        ({"offset": -1}, "offset is -1; allowed is at least 0"),
        ({"max_per_group": -1}, "max_per_group is -1"),
        ({"diversity": 1.5}, "diversity is 1.5; allowed is a number from 0 to 1"),
        ({"diversity": math.nan}, "diversity is nan"),
        ({"diversity": "1"}, "diversity is '1'"),
        ({"session_share": -0.1}, "session_share"),
        ({"rating_boost": 2}, "rating_boost"),
        ({"min_score": math.nan}, "min_score is nan; allowed is a finite number"),
        ({"min_score": math.inf}, "min_score"),
        ({"crop": (0, 0, 1, 1)}, "crop is given without an image"),
        ({"image": picture("red", "mug", "plain"), "crop": (0.5, 0, 0.6, 1)}, "must stay within 1"),
        ({"image": picture("red", "mug", "plain"), "crop": (0, 0, 0, 1)}, "w and h above 0"),
        ({"image": picture("red", "mug", "plain"), "crop": (0, 0, math.nan, 1)}, "crop is nan"),
        ({"image": picture("red", "mug", "plain"), "crop": (0, 0, 1)}, "four numbers"),
        ({"image": np.zeros((4, 4), np.uint8)}, r"a picture must be \(H, W, 3\) uint8"),
        ({"image": np.zeros((4, 4, 3), np.float32)}, "uint8"),
        ({"examples": (Example(),)}, "either a product_id or an image"),
        ({"examples": (Example("bare", weight=2.0),)}, "weight of an example is 2.0"),
        ({"examples": (Example("bare", weight=math.nan),)}, "weight of an example"),
        ({"facets": ("margin",)}, "no facet 'margin'"),
    ],
)
def test_limits(rec, options, message):
    with pytest.raises(InputError, match=message):
        rec.answer(Query(product_id="red-mug-plain-M", **options))


def test_a_nan_in_a_row_of_an_encoder_is_no_answer(indexes):
    encoders = FakeEncoders()
    encoders.text.encode_texts = lambda texts: np.full((len(texts), 256), np.nan, np.float32)
    with pytest.raises(InputError):
        Recommender.open(indexes, encoders=encoders).search(text="red")
