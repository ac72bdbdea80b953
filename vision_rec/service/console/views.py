"""What the page shows, as plain values for templates: cards, bars, tags, sentences."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from vision_rec.service.console.facets import label
from vision_rec.service.console.form import MAX_EXAMPLES, PAGE, Form, encoded
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
Names = Sequence[str]
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
    counts: bool = True


@dataclass(frozen=True, slots=True)
class Links:
    """What can be done with a card, as addresses."""

    more: str  # empty where there are as many examples as a search takes
    less: str
    why: str = ""
    edit: Sequence[tuple[str, str]] = ()  # effects of rules on the product: name and address


@dataclass(frozen=True, slots=True)
class Card:
    """One product as the grid shows it."""

    ident: str
    title: str
    href: str
    image: str | None
    line: str
    price: str
    stock: str
    in_stock: bool
    links: Links
    rank: int = 0
    match: int | None = None
    bars: Sequence[Bar] = ()
    reasons: Sequence[str] = ()
    badges: Sequence[str] = ()
    pinned_by: str = ""  # the id of the rule
    text_only: bool = False  # without a picture there is less to compare


@dataclass(frozen=True, slots=True)
class Tag:
    """One condition of the search, and the address of the search without it."""

    name: str
    value: str
    without: str
    image: str | None = None
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Relax:
    """One filter that could be dropped, and what it leaves by itself."""

    said: str
    left: str
    href: str


@dataclass(frozen=True, slots=True)
class Start:
    """Products to start from, those that the filters leave."""

    cards: Sequence[Card]
    more: str | None
    count_text: str
    tags: Sequence[Tag] = ()
    relax: Sequence[Relax] = ()  # where the filters leave none
    relaxed: str = "/"


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
    as_grid: str
    as_list: str
    degraded: Sequence[str]
    full: str = ""  # why no further example can be given


def card(product: Product, version_id: str, form: Form | None = None) -> Card:
    """Show a product; its links keep the weights and filters of `form`."""
    form = Form() if form is None else form
    kept = replace(form, text="", colour="", picture="", crop=None, like=(), unlike=(), offset=0, shift=0)
    category = product.category[-1] if product.category else ""
    return Card(
        ident=product.id,
        title=product.title,
        href=replace(kept, product=product.id).address(),
        image=image_path(product, version_id),
        line=" · ".join(filter(None, (product.brand, category))) or product.id,
        price=price_text(product),
        stock=_STOCK.get(product.availability, ""),
        in_stock=product.availability != "out_of_stock",
        text_only=not product.image_refs,
        links=Links(
            more=_example_address(form, product.id, more=True),
            less=_example_address(form, product.id, more=False),
        ),
    )


def _example_address(form: Form, ident: str, *, more: bool) -> str:
    following = form.example(ident, more=more)
    return "" if following.has_too_many_examples else following.address()


def image_path(product: Product, version_id: str, width: int = 480) -> str | None:
    """Return where the page gets a product's picture."""
    if not product.image_refs:
        return None
    return f"{product_path(product.id, 'image')}?w={width}&v={version_id}"


def result_card(item: Recommendation, answer: Recommendations, form: Form, rank: int, names: Names) -> Card:
    """Show one product of an answer with its match, bars and reasons; `names` are the index's aspects."""
    shown = card(item.product, answer.version_id, form)
    why = ""
    if form.can_be_asked_again:
        address = form.address("/why")
        why = f"{address}{'&' if '?' in address else '?'}{encoded('item', item.product.id)}"
    return replace(
        shown,
        links=replace(shown.links, why=why, edit=rule_addresses(form, item.product.id, rank)),
        rank=rank,
        match=round(100 * min(max(item.score, 0.0), 1.0)),
        bars=bars(item, answer.weights, names),
        reasons=said_reasons(item.reasons),
        badges=badges(item),
        pinned_by=next((effect.id for effect in item.effects if effect.effect == "pin"), ""),
    )


def rule_addresses(form: Form, ident: str, place: int) -> list[tuple[str, str]]:
    """Return what rules can do to a product of a list, each with the address where that is written."""
    effects = ("pin", "boost", "bury", "hide")
    return [(effect, rule_address(form, effect, ident, place)) for effect in effects]


def rule_address(form: Form, effect: str, ident: str, place: int = 1) -> str:
    """Return where a rule on a product is written, for the list that `form` asks, and back to it."""
    fields = {"effect": effect, "products": ident}
    if effect == "pin":
        fields["position"] = str(max(1, min(place, PAGE)))
    if form.product:
        fields |= {"scope": "product", "scope_product": form.product}
    elif form.text:
        fields |= {"scope": "query", "scope_query": form.text}
    fields["back"] = replace(form, offset=0).address()
    return f"/rules/new?{'&'.join(encoded(name, value) for name, value in fields.items())}"


def badges(item: Recommendation) -> list[str]:
    """Say what rules did to a product."""
    out = ["Pinned"] if item.pinned else []
    if item.rules and not item.pinned:
        out.append("By rule")
    return out


