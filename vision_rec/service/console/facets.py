"""The filters of the page with counts: what is there to choose, and how many products each choice leaves."""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from vision_rec.filters import Filters
from vision_rec.service.console.form import Form

MAX_ATTRIBUTES = 6
MAX_VALUES = 60
SHOWN = 6  # values before "more"
_LEAST_SHARE = 0.05  # of the products must have an attribute for it to be a filter
_KEPT = 64  # answers to filters that were counted lately
_COLOURS = ("color", "colour")


@dataclass(frozen=True, slots=True)
class Option:
    """One value of a facet; `count` products would be left."""

    value: str
    count: int
    chosen: bool


@dataclass(frozen=True, slots=True)
class Facet:
    """One list of checkboxes; the first ones are shown, the rest unfold."""

    name: str
    label: str
    first: Sequence[Option]
    rest: Sequence[Option]
    open: bool


@dataclass(frozen=True, slots=True)
class Band:
    """One range of prices, as a link."""

    label: str
    count: int
    href: str
    chosen: bool


@dataclass(frozen=True, slots=True)
class FilterPanel:
    """All filters as the page shows them."""

    facets: Sequence[Facet]
    bands: Sequence[Band]
    in_stock: int
    lowest: str
    highest: str


@dataclass(frozen=True, slots=True)
class _Counts:
    values: Mapping[str, Mapping[str, int]]
    prices: Sequence[int]
    in_stock: int


class Menu:
    """What can be filtered in one catalogue, in an order that does not jump when counts change."""

    def __init__(self, catalog: Any) -> None:
        self._catalog = catalog
        self._known: OrderedDict[Filters, _Counts] = OrderedDict()
        self._lock = threading.Lock()

    @cached_property
    def values(self) -> Mapping[str, tuple[str, ...]]:
        """Fields of the form → values, most frequent first."""
        live = ~self._catalog.retired
        total = max(int(live.sum()), 1)
        names = ["category", "brand"]
        frequent = [
            name for name, count in self._catalog.attribute_names().items() if count >= _LEAST_SHARE * total
        ]
        colours = [name for name in frequent if name in _COLOURS]
        names += [f"attributes.{name}" for name in [*colours, *(n for n in frequent if n not in _COLOURS)]]
        out: dict[str, tuple[str, ...]] = {}
        for name in names:
            counts = self._catalog.facets([name], live)[name]
            # A value per product (a code, a link) is nothing to choose from.
            if 2 <= len(counts) <= MAX_VALUES or (name in ("category", "brand") and counts):
                if len(out) < 2 + MAX_ATTRIBUTES:
                    out[_field(name)] = tuple(counts)[:MAX_VALUES]
        return out

    @cached_property
    def span(self) -> tuple[float, float] | None:
        """The lowest and the highest price."""
        prices = self._catalog.prices[~self._catalog.retired]
        prices = prices[np.isfinite(prices)]
        return (float(prices.min()), float(prices.max())) if len(prices) else None

    def counts(self, filters: Filters) -> _Counts:
        """Count what each choice would leave: a facet is counted under all filters but its own."""
        with self._lock:
            if filters in self._known:
                self._known.move_to_end(filters)
                return self._known[filters]
        counted = self._count(filters)
        with self._lock:
            self._known[filters] = counted
            while len(self._known) > _KEPT:
                self._known.popitem(last=False)
        return counted

    def _count(self, filters: Filters) -> _Counts:
        every = self._catalog.mask(filters)
        own = {clause.field for clause in filters.clauses}

        def rows(field: str) -> Any:
            if field not in own:
                return every
            return self._catalog.mask(Filters(tuple(c for c in filters.clauses if c.field != field)))

        values = {}
        for name in self.values:
            field = _engine(name)
            values[name] = self._catalog.facets([field], rows(field))[field]
        within = self._catalog.facets(["price"], rows("price"))["price"]
        stock = self._catalog.facets(["availability"], rows("in_stock"))["availability"]
        return _Counts(values, tuple(within.values()), stock.get("in_stock", 0))


_MENUS: WeakKeyDictionary[Any, Menu] = WeakKeyDictionary()


def menu_of(catalog: Any) -> Menu:
    """Return the menu of a catalogue, made once."""
    menu = _MENUS.get(catalog)
    if menu is None:
        menu = _MENUS[catalog] = Menu(catalog)
    return menu


def panel(catalog: Any, form: Form) -> FilterPanel:
    """Show the filters for what `form` has chosen; raises InputError where it chose what cannot be."""
    menu = menu_of(catalog)
    counts = menu.counts(Filters.from_dict(form.conditions))
    facets = []
    for position, (name, values) in enumerate(menu.values.items()):
        picked = {value.casefold() for value in form.chosen.get(name, ())}
        known = {value.casefold() for value in values}
        extra = [value for value in form.chosen.get(name, ()) if value.casefold() not in known]
        options = [
            Option(value, counts.values[name].get(value, 0), value.casefold() in picked)
            for value in (*values, *extra)
        ]
        first = [option for i, option in enumerate(options) if i < SHOWN or option.chosen]
        rest = [option for i, option in enumerate(options) if i >= SHOWN and not option.chosen]
        facets.append(Facet(name, label(name), first, rest, position < 1 or bool(picked)))
    shown = [
        _band(form, low, high, said, count)
        for (low, high, said), count in zip(_band_texts(catalog.price_bands), counts.prices, strict=True)
    ]
    span = menu.span
    lowest, highest = ("", "") if span is None else (f"{span[0]:.2f}", f"{span[1]:.2f}")
    return FilterPanel(facets, shown, counts.in_stock, lowest, highest)


def left_by(catalog: Any, conditions: Mapping[str, Any]) -> dict[str, int]:
    """Count, for each filter alone, the live products that it leaves; fewest first."""
    live = int((~catalog.retired).sum())
    left = {}
    for name, value in conditions.items():
        mask = catalog.mask(Filters.from_dict({name: value}))
        left[name] = min(int(mask.sum()), live)
    return dict(sorted(left.items(), key=lambda entry: entry[1]))


def label(name: str) -> str:
    """Write the name of a facet as people say it."""
    word = name.removeprefix("a.")
    word = "colour" if word in _COLOURS else word.replace("_", " ")
    return word[:1].upper() + word[1:]


def _band_texts(bands: Sequence[tuple[float, float]]) -> list[tuple[str, str, str]]:
    """Write the ends of price bands as the form's fields have them, and what people say of each."""
    out = []
    for ends in bands:
        low, high = ("" if math.isinf(end) else f"{end:.10g}" for end in ends)
        out.append(
            (low, high, f"{low} to {high}" if low and high else f"from {low}" if low else f"up to {high}")
        )
    return out


def _band(form: Form, low: str, high: str, said: str, count: int) -> Band:
    href = replace(form, price_min=low, price_max=high, offset=0).address()
    return Band(said, count, href, (form.price_min, form.price_max) == (low, high))


def _engine(name: str) -> str:
    return f"attributes.{name[2:]}" if name.startswith("a.") else name


def _field(engine: str) -> str:
    return engine.replace("attributes.", "a.", 1) if engine.startswith("attributes.") else engine
