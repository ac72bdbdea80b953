"""Write the catalogue's columns: one Parquet file, chunk by chunk, in constant memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from vision_rec.errors import InputError

PRODUCT_COLUMNS = (
    "id title description brand category link image_refs price sale_price currency availability "
    "group_id locale attributes"
).split()
_TEXT_LIST = pa.list_(pa.string())
_TYPES: dict[str, Any] = {
    **dict.fromkeys(PRODUCT_COLUMNS, pa.string()),
    "category": _TEXT_LIST,
    "image_refs": _TEXT_LIST,
    "attributes": pa.map_(pa.string(), _TEXT_LIST),
    "rating": pa.float64(),
    "rating_count": pa.int64(),
    "sentiment": pa.float64(),
    **dict.fromkeys(("retired_at", "text_hash", "image_hash", "review_hash", "meta_hash"), pa.string()),
    "flags": _TEXT_LIST,
}
CHUNK_ROWS = 4096


class CatalogWriter:
    """Write records to a Parquet file chunk by chunk, in constant memory; a context manager.

    A record is `product_to_record(product)` and the further columns (rating, hashes, flags, …); missing
    ones are null, `reviews` are not stored. `extra` names further text columns. On an error the half
    file is removed.
    """

    def __init__(self, path: Path, *, extra: Sequence[str] = ()) -> None:
        self.path = path
        self.count = 0
        self._schema = pa.schema({**_TYPES, **dict.fromkeys(extra, pa.string())})
        self._known = {*self._schema.names, "reviews"}
        self._pending: list[Mapping[str, Any]] = []
        self._file = pq.ParquetWriter(path, self._schema, compression="zstd")

    def __enter__(self) -> CatalogWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
            return
        self._file.close()
        self.path.unlink(missing_ok=True)

    def append(self, record: Mapping[str, Any]) -> None:
        """Add one row; raise InputError for a column that the file does not have."""
        unknown = set(record) - self._known
        if unknown:
            raise InputError(f"catalogue has no columns {sorted(unknown)}; name them in `extra`")
        self._pending.append(record)
        self.count += 1
        if len(self._pending) >= CHUNK_ROWS:
            self._flush()

    def close(self) -> None:
        """Write what is pending and the file's footer."""
        self._flush()
        self._file.close()

    def _flush(self) -> None:
        if not self._pending:
            return
        rows = [_row(record) for record in self._pending]
        self._file.write_table(pa.Table.from_pylist(rows, schema=self._schema))
        self._pending = []


def _row(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return `record` as Arrow takes it: a map as pairs, and availability said, as filters read it."""
    return {
        **record,
        "availability": record.get("availability") or "in_stock",
        "attributes": list((record.get("attributes") or {}).items()),
    }
