"""Compare two index versions: which products came and went, and how much the answers changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from vision_rec.catalog import CatalogTable
from vision_rec.catalog.changes import changes
from vision_rec.fusion import present, resolve_weights, scale
from vision_rec.index.exact import ExactIndex
from vision_rec.index.version import IndexVersion, VersionStore
from vision_rec.types import Array


@dataclass(frozen=True, slots=True)
class Moved:
    """How much of one probe's list is the same in both versions; who left it and who came, best first."""

    product_id: str
    overlap: float
    gone: tuple[str, ...] = ()
    come: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Changed:
    """A product of both versions of which `facts` differ: text, pictures, price, stock, reviews, other."""

    product_id: str
    facts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class VersionDiff:
    """What changed from version `before` to version `after`.

    `overlap` is the mean share of the k nearest products that both versions name, over `probes` products of
    both (None without any); `moved` are those that changed most, `changed` the products themselves.
    """

    before: str
    after: str
    count_before: int
    count_after: int
    added: tuple[str, ...]
    removed: tuple[str, ...]
    encoders_changed: tuple[str, ...]
    probes: int
    k: int
    overlap: float | None
    moved: tuple[Moved, ...]
    changed: tuple[Changed, ...] = ()


def compare_versions(
    store: VersionStore,
    before: str,
    after: str,
    *,
    probes: int = 100,
    k: int = 10,
    seed: int = 0,
    weights: Mapping[str, float] | None = None,
) -> VersionDiff:
    """Compare the live products of two versions, and the nearest `k` of a seeded sample of `probes`.

    Nearest by score alone, with the version's default weights or `weights`. Raises NotFoundError for an
    unknown version, IntegrityError for a damaged one.
    """
    with store.open(before) as first, store.open(after) as second:
        one, two = _Side(first, weights), _Side(second, weights)
        both = [name for name in one.live if name in two.row_of]
        rng = np.random.default_rng(seed)
        chosen = sorted(rng.choice(len(both), min(probes, len(both)), replace=False)) if both else []
        shared = _overlaps(one, two, [both[i] for i in chosen], k)
        fingerprints = (first.manifest.fingerprints, second.manifest.fingerprints)
        return VersionDiff(
            before=before,
            after=after,
            count_before=len(one.live),
            count_after=len(two.live),
            added=tuple(name for name in two.live if name not in one.row_of),
            removed=tuple(name for name in one.live if name not in two.row_of),
            encoders_changed=tuple(
                sorted(
                    name
                    for name in {**fingerprints[0], **fingerprints[1]}
                    if fingerprints[0].get(name) != fingerprints[1].get(name)
                )
            ),
            probes=len(shared),
            k=k,
            overlap=float(np.mean([entry.overlap for entry in shared])) if shared else None,
            moved=tuple(sorted((m for m in shared if m.overlap < 1), key=lambda m: m.overlap)[:10]),
            changed=_changed(one, two, both),
        )


class _Side:
    """One version as the comparison sees it: its live products and their nearest."""

    def __init__(self, version: IndexVersion, weights: Mapping[str, float] | None) -> None:
        self._layout = version.layout
        self._weights = (
            weights
            if weights is not None
            else {
                **version.layout.default_weights,
                **version.manifest.weights,
            }
        )
        self._rows: Array = version.rows()
        self._index = ExactIndex(self._rows)
        self.catalog = CatalogTable.load(version.catalog_path)
        self._alive = ~self.catalog.retired
        self._ids = version.ids
        self.row_of = {name: row for row, name in enumerate(version.ids) if self._alive[row]}
        self.live = tuple(self.row_of)

    def nearest(self, product_id: str, k: int) -> tuple[str, ...] | None:
        """Return the ids of the k nearest other live products; None where no aspect can be compared."""
        row = self.row_of[product_id]
        here = present(self._layout, self._rows[row])
        if not any(self._weights.get(name, 0) > 0 for name in here):
            return None
        scaled = scale(
            self._layout, self._rows[row][None], resolve_weights(self._layout, self._weights, here)
        )
        allowed = self._alive.copy()
        allowed[row] = False
        hits = self._index.search(scaled, min(k, int(allowed.sum())), allowed=allowed).rows[0]
        return tuple(self._ids[found] for found in hits if found >= 0)


def _overlaps(one: _Side, two: _Side, names: list[str], k: int) -> list[Moved]:
    out = []
    for name in names:
        before, after = one.nearest(name, k), two.nearest(name, k)
        if before is None or after is None:
            continue
        gone = tuple(ident for ident in before if ident not in after)
        come = tuple(ident for ident in after if ident not in before)
        largest = max(len(before), len(after))
        out.append(Moved(name, (len(before) - len(gone)) / largest if largest else 1.0, gone, come))
    return out


def _changed(one: _Side, two: _Side, names: list[str]) -> tuple[Changed, ...]:
    rows, others = (np.array([side.row_of[name] for name in names], dtype=np.int64) for side in (one, two))
    found = changes(one.catalog, two.catalog, rows, others)
    touched = np.flatnonzero(np.any(list(found.values()), axis=0)) if names else ()
    return tuple(Changed(names[i], tuple(fact for fact, mask in found.items() if mask[i])) for i in touched)
