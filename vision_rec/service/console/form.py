"""The page's form: what its query string says, as a search, and back into an address."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlencode

from vision_rec.errors import InputError
from vision_rec.filters import Filters
from vision_rec.service.bodies import Asked, parse_weights

PAGE = 24
_TEXTS = ("product", "text", "colour", "category", "price_min", "price_max")


@dataclass(frozen=True)
class Form:
    """What a visitor filled in; empty texts are fields left empty."""

    product: str = ""
    text: str = ""
    colour: str = ""
    category: str = ""
    price_min: str = ""
    price_max: str = ""
    in_stock: bool = False
    weights: Mapping[str, float] | None = None
    preset: str = ""
    offset: int = 0
    shift: int = 0
    sliders: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def read(cls, pairs: Iterable[tuple[str, str]]) -> Form:
        """Read the query string of the page, however its form was sent; unknown names are left alone."""
        given: dict[str, str] = {}
        sliders: dict[str, float] = {}
        for name, value in pairs:
            value = value.strip()
            if name.startswith("w.") and value:
                sliders |= parse_weights(f"{name[2:]}:{value}")
            elif value:
                given[name] = value
        return cls(
            **{name: given.get(name, "")[:512] for name in _TEXTS if name != "colour"},
            colour=(given.get("colour") or given.get("swatch", ""))[:64],
            in_stock=given.get("in_stock") == "1",
            weights=parse_weights(given["weights"]) if "weights" in given else None,
            preset=given.get("preset", "")[:64],
            offset=_whole(given.get("offset", "0")),
            shift=_whole(given.get("shift", "0")),
            sliders=sliders,
        )

    @property
    def has_source(self) -> bool:
        """Whether there is anything to search by, a picture aside."""
        return bool(self.product or self.text or self.colour)

    def settled(self, defaults: Mapping[str, float], presets: Mapping[str, Mapping[str, float]]) -> Form:
        """Return the form with `weights` decided: a preset, else what was given, else moved sliders."""
        weights = self.weights
        if self.preset in presets:
            weights = dict(presets[self.preset])
        elif (
            weights is None
            and self.sliders
            and any(
                abs(self.sliders.get(name, default) - default) > 1e-9 for name, default in defaults.items()
            )
        ):
            weights = {name: weight for name, weight in self.sliders.items() if weight > 0}
        return replace(self, weights=weights, preset="", sliders={})

    def asked(self) -> Asked:
        """Return the search that the form asks for."""
        fields: dict[str, Any] = {"k": PAGE + 1, "offset": self.offset}
        for name, value in (("product_id", self.product), ("text", self.text), ("colour", self.colour)):
            if value:
                fields[name] = value
        if self.weights is not None:
            fields["weights"] = dict(self.weights)
        conditions: dict[str, Any] = {"category": [self.category]} if self.category else {}
        bounds = {
            side: _price(value) for side, value in (("min", self.price_min), ("max", self.price_max)) if value
        }
        if bounds:
            conditions["price"] = bounds
        if self.in_stock:
            conditions["in_stock"] = True
        return Asked(fields, Filters.from_dict(conditions) if conditions else None)

    def address(self, path: str = "/") -> str:
        """Return the shortest address that says the same."""
        said = {name: getattr(self, name) for name in _TEXTS if getattr(self, name)}
        if self.in_stock:
            said["in_stock"] = "1"
        if self.weights is not None:
            said["weights"] = ",".join(f"{name}:{weight:g}" for name, weight in self.weights.items())
        if self.offset:
            said["offset"] = str(self.offset)
        if self.shift:
            said["shift"] = str(self.shift)
        return f"{path}?{urlencode(said, safe=':,')}" if said else path


def _whole(text: str) -> int:
    return min(int(text), 10_000) if text.isascii() and text.isdigit() and len(text) < 8 else 0


def _price(text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise InputError(f"the price is {text!r}; give a number such as 49.90") from error
