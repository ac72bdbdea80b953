"""The idea of the whole system: one row of unit blocks, the query scaled per block, exact parts.

With rows x = [x_a] of blocks of norm 1 or 0 and a query q of the same form,

    score(q, x) = ⟨[w_a · q_a], x⟩ = Σ_a w_a · cos(q_a, x_a)

so one inner-product index serves every weighting, and each summand explains its aspect.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from vision_rec.errors import InputError
from vision_rec.types import Array, Blocks

_TINY = 1e-12
_PIECE = 200_000  # multiplications that BLAS does at once, in the thread that asks


@dataclass(frozen=True, slots=True)
class Aspect:
    """One block of the row: `gain` evens out the spreads of random-pair cosines between aspects."""

    name: str
    dim: int
    gain: float = 1.0
    default_weight: float = 1.0


@dataclass(frozen=True, slots=True)
class AspectLayout:
    """The order and widths of the blocks in a row of `dim` values."""

    aspects: tuple[Aspect, ...]
    _slices: Mapping[str, slice] = field(init=False, repr=False, compare=False)  # asked for by every answer

    def __post_init__(self) -> None:
        names = [aspect.name for aspect in self.aspects]
        if len(set(names)) != len(names):
            raise InputError(f"aspect names must differ; got {', '.join(names)}")
        slices, start = {}, 0
        for aspect in self.aspects:
            if aspect.dim < 1 or not aspect.gain > 0:
                raise InputError(f"aspect {aspect.name!r} needs dim ≥ 1 and gain > 0; got {aspect}")
            slices[aspect.name] = slice(start, start + aspect.dim)
            start += aspect.dim
        object.__setattr__(self, "_slices", slices)

    @property
    def dim(self) -> int:
        """Width D of a row."""
        return sum(aspect.dim for aspect in self.aspects)

    @property
    def names(self) -> tuple[str, ...]:
        """Aspect names in row order."""
        return tuple(self._slices)

    def slice(self, name: str) -> slice:
        """Return where the block of aspect `name` lies in a row."""
        if name not in self._slices:
            raise InputError(f"unknown aspect {name!r}; this index has {', '.join(self.names)}")
        return self._slices[name]

    @property
    def default_weights(self) -> dict[str, float]:
        """The weight of each aspect where the caller gives none."""
        return {aspect.name: aspect.default_weight for aspect in self.aspects}


def unit(vectors: Array) -> Array:
    """Divide each row of `vectors` (n, d) by its norm; zero rows stay zero."""
    norms = np.linalg.norm(vectors, axis=-1, keepdims=True)
    safe = np.where(norms > _TINY, norms, 1.0)
    return np.ascontiguousarray(np.where(norms > _TINY, vectors / safe, 0.0), dtype=np.float32)


def fuse(layout: AspectLayout, blocks: Blocks, count: int | None = None) -> Array:
    """Lay `blocks` (n, dim each) side by side into rows (n, D); absent aspects become zero blocks."""
    unknown = set(blocks) - set(layout.names)
    if unknown:
        raise InputError(f"blocks name {sorted(unknown)}; this index has {', '.join(layout.names)}")
    n = count if count is not None else next((len(block) for block in blocks.values()), 0)
    rows = np.zeros((n, layout.dim), dtype=np.float32)
    for name, block in blocks.items():
        rows[:, layout.slice(name)] = block
    return rows


def split(layout: AspectLayout, rows: Array) -> dict[str, Array]:
    """Return the blocks of `rows` (n, D) by aspect name, as views; the inverse of `fuse`."""
    return {name: rows[:, layout.slice(name)] for name in layout.names}


def scale(layout: AspectLayout, vectors: Array, weights: Mapping[str, float]) -> Array:
    """Multiply each block of `vectors` (n, D) by its weight; the rows of the index are never scaled."""
    factors = np.concatenate(
        [np.full(aspect.dim, weights.get(aspect.name, 0.0), np.float32) for aspect in layout.aspects]
    )
    return np.ascontiguousarray(vectors * factors, dtype=np.float32)


def present(layout: AspectLayout, row: Array) -> tuple[str, ...]:
    """Name the aspects whose block of `row` (D,), or of any of rows (n, D), is not all zeros."""
    return tuple(name for name in layout.names if np.any(row[..., layout.slice(name)]))


def is_finite(value: object) -> bool:
    """Say whether `value` is a real number that a float can hold; true and false are none."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | float | np.number):
        return False
    try:
        return bool(np.isrealobj(value)) and math.isfinite(value)
    except OverflowError:  # a whole number beyond all floats
        return False


