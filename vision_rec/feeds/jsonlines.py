"""JSON Lines: one object per line; numbers keep the digits that were written."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

from vision_rec.errors import FeedError, FeedRowError
from vision_rec.feeds.delimited import MAX_LINE, read_lines
from vision_rec.feeds.rows import MAX_COLUMNS, MAX_NAME, WHOLE_ROW, CutRowError, Number, Reject, Row
from vision_rec.feeds.source import Stream

_NESTED = ("attributes", "properties", "specs", "details")  # their keys are columns of their own
_AMOUNT, _CODE = ("value", "amount"), ("currency", "currency_code", "currencyCode")
_ADDRESS = ("url", "src", "link", "href")


def read_json_lines(stream: Stream, path: Path, reject: Reject) -> Iterator[Row]:
    """Yield a row per line; FeedError where the file is one JSON document rather than lines."""
    first = True
    for line in read_lines(stream):
        raw = line.raw.strip()
        if not raw:
            continue
        if first and raw in (b"{", b"[") or (first and raw.startswith(b"[")):
            raise FeedError(f"{path} is one JSON document; write one object per line (jq -c '.[]')")
        first = False
        try:
            yield Row(line.number, _fields(_parse(raw)))
        except (ValueError, RecursionError) as error:
            kind = CutRowError if not line.ended and _breaks_off(raw, error) else FeedRowError
            reject(kind(line.number, WHOLE_ROW, f"not a JSON object: {error}"))


def _breaks_off(raw: bytes, error: Exception) -> bool:
    """Tell whether `raw` may be the beginning of an object: it ends within a value or a character."""
    inside = isinstance(error.__cause__, UnicodeDecodeError) and not raw.endswith(b"}")
    return inside or isinstance(error, json.JSONDecodeError)


def _parse(raw: bytes) -> dict[str, Any]:
    if len(raw) > MAX_LINE:
        raise ValueError(f"the line is longer than {MAX_LINE} bytes")
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"not valid UTF-8 at byte {error.start + 1}") from error
    found = json.loads(text, parse_int=Number, parse_float=Number, parse_constant=_refuse_constant)
    if not isinstance(found, dict):
        raise ValueError(f"found {type(found).__name__}")
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON value")


def _fields(record: dict[str, Any]) -> dict[str, tuple[str, ...]]:
    own: dict[str, tuple[str, ...]] = {}
    nested: dict[str, tuple[str, ...]] = {}
    for name, value in record.items():
        if isinstance(value, dict) and not _single(value):
            prefix = "" if name.lower() in _NESTED else f"{name}_"
            nested |= {f"{prefix}{key}": texts(inner) for key, inner in value.items()}
        else:
            own[name] = texts(value)
    fields = {name: values for name, values in {**nested, **own}.items() if name and values}
    if len(fields) > MAX_COLUMNS or any(len(name) > MAX_NAME for name in fields):
        raise ValueError(f"allowed are {MAX_COLUMNS} fields with names of {MAX_NAME} characters")
    return fields


def texts(value: Any) -> tuple[str, ...]:
    """Return a decoded value as texts: lists flattened by one level, objects by what they say."""
    if isinstance(value, list | tuple):
        return tuple(text for item in value if (text := _single(item)))
    text = _single(value)
    return (text,) if text else ()


def _single(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        amount = next((value[key] for key in _AMOUNT if value.get(key)), None)
        code = next((value[key] for key in _CODE if isinstance(value.get(key), str)), "")
        if amount is not None and code:
            return f"{_single(amount)} {code}"
        return next((value[key] for key in _ADDRESS if isinstance(value.get(key), str)), "")
    return ""
