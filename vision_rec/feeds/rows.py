"""What every format reader yields: rows of named texts with their true place in the file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from vision_rec.errors import FeedError, FeedRowError

MAX_FIELD = 128 * 1024  # characters of one value, whatever the format
MAX_COLUMNS = 1_000  # of one row
MAX_NAME = 256  # characters of a column's name
WHOLE_ROW = "(row)"  # the column named where a whole row is unusable

Reject = Callable[[FeedRowError], None]


class CutRowError(FeedRowError):
    """A row that is no whole one, at the very end of a file that does not end in a line break."""


def refuse_cut(path: Path, reject: Reject) -> Reject:
    """Give a function that hands rows to `reject`, but raises FeedError for one that the file's end cuts off.

    One bad row costs only itself; where a file breaks off, all the rows after it are missing too.
    """

    def check(error: FeedRowError) -> None:
        if isinstance(error, CutRowError):
            raise FeedError(
                f"{path} is cut off in its last row (line {error.line}: {error.reason}); download it again, "
                "or end that line with a line break if the file is whole"
            ) from error
        reject(error)

    return check


class Number(str):
    """A number written by a machine (JSON, Parquet): its point is a decimal point for certain."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Row:
    """One row: `line` is its first line (its row number in Parquet), `fields` has no empty entries."""

    line: int
    fields: dict[str, tuple[str, ...]]


@dataclass(slots=True)
class Table:
    """The columns known at the start (all of them where `complete`) and the rows that follow."""

    columns: tuple[str, ...]
    rows: Iterator[Row]
    complete: bool = True


def peek(read: Callable[[Reject], Iterator[Row]], reject: Reject, count: int = 20) -> Table:
    """Look at the first `count` rows of `read` for the columns of a format without a header.

    Bad rows among them are kept in their place, so that `reject` hears of them in the order of the file.
    """
    first: list[Row | FeedRowError] = []

    def keep(error: FeedRowError) -> None:
        if looking and len(first) < MAX_COLUMNS:
            first.append(error)
        else:
            reject(error)

    def replay() -> Iterator[Row]:
        for item in first:
            if isinstance(item, FeedRowError):
                reject(item)
            else:
                yield item
        first.clear()
        yield from rows

    looking, rows = True, read(keep)
    for row in islice(rows, count):
        first.append(row)
    looking = False
    names = dict.fromkeys(name for item in first if isinstance(item, Row) for name in item.fields)
    return Table(tuple(names), replay(), complete=False)
