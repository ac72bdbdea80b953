"""The files of the new version: rows, ids, catalogue and index, all in the one order of table `target`."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vision_rec.catalog import CatalogWriter
from vision_rec.failpoints import failpoint
from vision_rec.fusion import AspectLayout
from vision_rec.index.files import link
from vision_rec.reindex.behaviour import Behaviour
from vision_rec.reindex.chunks import ChunkStore
from vision_rec.reindex.encode import ParentRows
from vision_rec.reindex.plan import Chunk
from vision_rec.reindex.report import Journal
from vision_rec.reindex.staging import Staging, to_json
from vision_rec.sessions.pair import BEHAVIOUR

VECTORS, IDS, CATALOG, REPORT, INDEX = "vectors.npy", "ids.json", "catalog.parquet", "report.json", "index"
_PAGE = 4_096

StoredRows = npt.NDArray[np.float16]


def clear(building: Path) -> None:
    """Remove what a killed run left of a version's files; working files, hidden ones, stay."""
    for path in building.iterdir():
        if path.name.startswith("."):
            continue
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def share_files(building: Path, parent: Path) -> None:
    """Take rows, ids and index of the parent version as they are, as links where the disk can."""
    names = [VECTORS, IDS]
    if (parent / INDEX).is_dir():
        (building / INDEX).mkdir()
        names += [f"{INDEX}/{path.name}" for path in (parent / INDEX).iterdir()]
    for name in names:
        if not link(parent / name, building / name):
            shutil.copyfile(parent / name, building / name)


def write_rows(
    path: Path,
    staging: Staging,
    layout: AspectLayout,
    *,
    chunks: Iterable[Chunk],
    store: ChunkStore,
    parent: ParentRows | None,
    journal: Journal,
    behaviour: Behaviour | None = None,
) -> None:
    """Write vectors.npy (N, D) float16: rows of the parent version, and those of finished chunks.

    The block `behaviour`, the last one, is written for all rows: it costs nothing.

    The chunks' facts go to table `result`, their problems to the journal.
    """
    count = int(staging.one("SELECT count(*) FROM target"))
    rows = _allocate(path, count, layout.dim)
    if parent is not None:
        copied = staging.db.execute("SELECT row, parent_row FROM target WHERE chunk IS NULL ORDER BY row")
        while page := list(islice(copied, _PAGE)):
            new, old = np.array(page, np.int64).T
            for name in set(layout.names) - {BEHAVIOUR}:
                rows[new, layout.slice(name)] = parent.rows[old, parent.layout.slice(name)]
    for chunk in chunks:
        encoded = store.load(chunk)
        rows[encoded.numbers, : encoded.rows.shape[1]] = encoded.rows
        staging.fill(
            "INSERT INTO result VALUES (?, ?, ?, ?, ?)",
            (
                (int(row), facts.rating, facts.rating_count, facts.sentiment, to_json(asdict(facts)["flags"]))
                for row, facts in zip(encoded.numbers, encoded.facts, strict=True)
            ),
        )
        for problem in encoded.problems:
            journal.problem(problem.ref, problem.reason, problem.host)
        journal.bad_vectors += encoded.bad_vectors
    if behaviour is not None:
        for numbers, blocks in behaviour.blocks(staging):
            rows[numbers, layout.slice(BEHAVIOUR)] = blocks
        failpoint("reindex.behaviour-written")
    rows.flush()
    failpoint("reindex.rows-written")


def _allocate(path: Path, count: int, width: int) -> np.memmap[Any, np.dtype[np.float16]]:
    """Make an empty array file whose every byte the disk has granted: a mapped write cannot fail later."""
    with path.open("wb") as file:
        header = {"descr": np.lib.format.dtype_to_descr(np.dtype(np.float16)), "fortran_order": False}
        np.lib.format.write_array_header_1_0(file, {**header, "shape": (count, width)})
        file.flush()
        offset, size = file.tell(), max(1, 2 * count * width)
        failpoint("reindex.rows-allocated")
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), offset, size)
        else:
            for start in range(0, size, 1 << 20):
                file.write(bytes(min(1 << 20, size - start)))
    return np.memmap(path, np.float16, mode="r+", offset=offset, shape=(count, width))


def write_ids(path: Path, staging: Staging) -> None:
    """Write ids.json: the product ids by row."""
    ids = staging.db.execute("SELECT id FROM target JOIN product USING (key) ORDER BY target.row")
    with path.open("w", encoding="utf-8") as file:
        file.write("[")
        for number, (product_id,) in enumerate(ids):
            file.write((",\n" if number else "") + json.dumps(product_id, ensure_ascii=False))
        file.write("]\n")
    failpoint("reindex.ids-written")


def write_catalog(path: Path, staging: Staging, journal: Journal, *, words_renewed: bool) -> int:
    """Write catalog.parquet row by row and return how many there are.

    A product gone from the feed has lost its reviews with it: where its words were encoded anew
    (`words_renewed`) its review hash is forgotten, so that they are read again should it return.
    """
    without_image = 0
    with CatalogWriter(path) as writer:
        for record, gone, rest in _catalog_lines(staging):
            if gone and words_renewed:
                rest["review_hash"] = ""
            without_image += not gone and "no_image" in rest["flags"]
            writer.append({**json.loads(record), **rest})
            failpoint("reindex.catalog-row")
    journal.products_without_image = without_image
    failpoint("reindex.catalog-written")
    return writer.count


def _catalog_lines(staging: Staging) -> Iterator[tuple[str, bool, dict[str, Any]]]:
    lines = staging.db.execute(
        "SELECT record, gone, target.retired_at, product.text_hash, "
        "coalesce(image_state.hash, CASE WHEN gone THEN image_hash END, ''), product.review_hash, "
        "product.meta_hash, result.row IS NULL, result.rating, result.rating_count, result.sentiment, "
        "result.flags, parent.rating, parent.rating_count, parent.sentiment, parent.flags "
        "FROM target JOIN product USING (key) LEFT JOIN image_state USING (key) "
        "LEFT JOIN result ON result.row = target.row LEFT JOIN parent ON parent.row = target.parent_row "
        "ORDER BY target.row"
    )
    names = ("retired_at", "text_hash", "image_hash", "review_hash", "meta_hash")
    for record, gone, *values in lines:
        hashes = dict(zip(names, values[:5], strict=True))
        rating, rating_count, sentiment, flags = values[10:14] if values[5] else values[6:10]
        facts = {"rating": rating, "rating_count": rating_count or 0, "sentiment": sentiment}
        yield record, bool(gone), {**hashes, **facts, "flags": json.loads(flags or "[]")}
