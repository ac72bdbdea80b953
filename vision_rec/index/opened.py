"""An open index version: verified before anything in it is read, held against pruning while in use."""

from __future__ import annotations

import fcntl
import json
import os
import weakref
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from vision_rec.errors import IncompatibleError, IntegrityError, NotFoundError
from vision_rec.fusion import AspectLayout
from vision_rec.index import manifest as manifests
from vision_rec.index.files import hash_of, load_array
from vision_rec.index.manifest import Manifest, read_manifest
from vision_rec.types import Array

IDS, VECTORS, CATALOG, REPORT, INDEX = "ids.json", "vectors.npy", "catalog.parquet", "report.json", "index"
SESSION, SESSION_MODEL = "session", "session/model.safetensors"
REQUIRED = (IDS, VECTORS, CATALOG)
StoredRows = npt.NDArray[np.float16]


@dataclass(frozen=True, slots=True)
class Problem:
    """One file that is not what the manifest says."""

    file: str
    expected: str
    found: str

    def __str__(self) -> str:
        return f"{self.file}: expected {self.expected}, found {self.found}"


class IndexVersion:
    """One version on disk, which never changes; row `i` is the same product in all of its parts.

    While it is open (until `close`, the end of a `with` or garbage collection) pruning leaves it alone.
    """

    def __init__(
        self, path: Path, manifest: Manifest, ids: tuple[str, ...], stored: StoredRows, hold: int
    ) -> None:
        self.id = manifest.version_id  # also the folder's name; computed once, answers carry it
        self.path = path
        self.manifest = manifest
        self.ids = ids
        self.degraded: tuple[str, ...] = ()
        self._stored = stored
        self._rows: Array | None = None
        self._lock = Lock()
        self._release = weakref.finalize(self, os.close, hold)

    @property
    def layout(self) -> AspectLayout:
        """The blocks of a row."""
        return self.manifest.layout

    @property
    def catalog_path(self) -> Path:
        """Where the catalogue's columns are."""
        return self.path / CATALOG

    @property
    def index_folder(self) -> Path:
        """Where `load_index` finds what `save` wrote; absent for kinds that need nothing."""
        return self.path / INDEX

    @property
    def model_folder(self) -> Path | None:
        """Where the sequence model is that belongs to these rows; None where none does."""
        return self.path / SESSION if SESSION_MODEL in self.manifest.files else None

    @property
    def report(self) -> dict[str, Any]:
        """The report of the reindex that made this version; empty where there is none."""
        if REPORT not in self.manifest.files:
            return {}
        report: dict[str, Any] = json.loads((self.path / REPORT).read_bytes())
        return report

    def stored_rows(self) -> StoredRows:
        """Return the rows (N, D) as stored, float16, mapped from the disk."""
        return self._stored

    def rows(self) -> Array:
        """Return the rows (N, D) as float32, converted once and shared by all callers; read-only."""
        with self._lock:
            if self._rows is None:
                self._rows = np.ascontiguousarray(self._stored, dtype=np.float32)
                self._rows.flags.writeable = False
            return self._rows

    def close(self) -> None:
        """Let pruning have this version; rows already read stay valid."""
        self._release()

    def __enter__(self) -> IndexVersion:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_version(folder: Path, *, name: str | None = None) -> IndexVersion:
    """Open the version in `folder` after checking its manifest and the SHA-256 of every file.

    `name` is the id the manifest must have (the folder's name where None).
    Raises NotFoundError, IntegrityError naming the first bad file, or IncompatibleError.
    """
    hold = _hold(folder)
    try:
        manifest = read_manifest(folder)
        if manifest.version_id != (name or folder.name):
            raise IntegrityError(f"{folder} holds the manifest of version {manifest.version_id}")
        bad = problems(folder, manifest)
        if bad:
            more = f" (and {len(bad) - 1} more)" if len(bad) > 1 else ""
            raise IntegrityError(f"version {folder.name} is damaged: {bad[0]}{more}")
        ids = _load_ids(folder / IDS, manifest.count)
        stored = load_array(folder / VECTORS, np.float16, (manifest.count, manifest.layout.dim))
    except BaseException:
        os.close(hold)
        raise
    return IndexVersion(folder, manifest, ids, stored, hold)


