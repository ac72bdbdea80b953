"""Colour words and hex values → sRGB: the shop's own names first, then the CSS and XKCD vocabularies."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from difflib import get_close_matches
from functools import cache
from importlib.resources import files

from vision_rec.errors import InputError

RGB = tuple[int, int, int]
_HEX = re.compile(r"#?(?:[0-9a-f]{3}|[0-9a-f]{6})")


def parse_colour(text: str) -> RGB:
    """Return the sRGB value 0–255 of a colour name or of a hex value such as #c81e1e or #c22.

    Raises InputError that names the nearest known colours.
    """
    word = " ".join(text.lower().replace("gray", "grey").replace("-", " ").split())
    if word.startswith("#") or (_HEX.fullmatch(word) and any(sign.isdigit() for sign in word)):
        return _hex(word, text)
    known = vocabulary()
    if word in known:
        return known[word]
    near = get_close_matches(word, known, n=3, cutoff=0.6)
    hint = f"; near are {', '.join(near)}" if near else ""
    raise InputError(
        f"unknown colour {text!r}: give a name such as 'navy blue' or a hex value '#1b2a52'{hint}"
    )


def _hex(word: str, given: str) -> RGB:
    if not _HEX.fullmatch(word):
        raise InputError(f"cannot read colour {given!r}: a hex value has 3 or 6 digits, such as '#c81e1e'")
    digits = word.removeprefix("#")
    if len(digits) == 3:
        digits = "".join(digit * 2 for digit in digits)
    return int(digits[0:2], 16), int(digits[2:4], 16), int(digits[4:6], 16)


@cache
def vocabulary() -> Mapping[str, RGB]:
    """Return all known colour names, in lower case with single spaces.

    `shop` says what products so named look like in pictures (a red coat is not #ff0000); `xkcd` is the
    XKCD colour survey (CC0), `css` the CSS Color Module's names. The first that knows a name wins.
    """
    tables = json.loads(files("vision_rec.encoders").joinpath("data/colour_names.json").read_text("utf-8"))
    out: dict[str, RGB] = {}
    for source in ("css", "xkcd", "shop"):
        for name, value in tables.get(source, {}).items():
            out[name.replace("gray", "grey")] = _hex(value, value)
    return out


@cache
def shop_colours() -> Mapping[str, RGB]:
    """Return the names that explanations use: those of shops, few and far enough apart."""
    tables = json.loads(files("vision_rec.encoders").joinpath("data/colour_names.json").read_text("utf-8"))
    return {name: _hex(value, value) for name, value in tables["shop"].items()}