def resolve_weights(
    layout: AspectLayout, weights: Mapping[str, float] | None, available: Collection[str]
) -> dict[str, float]:
    """Turn the caller's weights into the weights of the inner product.

    Named weights (or the defaults where `weights` is None) are multiplied by the aspects' gains and
    divided by their sum over the aspects the query has (`available`); aspects not named weigh 0.
    Raises InputError for unknown aspects, negative or non-finite weights, or when nothing is left.
    """
    named = layout.default_weights if weights is None else dict(weights)
    for name, weight in named.items():
        if name not in layout.names:
            raise InputError(f"weights name {name!r:.80}; this index has {', '.join(layout.names)}")
        if not (is_finite(weight) and weight >= 0):
            raise InputError(f"weight of {name!r} is {weight!r:.80}; allowed is a finite number ≥ 0")
    gains = {aspect.name: aspect.gain for aspect in layout.aspects}
    # Only their ratios count; brought to at most 1, no sum of them overflows or vanishes.
    most = max((float(named.get(name, 0.0)) for name in available), default=0.0) or 1.0
    raw = {
        name: float(named.get(name, 0.0)) / most * gains[name] for name in layout.names if name in available
    }
    total = math.fsum(raw.values())
    if not (total > 0 and math.isfinite(total)):
        have = ", ".join(sorted(available)) or "no aspect at all"
        wanted = ", ".join(name for name, weight in named.items() if weight > 0) or "nothing"
        raise InputError(
            f"no aspect is left to compare: the weights ask for {wanted}, the query has {have}; "
            "give at least one of the query's aspects a weight above 0"
        )
    return {name: raw.get(name, 0.0) / total for name in layout.names}


def blend(layout: AspectLayout, vectors: Sequence[Array], shares: Sequence[float]) -> Array:
    """Mix rows (D,) block by block with `shares`, back to unit blocks.

    A source without an aspect leaves that aspect to the others. A negative share pushes away. Where the
    sources cancel each other out, the block is zero.
    """
    total = np.zeros(layout.dim, dtype=np.float64)
    for vector, share in zip(vectors, shares, strict=True):
        total += share * vector
    return unit_blocks(layout, total.astype(np.float32))


def unit_blocks(layout: AspectLayout, row: Array) -> Array:
    """Bring each block of `row` (D,) back to norm 1; zero blocks stay zero."""
    out = np.zeros(layout.dim, dtype=np.float32)
    for name in layout.names:
        part = layout.slice(name)
        out[part] = unit(row[None, part])[0]
    return out


def mix(layout: AspectLayout, first: Array, second: Array, share: float) -> Array:
    """Blend two rows (D,) whose blocks say by their norm how sure they are, `share` of it the second.

    The norm of a block is the mean of the norms, so that sources which contradict each other are no less
    sure than each of them is. An aspect that only one of them has keeps its block.
    """
    out = blend(layout, [first, second], [1.0 - share, share])
    for name in layout.names:
        part = layout.slice(name)
        sure = [float(np.linalg.norm(row[part])) for row in (first, second)]
        out[part] *= (1.0 - share) * sure[0] + share * sure[1] if all(sure) else max(sure)
    return out


def edit(layout: AspectLayout, row: Array, replacements: Mapping[str, Array]) -> Array:
    """Return `row` (D,) with whole blocks replaced: "like this, but red" replaces `colour` alone."""
    out = np.array(row, dtype=np.float32)
    for name, block in replacements.items():
        out[layout.slice(name)] = block
    return out


def products(rows: npt.NDArray[Any], queries: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Multiply `rows` (m, D) with few `queries` (n, D) into (m, n), in the thread that asks.

    BLAS spreads even a small product over all cores and waits for the slowest of them, which on a busy
    machine takes many times as long as the work; pieces of a product it does not spread.
    """
    return matmul(rows, np.ascontiguousarray(queries.T))


def matmul(rows: npt.NDArray[Any], columns: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Multiply `rows` (m, D) with a few `columns` (D, n) as `products` does."""
    (m, dim), n = rows.shape, columns.shape[1]
    piece = max(1, _PIECE // max(1, n * dim))
    if m <= piece:
        return np.asarray(rows @ columns)
    out = np.empty((m, n), dtype=np.result_type(rows, columns))
    many = m // piece
    whole = many * piece
    np.matmul(rows[:whole].reshape(many, piece, dim), columns, out=out[:whole].reshape(many, piece, n))
    np.matmul(rows[whole:], columns, out=out[whole:])
    return out


def explain(layout: AspectLayout, scaled_query: Array, rows: Array) -> dict[str, Array]:
    """Split the scores of `rows` (n, D) against a scaled query (D,) into parts (n,) by aspect."""
    return {
        name: np.einsum("nd,d->n", rows[:, layout.slice(name)], scaled_query[layout.slice(name)])
        for name in layout.names
    }
