"""What the screens of versions show, as plain values for templates."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from vision_rec.service.console.views import price_text
from vision_rec.service.versions import Compared, picture_address
from vision_rec.types import Product
from vision_rec.versions import Measures, Verified, VersionEntry

LISTED = 48  # products of each list of a comparison
SAID = {
    "activated": "This version answers now. Searches went on all the while.",
    "good": "Every byte of the version is as it was written.",
    "damaged": "Files of the version are not as they were written. It cannot be made current.",
}
_STATES = {"damaged": "Damaged", "incompatible": "Other format"}
_FACTS = {"pictures": "pictures", "text": "texts", "price": "price", "stock": "stock", "reviews": "reviews"}
_ENCODER_CHARACTERS = 8
_SESSION = "session"  # the encoder that reads what visitors did, not the products
_TITLE = 40  # characters of an old title


@dataclass(frozen=True, slots=True)
class Tile:
    """One product of a comparison; `notes` say what became of it."""

    ident: str
    title: str
    image: str | None
    price: str
    notes: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Strip:
    """One product whose list changed: who left the list, and who came into it."""

    probe: Tile
    same: str
    width: float
    gone: Sequence[Tile]
    come: Sequence[Tile]


def version_row(entry: VersionEntry, older: VersionEntry | None, in_use: str | None) -> dict[str, Any]:
    """Return a version as a row of the table; `older` is the one below it."""
    info = entry.info
    known = older is not None and bool(older.fingerprints)
    encoders = [
        {
            "name": name,
            "short": mark[:_ENCODER_CHARACTERS],
            "whole": mark,
            "changed": known and older is not None and older.fingerprints.get(name) != mark,
        }
        for name, mark in sorted(entry.fingerprints.items())
    ]
    return {
        "id": info.id,
        "when": moment(info.created_at),
        "tags": _tags(entry, in_use),
        "current": info.state == "current",
        "good": info.state in ("current", "ready"),
        "count": f"{info.count - (entry.measures.retired if entry.measures else 0):,}",
        "size": size_text(info.size),
        "encoders": encoders,
        "kind": entry.index_kind or "",
        "measured": None if entry.measures is None else _measured(entry.measures),
        "verified": _verified(entry),
        "stays": entry.stays,
    }


def said_encoders(changed: Sequence[str]) -> str:
    """Say what follows from other encoders; empty where they are the same in both versions."""
    if not changed:
        return ""
    if set(changed) == {_SESSION}:
        return (
            f"The encoder {_SESSION} differs: recommendations for visitors change, lists of similar products "
            "do not."
        )
    word = "encoder differs" if len(changed) == 1 else "encoders differ"
    return f"The {word}: {', '.join(changed)}. The order of every list changes."


def moment(text: str) -> str:
    """Write a time of an ISO form as people do; all are UTC."""
    try:
        made = datetime.fromisoformat(text)
    except ValueError:
        return text
    return f"{made.day} {made:%b %Y, %H:%M}"


def size_text(count: int) -> str:
    """Write bytes as people do."""
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} bytes"


def seconds_text(seconds: float) -> str:
    """Write a duration as people do."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def diff_view(found: Compared) -> dict[str, Any]:
    """Return a comparison as its page shows it."""
    diff = found.diff
    facts = Counter(fact for entry in diff.changed for fact in entry.facts)

    def tile(ident: str, notes: Sequence[str] = (), *, old: bool = False) -> Tile:
        sides = [(found.after, diff.after), (found.before, diff.before)]
        for products, version in reversed(sides) if old else sides:
            if ident in products:
                return _tile(products[ident], version, notes)
        return Tile(ident, ident, None, "", notes)

    return {
        "figures": [
            ("Came in", f"{len(diff.added):,}"),
            ("Went out", f"{len(diff.removed):,}"),
            ("Changed", f"{len(diff.changed):,}"),
            ("Products", f"{diff.count_before:,} → {diff.count_after:,}"),
        ],
        "overlap": None if diff.overlap is None else f"{100 * diff.overlap:.1f} %",
        "overlap_width": 0 if diff.overlap is None else round(100 * diff.overlap, 1),
        "probes": f"{diff.probes:,}",
        "k": diff.k,
        "encoders": said_encoders(diff.encoders_changed),
        "come": [tile(ident) for ident in diff.added[:LISTED]],
        "come_more": max(0, len(diff.added) - LISTED),
        "gone": [tile(ident, old=True) for ident in diff.removed[:LISTED]],
        "gone_more": max(0, len(diff.removed) - LISTED),
        "changed": [
            tile(
                one.product_id, _changes(one.facts, found.before[one.product_id], found.after[one.product_id])
            )
            for one in diff.changed[:LISTED]
        ],
        "changed_more": max(0, len(diff.changed) - LISTED),
        "facts": [f"{_FACTS.get(fact, 'other')} {count:,}" for fact, count in facts.most_common()],
        "moved": [
            Strip(
                probe=tile(entry.product_id),
                same=f"{100 * entry.overlap:.0f} %",
                width=round(100 * entry.overlap, 1),
                gone=[tile(ident, old=True) for ident in entry.gone],
                come=[tile(ident) for ident in entry.come],
            )
            for entry in diff.moved
        ],
    }


