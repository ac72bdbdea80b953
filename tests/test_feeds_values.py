"""Prices, availability words, dates, HTML, and which column fills which field."""

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vision_rec.errors import FeedError
from vision_rec.feeds import read_feed
from vision_rec.feeds.columns import Columns, normalise
from vision_rec.feeds.rows import Number
from vision_rec.feeds.values import html_to_text, parse_availability, parse_date, parse_price


@pytest.mark.parametrize(
    ("text", "amount", "currency"),
    [
        ("12.99 USD", "12.99", "USD"),
        ("USD 12.99", "12.99", "USD"),
        ("12.99USD", "12.99", "USD"),
        ("usd12.9", "12.90", "USD"),
        ("12,99 EUR", "12.99", "EUR"),
        ("1.299,00", "1299.00", None),
        ("1.299,00 €", "1299.00", "EUR"),
        ("€1,299.00", "1299.00", "EUR"),
        ("1,299 USD", "1299.00", "USD"),
        ("1,299,000 USD", "1299000.00", "USD"),
        ("1.299.000 IDR", "1299000.00", "IDR"),
        ("1,29,999.50 INR", "129999.50", "INR"),
        ("1 299,50 PLN", "1299.50", "PLN"),
        ("1\u00a0299,50\u202fzł", "1299.50", "PLN"),
        ("CHF 1'299.50", "1299.50", "CHF"),
        ("1’299.50 CHF", "1299.50", "CHF"),
        ("$12.99", "12.99", "USD"),
        ("US$ 12.99", "12.99", "USD"),
        ("£5", "5.00", "GBP"),
        ("¥1500", "1500", "JPY"),
        ("1500 JPY", "1500", "JPY"),
        ("1500.00 JPY", "1500", "JPY"),
        ("1.500 JPY", "1500", "JPY"),
        ("1.299 KWD", "1.299", "KWD"),
        ("12.9900 USD", "12.99", "USD"),
        ("29.990000000000002 USD", "29.99", "USD"),
        ("0", "0", None),
        ("0.00 USD", "0.00", "USD"),
        (".99 USD", "0.99", "USD"),
        ("+5 USD", "5.00", "USD"),
        ("12.99", "12.99", None),
        ("00012.50 USD", "12.50", "USD"),
    ],
)
def test_prices(text, amount, currency):
    money = parse_price(text)
    assert (money.amount, money.currency) == (Decimal(amount), currency)
    if currency:
        assert str(money.amount) == amount  # with the places of its currency


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("-1 USD", "negative"),
        ("free", "cannot read"),
        ("nan", "cannot read"),
        ("inf USD", "cannot read"),
        ("1e5 USD", "cannot read"),
        ("12.99 XXQ", "unknown currency 'XXQ'"),
        ("12.99 USD EUR", "unknown currency"),
        ("USD 12.99 EUR", "two currencies"),
        ("$12.99 EUR", "two currencies"),
        ("1.299 EUR", "ambiguous"),
        ("1.299", "ambiguous"),
        ("1,299 KWD", "ambiguous"),
        ("0.999 USD", "more decimals"),
        ("12.345678 USD", "more decimals"),
        ("12.5 JPY", "more decimals"),
        ("1.29.99 USD", "groups of three"),
        ("1,299,00 EUR", "groups of three"),
        ("12 99 EUR", "groups of three"),
        ("1,299 000.00 EUR", "contradict"),
        ("9999999999999 USD", "absurdly"),
        ("9" * 400, "absurdly"),
        ("12.99 USD 13.99", "cannot read"),
        ("١٢ USD", "cannot read"),
    ],
)
def test_prices_that_are_none(text, reason):
    with pytest.raises(ValueError, match=reason):
        parse_price(text)


