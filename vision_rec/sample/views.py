"""Customers with a known taste and the sessions they leave behind."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np

from vision_rec.sample.palette import COLOUR_NAMES
from vision_rec.sample.patterns import PATTERNS
from vision_rec.sample.plan import Planned

START = datetime(2026, 1, 5, 7, 0, tzinfo=UTC)
DAYS = 60
DEVOTION = 0.75  # share of views that follow the customer's taste
TASTES = ("colour", "pattern", "brand")


@dataclass(frozen=True, slots=True)
class Customer:
    """Someone who loves one colour, pattern or brand, in whatever they look for."""

    user_id: str
    taste: str  # colour, pattern or brand
    loves: str


@dataclass(frozen=True, slots=True)
class DrawnView:
    """One line of the views file."""

    session_id: str
    user_id: str
    product_id: str
    type: str  # view, add_to_cart, purchase
    at: datetime


def draw_customers(products: list[Planned], seed: int) -> list[Customer]:
    """Draw one customer for every three products; tastes are spread evenly over what the shop has."""
    rng = np.random.default_rng((seed, 3))
    brands = tuple(sorted({p.label.brand for p in products}))
    # Only what at least two products have can be followed in a session.
    values = {
        "colour": [c for c in COLOUR_NAMES if sum(p.spec.colour == c for p in products) > 1],
        "pattern": [c for c in PATTERNS[1:] if sum(p.spec.pattern == c for p in products) > 1],
        "brand": [b for b in brands if sum(p.label.brand == b for p in products) > 1],
    }
    kinds = [kind for kind in ("colour", "colour", "pattern", "brand") if values[kind]]
    customers = []
    for i in range(max(4, len(products) // 3) if kinds else 0):
        kind = kinds[i % len(kinds)]
        customers.append(Customer(f"u{i + 1:04d}", kind, str(rng.choice(values[kind]))))
    return customers


def draw_views(products: list[Planned], customers: list[Customer], seed: int) -> Iterator[DrawnView]:
    """Walk every customer through a few sessions: mostly what they love, sometimes what sells."""
    rng = np.random.default_rng((seed, 4))
    popularity = rng.pareto(2.5, len(products)) + 0.2
    session = 0
    for customer in customers:
        mine = np.array([i for i, p in enumerate(products) if loved(customer, p)])
        for _ in range(int(rng.integers(3, 8))):
            session += 1
            at = START + timedelta(minutes=float(np.round(rng.uniform(0, DAYS * 24 * 60), 1)))
            length = int(rng.integers(3, 11))
            yield from _session(rng, f"s{session:05d}", customer, products, (mine, popularity), at, length)


def loved(customer: Customer, product: Planned) -> bool:
    """Tell whether a product has what a customer loves."""
    traits = {"colour": product.spec.colour, "pattern": product.spec.pattern, "brand": product.label.brand}
    return traits[customer.taste] == customer.loves


def _session(
    rng: np.random.Generator,
    session: str,
    customer: Customer,
    products: list[Planned],
    choice: tuple[np.ndarray, np.ndarray],
    at: datetime,
    length: int,
) -> Iterator[DrawnView]:
    mine, popularity = choice
    seen = -1
    for _ in range(length):
        pool = mine if rng.random() < DEVOTION else np.arange(len(products))
        share = popularity[pool] / popularity[pool].sum()
        found = int(rng.choice(pool, p=share))
        if found == seen:
            continue
        seen = found
        product = products[found]
        at += timedelta(seconds=int(rng.integers(8, 160)))
        yield DrawnView(session, customer.user_id, product.id, "view", at)
        if loved(customer, product) and rng.random() < 0.15:
            at += timedelta(seconds=int(rng.integers(5, 60)))
            yield DrawnView(session, customer.user_id, product.id, "add_to_cart", at)
            if rng.random() < 0.4:
                at += timedelta(seconds=int(rng.integers(30, 200)))
                yield DrawnView(session, customer.user_id, product.id, "purchase", at)
