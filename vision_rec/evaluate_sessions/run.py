"""`evaluate-sessions`: events in, who recommends best out."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vision_rec.errors import IncompatibleError, InputError
from vision_rec.evaluate_sessions.cases import Cases, renumbered
from vision_rec.evaluate_sessions.judging import Metrics, check_ks, judge
from vision_rec.evaluate_sessions.rankers import CoVisits, Popularity, Ranker, RowRanker
from vision_rec.fusion import AspectLayout, fuse, split
from vision_rec.sessions import RecencyMean
from vision_rec.sessions.pair import BEHAVIOUR, CONFIG, PairConfig, read_config, read_table
from vision_rec.sessions.sequences import By, HeldOut, Sequences, from_events
from vision_rec.settings import Settings
from vision_rec.types import Array, Event

PROTOCOLS = ("last", "time")
TEST_SHARE = 0.1  # of all acts, the last ones, with `time`
MAX_CASES = 20_000  # more are drawn at random
_MANY = 0.5  # share of the products that an index must know to be used unasked
_SESSION = "session"  # where a version keeps its model, and a data folder its pairs
_log = logging.getLogger(__name__)
Progress = Callable[[str, int, int | None], None]


@dataclass(frozen=True, slots=True)
class Shop:
    """The products that may be recommended, and their rows (N, D); `is_asked` where they were named.

    `pair` is the folder of the model that goes with the rows, if one does; its vectors are in the rows.
    """

    ids: tuple[str, ...]
    layout: AspectLayout
    rows: Array
    encoders: dict[str, str]
    pair: Path | None = None
    is_asked: bool = True


@dataclass(frozen=True, slots=True)
class Measured:
    """The metrics of one model."""

    model: str
    metrics: Metrics


@dataclass(frozen=True, slots=True)
class SessionReport:
    """What was measured on, and every model's metrics, the simplest first; `notes` say what to mind."""

    protocol: str
    ks: tuple[int, ...]
    products: int
    visitors: int
    cases: int
    left_out: int
    models: tuple[Measured, ...]
    notes: tuple[str, ...]


def stored_events(settings: Settings) -> Iterator[Event]:
    """Yield the events of the store."""
    from vision_rec.events import EventLog

    log = EventLog(settings)
    try:
        yield from log.export()
    finally:
        log.close()


def current_pair(settings: Settings) -> Path | None:
    """Return the folder of the trained pair that the settings name, None where there is none."""
    from vision_rec.sessions.pair_store import PairStore

    chosen = settings.sessions.model
    if chosen == "off":
        return None
    if chosen != "auto":
        return Path(chosen)
    return PairStore(settings.paths.data / _SESSION).current()


def open_shop(indexes: Path, *, is_asked: bool = True) -> Shop:
    """Read the products that the current version below `indexes` recommends, and their rows."""
    from vision_rec.catalog import CatalogTable
    from vision_rec.index.version import VersionStore

    with VersionStore(indexes).open() as version:
        live = CatalogTable.load(version.catalog_path).live_rows
        rows = version.rows()[live]
        ids = tuple(version.ids[row] for row in live)
        own = version.path / _SESSION
        return Shop(
            ids, version.layout, rows, dict(version.manifest.fingerprints),
            own if (own / CONFIG).is_file() else None, is_asked,
        )  # fmt: skip


def evaluate_sessions(
    events: Iterable[Event],
    *,
    shop: Shop | None = None,
    pair: Path | None = None,
    protocol: str = "last",
    ks: Sequence[int] = (10, 20),
    by: By = "user",
    keep_seen: bool = False,
    progress: Progress = lambda stage, done, total: None,
) -> SessionReport:
    """Measure popularity, co-visits, the recency mean and the trained pair on what visitors did next.

    All products of `shop` are ranked, those of the events where it is None; acts on others are left out.
    Raises InputError where there is nothing to measure, IncompatibleError where the pair does not fit.
    """
    check_ks(ks)
    config = None if pair is None else read_config(pair)
    sequences = from_events(events, by=by)
    notes: list[str] = []
    if shop is not None and (foreign := _foreign(shop, sequences.products)):
        if pair == shop.pair:
            pair = config = None
        shop, notes = None, [foreign]
    if shop is not None:
        sequences = renumbered(sequences, shop.ids, only=True)
    train, held = split_of(sequences, protocol)
    cases = Cases.of(held.sample(MAX_CASES))
    if not len(cases):
        raise InputError(
            f"protocol {protocol} leaves nothing to predict: {len(sequences)} visitors did "
            f"{len(sequences.items)} things with products that are known; more events are needed"
        )
    if len(cases) < len(held):
        notes.append(f"{len(cases)} of {len(held)} cases were drawn")
    views = train.counts()
    models: list[Measured] = []
    plain: tuple[Ranker, ...] = (Popularity(train), CoVisits(train))
    rankers = (*plain, *row_rankers(sequences.products, shop, pair))
    if config is not None:
        notes += _told(config, cases.sequences.at[cases.ends])
    for ranker in rankers:
        progress(ranker.name, 0, len(cases))

        def step(done: int, total: int, name: str = ranker.name) -> None:
            progress(name, done, total)

        found = judge(ranker, cases, views, ks, new_only=not keep_seen, progress=step)
        models.append(Measured(ranker.name, found))
        _log.info("measured", extra={"model": ranker.name})
    some = models[0].metrics
    return SessionReport(
        protocol, tuple(ks), len(sequences.products), len(sequences), int(some["cases"] or 0),
        int(some["left_out"] or 0), tuple(models), tuple(notes),
    )  # fmt: skip


