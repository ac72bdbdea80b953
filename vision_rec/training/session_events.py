"""Where the acts come from that a session model is trained on, and the other blocks of the products."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from vision_rec.errors import FeedError, FeedRowError, InputError
from vision_rec.events.files import read_event_files
from vision_rec.fusion import Aspect
from vision_rec.index.version import VersionStore
from vision_rec.sessions.pair import BEHAVIOUR
from vision_rec.sessions.sequences import By, Sequences, from_events
from vision_rec.sessions.stores import Vault
from vision_rec.settings import Settings
from vision_rec.types import Array, Event

_SHOWN = 5  # unreadable rows that are told
_LEAST_ACTS, _LEAST_VISITORS = 100, 20
Log = Callable[[str], None]


def read_sequences(
    settings: Settings,
    files: Sequence[Path],
    *,
    by: By,
    at_least: int,
    until: float | None = None,
    log: Log = lambda line: None,
) -> Sequences:
    """Read the acts of `files`, or of the event store where there are none, up to `until` in Unix seconds.

    Raises FeedError where there are too few to learn from.
    """
    events = _of_files(files, log) if files else _of_store(settings)
    if until is not None:
        events = (event for event in events if event.received_at.timestamp() <= until)
    found = from_events(events, by=by, at_least=at_least)
    acts, visitors = len(found.items), len(found)
    if acts < _LEAST_ACTS or visitors < _LEAST_VISITORS:
        where = ", ".join(map(str, files)) or "the event store"
        raise FeedError(
            f"{where} has {acts} acts of {visitors} visitors who did at least {at_least} things; a session "
            f"model needs {_LEAST_ACTS} acts of {_LEAST_VISITORS} visitors: collect more events first"
        )
    return found


def _of_store(settings: Settings) -> Iterator[Event]:
    vault = Vault(settings.events, settings.paths.data)
    try:
        if not vault.is_unused:
            yield from vault.store.export()
    finally:
        vault.close()


def _of_files(files: Sequence[Path], log: Log) -> Iterator[Event]:
    for file in files:
        if not file.is_file():
            raise InputError(f"there is no file {file}; --events needs CSV, TSV, JSON Lines or Parquet")
    bad: list[FeedRowError] = []
    yield from read_event_files(files, on_error=bad.append)
    for row in bad[:_SHOWN]:
        log(f"line {row.line}, column {row.column!r}: {row.reason}")
    if bad:
        log(f"{len(bad)} rows cannot be read as events and are left out")


@dataclass(frozen=True)
class Content:
    """The blocks beside behaviour of a version's products: rows (N, C) by id, and who made them."""

    ids: tuple[str, ...]
    rows: Array
    aspects: tuple[Aspect, ...]
    encoders: dict[str, str]
    version: str

    @classmethod
    def none(cls) -> Content:
        """Return the content where there is no index."""
        return cls((), np.zeros((0, 0), np.float32), (), {}, "")

    def digest(self) -> str:
        """Return the SHA-256 of the rows."""
        return hashlib.sha256(np.ascontiguousarray(self.rows).tobytes()).hexdigest()


def read_content(indexes: Path, products: Sequence[str], *, most: int, seed: int) -> Content:
    """Read the current version's rows, without their behaviour blocks, of at most about `most` products.

    Those of `products` come first; the others are drawn.
    """
    with VersionStore(indexes).open() as version:
        layout = version.layout
        aspects = tuple(aspect for aspect in layout.aspects if aspect.name != BEHAVIOUR)
        columns = np.concatenate([np.arange(layout.dim)[layout.slice(aspect.name)] for aspect in aspects])
        wanted = set(products)
        viewed = np.array([name in wanted for name in version.ids])
        spare = max(0, most - int(viewed.sum()))
        others = np.flatnonzero(~viewed)
        if len(others) > spare:
            others = np.random.default_rng(seed).choice(others, spare, replace=False)
        rows = np.sort(np.concatenate([np.flatnonzero(viewed), others]))
        stored = np.asarray(version.stored_rows()[rows], dtype=np.float32)
        return Content(
            tuple(version.ids[row] for row in rows.tolist()),
            np.ascontiguousarray(stored[:, columns]),
            aspects,
            {name: str(mark) for name, mark in version.manifest.fingerprints.items() if name != BEHAVIOUR},
            version.id,
        )


def together(sequences: Sequences, content: Content) -> tuple[Sequences, Array]:
    """Return the sequences and the content rows (M, C) over the products of both, those viewed first."""
    known = set(sequences.products)
    products = (*sequences.products, *(name for name in content.ids if name not in known))
    places = {name: number for number, name in enumerate(products)}
    rows = np.zeros((len(products), content.rows.shape[1]), np.float32)
    if content.ids:
        rows[[places[name] for name in content.ids]] = content.rows
    return replace(sequences, products=products), rows
