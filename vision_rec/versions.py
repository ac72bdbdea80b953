"""The index versions as people look after them: what was measured, when they were verified, what differs."""

from __future__ import annotations

import json
import logging
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from vision_rec.catalog import CatalogTable
from vision_rec.compare import VersionDiff, compare_versions
from vision_rec.errors import IncompatibleError, IntegrityError, NotFoundError, VisionRecError
from vision_rec.index.manifest import Manifest, read_manifest
from vision_rec.index.opened import CATALOG, REPORT
from vision_rec.index.version import Problem, VersionInfo, VersionStore
from vision_rec.outfile import unfinished
from vision_rec.settings import Settings
from vision_rec.types import Product

log = logging.getLogger(__name__)
K = TypeVar("K")
V = TypeVar("V")
_KEPT_DIFFS, _KEPT_CATALOGUES, _KEPT_MANIFESTS = 8, 2, 64


@dataclass(frozen=True, slots=True)
class Measures:
    """What the reindex that made a version counted and checked; `stages` are seconds by name."""

    seconds: float = 0.0
    products: int = 0
    new: int = 0
    changed: int = 0
    returned: int = 0
    gone: int = 0
    retired: int = 0
    rejected: int = 0
    recall: Mapping[str, float] = field(default_factory=dict)
    checks: tuple[tuple[str, bool, str], ...] = ()  # name, passed, detail
    stages: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Verified:
    """What came of checking every byte of a version at `at` (UTC): nothing is wrong, or `problems`."""

    at: str
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class VersionEntry:
    """One version with all that is known of it; `stays` tells whether the next reindex leaves it."""

    info: VersionInfo
    fingerprints: Mapping[str, str]
    index_kind: str | None
    parent: str | None
    measures: Measures | None
    verified: Verified | None
    stays: bool


