"""The session pair in use, as what the next training goes on from and is compared with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from vision_rec.errors import IntegrityError
from vision_rec.fusion import unit
from vision_rec.sessions.pair import (
    BEHAVIOUR,
    MODEL,
    BehaviourTable,
    PairConfig,
    read_arrays,
    read_config,
    read_table,
)
from vision_rec.sessions.spec import SequenceSpec
from vision_rec.training.session_events import Content
from vision_rec.training.session_ranks import Figures, figures, model_score
from vision_rec.training.session_recipe import SessionRecipe
from vision_rec.training.train_session import SessionTrainer, Start, make_objective
from vision_rec.types import Array


@dataclass(frozen=True)
class Previous:
    """A pair that was published before."""

    folder: Path
    config: PairConfig
    table: BehaviourTable

    @classmethod
    def read(cls, folder: Path) -> Previous:
        """Read the pair in `folder`; raises what reading it raises."""
        return cls(folder, read_config(folder), read_table(folder))

    def fits(self, content: Content) -> bool:
        """Whether its model reads rows with this content beside the behaviour block."""
        own = [(a.name, a.dim) for a in self.config.layout.aspects if a.name != BEHAVIOUR]
        return own == [(a.name, a.dim) for a in content.aspects] and dict(self.config.encoders) == dict(
            content.encoders
        )

    def spec(self) -> SequenceSpec:
        """Return the form of its model."""
        return SequenceSpec.from_fields(dict(self.config.spec or {}))

    def recipe(self, recipe: SessionRecipe) -> SessionRecipe:
        """Return a recipe for a short training of its model as it is."""
        spec = self.spec()
        return replace(
            recipe, kind=spec.kind, width=spec.width, layers=spec.layers, heads=spec.heads,
            length=spec.length, dim=spec.dims[-1], event_types=spec.event_types > 0, projected=0,
            hold=spec.hold,
            epochs=recipe.continue_epochs, rate=recipe.continue_rate,
        )  # fmt: skip

    def vectors_of(self, products: Sequence[str]) -> Array:
        """Return the behaviour vectors (M, d) of products, of norm 1, or zero where there was none."""
        return unit(self.table.blocks(products))

    def start(self, products: Sequence[str]) -> Start:
        """Return what a training on `products` starts from."""
        weights = read_arrays(self.folder, MODEL, self.config)
        tensors = {name: torch.from_numpy(value.astype(np.float32)) for name, value in weights.items()}
        return Start(tensors, self.vectors_of(products))

    def figures(self, trainer: SessionTrainer) -> Figures:
        """Return its figures on what a new training is validated on; raises IntegrityError where broken."""
        data, start = trainer.data, self.start(trainer.data.train.products)
        own = replace(data, has_vector=np.any(start.vectors, axis=1))
        try:
            objective = make_objective(own, trainer.recipe, start)
        except RuntimeError as error:
            raise IntegrityError(f"the sequence model in {self.folder} cannot be used: {error}") from error
        objective.network.spec = replace(objective.network.spec, returns=self.spec().returns)
        objective.weigh([aspect.gain * aspect.default_weight for aspect in self.config.layout.aspects])
        return figures(model_score(objective), trainer.trials, len(data), drop_seen=trainer.recipe.drop_seen)
