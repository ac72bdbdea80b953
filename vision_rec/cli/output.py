"""What commands write: data to stdout, as JSON or as tables; remarks to stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from vision_rec.cli.common import Common
from vision_rec.cli.exits import one_line, say
from vision_rec.errors import InputError
from vision_rec.outfile import unfinished

if TYPE_CHECKING:
    from vision_rec.types import Recommendation, Recommendations

_BARS = " ▁▂▃▄▅▆▇█"


def write_json(document: Mapping[str, Any]) -> None:
    """Write one JSON document to stdout, indented where a person reads it."""
    plain = not _speaks_unicode(sys.stdout)
    text = json.dumps(
        document, ensure_ascii=plain, indent=2 if sys.stdout.isatty() else None, allow_nan=False
    )
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
        f"{name} –"
        if name in item.missing
        else f"{name} {_bar(item.parts[name] / largest)}{item.parts[name]:.2f}"
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


def _part(item: Recommendation, name: str, largest: float) -> str:
    if name in item.missing:
        return "–"
    return f"{_bar(item.parts[name] / largest)}{item.parts[name]:.2f}"


def _bar(share: float) -> str:
    """Return a block as high as `share` of the largest part; nothing where it cannot be shown."""
    if not (sys.stdout.isatty() and _speaks_unicode(sys.stdout)):
        return ""
    return _BARS[round(min(max(share, 0.0), 1.0) * (len(_BARS) - 1))]


def lines_of(path: Path) -> Iterator[str]:
    """Yield the lines of a text file, or of stdin where `path` is `-`; raise InputError at once.

    Bytes that are not UTF-8 come as `surrogateescape` reads them: whoever reads the line refuses it.
    """
    if str(path) == "-":
        return iter(sys.stdin)
    if not path.exists():
        raise InputError(f"there is no file {path}; give an existing one, or - for stdin")
    if path.is_dir():
        raise InputError(f"{path} is a folder; give a file")
    return _decoded(path)


def _decoded(path: Path) -> Iterator[str]:
    try:
        with path.open(encoding="utf-8-sig", errors="surrogateescape") as file:
            for line in file:
                if "\0" in line:
                    raise InputError(f"{path} is not UTF-8 text: it holds zero bytes")
                yield line
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error


@contextmanager
def output_lines(path: Path | None) -> Iterator[Callable[[Mapping[str, Any]], None]]:
    """Give a function that writes one JSON line to `path`, or stdout where None.

    The file appears once all is written, or not at all. Raises InputError where it cannot be written.
    """
    if path is None:
        yield lambda document: _write_json_line(sys.stdout, document)
        return
    with unfinished(path) as name, name.open("w", encoding="utf-8", errors="backslashreplace") as file:
        yield lambda document: _write_json_line(file, document)


def _write_json_line(file: TextIO, document: Mapping[str, Any]) -> None:
    file.write(json.dumps(document, ensure_ascii=not _speaks_unicode(file), allow_nan=False) + "\n")


def _speaks_unicode(file: TextIO) -> bool:
    return "utf" in (file.encoding or "utf-8").lower()
