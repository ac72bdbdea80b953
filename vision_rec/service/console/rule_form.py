"""The editor's form: what its fields say as a rule of /v1/rules, and a rule as its fields."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from vision_rec.errors import InputError

_LONGEST = 100_000  # characters of one field; a rule's own limits are stricter
_LISTED = re.compile(r"[\s,;]*[\n,;][\s,;]*")


@dataclass(frozen=True, slots=True)
class RuleForm:
    """The fields as texts, as they were filled in; nothing typed is ever lost."""

    id: str = ""
    serial: str = ""
    effect: str = "pin"
    name: str = ""
    acts_on: str = "products"  # or filters, where the effect leaves the choice
    products: str = ""
    brand: str = ""
    category: str = ""
    price_min: str = ""
    price_max: str = ""
    stock: str = ""  # "", in, out
    conditions: str = ""  # one per line
    position: str = "1"
    strength: str = "20"  # per cent
    scope: str = "all"
    scope_category: str = ""
    scope_query: str = ""
    scope_product: str = ""
    starts_at: str = ""
    ends_at: str = ""
    priority: str = "0"
    enabled: str = "1"
    back: str = ""  # the search that the rule was thought of in

    @classmethod
    def read(cls, pairs: Sequence[tuple[str, str]]) -> RuleForm:
        """Read the fields that were sent; unknown names are left alone, an absent box is an empty one."""
        known = {field.name for field in fields(cls)}
        given = {name: value.strip()[:_LONGEST] for name, value in pairs if name in known}
        unticked = {"enabled": ""} if "sent" in dict(pairs) else {}
        return cls(**{**unticked, **given})

    @classmethod
    def of(cls, rule: Mapping[str, Any]) -> RuleForm:
        """Return the fields that say `rule`, as the API shows it."""
        scope = rule["scope"]
        form = cls(
            id=rule["id"],
            serial=str(rule["serial"]),
            effect=rule["effect"],
            name=rule["name"],
            acts_on="products" if rule["products"] else "filters",
            products="\n".join(rule["products"]),
            position=str(rule["position"] or 1),
            strength=f"{(rule['strength'] or 0.2) * 100:.10g}",
            scope=scope["kind"],
            starts_at=_moment(rule["starts_at"]),
            ends_at=_moment(rule["ends_at"]),
            priority=str(rule["priority"]),
            enabled="1" if rule["enabled"] else "",
        )
        if scope["kind"] != "all":
            form = replace(form, **{f"scope_{scope['kind']}": scope["value"]})
        return _with_conditions(form, rule["conditions"])

    def body(self) -> dict[str, Any]:
        """Return what the fields say as the body of POST /v1/rules; raises InputError for no numbers."""
        by_filters = self.effect == "filter" or (self.effect != "pin" and self.acts_on == "filters")
        body: dict[str, Any] = {
            "effect": self.effect,
            "name": self.name,
            "scope": {"kind": self.scope, "value": self._scope_value()},
            "starts_at": self.starts_at or None,
            "ends_at": self.ends_at or None,
            "priority": _whole("the priority", self.priority or "0"),
            "enabled": self.enabled == "1",
        }
        if by_filters:
            body["filters"] = self._conditions()
        else:
            body["products"] = [ident for ident in _LISTED.split(self.products) if ident]
        if self.effect == "pin":
            body["position"] = _whole("the place", self.position)
        if self.effect in ("boost", "bury"):
            body["strength"] = _number("the strength", self.strength) / 100
        return body

    def _scope_value(self) -> str:
        if self.scope == "all":
            return ""
        return str(getattr(self, f"scope_{self.scope}", ""))

    def _conditions(self) -> list[str]:
        out = []
        if self.brand:
            out.append(f"brand={self.brand}")
        if self.category:
            out.append(f"category={self.category}")
        if self.price_min:
            out.append(f"price>={_number('the price', self.price_min)!r}")
        if self.price_max:
            out.append(f"price<={_number('the price', self.price_max)!r}")
        if self.stock:
            out.append(f"in_stock={'true' if self.stock == 'in' else 'false'}")
        return [*out, *(line.strip() for line in self.conditions.splitlines() if line.strip())]


_LABELS = {
    "effect": "What to do",
    "products": "Products",
    "brand": "Brand",
    "category": "Category",
    "price_min": "Price from",
    "price_max": "Price to",
    "stock": "Stock",
    "conditions": "More conditions",
    "position": "To place",
    "strength": "By how much, %",
    "scope": "In which lists",
    "scope_category": "Category of the lists",
    "scope_query": "Words searched",
    "scope_product": "Whose list",
    "starts_at": "From",
    "ends_at": "Until",
    "priority": "Priority",
    "name": "Name",
    "enabled": "Switched on",
}


def differences(mine: RuleForm, theirs: RuleForm) -> list[tuple[str, str, str]]:
    """Name the fields that two forms fill differently, with what each says."""
    unused = {"pin": {"strength"}, "boost": {"position"}, "bury": {"position"}}
    out = []
    for name, label in _LABELS.items():
        if all(name in unused.get(form.effect, {"position", "strength"}) for form in (mine, theirs)):
            continue
        said, other = (_said(name, getattr(form, name)) for form in (mine, theirs))
        if said != other:
            out.append((label, said, other))
    return out


def _said(name: str, value: str) -> str:
    """Write one field for people."""
    value = ", ".join(value.split("\n")) if name in ("products", "conditions") else value
    if name == "enabled":
        return "yes" if value else "no"
    return value.replace("T", " ") + " UTC" if value and name in ("starts_at", "ends_at") else value or "–"


def _with_conditions(form: RuleForm, conditions: Iterable[str]) -> RuleForm:
    """Put conditions into the fields made for them, the others into the one for all."""
    said: dict[str, str] = {}
    rest: list[str] = []
    for text in conditions:
        match = re.fullmatch(r"(brand|category|price|in_stock)(=|>=|<=)([^|]*)", text, re.DOTALL)
        names = {"=": {"brand": "brand", "category": "category", "in_stock": "stock"}}
        names |= {">=": {"price": "price_min"}, "<=": {"price": "price_max"}}
        name = names.get(match[2], {}).get(match[1]) if match else None
        if match is None or name is None or name in said:
            rest.append(text)
        else:
            said[name] = {"true": "in", "false": "out"}[match[3]] if name == "stock" else match[3]
    return replace(form, **said, conditions="\n".join(rest))


def _moment(text: str | None) -> str:
    """Write a time as the browser's field for it does, to the minute where it has no seconds; all are UTC."""
    written = "" if text is None else text.removesuffix("Z")
    return written[:16] if written[16:] in ("", ":00") else written


def _whole(what: str, text: str) -> int:
    if not re.fullmatch(r"[+-]?\d{1,9}", text, re.ASCII):
        raise InputError(f"{what} is {text[:50]!r}; give a whole number")
    return int(text)


def _number(what: str, text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise InputError(f"{what} is {text[:50]!r}; give a number") from error
