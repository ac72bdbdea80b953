"""The page's form: what its query string says, as a search, and back into an address."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any
from urllib.parse import urlencode

from vision_rec.errors import InputError
from vision_rec.service.bodies import Asked, parse_weights

PAGE = 24
MAX_EXAMPLES = 20
_TEXTS = ("product", "text", "colour", "price_min", "price_max", "picture")
_LISTS = ("like", "unlike")
_CHOSEN = ("category", "brand")  # and a.NAME for attributes.NAME
_SIDES = ("crop_x", "crop_y", "crop_w", "crop_h")
_WHOLE = (0.0, 0.0, 100.0, 100.0)

Crop = tuple[float, float, float, float]  # x, y, w, h in percent


@dataclass(frozen=True)
class Form:
    """What a visitor filled in; empty texts are fields left empty."""

    product: str = ""
    text: str = ""
    colour: str = ""
    price_min: str = ""
    price_max: str = ""
    picture: str = ""  # names a picture that only the browser holds
    in_stock: bool = False
    like: tuple[str, ...] = ()
    unlike: tuple[str, ...] = ()
    chosen: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # facet → values, any of which fits
    crop: Crop | None = None
    weights: Mapping[str, float] | None = None
    preset: str = ""
    view: str = ""
    offset: int = 0
    shift: int = 0
    sliders: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def read(cls, pairs: Iterable[tuple[str, str]]) -> Form:
        """Read the query string of the page, however its form was sent; unknown names are left alone."""
        given: dict[str, str] = {}
        lists: dict[str, list[str]] = {}
        sliders: dict[str, float] = {}
        for name, value in pairs:
            value = value.strip()[:512]
            if not value:
                continue
            if name.startswith("w."):
                sliders |= parse_weights(f"{name[2:]}:{value}")
            elif name in _LISTS or is_facet(name):
                lists.setdefault(name, []).append(value)
            else:
                given[name] = value
        once = {name: tuple(dict.fromkeys(values)) for name, values in lists.items()}
        return cls(
            product=given.get("product", ""),
            text=given.get("text", ""),
            colour=(given.get("colour") or given.get("swatch", ""))[:64],
            price_min=given.get("price_min", ""),
            price_max=given.get("price_max", ""),
            picture=given.get("picture", ""),
            in_stock=given.get("in_stock") == "1",
            like=once.pop("like", ())[: MAX_EXAMPLES + 1],  # one more, so that too many are told
            unlike=once.pop("unlike", ())[: MAX_EXAMPLES + 1],
            chosen=once,
            crop=_crop(given),
            weights=parse_weights(given["weights"]) if "weights" in given else None,
            preset=given.get("preset", "")[:64],
            view="list" if given.get("view") == "list" else "",
            offset=_whole(given.get("offset", "0")),
            shift=_whole(given.get("shift", "0")),
            sliders=sliders,
        )

    @property
    def has_source(self) -> bool:
        """Whether there is anything to search by, a picture aside."""
        return bool(self.product or self.text or self.colour or self.like or self.unlike)

    @property
    def can_be_asked_again(self) -> bool:
        """Whether the address says what is searched by; not so for a picture sent without scripts."""
        return self.has_source or bool(self.picture)

    @property
    def conditions(self) -> dict[str, Any]:
        """The filters as a search body has them."""
        out: dict[str, Any] = {}
        for name, values in self.chosen.items():
            out[f"attributes.{name[2:]}" if name.startswith("a.") else name] = list(values)
        bounds = (("min", self.price_min), ("max", self.price_max))
        if price := {side: _price(value) for side, value in bounds if value}:
            out["price"] = price
        if self.in_stock:
            out["in_stock"] = True
        return out

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
            # All at 0 is said as it is, so that the answer is what is wrong with it, not the defaults.
            weights = {name: weight for name, weight in self.sliders.items() if weight > 0} or dict(
                self.sliders
            )
        return replace(self, weights=weights, preset="", sliders={})

    @property
    def has_too_many_examples(self) -> bool:
        """Whether one side has more examples than a search takes."""
        return max(len(self.like), len(self.unlike)) > MAX_EXAMPLES

    def asked(self, *, by_picture: bool = False) -> Asked:
        """Return the search that the form asks for, as the body of POST /v1/search without its picture.

        Raises InputError for too many examples.
        """
        if self.has_too_many_examples:
            raise InputError(
                f"there are more than {MAX_EXAMPLES} examples of one kind; remove one first: "
                f"'like' and 'unlike' may each stand {MAX_EXAMPLES} times in the address"
            )
        fields: dict[str, Any] = {}
        for name, value in (("product_id", self.product), ("text", self.text), ("colour", self.colour)):
            if value:
                fields[name] = value
        examples = [*((ident, 1.0) for ident in self.like), *((ident, -1.0) for ident in self.unlike)]
        if examples:
            fields["examples"] = [{"product_id": ident, "weight": weight} for ident, weight in examples]
        if self.weights is not None:
            fields["weights"] = dict(self.weights)
        if conditions := self.conditions:
            fields["filters"] = conditions
        if self.crop and by_picture:
            fields["crop"] = [round(side / 100, 4) for side in self.crop]
        # One more than is shown, to know whether there is more.
        return Asked({**fields, "k": PAGE + 1, "offset": self.offset})

    def bare(self) -> Form:
        """Return the search without filters, from its beginning."""
        return replace(self, chosen={}, price_min="", price_max="", in_stock=False, offset=0)

    def without(self, name: str, value: str) -> Form:
        """Return the search without one value of a facet, from its beginning."""
        left = tuple(kept for kept in self.chosen.get(name, ()) if kept != value)
        chosen = {**self.chosen, name: left} if left else {n: v for n, v in self.chosen.items() if n != name}
        return replace(self, chosen=chosen, offset=0)

    def forget(self, ident: str) -> Form:
        """Return the search without an example, from its beginning."""
        like, unlike = (tuple(kept for kept in side if kept != ident) for side in (self.like, self.unlike))
        return replace(self, like=like, unlike=unlike, offset=0)

    def example(self, ident: str, *, more: bool) -> Form:
        """Return the search with one more example, wanted (`more`) or unwanted, from its beginning."""
        rest = replace(self.forget(ident), shift=0)
        if more:
            return replace(rest, like=(*rest.like, ident))
        return replace(rest, unlike=(*rest.unlike, ident))

    def address(self, path: str = "/") -> str:
        """Return the shortest address that says the same."""
        said = [(name, getattr(self, name)) for name in _TEXTS if getattr(self, name)]
        said += [(name, ident) for name in _LISTS for ident in getattr(self, name)]
        said += [(name, value) for name, values in self.chosen.items() for value in values]
        if self.in_stock:
            said.append(("in_stock", "1"))
        if self.weights is not None:
            said.append(("weights", ",".join(f"{name}:{weight:g}" for name, weight in self.weights.items())))
        if self.crop:
            said += [(name, f"{side:g}") for name, side in zip(_SIDES, self.crop, strict=True)]
        said += [
            (name, str(getattr(self, name))) for name in ("view", "offset", "shift") if getattr(self, name)
        ]
        return f"{path}?{'&'.join(encoded(name, value, ':,') for name, value in said)}" if said else path


@lru_cache(maxsize=4096)
def encoded(name: str, value: str, safe: str = "") -> str:
    """Write one field of an address; a page's hundreds of links are made of few different ones."""
    return urlencode([(name, value)], safe=safe)


def is_facet(name: str) -> bool:
    """Say whether a field of the form is a facet."""
    return name in _CHOSEN or (name.startswith("a.") and 2 < len(name) <= 66)


def _whole(text: str) -> int:
    return min(int(text), 10_000) if text.isascii() and text.isdigit() and len(text) < 8 else 0


def _price(text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise InputError(f"the price is {text!r}; give a number such as 49.90") from error


def _crop(given: Mapping[str, str]) -> Crop | None:
    """Read the sides of the crop box; missing ones are those of the whole picture."""
    sides = []
    for name, usual in zip(_SIDES, _WHOLE, strict=True):
        try:
            side = float(given.get(name, usual))
        except ValueError as error:
            raise InputError(f"{name} is {given[name]!r}; give a percentage from 0 to 100") from error
        if not 0 <= side <= 100:
            raise InputError(f"{name} is {given[name]!r}; give a percentage from 0 to 100")
        sides.append(side)
    x, y, w, h = sides
    box = x, y, min(w, 100 - x), min(h, 100 - y)
    return None if box == _WHOLE else box
