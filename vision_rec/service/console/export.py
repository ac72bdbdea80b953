"""An answer as CSV, safe to open in a spreadsheet."""

from __future__ import annotations

import csv
import io
import re

from vision_rec.types import Recommendations

_FIELDS = ("id", "title", "brand", "price", "currency", "availability", "link")
_FORMULA = re.compile(r"\s*[=+\-@\t\r]")


def to_csv(answer: Recommendations, first_rank: int = 1) -> bytes:
    """Write one line per product: place, product, score a part per aspect; UTF-8 with a mark for Excel."""
    names = list(answer.weights)
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(["place", *_FIELDS, "category", "score", *(f"part_{name}" for name in names), "reasons"])
    for rank, (item, form) in enumerate(zip(answer, answer.to_dicts(), strict=True), first_rank):
        texts = [form[name] if form[name] is not None else "" for name in _FIELDS]
        writer.writerow(
            [
                rank,
                *(harmless(value) if isinstance(value, str) else value for value in texts),
                harmless(" > ".join(form["category"])),
                f"{item.score:.5f}",
                *(f"{item.parts.get(name, 0.0):.5f}" for name in names),
                harmless("; ".join(item.reasons)),
            ]
        )
    return ("\ufeff" + out.getvalue()).encode("utf-8", "replace")


def harmless(text: str) -> str:
    """Keep a spreadsheet from running a product's text as a formula."""
    return f"'{text}" if _FORMULA.match(text) else text
