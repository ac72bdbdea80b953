"""Checks at the door of `answer`: what is given, what is allowed."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from vision_rec.errors import InputError
from vision_rec.filters import Filters
from vision_rec.fusion import is_finite
from vision_rec.types import Picture, Query

RECENT_TYPES = ("view", "click", "add_to_cart", "purchase")  # a rating has stars: send it as an event
SESSION_MODELS = ("auto", "recency")
SOURCES = "product_id, image, text, colour, examples, recent, user_id or session_id"


def check_query(query: Query, max_k: int) -> None:
    """Raise InputError for the first thing in `query` that is not allowed."""
    _types(query)
    check_whole("k", query.k, 1, max_k)
    check_whole("offset", query.offset, 0)
    check_whole("max_per_group", query.max_per_group, 0)
    shares = ("diversity", "rating_boost", *(["session_share"] if query.session_share is not None else ()))
    for name in shares:
        _number(name, getattr(query, name), 0.0, 1.0)
    _recent_types(query)
    if query.session_model not in SESSION_MODELS:
        raise InputError(f"session_model is {query.session_model!r}; allowed are {', '.join(SESSION_MODELS)}")
    if query.min_score is not None:
        _number("min_score", query.min_score, -math.inf, math.inf)
    for example in query.examples:
        if (example.product_id is None) == (example.image is None):
            raise InputError("an example needs either a product_id or an image")
        if not isinstance(example.product_id, str | None):
            raise InputError(f"product_id of an example is {example.product_id!r}; allowed is a text")
        _number("weight of an example", example.weight, -1.0, 1.0)
        _picture(example.image)
    _picture(query.image)
    _check_crop(query)
    if query.weights is not None and query.preset is not None:
        raise InputError("both weights and preset are given; give one of them")
    if not has_source(query) and not is_identified(query):
        raise InputError(f"the query is empty; give at least one of {SOURCES}")


def has_source(query: Query) -> bool:
    """Say whether the query names anything to be similar to."""
    return (
        query.product_id is not None
        or query.image is not None
        or words_of(query) is not None
        or query.colour is not None
        or bool(query.recent)
        or any(example.weight for example in query.examples)
    )


def is_identified(query: Query) -> bool:
    """Say whether the query names a visitor."""
    return bool(query.user_id or query.session_id)


def words_of(query: Query) -> str | None:
    """Return the query's text without outer blanks, None where nothing is left."""
    return (query.text or "").strip() or None


def _types(query: Query) -> None:
    """Refuse what would only fail deep below, as a list where a text belongs."""
    for name in ("product_id", "text", "colour", "user_id", "session_id", "preset"):
        value = getattr(query, name)
        if value is not None and not isinstance(value, str):
            raise InputError(f"{name} is {value!r}; allowed is a text")
    for name in ("recent", "recent_types", "exclude", "facets"):
        value = getattr(query, name)
        if isinstance(value, str) or not all(isinstance(entry, str) for entry in value):
            raise InputError(f"{name} is {value!r}; allowed is a list of texts")
    if query.weights is not None and not isinstance(query.weights, Mapping):
        raise InputError(f"weights is {query.weights!r}; allowed is a mapping such as {{'colour': 2}}")
    if not isinstance(query.exclude_own_group, bool | np.bool_):
        raise InputError(f"exclude_own_group is {query.exclude_own_group!r:.80}; allowed are True and False")
    if not isinstance(query.filters, Filters | None):
        raise InputError(
            f"filters of a Query is {query.filters!r:.80}; make it with Filters.from_dict or Filters.parse"
        )


def _recent_types(query: Query) -> None:
    if len(query.recent_types) > len(query.recent):
        raise InputError(
            f"recent_types has {len(query.recent_types)} entries; recent has {len(query.recent)}, "
            "and each type belongs to one of them"
        )
    for kind in query.recent_types:
        if kind not in RECENT_TYPES:
            raise InputError(f"recent_types has {kind[:80]!r}; allowed are {', '.join(RECENT_TYPES)}")


def check_whole(name: str, value: object, low: int, high: int | None = None) -> None:
    """Raise InputError unless `value` is a whole number from `low` to `high`, or of any size above."""
    if not isinstance(value, int | np.integer) or isinstance(value, bool):
        raise InputError(f"{name} is {value!r:.80}; allowed is a whole number")
    if value < low or (high is not None and value > high):
        allowed = f"at least {low}" if high is None else f"{low} to {high}"
        raise InputError(f"{name} is {value!r:.80}; allowed is {allowed}")


def _number(name: str, value: object, low: float, high: float) -> None:
    if not (is_finite(value) and low <= value <= high):  # type: ignore[operator]
        allowed = "a finite number" if low == -math.inf else f"a number from {low:g} to {high:g}"
        raise InputError(f"{name} is {value!r:.80}; allowed is {allowed}")


def _picture(picture: Picture | None) -> None:
    if picture is None:
        return
    good = isinstance(picture, np.ndarray) and picture.dtype == np.uint8 and picture.ndim == 3
    if not good or picture.shape[2] != 3 or 0 in picture.shape:
        form = getattr(picture, "shape", type(picture).__name__), getattr(picture, "dtype", "")
        raise InputError(f"a picture must be (H, W, 3) uint8 sRGB; got {form[0]} {form[1]}")


def _check_crop(query: Query) -> None:
    if query.crop is None:
        return
    if query.image is None:
        raise InputError("crop is given without an image; crop applies to the query's image")
    if len(query.crop) != 4:
        raise InputError(f"crop is {query.crop!r}; allowed are four numbers x, y, w, h in 0–1")
    for value in query.crop:
        _number("a value of crop", value, 0.0, 1.0)
    x, y, w, h = query.crop

    if w <= 0 or h <= 0 or max(x + w, y + h) > 1 + 1e-6:
        raise InputError(f"crop is {list(query.crop)}; x + w and y + h must stay within 1, w and h above 0")
