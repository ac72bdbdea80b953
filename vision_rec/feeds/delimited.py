"""CSV and TSV as shops write them: any delimiter, quoted newlines, and bad rows that cost only themselves."""

from __future__ import annotations

import codecs
import csv
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from vision_rec.errors import FeedError, FeedRowError
from vision_rec.feeds.rows import MAX_COLUMNS, MAX_FIELD, WHOLE_ROW, CutRowError, Reject, Row, Table
from vision_rec.feeds.source import CHUNK, Stream

MAX_LINE = 1 << 20  # bytes; longer lines are skipped without being held
MAX_RECORD_LINES = 2_000  # how far an opening quote may look for its closing one
DELIMITERS = ("\t", ",", ";", "|")
_MIN_COLUMNS_TO_JUDGE = 4  # a text line with three commas in the right places is no accident


@dataclass(frozen=True, slots=True)
class Line:
    """One physical line; `raw` keeps its newline and may be cut where it is longer than MAX_LINE."""

    number: int
    raw: bytes

    @property
    def text(self) -> str:
        """Decode the line; undecodable bytes become surrogates that are found later."""
        return self.raw.decode("utf-8", "surrogateescape")

    @property
    def ended(self) -> bool:
        """Whether a line break follows; only the last line of a file may lack it."""
        return self.raw.endswith((b"\n", b"\r"))


@dataclass(frozen=True, slots=True)
class Record:
    """One logical row: the line it starts on, its cells, and whether a line break ends it."""

    line: int
    cells: list[str]
    ended: bool


def read_lines(stream: Stream) -> Iterator[Line]:
    """Split a stream into lines at LF, CR LF or CR, in bounded memory."""
    number, rest = 1, stream.read(CHUNK).removeprefix(codecs.BOM_UTF8)
    while chunk := stream.read(CHUNK):
        *lines, last = (rest + chunk).splitlines(keepends=True)
        for raw in lines:
            yield Line(number, raw)
            number += 1
        # the last line may go on, or its CR may be half of a CR LF
        rest = last if len(last) <= MAX_LINE or last.endswith((b"\r", b"\n")) else last[: MAX_LINE + 1]
    for raw in rest.splitlines(keepends=True):
        yield Line(number, raw)
        number += 1


def choose_delimiter(header: str, known: Callable[[str], bool]) -> str:
    """Return the delimiter that makes most known columns of `header`, then most columns."""

    def value(delimiter: str) -> tuple[int, int]:
        names = next(csv.reader([header], delimiter=delimiter), [])
        return sum(map(known, names)), len(names)

    return max(DELIMITERS, key=value)


