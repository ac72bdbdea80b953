"""The block `behaviour`: of the trained session pair, or fitted to a file of views, or none at all."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from vision_rec.encoders import EncoderSet
from vision_rec.errors import InputError, UnavailableError
from vision_rec.failpoints import failpoint
from vision_rec.fusion import Aspect, AspectLayout
from vision_rec.index.files import hash_of, link
from vision_rec.index.version import IndexVersion
from vision_rec.reindex.report import Journal, Progress
from vision_rec.reindex.staging import Staging, digest
from vision_rec.reindex.views import fit_views
from vision_rec.sessions.covisits import DIM
from vision_rec.sessions.pair import (
    BEHAVIOUR,
    CONFIG,
    MODEL,
    BehaviourTable,
    PairConfig,
    checked_file,
    read_config,
    read_table,
)
from vision_rec.sessions.pair_store import PairStore
from vision_rec.settings import Settings

MAX_ROW = 640  # values of a row: what an index of a million products is sized for
SESSION = "session"  # the pair's folder in a version, and its name among the fingerprints
_FIT = "1"  # counts up when the same views give other vectors
_PAGE = 4_096


@dataclass(frozen=True, slots=True)
class Behaviour:
    """The block of one run; `pair` is the folder of the pair whose model goes with it, None for no model."""

    table: BehaviourTable
    aspect: Aspect
    fingerprint: str
    pair: Path | None = None
    config: PairConfig | None = None

    def blocks(self, staging: Staging) -> Iterator[tuple[Any, Any]]:
        """Yield row numbers (n,) of the new version and their blocks (n, dim)."""
        ids = staging.db.execute("SELECT row, id FROM target JOIN product USING (key) ORDER BY target.row")
        while page := list(islice(ids, _PAGE)):
            rows = np.array([row for row, _ in page], np.int64)
            yield rows, self.table.blocks([product_id for _, product_id in page])

    def count_changed(self, staging: Staging, parent: IndexVersion) -> int:
        """Count the products of the current version whose block becomes another."""
        rows, had = parent.stored_rows(), BEHAVIOUR in parent.layout.names
        same_width = had and parent.layout.slice(BEHAVIOUR) and _width(parent.layout) == self.aspect.dim
        found = 0
        places = dict(staging.db.execute("SELECT row, parent_row FROM target WHERE parent_row IS NOT NULL"))
        for numbers, blocks in self.blocks(staging):
            kept = [(at, places[int(row)]) for at, row in enumerate(numbers) if int(row) in places]
            if not kept:
                continue
            at, old = np.array(kept).T
            new = blocks[at].astype(np.float16)
            if same_width:
                found += int(np.any(rows[old][:, parent.layout.slice(BEHAVIOUR)] != new, axis=1).sum())
            else:
                found += int(np.any(new, axis=1).sum())
        return found

    def write_model(self, building: Path) -> None:
        """Put the pair's model into the version, as links where the disk can: it goes with the rows."""
        if self.pair is None or self.config is None:
            return
        folder = building / SESSION
        folder.mkdir()
        for name in (CONFIG, MODEL):
            if name == MODEL:
                checked_file(self.pair, name, self.config)
            if not link(self.pair / name, folder / name):
                shutil.copyfile(self.pair / name, folder / name)
        failpoint("reindex.session-written")


def find_behaviour(
    settings: Settings, encoders: EncoderSet, views: Path | None, journal: Journal, progress: Progress
) -> Behaviour | None:
    """Return the block that the settings and `views` give, None where neither gives one.

    A trained pair comes before `views`. Raises InputError where rows would become too wide, UnavailableError
    where `sessions.model` names no pair, and what reading it raises.
    """
    folder = _pair_folder(settings)
    if folder is not None:
        if views is not None:
            journal.notes.append(f"views: not used, the trained pair {folder.name} is (sessions.model)")
        found = _of_pair(folder, encoders, journal)
    elif views is not None:
        fitted = _of_views(views, settings, journal, progress)
        if fitted is None:
            return None
        found = fitted
    else:
        return None
    width = encoders.layout.dim + found.aspect.dim
    if width > MAX_ROW:
        raise InputError(
            f"rows would have {width} values: {encoders.layout.dim} of the encoders and {found.aspect.dim} "
            f"of behaviour; allowed are {MAX_ROW}. Train a pair with a narrower behaviour block, or set "
            "sessions.model to 'off'"
        )
    return found


def _pair_folder(settings: Settings) -> Path | None:
    chosen = settings.sessions.model
    if chosen == "off":
        return None
    if chosen == "auto":
        return PairStore(settings.paths.data / SESSION).current()
    if not (Path(chosen) / CONFIG).is_file():
        raise UnavailableError(
            f"sessions.model is {chosen!r}, which holds no session pair; allowed are 'auto', 'off' and a "
            "folder written by `vision-rec train session`"
        )
    return Path(chosen)


def _of_pair(folder: Path, encoders: EncoderSet, journal: Journal) -> Behaviour:
    config, table = read_config(folder), read_table(folder)
    aspect = table.aspect()
    if not config.has_model:
        return Behaviour(table, aspect, config.fingerprint)
    if not _fits(config, encoders, aspect):
        journal.notes.append(
            f"the sequence model of pair {folder.name} is left out, it knows rows of other encoders; the "
            "recency mean answers until `vision-rec train session` was run"
        )
        return Behaviour(table, aspect, config.fingerprint)
    return Behaviour(table, aspect, config.fingerprint, folder, config)


def _fits(config: PairConfig, encoders: EncoderSet, aspect: Aspect) -> bool:
    ours = [(one.name, one.dim) for one in (*encoders.layout.aspects, aspect)]
    same = ours == [(one.name, one.dim) for one in config.layout.aspects]
    return same and all(encoders.fingerprints.get(name) == mark for name, mark in config.encoders.items())


def _of_views(views: Path, settings: Settings, journal: Journal, progress: Progress) -> Behaviour | None:
    fingerprint = digest("views", _FIT, str(DIM), hash_of(views))
    table = fit_views(views, fingerprint, journal, settings=settings.feed, progress=progress)
    if table is None:
        journal.notes.append(f"{views.name} has no two products that were viewed in one session")
        return None
    return Behaviour(table, table.aspect(), fingerprint)


def _width(layout: AspectLayout) -> int:
    part = layout.slice(BEHAVIOUR)
    return int(part.stop - part.start)
