"""One run of reindex: under the lock, in the building folder, to a published version or none."""

from __future__ import annotations

import errno
import json
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from vision_rec.encoders import EncoderSet
from vision_rec.errors import (
    IncompatibleError,
    IntegrityError,
    ResourceError,
    UnavailableError,
    VisionRecError,
)
from vision_rec.failpoints import failpoint
from vision_rec.index import choose_kind
from vision_rec.index.files import hash_of, require_space
from vision_rec.index.version import IndexVersion, VersionStore
from vision_rec.reindex import build, stages
from vision_rec.reindex.behaviour import find_behaviour
from vision_rec.reindex.chunks import ChunkStore
from vision_rec.reindex.context import Context, Inputs, open_cache
from vision_rec.reindex.plan import rows_stay
from vision_rec.reindex.report import Journal, Outcome, Progress, ReindexReport
from vision_rec.reindex.staging import Staging
from vision_rec.settings import Settings

_KEY = "reindex"  # chunks are known by their content, so one building folder serves all runs
_STAGING, _CHUNKS = ".staging.sqlite", ".chunks"
_AIR = 16 << 20  # bytes
_GRAPH_BYTES = 320  # per row, of the largest index kind beside the rows
_REPORTS_KEPT = 20
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # the last: a limit on the size of files
_DATABASE_FULL = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE)  # the second: by a quota or a limit
_NO_WRITING = (errno.EIO, errno.EROFS, errno.EACCES, errno.EPERM)


class Run:
    """One run; call it once."""

    def __init__(
        self,
        inputs: Inputs,
        settings: Settings,
        encoders: EncoderSet,
        journal: Journal,
        progress: Progress,
    ) -> None:
        self._inputs, self._settings, self._encoders = inputs, settings, encoders
        self._journal, self._progress = journal, progress
        self._store = VersionStore(settings.paths.indexes)

    def __call__(self) -> ReindexReport:
        """Plan, and unless only that was asked for, publish; return the report."""
        with _disk_failures(self._store.root):
            if self._inputs.plan_only:
                with tempfile.TemporaryDirectory(prefix="vision-rec-plan-") as folder:
                    return self._planned(Path(folder))
            with self._store.lock():
                return self._published()

    def _planned(self, folder: Path) -> ReindexReport:
        with self._context(folder) as context:
            stages.plan(context)
        return self._journal.report("planned")

    def _published(self) -> ReindexReport:
        building = self._store.begin(_KEY)
        feed_sha256 = hash_of(self._inputs.feed)
        with self._context(building) as context:
            stages.plan(context)
            kind = choose_kind(self._settings.index.kind, context.count)
            self._journal.index_kind = kind
            if self._nothing_to_do(context, kind):
                self._journal.version_id = context.parent.id if context.parent else None
                outcome: Outcome = "unchanged"
            else:
                self._make(context, building, kind, feed_sha256)
                outcome = "published"
        if outcome == "unchanged":
            shutil.rmtree(building)
        else:
            self._prune()
        return self._journal.report(outcome)

    def _make(self, context: Context, building: Path, kind: str, feed_sha256: str) -> None:
        journal = self._journal
        require_space(self._store.root, _room(context))
        store = ChunkStore(building / _CHUNKS, self._encoders.layout.dim)
        stages.encode(context, store)
        failpoint("reindex.encoded")
        shared = self._rows_shared(context, kind)
        stages.make_files(context, building, store, kind, shared=shared)
        with journal.stage("publish") as done:
            self._progress("publish", 0, 1)
            report = json.dumps(journal.report("published").to_dict(), ensure_ascii=False, indent=1)
            (building / build.REPORT).write_text(report + "\n", encoding="utf-8")
            failpoint("reindex.report-written")
            version = self._store.publish(
                building,
                layout=context.layout,
                fingerprints=context.fingerprints,
                index_kind=kind,
                count=context.count,
                feed_sha256=feed_sha256,
                sources=self._sources(),
            )
            version.close()
            journal.version_id = version.id
            done.append(1)
        self._progress("publish", 1, 1)
        failpoint("reindex.published")

    def _sources(self) -> dict[str, str]:
        given = {"reviews": self._inputs.reviews, "views": self._inputs.views}
        more = {name: str(path) for name, path in given.items() if path}
        return {"feed": str(self._inputs.feed), "images": str(self._inputs.images), **more}

    def _rows_shared(self, context: Context, kind: str) -> bool:
        """Return whether the new version has the rows, ids and index of its parent."""
        parent = context.parent
        if parent is None or parent.degraded or context.is_behaviour_new:
            return False
        if not rows_stay(context.staging):
            return False
        names = [(aspect.name, aspect.dim) for aspect in parent.layout.aspects]
        return parent.manifest.index_kind == kind and names == [
            (aspect.name, aspect.dim) for aspect in context.layout.aspects
        ]

    def _nothing_to_do(self, context: Context, kind: str) -> bool:
        """Return whether a new version would say what the current one says."""
        plan, parent = self._journal.plan, context.parent
        if parent is None or self._inputs.full or not self._rows_shared(context, kind):
            return False
        return (
            plan.unchanged == plan.products
            and not plan.gone
            and parent.layout == context.layout
            and dict(parent.manifest.fingerprints) == context.fingerprints
            and parent.manifest.sources.get("images") == str(self._inputs.images)
        )

    @contextmanager
    def _context(self, folder: Path) -> Iterator[Context]:
        parent = self._open_parent()
        self._journal.parent = parent.id if parent else None
        try:
            with (
                Staging(folder / _STAGING) as staging,
                open_cache(self._settings, self._encoders) as cache,
            ):
                yield Context(
                    self._inputs,
                    self._settings,
                    self._encoders,
                    self._journal,
                    self._progress,
                    staging,
                    cache,
                    parent,
                    find_behaviour(
                        self._settings, self._encoders, self._inputs.views, self._journal, self._progress
                    ),
                )
        finally:
            if parent is not None:
                parent.close()

    def _open_parent(self) -> IndexVersion | None:
        """Open the current version; with `full`, do without one that cannot be read."""
        if not self._store.ids():
            return None
        with self._journal.stage("open"):
            try:
                parent = self._store.open()
            except (IntegrityError, IncompatibleError) as error:
                if not self._inputs.full:
                    raise
                self._journal.notes.append(f"started anew: {error}")
                return None
        self._journal.notes += parent.degraded
        former = parent.manifest.sources.get("reviews")
        if former is not None and self._inputs.reviews is None:
            self._journal.notes.append(
                f"the version in use was made with reviews ({former}) and this run was given none; "
                "give --reviews to keep them"
            )
        return parent

    def _prune(self) -> None:
        try:
            self._store.prune(self._settings.index.keep_versions)
        except VisionRecError as error:
            self._journal.notes.append(f"old versions stay: {error}")


