import pytest

from vision_rec.encoders.colour import parse_colour, shop_colours, vocabulary
from vision_rec.errors import InputError


@pytest.mark.parametrize(
    ("text", "rgb"),
    [
        ("#c81e1e", (200, 30, 30)),
        ("C81E1E", (200, 30, 30)),
        ("#C22", (204, 34, 34)),
        (" #00ff7f ", (0, 255, 127)),
    ],
)
def test_hex_values(text, rgb):
    assert parse_colour(text) == rgb


@pytest.mark.parametrize(
    "name", ["red", "Navy Blue", "off-white", "light gray", "teal", "burgundy", "salmon"]
)
def test_names_are_found_in_any_spelling(name):
    assert all(0 <= value <= 255 for value in parse_colour(name))


def test_names_mean_what_people_mean():
    red, navy, white, black = (parse_colour(name) for name in ("red", "navy", "white", "black"))
    assert red[0] > 2 * red[1] and red[0] > 2 * red[2]
    assert navy[2] > navy[0] and max(navy) < 140
    assert min(white) > 200 and max(black) < 60


def test_grey_and_gray_are_one():
    assert parse_colour("slate gray") == parse_colour("slategrey") or parse_colour("gray") == parse_colour(
        "grey"
    )


@pytest.mark.parametrize("text", ["", "   ", "#12345", "#ggg", "not a colour", "rgb(1,2,3)", "#"])
def test_unknown_colours_say_what_is_allowed(text):
    with pytest.raises(InputError, match=r"name|hex value"):
        parse_colour(text)


def test_a_misspelt_name_gets_near_ones():
    with pytest.raises(InputError, match="turquoise"):
        parse_colour("turqoise")


def test_vocabularies_are_there():
    assert len(vocabulary()) > 900
    assert 20 <= len(shop_colours()) <= 80