class VersionDesk:
    """The versions of one index folder; what is found out about them is kept in the data folder."""

    def __init__(self, settings: Settings) -> None:
        self.store = VersionStore(settings.paths.indexes)
        self._keep = settings.index.keep_versions
        self._folder = settings.paths.data / "verified"
        self._lock = threading.Lock()
        self._comparing = threading.Lock()  # one at a time: it reads all rows of two versions
        self._known: OrderedDict[str, tuple[Manifest, Measures | None]] = OrderedDict()
        self._diffs: OrderedDict[tuple[str, str, int, int], VersionDiff] = OrderedDict()
        self._catalogues: OrderedDict[str, CatalogTable] = OrderedDict()
        self._checked: dict[str, Verified] = {}

    # ── looking ───────────────────────────────────────────────────────────────────────────────────────

    def entries(self) -> tuple[VersionEntry, ...]:
        """Describe all versions, newest first."""
        listed = tuple(reversed(self.store.list()))
        return tuple(self._entry(info, place < self._keep - 1) for place, info in enumerate(listed))

    def before(self, version_id: str) -> str | None:
        """Return the version to go back to from `version_id`: its parent, else the next older good one."""
        good = [info.id for info in self.store.list() if info.state in ("current", "ready")]
        older = [name for name in good if name < version_id]
        manifest = self._manifest(version_id)[0] if version_id in good else None
        if manifest is not None and manifest.parent in older:
            return manifest.parent
        return older[-1] if older else None

    def product(self, version_id: str, product_id: str) -> Product:
        """Return a product as a version has it, retired ones too; raises NotFoundError."""
        catalogue = self._catalogue(version_id)
        return catalogue.product(catalogue.row_of(product_id))

    def products(self, version_id: str, product_ids: Sequence[str]) -> dict[str, Product]:
        """Return those of `product_ids` that a version has."""
        catalogue = self._catalogue(version_id)
        return {
            ident: catalogue.product(catalogue.row_of(ident)) for ident in product_ids if ident in catalogue
        }

    def pictures_root(self, version_id: str) -> str | None:
        """Return the folder that a version's picture references resolve in."""
        return self._manifest(version_id)[0].sources.get("images")

    def diff(self, before: str, after: str, *, probes: int = 100, k: int = 10) -> VersionDiff:
        """Compare two versions as `compare_versions` does; known for versions that were compared lately."""
        key = (before, after, probes, k)
        with self._comparing:
            if key not in self._diffs:
                self._diffs[key] = compare_versions(self.store, before, after, probes=probes, k=k)
                self.note_good(before)
                self.note_good(after)
            return _used(self._diffs, key, _KEPT_DIFFS)

    # ── checking ──────────────────────────────────────────────────────────────────────────────────────

    def verify(self, version_id: str) -> Verified:
        """Check every byte of a version and remember what came of it; raises NotFoundError."""
        found = Verified(_now(), self.store.verify(version_id))
        self._note(version_id, found)
        return found

    def activate(self, version_id: str) -> None:
        """Verify a version and make it the current one: rollback and roll forward alike."""
        try:
            self.store.activate(version_id)
        except IntegrityError:
            self.verify(version_id)
            raise
        self.note_good(version_id)

    def note_good(self, version_id: str) -> None:
        """Remember that a version was opened just now, which checks every byte of it."""
        self._note(version_id, Verified(_now()))

    def _note(self, version_id: str, found: Verified) -> None:
        self._checked[version_id] = found
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            kept = {f"{name}.json" for name in self.store.ids()}
            for path in self._folder.glob("*Z-*.json"):
                if path.name not in kept:
                    path.unlink(missing_ok=True)
            with unfinished(self._folder / f"{version_id}.json") as path:
                path.write_text(json.dumps(asdict(found)), "utf-8")
        except (OSError, VisionRecError) as error:  # then only this process knows
            log.warning("that version %s was verified cannot be written: %s", version_id, error)

    def _verified(self, version_id: str) -> Verified | None:
        """Return what is known, by this process or another one, the later of both."""
        mine = self._checked.get(version_id)
        try:
            given = json.loads((self._folder / f"{version_id}.json").read_bytes())
            theirs = Verified(str(given["at"]), tuple(Problem(**entry) for entry in given["problems"]))
        except (OSError, ValueError, KeyError, TypeError):
            return mine
        return theirs if mine is None or theirs.at > mine.at else mine

    # ── steps ─────────────────────────────────────────────────────────────────────────────────────────

    def _entry(self, info: VersionInfo, stays: bool) -> VersionEntry:
        try:
            manifest, measures = self._manifest(info.id)
        except (IntegrityError, IncompatibleError, NotFoundError):
            return VersionEntry(info, {}, None, None, None, self._verified(info.id), stays)
        return VersionEntry(
            info,
            manifest.fingerprints,
            manifest.index_kind,
            manifest.parent,
            measures,
            self._verified(info.id),
            stays,
        )

    def _manifest(self, version_id: str) -> tuple[Manifest, Measures | None]:
        """Read a version's manifest and report once: versions never change."""
        with self._lock:
            if version_id not in self._known:
                folder = self._folder_of(version_id)
                manifest = read_manifest(folder)
                report = _read_report(folder / REPORT) if REPORT in manifest.files else {}
                self._known[version_id] = manifest, _measures(report)
            return _used(self._known, version_id, _KEPT_MANIFESTS)

    def _catalogue(self, version_id: str) -> CatalogTable:
        with self._lock:
            if version_id not in self._catalogues:
                self._catalogues[version_id] = CatalogTable.load(self._folder_of(version_id) / CATALOG)
            return _used(self._catalogues, version_id, _KEPT_CATALOGUES)

    def _folder_of(self, version_id: str) -> Path:
        if version_id not in self.store.ids():
            have = ", ".join(self.store.ids()) or "none"
            raise NotFoundError(f"there is no version {version_id!r}; there are: {have}")
        return self.store.root / version_id


def _used(known: OrderedDict[K, V], key: K, most: int) -> V:
    """Return an entry, the last to be forgotten now."""
    known.move_to_end(key)
    while len(known) > most:
        known.popitem(last=False)
    return known[key]


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _read_report(path: Path) -> Mapping[str, Any]:
    try:
        report = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return report if isinstance(report, dict) else {}


def _measures(report: Mapping[str, Any]) -> Measures | None:
    """Read what counts of a report; None where there is none, or one of another form."""
    try:
        plan = report["plan"]
        known = sum(int(plan[name]) for name in ("new", "unchanged", "returned"))
        return Measures(
            seconds=float(report["seconds"]),
            products=int(plan["products"]),
            new=int(plan["new"]),
            changed=max(0, int(plan["products"]) - known),
            returned=int(plan["returned"]),
            gone=int(plan["gone"]),
            retired=int(plan["retired"]),
            rejected=int(report["rejected"]),
            recall={str(name): float(value) for name, value in report["recall"].items()},
            checks=tuple((str(c["name"]), bool(c["passed"]), str(c["detail"])) for c in report["checks"]),
            stages={str(name): float(stage["seconds"]) for name, stage in report["stages"].items()},
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        return None