def _tags(entry: VersionEntry, in_use: str | None) -> list[dict[str, str]]:
    tags, info = [], entry.info
    if info.id == in_use:
        tags.append({"word": "In use", "kind": "active"})
    if info.state == "current" and info.id != in_use:
        tags.append({"word": "Current", "kind": "draft"})
    if info.state in _STATES:
        tags.append({"word": _STATES[info.state], "kind": "conflict"})
    return tags


def _verified(entry: VersionEntry) -> dict[str, Any]:
    found: Verified | None = entry.verified
    if found is not None and found.problems:
        return {
            "word": f"Damaged: {len(found.problems)} {'file' if len(found.problems) == 1 else 'files'}",
            "at": f"found {moment(found.at)}",
            "kind": "bad",
            "problems": [f"{one.file}: expected {one.expected}, found {one.found}" for one in found.problems],
        }
    if entry.info.state in _STATES:
        return {"word": _STATES[entry.info.state], "at": "", "kind": "bad", "problems": []}
    if found is None:
        return {"word": "Not yet", "at": "", "kind": "none", "problems": []}
    return {"word": moment(found.at), "at": "", "kind": "good", "problems": []}


def _measured(measures: Measures) -> dict[str, Any]:
    passed = sum(1 for _, good, _ in measures.checks if good)
    if measures.recall:
        recall = f"{min(measures.recall.values()):.3f} recall at worst"
    else:
        recall = next((_capital(said) for name, _, said in measures.checks if name == "recall"), "")
        recall = "Exact search" if "is exact" in recall else recall
    counts = (
        ("new", measures.new),
        ("changed", measures.changed),
        ("back", measures.returned),
        ("gone", measures.gone),
    )
    return {
        "recall": recall,
        "checks": f"{passed} of {len(measures.checks)} checks passed" if measures.checks else "",
        "all_passed": passed == len(measures.checks),
        "took": seconds_text(measures.seconds),
        "counts": ", ".join(f"{count:,} {word}" for word, count in counts if count) or "nothing new",
        "rejected": f"{measures.rejected:,} rejected" if measures.rejected else "",
        "list": [
            {"name": _capital(name), "good": good, "said": said} for name, good, said in measures.checks
        ],
        "recalls": [(name, f"{value:.3f}") for name, value in measures.recall.items()],
        "stages": [
            (_capital(name), seconds_text(seconds))
            for name, seconds in sorted(measures.stages.items(), key=lambda entry: -entry[1])
            if seconds >= 0.05
        ],
    }


def _changes(facts: Sequence[str], was: Product, now: Product) -> list[str]:
    """Say what changed, with what it was where that is short."""
    out = []
    for fact in facts:
        if fact == "price":
            out.append(_price_change(was, now))
        elif fact == "stock":
            out.append(f"{_stock(was)} → {_stock(now)}")
        elif fact == "text" and was.title != now.title:
            out.append(f"was “{was.title[:_TITLE]}{'…' if len(was.title) > _TITLE else ''}”")
        else:
            out.append(_FACTS.get(fact, "other fields"))
    return out


def _price_change(was: Product, now: Product) -> str:
    """Say what is to pay before and after; where that is the same, it is the price without the sale."""
    texts = [price_text(product) or "no price" for product in (was, now)]
    if texts[0] == texts[1]:
        texts = [price_text(replace(product, sale_price=None)) or "none" for product in (was, now)]
        return f"list price {texts[0]} → {texts[1]}"
    return f"{texts[0]} → {texts[1]}"


def _tile(product: Product, version_id: str, notes: Sequence[str]) -> Tile:
    image = picture_address(product, version_id, 160)
    return Tile(product.id, product.title or product.id, image, price_text(product), notes)


def _stock(product: Product) -> str:
    return product.availability.replace("_", " ")


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
