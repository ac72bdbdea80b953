"""Where the products that visitors looked at next stand among all products: what validation goes by."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vision_rec.sessions import RecencyMean
from vision_rec.sessions.model import gap_steps
from vision_rec.sessions.returns import returning
from vision_rec.sessions.sequences import HeldOut
from vision_rec.training.session_objective import SessionObjective

Ints = npt.NDArray[np.int64]
_AT_ONCE = 1 << 25  # scores


@dataclass(frozen=True, slots=True)
class Figures:
    """How well the next acts of visitors were predicted, of `count` acts."""

    hr10: float
    ndcg10: float
    mrr: float
    count: int

    @classmethod
    def of(cls, ranks: Ints) -> Figures:
        """Return the figures of `ranks` (n,), 0 the best."""
        if not len(ranks):
            return cls(0.0, 0.0, 0.0, 0)
        hit = ranks < 10
        return cls(
            hr10=float(hit.mean()),
            ndcg10=float((hit / np.log2(ranks + 2.0)).mean()),
            mrr=float((1.0 / (ranks + 1.0)).mean()),
            count=len(ranks),
        )


@dataclass(frozen=True, slots=True)
class Trials:
    """Acts to predict, n of them: the last `lengths` acts before `targets`, which are places in `held`.

    `begins` are the first acts of their visitors.
    """

    held: HeldOut
    targets: Ints
    begins: Ints
    lengths: Ints

    @classmethod
    def of(cls, held: HeldOut, *, length: int, drop_seen: bool = True) -> Trials:
        """Return what is to be predicted from up to `length` acts, by length.

        With `drop_seen`, what a visitor looks at again is not to be predicted.
        """
        sequences, targets = held.sequences, held.targets
        if drop_seen and len(targets):
            pairs = sequences.owners * max(len(sequences.products), 1) + sequences.items
            _, first = np.unique(pairs, return_index=True)
            targets = targets[np.isin(targets, first)]
        begins = sequences.starts[:-1][sequences.owners[targets]]
        lengths = np.minimum(targets - begins, length)
        order = np.argsort(lengths, kind="stable")
        return cls(held, targets[order], begins[order], lengths[order])

    def __len__(self) -> int:
        return len(self.targets)

    def chunks(self, most: int) -> Iterator[Trials]:
        """Yield up to `most` acts to predict at a time."""
        for at in range(0, len(self), most):
            part = slice(at, at + most)
            yield Trials(self.held, self.targets[part], self.begins[part], self.lengths[part])

    def histories(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return what was viewed, as what, and after what gap, (n, L) each, filled up at the end."""
        within = np.arange(int(self.lengths.max()))[None, :]
        places = (self.targets - self.lengths)[:, None] + np.minimum(within, self.lengths[:, None] - 1)
        sequences = self.held.sequences
        columns = (sequences.items[places], sequences.types[places], gap_steps(sequences.gaps)[places])
        items, types, gaps = (torch.from_numpy(column.astype(np.int64)) for column in columns)
        return items, types, gaps

    def seen(self) -> tuple[Tensor, Tensor]:
        """Return which of the n visitors saw which product before: (number, product) of each view."""
        counts = self.targets - self.begins
        numbers = np.repeat(np.arange(len(self)), counts)
        places = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        items = self.held.sequences.items[np.repeat(self.begins, counts) + places]
        return torch.from_numpy(numbers), torch.from_numpy(items.astype(np.int64))


Score = Callable[[Trials], Tensor]  # scores (n, M) of all products


def figures(score: Score, trials: Trials, products: int, *, drop_seen: bool = True) -> Figures:
    """Rank the products wanted among all `products`, but for those that the visitor saw before.

    Equal scores count against it, so that knowing nothing is not rewarded.
    """
    ranks: list[Ints] = []
    with torch.inference_mode():
        for part in trials.chunks(min(512, max(1, _AT_ONCE // max(products, 1)))):
            scores = score(part)
            wanted = torch.from_numpy(part.held.sequences.items[part.targets].astype(np.int64))
            wanted = wanted.to(scores.device)
            hit = scores.gather(1, wanted[:, None]).clone()
            if drop_seen:
                numbers, items = (index.to(scores.device) for index in part.seen())
                scores[numbers, items] = -torch.inf
                scores.scatter_(1, wanted[:, None], hit)
            ranks.append(((scores >= hit).sum(1) - 1).cpu().numpy())
    return Figures.of(np.concatenate(ranks) if ranks else np.zeros(0, np.int64))


def model_score(objective: SessionObjective) -> Score:
    """Return the scores that a model gives all products after the last view of each history."""
    objective.eval()
    with torch.no_grad():
        vectors = objective.vectors()
    device, seen = vectors.device, objective.recipe.event_types

    def score(trials: Trials) -> Tensor:
        items, types, gaps = (column.to(device) for column in trials.histories())
        rows = objective.rows_of(items, vectors)
        answers = objective.network(rows, types if seen else None, gaps if seen else None)
        last = torch.from_numpy(trials.lengths - 1).to(device)
        scores = _against_all(answers[torch.arange(len(last), device=device), last], objective, vectors)
        returns = objective.network.spec.returns
        added = (torch.from_numpy(part).to(device) for part in
                 returning(returns, items.cpu().numpy(), trials.lengths))  # fmt: skip
        numbers, products, amounts = added
        scores[numbers, products] += amounts
        return scores

    return score


def mean_score(objective: SessionObjective, mean: RecencyMean) -> Score:
    """Return the scores that the recency mean of the same rows gives all products."""
    with torch.no_grad():
        vectors = objective.vectors()

    def score(trials: Trials) -> Tensor:
        rows = objective.rows_of(trials.histories()[0].to(vectors.device), vectors)
        answers = torch.from_numpy(mean.encode(rows.cpu().numpy(), trials.lengths))
        return _against_all(answers.to(vectors.device), objective, vectors)

    return score


def popular_score(counts: Ints) -> Score:
    """Return the scores of all products by how many visitors they had."""
    scores = torch.from_numpy(counts.astype(np.float32))
    return lambda trials: scores.repeat(len(trials), 1)


def _against_all(answers: Tensor, objective: SessionObjective, vectors: Tensor) -> Tensor:
    scaled = answers * objective.factors
    width = objective.content.shape[1]
    scores = scaled[:, width:] @ vectors.T
    return scores + scaled[:, :width] @ objective.content.T if width else scores
