"""Queries as JSON: one body of POST /v1/search, or a file of them."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

from vision_rec.errors import ImageError, InputError, UrlNotAllowedError, VisionRecError
from vision_rec.filters import Filters
from vision_rec.fusion import is_finite
from vision_rec.types import Example, Picture, Query, Recommendations

if TYPE_CHECKING:
    from vision_rec.recommend import Recommender

OpenPicture = Callable[[str], Picture]
MAX_TEXT = 512
MAX_IDS = 1000  # in one list of ids
MAX_EXAMPLES = 50
_LINES_AT_ONCE = 64
_log = logging.getLogger(__name__)
_BROKEN = re.compile("[\udc80-\udcff]")  # bytes of a file that are no text, as `surrogateescape` reads them
_FIELDS = (
    "product_id image image_url text colour examples recent recent_types user_id session_id weights preset "
    "filters exclude k offset min_score diversity max_per_group exclude_own_group session_share "
    "session_model crop facets rating_boost"
).split()
_EXAMPLE_FIELDS = ("product_id", "image", "weight")


def query_from_json(
    body: Mapping[str, Any],
    *,
    open_picture: OpenPicture,
    max_text: int = MAX_TEXT,
) -> Query:
    """Read the body of POST /v1/search; null means not given.

    `open_picture` turns the text of `image` (base64, or a path in a file of queries) into a picture.
    Raises InputError naming the wrong field, UrlNotAllowedError for `image_url`, and what `open_picture`
    raises.
    """
    _known("field", body, _FIELDS)
    given = {name: value for name, value in body.items() if value is not None}
    if "image_url" in given:
        raise UrlNotAllowedError("image_url is not enabled: send the picture itself, as `image`")
    weights = given.get("weights")
    filters = given.get("filters")
    crop = given.get("crop")
    return Query(
        product_id=_text(given, "product_id"),
        image=_picture(given, open_picture),
        text=_text(given, "text", max_text),
        colour=_text(given, "colour"),
        examples=tuple(_example(entry, open_picture) for entry in _list(given, "examples", MAX_EXAMPLES)),
        recent=_ids(given, "recent"),
        recent_types=_ids(given, "recent_types"),
        user_id=_text(given, "user_id"),
        session_id=_text(given, "session_id"),
        weights=None if weights is None else _numbers("weights", weights),
        preset=_text(given, "preset"),
        filters=None if filters is None else _filters(filters),
        exclude=_ids(given, "exclude"),
        k=_whole(given, "k", 10),
        offset=_whole(given, "offset", 0),
        min_score=_number("min_score", given["min_score"]) if "min_score" in given else None,
        diversity=_number("diversity", given.get("diversity", 0.0)),
        max_per_group=_whole(given, "max_per_group", 1),
        exclude_own_group=_flag(given, "exclude_own_group", True),
        session_share=_number("session_share", given["session_share"]) if "session_share" in given else None,
        session_model=_text(given, "session_model") or "auto",
        crop=None if crop is None else _crop(crop),
        facets=_ids(given, "facets"),
        rating_boost=_number("rating_boost", given.get("rating_boost", 0.0)),
    )


def run_batch(
    recommender: Recommender,
    lines: Iterable[str],
    *,
    open_picture: OpenPicture | None = None,
    open_cropped: OpenPicture | None = None,
) -> Iterator[dict[str, Any]]:
    """Yield one line of RESULTS.jsonl per line of QUERIES.jsonl, in order.

    A bad query gives a line with `error` (its `code` and `message`), and the rest go on. A query without
    `query_id` gets the number of its line. `open_cropped` opens the picture of a query with `crop`, larger
    than encoders see it.
    """
    opened = openers(recommender, open_picture, open_cropped)
    numbered = ((number, line) for number, line in enumerate(lines, 1) if line.strip())
    while chunk := list(islice(numbered, _LINES_AT_ONCE)):
        yield from _run_chunk(recommender, chunk, opened)


def openers(
    recommender: Recommender, open_picture: OpenPicture | None, open_cropped: OpenPicture | None
) -> Callable[[Mapping[str, Any]], OpenPicture]:
    """Return what chooses the function that opens the pictures of a query, by whether it has `crop`."""
    whole = open_picture or recommender.picture
    cropped = open_cropped or open_picture or partial(recommender.picture, crop=(0.0, 0.0, 1.0, 1.0))
    return lambda body: cropped if body.get("crop") is not None else whole


def read_object(line: str) -> dict[str, Any]:
    """Read one line of JSON that must be an object; raise InputError."""
    if _BROKEN.search(line):
        raise InputError("the line is not UTF-8 text")
    try:
        value = json.loads(line, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise InputError(f"not valid JSON: {error}") from error
    if not isinstance(value, dict):
        raise InputError(f"a query must be a JSON object; got {type(value).__name__}")
    return value


def _run_chunk(
    recommender: Recommender,
    chunk: list[tuple[int, str]],
    opener: Callable[[Mapping[str, Any]], OpenPicture],
) -> Iterator[dict[str, Any]]:
    names: list[Any] = []
    parsed: list[Query | VisionRecError] = []
    for number, line in chunk:
        name: Any = number
        try:
            body = read_object(line)
            name = body.pop("query_id", number)
            parsed.append(query_from_json(body, open_picture=opener(body)))
        except VisionRecError as error:
            parsed.append(error)
        names.append(name)
    answers = iter(_answers(recommender, [entry for entry in parsed if isinstance(entry, Query)]))
    for name, entry in zip(names, parsed, strict=True):
        yield _line(name, next(answers) if isinstance(entry, Query) else entry)


def _answers(
    recommender: Recommender, queries: Sequence[Query]
) -> Sequence[Recommendations | VisionRecError]:
    """Answer all together; where that fails for a reason nobody foresaw, each by itself."""
    try:
        return recommender.answer_many(queries)
    except VisionRecError:
        raise
    except Exception as error:  # one query must not cost the others their answers
        if len(queries) == 1:
            _log.exception("a query failed for a reason nobody foresaw")
            return [VisionRecError(f"unexpected {type(error).__name__}: {error}")]
        return [answer for query in queries for answer in _answers(recommender, [query])]


def _line(name: Any, result: Recommendations | VisionRecError) -> dict[str, Any]:
    if isinstance(result, VisionRecError):
        return {"query_id": name, "error": {"code": result.code, "message": str(result)}}
    items = [{"id": item.product.id, "score": item.score, "parts": dict(item.parts)} for item in result]
    return {"query_id": name, "items": items}


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON number")


def _known(what: str, fields: Mapping[str, Any], known: Iterable[str]) -> None:
    if not isinstance(fields, Mapping):
        raise InputError(f"expected a JSON object; got {_shown(fields)}")
    names = list(known)
    for name in fields:
        if name not in names:
            near = get_close_matches(str(name), names, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(names)}"
            raise InputError(f"unknown {what} {str(name)[:80]!r}; {hint}")


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}…"


def _text(given: Mapping[str, Any], name: str, most: int = MAX_TEXT) -> str | None:
    value = given.get(name)
    if value is None:
        return None
    if not isinstance(value, str):
        raise InputError(f"{name} must be a text; got {_shown(value)}")
    if "\0" in value:
        raise InputError(f"{name} must be a text without the character NUL; got {_shown(value)}")
    if len(value) > most:
        raise InputError(f"{name} has {len(value)} characters; allowed are {most}")
    return value


def _list(given: Mapping[str, Any], name: str, most: int) -> list[Any]:
    value = given.get(name, [])
    if not isinstance(value, list):
        raise InputError(f"{name} must be a list; got {_shown(value)}")
    if len(value) > most:
        raise InputError(f"{name} has {len(value)} entries; allowed are {most}")
    return value


def _ids(given: Mapping[str, Any], name: str) -> tuple[str, ...]:
    entries = _list(given, name, MAX_IDS)
    if not all(isinstance(entry, str) for entry in entries):
        raise InputError(f"{name} must be a list of texts; got {_shown(entries)}")
    return tuple(entries)


def _number(name: str, value: object) -> float:
    if not is_finite(value):
        raise InputError(f"{name} must be a finite number; got {_shown(value)}")
    return float(value)  # type: ignore[arg-type]


def _numbers(name: str, value: object) -> dict[str, float]:
    if not isinstance(value, Mapping):
        raise InputError(f"{name} must be an object of numbers; got {_shown(value)}")
    return {str(key): _number(f"{name}.{key}", number) for key, number in value.items()}


def _whole(given: Mapping[str, Any], name: str, default: int) -> int:
    value = given.get(name, default)
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # 10.0 is how some clients write 10
    if not isinstance(value, int) or isinstance(value, bool):
        raise InputError(f"{name} must be a whole number; got {_shown(value)}")
    return value


def _flag(given: Mapping[str, Any], name: str, default: bool) -> bool:
    value = given.get(name, default)
    if not isinstance(value, bool):
        raise InputError(f"{name} must be true or false; got {_shown(value)}")
    return value


def _filters(value: object) -> Filters:
    if not isinstance(value, Mapping):
        raise InputError(f"filters must be an object; got {_shown(value)}")
    return Filters.from_dict(value)


def _crop(value: object) -> tuple[float, float, float, float]:
    if not isinstance(value, list) or len(value) != 4:
        raise InputError(f"crop must be four numbers [x, y, w, h] in 0–1; got {_shown(value)}")
    x, y, w, h = (_number("a value of crop", entry) for entry in value)
    return x, y, w, h


def _example(entry: Any, open_picture: OpenPicture) -> Example:
    _known("field of an example", entry, _EXAMPLE_FIELDS)
    given = {name: value for name, value in entry.items() if value is not None}
    return Example(
        product_id=_text(given, "product_id"),
        image=_picture(given, open_picture),
        weight=_number("weight of an example", given.get("weight", 1.0)),
    )


def _picture(given: Mapping[str, Any], open_picture: OpenPicture) -> Picture | None:
    if "image" not in given:
        return None
    if not isinstance(given["image"], str) or not given["image"]:
        raise InputError(f"image must be a text; got {_shown(given['image'])}")
    try:
        return open_picture(given["image"])
    except OSError as error:  # an overlong or impossible path
        raise ImageError(f"image {_shown(given['image'])} cannot be read: {error.strerror}") from error
