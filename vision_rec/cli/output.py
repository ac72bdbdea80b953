"""What commands write: data to stdout, as JSON or as tables; remarks to stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from vision_rec.cli.common import Common
from vision_rec.cli.exits import one_line, say

if TYPE_CHECKING:
    from vision_rec.types import Recommendation, Recommendations

_BARS = " ▁▂▃▄▅▆▇█"


def write_json(document: Mapping[str, Any]) -> None:
    """Write one JSON document to stdout, indented where a person reads it."""
    plain = "utf" not in (sys.stdout.encoding or "utf-8").lower()
    indent = 2 if sys.stdout.isatty() else None
    text = json.dumps(document, ensure_ascii=plain, indent=indent, allow_nan=False)
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def write_line(text: str = "") -> None:
    """Write one line to stdout."""
    sys.stdout.write(f"{one_line(text)}\n")
    sys.stdout.flush()


def remark(common: Common, text: str) -> None:
    """Write one line to stderr, unless --quiet."""
    if not common.quiet:
        say(text)


def write_table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, right: Sequence[str] = ()) -> None:
    """Write a table to stdout: drawn on a terminal, else plain columns two blanks apart.

    Columns named in `right` hold numbers.
    """
    cells = [[one_line(cell) for cell in row] for row in rows]
    if sys.stdout.isatty():
        _draw(columns, cells, right)
        return
    widths = [max(map(len, column)) for column in zip(columns, *cells, strict=True)]
    for row in (list(columns), *cells):
        padded = [
            cell.rjust(width) if name in right else cell.ljust(width)
            for cell, width, name in zip(row, widths, columns, strict=True)
        ]
        sys.stdout.write("  ".join(padded).rstrip() + "\n")
    sys.stdout.flush()


def _draw(columns: Sequence[str], cells: Sequence[Sequence[str]], right: Sequence[str]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in columns:
        table.add_column(name, justify="right" if name in right else "left", overflow="fold")
    for row in cells:
        table.add_row(*(Text(cell) for cell in row))
    Console(file=sys.stdout, highlight=False).print(table)


def write_answer(common: Common, answer: Recommendations) -> None:
    """Write the items of an answer as a table, its facets below; what is amiss goes to stderr."""
    for trouble in answer.degraded:
        remark(common, f"degraded: {trouble}")
    if answer.empty_reason is not None:
        remark(common, f"no results: {answer.empty_reason}")
    else:
        names = [name for name, weight in answer.weights.items() if weight > 0]
        largest = max((abs(part) for item in answer.items for part in item.parts.values()), default=0.0)
        rows = [_cells(item, names, largest or 1.0) for item in answer.items]
        write_table(("id", "title", "price", "score", "parts", "reasons"), rows, right=("price", "score"))
    for name, counts in answer.facets.items():
        write_line()
        write_table((name, "products"), [(value, str(n)) for value, n in counts.items()], right=("products",))


def _cells(item: Recommendation, names: Sequence[str], largest: float) -> tuple[str, ...]:
    fields = item.to_dict()
    price = "" if fields["price"] is None else f"{fields['price']:.2f} {fields['currency'] or ''}".strip()
    lifted = f" {item.boost:+.2f}" if item.boost else ""
    parts = " ".join(
        f"{name} –" if name in item.missing else f"{name} {_bar(item.parts[name] / largest)}{item.parts[name]:.2f}"
        for name in names
    )
    return (
        item.product.id,
        item.product.title,
        price,
        f"{item.score:.3f}{lifted}",
        parts,
        "; ".join(item.reasons),
    )


def _bar(share: float) -> str:
    """Return a block as high as `share` of the largest part; nothing where it cannot be shown."""
    if not sys.stdout.isatty() or "utf" not in (sys.stdout.encoding or "").lower():
        return ""
    return _BARS[round(min(max(share, 0.0), 1.0) * (len(_BARS) - 1))]


@contextmanager
def output_file(path: Path) -> Iterator[IO[str]]:
    """Open `path` for writing text; the file appears once all is written, or not at all.

    Raises InputError where it cannot be written.
    """
    from vision_rec.export import beside

    with beside(path) as unfinished, unfinished.open("w", encoding="utf-8", newline="\n") as file:
        yield file
