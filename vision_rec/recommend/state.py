"""One open version with all that answers need; replaced as a whole, never changed."""

from __future__ import annotations

import copy
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vision_rec.catalog import CatalogTable
from vision_rec.catalog.postings import Mask
from vision_rec.errors import InputError, IntegrityError
from vision_rec.fusion import AspectLayout
from vision_rec.lexical import LexicalIndex
from vision_rec.recommend.session_model import VersionModel
from vision_rec.rerank import rating_lift
from vision_rec.rules import NO_RULES, RuleBook
from vision_rec.types import Array

if TYPE_CHECKING:
    from vision_rec.index import VectorIndex
    from vision_rec.settings import Settings


@dataclass(frozen=True)
class State:
    """A version's rows, index and catalogue; row i is the same product in all of them."""

    version_id: str
    wanted_id: str | None  # what CURRENT named; another one was opened where that one is damaged
    layout: AspectLayout
    catalog: CatalogTable
    index: VectorIndex
    rows: Array  # (N, D), float32 values of what is stored
    fingerprints: Mapping[str, str]
    default_weights: Mapping[str, float]
    presets: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    degraded: tuple[str, ...] = ()
    version: object = None  # held, so that pruning leaves the version alone while it answers
    held_words: dict[int, frozenset[str]] = field(default_factory=dict, repr=False)  # cache by row
    session_model: VersionModel = field(default_factory=VersionModel, repr=False)  # shared by `under`
    rules: RuleBook = NO_RULES
    ruled: dict[Any, Any] = field(default_factory=dict, repr=False)  # cache of what sets of rules do
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def lexical(self) -> LexicalIndex:
        """The word index, built at the first query with a text."""
        with self._lock:
            return self._lexical

    @cached_property
    def _lexical(self) -> LexicalIndex:
        return LexicalIndex(self.catalog.words())

    def under(self, rules: RuleBook) -> State:
        """Return this version under other rules; what was read of it so far is shared."""
        other = copy.copy(self)
        told = tuple(said for said in self.degraded if said not in self.rules.problems)
        other.__dict__.update(rules=rules, degraded=(*told, *rules.problems), ruled={})
        return other

    @cached_property
    def live(self) -> Mask | None:
        """Rows (N,) that are not retired, None where none is."""
        return ~self.catalog.retired if self.catalog.retired.any() else None

    @cached_property
    def live_count(self) -> int:
        """How many rows are not retired."""
        return len(self.catalog.live_rows)

    @cached_property
    def known(self) -> Mask:
        """Which aspects each row has, (N, A)."""
        return np.stack([self.rows[:, self.layout.slice(name)].any(axis=1) for name in self.layout.names], 1)

    @cached_property
    def told(self) -> Mask:
        """Rows (N,) of which any aspect is known."""
        return np.asarray(self.known.any(axis=1))

    @cached_property
    def lifts(self) -> Array:
        """What a rating lifts each row (N,), 0–1."""
        return rating_lift(self.catalog.ratings, self.catalog.rating_counts)


def open_state(root: Path, settings: Settings) -> State:
    """Open the current version below `root`, or the last good one where that is damaged.

    Raises what the version store raises, and InputError where the settings weigh unknown aspects.
    """
    from vision_rec.index import load_index
    from vision_rec.index.version import VersionStore

    wanted = current_of(root)
    version = VersionStore(root).open()
    manifest, rows = version.manifest, version.rows()
    return State(
        version_id=version.id,
        wanted_id=wanted,
        layout=version.layout,
        catalog=CatalogTable.load(version.catalog_path),
        index=load_index(version.index_folder, rows, manifest.index_kind, device=settings.encoders.device),
        rows=rows,
        fingerprints=manifest.fingerprints,
        default_weights=default_weights(version.layout, manifest.weights, settings.search.weights),
        presets=known_presets(version.layout, {**manifest.presets, **settings.search.presets}),
        degraded=version.degraded,
        version=version,
        session_model=VersionModel(version.model_folder, version.layout),
    )


def current_of(root: Path) -> str | None:
    """Return the id that CURRENT names, None where it names none that makes sense."""
    from vision_rec.index.version import VersionStore

    try:
        return VersionStore(root).current_id()
    except IntegrityError:
        return None  # opening falls back and says so; a service that answers goes on


def default_weights(
    layout: AspectLayout, manifest: Mapping[str, float], chosen: Mapping[str, float]
) -> dict[str, float]:
    """Return the layout's default weights, overridden by the version's, then by the settings'."""
    unknown = sorted(set(chosen) - set(layout.names))
    if unknown:
        raise InputError(f"setting search.weights names {unknown}; this index has {', '.join(layout.names)}")
    return {**layout.default_weights, **manifest, **chosen}


def known_presets(
    layout: AspectLayout, presets: Mapping[str, Mapping[str, float]]
) -> dict[str, dict[str, float]]:
    """Return the presets with the aspects that `layout` has, without those that weigh none of them."""
    known = {
        name: {aspect: weight for aspect, weight in weights.items() if aspect in layout.names}
        for name, weights in presets.items()
    }
    return {name: weights for name, weights in known.items() if any(weights.values())}
