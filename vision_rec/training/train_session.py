"""Train a session model: a plain loop with validation, early stopping and checkpoints."""

from __future__ import annotations

import contextlib
import json
import math
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from vision_rec.fusion import Aspect, AspectLayout
from vision_rec.sessions import EVENT_TYPES
from vision_rec.sessions.network import SequenceNetwork
from vision_rec.sessions.pair import behaviour_aspect
from vision_rec.sessions.sequences import HeldOut, Sequences
from vision_rec.sessions.spec import SequenceSpec
from vision_rec.training.session_batches import SessionBatches
from vision_rec.training.session_graph import covisit_folds, smoothed
from vision_rec.training.session_objective import SessionObjective
from vision_rec.training.session_ranks import Figures, Trials, figures, model_score
from vision_rec.training.session_recipe import SessionRecipe
from vision_rec.types import Array

CHECKPOINT = "checkpoint.safetensors"
_SAVE_SECONDS = 60.0
_LEAST_RATE = 0.02  # of the schedule's end
_SMALL = 5_000  # products
Log = Callable[[str], None]


@dataclass(frozen=True)
class SessionData:
    """What is trained on: sequences over M products, what to predict, and the products' other blocks.

    `content` (M, C) has the blocks of `aspects` side by side; both may be empty. `has_vector` (M,) says which
    products are given a behaviour vector.
    """

    train: Sequences
    validation: HeldOut
    content: Array
    aspects: tuple[Aspect, ...]
    has_vector: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.content)

    def layout(self, vectors: Array) -> AspectLayout:
        """Return the layout of rows with these behaviour vectors (M, d) beside the content."""
        return AspectLayout((*self.aspects, behaviour_aspect(vectors)))


@dataclass(frozen=True, slots=True)
class Start:
    """What a continued training starts from: weights, and behaviour vectors (M, d), zero where new."""

    network: Mapping[str, Tensor]
    vectors: Array


@dataclass(frozen=True)
class Trained:
    """The model of the epoch that validated best, in evaluation mode on the CPU."""

    objective: SessionObjective
    figures: Figures
    epoch: int  # the best one, from 1
    epochs: int  # all
    seconds: float
    history: tuple[Mapping[str, float], ...] = field(default=())

    def vectors(self) -> Array:
        """Return the behaviour vectors (M, d): unit, or zero."""
        with torch.no_grad():
            return self.objective.vectors().numpy()

    def network(self) -> dict[str, Array]:
        """Return the weights of the network by name."""
        return {name: value.numpy() for name, value in self.objective.network.state_dict().items()}


def make_objective(data: SessionData, recipe: SessionRecipe, start: Start | None = None) -> SessionObjective:
    """Return the untrained objective of a recipe, or one that begins where `start` ended."""
    torch.manual_seed(recipe.seed)
    dim = start.vectors.shape[1] if start else recipe.behaviour_dim(data.content.shape[1])
    spec = SequenceSpec(
        dims=(*(aspect.dim for aspect in data.aspects), dim),
        kind="gru" if recipe.kind == "gru" else "attention",
        width=recipe.width,
        layers=recipe.layers,
        heads=recipe.heads,
        length=recipe.length,
        dropout=recipe.dropout,
        event_types=len(EVENT_TYPES) if recipe.event_types else 0,
        hold=recipe.hold if data.aspects else 0.0,
    )
    content, known = torch.from_numpy(data.content), torch.from_numpy(data.has_vector)
    gains = [1.0] * len(spec.dims)
    graphs = tuple[Tensor, ...]()
    if recipe.graph:
        graphs = covisit_folds(data.train, window=recipe.graph_window, folds=recipe.graph_folds)
    base = None if start is None else _begun(torch.from_numpy(start.vectors), graphs, recipe)
    network = SequenceNetwork(spec)
    if start is not None:
        network.load_state_dict(dict(start.network))
    counts = torch.from_numpy(data.train.counts())
    objective = SessionObjective(
        network, content, known, gains, recipe, graphs=graphs, base=base, counts=counts
    )
    weigh(objective, data)
    return objective


def _begun(old: Tensor, graphs: Sequence[Tensor], recipe: SessionRecipe) -> Tensor:
    """Return where vectors begin that go on from `old` (M, d): new products where their neighbours are."""
    new = torch.randn(old.shape) * recipe.start
    if graphs:
        new = functional.normalize(new + smoothed(graphs[-1], old), dim=1)
    return torch.where(old.any(dim=1, keepdim=True), old, new)


def weigh(objective: SessionObjective, data: SessionData) -> None:
    """Bring the factors of the blocks to what the vectors' layout, as they are now, will give them."""
    if data.aspects:
        with torch.no_grad():
            layout = data.layout(objective.vectors().cpu().numpy())
        objective.weigh([aspect.gain * aspect.default_weight for aspect in layout.aspects])


class SessionTrainer:
    """One run; stopped at any time, a run of the same `key` goes on from its last checkpoint in `folder`."""

    def __init__(
        self,
        data: SessionData,
        recipe: SessionRecipe,
        folder: Path,
        *,
        key: str = "",
        until: float = 0.0,
        start: Start | None = None,
        minutes: float | None = None,
        device: str = "auto",
    ) -> None:
        wanted = device if device != "auto" else ("cuda" if torch.cuda.is_available() else "cpu")
        self.device = torch.device(wanted)
        self.data, self.recipe, self.folder, self.key = data, recipe, folder, key
        self.until = until  # of the events, in Unix seconds
        self.limit = math.inf if minutes is None else 60.0 * minutes
        self.objective = make_objective(data, recipe, start).to(self.device)
        self.batches = SessionBatches(
            data.train,
            batch=recipe.batch,
            length=recipe.length,
            seed=recipe.seed,
            folds=recipe.graph_folds if recipe.graph else 1,
        )
        self.trials = Trials.of(
            data.validation.sample(recipe.validated, recipe.seed),
            length=recipe.length,
            drop_seen=recipe.drop_seen,
        )
        self.optimiser = torch.optim.AdamW(
            _groups(self.objective, recipe), lr=recipe.rate, betas=(0.9, 0.98), fused=True
        )
        self.step, self.seconds, self.best_epoch = 0, 0.0, 0
        self.history: list[dict[str, float]] = []
        self.best: Figures | None = None
        self.best_state: dict[str, Tensor] = {}

    @property
    def epochs(self) -> int:
        """How many epochs are behind."""
        return self.step // self.batches.steps

    @property
    def is_done(self) -> bool:
        """Whether the last epoch, the last minute or the end of patience is reached."""
        return (
            self.epochs >= self.recipe.epochs
            or self.seconds >= self.limit
            or self.epochs - self.best_epoch >= self.recipe.patience
        )

    def run(self, log: Log = lambda line: None) -> Trained:
        """Train to the end and return the best model; the first epoch counts only from its validation on."""
        losses: list[float] = []
        saved = time.monotonic()
        with _computing(len(self.data)):
            while not (self.is_done and self.best):
                began, ended_epoch = time.monotonic(), False
                if self.step % self.batches.steps == 0:
                    weigh(self.objective, self.data)
                losses.append(self._one())
                self.step += 1
                self.seconds += time.monotonic() - began
                if self.step % self.batches.steps == 0 or self.seconds >= self.limit:
                    ended_epoch = True
                    self._validate(float(np.mean(losses)), log)
                    losses.clear()
                if ended_epoch or time.monotonic() - saved > _SAVE_SECONDS:
                    self.save()
                    saved = time.monotonic()
        return self.result()

    def result(self) -> Trained:
        """Return the best model so far."""
        assert self.best is not None
        objective = self.objective.cpu().eval()
        objective.load_state_dict(self.best_state)
        history = tuple(dict(entry) for entry in self.history)
        return Trained(objective, self.best, self.best_epoch, len(history), self.seconds, history)

    def measure(self) -> Figures:
        """Return the figures of the model as it is now."""
        with _computing(len(self.data)):
            return figures(
                model_score(self.objective), self.trials, len(self.data), drop_seen=self.recipe.drop_seen
            )

    def _one(self) -> float:
        """Take one step; chance follows from the seed and the step, so a resumed run draws the same."""
        torch.manual_seed(self.recipe.seed * 1_000_003 + self.step)
        for group in self.optimiser.param_groups:
            group["lr"] = self.recipe.rate * self._schedule()
        self.objective.train()
        with self._autocast():
            loss: Tensor = self.objective(self.batches.at(self.step).to(self.device))
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.objective.network.parameters(), self.recipe.clip)
        self.optimiser.step()
        return float(loss.detach())

    def _autocast(self) -> contextlib.AbstractContextManager[Any]:
        if not self.recipe.bf16:
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, torch.bfloat16)

    def _schedule(self) -> float:
        """Return the share of the learning rate: warm-up, then half a cosine down to the end of the run."""
        total = self.recipe.epochs * self.batches.steps
        share = min(1.0, max(self.step / total, self.seconds / self.limit))
        warm = min(self.recipe.warmup, total // 10)
        down = _LEAST_RATE + (1 - _LEAST_RATE) * 0.5 * (1 + math.cos(math.pi * share))
        return min(1.0, (self.step + 1) / warm) * down if warm else down

    def _validate(self, loss: float, log: Log) -> None:
        now = self.measure()
        number = len(self.history) + 1
        self.history.append({"epoch": number, "loss": round(loss, 4), "ndcg@10": round(now.ndcg10, 6)})
        log(
            f"epoch {number} of {self.recipe.epochs}: loss {loss:.3f}, validation NDCG@10 {now.ndcg10:.4f}, "
            f"HR@10 {now.hr10:.4f}, {self.seconds:.0f} s"
        )
        if self.best is None or now.ndcg10 > self.best.ndcg10:
            self.best, self.best_epoch = now, number
            self.best_state = {
                name: value.detach().cpu().clone() for name, value in self.objective.state_dict().items()
            }

    # ── checkpoints ───────────────────────────────────────────────────────────────────────────────

    def save(self) -> None:
        """Write a checkpoint, one file: all tensors, and the rest as JSON in its header."""
        tensors = {f"now.{name}": value for name, value in self.objective.state_dict().items()}
        tensors |= {f"best.{name}": value for name, value in self.best_state.items()}
        for position, state in self.optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser.{position}.{name}": value for name, value in state.items()}
        told = {
            "key": self.key,
            "until": self.until,
            "step": self.step,
            "seconds": self.seconds,
            "history": self.history,
            "best": None if self.best is None else asdict(self.best),
            "best_epoch": self.best_epoch,
        }
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        partial = self.folder / f"{CHECKPOINT}.partial"
        save_file(
            {name: value.detach().contiguous().cpu().clone() for name, value in tensors.items()},
            partial,
            metadata={"state": json.dumps(told)},
        )
        partial.replace(self.folder / CHECKPOINT)

    def resume(self) -> bool:
        """Go on from the folder's checkpoint, if there is one of the same key that can be read."""
        read = read_checkpoint(self.folder)
        if read is None or read.told["key"] != self.key:
            return False
        self.objective.load_state_dict(read.part("now."))
        self.best_state = read.part("best.")
        saved = self.optimiser.state_dict()
        saved["state"] = {}
        for name, value in read.part("optimiser.").items():
            position, key = name.split(".", 1)
            saved["state"].setdefault(int(position), {})[key] = value
        self.optimiser.load_state_dict(saved)
        told = read.told
        self.step, self.seconds, self.history = told["step"], told["seconds"], told["history"]
        self.best = None if told["best"] is None else Figures(**told["best"])
        self.best_epoch = told["best_epoch"]
        return True


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint holds."""

    told: Mapping[str, Any]
    tensors: Mapping[str, Tensor]
    written: float  # Unix seconds

    def part(self, prefix: str) -> dict[str, Tensor]:
        """Return the tensors whose names begin so, without it."""
        return {
            name.removeprefix(prefix): value
            for name, value in self.tensors.items()
            if name.startswith(prefix)
        }


def read_checkpoint(folder: Path) -> Checkpoint | None:
    """Read a folder's checkpoint; None where there is none, or none that can be read."""
    path = folder / CHECKPOINT
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            told = json.loads(file.metadata()["state"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}
        return Checkpoint(told, tensors, path.stat().st_mtime)
    except (SafetensorError, OSError, ValueError, KeyError, TypeError):
        return None


@contextlib.contextmanager
def _computing(products: int) -> Iterator[None]:
    """Compute small models on one thread: several wait for each other longer than they compute.

    Nor does torch tell how it computes a norm of mixed types.
    """
    threads = torch.get_num_threads()
    if products < _SMALL:
        torch.set_num_threads(1)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Mismatch dtype between input and weight")
            warnings.filterwarnings("ignore", message="Sparse")
            yield
    finally:
        torch.set_num_threads(threads)


def _groups(objective: SessionObjective, recipe: SessionRecipe) -> list[dict[str, Any]]:
    """Split parameters: matrices decay, behaviour vectors decay by themselves, the rest does not."""
    own = list(objective.network.parameters())
    free = [value for value in own if value.ndim < 2]
    if objective.log_scale.requires_grad:
        free.append(objective.log_scale)
    return [
        {"params": [value for value in own if value.ndim > 1], "weight_decay": recipe.decay},
        {"params": free, "weight_decay": 0.0},
        {"params": [objective.table], "weight_decay": recipe.table_decay},
    ]
