"""The real data packs: every row is good."""

import os
from pathlib import Path

import pytest

from vision_rec.feeds import detect_format, read_feed, read_reviews


@pytest.fixture
def pack():
    def find(name):
        path = Path(os.environ.get("VISION_REC_DATA", "absent")) / name
        if not path.is_file():
            pytest.skip(f"the data pack {name} is absent; $VISION_REC_DATA names its folder")
        return path

    return find


@pytest.mark.parametrize(
    ("name", "count"), [("fashion/products.csv", 8_083), ("fashion_small/products.csv", 34_858)]
)
def test_real_catalogues_have_no_bad_row(pack, name, count):
    path, errors = pack(name), []
    assert detect_format(path) == "merchant-csv"
    ids, levels, names = set(), set(), set()
    for product in read_feed(path, on_error=errors.append):
        ids.add(product.id)
        levels.add(len(product.category))
        names |= product.attributes.keys()
        assert product.title and len(product.image_refs) == 1
    assert len(ids) == count and not errors
    assert levels <= {1, 2, 3} and {"color", "gender", "season", "year", "usage"} <= names


def test_real_reviews(pack):
    errors = []
    reviews = list(read_reviews(pack("reviews/reviews.csv.gz"), on_error=errors.append))
    assert len(reviews) == 23_486 and not errors
    assert len({product_id for product_id, _ in reviews}) == 1_206
    assert {review.rating for _, review in reviews} == {1.0, 2.0, 3.0, 4.0, 5.0}
    assert sum(review.helpful for _, review in reviews) > 50_000
