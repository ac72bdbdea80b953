"""What the screen of one visitor shows, as plain values for templates."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from vision_rec.recommend.journey import Influences
from vision_rec.service.catalogue import Catalogue
from vision_rec.service.console.journey_form import TYPES
from vision_rec.service.console.journey_views import Said, influence_said, moved
from vision_rec.service.console.views import image_path, price_text
from vision_rec.types import Product, Recommendations

SHOWN = 10  # products of the list, and of those to begin with
_TITLED = {**TYPES, "click": "Clicked", "rating": "Rated"}


@dataclass(frozen=True, slots=True)
class Act:
    """Something that is known of the visitor, and what it does to the list."""

    title: str
    image: str | None
    said: str
    influence: Said


@dataclass(frozen=True, slots=True)
class Offer:
    """One product that is recommended, and why; or one to begin with."""

    ident: str
    title: str
    image: str | None
    line: str
    reason: str
    place: int = 0
    note: str = ""
    tone: str = ""


def acts_view(found: Influences, catalogue: Catalogue) -> list[Act]:
    """Show what counts, newest first, as it is what was done last that matters most."""
    largest = max((abs(one.drop) for one in found.visits), default=0.0)
    out = []
    for one in reversed(found.visits):
        product = catalogue.product(one.product_id)
        out.append(
            Act(
                title=product.title or product.id,
                image=image_path(product, catalogue.version_id, 80),
                said=_TITLED.get(one.type, one.type),
                influence=influence_said(one, largest, found.score),
            )
        )
    return out


def offers_view(answer: Recommendations, was: Sequence[str]) -> list[Offer]:
    """Show a list with its reasons, and what became of each product since the list `was`."""
    places = {ident: place for place, ident in enumerate(was, 1)} or None
    out = []
    for place, item in enumerate(answer, 1):
        note, tone = moved(item.product.id, place, places)
        reason = item.reasons[0] if item.reasons else ""
        out.append(_offer(item.product, answer.version_id, reason, place, note, tone))
    return out


def products_view(products: Sequence[Product], version_id: str) -> list[Offer]:
    """Show products that the visitor may view."""
    return [_offer(product, version_id) for product in products]


def calls(base_url: str, user: str, *, keyed: bool) -> list[tuple[str, str]]:
    """Write what this screen does as calls of the HTTP API."""
    key = ['-H "Authorization: Bearer $VISION_REC_KEY"'] if keyed else []

    def post(path: str, body: dict[str, object]) -> str:
        data = shlex.quote(json.dumps(body, ensure_ascii=False))
        lines = [f"curl {shlex.quote(base_url + path)}", *key, "-H 'Content-Type: application/json'"]
        return " \\\n  ".join([*lines, f"-d {data}"])

    view = {"type": "view", "product_id": "PRODUCT", "user_id": user}
    address = f"{base_url}/v1/users/{quote(user, safe='')}"
    erase = f"curl -X DELETE {shlex.quote(address)}"
    return [
        ("Recommend", post("/v1/recommendations", {"user_id": user, "k": SHOWN})),
        ("What counts", post("/v1/journeys", {"user_id": user, "k": SHOWN})),
        ("Record a view", post("/v1/events", {"events": [view]})),
        ("Erase", " \\\n  ".join([erase, *key])),
    ]


def _offer(
    product: Product, version_id: str, reason: str = "", place: int = 0, note: str = "", tone: str = ""
) -> Offer:
    return Offer(
        ident=product.id,
        title=product.title or product.id,
        image=image_path(product, version_id, 240),
        line=price_text(product),
        reason=reason[:1].upper() + reason[1:],
        place=place,
        note=note,
        tone=tone,
    )
