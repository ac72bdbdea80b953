"""What the catalogue screen and its inspector show, as plain values for templates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from vision_rec.health import PICTURE_ASPECTS, HealthReport
from vision_rec.recommend.state import State
from vision_rec.service.catalogue import Catalogue
from vision_rec.service.console.catalogue_lists import (
    FINDINGS,
    PAGE,
    Group,
    Line,
    Listing,
    address,
    count_groups,
    lack_label,
    rejected_groups,
)
from vision_rec.service.console.views import image_path, price_text

MAX_PICTURES = 12  # of an inspected product
_SAMPLES, _OTHERS = 3, 3
_NEEDED = (*PICTURE_ASPECTS, "text")  # a product without them is hard to find
_OUTCOMES = {"published": "made this version", "unchanged": "found nothing changed"}


@dataclass(frozen=True, slots=True)
class Small:
    """A product as a list names it."""

    ident: str
    title: str
    href: str
    image: str | None
    known: bool = True


@dataclass(frozen=True, slots=True)
class Tile:
    """One number, which opens its rows where there are any."""

    label: str
    count: str
    href: str = ""
    tone: str = ""  # bad, good


@dataclass(frozen=True, slots=True)
class Shown:
    """One row of a finding: the product, those beside it, what is said of it."""

    product: Small
    others: Sequence[Small]
    detail: str


@dataclass(frozen=True, slots=True)
class Card:
    """One kind of finding."""

    title: str
    why: str
    count: int
    note: str
    href: str
    csv: str
    samples: Sequence[Shown]


def inspect_address(ident: str) -> str:
    """Return where a product is looked into."""
    return f"/catalogue/products/{quote(ident, safe='')}"


def small(catalogue: Catalogue, ident: str, width: int = 160) -> Small:
    """Show a product by id; one that is not in this version has no page."""
    if ident not in catalogue.state.catalog:
        return Small(ident, ident, "", None, False)
    product = catalogue.product(ident)
    image = image_path(product, catalogue.version_id, width) if _is_pictured(catalogue.state, ident) else None
    return Small(ident, product.title or ident, inspect_address(ident), image)


def _is_pictured(state: State, ident: str) -> bool:
    """Say whether a picture of the product could be used: one that could not cannot be shown either."""
    row = state.catalog.row_of(ident)
    names = [name for name in PICTURE_ASPECTS if name in state.layout.names]
    return any(state.rows[row, state.layout.slice(name)].any() for name in names) or not names


# ── the report ────────────────────────────────────────────────────────────────────────────────────────


def report_view(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the screen shows of the reports of reindex."""
    report, failed = found["report"], found["failed"]
    return {
        "report": None if report is None else _run(report, found["lacking"]),
        "failed": None if failed is None else _failed(failed),
        "damage": found["damage"],
    }


def _run(report: Mapping[str, Any], lacks: Mapping[str, Any]) -> dict[str, Any]:
    plan = report["plan"]
    rejects = rejected_groups(report)
    reasons = count_groups(report.get("image_problems") or {}, "pictures", "reason")
    hosts = count_groups(report.get("image_problems_by_host") or {}, "pictures", "host")
    rejected = _number(report, "rejected") + _number(report, "reviews_rejected")
    tiles = [
        Tile("Products accepted", f"{_number(plan, 'products'):,}", tone="good"),
        _tile("Rows rejected", rejected, address("rejected")),
        _tile("Pictures not usable", sum(group.count for group in reasons), address("pictures")),
        _tile("Ids repeated", _number(report, "duplicates"), address("repeated")),
        _tile("Placeholder pictures", len(report.get("placeholders") or ()), address("placeholders")),
    ]
    for name in ("picture", "text"):
        if name in lacks:
            tiles.append(_tile(lack_label(name), lacks[name]["count"], address("lacking", what=name)))
    more = [
        Group(lack_label(name), entry["count"], address("lacking", what=name),
              address("lacking", "/catalogue/rows.csv", what=name))
        for name, entry in lacks.items()
        if name not in ("picture", "text")
    ]  # fmt: skip
    failed_checks = [check for check in report.get("checks") or () if not check.get("passed")]
    return {
        "feed": str(report.get("feed", "")).rpartition("/")[2],
        "when": str(report.get("started_at", ""))[:16].replace("T", " "),
        "seconds": f"{float(report.get('seconds') or 0):,.0f}",
        "outcome": _OUTCOMES.get(str(report.get("outcome")), str(report.get("outcome", ""))),
        "tiles": tiles,
        "groups": [
            ("Rejected rows, by reason", rejects, "Reason"),
            ("Pictures that could not be used, by reason", reasons, "Reason"),
            ("Pictures that could not be used, by host", hosts, "Host"),
            ("Products with a flag", more, "Flag"),
        ],
        "cut": rejected > sum(group.count for group in rejects),
        "notes": [
            *map(str, report.get("notes") or ()),
            *(str(check.get("detail")) for check in failed_checks),
        ],
        "clean": not (rejects or reasons or more or report.get("duplicates") or report.get("placeholders")),
    }


def _failed(report: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "when": str(report.get("started_at", ""))[:16].replace("T", " "),
        "feed": str(report.get("feed", "")).rpartition("/")[2],
        "error": str(report.get("error") or "no reason was written down"),
        "rejected": _number(report, "rejected"),
        "groups": rejected_groups(report, "failed")[:5],
        "href": address("failed"),
    }


def _tile(label: str, count: int, href: str) -> Tile:
    return Tile(label, f"{count:,}", href if count else "", "bad" if count else "")


def _number(entry: Mapping[str, Any], key: str) -> int:
    value = entry.get(key)
    return value if isinstance(value, int) else 0


# ── health ────────────────────────────────────────────────────────────────────────────────────────────