def test_currency_of_a_column_and_the_default():
    assert parse_price("5", "EUR").currency == "EUR"
    assert parse_price("5", None, "GBP").currency == "GBP"
    assert parse_price("5 USD", None, "GBP").currency == "USD"
    assert parse_price("$5", None, "AUD").currency == "AUD"
    assert parse_price("$5", None, "EUR").currency == "USD"
    assert parse_price("$5", "CAD").currency == "CAD"
    with pytest.raises(ValueError, match="EUR, USD"):
        parse_price("5 USD", "EUR")


def test_machine_numbers_have_decimal_points():
    assert parse_price(Number("1.299")).amount == Decimal("1.299")
    assert parse_price(Number("1.3e1"), "USD").amount == 13
    assert parse_price(Number("29.990000000000002"), "EUR").amount == Decimal("29.99")
    with pytest.raises(ValueError, match="more decimals"):
        parse_price(Number("1.299"), "EUR")
    with pytest.raises(ValueError, match="cannot read"):
        parse_price(Number("1e999999"), "EUR")


@given(st.integers(0, 10**11), st.sampled_from([",", ".", " ", "'", ""]), st.sampled_from([",", "."]))
def test_written_prices_are_read_back(cents, grouping, point):
    if grouping != point:
        whole = f"{cents // 100:,}".replace(",", grouping)
        assert parse_price(f"{whole}{point}{cents % 100:02d} EUR").amount == Decimal(cents).scaleb(-2)


@given(st.text(max_size=30))
def test_any_text_is_a_price_or_a_value_error(text):
    try:
        assert 0 <= parse_price(text).amount < 10**12
    except ValueError as error:
        assert str(error)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *((text, "in_stock") for text in ("in_stock", "in stock", "InStock", "IN-STOCK", "available", "yes")),
        *((text, "in_stock") for text in ("True", "1", "17", "3.0", "https://schema.org/InStock")),
        *((text, "out_of_stock") for text in ("out of stock", "OutOfStock", "sold out", "false", "0", "-2")),
        *((text, "preorder") for text in ("preorder", "pre-order", "http://schema.org/PreOrder")),
        *((text, "backorder") for text in ("backorder", "Back Order", "available for order")),
    ],
)
def test_availability(text, expected):
    assert parse_availability(text) == expected


def test_unknown_availability_names_the_allowed_ones():
    with pytest.raises(ValueError, match="'maybe'; write in_stock, out_of_stock, preorder, backorder"):
        parse_availability("maybe")


@pytest.mark.parametrize(
    "text",
    [
        "2024-05-31", "2024-05-31T00:00:00Z", "2024-05-31 02:00:00+02:00", "20240531", "2024/05/31",
        "May 31, 2024", "31 May 2024", "05 31, 2024", "1717113600", "1717113600000",
        "Fri, 31 May 2024 00:00:00 +0000",
    ],
)  # fmt: skip
def test_dates_are_utc(text):
    assert parse_date(text) == datetime(2024, 5, 31, tzinfo=UTC)
    assert parse_date(text).utcoffset().total_seconds() == 0


@pytest.mark.parametrize("text", ["yesterday", "31/05/2024", "2024-13-01", "-5", "99999999999999999999", ","])
def test_dates_that_are_none(text):
    with pytest.raises(ValueError, match="cannot read the date"):
        parse_date(text)


def test_html_becomes_text():
    source = "<p>Soft &amp; <b>warm</b></p><script>alert('x')</script><style>p{}</style><br/>5 < 6<!-- no -->"
    assert html_to_text(source) == "Soft & warm 5 < 6"
    assert html_to_text("<" * 100_000) == "<" * 100_000  # and in no time


@pytest.mark.parametrize("name", ["image_link", "Image Link", "imageLink", "g:image_link", " IMAGE-LINK "])
def test_spellings_of_a_column(name):
    assert normalise(name) == "image_link"


def test_synonyms_and_left_overs():
    columns = Columns(["SKU", "Name", "Colour", "fooBar", "image_2", "images", "Manufacturer", "name_2"])
    assert columns.column_of == {
        "id": "SKU", "title": "Name", "color": "Colour", "brand": "Manufacturer",
        "additional_image_link": "images",
    }  # fmt: skip
    assert columns.pictures == ["image_2"]
    assert columns.attributes == {"fooBar": "foo_bar", "name_2": "name_2"}


