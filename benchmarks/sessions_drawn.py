"""The drawn shop: customers of a known taste, what three views of it bring, products nobody has viewed."""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import bench
import numpy as np
import numpy.typing as npt

from vision_rec.evaluate_sessions import Cases, CoVisits, Popularity, Ranker, given, judge, renumbered
from vision_rec.evaluate_sessions.places import first
from vision_rec.evaluate_sessions.run import Shop, open_shop, row_rankers
from vision_rec.events.files import read_event_files
from vision_rec.reindex import reindex
from vision_rec.sample import SampleShop, draw_shop
from vision_rec.sessions.sequences import Sequences, from_events
from vision_rec.settings import Settings
from vision_rec.training.run_session import SessionOptions, train_session
from vision_rec.training.session_recipe import SessionRecipe

Rows = npt.NDArray[np.int64]
COLD = 0.1  # share of products whose views training does not see
HELD = 0.2  # share of the acts, the last ones, that is asked for
KS = (10, 50)
NAMES = ("hr@10", "ndcg@10", "mrr", "coverage@10", "popularity@10", "warm_recall@50", "cold_recall@50")
TASTES = ("colour", "pattern", "brand")
TRIES = 200  # visits drawn for each taste


@dataclass(frozen=True)
class Drawn:
    """A drawn shop, its index, and its sessions by the index's numbers, cut in time."""

    shop: SampleShop
    index: Shop
    train: Sequences
    cases: Cases
    learned: Path  # the events of `train`
    settings: Settings


def indexed(folder: Path, count: int) -> tuple[SampleShop, Settings]:
    """Draw a shop and index it, without its views."""
    shop = draw_shop(folder / "shop", count=count, seed=7)
    settings = Settings.load(paths={"data": folder / "var", "indexes": folder / "indexes"})
    reindex(shop.feed, settings=settings, images=shop.folder, reviews=shop.reviews)
    return shop, settings


def prepare(shop: SampleShop, settings: Settings, folder: Path, seed: int) -> Drawn:
    """Split a shop's sessions by time, without any view of the cold products, which the seed draws."""
    folder.mkdir()
    index = open_shop(settings.paths.indexes)
    events = list(read_event_files([shop.views], on_error=_raise))
    sequences = renumbered(from_events(events, by="session"), index.ids, only=True)
    cut = float(np.quantile(sequences.at, 1 - HELD))
    rng = np.random.default_rng(seed)
    cold = set(rng.choice(index.ids, round(COLD * len(index.ids)), replace=False).tolist())
    kept = [e for e in events if e.received_at.timestamp() < cut and e.product_id not in cold]
    learned = folder / "learned.csv"
    with learned.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("session_id", "user_id", "product_id", "type", "at"))
        writer.writerows(
            (e.session_id, e.user_id, e.product_id, e.type, e.received_at.isoformat()) for e in kept
        )
    train = renumbered(from_events(kept, by="session"), index.ids, only=True)
    return Drawn(shop, index, train, Cases.of(sequences.held_from(cut)), learned, settings)


def _raise(error: Exception) -> None:
    raise error


def rankers(drawn: Drawn, folder: Path, seed: int) -> list[Ranker]:
    """Return everything that is compared, the model trained with this seed."""
    recipe = replace(SessionRecipe(), seed=seed, min_views=1)
    options = SessionOptions((drawn.learned,), drawn.settings.paths.indexes, folder, "session")
    train_session(drawn.settings, options, recipe, log=lambda line: print(f"seed {seed}: {line}", flush=True))
    plain: list[Ranker] = [Popularity(drawn.train), CoVisits(drawn.train)]
    return [*plain, *row_rankers(drawn.index.ids, drawn.index, folder)]


def tastes(drawn: Drawn, ranker: Ranker, seed: int) -> list[float]:
    """Return how much of the top 10 shares the taste: of three views by taste, then after a change of colour.

    After three views of one colour and two of another: the share of the new one, and how often the old one
    is there.
    """
    with drawn.shop.truth.open(encoding="utf-8") as file:
        truth = {row["id"]: row for row in csv.DictReader(file)}
    rng = np.random.default_rng(seed)
    out = []
    for taste in TASTES:
        values = np.array([truth[ident][taste] for ident in drawn.index.ids])
        chosen = [value for value in np.unique(values) if value and (values == value).sum() >= 14]
        loved = rng.choice(chosen, TRIES)
        visits = [rng.choice(np.flatnonzero(values == value), 3, replace=False) for value in loved]
        top = top_of(drawn, ranker, visits)
        out.append(float(np.mean(values[top] == loved[:, None])))
        if taste == "colour":
            others = [rng.choice([value for value in chosen if value != own]) for own in loved]
            more = [rng.choice(np.flatnonzero(values == value), 2, replace=False) for value in others]
            top = top_of(drawn, ranker, [np.append(a, b) for a, b in zip(visits, more, strict=True)])
            changed = [
                float(np.mean(values[top] == np.asarray(others)[:, None])),
                float(np.mean((values[top] == loved[:, None]).any(axis=1))),
            ]
    return [*out, *changed]


def top_of(drawn: Drawn, ranker: Ranker, visits: Sequence[Rows]) -> Rows:
    """Return the ten products (n, 10) that come first after `visits`, seen ones left out."""
    ids = drawn.index.ids
    cases = given([[ids[row] for row in visit] for visit in visits], [ids[0]] * len(visits), ids)
    scores = ranker.score(cases)
    scores[cases.seen()] = -np.inf
    return first(scores, 10)


def report(seeds: int, count: int = 1000) -> str:
    """Return the tables, means over `seeds`."""
    found: dict[str, list[list[float]]] = {}
    loves: dict[str, list[list[float]]] = {}
    with tempfile.TemporaryDirectory() as name:
        shop, settings = indexed(Path(name), count)
        for seed in range(seeds):
            own = Path(name) / f"seed-{seed}"
            drawn = prepare(shop, settings, own, seed)
            views = drawn.train.counts()
            for ranker in rankers(drawn, own / "pair", seed):
                metrics = judge(ranker, drawn.cases, views, KS)
                found.setdefault(ranker.name, []).append([float(metrics[name] or 0) for name in NAMES])
                loves.setdefault(ranker.name, []).append(tastes(drawn, ranker, seed))
    text = bench.table(f"{count} products, mean of {seeds} seeds", ["model", *NAMES], _rows(found))
    header = [
        "model",
        *(f"3 views of a {taste}" for taste in TASTES),
        "2 views after it: new",
        "old is there",
    ]
    return text + "\n" + bench.table("Share of the top 10 that has the taste", header, _rows(loves))


def _rows(found: dict[str, list[list[float]]]) -> list[list[str]]:
    return [[name, *(f"{value:.3f}" for value in np.mean(values, axis=0))] for name, values in found.items()]
