"""Labels of products as a table of aspects asks for them, and which products are kept for testing."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence

from vision_rec.types import Product

PATTERN_WORDS = {
    "striped": r"\bstrip",
    "check": r"\bcheck|\bplaid",
    "printed": r"\bprint|graphic",
    "solid": r"\bsolid",
}
_NOTHING = {"", "na", "n/a", "nan", "none", "null", "unknown", "-"}
_NO_COLOUR = {"multi", "multicolor", "multicolour", "multi-color", "multi-colour", "assorted"}
_ATTRIBUTES = {"usage": ("usage", "occasion"), "gender": ("gender",), "material": ("material",)}


def split_of(key: str) -> int:
    """Return the split 0–4 of a text key: md5 modulo 5; 0 is the test set, 1 validation."""
    return int(hashlib.md5(key.encode(), usedforsecurity=False).hexdigest(), 16) % 5


def normalised(title: str) -> str:
    """Return a title in lower case with single spaces, the key that splits products."""
    return " ".join(title.lower().split())


def splits_of(titles: Sequence[str], pictures: Sequence[str]) -> list[int]:
    """Return each product's split by its title; those with the same picture (by hash) stay on one side.

    The lowest split of a picture's titles wins. An empty hash is no picture.
    """
    own = [split_of(normalised(title)) for title in titles]
    lowest: dict[str, int] = {}
    for picture, number in zip(pictures, own, strict=True):
        lowest[picture] = min(lowest.get(picture, number), number)
    return [lowest[picture] if picture else number for picture, number in zip(pictures, own, strict=True)]


def pattern_of(title: str) -> str:
    """Return the one pattern word of a title, or an empty text where none or several match."""
    found = [name for name, expression in PATTERN_WORDS.items() if re.search(expression, title.lower())]
    return found[0] if len(found) == 1 else ""


def labels_of(products: Sequence[Product]) -> dict[str, list[str]]:
    """Return label names by kind: article, colour, pattern, usage, gender, material; empty is unknown.

    The article is the last level of the category, the colour the first that the feed names, the pattern the
    attribute of that name where the feed has it, else the pattern word of the title.
    """
    labels = {
        "article": [_known(product.category[-1:]) for product in products],
        "colour": [_colour(product.attributes) for product in products],
        "pattern": [_known(product.attributes.get("pattern", ())) for product in products],
    }
    if not any(labels["pattern"]):
        labels["pattern"] = [pattern_of(product.title) for product in products]
    for kind, names in _ATTRIBUTES.items():
        name = next((name for name in names if any(p.attributes.get(name) for p in products)), names[0])
        labels[kind] = [_known(product.attributes.get(name, ())) for product in products]
    return labels


def _known(values: Sequence[str]) -> str:
    """Return the first value in lower case with single spaces, empty where it says nothing."""
    word = normalised(values[0]) if values else ""
    return "" if word in _NOTHING else word


def _colour(attributes: Mapping[str, Sequence[str]]) -> str:
    values = attributes.get("color") or attributes.get("colour") or ()
    word = _known(values)
    # A feed may name several colours at once, the main one first: "Red/White".
    word = normalised(re.split(r"[/,;]", word)[0])
    return "" if word in _NO_COLOUR | _NOTHING else word
