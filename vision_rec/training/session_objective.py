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
from vision_rec.training.session_loss import cross_entropy_among
from vision_rec.training.session_recipe import SessionRecipe

_MAX_SCALE = 400.0


class SessionObjective(nn.Module):
    """A network, the behaviour vectors of M products, and the loss that both learn from.

    A row is [content | behaviour]. `content` (M, C) has the blocks of the products' rows before the last and
    may have no width; `has_vector` (M,) says which products have a behaviour vector at all. Vectors are
    smoothed over the last of the `graphs` (M, M) of co-visits, if there are any, in training over that of the
    batch's fold, and begin at `base` (M, d). `counts` (M,) are the products' views: what popularity explains,
    the vectors need not (logit adjustment, Menon et al. 2021, arXiv 2007.07314), as far as the recipe's
    `debias` says.

    Beside content, every step plays that a share of the products, `cold`, is new: viewed, wanted or among the
    candidates, they have no behaviour block and no popularity (as in DropoutNet, Volkovs et al. 2017). So the
    others learn to leave them room. Products that nobody viewed are no candidates: nobody turned them down.
    """

    content: Tensor
    has_vector: Tensor
    factors: Tensor
    base: Tensor
    candidates: Tensor
    prior: Tensor | None

    def __init__(
        self,
        network: SequenceNetwork,
        content: Tensor,
        has_vector: Tensor,
        factors: Sequence[float],
        recipe: SessionRecipe,
        *,
        graphs: Sequence[Tensor] = (),
        base: Tensor | None = None,
        counts: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.network, self.recipe = network, recipe
        dim = network.spec.dims[-1]
        spread = recipe.start if base is None else 0.0
        self.table = nn.Parameter(torch.randn(len(content), dim) * spread)
        self.graphs = [f"graph_{fold}" for fold in range(len(graphs))]
        for name, graph in zip(self.graphs, graphs, strict=True):
            self.register_buffer(name, graph, persistent=False)
        self.register_buffer("base", torch.zeros(1, dim) if base is None else base, persistent=False)
        # How far apart content blocks lie differs from shop to shop, so beside them the scale is learned.
        scale, learned = math.log(recipe.scale), recipe.learn_scale or content.shape[1] > 0
        # What all vectors share would be a bonus over new products, which have none. A model that is gone on
        # from has centred vectors already.
        self.centres = base is None and content.shape[1] > 0
        self.log_scale = nn.Parameter(torch.tensor(scale), requires_grad=learned)
        self.register_buffer("content", content, persistent=False)
        self.register_buffer("has_vector", has_vector, persistent=False)
        prior = None if counts is None else recipe.debias * torch.log1p(counts.float())
        self.register_buffer("prior", prior, persistent=False)
        viewed = has_vector if counts is None else has_vector | (counts > 0)
        viewed = viewed if content.shape[1] else torch.ones_like(viewed)
        self.register_buffer("candidates", viewed.nonzero()[:, 0], persistent=False)
        self.register_buffer("factors", torch.ones(sum(network.spec.dims)))
        self.weigh(factors)

    @property
    def scale(self) -> Tensor:
        """The logit of a row that is hit exactly in all its blocks."""
        return self.log_scale.exp().clamp(max=_MAX_SCALE)

    @property
    def cold(self) -> float:
        """The share of products that a step takes for new: none where rows say nothing else of them."""
        return self.recipe.cold if self.content.shape[1] else 0.0

    def weigh(self, factors: Sequence[float]) -> None:
        """Take the factor of each block in a score, as the layout's gains and default weights give them.

        They are brought to the sum 1, as weights are when a query is answered.
        """
        spread = [
            factor / sum(factors) for factor, dim in zip(factors, self.network.spec.dims, strict=True)
            for _ in range(dim)
        ]  # fmt: skip
        self.factors.copy_(torch.tensor(spread))

    def vectors(self, fold: int = -1) -> Tensor:
        """Return the behaviour vectors (M, d): unit vectors, zero where a product has none."""
        vectors = self.base + self.table
        if self.graphs:
            graph = self.get_buffer(self.graphs[fold])
            vectors = vectors + self.recipe.graph * smoothed(graph, self.table)
        known = self.has_vector[:, None]
        vectors = functional.normalize(vectors, dim=1) * known
        if self.centres:
            mean = vectors.sum(0) / known.sum().clamp(min=1)
            vectors = functional.normalize(vectors - mean, dim=1) * known
        return vectors

    def forward(self, batch: Batch) -> Tensor:
        """Return the loss of a batch: the mean cross-entropy of the products that came next."""
        vectors = self.vectors(batch.fold if self.training else -1)
        prior = self.prior
        if self.training and self.cold:
            old = torch.rand(len(vectors), device=vectors.device) >= self.cold
            vectors = vectors * old[:, None]
            prior = None if prior is None else prior * old
        rows = self.rows_of(batch.viewed, vectors)
        if self.training:
            rows = functional.dropout(rows, self.recipe.input_dropout)
        seen = self.recipe.event_types
        answers = self.network(rows, batch.types if seen else None, batch.gaps if seen else None)
        counted = batch.real
        if not self.content.shape[1]:  # without a vector there is nothing to find a product by
            counted = counted & self.has_vector[batch.wanted]
        return self.loss(answers[counted], batch.wanted[counted], vectors, prior)

    def loss(self, answers: Tensor, wanted: Tensor, vectors: Tensor, prior: Tensor | None) -> Tensor:
        """Return the mean loss of answers (T, D) to the products `wanted` (T,).

        `vectors` (M, d) are the products' behaviour vectors, `prior` (M,) is what is added to their logits.
        """
        if not len(wanted):
            return answers.sum() * 0.0
        among = self._drawn()
        return cross_entropy_among(
            answers * self.factors,
            self.rows_of(wanted, vectors),
            self.rows_of(among, vectors),
            (wanted, among),
            self.scale,
            smoothing=self.recipe.smoothing,
            prior=prior,
            dtype=torch.bfloat16 if self.recipe.bf16 else torch.float32,
        )

    def rows_of(self, products: Tensor, vectors: Tensor) -> Tensor:
        """Return the rows (…, D) of products, by number."""
        return torch.cat([self.content[products], vectors[products]], dim=-1)

    def _drawn(self) -> Tensor:
        """Return the products that are compared with: all candidates, or some of them."""
        count = len(self.candidates)
        drawn = self.recipe.candidates(count)
        if not drawn:
            return self.candidates
        return self.candidates[torch.randint(count, (drawn,), device=self.candidates.device)]
