"""Behaviour vectors made wider by the co-visits themselves, once they are learned.

Learned vectors are narrow and know what is alike. They cannot keep apart every product of a large shop, and
which ones each was viewed beside. A random projection of the graph can, and needs no training.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from vision_rec.sessions.network import SequenceNetwork
from vision_rec.training.session_graph import covisits, projected
from vision_rec.training.session_ranks import Trials, figures, model_score
from vision_rec.training.session_recipe import SessionRecipe
from vision_rec.training.train_session import SessionData, Start, Trained, make_objective


def widened(trained: Trained, data: SessionData, recipe: SessionRecipe, trials: Trials) -> Trained:
    """Return the model with `recipe.projected` more values in its vectors, or itself where that is 0.

    A vector becomes [√(1 − s) · learned | √s · projected], s the `projected_share`. The network sees and
    answers the learned part as before; in the other it answers the mean of the views, as it weighs them.
    The figures are those of `trials`.
    """
    if not recipe.projected:
        return trained
    share = recipe.projected_share
    graph = covisits(data.train, window=recipe.projected_window, half_life=recipe.projected_half_life)
    rows = projected(graph, recipe.graph, recipe.projected, recipe.seed)
    with torch.no_grad():
        learned = trained.objective.vectors()
        vectors = torch.cat([(1.0 - share) ** 0.5 * learned, share**0.5 * rows], dim=1)
        vectors = vectors * learned.any(dim=1, keepdim=True)
        state = _wider(trained.objective.network, recipe.projected, (1.0 - share) ** 0.5)
    flat = replace(recipe, graph=0.0, projected=0)  # nothing is learned any more
    objective = make_objective(data, flat, Start(state, vectors.numpy())).eval()
    found = figures(model_score(objective), trials, len(data), drop_seen=recipe.drop_seen)
    return replace(trained, objective=objective, figures=found)


def _wider(network: SequenceNetwork, more: int, length: float) -> Mapping[str, Tensor]:
    """Return the weights of a network that reads and answers `more` values, to which its layers say nothing.

    Its last block is `length` as long as it was; what the layers see of it stays.
    """
    state = {name: value.clone() for name, value in network.state_dict().items()}
    dim = network.spec.dims[-1]
    enter, leave, bias = state["enter.weight"], state["leave.weight"], state["leave.bias"]
    enter[:, -dim:] /= length
    leave[-dim:] *= length
    bias[-dim:] *= length
    state["enter.weight"] = torch.cat([enter, enter.new_zeros(len(enter), more)], dim=1)
    state["leave.weight"] = torch.cat([leave, leave.new_zeros(more, leave.shape[1])])
    state["leave.bias"] = torch.cat([bias, bias.new_zeros(more)])
    return state
