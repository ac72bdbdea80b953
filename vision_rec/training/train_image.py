"""Train the bundled image network from random weights: a plain loop with checkpoints and validation."""

from __future__ import annotations

import copy
import json
import math
import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from vision_rec.encoders import palette
from vision_rec.encoders.network import ImageNetwork
from vision_rec.training.augment import augment
from vision_rec.training.batches import Batches, Classes, RawBatch
from vision_rec.training.data import Source
from vision_rec.training.objective import LossWeights, Objective, Targets


@dataclass(frozen=True)
class ImageTraining:
    """The recipe; the defaults follow the bundled weights, `train image --recipe` reads others."""

    steps: int = 16_300
    batch: int = 64
    sides: tuple[tuple[float, int], ...] = (
        (0.0, 80),
        (0.6, 96),
        (0.88, 112),
    )  # from this share of the run, this side
    rate: float = 2e-3
    decay: float = 0.05
    warmup: float = 0.03
    average: float = 0.999
    seed: int = 0
    shares: Mapping[str, float] = field(
        default_factory=lambda: {"fashion_small": 0.38, "fashion": 0.26, "clothing": 0.22, "drawn": 0.14}
    )
    losses: LossWeights = LossWeights()
    threads: int = 0
    save_every: int = 500


Report = Callable[[Mapping[str, float]], None]


class Trainer:
    """Holds one run; `run` can be stopped at any time and resumed from its last checkpoint."""

    def __init__(
        self,
        recipe: ImageTraining,
        sources: Sequence[Source],
        folder: Path,
        teacher: Mapping[str, npt.NDArray[np.float16]] | None = None,
        *,
        network: ImageNetwork | None = None,
        objective: type[Objective] = Objective,
        batches: type[Batches] = Batches,
    ) -> None:
        torch.manual_seed(recipe.seed)
        if recipe.threads:
            torch.set_num_threads(recipe.threads)
        self.recipe, self.folder = recipe, folder
        folder.mkdir(parents=True, exist_ok=True)
        self.classes = Classes.of(sources)
        self.batches = batches(sources, recipe.shares, self.classes, teacher or {}, seed=recipe.seed)
        counts = {task: len(names) for task, names in self.classes.names.items()}
        table = torch.from_numpy(palette.table())
        self.objective = objective(
            network or ImageNetwork(), table, counts, self.batches.width, recipe.losses
        ).to(memory_format=torch.channels_last)
        self.averaged: nn.Module = copy.deepcopy(self.objective).eval()
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.objective.to(self.device)
        self.averaged.to(self.device)
        self.optimiser = torch.optim.AdamW(_groups(self.objective, recipe.decay), lr=recipe.rate, fused=True)
        self.rng = torch.Generator().manual_seed(recipe.seed)
        self.step = 0

    def run(self, report: Report, validate: Callable[[Objective], None] | None = None) -> Objective:
        """Train to the last step and return the averaged objective, in evaluation mode."""
        started, seen = time.monotonic(), 0
        for jittered, targets in ahead(self._prepared()):
            losses = self._one(jittered, targets)
            self.step, seen = self.step + 1, seen + self.recipe.batch
            if self.step % 25 == 0:
                rate = seen / (time.monotonic() - started)
                report({"step": self.step, "pictures_per_s": rate, **losses})
            if self.step % self.recipe.save_every == 0 or self.step == self.recipe.steps:
                self.save()
                if validate is not None:
                    validate(self.averaged)  # type: ignore[arg-type]
        return self.averaged  # type: ignore[return-value]

    def _prepared(self) -> Iterator[tuple[Tensor, Targets]]:
        """Yield augmented batches up to the last step."""
        stream = self.batches.stream(self.recipe.batch)
        for step in range(self.step, self.recipe.steps):
            raw = next(stream)
            share = step / self.recipe.steps
            side = [size for start, size in self.recipe.sides if share >= start][-1]
            batch = augment(raw.pixels, raw.background, raw.product, side, self.rng, raw.photos)
            jittered = ((batch.jittered - 128.0) / 64.0).to(self.device, memory_format=torch.channels_last)
            yield jittered, self._targets(raw, batch.picture, batch.background, batch.product)

    def _one(self, jittered: Tensor, targets: Targets) -> dict[str, float]:
        share = self.step / self.recipe.steps
        for group in self.optimiser.param_groups:
            group["lr"] = self.recipe.rate * _schedule(share, self.recipe.warmup)
        self.objective.train()
        with torch.autocast(self.device.type, torch.bfloat16):
            losses = self.objective(jittered, targets)
        total: Tensor = torch.stack(list(losses.values())).sum()
        self.optimiser.zero_grad(set_to_none=True)
        total.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.objective.parameters(), 5.0)
        self.optimiser.step()
        self._average()
        return {name: float(value.detach()) for name, value in losses.items()}

    def _targets(self, raw: RawBatch, picture: Tensor, background: Tensor, product: Tensor) -> Targets:
        """Bring pixels and masks to the mask's resolution; one true pixel per cell, never a mixture."""
        cell = 4
        corner = int(torch.randint(cell, (1,), generator=self.rng))
        sampled = picture[:, :, corner::cell, corner::cell].permute(0, 2, 3, 1)
        cells = palette.codes(sampled.round().clamp(0, 255).to(torch.uint8).numpy())
        members = {task: flags.to(self.device) for task, flags in raw.members.items()}
        return Targets(
            members,
            raw.teacher.to(self.device),
            raw.residual.to(self.device),
            torch.from_numpy(cells).to(self.device),
            F.avg_pool2d(background[:, None], cell)[:, 0].to(self.device),
            F.avg_pool2d(product[:, None], cell)[:, 0].to(self.device),
        )

    def _average(self) -> None:
        """Keep a moving average of weights and buffers; it is what is validated and published."""
        keep = min(self.recipe.average, (self.step + 1) / (self.step + 10))
        live, averaged = self.objective.state_dict(), self.averaged.state_dict()
        moving = [name for name, value in averaged.items() if value.dtype.is_floating_point]
        with torch.no_grad():
            torch._foreach_lerp_(
                [averaged[name] for name in moving], [live[name] for name in moving], 1 - keep
            )
            for name in averaged.keys() - set(moving):
                averaged[name].copy_(live[name])

    def save(self) -> None:
        """Write a checkpoint: weights as safetensors, the step and the classes as JSON."""
        tensors = {f"live.{name}": value for name, value in self.objective.state_dict().items()}
        tensors |= {f"averaged.{name}": value for name, value in self.averaged.state_dict().items()}
        names = [name for name, _ in self.objective.named_parameters()]
        for position, state in self.optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser.{position}.{key}": value for key, value in state.items()}
        partial = self.folder / "checkpoint.partial"
        save_file({name: value.contiguous().cpu().clone() for name, value in tensors.items()}, partial)
        partial.replace(self.folder / "checkpoint.safetensors")
        state = {"step": self.step, "classes": dict(self.classes.names), "parameters": names}
        (self.folder / "checkpoint.json").write_text(json.dumps(state | {"recipe": asdict(self.recipe)}))

    def resume(self) -> bool:
        """Continue from the folder's checkpoint, if there is one of the same classes."""
        file = self.folder / "checkpoint.safetensors"
        if not file.is_file():
            return False
        state: dict[str, Any] = json.loads((self.folder / "checkpoint.json").read_text())
        if {task: tuple(names) for task, names in state["classes"].items()} != dict(self.classes.names):
            return False
        tensors = load_file(file, device=str(self.device))
        self.objective.load_state_dict(_part(tensors, "live."))
        self.averaged.load_state_dict(_part(tensors, "averaged."))
        saved = self.optimiser.state_dict()
        saved["state"] = {}
        for name, value in _part(tensors, "optimiser.").items():
            position, key = name.split(".", 1)
            saved["state"].setdefault(int(position), {})[key] = value
        self.optimiser.load_state_dict(saved)
        self.step = int(state["step"])
        # The stream goes on with fresh draws rather than repeating those before the stop.
        self.batches.rng = np.random.default_rng((self.recipe.seed, self.step))
        self.rng.manual_seed(self.recipe.seed + self.step)
        return True