def health_view(catalogue: Catalogue, body: Mapping[str, Any], report: HealthReport | None) -> dict[str, Any]:
    """Return what the screen shows of the check: how far it is, and a card per kind of finding."""
    progress = body["progress"]
    share = None
    if progress is not None and progress["total"]:
        share = round(100 * progress["done"] / progress["total"])
    cards = []
    if report is not None:
        for kind, (title, why) in FINDINGS.items():
            found = report.finding(kind)
            samples = [
                Shown(
                    small(catalogue, row.product_id),
                    [small(catalogue, other) for other in row.others[:_OTHERS]],
                    row.detail,
                )
                for row in found.rows[:_SAMPLES]
            ]
            csv = address(kind, "/catalogue/rows.csv")
            cards.append(Card(title, why, found.count, found.note, address(kind), csv, samples))
    return {
        "state": body["state"],
        "stage": "" if progress is None else progress["stage"],
        "share": share,
        "error": body["error"],
        "checked": "" if report is None else report.checked_at[:16].replace("T", " "),
        "seconds": "" if report is None else f"{report.seconds:,.0f}",
        "products": "" if report is None else f"{report.products:,}",
        "found": sum(card.count for card in cards),
        "cards": sorted(cards, key=lambda card: not card.count),
    }


# ── a list ────────────────────────────────────────────────────────────────────────────────────────────


def list_view(catalogue: Catalogue, listed: Listing, given: Mapping[str, str]) -> dict[str, Any]:
    """Return one page of a list."""
    pages = max(1, -(-len(listed.lines) // PAGE))
    asked = given.get("page", "1")
    page = min(max(int(asked), 1), pages) if asked.isascii() and asked.isdigit() and len(asked) < 7 else 1
    chosen = listed.lines[(page - 1) * PAGE : page * PAGE]
    kept = {name: value for name, value in given.items() if name != "page"}

    def turned(number: int) -> str:
        return f"/catalogue/rows?{urlencode({**kept, 'page': number})}" if 1 <= number <= pages else ""

    return {
        "listed": listed,
        "lines": [_shown_line(catalogue, line) for line in chosen],
        "page_number": page,
        "pages": pages,
        "first": (page - 1) * PAGE + 1,
        "before": turned(page - 1),
        "after": turned(page + 1),
        "csv": f"/catalogue/rows.csv?{urlencode(kept)}",
        "cut": listed.count > len(listed.lines) > 0,
    }


def _shown_line(catalogue: Catalogue, line: Line) -> dict[str, Any]:
    return {
        "product": small(catalogue, line.product) if line.product else None,
        "others": [small(catalogue, other) for other in line.others],
        "cells": line.cells,
    }


# ── one product ───────────────────────────────────────────────────────────────────────────────────────


def inspection_view(catalogue: Catalogue, body: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the inspector shows of a product."""
    ident = body["id"]
    product = catalogue.product(ident)
    base = small(catalogue, ident)
    pictures = []
    for number in range(min(body["images"], MAX_PICTURES) if base.image else 0):
        path = image_path(product, catalogue.version_id, 320)
        pictures.append(f"{path}&n={number}" if path else "")
    return {
        "product": base,
        "line": " · ".join(filter(None, (product.brand, " › ".join(product.category), price_text(product)))),
        "pictures": pictures,
        "marks": _marks(body),
        "variants": [small(catalogue, other["id"]) for other in body["variants"]],
        "reviews": _reviews(body),
        "aspects": [
            {
                "name": entry["name"].capitalize(),
                "missing": entry["missing"],
                "near": [
                    (
                        small(catalogue, other["id"]),
                        f"{other['similarity'] + 0.0:.2f}".replace("-0.00", "0.00"),
                    )
                    for other in entry["neighbours"]
                ],
            }
            for entry in body["aspects"]
        ],
        "rules": body["rules"],
        "findings": [_finding_line(catalogue, ident, entry) for entry in body["findings"]],
        "fields": [(name, _said(value)) for name, value in body["record"].items()],
        "explore": f"/?{urlencode({'product': ident})}",
        "rule": f"/rules/new?{urlencode({'effect': 'hide', 'products': ident})}",
    }


def _marks(body: Mapping[str, Any]) -> list[tuple[str, str]]:
    out = [("conflict", lack_label(flag)) for flag in body["flags"] if flag != "no_image"]
    lacks = [entry["name"] for entry in body["aspects"] if entry["missing"]]
    out += [("conflict" if name in _NEEDED else "", f"No {name} to compare") for name in lacks]
    if body["retired"]:
        out.append(("conflict", f"Gone from the feed since {str(body['retired_at'])[:10]}"))
    stock = body["availability"].replace("_", " ").capitalize()
    return [("active" if body["availability"] == "in_stock" else "", stock), *out]


def _reviews(body: Mapping[str, Any]) -> str:
    count = body["rating_count"]
    if not count or body["rating"] is None:
        return ""
    mood = body["sentiment"]
    said = "" if mood is None else f", {round(100 * mood)} of 100 in mood"
    return f"{body['rating']:.1f} of 5 from {count:,} review{'' if count == 1 else 's'}{said}"


def _finding_line(catalogue: Catalogue, ident: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    named = [entry["product_id"], *entry["others"]]
    return {
        "title": FINDINGS[entry["kind"]][0],
        "detail": entry["detail"],
        "others": [small(catalogue, other) for other in named if other != ident][:_OTHERS],
        "href": address(entry["kind"]),
    }


def _said(value: Any) -> str:
    if isinstance(value, Mapping):
        return "\n".join(f"{name}: {', '.join(map(str, values))}" for name, values in value.items())
    if isinstance(value, list):
        return "\n".join(map(str, value))
    return "" if value is None else str(value)
