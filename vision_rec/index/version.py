"""Index versions on disk: built aside, published in one step, verified when opened, never changed.

indexes/2026-03-01T04-00-00Z-1a2b3c4d/   manifest.json ids.json vectors.npy catalog.parquet index/ report.json
indexes/.building-<key>/                 a version in the making; kept for resuming
indexes/CURRENT                          the id of the version in use
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

from vision_rec.errors import (
    IncompatibleError,
    InputError,
    IntegrityError,
    NotFoundError,
    UnavailableError,
)
from vision_rec.failpoints import failpoint
from vision_rec.fusion import AspectLayout
from vision_rec.index import files
from vision_rec.index import manifest as manifests
from vision_rec.index.lock import FolderLock
from vision_rec.index.manifest import FileEntry, Manifest, read_manifest
from vision_rec.index.opened import IndexVersion, Problem, check_rows, claim, inspect, open_version

__all__ = ["IndexVersion", "Manifest", "Problem", "VersionInfo", "VersionStore"]

_ID = re.compile(r"\d{4}-\d\d-\d\dT([01]\d|2[0-3])-[0-5]\d-[0-5]\dZ-[0-9a-f]{8}", re.ASCII)
_KEY = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")
_BUILDING, _DELETING = ".building-", ".deleting-"
_ROOM_FACTOR = 2.2  # × the last version: the new one, its working files and some air
_LEAST_ROOM = 4 << 20  # bytes: manifest, CURRENT and the folders of a small version

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class VersionInfo:
    """One line of `versions list`; `size` in bytes. Damage is found here only in the manifest and sizes."""

    id: str
    created_at: str
    count: int
    size: int
    state: Literal["current", "ready", "damaged", "incompatible"]


class VersionStore:
    """The versions under one folder; readers need no lock, writers take it."""

    def __init__(self, root: Path) -> None:
        self.root = Path(root)
        self._lock = FolderLock(self.root / "LOCK")

    # ── reading ────────────────────────────────────────────────────────────────────────────────────────

    def current_id(self) -> str | None:
        """Return the id CURRENT names, None where there is none; raises IntegrityError for garbage."""
        try:
            text = (self.root / "CURRENT").read_bytes()[:200].decode("ascii", "replace").strip()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise IntegrityError(f"{self.root / 'CURRENT'} cannot be read: {error.strerror}") from error
        if not _is_id(text):
            raise IntegrityError(f"{self.root / 'CURRENT'} holds {text[:40]!r}, which is no version id")
        return text

    def ids(self) -> tuple[str, ...]:
        """Return the ids of all versions, oldest first; raises UnavailableError for an unreadable folder."""
        with files.disk_errors(self.root, 0):
            if not self.root.is_dir():
                return ()
            found = [path.name for path in self.root.iterdir() if _is_id(path.name) and path.is_dir()]
        return tuple(sorted(found))

    def list(self) -> tuple[VersionInfo, ...]:
        """Describe all versions, oldest first, by their manifests and sizes alone."""
        try:
            current = self.current_id()
        except IntegrityError:
            current = None
        return tuple(self._info(version_id, version_id == current) for version_id in self.ids())

    def open(self, version_id: str | None = None) -> IndexVersion:
        """Open a version, the current one where None, after verifying every byte of it.

        Where CURRENT or its version is damaged, the newest good older version answers, with a warning in
        the log and in `degraded`. Raises UnavailableError where there is no version at all,
        IntegrityError where none is good, NotFoundError for an unknown id, IncompatibleError.
        """
        if version_id is not None:
            return open_version(self._folder(version_id))
        for _ in range(3):  # CURRENT may move, and its old version be pruned, between two steps
            current = self._named()
            try:
                return self._open_current()
            except (IntegrityError, NotFoundError) as error:
                problem = str(error)
            if self._named() == current:
                break
        return self._fall_back(current, problem)

    def verify(self, version_id: str) -> tuple[Problem, ...]:
        """Return what is wrong with a version, file by file; nothing where it is good."""
        return tuple(inspect(self._folder(version_id)))

    # ── writing ────────────────────────────────────────────────────────────────────────────────────────

    def lock(self) -> AbstractContextManager[None]:
        """Hold these indexes for writing; raises LockedError naming the process that does."""
        self._make_root()
        return self._lock.hold()

    def begin(self, key: str, *, needed: int = 0) -> Path:
        """Return the folder `.building-<key>`, new or as an earlier run left it.

        Files whose names start with a dot are working files: they stay out of the version. Under the lock,
        what other runs left behind is removed. `needed` are the bytes the caller will write.
        Raises ResourceError where they, or 2.2 × the current version, do not fit on the disk.
        """
        if not _KEY.fullmatch(key):
            raise InputError(f"building key is {key!r}; allowed are letters, digits, '.', '_' and '-'")
        self._make_root()
        building = self.root / f"{_BUILDING}{key}"
        if self._lock.mine:
            self._sweep(building)
        parent = self._parent()
        room = int(_ROOM_FACTOR * parent.size) if parent else 0
        files.require_space(self.root, max(needed, room, _LEAST_ROOM))
        with files.disk_errors(self.root, max(needed, room)):
            building.mkdir(mode=0o700, exist_ok=True)
            for name in files.files_in(building):
                files.unshare(building / name)  # a run killed while publishing; its files may be appended to
        return building

    def publish(
        self,
        building: Path,
        *,
        layout: AspectLayout,
        fingerprints: Mapping[str, str],
        index_kind: str,
        count: int,
        feed_sha256: str,
        weights: Mapping[str, float] | None = None,
        presets: Mapping[str, Mapping[str, float]] | None = None,
        sources: Mapping[str, str] | None = None,
    ) -> IndexVersion:
        """Make the files in `building` a version and the current one, in one step for every reader.

        They must hold ids.json, vectors.npy (count, D) float16 and catalog.parquet. Files equal to the
        parent's become hard links to them. Raises IntegrityError where the files do not fit together,
        ResourceError where the disk is full; the current version then stays as it was.
        """
        if building.resolve().parent != self.root.resolve():
            raise InputError(f"{building} is not in {self.root}; publish what `begin` returned")
        with self.lock(), files.disk_errors(self.root, _LEAST_ROOM):
            failpoint("publish.start")
            files.require_space(self.root, _LEAST_ROOM)
            parent = self._parent()
            manifest = Manifest(
                layout=layout,
                fingerprints=dict(fingerprints),
                index_kind=index_kind,
                count=count,
                feed_sha256=feed_sha256,
                created_at=self._next_time(),
                files=self._seal(building, parent),
                parent=parent.version_id if parent else None,
                weights=_numbers(weights or {}),
                presets={name: _numbers(preset) for name, preset in (presets or {}).items()},
                sources=dict(sources or {}),
            )
            version = self._finish(building, manifest)
            failpoint("publish.before-current")
            self._point(version.id)
            failpoint("publish.done")
            return version

    def activate(self, version_id: str) -> None:
        """Make a version the current one, after verifying it: rollback and roll forward alike."""
        with self.lock(), files.disk_errors(self.root, _LEAST_ROOM):
            open_version(self._folder(version_id)).close()
            self._point(version_id)

    def prune(self, keep: int) -> tuple[str, ...]:
        """Remove all but the newest `keep` versions, the current one and those in use; return the removed.

        Raises IntegrityError where the current version is damaged, since an older one answers then.
        """
        if keep < 1:
            raise InputError(f"keep is {keep}; allowed is 1 or more")
        with self.lock(), files.disk_errors(self.root, _LEAST_ROOM):
            self._sweep(None)
            current = self.current_id()
            if current is None:
                return ()
            open_version(self.root / current).close()
            old = [name for name in self.ids()[:-keep] if name != current]
            return tuple(name for name in old if self._remove(name))

    # ── steps ──────────────────────────────────────────────────────────────────────────────────────────

    def _seal(self, building: Path, parent: Manifest | None) -> dict[str, FileEntry]:
        """Bring every file of `building` to the disk, as a link where the parent has the same."""
        known = {entry: name for name, entry in parent.files.items()} if parent else {}
        entries: dict[str, FileEntry] = {}
        for name in files.files_in(building):
            if name == manifests.NAME:  # left by a run killed while publishing
                continue
            path = building / name
            entry = entries[name] = FileEntry(path.stat().st_size, files.hash_of(path))
            failpoint("publish.file-hashed")
            if not (parent and entry in known and self._link(parent, known[entry], path, entry)):
                os.chmod(path, 0o600)
                files.sync(path)
            failpoint("publish.file-synced")
        for folder in sorted({building / parent for name in entries for parent in Path(name).parents}):
            files.sync(folder)
        failpoint("publish.files-done")
        return entries

    def _link(self, parent: Manifest, name: str, path: Path, entry: FileEntry) -> bool:
        source = self.root / parent.version_id / name
        if not source.is_file() or files.hash_of(source) != entry.sha256:
            return False  # the parent is damaged there; the new version must not share it
        return source.samefile(path) or files.link(source, path)

    def _finish(self, building: Path, manifest: Manifest) -> IndexVersion:
        """Write the manifest last, read everything back and give the folder its name."""
        files.write_durable(building / manifests.NAME, manifest.to_bytes())
        failpoint("publish.manifest-written")
        version = open_version(building, name=manifest.version_id)
        try:
            check_rows(version)
            failpoint("publish.verified")
            self._drop_working_files(building)
            files.sync(building)
            failpoint("publish.before-rename")
            version.path = self.root / manifest.version_id
            files.rename(building, version.path)
            failpoint("publish.renamed")
            files.sync(self.root)
        except BaseException:
            version.close()
            raise
        return version

    def _point(self, version_id: str) -> None:
        """Replace CURRENT; before the rename readers see the old version, after it the new one."""
        beside = self.root / "CURRENT.tmp"
        files.write_durable(beside, version_id.encode() + b"\n")
        failpoint("current.written")
        files.rename(beside, self.root / "CURRENT")
        failpoint("current.replaced")
        files.sync(self.root)

    def _remove(self, version_id: str) -> bool:
        hold = claim(self.root / version_id)
        if hold is None:
            _log.info("version %s is in use and stays", version_id)
            return False
        try:
            leaving = self.root / f"{_DELETING}{version_id}"
            files.rename(self.root / version_id, leaving)
            failpoint("prune.renamed")
            files.remove_tree(leaving)
        finally:
            os.close(hold)
        return True

    def _sweep(self, kept: Path | None) -> None:
        """Remove what killed runs left behind, but for the folder `kept`; None keeps all building folders."""
        for path in sorted(self.root.iterdir()):
            stale = path.name.startswith(_BUILDING) and kept is not None and path != kept
            if stale or path.name.startswith(_DELETING):
                files.remove_tree(path)
                failpoint("sweep.removed")

    def _drop_working_files(self, building: Path) -> None:
        for path in sorted(building.rglob(".*")):
            if path.is_dir() and not path.is_symlink():
                files.remove_tree(path)
            else:
                path.unlink(missing_ok=True)

    # ── small things ───────────────────────────────────────────────────────────────────────────────────

    def _make_root(self) -> None:
        with files.disk_errors(self.root, _LEAST_ROOM):
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)

    def _folder(self, version_id: str) -> Path:
        if not _is_id(version_id) or not (self.root / version_id).is_dir():
            have = ", ".join(self.ids()) or "none"
            raise NotFoundError(f"there is no version {version_id!r} in {self.root}; there are: {have}")
        return self.root / version_id

    def _open_current(self) -> IndexVersion:
        current = self.current_id()
        if current is not None:
            return open_version(self.root / current)
        if self.ids():
            raise IntegrityError(f"{self.root / 'CURRENT'} is missing")
        raise UnavailableError(
            f"there is no index version in {self.root}; run `vision-rec reindex FEED` or `vision-rec demo`"
        )

    def _named(self) -> str | None:
        """Return the id CURRENT names, None for none and for garbage alike."""
        try:
            return self.current_id()
        except IntegrityError:
            return None

    def _parent(self) -> Manifest | None:
        """Return the manifest of the current version, None where it is of no use for linking."""
        current = self._named()
        try:
            return None if current is None else read_manifest(self.root / current)
        except (IntegrityError, IncompatibleError):
            return None

    def _next_time(self) -> str:
        """Return now, or a second after the newest version: ids order as published."""
        now = datetime.now(UTC).replace(microsecond=0, tzinfo=None)  # clocks jump; ids must not
        for version_id in self.ids()[-1:]:
            newest = datetime.strptime(version_id[:20], "%Y-%m-%dT%H-%M-%SZ")
            now = max(now, newest + timedelta(seconds=1))
        return now.strftime("%Y-%m-%dT%H:%M:%SZ")

    def _info(self, version_id: str, current: bool) -> VersionInfo:
        folder = self.root / version_id
        created_at = version_id[:10] + version_id[10:20].replace("-", ":")
        try:
            manifest = read_manifest(folder)
        except IncompatibleError:
            return VersionInfo(version_id, created_at, 0, 0, "incompatible")
        except IntegrityError:
            return VersionInfo(version_id, created_at, 0, 0, "damaged")
        whole = manifest.version_id == version_id and all(
            (folder / name).is_file() and (folder / name).stat().st_size == entry.size
            for name, entry in manifest.files.items()
        )
        state: Literal["current", "ready", "damaged"] = "current" if current else "ready"
        return VersionInfo(
            version_id, manifest.created_at, manifest.count, manifest.size, state if whole else "damaged"
        )

    def _fall_back(self, current: str | None, problem: str) -> IndexVersion:
        """Open the newest good version, older ones than the damaged first."""
        others = [name for name in reversed(self.ids()) if name != current]
        for name in sorted(others, key=lambda name: current is not None and name > current):
            try:
                version = open_version(self.root / name)
            except (IntegrityError, NotFoundError, IncompatibleError) as error:
                _log.warning("version %s cannot stand in: %s", name, error)
                continue
            version.degraded = (f"{problem}; version {name} answers instead",)
            _log.warning("%s", version.degraded[0])
            return version
        raise IntegrityError(
            f"{problem}; no other version in {self.root} is good. Run `vision-rec reindex FEED --full`"
        )


def _is_id(text: str) -> bool:
    try:
        return bool(_ID.fullmatch(text) and datetime.strptime(text[:10], "%Y-%m-%d").year < 9999)
    except ValueError:
        return False


def _numbers(weights: Mapping[str, float]) -> dict[str, float]:
    return {name: float(weight) for name, weight in weights.items()}
