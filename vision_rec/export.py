"""Export every product's similar list to Parquet, for shops that show precomputed lists."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vision_rec.outfile import unfinished

if TYPE_CHECKING:
    from vision_rec.recommend import Neighbours, Recommender

_PRODUCTS_AT_ONCE = 2_000


@dataclass(frozen=True, slots=True)
class Exported:
    """What an export wrote: `rows` are pairs of products."""

    version_id: str
    products: int
    rows: int


def export_similar(
    recommender: Recommender,
    out: Path,
    *,
    k: int = 20,
    progress: Callable[[str, int, int | None], None] = lambda stage, done, total: None,
) -> Exported:
    """Write the `k` most similar products of every product that is not retired to `out`.

    A Parquet file of product_id, position (1 = most similar), similar_id and score, sorted by product in the
    catalogue's order and position; its metadata names version and k. Raises InputError for a bad `k` or
    an `out` that cannot be written.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {"product_id": pa.string(), "position": pa.int32(), "similar_id": pa.string()}
    schema = pa.schema({**columns, "score": pa.float32()}).with_metadata(
        {"vision_rec.version": recommender.version_id, "vision_rec.k": str(k)}
    )
    state = recommender.state
    total, products, rows = len(state.catalog.live_rows), 0, 0
    lists = recommender.similar_all(k)
    # The first chunk is made before the file, so that a bad k leaves no file.
    chunks = _chunks(lists)
    first = next(chunks, [])
    with unfinished(out) as path, pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for chunk in _all(first, chunks):
            table = pa.table(_columns(chunk), schema=schema)
            writer.write_table(table)
            products, rows = products + len(chunk), rows + table.num_rows
            progress("similar lists", products, total)
    return Exported(state.version_id, products, rows)


def _chunks(lists: Iterator[Neighbours]) -> Iterator[list[Neighbours]]:
    while chunk := list(islice(lists, _PRODUCTS_AT_ONCE)):
        yield chunk


def _all(first: list[Neighbours], rest: Iterable[list[Neighbours]]) -> Iterator[list[Neighbours]]:
    if first:
        yield first
    yield from rest


def _columns(chunk: list[Neighbours]) -> dict[str, list[Any]]:
    pairs = [
        (entry.product_id, position, similar_id, score)
        for entry in chunk
        for position, (similar_id, score) in enumerate(zip(entry.ids, entry.scores, strict=True), 1)
    ]
    names = ("product_id", "position", "similar_id", "score")
    return {name: [pair[i] for pair in pairs] for i, name in enumerate(names)}
