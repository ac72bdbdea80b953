"""Rules from JSON: what is given, what is allowed, what to write instead."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import Any, cast

from vision_rec.errors import InputError, IntegrityError
from vision_rec.filters import Filters
from vision_rec.rules.model import EFFECTS, SCOPES, Effect, Rule, Scope, ScopeKind

MAX_RULES = 10_000
MAX_PRODUCTS = 300  # of one rule
MAX_POSITION = 200
MAX_PRIORITY = 1000
MAX_NAME = 500  # characters
MAX_ID = 256  # characters of a product id, a category or a query text in a rule
FIELDS = "name effect scope products filters position strength starts_at ends_at priority enabled".split()
_OWN = ("id", "serial", "author", "changed_at")  # written by the store, ignored where a client sends them
_ID = re.compile(r"r-[0-9a-f]{12}")


def rule_from_json(body: Mapping[str, Any], *, rule_id: str) -> Rule:
    """Read what an author may decide; null means not given. Raises InputError naming the field."""
    _known("field", body, (*FIELDS, *_OWN))
    given = {name: value for name, value in body.items() if value is not None and name in FIELDS}
    effect = cast(Effect, _one_of("effect", given.get("effect"), EFFECTS))
    products = _products(given.get("products", ()))
    filters = given.get("filters")
    rule = Rule(
        id=rule_id,
        effect=effect,
        name=_text("name", given.get("name", ""), MAX_NAME),
        scope=_scope(given.get("scope", {})),
        products=products,
        filters=_kept(filters),
        condition=None if filters is None else _filters(filters),
        position=_whole("position", given["position"], 1, MAX_POSITION) if "position" in given else None,
        strength=_strength(given["strength"]) if "strength" in given else None,
        starts_at=read_time("starts_at", given["starts_at"]) if "starts_at" in given else None,
        ends_at=read_time("ends_at", given["ends_at"]) if "ends_at" in given else None,
        priority=_whole("priority", given.get("priority", 0), -MAX_PRIORITY, MAX_PRIORITY),
        enabled=_flag("enabled", given.get("enabled", True)),
    )
    _check(rule)
    return replace(rule, position=1) if effect == "pin" and rule.position is None else rule


def rule_from_record(record: Mapping[str, Any]) -> Rule:
    """Read a rule that the store wrote; raises IntegrityError where it cannot have been."""
    try:
        rule = rule_from_json(record, rule_id=str(record["id"]))
        changed_at = record["changed_at"]
        if not _ID.fullmatch(rule.id):
            raise InputError(f"the id {rule.id!r} is none of a rule")
        return replace(
            rule,
            serial=int(record["serial"]),
            author=str(record["author"]),
            changed_at=None if changed_at is None else read_time("changed_at", changed_at),
        )
    except (InputError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise IntegrityError(f"a stored rule cannot be read: {error}") from error


def rules_from_records(records: Any) -> tuple[Rule, ...]:
    """Read the rules of a stored file; raises IntegrityError."""
    if not isinstance(records, list) or not all(isinstance(record, Mapping) for record in records):
        raise IntegrityError("the stored rules are no list of objects")
    return tuple(rule_from_record(record) for record in records)


def _check(rule: Rule) -> None:
    """Refuse what does not fit together."""
    effect = rule.effect
    if effect == "pin" and (not rule.products or rule.filters is not None):
        raise InputError("a pin names 'products', those that are put to the place; it takes no 'filters'")
    if effect == "filter" and (rule.products or not rule.condition):
        raise InputError("a filter rule needs 'filters', what products must pass to be shown; no 'products'")
    if bool(rule.products) == bool(rule.condition):
        raise InputError(f"a {effect} rule needs either 'products' or 'filters', what it acts on")
    if effect in ("boost", "bury") and rule.strength is None:
        raise InputError(f"a {effect} rule needs 'strength', a number above 0 and up to 1")
    if effect not in ("boost", "bury") and rule.strength is not None:
        raise InputError(f"'strength' is for boost and bury; a {effect} rule has none")
    if effect != "pin" and rule.position is not None:
        raise InputError(f"'position' is for pins; a {effect} rule has none")
    if rule.starts_at and rule.ends_at and rule.ends_at <= rule.starts_at:
        raise InputError("'ends_at' is not after 'starts_at': the rule would never apply")
    clauses = rule.condition.clauses if rule.condition is not None else ()
    relative = [clause.field for clause in clauses if clause.field in ("price_ratio", "same_category")]
    if relative and rule.scope.kind != "product":
        raise InputError(
            f"filter {relative[0]!r} compares with the query product; use it in a rule for one product's list"
        )


def _known(what: str, given: Iterable[object], known: Sequence[str]) -> None:
    for name in given:
        if name not in known:
            near = get_close_matches(str(name), known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}"
            raise InputError(f"unknown {what} {str(name)[:50]!r} of a rule; {hint}")


def _one_of(name: str, value: object, allowed: Sequence[str]) -> str:
    if value is None:
        raise InputError(f"a rule needs {name!r}: {', '.join(allowed)}")
    if not isinstance(value, str) or value not in allowed:
        near = get_close_matches(str(value), allowed, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"allowed are {', '.join(allowed)}"
        raise InputError(f"{name!r} is {str(value)[:50]!r}; {hint}")
    return value


def _text(name: str, value: object, most: int) -> str:
    if not isinstance(value, str):
        raise InputError(f"{name!r} is {str(value)[:50]!r}; allowed is a text")
    if len(value) > most:
        raise InputError(f"{name!r} has {len(value)} characters; allowed are {most}")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:
        raise InputError(f"{name!r} is not valid Unicode text") from error
    return value.strip()


def _scope(value: object) -> Scope:
    if not isinstance(value, Mapping):
        raise InputError(f'\'scope\' is {str(value)[:50]!r}; write {{"kind": "category", "value": "Shoes"}}')
    _known("field of the scope", value, ("kind", "value"))
    kind = cast(ScopeKind, _one_of("kind", value.get("kind") or "all", SCOPES))
    text = _text("value", value.get("value") or "", MAX_ID)
    if (kind == "all") != (not text):
        said = "takes no 'value'" if kind == "all" else f"needs a 'value', which {kind} it is"
        raise InputError(f"the scope {kind!r} {said}")
    return Scope(kind, text)


def _products(value: object) -> tuple[str, ...]:
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise InputError(f"'products' is {str(value)[:50]!r}; allowed is a list of product ids")
    if len(value) > MAX_PRODUCTS:
        raise InputError(f"'products' names {len(value)}; allowed are {MAX_PRODUCTS} in one rule")
    ids = tuple(_text("products", entry, MAX_ID) for entry in value)
    if not all(ids):
        raise InputError("'products' holds an empty id")
    return tuple(dict.fromkeys(ids))


def _filters(value: object) -> Filters | None:
    if isinstance(value, Mapping):
        return Filters.from_dict(value) if value else None
    if (
        isinstance(value, str)
        or not isinstance(value, Sequence)
        or not all(isinstance(e, str) for e in value)
    ):
        raise InputError(
            f"'filters' is {str(value)[:50]!r}; allowed are the filters of a search, "
            'such as {"brand": ["Acme"]}, or a list of conditions such as ["price<=50"]'
        )
    return Filters.parse(value) if value else None


def _kept(value: Any) -> Mapping[str, Any] | Sequence[str] | None:
    """Return `filters` as given, None for none at all."""
    if not value:
        return None
    return dict(value) if isinstance(value, Mapping) else tuple(value) if isinstance(value, list) else value


def _whole(name: str, value: object, low: int, high: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise InputError(f"{name!r} is {str(value)[:50]!r}; allowed is a whole number from {low} to {high}")
    return value


def _strength(value: object) -> float:
    good = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not good or not 0 < cast(float, value) <= 1:
        raise InputError(f"'strength' is {str(value)[:50]!r}; allowed is a number above 0 and up to 1")
    return float(cast(float, value))


def _flag(name: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise InputError(f"{name!r} is {str(value)[:50]!r}; allowed is true or false")
    return value


def read_time(name: str, value: object) -> datetime:
    """Read a date or time, UTC where no zone is given; raises InputError."""
    try:
        at = datetime.fromisoformat(value) if isinstance(value, str) else None
        at = at and (at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC))
    except (ValueError, OverflowError):
        at = None
    if at is None:
        raise InputError(
            f"{name!r} is {str(value)[:50]!r}; write a date such as 2026-03-01 or a time such as "
            "2026-03-01T08:00:00Z (UTC where no zone is given)"
        )
    return at
