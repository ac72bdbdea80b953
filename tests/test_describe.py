"""What words the text encoder reads of a product."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vision_rec.encoders.describe import MAX_DESCRIPTION, MAX_TEXT, describe
from vision_rec.types import Product


def product(title="", **fields):
    return Product(id="1", title=title, **fields)


def test_title_brand_category_attributes_and_description_in_this_order():
    text = describe(
        product(
            "Aran sweater",
            description="Knitted in Galway.",
            brand="Norvik",
            category=("Apparel", "Knitwear"),
            attributes={"material": ("wool",), "color": ("cream",)},
        )
    )
    assert text == "Aran sweater. Norvik. Knitwear. Apparel. cream. wool. Knitted in Galway"


def test_words_already_said_are_not_said_again():
    text = describe(
        product(
            "Palm Tree Girls White Skirts",
            brand="Palm Tree",
            category=("Apparel", "Skirts"),
            attributes={
                "color": ("WHITE",),
                "gender": ("female",),
                "season": ("Summer",),
                "usage": ("summer",),
            },
        )
    )
    assert text == "Palm Tree Girls White Skirts. Apparel. female. Summer"


def test_a_title_that_names_its_colour_reads_like_one_that_does_not():
    named = describe(product("Red mug", attributes={"color": ("red",)}))
    assert named == "Red mug" and describe(product("Mug", attributes={"color": ("red",)})) == "Mug. red"


def test_joining_words_do_not_dangle():
    assert describe(product("Rose perfume", category=("Perfume and Body Mist",))) == "Rose perfume. Body Mist"


def test_links_stock_codes_and_campaigns_are_not_meaning():
    quiet = product("Desk lamp", attributes={"color": ("green",)})
    noisy = product(
        "Desk lamp",
        link="https://shop.example/p/1",
        attributes={
            "color": ("green",),
            "custom_label_0": ("SUMMER SALE",),
            "gtin": ("4006381333931",),
            "stock_count": ("17",),
            "year": ("2011",),
            "image_hash": ("ab12",),
        },
    )
    assert describe(noisy) == describe(quiet)


@pytest.mark.parametrize("name", ["colour", "Colour", "COLOR", " color "])
def test_spellings_of_an_attribute_s_name(name):
    assert describe(product("Mug", attributes={name: ("teal",)})) == "Mug. teal"


def test_an_attribute_with_spaces_or_hyphens_in_its_name():
    attributes = {"Age Group": ("adult",), "sleeve-length": ("short",)}
    assert describe(product("Shirt", attributes=attributes)) == "Shirt. adult. short"


def test_several_values_and_the_order_of_the_feed_s_columns():
    one = describe(product("Bag", attributes={"material": ("leather", "brass"), "color": ("tan",)}))
    two = describe(product("Bag", attributes={"color": ("tan",), "material": ("leather", "brass")}))
    assert one == two == "Bag. tan. leather. brass"


def test_markup_links_and_control_characters_are_dropped():
    text = describe(
        product(
            "Salt &amp; pepper\x00 mill",
            description="<p>Grinds <b>fine</b></p>\n\nsee https://shop.example/x?y=1 or www.example.org now",
        )
    )
    assert text == "Salt & pepper mill. Grinds fine see or now"


def test_long_texts_are_cut_at_a_word():
    text = describe(product("Lamp", description="word " * 5_000))
    assert len(text) <= MAX_DESCRIPTION + 10 and text.endswith("word")
    text = describe(product("x " * 3_000, description="y"))
    assert len(text) <= MAX_TEXT
    assert len(describe(product("z" * 5_000))) <= MAX_TEXT


def test_a_product_without_words_is_empty():
    assert describe(product("")) == "" == describe(product("  \n"))


@given(st.text(), st.text(), st.text(), st.lists(st.text(), max_size=3))
def test_any_words_at_all_give_one_clean_line(title, brand, description, values):
    text = describe(
        product(title, brand=brand, description=description, attributes={"color": tuple(values), "?": ("x",)})
    )
    assert len(text) <= MAX_TEXT and "\n" not in text and "\x00" not in text
