"""Which products are viewed near each other, as a graph that behaviour vectors are smoothed over.

A product with few views learns from those seen beside it, as in LightGCN (He et al. 2020, arXiv 2002.02126),
with one hop and learned with the sequence model.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from vision_rec.sessions.sequences import Sequences

NEIGHBOURS = 100  # of one product, the nearest; more cost time and say little


def covisits(
    sequences: Sequences, *, window: int, neighbours: int = NEIGHBOURS, half_life: float = 0.0
) -> Tensor:
    """Return how much products (M, M) belong together: a sparse symmetric matrix of norm at most 1.

    Two acts of a visitor that are d apart, up to `window`, count 1/d; each sum is divided by the root of both
    products' totals. Links that are among the strongest `neighbours` of neither end are left out. With a
    `half_life`, acts count half for every such share of all acts that came after them.
    """
    import scipy.sparse as sp

    count, owners, items = len(sequences.products), sequences.owners, sequences.items.astype(np.int64)
    near: Any = sp.csr_matrix((count, count), dtype=np.float64)
    says = 0.5 ** (_later(sequences) / half_life) if half_life else np.ones(len(items))
    for apart in range(1, window + 1):
        same = owners[:-apart] == owners[apart:]
        first, second = items[:-apart][same], items[apart:][same]
        near = near + sp.csr_matrix((says[:-apart][same] / apart, (first, second)), shape=near.shape)
    near = sp.csr_matrix(near + near.T)
    totals = np.asarray(near.sum(axis=1)).ravel()
    roots = sp.diags(1.0 / np.sqrt(np.where(totals > 0, totals, 1.0)))
    near = sp.csr_matrix(roots @ near @ roots)
    if np.diff(near.indptr).max(initial=0) > neighbours:
        kept = _strongest(near, neighbours)
        near = sp.csr_matrix(near.multiply(kept.maximum(kept.T)))
    near.sort_indices()
    return _tensor(near)


def _later(sequences: Sequences) -> npt.NDArray[np.float64]:
    """Return which share of all acts came after each (T,); without times the sequences are in their order."""
    count = len(sequences.items)
    order = np.arange(count) if np.isnan(sequences.at).any() else np.argsort(sequences.at, kind="stable")
    later = np.empty(count)
    later[order] = np.arange(count)[::-1] / max(count, 1)
    return later


def _strongest(near: Any, neighbours: int) -> Any:
    """Return a matrix of ones at the strongest `neighbours` entries of each row."""
    import scipy.sparse as sp

    rows = np.repeat(np.arange(near.shape[0]), np.diff(near.indptr))
    order = np.lexsort((-near.data, rows))
    place = np.arange(len(rows)) - near.indptr[rows]  # in its row; the order keeps rows together
    chosen = order[place < neighbours]
    return sp.csr_matrix((np.ones(len(chosen)), (rows[chosen], near.indices[chosen])), shape=near.shape)


def _tensor(matrix: Any) -> Tensor:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse")  # torch tells that it may still change them
        return torch.sparse_csr_tensor(
            torch.from_numpy(matrix.indptr.astype(np.int64)),
            torch.from_numpy(matrix.indices.astype(np.int64)),
            torch.from_numpy(matrix.data.astype(np.float32)),
            size=matrix.shape,
        )


class _Smoothed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, graph: Tensor, vectors: Tensor) -> Tensor:
        ctx.graph = graph
        return graph @ vectors

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[None, Tensor]:
        return None, ctx.graph @ gradients[0]  # the graph is symmetric


def smoothed(graph: Tensor, vectors: Tensor) -> Tensor:
    """Return the sum of each product's neighbours' `vectors` (M, d), as the symmetric `graph` weighs them."""
    with torch.autocast(vectors.device.type, enabled=False):
        result: Tensor = _Smoothed.apply(graph, vectors.float())
        return result


def covisit_folds(sequences: Sequences, *, window: int, folds: int) -> tuple[Tensor, ...]:
    """Return the graphs (M, M) without each of the `folds` of visitors, then that of all.

    In the graph of its own session a visitor's next product is a neighbour beforehand, and a network that
    learns from it trusts neighbours more than it may. Visitor i is of fold i modulo `folds`.
    """
    numbers = np.arange(len(sequences))
    parts = [sequences.select(numbers % folds != fold) for fold in range(folds)] if folds > 1 else []
    return tuple(covisits(part, window=window) for part in (*parts, sequences))


def projected(graph: Tensor, strength: float, dim: int, seed: int) -> Tensor:
    """Return rows (M, dim) that lie as products' rows of 1 + `strength` · `graph` (M, M) do, nearly.

    Random projections keep inner products within about 1/√dim of rows of norm 1 (Achlioptas 2003,
    doi 10.1016/S0022-0000(03)00025-4), whatever the rank of the graph. A truncated SVD needs a low one, and
    who is viewed with whom has none.
    """
    chance = torch.Generator().manual_seed(seed)
    signs = torch.randint(0, 2, (graph.shape[0], dim), generator=chance).float() * 2.0 - 1.0
    return functional.normalize(signs + strength * smoothed(graph, signs), dim=1)