def ahead(batches: Iterator[tuple[Tensor, Targets]], depth: int = 3) -> Iterator[tuple[Tensor, Targets]]:
    """Yield `batches` in order, prepared by a thread of their own while the network is busy."""
    ready: queue.Queue[tuple[Tensor, Targets] | BaseException | None] = queue.Queue(depth)

    def prepare() -> None:
        try:
            for batch in batches:
                ready.put(batch)
            ready.put(None)
        except BaseException as error:  # handed to the consumer, who raises it
            ready.put(error)

    threading.Thread(target=prepare, daemon=True).start()
    while (item := ready.get()) is not None:
        if isinstance(item, BaseException):
            raise item
        yield item


def _part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _schedule(share: float, warmup: float) -> float:
    """Linear warm-up, then half a cosine down to 1 % of the rate."""
    if share < warmup:
        return (share + 1e-3) / (warmup + 1e-3)
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * (share - warmup) / (1 - warmup)))


def _groups(module: nn.Module, decay: float) -> list[dict[str, Any]]:
    """Split parameters: matrices and kernels decay; norms, biases, proxies and the metric do not."""
    free: list[nn.Parameter] = []
    decayed: list[nn.Parameter] = []
    for name, parameter in module.named_parameters():
        plain = parameter.ndim < 2 or "proxies" in name or "metric" in name
        (free if plain else decayed).append(parameter)
    return [{"params": decayed, "weight_decay": decay}, {"params": free, "weight_decay": 0.0}]