def _room(context: Context) -> int:
    """Return how many bytes the run will write, roughly."""
    row = 2 * context.layout.dim
    rows = row * (context.count + context.journal.plan.to_encode)
    return rows + _GRAPH_BYTES * context.count + context.staging.path.stat().st_size + _AIR


@contextmanager
def _disk_failures(root: Path) -> Iterator[None]:
    """Turn a full or unwritable disk, and a lack of memory, into errors that say so."""
    try:
        yield
    except OSError as error:
        if error.errno in _NO_SPACE:
            raise _full(root) from error
        if error.errno in _NO_WRITING:
            where = error.filename or root
            raise UnavailableError(
                f"cannot read or write {where}: {error.strerror}; check the disk and its permissions"
            ) from error
        raise
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode in _DATABASE_FULL:
            raise _full(root) from error
        raise
    except MemoryError as error:
        raise ResourceError(
            "not enough memory for this catalogue; give the process more, or lower encoders.batch_size"
        ) from error


def _full(root: Path) -> ResourceError:
    free = shutil.disk_usage(root if root.exists() else Path.cwd()).free
    return ResourceError(
        f"the disk of {root} ran full, {free} bytes are free (or a quota or a limit on the size of files is "
        "reached); make room and run again: finished work is kept"
    )


def note_failure(error: VisionRecError, journal: Journal, data: Path) -> None:
    """Keep the report of a failed run in the data folder, and let the error's message say where."""
    folder = data / "reports"
    path = folder / f"reindex-{journal.started_at:%Y-%m-%dT%H-%M-%SZ}.json"
    report = journal.report("failed", str(error)).to_dict()
    # A full disk is one of the failures to report; then the message alone must do.
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.write_text(json.dumps(report, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
        for old in sorted(folder.glob("reindex-*.json"))[:-_REPORTS_KEPT]:
            old.unlink()
        error.args = (f"{error}. The report is in {path}", *error.args[1:])
