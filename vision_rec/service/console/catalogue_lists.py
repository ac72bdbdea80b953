"""The lists behind the numbers of the catalogue screen: their rows, page by page and as CSV."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from vision_rec.errors import NotFoundError
from vision_rec.health.reports import reason_kind, value_of
from vision_rec.service.console.export import harmless

PAGE = 50
FINDINGS = {
    "near_duplicates": (
        "Near-duplicate products",
        "Pictures alike in colour, shape and style at once, of products that are not variants of each other.",
    ),
    "colour_label": (
        "Colour name against pixels",
        "The feed names a colour that is far from the product's pixels.",
    ),
    "text_against_picture": (
        "Text against picture",
        "It looks like products of another category, while its words belong to its own.",
    ),
    "placeholder_pictures": (
        "One picture for many",
        "Products of different titles share one picture, as placeholders do.",
    ),
    "never_shown": ("Never shown", "No product's list of the most similar ones has it."),
}
_LACKS = {"picture": "Without a usable picture", "text": "Without text"}


@dataclass(frozen=True, slots=True)
class Line:
    """One row: the products it is about, and further cells."""

    cells: Sequence[str]
    product: str = ""
    others: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Listing:
    """One list; `count` is how many there are, of which at most the first 1,000 are rows."""

    title: str
    note: str
    columns: Sequence[str]
    lines: Sequence[Line]
    count: int
    has_products: bool = True
    has_others: bool = False


def address(name: str, path: str = "/catalogue/rows", **more: str | int) -> str:
    """Return where a list is."""
    return f"{path}?{urlencode({'list': name, **{key: value for key, value in more.items() if value}})}"


def listing(name: str, given: Mapping[str, str], found: Mapping[str, Any], health: Any) -> Listing:
    """Return a list by name, narrowed by what the address gives; raises NotFoundError for an unknown one."""
    report, failed = found["report"] or {}, found["failed"] or {}
    if name in FINDINGS:
        return _finding(name, health)
    makers: dict[str, Callable[[], Listing]] = {
        "rejected": lambda: _rejected("Rejected rows", report, given),
        "failed": lambda: _rejected("Rejected rows of the failed run", failed, given),
        "pictures": lambda: _pictures(report, given),
        "repeated": lambda: _repeated(report),
        "placeholders": lambda: _placeholders(report),
        "lacking": lambda: _lacking(found["lacking"], given.get("what", "")),
    }
    if name not in makers:
        known = ", ".join([*makers, *FINDINGS])
        raise NotFoundError(f"there is no list {name[:40]!r}; there are {known}")
    return makers[name]()


def to_csv(listed: Listing) -> bytes:
    """Write a list as CSV, safe to open in a spreadsheet; UTF-8 with a mark for Excel."""
    out = io.StringIO()
    writer = csv.writer(out)
    head = ["product"] if listed.has_products else []
    head += ["others"] if listed.has_others else []
    writer.writerow([*head, *(name.casefold() for name in listed.columns)])
    for line in listed.lines:
        first = [line.product] if listed.has_products else []
        first += [" ".join(line.others)] if listed.has_others else []
        writer.writerow([harmless(str(cell)) for cell in (*first, *line.cells)])
    return ("\ufeff" + out.getvalue()).encode("utf-8", "replace")


# ── groups, for the screen itself ─────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Group:
    """Rows that have something in common: what it is, how many, and where they are listed."""

    said: str
    count: int
    href: str
    csv: str
    example: str = ""


def rejected_groups(report: Mapping[str, Any], name: str = "rejected") -> list[Group]:
    """Group the listed rejects by column and reason, the most frequent first."""
    counts: Counter[tuple[str, str]] = Counter()
    examples: dict[tuple[str, str], str] = {}
    for reject in _dicts(report.get("rejects")):
        key = _text(reject, "column"), reason_kind(_text(reject, "reason"))
        counts[key] += 1
        if value_of(reason := _text(reject, "reason")):
            examples.setdefault(key, reason)
    return [
        Group(
            f"{column}: {said}" if column else said,
            count,
            address(name, column=column, reason=said),
            address(name, "/catalogue/rows.csv", column=column, reason=said),
            examples.get((column, said), ""),
        )
        for (column, said), count in counts.most_common()
    ]


def count_groups(counts: Mapping[str, Any], name: str, key: str) -> list[Group]:
    """Return the counts of a report by reason or host as groups, the largest first."""
    found = sorted(((str(said), _whole(count)) for said, count in counts.items()), key=lambda e: -e[1])
    return [
        Group(said, count, address(name, **{key: said}), address(name, "/catalogue/rows.csv", **{key: said}))
        for said, count in found
    ]


def lack_label(name: str) -> str:
    """Say what products lack."""
    if name in _LACKS:
        return _LACKS[name]
    kind, _, what = name.partition(":")
    if kind == "image":
        return f"With a picture that is {what.replace('-', ' ')}"
    return f"With a bad {what} vector" if kind == "bad_vector" else name


# ── the lists ─────────────────────────────────────────────────────────────────────────────────────────


def _rejected(title: str, report: Mapping[str, Any], given: Mapping[str, str]) -> Listing:
    wanted = {key: given[key] for key in ("column", "reason") if given.get(key)}
    lines = []
    for reject in _dicts(report.get("rejects")):
        column, reason = _text(reject, "column"), _text(reject, "reason")
        if wanted.get("column", column) != column or wanted.get("reason", reason_kind(reason)) != reason_kind(
            reason
        ):
            continue
        cells = (_text(reject, "file"), _text(reject, "line"), column, value_of(reason), reason)
        lines.append(Line(cells, _text(reject, "product_id")))
    total = _whole(report.get("rejected")) + _whole(report.get("reviews_rejected"))
    note = ", ".join(f"{key} {value}" for key, value in wanted.items())
    count = len(lines) if wanted else max(total, len(lines))
    return Listing(title, note, ("File", "Line", "Column", "Value", "Why"), lines, count)


def _pictures(report: Mapping[str, Any], given: Mapping[str, str]) -> Listing:
    wanted = {key: given[key] for key in ("reason", "host") if given.get(key)}
    lines = [
        Line((_text(problem, "ref"), _text(problem, "reason"), _text(problem, "host")))
        for problem in _dicts(report.get("image_problem_list"))
        if all(_text(problem, key) == value for key, value in wanted.items())
    ]
    counts = report.get("image_problems") or {}
    count = len(lines) if wanted else max(len(lines), sum(map(_whole, counts.values())))
    if len(wanted) == 1:
        key, value = next(iter(wanted.items()))
        counted = (counts if key == "reason" else report.get("image_problems_by_host") or {}).get(value, 0)
        count = max(count, _whole(counted))
    note = ", ".join(f"{key} {value}" for key, value in wanted.items())
    return Listing("Pictures that could not be used", note, ("Picture", "Why", "Host"), lines, count, False)


def _repeated(report: Mapping[str, Any]) -> Listing:
    ids = [str(ident) for ident in report.get("duplicate_ids") or ()]
    note = "The last row of each id counts." if ids else "This run did not write down which ids they are."
    return Listing("Ids that the feed repeats", note, (), [Line((), ident) for ident in ids], len(ids))


def _placeholders(report: Mapping[str, Any]) -> Listing:
    lines = [Line((_text(e, "ref"), _text(e, "products"))) for e in _dicts(report.get("placeholders"))]
    note = "So many products share these pictures that they were left out."
    return Listing("Placeholder pictures", note, ("Picture", "Products"), lines, len(lines), False)


def _lacking(found: Mapping[str, Any], what: str) -> Listing:
    if what not in found:
        raise NotFoundError(f"nothing is known of products that lack {what[:40]!r}")
    entry = found[what]
    return Listing(lack_label(what), "", (), [Line((), ident) for ident in entry["products"]], entry["count"])


def _finding(name: str, health: Any) -> Listing:
    title, note = FINDINGS[name]
    if health is None:
        return Listing(title, "The catalogue was not checked yet.", (), [], 0)
    found = health.finding(name)
    others = name in ("near_duplicates", "placeholder_pictures", "text_against_picture")
    lines = [Line((row.detail,), row.product_id, row.others) for row in found.rows]
    return Listing(title, note, ("What was found",), lines, found.count, True, others)


def _dicts(entries: Any) -> Iterable[Mapping[str, Any]]:
    return [entry for entry in entries or () if isinstance(entry, Mapping)]


def _text(entry: Mapping[str, Any], key: str) -> str:
    value = entry.get(key)
    return "" if value is None else str(value)


def _whole(value: Any) -> int:
    return value if isinstance(value, int) else 0
