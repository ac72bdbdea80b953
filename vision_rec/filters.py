"""Filters: one typed form for what the CLI writes as `price<=50` and HTTP as {"price": {"max": 50}}."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vision_rec.errors import InputError

MAX_CLAUSES = 50
NUMBERS = ("price", "rating", "price_ratio")
FLAGS = ("in_stock", "same_category")
TEXTS = ("id", "category", "brand", "availability", "group_id", "currency", "locale")
_EXPRESSION = re.compile(r"^\s*([A-Za-z_][\w.\- ]*?)\s*(<=|>=|!=|=|<|>)\s*(.*?)\s*$", re.DOTALL)
_FIELDS = (
    "price, rating, price_ratio, in_stock, same_category, category, brand, availability, attributes.NAME …"
)


@dataclass(frozen=True, slots=True)
class Clause:
    """One condition: a text field in (or not in) `values`, a number within bounds, or a flag."""

    field: str
    values: tuple[str, ...] = ()
    negate: bool = False
    minimum: float = -math.inf
    maximum: float = math.inf
    exclusive: bool = False  # bounds excluded, from `<` and `>`
    flag: bool = True

    @property
    def expression(self) -> str:
        """The clause as `Filters.parse` reads it."""
        if self.field in FLAGS:
            return f"{self.field}={str(self.flag).lower()}"
        if self.field not in NUMBERS:
            return f"{self.field}{'!=' if self.negate else '='}{'|'.join(self.values)}"
        bounds = [(self.minimum, ">"), (self.maximum, "<")]
        given = [(bound, sign) for bound, sign in bounds if math.isfinite(bound)]
        if len(given) == 1:
            return f"{self.field}{given[0][1]}{'' if self.exclusive else '='}{given[0][0]!r}"
        return f"{self.field}={self.minimum!r}..{self.maximum!r}"


@dataclass(frozen=True, slots=True)
class Filters:
    """Clauses that must all hold."""

    clauses: tuple[Clause, ...] = ()

    @classmethod
    def parse(cls, expressions: Sequence[str]) -> Filters:
        """Read CLI and query-string expressions such as `category=Shoes|Bags` or `price<=50`."""
        return cls(_limited(tuple(_parse(expression) for expression in expressions)))

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Filters:
        """Read the JSON form, such as {"category": ["Shoes"], "price": {"min": 10, "max": 50}}."""
        return cls(_limited(tuple(_from_value(name, value) for name, value in fields.items())))


def _limited(clauses: tuple[Clause, ...]) -> tuple[Clause, ...]:
    if len(clauses) > MAX_CLAUSES:
        raise InputError(f"{len(clauses)} filters given; allowed are at most {MAX_CLAUSES}")
    return clauses


def _check_field(name: str) -> str:
    known = isinstance(name, str) and (
        name in (*NUMBERS, *FLAGS, *TEXTS) or re.fullmatch(r"attributes\.[^|=<>!]+", name)
    )
    if not known:
        raise InputError(f"unknown filter field {name!r:.80}; allowed are {_FIELDS}")
    return name


def _number(name: str, text: object) -> float:
    try:
        number = float(str(text)) if not isinstance(text, bool) else math.nan
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise InputError(f"filter {name!r} needs a finite number; got {text!r}")
    return number


def _flag(name: str, value: object) -> bool:
    words = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
    text = str(value).lower()
    if text not in words:
        raise InputError(f"filter {name!r} needs true or false; got {value!r}")
    return words[text]


def _parse(expression: str) -> Clause:
    match = _EXPRESSION.match(expression)
    if match is None:
        raise InputError(
            f"cannot read filter {expression!r}; write FIELD=VALUE, FIELD!=VALUE, FIELD<=NUMBER "
            "or FIELD>=NUMBER, for example 'price<=50' or 'category=Shoes|Bags'"
        )
    name, operator, text = _check_field(match[1]), match[2], match[3]
    if name in FLAGS:
        if operator not in ("=", "!="):
            raise InputError(f"filter {name!r} is true or false; got {expression!r}")
        return Clause(name, flag=_flag(name, text) ^ (operator == "!="))
    if name in NUMBERS:
        return _numeric_expression(name, operator, text)
    if operator not in ("=", "!="):
        raise InputError(f"filter {name!r} is a text: use = or !=; got {expression!r}")
    return Clause(name, _texts(name, text.split("|")), negate=operator == "!=")


def _numeric_expression(name: str, operator: str, text: str) -> Clause:
    if operator == "=" and ".." in text:
        first, last = text.split("..", 1)
        return _bounded(name, first or None, last or None)
    if operator == "!=":
        raise InputError(f"filter {name!r} is a number: use =, <, <=, > or >=; got '!='")
    number = _number(name, text)
    low, high = {"=": (number, number), "<": (-math.inf, number), "<=": (-math.inf, number)}.get(
        operator, (number, math.inf)
    )
    return Clause(name, minimum=low, maximum=high, exclusive=operator in "<>")


def _bounded(name: str, low: object, high: object) -> Clause:
    minimum = -math.inf if low is None else _number(name, low)
    maximum = math.inf if high is None else _number(name, high)
    if minimum > maximum:
        raise InputError(f"filter {name!r} has min {minimum:g} above max {maximum:g}; swap them")
    return Clause(name, minimum=minimum, maximum=maximum)


def _texts(name: str, values: Sequence[object]) -> tuple[str, ...]:
    texts = tuple(str(value).strip() for value in values)
    if not texts or not all(texts):
        raise InputError(f"filter {name!r} needs at least one value and no empty ones; got {list(values)}")
    return texts


def _from_value(name: str, value: Any) -> Clause:
    _check_field(name)
    if name in FLAGS:
        return Clause(name, flag=_flag(name, value))
    if name in NUMBERS:
        return _numeric_value(name, value)
    negate = isinstance(value, Mapping)
    if negate:
        if set(value) != {"not"}:
            raise InputError(f'filter {name!r} takes a list or {{"not": [...]}}; got {value!r}')
        value = value["not"]
    values = value if isinstance(value, list | tuple) else [value]
    if not all(isinstance(item, str | int | float) and not isinstance(item, bool) for item in values):
        raise InputError(f"filter {name!r} takes texts; got {value!r}")
    return Clause(name, _texts(name, values), negate=negate)


def _numeric_value(name: str, value: Any) -> Clause:
    if isinstance(value, Mapping):
        if not value or set(value) - {"min", "max"}:
            raise InputError(f'filter {name!r} takes {{"min": …, "max": …}}; got {value!r}')
        return _bounded(name, value.get("min"), value.get("max"))
    if isinstance(value, list | tuple) and len(value) == 2:
        return _bounded(name, value[0], value[1])
    number = _number(name, value)
    return Clause(name, minimum=number, maximum=number)
