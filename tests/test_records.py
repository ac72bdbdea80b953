"""Records: what is written comes back the same, through JSON too."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from vision_rec.records import product_from_record, product_to_record
from vision_rec.types import AVAILABILITIES, Product, Review

text = st.text(max_size=20)
money = st.none() | st.decimals(min_value=0, max_value=10**7, places=2)
reviews = st.builds(
    Review,
    text=text,
    rating=st.none() | st.floats(1, 5),
    at=st.none() | st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=-5))])),
    helpful=st.integers(0, 99),
    title=text,
)
products = st.builds(
    Product,
    id=st.text(min_size=1, max_size=20),
    title=text,
    description=text,
    brand=text,
    category=st.lists(text, max_size=3).map(tuple),
    link=st.none() | text,
    image_refs=st.lists(text, max_size=3).map(tuple),
    reviews=st.lists(reviews, max_size=3).map(tuple),
    price=money,
    sale_price=money,
    currency=st.none() | st.sampled_from(["EUR", "JPY"]),
    availability=st.sampled_from(AVAILABILITIES),
    group_id=st.none() | text,
    locale=text,
    attributes=st.dictionaries(text, st.lists(text, max_size=2).map(tuple), max_size=3),
)


@given(products)
@settings(max_examples=60, deadline=None)
def test_a_product_survives_json(product):
    assert product_from_record(json.loads(json.dumps(product_to_record(product)))) == product


def test_ids_that_look_like_numbers_stay_as_they_are():
    for product_id in ("00123", "1e5", " 7 ", "NaN", "null"):
        assert product_from_record(product_to_record(Product(product_id, "t"))).id == product_id


def test_money_is_written_without_exponent_and_keeps_its_places():
    record = product_to_record(Product("1", "t", price=Decimal("1E+2"), sale_price=Decimal("19.90")))
    assert (record["price"], record["sale_price"]) == ("100", "19.90")


def test_further_keys_and_missing_fields_are_no_trouble():
    product = product_from_record({"id": "1", "title": "t", "rating": 4.5, "attributes": None})
    assert product == Product("1", "t")
    assert product.availability == "in_stock"
    assert product.price is None


def test_naive_times_stay_naive():
    review = Review("good", at=datetime(2026, 1, 2, 3, 4, 5))
    product = Product("1", "t", reviews=(review,))
    assert product_from_record(product_to_record(product)).reviews == (review,)
