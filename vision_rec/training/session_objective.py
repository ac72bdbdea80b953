"""What a session model is trained for: after every view, the next product among all others.

The objective of SASRec (Kang and McAuley 2018, arXiv 1808.09781) with the cross-entropy over all products,
or over many drawn ones, in place of one negative (Klenitskiy and Vasilev 2023, arXiv 2309.07602). Behaviour
vectors are learned with the network, as the products' block `behaviour`; content blocks stay as they are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from vision_rec.sessions.network import SequenceNetwork
from vision_rec.training.session_batches import Batch
from vision_rec.training.session_graph import smoothed
from vision_rec.training.session_recipe import SessionRecipe

_MAX_SCALE = 400.0


class SessionObjective(nn.Module):
    """A network, the behaviour vectors of M products, and the loss that both learn from.

    A row is [content | behaviour]. `content` (M, C) has the blocks of the products' rows before the last and
    may have no width; `has_vector` (M,) says which products have a behaviour vector at all. Vectors are
    smoothed over the `graph` (M, M) of co-visits, if there is one, and begin at `base` (M, d).
    """

    content: Tensor
    has_vector: Tensor
    factors: Tensor
    base: Tensor
    graph: Tensor | None

    def __init__(
        self,
        network: SequenceNetwork,
        content: Tensor,
        has_vector: Tensor,
        factors: Sequence[float],
        recipe: SessionRecipe,
        *,
        graph: Tensor | None = None,
        base: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.network, self.recipe = network, recipe
        dim = network.spec.dims[-1]
        spread = recipe.start if base is None else 0.0
        self.table = nn.Parameter(torch.randn(len(content), dim) * spread)
        self.register_buffer("graph", graph, persistent=False)
        self.register_buffer("base", torch.zeros(1, dim) if base is None else base, persistent=False)
        self.log_scale = nn.Parameter(torch.tensor(math.log(recipe.scale)), requires_grad=recipe.learn_scale)
        self.register_buffer("content", content, persistent=False)
        self.register_buffer("has_vector", has_vector, persistent=False)
        self.register_buffer("factors", torch.ones(sum(network.spec.dims)))
        self.weigh(factors)

    @property
    def scale(self) -> Tensor:
        """How much the logit of a behaviour block counts."""
        return self.log_scale.exp().clamp(max=_MAX_SCALE)

    @property
    def cold(self) -> float:
        """The share of rows whose behaviour block is dropped: none where there is nothing else."""
        return self.recipe.cold if self.content.shape[1] else 0.0

    def weigh(self, factors: Sequence[float]) -> None:
        """Take the factor of each block in a score, as the layout's gains and default weights give them.

        They are brought to 1 for the last block, behaviour: ranks stay the same, and the scale means one
        thing with content and without.
        """
        spread = [
            factor / factors[-1] for factor, dim in zip(factors, self.network.spec.dims, strict=True)
            for _ in range(dim)
        ]  # fmt: skip
        self.factors.copy_(torch.tensor(spread))

    def vectors(self) -> Tensor:
        """Return the behaviour vectors (M, d): unit vectors, zero where a product has none."""
        vectors = self.base + self.table
        if self.graph is not None:
            vectors = vectors + self.recipe.graph * smoothed(self.graph, self.table)
        return functional.normalize(vectors, dim=1) * self.has_vector[:, None]

    def forward(self, batch: Batch) -> Tensor:
        """Return the loss of a batch: the mean cross-entropy of the products that came next."""
        vectors = self.vectors()
        rows = self.rows_of(batch.viewed, vectors)
        if self.training:
            rows = self._damaged(rows)
        seen = self.recipe.event_types
        answers = self.network(rows, batch.types if seen else None, batch.gaps if seen else None)
        counted = batch.real
        if not self.content.shape[1]:  # without a vector there is nothing to find a product by
            counted = counted & self.has_vector[batch.wanted]
        return self.loss(answers[counted], batch.wanted[counted], vectors)

    def loss(self, answers: Tensor, wanted: Tensor, vectors: Tensor) -> Tensor:
        """Return the mean loss of answers (T, D) to the products `wanted` (T,), given behaviour vectors."""
        if not len(wanted):
            return answers.sum() * 0.0
        drawn = self.recipe.candidates(len(self.content))
        scaled = answers * self.factors
        if drawn == 0:
            logits = self._logits(scaled, self.content, self._dropped(vectors))
            hit = logits.gather(1, wanted[:, None])[:, 0]
            return _cross_entropy(logits, hit, None, self.recipe.smoothing)
        among = torch.randint(len(self.content), (drawn,), device=wanted.device)
        logits = self._logits(scaled, self.content[among], self._dropped(vectors[among]))
        rows = torch.cat([self.content[wanted], self._dropped(vectors[wanted])], dim=1)
        hit = (scaled * rows).sum(1).float() * self.scale
        same = among[None, :] == wanted[:, None]
        return _cross_entropy(logits, hit, same, self.recipe.smoothing)

    def rows_of(self, products: Tensor, vectors: Tensor) -> Tensor:
        """Return the rows (…, D) of products, by number."""
        return torch.cat([self.content[products], vectors[products]], dim=-1)

    def _logits(self, scaled: Tensor, content: Tensor, behaviour: Tensor) -> Tensor:
        width = content.shape[1]
        scores = scaled[:, width:] @ behaviour.T
        if width:
            scores = scores + scaled[:, :width] @ content.T
        return scores.float() * self.scale

    def _damaged(self, rows: Tensor) -> Tensor:
        """Drop values of viewed rows, and behaviour blocks as a whole: new products have none."""
        if self.cold:
            width = self.content.shape[1]
            kept = self._dropped(rows[..., width:].flatten(0, 1)).view_as(rows[..., width:])
            rows = torch.cat([rows[..., :width], kept], dim=-1)
        return functional.dropout(rows, self.recipe.input_dropout)

    def _dropped(self, vectors: Tensor) -> Tensor:
        if not (self.training and self.cold):
            return vectors
        return vectors * (torch.rand(len(vectors), 1, device=vectors.device) >= self.cold)


def _cross_entropy(logits: Tensor, hit: Tensor, same: Tensor | None, smoothing: float) -> Tensor:
    """Return the mean cross-entropy of `hit` (T,) among `logits` (T, K).

    Where `same` (T, K) is None the hit is one of them; else it stands beside them, and entries that are the
    same product do not count. With smoothing, every entry that counts is wanted a little.
    """
    if same is None:
        total, mean = torch.logsumexp(logits, 1), logits.mean(1)
    else:
        total = torch.logsumexp(torch.cat([hit[:, None], logits.masked_fill(same, -1e4)], 1), 1)
        others = (~same).sum(1)
        mean = (hit + logits.masked_fill(same, 0.0).sum(1)) / (others + 1)
    return (total - (1 - smoothing) * hit - smoothing * mean).mean()
