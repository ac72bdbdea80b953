"""What a merchandising rule is, in one sentence, and which of several comes first."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from vision_rec.filters import Clause, Filters

Effect = Literal["hide", "pin", "filter", "boost", "bury"]
ScopeKind = Literal["all", "category", "query", "product"]
State = Literal["active", "scheduled", "ended", "off"]
EFFECTS: tuple[Effect, ...] = ("hide", "pin", "filter", "boost", "bury")  # in order of precedence
SCOPES: tuple[ScopeKind, ...] = ("all", "category", "query", "product")  # from wide to narrow
# Boost and bury are one rank: of the two, the narrower, more urgent or newer rule decides.
_RANK = {"hide": 0, "pin": 1, "filter": 2, "boost": 3, "bury": 3}


@dataclass(frozen=True, slots=True)
class Scope:
    """Which lists a rule is for: all, those of one category, one product's, or those of one query text."""

    kind: ScopeKind = "all"
    value: str = ""

    @property
    def key(self) -> tuple[str, str]:
        """The scope as lists are looked up by: without case and superfluous blanks."""
        return self.kind, self.value if self.kind == "product" else plain(self.value)


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule; `products` or `filters` say what it acts on, `filters` in either form of a search."""

    id: str
    effect: Effect
    name: str = ""
    scope: Scope = Scope()
    products: tuple[str, ...] = ()
    filters: Mapping[str, Any] | Sequence[str] | None = None
    position: int | None = None  # of a pin's first product, from 1
    strength: float | None = None  # 0–1, what a boost adds to the score's order or a bury takes
    starts_at: datetime | None = None  # UTC; from this moment on
    ends_at: datetime | None = None  # UTC; until before this moment
    priority: int = 0
    enabled: bool = True
    serial: int = 0  # of its last change; a higher one is newer, whatever clocks say
    author: str = ""
    changed_at: datetime | None = None
    condition: Filters | None = field(default=None, compare=False, repr=False)  # `filters`, read

    @property
    def precedence(self) -> tuple[int, int, int, int, str]:
        """Sorts rules, the first to act first: effect, narrower scope, priority, newest."""
        return (
            _RANK[self.effect],
            -SCOPES.index(self.scope.kind),
            -self.priority,
            -self.serial,
            self.id,
        )

    @property
    def label(self) -> str:
        """What people call it: its name, or what it does."""
        return self.name or sentence(self)

    def state(self, now: datetime) -> State:
        """Say whether it acts at `now`, will, did, or is switched off."""
        if not self.enabled:
            return "off"
        if self.ends_at is not None and self.ends_at <= now:
            return "ended"
        return "scheduled" if self.starts_at is not None and now < self.starts_at else "active"

    def says_the_same(self, other: Rule | None) -> bool:
        """Say whether both do the same, whoever wrote them when."""
        return other is not None and to_json(self, own=False) == to_json(other, own=False)


def utc_now() -> datetime:
    """Return the time; the one clock of rules, given as an argument where tests set it."""
    return datetime.now(UTC)


def plain(text: str) -> str:
    """Return `text` as it is compared: case folded, blanks single."""
    return " ".join(text.casefold().split())


def sentence(rule: Rule) -> str:
    """Say in one English sentence what `rule` does, where and when."""
    strength = f"{(rule.strength or 0) * 100:.10g} %"
    what = _things(rule)
    does = {
        "pin": f"Pin {what} to place {rule.position}",
        "hide": f"Hide {what}",
        "filter": f"Show only {what}",
        "boost": f"Boost {what} by {strength}",
        "bury": f"Bury {what} by {strength}",
    }[rule.effect]
    where = {
        "all": "in all lists",
        "category": f"when the category is {rule.scope.value}",
        "query": f"when the search is “{rule.scope.value}”",
        "product": f"in the list of {rule.scope.value}",
    }[rule.scope.kind]
    since = f", from {moment(rule.starts_at)}" if rule.starts_at else ""
    until = f", until {moment(rule.ends_at)}" if rule.ends_at else ""
    return f"{does} {where}{since}{until}"


def moment(at: datetime) -> str:
    """Write a time as short as it can be: the date alone at midnight."""
    return at.strftime("%Y-%m-%d" if (at.hour, at.minute, at.second) == (0, 0, 0) else "%Y-%m-%d %H:%M UTC")


def _things(rule: Rule) -> str:
    if rule.products:
        more = f" and {len(rule.products) - 3} more" if len(rule.products) > 3 else ""
        return ", ".join(rule.products[:3]) + more
    clauses = rule.condition.clauses if rule.condition is not None else ()
    return "products " + " and ".join(map(_clause, clauses))


def _clause(clause: Clause) -> str:
    """Say one condition in words where it is a common one, else as it is written."""
    values = " or ".join(clause.values)
    unless = "not " if clause.negate else ""
    if clause.field == "in_stock":
        return "in stock" if clause.flag else "out of stock"
    if clause.field == "brand":
        return f"{unless}of the brand {values}"
    if clause.field == "category":
        return f"{unless}in the category {values}"
    if clause.field == "price" and not clause.exclusive:
        low, high = clause.minimum, clause.maximum
        if low == high:
            return f"at the price {low:.10g}"
        since = [f"from {low:.10g}"] if math.isfinite(low) else []
        until = [f"up to {high:.10g}"] if math.isfinite(high) else []
        return f"priced {' '.join([*since, *until])}"
    return f"with {clause.expression}"


def to_json(rule: Rule, *, own: bool = True) -> dict[str, Any]:
    """Return `rule` as JSON types; without `own`, only what its author decides."""
    filters = rule.filters
    decided: dict[str, Any] = {
        "name": rule.name,
        "effect": rule.effect,
        "scope": {"kind": rule.scope.kind, "value": rule.scope.value},
        "products": list(rule.products),
        "filters": dict(filters) if isinstance(filters, Mapping) else None if filters is None else [*filters],
        "position": rule.position,
        "strength": rule.strength,
        "starts_at": iso(rule.starts_at),
        "ends_at": iso(rule.ends_at),
        "priority": rule.priority,
        "enabled": rule.enabled,
    }
    if not own:
        return decided
    return {
        "id": rule.id,
        **decided,
        "serial": rule.serial,
        "author": rule.author,
        "changed_at": iso(rule.changed_at),
    }


def iso(at: datetime | None) -> str | None:
    """Write a time as ISO 8601 in UTC."""
    return None if at is None else at.astimezone(UTC).isoformat().replace("+00:00", "Z")