def bars(item: Recommendation, weights: Mapping[str, float], names: Names = ()) -> list[Bar]:
    """Show each aspect: part = weight × similarity. Those that do not count keep their place."""
    shown = []
    for tone, name in enumerate(names or weights):
        weight = weights.get(name, 0.0)
        if weight <= 0:
            explanation = f"{name}: does not count in this search"
            shown.append(Bar(name.capitalize(), tone % _TONES, 0.0, "off", "", explanation, False))
            continue
        part = item.parts.get(name, 0.0)
        similarity = part / weight
        if name in item.missing:
            said, explanation = "none", f"{name}: this product has nothing to compare"
        else:
            said = f"{similarity + 0.0:.2f}".replace("-0.00", "0.00")
            explanation = f"{name}: similarity {said} × weight {weight:.2f} = {part:+.3f} of the score"
        width = round(100 * min(max(similarity, 0.0), 1.0), 1)
        shown.append(Bar(name.capitalize(), tone % _TONES, width, said, signed(part), explanation))
    return shown


def signed(part: float, digits: int = 2) -> str:
    """Write what is added; a nothing has no minus."""
    return f"{round(part, digits) + 0.0:+.{digits}f}"


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


def tags(form: Form, examples: Mapping[str, Product], version_id: str) -> list[Tag]:
    """List what narrows or widens the search, each with a way to drop it; `examples` by id."""
    first = replace(form, offset=0)
    out = []
    for kind, name, idents in (("like", "Like", form.like), ("unlike", "Unlike", form.unlike)):
        for ident in idents:
            product = examples.get(ident)
            title = product.title if product is not None else ident
            image = image_path(product, version_id, 96) if product is not None else None
            out.append(Tag(name, title, first.forget(ident).address(), image, kind))
    if form.product and (form.like or form.unlike or form.text):
        out.append(Tag("Product", form.product, replace(first, product="").address()))
    if form.text:
        out.append(Tag("Words", form.text, replace(first, text="").address()))
    if form.colour:
        out.append(Tag("Colour", form.colour, replace(first, colour="").address()))
    if form.crop:
        out.append(Tag("Part of", "the picture", replace(first, crop=None).address()))
    return [*out, *filter_tags(first)]


def filter_tags(form: Form) -> list[Tag]:
    """List the filters of a search, each with the address of the search without it."""
    out = [
        Tag(label(name), value, form.without(name, value).address())
        for name, values in form.chosen.items()
        for value in values
    ]
    if form.price_min or form.price_max:
        value = f"{form.price_min or 0} to {form.price_max}" if form.price_max else f"from {form.price_min}"
        out.append(Tag("Price", value, replace(form, price_min="", price_max="", offset=0).address()))
    if form.in_stock:
        out.append(Tag("Only", "in stock", replace(form, in_stock=False, offset=0).address()))
    return out


def answer_view(
    answer: Recommendations,
    form: Form,
    subject: Product | None,
    *,
    by_picture: bool,
    took_ms: float,
    names: Names = (),
    examples: Mapping[str, Product] | None = None,
    degraded: Sequence[str] = (),
) -> AnswerView:
    """Show an answer to what `form` asks; `degraded` are sentences on what it goes without."""
    items = answer.items[:PAGE]  # one more was asked for, to know whether there is more
    shown = f"The {form.offset + len(items)} most similar" if len(items) > 1 else "1 product"
    return AnswerView(
        subject=None if subject is None else card(subject, answer.version_id),
        heading=_heading(form, by_picture),
        cards=[
            result_card(item, answer, form, form.offset + place, names) for place, item in enumerate(items, 1)
        ],
        tags=tags(form, examples or {}, answer.version_id),
        count_text=shown if items else "Nothing found",
        took=f"{took_ms:.0f}" if took_ms >= 10 else f"{took_ms:.1f}",
        empty=sentence(answer.empty_reason or "No product matches this search."),
        relaxed=form.bare().address() if form.conditions else None,
        more=replace(form, offset=form.offset + PAGE).address()
        if len(answer) > PAGE and form.can_be_asked_again
        else None,
        as_grid=replace(form, view="").address(),
        as_list=replace(form, view="list").address(),
        degraded=degraded,
        full=_full(form),
    )


def relaxations(form: Form, left: Mapping[str, int], live: int) -> list[Relax]:
    """Offer to drop each filter, the one that removed most first."""
    out = []
    for name, count in left.items():
        field = name.replace("attributes.", "a.", 1) if name.startswith("attributes.") else name
        rest = replace(form, offset=0)
        if field == "price":
            rest, said = replace(rest, price_min="", price_max=""), "Price"
        elif field == "in_stock":
            rest, said = replace(rest, in_stock=False), "In stock"
        else:
            chosen = {other: values for other, values in form.chosen.items() if other != field}
            rest, said = replace(rest, chosen=chosen), f"{label(field)} {', '.join(form.chosen[field])}"
        out.append(Relax(said, f"{count:,} of {live:,} products pass it", rest.address()))
    return out


def _heading(form: Form, by_picture: bool) -> str:
    if by_picture:
        return "Like your picture"
    if form.text or form.colour:
        return f"Results for “{form.text or form.colour}”"
    count = len(form.like) + len(form.unlike)
    if count > 1:
        return f"By your {count} examples"
    return "Like your example" if form.like else "Unlike your example"


def _full(form: Form) -> str:
    """Say why products have no *More* or no *Less*."""
    full = [name for name, side in (("More", form.like), ("Less", form.unlike)) if len(side) >= MAX_EXAMPLES]
    if not full:
        return ""
    return f"A search takes at most {MAX_EXAMPLES} examples of “{'” and “'.join(full)}”; remove one first."


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def sentence(text: str) -> str:
    """Write a sentence with its capital and its stop."""
    return _capital(text) + ("" if text.endswith(".") else ".")