def inspect(folder: Path) -> list[Problem]:
    """Return everything wrong with the version in `folder`, the manifest included."""
    try:
        manifest = read_manifest(folder)
    except (IntegrityError, IncompatibleError) as error:
        return [Problem(manifests.NAME, f"format version {manifests.FORMAT_VERSION}, undamaged", str(error))]
    if manifest.version_id != folder.name:
        return [Problem(manifests.NAME, f"the manifest of {folder.name}", f"that of {manifest.version_id}")]
    bad = problems(folder, manifest)
    if bad:
        return bad
    try:
        open_version(folder).close()
    except IntegrityError as error:
        return [Problem(manifests.NAME, "files that fit together", str(error))]
    return []


def problems(folder: Path, manifest: Manifest) -> list[Problem]:
    """Compare the files of `folder` with the manifest: there, of the right size, with the right SHA-256."""
    bad = [
        Problem(name, "a file that every version has", "no entry")
        for name in REQUIRED
        if name not in manifest.files
    ]
    for name, entry in manifest.files.items():
        path = folder / name
        if path.is_symlink() or not path.is_file():
            bad.append(Problem(name, "a file", "something else" if os.path.lexists(path) else "nothing"))
        elif path.stat().st_size != entry.size:
            bad.append(Problem(name, f"{entry.size} bytes", f"{path.stat().st_size} bytes"))
        else:
            bad.extend(_bad_hash(path, name, entry.sha256))
    return bad


def check_rows(version: IndexVersion) -> None:
    """Raise IntegrityError where a stored row holds NaN or infinity."""
    stored = version.stored_rows()
    for start in range(0, len(stored), 4096):
        bad = np.flatnonzero(~np.isfinite(stored[start : start + 4096]).all(axis=1))
        if bad.size:
            row = start + int(bad[0])
            raise IntegrityError(f"row {row} of {VECTORS}, product {version.ids[row]!r}, is not finite")


def _bad_hash(path: Path, name: str, expected: str) -> list[Problem]:
    try:
        found = hash_of(path)
    except OSError as error:
        return [Problem(name, f"SHA-256 {expected}", f"an unreadable file ({error.strerror})")]
    return [] if found == expected else [Problem(name, f"SHA-256 {expected}", f"SHA-256 {found}")]


def _load_ids(path: Path, count: int) -> tuple[str, ...]:
    try:
        ids = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise IntegrityError(f"{path} is not readable: {error}") from error
    if not isinstance(ids, list) or not all(isinstance(entry, str) for entry in ids):
        raise IntegrityError(f"{path} is not a list of product ids")
    if len(ids) != count or len(set(ids)) != count:
        raise IntegrityError(f"{path} has {len(ids)} ids, {len(set(ids))} different; expected {count}")
    return tuple(ids)


def _hold(folder: Path) -> int:
    """Take the shared lock that keeps pruning away; the descriptor holds it."""
    try:
        hold = os.open(folder / manifests.NAME, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        if not folder.is_dir():
            raise NotFoundError(f"there is no version {folder.name} in {folder.parent}") from error
        raise IntegrityError(f"{folder / manifests.NAME} cannot be read: {error.strerror}") from error
    try:
        fcntl.flock(hold, fcntl.LOCK_SH | fcntl.LOCK_NB)
        gone = os.fstat(hold).st_nlink == 0
    except BlockingIOError:
        gone = True
    except OSError:
        gone = False  # a file system without locks: readers go on, pruning refuses
    if gone:
        os.close(hold)
        raise NotFoundError(f"version {folder.name} is being removed from {folder.parent}")
    return hold


def claim(folder: Path) -> int | None:
    """Take the lock against readers and return its descriptor, or None where one holds the version."""
    try:
        descriptor = os.open(folder / manifests.NAME, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return os.open(folder, os.O_RDONLY | os.O_CLOEXEC)  # no manifest: nobody can hold it
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor
