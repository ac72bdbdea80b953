"""How likely visitors come back to what they viewed: learned after the model, from what it is validated on.

A product just viewed is nearest to any mean of the views, so without this it comes first whether people come
back to it or not. On real sessions (Diginetica) a fifth of the next views are of products viewed before.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from vision_rec.sessions.returns import returning
from vision_rec.training.session_ranks import Figures, Score, Trials, figures, model_score
from vision_rec.training.session_recipe import SessionRecipe
from vision_rec.training.train_session import SessionData, Trained

VIEWS = 2  # told apart: the last, and all before
_ACTS = 20_000  # predicted at most
_ENOUGH = 500  # fewer say nothing
_TRIED = sorted((step / 100 for step in range(-30, 31)), key=abs)  # of equals the nearest to 0 is taken
_ROUNDS = 3
_PLACES = 10  # that NDCG@10 looks at
_AT_ONCE = 1 << 24  # scores


def with_returns(trained: Trained, data: SessionData, recipe: SessionRecipe, trials: Trials) -> Trained:
    """Return the model with what its answers add to products viewed: see `returning`.

    Itself where the recipe ranks only new products, or too few acts are held out. What is added is chosen by
    NDCG@10 on the acts held out; the figures are those of `trials`.
    """
    if recipe.drop_seen:
        return trained
    asked = Trials.of(data.validation.sample(_ACTS, recipe.seed), length=recipe.length, drop_seen=False)
    if len(asked) < _ENOUGH:
        return trained
    returns = fit_returns(model_score(trained.objective), asked, len(data))
    return returning_so(trained, returns, data, trials)


def returning_so(trained: Trained, returns: tuple[float, ...], data: SessionData, trials: Trials) -> Trained:
    """Give the model these `returns` and return it with its figures on `trials`."""
    network = trained.objective.network
    network.spec = replace(network.spec, returns=returns)
    found = figures(model_score(trained.objective), trials, len(data), drop_seen=False)
    return replace(trained, figures=found)


def fit_returns(score: Score, trials: Trials, products: int) -> tuple[float, ...]:
    """Return what to add to the scores of products viewed so that NDCG@10 of `trials` is best.

    One amount after the other is tried, three times around; there are `VIEWS` of them.
    """
    drawn = _Drawn.of(score, trials, products)
    found = [0.0] * VIEWS
    for _ in range(_ROUNDS):
        for place in range(VIEWS):
            tried = [[*found[:place], value, *found[place + 1 :]] for value in _TRIED]
            found = max(tried, key=lambda amounts: drawn.figures(amounts).ndcg10)
    return tuple(found)


@dataclass(frozen=True)
class _Drawn:
    """Of n predictions all that their first places depend on, whatever is added to products viewed.

    `best` (n, P) are the highest scores of products not viewed. `seen` (n, L) are those of products viewed,
    `back` (n, L) which amount each gets, -1 behind the last. `hit` (n,) is the score of the product wanted,
    `place` (n,) where it is among `seen`, -1 where it was not viewed.
    """

    best: Tensor
    seen: Tensor
    back: Tensor
    hit: Tensor
    place: Tensor

    @classmethod
    def of(cls, score: Score, trials: Trials, products: int) -> _Drawn:
        parts: list[tuple[Tensor, ...]] = []
        longest = int(trials.lengths.max())
        with torch.inference_mode():
            for part in trials.chunks(min(512, max(1, _AT_ONCE // products))):
                parts.append(_drawn(score(part).cpu(), part, longest))
        return cls(*(torch.cat(column) for column in zip(*parts, strict=True)))

    def figures(self, amounts: list[float]) -> Figures:
        """Return the figures with `amounts` added; places behind the tenth count as behind all."""
        added = torch.tensor([*amounts, -torch.inf])[self.back]
        seen = self.seen + added
        viewed = self.place >= 0
        own = seen.gather(1, self.place.clamp(min=0)[:, None])[:, 0]
        hit = torch.where(viewed, own, self.hit)[:, None]
        ranks = (self.best >= hit).sum(1) + (seen >= hit).sum(1) - viewed.long()
        return Figures.of(ranks.numpy())


def _drawn(scores: Tensor, part: Trials, longest: int) -> tuple[Tensor, ...]:
    items = part.histories()[0].numpy()
    numbers, viewed, back = returning(range(VIEWS), items, part.lengths)
    at, product = torch.from_numpy(numbers), torch.from_numpy(viewed)
    column = torch.arange(len(at)) - torch.searchsorted(at, at)  # the first of a session is 0
    seen = torch.full((len(scores), longest), -torch.inf)
    which = torch.full((len(scores), longest), -1)
    seen[at, column], which[at, column] = scores[at, product], torch.from_numpy(back).long()
    wanted = torch.from_numpy(part.held.sequences.items[part.targets].astype("int64"))
    hit = scores.gather(1, wanted[:, None])[:, 0].clone()
    place = torch.full((len(scores),), -1)
    own = product == wanted[at]
    place[at[own]] = column[own]
    scores[at, product] = -torch.inf
    scores[torch.arange(len(scores)), wanted] = -torch.inf  # nothing comes after itself
    return scores.topk(min(_PLACES, scores.shape[1]), dim=1).values, seen, which, hit, place
