"""Read request bodies and query strings into fields: strict JSON, bounded multipart, texts to values."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import orjson
from fastapi.routing import APIRoute
from python_multipart.multipart import parse_options_header
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from vision_rec.errors import ImageTooLargeError, InputError
from vision_rec.filters import Filters
from vision_rec.service.limits import MAX_FIELD_BYTES, MAX_FIELDS
from vision_rec.service.problems import ParameterError, RequestError
from vision_rec.service.schemas import SearchBody

MAX_DEPTH = 8
_TEXTS = frozenset(
    "product_id image image_url text colour user_id session_id session_model preset cursor".split()
)
_LISTS = frozenset({"recent", "recent_types", "exclude", "facets"})


@dataclass(frozen=True, slots=True)
class Upload:
    """A multipart form: the bytes of its picture and its other fields."""

    picture: bytes
    fields: Sequence[tuple[str, str]]  # names may repeat
    chosen: bool = True  # False for a browser's field of a file that nothing was put in


@dataclass(frozen=True, slots=True)
class Asked:
    """The fields of a search body as given; `filters` where they came as expressions."""

    fields: Mapping[str, Any]
    filters: Filters | None = None


def media_type(request: Request) -> str:
    """Return the content type without parameters, in lower case."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def read_json(request: Request) -> dict[str, Any]:
    """Read one JSON object; refuse other types, bad syntax, non-finite numbers and deep nesting."""
    kind = media_type(request)
    if kind != "application/json" and not re.fullmatch(r"application/[\w.-]+\+json", kind):
        raise RequestError(
            "unsupported-media-type",
            f"the Content-Type is {repr(kind[:80]) if kind else 'missing'}; send application/json",
        )
    body = await request.body()
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise _explain_syntax(body, error) from error
    if not isinstance(value, dict):
        raise InputError('the body is valid JSON but no object; send one such as {"text": "…"}')
    check_values(value)
    return value


def _explain_syntax(body: bytes, error: Exception) -> Exception:
    """Tell numbers that JSON cannot hold, and nesting no parser follows, from plain bad syntax."""
    try:
        json.loads(body, parse_constant=_refuse_number, parse_float=_finite, parse_int=_finite)
    except InputError as refusal:
        return refusal
    except RecursionError:
        return InputError(f"the body nests deeper than {MAX_DEPTH} levels")
    except ValueError:
        pass
    else:  # json takes lone surrogates and nesting of 1,024 levels, orjson does not
        if "depth" in str(error):
            return InputError(f"the body nests deeper than {MAX_DEPTH} levels")
    return RequestError("malformed", f"the body is not JSON: {error}")


def _refuse_number(text: str) -> float:
    raise InputError(f"the body holds the number {text}; numbers must be finite")


def _finite(text: str) -> float:
    return value if math.isfinite(value := float(text)) else _refuse_number(text[:20])


def check_values(value: Any, depth: int = 1) -> None:
    """Refuse nesting beyond MAX_DEPTH and non-finite numbers, wherever they came from."""
    if isinstance(value, float) and not math.isfinite(value):
        _refuse_number(str(value))
    if not isinstance(value, dict | list):
        return
    if depth > MAX_DEPTH:
        raise InputError(f"the body nests deeper than {MAX_DEPTH} levels")
    for item in value.values() if isinstance(value, dict) else value:
        if isinstance(item, dict | list | float):
            check_values(item, depth + 1)


def check_known(given: Iterable[str], known: Iterable[str]) -> None:
    """Refuse names that a body or a query string may not have, with the nearest that it may."""
    allowed = tuple(known)
    for name in given:
        if name not in allowed:
            raise InputError(f"unknown field {name[:50]!r}; {_nearest(name, allowed)}")


def _nearest(name: str, known: Sequence[str]) -> str:
    near = get_close_matches(name, known, n=1)
    return f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}"


async def read_upload(request: Request, max_bytes: int) -> Upload:
    """Read a multipart form with one picture in `image`; spooled, within bounds of parts and bytes."""
    if media_type(request) != "multipart/form-data":
        raise RequestError(
            "unsupported-media-type", "send multipart/form-data with the picture in the field 'image'"
        )
    _, options = parse_options_header(request.headers["content-type"])
    if not 1 <= len(options.get(b"boundary", b"")) <= 256:
        raise RequestError("malformed", "the Content-Type needs a boundary of 1 to 256 characters")
    parser = MultiPartParser(
        request.headers,
        request.stream(),
        max_files=1,
        max_fields=MAX_FIELDS,
        max_part_size=MAX_FIELD_BYTES,
    )
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise RequestError("malformed", f"cannot read the form: {error.message}") from error
    try:
        return await _unpack(form.multi_items(), max_bytes)
    finally:
        await form.close()


