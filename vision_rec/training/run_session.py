"""`vision-rec train session`: events in, a published session pair out, with the table of what won."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import shutil
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vision_rec.errors import FeedError, VisionRecError
from vision_rec.index.lock import FolderLock
from vision_rec.index.version import VersionStore
from vision_rec.sessions import RecencyMean
from vision_rec.sessions.pair import CONFIG, write_pair
from vision_rec.sessions.pair_store import PairStore
from vision_rec.sessions.sequences import By, Sequences
from vision_rec.settings import Settings
from vision_rec.training.procrustes import find_turn, turn_network
from vision_rec.training.session_events import Content, read_content, read_sequences, together
from vision_rec.training.session_previous import Previous
from vision_rec.training.session_ranks import Figures, figures, mean_score, model_score, popular_score
from vision_rec.training.session_recipe import SessionRecipe
from vision_rec.training.session_returns import with_returns
from vision_rec.training.session_wide import widened
from vision_rec.training.train_session import (
    SessionData,
    SessionTrainer,
    Trained,
    read_checkpoint,
)

MODEL, BEFORE, MEAN, POPULAR = "sequence model", "model before", "recency mean", "popularity"
STORE = "session"  # in the data folder
_KEPT_SECONDS = 86_400.0  # how long a stopped run can be gone on with
_TRIAL_SHARE = 0.15  # of the minutes, for the trial of one kind
_MANY = 0.5  # share of the viewed products that the index must know by itself to be taken
Log = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class SessionOptions:
    """What is asked for beside the recipe; None stands for what the settings say.

    `out` names a folder for the pair instead of the store of pairs. `index` must have a version; without it
    the index of the settings is used if it knows the products viewed.
    """

    events: tuple[Path, ...] = ()
    index: Path | None = None
    out: Path | None = None
    by: By = "user"
    minutes: float | None = None
    go_on: bool = False  # from the pair before, publishing only what is not worse


@dataclass(frozen=True)
class SessionReport:
    """What a training came to; `kept` names what answers from now on."""

    folder: Path | None
    fingerprint: str
    is_published: bool
    kept: str
    measures: Mapping[str, Figures]
    notes: Mapping[str, Any] = field(default_factory=dict)

    def to_fields(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        return {
            "folder": None if self.folder is None else str(self.folder),
            "fingerprint": self.fingerprint,
            "published": self.is_published,
            "kept": self.kept,
            "measures": [_entry(name, found) for name, found in self.measures.items()],
            "notes": dict(self.notes),
        }


def train_session(
    settings: Settings, options: SessionOptions, recipe: SessionRecipe, *, log: Log = lambda line: None
) -> SessionReport:
    """Train behaviour vectors and a sequence model, and publish them as one pair.

    Raises FeedError where there are too few events, LockedError while another training runs, what opening
    the index or the event store raises.
    """
    if settings.encoders.threads:
        torch.set_num_threads(settings.encoders.threads)
    root = settings.paths.data / STORE
    work = root / ".training" if options.out is None else options.out.parent / f".{options.out.name}.training"
    work.mkdir(parents=True, exist_ok=True, mode=0o700)
    with FolderLock(work / ".lock").hold():
        report = _Run(settings, options, recipe, work, log).run()
        for path in work.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
    if options.out is not None:
        shutil.rmtree(work)
    return report


class _Run:
    """One training, from the events to the published pair."""

    def __init__(
        self, settings: Settings, options: SessionOptions, recipe: SessionRecipe, work: Path, log: Log
    ) -> None:
        self.settings, self.options, self.recipe, self.work, self.log = settings, options, recipe, work, log
        self.store = PairStore(settings.paths.data / STORE)
        self.started = time.monotonic()
        self.previous = self._previous()
        self.content = Content.none()

    def run(self) -> SessionReport:
        stopped = self._stopped_at()
        if stopped is not None:
            with contextlib.suppress(FeedError):
                trainer = self._trainer(self._data(stopped), stopped)
                if trainer.resume():
                    self.log(f"going on from epoch {trainer.epochs} of a run that was stopped")
                    return self._finish(trainer)
            self.log("the events or the recipe have changed since a run was stopped; starting anew")
        data = self._data(None)
        until = float(np.nanmax(data.train.at, initial=0.0))
        until = float(np.nanmax(data.validation.sequences.at, initial=until))
        trainer = self._trainer(data, until)
        trainer.resume()
        return self._finish(trainer)

    # ── what is trained on ────────────────────────────────────────────────────────────────────────

    def _data(self, until: float | None) -> SessionData:
        whole = read_sequences(
            self.settings, self.options.events, by=self.options.by, at_least=self.recipe.min_length,
            until=until, log=self.log,
        )  # fmt: skip
        self.content = self._content(whole)
        whole, rows = together(whole, self.content)
        train, validation = whole.split_by_time(self.recipe.validation)
        if not len(validation) or not (train.lengths >= 2).any():
            raise FeedError(
                f"of {len(whole.items)} acts none are left to learn from or to validate on; events need "
                "times and visitors who come back: collect more events first"
            )
        enough = train.counts() >= self.recipe.min_views
        if self._goes_on and self.previous is not None:
            enough |= self.previous.vectors_of(whole.products).any(axis=1)
        viewed = int((whole.counts() > 0).sum())
        self.log(
            f"{len(whole.items)} acts of {len(whole)} visitors on {viewed} products; "
            f"{int(enough.sum())} get a behaviour vector, {len(validation)} acts are held out to validate"
        )
        return SessionData(train, validation, rows, self.content.aspects, enough)

    def _content(self, whole: Sequences) -> Content:
        given, recipe = self.options.index, self.recipe
        indexes = given or self.settings.paths.indexes
        if given is None and VersionStore(indexes).current_id() is None:
            self.log("there is no index: products are told apart by their behaviour vectors alone")
            return Content.none()
        found = read_content(indexes, whole.products, most=recipe.max_products, seed=recipe.seed)
        known = len(set(found.ids) & set(whole.products))
        if given is None and known < _MANY * len(whole.products):
            self.log(f"{indexes} knows {known} of {len(whole.products)} products viewed; it is not used")
            return Content.none()
        self.log(f"{known} of {len(whole.products)} products viewed are in version {found.version}")
        return found

    # ── what it goes on from ──────────────────────────────────────────────────────────────────────

    def _previous(self) -> Previous | None:
        out = self.options.out
        try:
            folder = out if out is not None and (out / CONFIG).is_file() else self.store.current()
            return None if folder is None else Previous.read(folder)
        except VisionRecError as error:
            self.log(f"the pair before is not used: {error}")
            return None

    @property
    def _goes_on(self) -> bool:
        """Whether the weights of the pair before are gone on from."""
        if not self.options.go_on:
            return False
        if self.previous is None or self.previous.config.spec is None:
            return False
        return self.previous.fits(self.content)

    def _trainer(self, data: SessionData, until: float) -> SessionTrainer:
        recipe, start, minutes = self.recipe, None, self.options.minutes
        if self._goes_on and self.previous is not None:
            recipe = self.previous.recipe(recipe)
            start = self.previous.start(data.train.products)
            self.log(f"going on from {self.previous.folder.name}")
        elif self.options.go_on:
            self.log("there is no pair with a model of these rows to go on from; training a new one")
        if recipe.kind == "auto":
            recipe = replace(recipe, kind=self._kind(data, recipe))
            minutes = None if minutes is None else minutes * (1 - 2 * _TRIAL_SHARE)
        trainer = SessionTrainer(
            data, recipe, self.work / "run", key=_key(data, recipe, self.previous if start else None),
            until=until, start=start, minutes=minutes, device=self.settings.encoders.device,
        )  # fmt: skip
        if not len(trainer.trials):
            raise FeedError(
                f"all {len(data.validation)} acts held out to validate are on products that their visitors "
                "had seen before; collect more events first, or set drop_seen = false in the recipe"
            )
        return trainer

    def _kind(self, data: SessionData, recipe: SessionRecipe) -> str:
        """Return the kind of network that does better after a short training."""
        minutes = self.options.minutes
        found: dict[str, float] = {}
        for kind in ("attention", "gru"):
            short = replace(recipe, kind=kind, epochs=recipe.trial_epochs)
            trainer = SessionTrainer(
                data, short, self.work / f"trial-{kind}", key=_key(data, short, None),
                minutes=None if minutes is None else minutes * _TRIAL_SHARE,
                device=self.settings.encoders.device,
            )  # fmt: skip
            trainer.resume()
            found[kind] = trainer.run().figures.ndcg10
        best = max(found, key=lambda kind: found[kind])
        self.log(", ".join(f"{kind} NDCG@10 {value:.4f}" for kind, value in found.items()) + f": {best}")
        return best

    def _stopped_at(self) -> float | None:
        """Return up to when the events of a stopped run reach, None where there is none to go on with."""
        read = read_checkpoint(self.work / "run")
        if read is None or time.time() - read.written > _KEPT_SECONDS:
            return None
        until = read.told.get("until")
        return float(until) if isinstance(until, int | float) and until > 0 else None

    # ── what comes out ────────────────────────────────────────────────────────────────────────────

    def _finish(self, trainer: SessionTrainer) -> SessionReport:
        before = None
        if self._goes_on and self.previous is not None:
            before = self.previous.figures(trainer)
        trained = widened(trainer.run(self.log), trainer.data, trainer.recipe, trainer.trials)
        trained = with_returns(trained, trainer.data, trainer.recipe, trainer.trials)
        if returns := trained.objective.network.spec.returns:
            last, earlier = (f"{amount:+.2f}" for amount in returns)
            self.log(f"coming back: the product viewed last gains {last}, those viewed before {earlier}")
        measures = self._measures(trainer, trained, before)
        kept = MODEL
        if self.recipe.kind == "auto" and measures[MEAN].ndcg10 > measures[MODEL].ndcg10:
            kept = MEAN
        notes = self._notes(trainer, trained, measures, kept)
        if before is not None and measures[MODEL].ndcg10 < before.ndcg10:
            self.log(
                f"not published: validation fell from NDCG@10 {before.ndcg10:.4f} to "
                f"{measures[MODEL].ndcg10:.4f}; the pair before stays"
            )
            assert self.previous is not None
            return SessionReport(
                self.previous.folder, self.previous.config.fingerprint, False, BEFORE, measures, notes
            )
        folder, fingerprint = self._write(trainer, trained, kept, notes)
        return SessionReport(folder, fingerprint, True, kept, measures, notes)

    def _measures(
        self, trainer: SessionTrainer, trained: Trained, before: Figures | None
    ) -> dict[str, Figures]:
        objective, trials, data = trained.objective, trainer.trials, trainer.data

        def of(score: Any) -> Figures:
            return figures(score, trials, len(data), drop_seen=trainer.recipe.drop_seen)

        mean = RecencyMean(layout=data.layout(trained.vectors()))
        found = {MODEL: of(model_score(objective)), MEAN: of(mean_score(objective, mean))}
        found[POPULAR] = of(popular_score(data.train.counts()))
        return found if before is None else {**found, BEFORE: before}

    def _notes(
        self, trainer: SessionTrainer, trained: Trained, measures: Mapping[str, Figures], kept: str
    ) -> dict[str, Any]:
        """Return what is told of a pair: counts and figures, nothing of anybody."""
        data, until = trainer.data, trainer.until
        return {
            "events_until": datetime.fromtimestamp(until, UTC).isoformat() if until > 0 else None,
            "by": self.options.by,
            "visitors": len(data.train),
            "acts": len(data.train.items),
            "acts_held_out": len(data.validation),
            "products": len(data),
            "products_with_vector": int(data.has_vector.sum()),
            "index_version": self.content.version or None,
            "kept": kept,
            "kind": trainer.recipe.kind,
            "measures": [_entry(name, found) for name, found in measures.items()],
            "best_epoch": trained.epoch,
            "epochs": trained.epochs,
            "training_seconds": round(trained.seconds, 1),
            "seconds": round(time.monotonic() - self.started, 1),
            "torch": torch.__version__,
            "recipe": dataclasses.asdict(trainer.recipe),
        }

    def _write(
        self, trainer: SessionTrainer, trained: Trained, kept: str, notes: dict[str, Any]
    ) -> tuple[Path, str]:
        vectors, network = trained.vectors(), trained.network()
        products = trainer.data.train.products
        space, before = uuid.uuid4().hex[:16], self.previous
        turn = (
            None if before is None else find_turn(products, vectors, before.table.ids, before.table.vectors)
        )
        if turn is not None and before is not None:
            vectors, network = vectors @ turn.rotation, turn_network(network, turn.rotation)
            space = before.config.space
            notes["turned_onto"] = {
                "fingerprint": before.config.fingerprint,
                "products": turn.shared,
                "mean_cosine": round(turn.agreement, 4),
            }
        known = np.flatnonzero(vectors.any(axis=1))
        layout = trainer.data.layout(vectors)
        out = self.options.out or self.work / "pair" / "new"
        out.parent.mkdir(parents=True, exist_ok=True)
        fingerprint = write_pair(
            out,
            ids=[products[row] for row in known.tolist()],
            vectors=vectors[known],
            network=network if kept == MODEL else None,
            spec=trained.objective.network.spec.to_fields() if kept == MODEL else None,
            layout=layout,
            space=space,
            notes=notes,
            encoders=self.content.encoders,
        )
        if self.options.out is None:
            out = self.store.publish(out)
            self.store.prune()
        return out, fingerprint


def _key(data: SessionData, recipe: SessionRecipe, before: Previous | None) -> str:
    """Return a fingerprint of all that a training's course depends on."""
    digest = hashlib.sha256(json.dumps(dataclasses.asdict(recipe), sort_keys=True).encode())
    held = data.validation
    for part in (data.train, held.sequences):
        for column in (part.items, part.types, part.at, part.starts):
            digest.update(np.ascontiguousarray(column).tobytes())
    digest.update("\n".join(data.train.products).encode("utf-8", "surrogatepass"))
    for values in (held.known, data.content, data.has_vector):
        digest.update(np.ascontiguousarray(values).tobytes())
    digest.update(repr(data.aspects).encode())
    digest.update((before.config.fingerprint if before else "").encode())
    return digest.hexdigest()


def _entry(name: str, found: Figures) -> dict[str, Any]:
    return {
        "name": name,
        "hr@10": round(found.hr10, 6),
        "ndcg@10": round(found.ndcg10, 6),
        "mrr": round(found.mrr, 6),
        "count": found.count,
    }