class Records:
    """The logical rows of a delimited file, in order.

    A quote that is never closed must not swallow the rest of the file: where the grammar breaks, only
    the line that opened it is rejected and reading goes on at the next line.
    """

    def __init__(self, lines: Iterator[Line], delimiter: str, reject: Reject) -> None:
        self._lines, self._delimiter, self.reject = lines, delimiter, reject
        self._again: deque[Line] = deque()
        self.columns: Sequence[str] = ()

    def __iter__(self) -> Iterator[Record]:
        while (line := self._next()) is not None:
            if len(line.raw) > MAX_LINE:
                self._refuse(line, f"the line is longer than {MAX_LINE} bytes")
            elif b'"' in line.raw:
                yield from self._quoted(line)
            elif line.raw.strip():
                cells = line.text.rstrip("\r\n").split(self._delimiter)
                yield Record(line.number, cells, line.ended)

    def _next(self) -> Line | None:
        return self._again.popleft() if self._again else next(self._lines, None)

    def _refuse(self, line: Line, reason: str, kind: type[FeedRowError] = FeedRowError) -> None:
        self.reject(kind(line.number, WHOLE_ROW, reason))

    def _take(self, first: Line, taken: list[Line]) -> Iterator[str]:
        """Yield the text of `first` and, as far as the parser asks, of the lines after it."""
        taken.append(first)
        yield first.text
        while len(taken) < MAX_RECORD_LINES and (line := self._next()) is not None:
            taken.append(line)
            if len(line.raw) > MAX_LINE:
                return
            yield line.text

    def _quoted(self, first: Line) -> Iterator[Record]:
        taken: list[Line] = []
        try:
            cells = next(self._parser(self._take(first, taken)))
        except csv.Error as error:
            kind = CutRowError if self._breaks_off(taken, str(error)) else FeedRowError
            self._resync(taken, _explain(str(error)), kind)
            return
        if len(taken) > 1 and self._swallowed(taken, len(cells)):
            self._resync(taken, "the quote opened here is closed in another row")
            return
        yield Record(first.number, cells, taken[-1].ended)

    def _parser(self, lines: Iterator[str]) -> Iterator[list[str]]:
        return csv.reader(lines, delimiter=self._delimiter, strict=True, skipinitialspace=True)

    def _resync(self, taken: list[Line], reason: str, kind: type[FeedRowError] = FeedRowError) -> None:
        self._again.extendleft(reversed(taken[1:]))
        self._refuse(taken[0], reason, kind)

    def _swallowed(self, taken: list[Line], count: int) -> bool:
        """Tell whether a record of several lines has eaten rows that stand on their own."""
        if count != len(self.columns):
            return any(map(self._stands_alone, taken[1:]))
        middle = taken[1:-1] if count >= _MIN_COLUMNS_TO_JUDGE else []
        return bool(middle) and all(map(self._stands_alone, middle))

    def _breaks_off(self, taken: list[Line], message: str) -> bool:
        """Tell whether the file ends inside the quotes of its last row, not just inside a stray quote."""
        inside = "end of data" in message and not taken[-1].ended
        return inside and not any(map(self._stands_alone, taken[1:]))

    def _stands_alone(self, line: Line) -> bool:
        try:
            return len(next(self._parser(iter([line.text])), [])) == len(self.columns)
        except csv.Error:
            return False


def _explain(message: str) -> str:
    if "field larger" in message:
        return f"a quote is not closed within {MAX_FIELD} characters"
    if "expected after" in message:
        return "a quote is closed in the middle of a value; double the quotes inside quoted values"
    return "a quote is opened and not closed"


def read_delimited(stream: Stream, path: Path, known: Callable[[str], bool], reject: Reject) -> Table:
    """Read the header of a CSV or TSV stream and give its rows; FeedError where the header is unusable."""
    lines = read_lines(stream)
    first = next((line for line in lines if line.raw.strip()), None)
    if first is None:
        raise FeedError(f"{path} is empty; a feed needs a header and at least one product")
    if first.text.lower().startswith("sep=") and len(first.text.strip()) == 5:  # Excel's own hint
        delimiter, header_lines = first.text[4], lines
    else:
        delimiter, header_lines = choose_delimiter(first.text, known), _before(first, lines)

    def refuse_header(error: FeedRowError) -> None:
        raise FeedError(f"{path}: the header is unusable: {error}")

    records = Records(header_lines, delimiter, refuse_header)
    header = next(iter(records), None)
    columns = tuple(cell.strip() for cell in header.cells) if header else ()
    while columns and not columns[-1]:
        columns = columns[:-1]
    if any(not _is_text(name) for name in columns):
        raise FeedError(f"{path}: the header is not UTF-8 text; save the feed as UTF-8")
    if not any(columns) or len(columns) > MAX_COLUMNS:
        raise FeedError(f"{path}: the header has {len(columns)} columns; allowed are 1 to {MAX_COLUMNS}")
    records.reject, records.columns = reject, columns
    return Table(columns, _rows(records, columns, reject))


def _before(first: Line, lines: Iterator[Line]) -> Iterator[Line]:
    yield first
    yield from lines


def _rows(records: Records, columns: tuple[str, ...], reject: Reject) -> Iterator[Row]:
    count = len(columns)
    for record in records:
        cells = record.cells
        if len(cells) > count and not any(cell.strip() for cell in cells[count:]):
            cells = cells[:count]  # a delimiter too many at the end of a row harms nobody
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) != count:
            kind = FeedRowError if record.ended or len(cells) > count else CutRowError
            reject(kind(record.line, WHOLE_ROW, f"{len(cells)} columns; the header has {count}"))
            continue
        fields: dict[str, tuple[str, ...]] = {}
        for name, cell in zip(columns, cells, strict=True):
            if cell and name:
                fields[name] = (*fields[name], cell) if name in fields else (cell,)
        yield Row(record.line, fields)


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in text
