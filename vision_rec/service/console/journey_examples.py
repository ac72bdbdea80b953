"""Three journeys to begin with, out of whatever catalogue there is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from vision_rec.service.catalogue import Catalogue
from vision_rec.service.console.journey_form import Viewed
from vision_rec.types import Product

_LOOKED_AT = 600  # products, spread over the catalogue
_STEPS = 3
_PALE = ("white", "black", "grey", "gray", "beige", "brown", "multicolour", "multi")


@dataclass(frozen=True, slots=True)
class Example:
    """One journey with its name and what it shows."""

    name: str
    note: str
    steps: tuple[Viewed, ...]
    products: tuple[Product, ...]


_KNOWN: WeakKeyDictionary[Any, Sequence[Example]] = WeakKeyDictionary()


def examples(catalogue: Catalogue) -> Sequence[Example]:
    """Return up to three journeys; made once per version."""
    table = catalogue.state.catalog
    if table not in _KNOWN:
        _KNOWN[table] = _examples(catalogue)
    return _KNOWN[table]


def _examples(catalogue: Catalogue) -> Sequence[Example]:
    shown = [product for product in catalogue.sample(_LOOKED_AT) if product.image_refs]
    by_kind = _grouped((_kind(product), product) for product in shown)
    kinds = sorted((name for name in by_kind if name), key=lambda name: (-len(by_kind[name]), name))
    found = [_one_colour(shown), _switch(kinds, by_kind), _purchase(kinds, by_kind)]
    return [example for example in found if example is not None]


def _one_colour(shown: Sequence[Product]) -> Example | None:
    """Return three things of one colour, each of another kind: only the colour is in common."""
    best: list[Product] = []
    name = ""
    for colour, products in sorted(_grouped((_colour(product), product) for product in shown).items()):
        several = list({_kind(product): product for product in reversed(products)}.values())
        better = (len(several) >= _STEPS, colour not in _PALE, len(products))
        if colour and better > (len(best) >= _STEPS, bool(name) and name not in _PALE, len(best)):
            best, name = several[::-1], colour
    if len(best) < _STEPS:
        return None
    note = "Nothing but the colour in common: does the list pick it up?"
    return _example(f"Everything {name}", note, best[:_STEPS])


def _switch(kinds: Sequence[str], by_kind: dict[str, list[Product]]) -> Example | None:
    """Return two of one kind, then two of another: to see the list follow."""
    several = [name for name in kinds if len(by_kind[name]) > 1]
    if len(several) < 2:
        return None
    first, then = several[0], several[len(several) // 2] if len(several) > 2 else several[1]
    products = [*by_kind[first][:2], *by_kind[then][:2]]
    note = "Two of one kind, two of another: how soon does the list follow?"
    return _example(f"From {first.lower()} to {then.lower()}", note, products)


def _purchase(kinds: Sequence[str], by_kind: dict[str, list[Product]]) -> Example | None:
    """Return a view, a cart, a purchase, then something else."""
    several = [name for name in kinds if len(by_kind[name]) > 2]
    if not several or len(kinds) < 2:
        return None
    name = several[min(1, len(several) - 1)]
    other = next(kind for kind in reversed(kinds) if kind != name)
    products = [*by_kind[name][:3], by_kind[other][0]]
    note = "A purchase says more than a view: how long does it count?"
    types = ("view", "add_to_cart", "purchase", "view")
    return _example(f"Bought {name.lower()}, then looked on", note, products, types)


def _example(name: str, note: str, products: Sequence[Product], types: Sequence[str] = ()) -> Example:
    kinds = (*types, *("view",) * len(products))
    steps = tuple(Viewed(product.id, kind) for product, kind in zip(products, kinds, strict=False))
    return Example(name, note, steps, tuple(products))


def _kind(product: Product) -> str:
    return product.category[-1] if product.category else ""


def _colour(product: Product) -> str:
    for name, values in product.attributes.items():
        if name.casefold() in ("color", "colour") and values:
            return values[0].casefold()
    return ""


def _grouped(pairs: Iterable[tuple[str, Product]]) -> dict[str, list[Product]]:
    out: dict[str, list[Product]] = {}
    for name, product in pairs:
        out.setdefault(name, []).append(product)
    return out
