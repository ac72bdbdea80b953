"""Read what a Parquet file says of itself in pure Python.

pyarrow ends the whole process (an uncaught C++ exception) when it is asked for the column metadata of some
damaged files, so what is checked before decoding is read here from the Thrift compact protocol.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MAX_FOOTER = 16 << 20  # bytes
_MAX_DEPTH = 16
_TRUE, _FALSE, _BYTE, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT = 1, 2, 3, 7, 8, 9, 10, 11, 12


@dataclass(frozen=True, slots=True)
class RowGroup:
    """`size` is in bytes, decompressed; `values` counts the values of each column by its path."""

    rows: int
    size: int
    values: dict[str, int]


def read_footer(path: Path) -> list[RowGroup]:
    """Return the row groups of a Parquet file; ValueError where its footer is damaged."""
    with path.open("rb") as file:
        file.seek(0, 2)
        size = file.tell()
        file.seek(max(0, size - 8))
        tail = file.read(8)
        length = int.from_bytes(tail[:4], "little")
        if tail[4:] != b"PAR1" or length > min(size - 12, MAX_FOOTER):
            raise ValueError("it has no valid footer; it may be cut off")
        file.seek(size - 8 - length)
        footer = file.read(length)
    try:
        return [_row_group(group) for group in _Decoder(footer).struct().get(4, [])]
    except (IndexError, KeyError, TypeError, AttributeError, struct.error) as error:
        raise ValueError("its footer is damaged") from error


def _row_group(fields: dict[int, Any]) -> RowGroup:
    columns = [chunk[3] for chunk in fields[1]]
    values = {b".".join(column[3]).decode("utf-8", "replace"): int(column[5]) for column in columns}
    size = max(int(fields[2]), sum(int(column[6]) for column in columns))
    return RowGroup(int(fields[3]), size, values)


class _Decoder:
    """Thrift compact protocol → dictionaries by field number, lists, integers and bytes."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def struct(self, depth: int = 0) -> dict[int, Any]:
        """Decode one struct."""
        fields: dict[int, Any] = {}
        number = 0
        while header := self._byte():
            delta, kind = header >> 4, header & 15
            number = number + delta if delta else self._integer()
            fields[number] = kind == _TRUE if kind in (_TRUE, _FALSE) else self._value(kind, depth + 1)
        return fields

    def _byte(self) -> int:
        self._at += 1
        return self._data[self._at - 1]

    def _take(self, count: int) -> bytes:
        if count > len(self._data) - self._at:
            raise IndexError("past the end")
        self._at += count
        return self._data[self._at - count : self._at]

    def _varint(self) -> int:
        value = 0
        for shift in range(0, 70, 7):
            byte = self._byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
        raise IndexError("an integer of more than 64 bits")

    def _integer(self) -> int:
        value = self._varint()
        return (value >> 1) ^ -(value & 1)

    def _value(self, kind: int, depth: int) -> Any:
        if depth > _MAX_DEPTH:
            raise IndexError("nested too deeply")
        if kind in (_TRUE, _FALSE, _BYTE):
            return self._byte()
        if kind == _DOUBLE:
            return struct.unpack("<d", self._take(8))[0]
        if kind == _BINARY:
            return self._take(self._varint())
        if kind in (_LIST, _SET):
            return self._list(depth)
        if kind == _STRUCT:
            return self.struct(depth)
        if kind == _MAP or kind > _STRUCT:
            raise IndexError("Parquet footers have no such values")
        return self._integer()

    def _list(self, depth: int) -> list[Any]:
        header = self._byte()
        count = header >> 4
        if count == 15:
            count = self._varint()
        if count > len(self._data) - self._at:  # each value takes a byte at least
            raise IndexError("a list longer than the footer")
        return [self._value(header & 15, depth + 1) for _ in range(count)]