def test_exact_names_come_before_synonyms():
    columns = Columns(["sku", "name", "title", "product_id", "id"])
    assert (columns.column_of["id"], columns.column_of["title"]) == ("id", "title")
    assert set(columns.attributes) == {"sku", "product_id", "name"}


def test_mapping_overrides_and_names_attributes(tmp_path: Path):
    path = tmp_path / "feed.csv"
    path.write_text("id,title,color,colour_name,Stoff\n1,Cup,#ff0000,Red/Blue,Wolle\n")
    (product,) = read_feed(path, mapping={"colour": "Colour Name", "fabric_kind": "Stoff"})
    assert product.attributes == {"color": ("Red", "Blue"), "fabric_kind": ("Wolle",)}
    (product,) = read_feed(path, mapping={"title": "Stoff", "description": "Stoff"})
    assert (product.title, product.description) == ("Wolle", "Wolle")
    with pytest.raises(
        FeedError, match=r"--map color=farbe names a column that is not there; columns found: id, title"
    ):
        list(read_feed(path, mapping={"color": "farbe"}))


def test_default_currency_and_currency_column(tmp_path: Path):
    path = tmp_path / "feed.csv"
    path.write_text("id,title,price,sale_price,currency\n1,A,5,4,\n2,B,5,,jpy\n3,C,5 USD,,EUR\n4,D,,,EUR\n")
    errors = []
    first, second, last = read_feed(path, default_currency="gbp", on_error=errors.append)
    assert (first.currency, first.sale_price, second.currency, last.currency) == ("GBP", 4, "JPY", "EUR")
    assert [(error.line, error.column, error.product_id) for error in errors] == [(4, "price", "3")]
    with pytest.raises(FeedError, match="default_currency: unknown currency 'XXQ'"):
        read_feed(path, default_currency="XXQ")


def test_a_sale_price_of_zero_is_no_sale(tmp_path: Path):
    path = tmp_path / "feed.csv"
    path.write_text("id,title,price,sale_price\n1,A,5.00 USD,0.00 USD\n2,B,5 EUR,0\n3,C,0 EUR,\n")
    first, second, free = read_feed(path)
    assert (first.price, first.sale_price, first.currency) == (5, None, "USD")
    assert (second.price, second.sale_price, second.currency) == (5, None, "EUR")
    assert free.price == 0


def test_prices_in_two_currencies_are_refused(tmp_path: Path):
    path = tmp_path / "feed.csv"
    path.write_text("id,title,price,sale_price\n1,A,5 USD,4 EUR\n2,B,5 USD,4\n")
    errors = []
    (product,) = read_feed(path, on_error=errors.append)
    assert (product.id, product.currency, product.sale_price) == ("2", "USD", 4)
    assert errors[0].column == "sale_price"


@pytest.mark.parametrize(
    ("columns", "row", "category"),
    [
        ("product_type", "A > B>C", ("A", "B", "C")),
        ("google_product_category", "A > B", ("A", "B")),
        ("google_product_category", "212", ()),
        ("category", "Shoes", ("Shoes",)),
        ("product_type,google_product_category", "X > Y,A > B", ("X", "Y")),
    ],
)
def test_categories(tmp_path: Path, columns, row, category):
    path = tmp_path / "feed.csv"
    path.write_text(f"id,title,{columns}\n1,A,{row}\n")
    assert next(read_feed(path)).category == category


def test_too_many_pictures_are_refused(tmp_path: Path):
    path = tmp_path / "feed.csv"
    path.write_text(f'id,title,additional_image_link\n1,A,"{",".join(f"{i}.jpg" for i in range(101))}"\n')
    errors = []
    assert not list(read_feed(path, on_error=errors.append))
    assert errors[0].column == "additional_image_link"
