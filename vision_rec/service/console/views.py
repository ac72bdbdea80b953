"""What the page shows, as plain values for templates: cards, bars, tags, sentences."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from vision_rec.service.console.form import PAGE, Form
from vision_rec.service.paths import product_path
from vision_rec.types import Product, Recommendation, Recommendations

SWATCHES = (
    ("black", "#1b1b1b"),
    ("grey", "#8b8b8b"),
    ("white", "#ffffff"),
    ("beige", "#d9c7a3"),
    ("brown", "#7a4a2b"),
    ("red", "#c8202c"),
    ("orange", "#e8792b"),
    ("yellow", "#f2c92f"),
    ("green", "#3f8f4f"),
    ("blue", "#2f62c4"),
    ("navy", "#1e2a55"),
    ("purple", "#7b3fa0"),
    ("pink", "#ee8fb3"),
)
_SYMBOLS = {"EUR": "€", "USD": "$", "GBP": "£", "JPY": "¥"}
_WITHOUT_MINOR = {"JPY", "KRW", "CLP", "ISK", "VND", "XOF", "XAF"}
_STOCK = {"out_of_stock": "Out of stock", "preorder": "Pre-order", "backorder": "On back order"}
_TONES = 6
_NUMBERED = re.compile(r"(?P<aspect>\w+) -?\d+\.\d+(?:: (?P<detail>.+))?")


@dataclass(frozen=True, slots=True)
class Bar:
    """One aspect of a card: how alike, and what that adds to the score."""

    name: str
    tone: int
    width: float
    similarity: str
    part: str
    explanation: str


@dataclass(frozen=True, slots=True)
class Card:
    """One product as the grid shows it."""

    title: str
    href: str
    image: str | None
    line: str
    price: str
    stock: str
    in_stock: bool
    match: int | None = None
    bars: Sequence[Bar] = ()
    reasons: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Tag:
    """One condition of the search, and the address of the search without it."""

    name: str
    value: str
    without: str
    field: str


@dataclass(frozen=True, slots=True)
class Start:
    """Products to start from."""

    cards: Sequence[Card]
    more: str | None
    count_text: str


@dataclass(frozen=True, slots=True)
class AnswerView:
    """An answer as the page shows it."""

    subject: Card | None
    heading: str
    cards: Sequence[Card]
    tags: Sequence[Tag]
    count_text: str
    took: str
    empty: str
    relaxed: str | None
    more: str | None
    degraded: Sequence[str]


def card(product: Product, version_id: str, form: Form | None = None) -> Card:
    """Show a product; its link keeps the weights and filters of `form`."""
    kept = Form() if form is None else replace(form, text="", colour="", offset=0, shift=0)
    category = product.category[-1] if product.category else ""
    return Card(
        title=product.title,
        href=replace(kept, product=product.id).address(),
        image=f"{product_path(product.id, 'image')}?w=480&v={version_id}" if product.image_refs else None,
        line=" · ".join(filter(None, (product.brand, category))) or product.id,
        price=price_text(product),
        stock=_STOCK.get(product.availability, ""),
        in_stock=product.availability != "out_of_stock",
    )


def result_card(item: Recommendation, answer: Recommendations, form: Form) -> Card:
    """Show one product of an answer with its match, bars and reasons."""
    return replace(
        card(item.product, answer.version_id, form),
        match=round(100 * min(max(item.score, 0.0), 1.0)),
        bars=bars(item, answer.weights),
        reasons=said_reasons(item.reasons),
    )


def bars(item: Recommendation, weights: Mapping[str, float]) -> list[Bar]:
    """Show each aspect that counts: part = weight × similarity."""
    shown = []
    for tone, (name, weight) in enumerate(weights.items()):
        if weight <= 0:
            continue
        part = item.parts.get(name, 0.0)
        similarity = part / weight
        if name in item.missing:
            said, explanation = "none", f"{name}: this product has nothing to compare"
        else:
            said = f"{similarity:.2f}"
            explanation = f"{name}: similarity {said} × weight {weight:.2f} = {part:+.3f} of the score"
        width = round(100 * min(max(similarity, 0.0), 1.0), 1)
        shown.append(Bar(name.capitalize(), tone % _TONES, width, said, f"{part:+.2f}", explanation))
    return shown


def price_text(product: Product) -> str:
    """Write what is to pay, as a shop does."""
    price = product.price if product.sale_price is None else product.sale_price
    if price is None:
        return ""
    currency = (product.currency or "").upper()
    amount = f"{price.quantize(Decimal(1) if currency in _WITHOUT_MINOR else Decimal('0.01')):,}"
    return f"{_SYMBOLS[currency]}{amount}" if currency in _SYMBOLS else f"{amount} {currency}".strip()


def said_reasons(reasons: Sequence[str]) -> list[str]:
    """Keep what the bars beside them do not say: `colour 0.92: blue` without its number, no bare numbers."""
    out = []
    for reason in reasons:
        match = _NUMBERED.fullmatch(reason)
        if match is None:
            out.append(_capital(reason))
        elif match["detail"]:
            out.append(f"{_capital(match['aspect'])}: {match['detail']}")
    return out


def version_time(version_id: str) -> str:
    """Write when a version was made, from its id."""
    try:
        made = datetime.strptime(version_id[:20], "%Y-%m-%dT%H-%M-%SZ")
    except ValueError:
        return version_id
    return f"indexed {made.day} {made:%b %Y, %H:%M} UTC"


def tags(form: Form) -> list[Tag]:
    """List what narrows or widens the search, each with a way to drop it."""
    first = replace(form, offset=0)
    texts = (
        ("Words", form.text, replace(first, text=""), "text"),
        ("Colour", form.colour, replace(first, colour=""), "colour"),
        ("Category", form.category, replace(first, category=""), "category"),
    )
    out = [Tag(name, value, rest.address(), field) for name, value, rest, field in texts if value]
    if form.price_min or form.price_max:
        value = f"{form.price_min or 0} to {form.price_max}" if form.price_max else f"from {form.price_min}"
        without = replace(first, price_min="", price_max="").address()
        out.append(Tag("Price", value, without, "price_min price_max"))
    if form.in_stock:
        out.append(Tag("Only", "in stock", replace(first, in_stock=False).address(), "in_stock"))
    return out


def answer_view(
    answer: Recommendations, form: Form, subject: Product | None, *, by_picture: bool, took_ms: float
) -> AnswerView:
    """Show an answer to what `form` asks."""
    filtered = bool(form.category or form.price_min or form.price_max or form.in_stock)
    bare = replace(form, category="", price_min="", price_max="", in_stock=False, offset=0)
    items = answer.items[:PAGE]  # one more was asked for, to know whether there is more
    shown = f"The {form.offset + len(items)} most similar" if len(items) > 1 else "1 product"
    return AnswerView(
        subject=None if subject is None else card(subject, answer.version_id),
        heading="Like your picture" if by_picture else f"Results for “{form.text or form.colour}”",
        cards=[result_card(item, answer, form) for item in items],
        tags=tags(form),
        count_text=shown if items else "Nothing found",
        took=f"{took_ms:.0f}" if took_ms >= 10 else f"{took_ms:.1f}",
        empty=_sentence(answer.empty_reason or "No product matches this search."),
        relaxed=bare.address() if filtered else None,
        more=replace(form, offset=form.offset + PAGE).address() if len(answer) > PAGE else None,
        degraded=answer.degraded,
    )


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _sentence(text: str) -> str:
    return _capital(text) + ("" if text.endswith(".") else ".")