async def _unpack(items: Iterable[tuple[str, str | UploadFile]], max_bytes: int) -> Upload:
    fields: list[tuple[str, str]] = []
    picture: bytes | None = None
    chosen = True
    for name, value in items:
        if isinstance(value, UploadFile):
            if name != "image":
                raise InputError(f"the picture is in the field {name[:50]!r}; put it in 'image'")
            if (value.size or 0) > max_bytes:
                raise ImageTooLargeError(f"the picture has {value.size} bytes; allowed are {max_bytes}")
            picture = await value.read()
            chosen = bool(value.filename or picture)
        else:
            fields.append((name, value))
    if picture is None:
        raise InputError("the form has no picture; put its file in the field 'image', with a file name")
    return Upload(picture, fields, chosen)


def parse_weights(text: str) -> dict[str, float]:
    """Read `colour:2,shape:1` (or with `=`) into weights by aspect."""
    weights: dict[str, float] = {}
    for entry in filter(None, (part.strip() for part in text.split(","))):
        match = re.fullmatch(r"([\w-]+)\s*[:=]\s*(\S+)", entry)
        if match is None:
            raise InputError(f"cannot read the weight {entry[:50]!r}; write ASPECT:NUMBER, such as colour:2")
        if match[1] in weights:
            raise InputError(f"the weight of {match[1]!r} is given twice")
        try:
            weights[match[1]] = float(match[2])
        except ValueError as error:
            raise InputError(f"the weight of {match[1]!r} is {match[2][:50]!r}; give a number ≥ 0") from error
        if not math.isfinite(weights[match[1]]):
            raise InputError(f"the weight of {match[1]!r} is {match[2]!r}; give a finite number ≥ 0")
    return weights


def fields_from_texts(
    pairs: Iterable[tuple[str, str]], *, allowed: Iterable[str] = SearchBody.model_fields
) -> Asked:
    """Turn form values or a query string into the fields of a search body.

    `filter` may repeat (expressions, all must hold), lists too: comma-separated or JSON; other nested
    values are JSON. Raises InputError for unknown or repeated names.
    """
    known = {*allowed, "filter"}
    fields: dict[str, Any] = {}
    expressions: list[str] = []
    for name, text in pairs:
        refuse_unknown(name, known)
        if name == "filter":
            expressions.append(text)
        elif name in _LISTS:
            fields[name] = fields.get(name, []) + _listed(name, text)
        elif name in fields:
            raise ParameterError(name, "repeated", f"the parameter {name!r} is given twice")
        else:
            fields[name] = _value(name, text)
    if expressions and "filters" in fields:
        raise InputError("give either 'filter' expressions or 'filters' as JSON, not both")
    return Asked(fields, Filters.parse(expressions) if expressions else None)


def refuse_unknown(name: str, known: Collection[str]) -> None:
    """Raise InputError for a parameter that is not among the `known` ones, with the nearest name."""
    if name not in known:
        detail = f"unknown parameter {name[:50]!r}; {_nearest(name, sorted(known))}"
        raise ParameterError(name, "unknown", detail)


async def known_parameters(request: Request) -> None:
    """Refuse parameters of the query string that a route does not have, or that are given twice.

    Raises InputError; such a one would change nothing and tell nobody. A GET that has no parameters at all
    takes no notice of them.
    """
    route = request.scope.get("route")
    if not isinstance(route, APIRoute):
        return
    known = {field.alias for field in route.dependant.query_params}
    given = [name for name, _ in request.query_params.multi_items()]
    if given and not known and request.method not in ("GET", "HEAD"):
        raise ParameterError(given[0], "unknown", "this path has no parameters; send the fields in the body")
    for place, name in enumerate(given if known else ()):
        refuse_unknown(name, known)
        if name in given[:place]:
            raise ParameterError(name, "repeated", f"the parameter {name!r} is given twice")


def _value(name: str, text: str) -> Any:
    if name in _TEXTS:
        return text
    if name == "weights" and not text.lstrip().startswith("{"):
        return parse_weights(text)
    try:
        value = orjson.loads(
            text.lower() if name == "exclude_own_group" else text
        )  # True is what Python says
    except orjson.JSONDecodeError as error:
        detail = f"the parameter {name!r} is {text[:50]!r}; {_wanted(name)}"
        raise ParameterError(name, "unreadable", detail) from error
    check_values(value)
    return value


def _listed(name: str, text: str) -> list[Any]:
    if text.lstrip().startswith("["):
        return list(_value(name, text))
    return [part.strip() for part in text.split(",") if part.strip()]


def _wanted(name: str) -> str:
    if name in ("filters", "weights", "examples", "crop"):
        return "give JSON"
    if name in _LISTS:
        return "give texts with commas between them, or a JSON list of texts"
    return "give true or false" if name == "exclude_own_group" else "give a finite number"
