"""Parquet in small batches; dictionaries stay dictionaries, so that a small file cannot fill the memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date, time
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vision_rec.errors import FeedError
from vision_rec.feeds.footer import read_footer
from vision_rec.feeds.rows import MAX_COLUMNS, Number, Row, Table
from vision_rec.feeds.source import MAX_RATIO

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

MAGIC = b"PAR1"
MAX_ROW_GROUP = 256 << 20  # bytes, decoded
MAX_PER_ROW = 100  # values of one list, on average
_FREE = 1 << 20
_ROWS_PER_BYTE, _FREE_ROWS = 4, 100_000  # rows that repeat each other pack into nothing
_BATCH = 1_024  # rows


def read_parquet(path: Path, known: Callable[[str], bool]) -> Table:
    """Open a Parquet file as rows; `line` counts rows from 1. FeedError for damaged or hostile files."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        _check(path)
        plain = pq.ParquetFile(path)
        names = tuple(plain.schema_arrow.names)
        leaves = [plain.schema.column(i) for i in range(len(plain.schema))]
        dictionaries = [leaf.path for leaf in leaves if leaf.physical_type == "BYTE_ARRAY"]
        file = pq.ParquetFile(path, read_dictionary=dictionaries, buffer_size=1 << 20, pre_buffer=False)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise FeedError(f"{path} is not a readable Parquet file: {error}") from error
    fields = (plain.schema_arrow.field(i) for i in range(len(names)))
    used = [
        field.name for field in fields if _is_readable(field.type, known=known(field.name)) and field.name
    ]
    return Table(tuple(used), _rows(file, used, path))


def _is_readable(kind: pa.DataType, *, known: bool) -> bool:
    """Tell whether a column can be read as texts; bytes are pictures unless the name says otherwise."""
    import pyarrow.types as kinds

    if kinds.is_list(kind) or kinds.is_large_list(kind):
        inner = kind.value_type
        return not kinds.is_list(inner) and _is_readable(inner, known=known)
    if kinds.is_binary(kind) or kinds.is_large_binary(kind):
        return known
    return not (kinds.is_nested(kind) or kinds.is_fixed_size_binary(kind))


def _check(path: Path) -> None:
    """Refuse what would decode to far more than the file holds."""
    groups, size = read_footer(path), path.stat().st_size
    for group in groups:
        if group.size > MAX_ROW_GROUP:
            raise FeedError(
                f"{path}: a row group of {group.size} bytes; allowed are {MAX_ROW_GROUP}; "
                "write the file with smaller row groups"
            )
        if len(group.values) > MAX_COLUMNS:
            raise FeedError(f"{path}: {len(group.values)} columns; allowed are {MAX_COLUMNS}")
        for name, count in group.values.items():
            if count > MAX_PER_ROW * group.rows + 1_000:
                raise FeedError(f"{path}: {name} has over {MAX_PER_ROW} values per row")
    rows = sum(group.rows for group in groups)
    if (
        sum(group.size for group in groups) > MAX_RATIO * size + _FREE
        or rows > _ROWS_PER_BYTE * size + _FREE_ROWS
    ):
        raise FeedError(
            f"{path} unpacks to more than {MAX_RATIO} times its size; write it without compression"
        )


def _rows(file: pq.ParquetFile, names: list[str], path: Path) -> Iterator[Row]:
    import pyarrow as pa

    number = 1
    with file:
        batches = file.iter_batches(batch_size=_BATCH, columns=names, use_threads=False)
        while True:
            try:
                batch = next(batches, None)
            except (pa.ArrowException, OSError) as error:
                raise FeedError(f"{path} is damaged after row {number - 1}: {error}") from error
            if batch is None:
                return
            columns = {name: _decode(batch.column(i)) for i, name in enumerate(batch.schema.names)}
            for i in range(batch.num_rows):
                yield Row(number, {name: cells[i] for name, cells in columns.items() if cells[i]})
                number += 1


def _decode(array: pa.Array) -> list[tuple[str, ...]]:
    """Return the texts of each row; equal texts of a dictionary share one object."""
    import pyarrow.types as kinds

    if kinds.is_dictionary(array.type):
        return [(text,) if text else () for text in _dictionary(array)]
    if kinds.is_list(array.type) or kinds.is_large_list(array.type):
        inner = _decode(array.flatten())
        counts = array.value_lengths().fill_null(0).to_pylist()
        starts = [0]
        for count in counts:
            starts.append(starts[-1] + count)
        return [
            tuple(text for cell in inner[first:last] for text in cell)
            for first, last in zip(starts, starts[1:], strict=False)
        ]
    return [(text,) if (text := _as_text(value)) else () for value in _values(array)]


def _dictionary(array: pa.DictionaryArray) -> list[str]:
    """Decode only the entries in use: a dictionary may be far larger than a batch."""
    import numpy as np
    import pyarrow as pa

    indices = array.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    used, positions = np.unique(indices, return_inverse=True)
    entries = array.dictionary.take(pa.array(used[used >= 0]))
    decoded = [_as_text(value) for value in _values(entries)]
    if len(used) and used[0] < 0:
        decoded.insert(0, "")
    return [decoded[position] for position in positions]


def _values(array: pa.Array) -> list[Any]:
    import pyarrow as pa
    import pyarrow.types as kinds

    if kinds.is_string(array.type):  # as bytes: one text that is no UTF-8 must not cost the batch
        return list(array.cast(pa.binary()).to_pylist())
    if kinds.is_large_string(array.type):
        return list(array.cast(pa.large_binary()).to_pylist())
    if kinds.is_float32(array.type):  # the shortest digits that mean this float, not its 64-bit neighbour
        return [Number(str(value)) for value in array.to_numpy(zero_copy_only=False)]
    return list(array.to_pylist())


def _as_text(value: Any) -> str:
    if isinstance(value, str):
        return "" if value == "nan" and isinstance(value, Number) else value
    if value is None or value != value:  # null and NaN are both no value
        return ""
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, date | time):
        return value.isoformat()
    return Number(f"{value:f}" if isinstance(value, Decimal) else value)
