"""The network of the sequence model: rows of recent views in, one query row after every view out.

Causal self-attention in pre-norm blocks whose branches are gated, trained as SASRec is: after every view the
next one is predicted (Kang and McAuley 2018, arXiv 1808.09781; layers and loss as in eSASRec, Tikhonovich et
al. 2025, arXiv 2508.06450). A GRU of the same interface stands beside it (GRU4Rec, Hidasi et al. 2016,
arXiv 1511.06939). What is trained here answers in `forward`, without torch; what changes here changes there.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from vision_rec.sessions.spec import GAP_STEPS, SequenceSpec

_DECAY = 0.3  # of the mean's weights at the start, per view back


class SequenceNetwork(nn.Module):
    """Turns rows (n, L, D) of views, oldest first, into rows (n, L, D): what is wanted after each view.

    Every block of an answer has norm ≤ 1: the surer the network is of an aspect, the nearer to 1. What the
    layers find is added to a mean of the views that weighs later ones more; an untrained network answers
    that mean, so that few sessions spoil nothing.
    """

    def __init__(self, spec: SequenceSpec) -> None:
        super().__init__()
        self.spec = spec
        dim = sum(spec.dims)
        self.enter = nn.Linear(dim, spec.width)
        self.types = nn.Embedding(spec.event_types, spec.width) if spec.event_types else None
        self.gaps = nn.Embedding(GAP_STEPS, spec.width) if spec.event_types else None
        self.dropout = nn.Dropout(spec.dropout)
        self.body: nn.Module = _Attention(spec) if spec.kind == "attention" else _Recurrent(spec)
        self.leave = nn.Linear(spec.width, dim)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)
        self.age = nn.Parameter(_DECAY * torch.arange(spec.length, dtype=torch.float32))
        self.share = nn.Parameter(torch.ones(len(spec.dims)))

    def forward(self, rows: Tensor, types: Tensor | None = None, gaps: Tensor | None = None) -> Tensor:
        """Answer (n, L, D) to `rows` (n, L, D); `types` (n, L) are numbers of events, `gaps` (n, L) steps.

        Rows after a session's last change nothing before them, so shorter sessions are filled up at the end.
        """
        state = self.enter(rows)
        if self.types is not None and types is not None:
            state = state + self.types(types)
        if self.gaps is not None and gaps is not None:
            state = state + self.gaps(gaps)
        found = self.leave(self.body(self.dropout(state)))
        return bounded(found + self._shares(rows) * self._mean(rows), self.spec.dims)

    def _mean(self, rows: Tensor) -> Tensor:
        """Return the weighted mean (n, L, D) of the views up to each."""
        weights = torch.softmax(by_distance(-self.age, rows.shape[1]), dim=-1)
        return torch.einsum("ts,nsd->ntd", weights.to(rows.dtype), rows)

    def _shares(self, rows: Tensor) -> Tensor:
        dims = torch.tensor(self.spec.dims, device=rows.device)
        return self.share.repeat_interleave(dims).to(rows.dtype)


class _Attention(nn.Module):
    def __init__(self, spec: SequenceSpec) -> None:
        super().__init__()
        self.layers = nn.ModuleList(_Layer(spec) for _ in range(spec.layers))
        self.norm = nn.RMSNorm(spec.width)

    def forward(self, state: Tensor) -> Tensor:
        for layer in self.layers:
            state = layer(state)
        normed: Tensor = self.norm(state)
        return normed


class _Layer(nn.Module):
    """Gated residual attention and a gated feed-forward part (LiGR: Borisyuk et al. 2025, arXiv 2502.03417).

    Instead of places, attention knows how many views lie between two: a session may start anywhere.
    """

    def __init__(self, spec: SequenceSpec) -> None:
        super().__init__()
        width = spec.width
        self.heads, self.rate = spec.heads, spec.dropout
        self.norm_attention, self.norm_forward = nn.RMSNorm(width), nn.RMSNorm(width)
        self.mix = nn.Linear(width, 3 * width)
        self.join = nn.Linear(width, width)
        self.gate_attention, self.gate_forward = nn.Linear(width, width), nn.Linear(width, width)
        self.distance = nn.Parameter(torch.zeros(spec.heads, spec.length))
        self.widen = nn.Linear(width, 4 * width)
        self.narrow = nn.Linear(2 * width, width)
        self.dropout = nn.Dropout(spec.dropout)

    def forward(self, state: Tensor) -> Tensor:
        normed = self.norm_attention(state)
        attended = self.dropout(self.join(self._attend(normed)))
        state = state + torch.sigmoid(self.gate_attention(normed)) * attended
        normed = self.norm_forward(state)
        value, gate = self.widen(normed).chunk(2, dim=-1)
        fed = self.dropout(self.narrow(self.dropout(value * functional.silu(gate))))
        out: Tensor = state + torch.sigmoid(self.gate_forward(normed)) * fed
        return out

    def _attend(self, normed: Tensor) -> Tensor:
        n, length, width = normed.shape
        query, key, value = (
            part.view(n, length, self.heads, width // self.heads).transpose(1, 2)
            for part in self.mix(normed).chunk(3, dim=-1)
        )
        mixed = functional.scaled_dot_product_attention(
            query, key, value,
            attn_mask=by_distance(self.distance, length).to(query.dtype),
            dropout_p=self.rate if self.training else 0.0,
        )  # fmt: skip
        return mixed.transpose(1, 2).reshape(n, length, width)


class _Recurrent(nn.Module):
    def __init__(self, spec: SequenceSpec) -> None:
        super().__init__()
        rate = spec.dropout if spec.layers > 1 else 0.0
        self.cells = nn.GRU(spec.width, spec.width, spec.layers, batch_first=True, dropout=rate)
        self.norm = nn.RMSNorm(spec.width)

    def forward(self, state: Tensor) -> Tensor:
        normed: Tensor = self.norm(self.cells(state)[0])
        return normed


def by_distance(values: Tensor, length: int) -> Tensor:
    """Lay `values` (…, M) out by how far back a view is (…, L, L); -inf for what is ahead.

    Views farther back than M have the last value.
    """
    places = torch.arange(length, device=values.device)
    back = places[:, None] - places[None, :]
    laid = values[..., back.clamp(min=0, max=values.shape[-1] - 1)]
    return laid.masked_fill(back < 0, float("-inf"))


def bounded(rows: Tensor, dims: Sequence[int]) -> Tensor:
    """Shrink every block of `rows` (…, D) to a norm below 1: r becomes r / sqrt(1 + r²)."""
    parts = torch.split(rows, list(dims), dim=-1)
    return torch.cat(
        [part * torch.rsqrt(1.0 + part.square().sum(-1, keepdim=True)) for part in parts], dim=-1
    )