def _foreign(shop: Shop, products: Sequence[str]) -> str:
    """Say why an index that nobody named is not used: it is of another shop."""
    known = len(set(shop.ids) & set(products))
    if shop.is_asked or known >= _MANY * len(products):
        return ""
    return f"the index knows {known} of {len(products)} products and is not used"


def split_of(sequences: Sequences, protocol: str) -> tuple[Sequences, HeldOut]:
    """Return what may be learned from, and what is to be predicted: `last` or `time`."""
    if protocol == "last":
        train, _, test = sequences.leave_one_out()
        return train, test
    if protocol == "time":
        return sequences.split_by_time(TEST_SHARE)
    raise InputError(f"protocol is {protocol!r}; allowed are {', '.join(PROTOCOLS)}")


def row_rankers(products: Sequence[str], shop: Shop | None, pair: Path | None) -> list[Ranker]:
    """Return the recency mean and the trained model, as far as there are rows for them."""
    if pair is None:
        if shop is None:
            return []
        return [RowRanker("recency", RecencyMean(layout=shop.layout), shop.layout, shop.rows)]
    config = read_config(pair)
    rows = pair_rows(products, shop, pair, config)
    found: list[Ranker] = [RowRanker("recency", RecencyMean(layout=config.layout), config.layout, rows)]
    if config.has_model:
        from vision_rec.sessions.model import SequenceModel

        found.append(RowRanker("trained", SequenceModel.load(pair), config.layout, rows))
    return found


def pair_rows(products: Sequence[str], shop: Shop | None, pair: Path, config: PairConfig) -> Array:
    """Return the rows (N, D) of products as a pair knows them: the shop's blocks and its own behaviour."""
    if shop is not None and pair == shop.pair:
        if [(a.name, a.dim) for a in shop.layout.aspects] != [(a.name, a.dim) for a in config.layout.aspects]:
            raise IncompatibleError(f"the model in {pair} reads other rows than its index has; reindex")
        return shop.rows
    blocks = {BEHAVIOUR: read_table(pair).blocks(products)}
    others = [aspect for aspect in config.layout.aspects if aspect.name != BEHAVIOUR]
    if others and shop is None:
        raise InputError(
            f"the model in {pair} reads {', '.join(aspect.name for aspect in others)} too; "
            "give the index that has them"
        )
    if shop is not None and others:
        theirs = {aspect.name: aspect.dim for aspect in shop.layout.aspects}
        if wrong := [a.name for a in others if theirs.get(a.name) != a.dim]:
            raise IncompatibleError(
                f"the model in {pair} was trained with other blocks {', '.join(wrong)} than the index has; "
                "train it on this index"
            )
        if wrong := [name for name, mark in config.encoders.items() if shop.encoders.get(name) != mark]:
            raise IncompatibleError(
                f"the model in {pair} was trained on rows of another encoder ({', '.join(wrong)}); "
                "train it on this index"
            )
        held = split(shop.layout, shop.rows)
        blocks |= {aspect.name: held[aspect.name] for aspect in others}
    return fuse(config.layout, blocks, len(products))


def _told(config: PairConfig, at: npt.NDArray[np.float64]) -> list[str]:
    """Say how many of the cases, at `at` (n,), the model may have learned from."""
    try:
        until = datetime.fromisoformat(str(config.notes.get("events_until")))
    except ValueError:
        return ["the model may have learned from the acts it is asked for; nothing says when it was trained"]
    known = int(np.count_nonzero(~(at > until.timestamp())))
    if not known:
        return []
    return [
        f"{known} of {len(at)} cases are not from after {until:%Y-%m-%d %H:%M}, when the model's own events "
        "ended: it was chosen by them, or has learned from them"
    ]
