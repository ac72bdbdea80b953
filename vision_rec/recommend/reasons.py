"""Short sentences that say why a product is in an answer, and why an answer is empty."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from vision_rec.lexical import tokens
from vision_rec.recommend.checks import words_of
from vision_rec.recommend.colours import NameColours
from vision_rec.recommend.query import Target
from vision_rec.recommend.state import State
from vision_rec.types import Product, RuleEffect

MAX_REASONS = 3
_LEAST_SHARE = 0.05  # smaller parts explain nothing
_SAID = {"behaviour": "often viewed together"}  # where an aspect's name alone says little
_SHORT = 3  # words below are "of", "in", "M"


def reasons(
    state: State,
    target: Target,
    like: Product | None,
    product: Product,
    row: int,
    parts: Mapping[str, float],
    name_colours: NameColours | None,
) -> tuple[str, ...]:
    """Say in short sentences what makes `product` (at `row`) an answer, from its largest parts."""
    if target.visiting.visitors is not None:
        count = target.visiting.visitors.get(row, 0)
        return (f"popular: {count} visitor{'' if count == 1 else 's'} lately",)
    out: list[str] = []
    largest = sorted(parts, key=lambda name: -parts[name])
    for name in largest[:MAX_REASONS]:
        if parts[name] < _LEAST_SHARE * sum(target.weights.values()):
            break
        sentence = f"{_SAID.get(name, name)} {parts[name] / target.weights[name]:.2f}"
        detail = ""
        if name == "colour":
            detail = _colour_words(state, target, like, product, row, name_colours)
        elif name == "text":
            detail = ", ".join(shared_words(state, target, like, product, row)[:3])
        out.append(f"{sentence}: {detail}" if detail else sentence)
    if target.likeminded is not None and (count := target.likeminded.users.get(row, 0)):
        out.append(f"{count} visitors of like taste had it")
    if target.lexical is not None and target.lexical[row] > 0:
        found = shared_words(state, target, None, product, row)
        out.append(f"has the words {', '.join(found[:3])}" if found else "has words of the query")
    if target.query.rating_boost > 0 and state.lifts[row] > 0:
        out.append(f"rated {state.catalog.ratings[row]:.1f} of 5 by {state.catalog.rating_counts[row]:.0f}")
    return tuple(out)


def _colour_words(
    state: State,
    target: Target,
    like: Product | None,
    product: Product,
    row: int,
    name_colours: NameColours | None,
) -> str:
    """Name the product's colours, as seen where the encoder can say, else as the feed says."""
    if name_colours is None:
        theirs, ours = said_colours(product), () if like is None else said_colours(like)
    else:
        block = state.layout.slice("colour")
        theirs = tuple(name_colours(state.rows[row, block]))
        ours = tuple(name_colours(target.row[block]))
    if not theirs:
        return ""
    if target.query.colour is not None:
        return f"{' and '.join(theirs)}, for {target.query.colour}"
    same = {name.casefold() for name in theirs} & {name.casefold() for name in ours}
    return f"{' and '.join(theirs)}{', like yours' if same else ''}"


def said_colours(product: Product) -> tuple[str, ...]:
    """Return the first colours that the feed names."""
    for name, values in product.attributes.items():
        if name.casefold() in ("color", "colour"):
            return tuple(values[:2])
    return ()


def shared_words(
    state: State, target: Target, like: Product | None, product: Product, row: int
) -> tuple[str, ...]:
    """Name the words of the query's text, or of the query product's title, that `product` has too."""
    asked = words_of(target.query) or (like.title if like is not None else "")
    held = state.held_words.get(row)
    if held is None:
        held = state.held_words[row] = _words(product)
    return tuple(word for word in dict.fromkeys(tokens(asked)) if word in held and len(word) >= _SHORT)


def _words(product: Product) -> frozenset[str]:
    has = {product.id, product.brand, product.title, *product.category}
    has.update(value for values in product.attributes.values() for value in values)
    return frozenset(word for text in has for word in tokens(text))


def rule_reason(effect: RuleEffect) -> str:
    """Say what a rule did to a product."""
    if effect.effect == "pin":
        return f"pinned to place {effect.amount:.0f} by {effect.name}"
    return f"{'boosted' if effect.amount > 0 else 'buried'} by {abs(effect.amount):.2g} by {effect.name}"


def empty_reason(state: State, target: Target, ranked: int) -> str:
    """Say why a page is empty although a query was understood; `ranked` products answered before it."""
    query = target.query
    if target.visiting.visitors is not None and not ranked:
        return _nothing_known(target)
    if ranked:
        return f"offset {query.offset} is past the last of {ranked} results"
    live = state.catalog.mask(None)
    if not live.any():
        return "the catalogue has no product that is not retired"
    passing = state.catalog.mask(query.filters, like=target.product_row)
    if not passing.any() and query.filters is not None:
        return _worst_filter(state, target, int(live.sum()))
    if target.shown.any() and query.min_score is not None:
        return f"no product scores {query.min_score:g} (min_score) or more"
    if target.ruling is not None and target.ruling.base.allowed.any():
        hidden = int(np.count_nonzero(target.ruling.base.allowed & ~target.ruling.shown))
        return f"merchandising rules leave out all {hidden} products that pass"
    left = int(np.count_nonzero(passing))
    return f"all {left} products that pass are the query's own, of its variant group, viewed or in `exclude`"


def _nothing_known(target: Target) -> str:
    """Say why there is nothing for a visitor of whom nothing is known."""
    if target.visiting.visitors and (least := target.query.min_score or 0.0) > 0:
        return f"nothing is known of this visitor; what is popular scores 0, below min_score {least:g}"
    if target.visiting.visitors:
        return "nothing is known of this visitor, and no popular product passes"
    if target.visiting.is_down:
        return "the event store cannot be reached, so nothing is known of this visitor; give 'recent'"
    return (
        "nothing is known of this visitor, and there are no events of others; "
        "send events to POST /v1/events, or give 'recent'"
    )


def _worst_filter(state: State, target: Target, live: int) -> str:
    clauses = target.query.filters.clauses if target.query.filters is not None else ()
    masks = [state.catalog.clause_mask(clause, like=target.product_row) for clause in clauses]
    left = [int(np.count_nonzero(mask & ~state.catalog.retired)) for mask in masks]
    worst = int(np.argmin(left))
    removed = f"filter {clauses[worst].expression!r:.200} removes {live - left[worst]} of {live} products"
    return removed if left[worst] == 0 else f"no product passes all filters; {removed}, the most"
