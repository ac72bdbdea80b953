"""Turn a product into the words that the text encoder reads."""

from __future__ import annotations

import html
import re

from vision_rec.types import Product

DESCRIBE_VERSION = 1  # part of the text encoder's fingerprint; raise it with every change of the words
MAX_DESCRIPTION = 600  # characters; longer ones would drown the title
MAX_TEXT = 1_200

# What a product is, in the order of telling. Links, stock counts, dates, codes and campaign labels are not
# meaning; a fixed list keeps them out whatever the feed calls its other columns.
DESCRIPTIVE = (
    "color",
    "material",
    "pattern",
    "style",
    "shape",
    "finish",
    "texture",
    "gender",
    "age_group",
    "season",
    "occasion",
    "usage",
    "theme",
    "fit",
    "size_type",
    "neckline",
    "sleeve",
    "sleeve_length",
    "length",
    "collar",
    "closure",
    "heel",
    "heel_height",
    "toe_style",
    "fabric",
    "lining",
    "room",
    "room_type",
    "mount",
    "power_source",
    "scent",
    "flavor",
    "skin_type",
    "hair_type",
    "activity",
    "sport",
    "features",
    "product_highlight",
)
_ALIASES = {"colour": "color", "flavour": "flavor", "feature": "features", "sleeves": "sleeve_length"}
_TAG = re.compile(r"<[^<>]{0,400}>")
_LINK = re.compile(r"(?:https?://|www\.)\S+")
_JOINING = frozenset("and or of for with the a an in on to by from &".split())
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")


def describe(product: Product) -> str:
    """Return title, brand, category, descriptive attributes and description as one text.

    Words that an earlier part has said are left out of brand, category and attributes, so that a title
    which names its colour weighs the same as one which does not. Empty where the product has no words.
    """
    parts = [_clean(product.title)]
    description = _shorten(_clean(product.description), MAX_DESCRIPTION)
    said = set(_words(parts[0]))
    for value in (product.brand, *reversed(product.category), *_attributes(product)):
        fresh = _new_words(_clean(value), said)
        if fresh:
            parts.append(fresh)
    parts.append(description)
    return _shorten(". ".join(part.rstrip(" .") for part in parts if part), MAX_TEXT)


def _attributes(product: Product) -> list[str]:
    """Return the values of the descriptive attributes, in the order of the list above."""
    values: dict[str, list[str]] = {}
    for name, given in product.attributes.items():
        key = re.sub(r"[\s\-]+", "_", name.strip().lower())
        values.setdefault(_ALIASES.get(key, key), []).extend(given)
    return [value for name in DESCRIPTIVE for value in values.get(name, ())]


def _clean(text: str) -> str:
    """Drop markup, links and control characters, and make every space a single one."""
    if "<" in text or "&" in text:
        text = html.unescape(_TAG.sub(" ", text))
    if "http" in text or "www." in text:
        text = _LINK.sub(" ", text)
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _words(text: str) -> list[str]:
    return [word.casefold() for word in _WORD.findall(text)]


def _new_words(text: str, said: set[str]) -> str:
    """Return the words of `text` that were not said yet, no joining words at the ends; note them."""
    fresh: list[str] = []
    for word in text.split():
        bare = _words(word)
        if not bare or all(part in said for part in bare):
            continue
        said.update(part for part in bare if part not in _JOINING)
        fresh.append(word.strip(">/|,;"))
    while fresh and fresh[0].casefold() in _JOINING:
        fresh.pop(0)
    while fresh and fresh[-1].casefold() in _JOINING:
        fresh.pop()
    return " ".join(fresh)


def _shorten(text: str, limit: int) -> str:
    """Cut `text` at the last space before `limit` characters."""
    if len(text) <= limit:
        return text
    return text[:limit].rsplit(" ", 1)[0]
