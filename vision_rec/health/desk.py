"""HealthDesk: checks in the background, one at a time, and their reports by version in the data folder."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from vision_rec.errors import LockedError, VisionRecError
from vision_rec.health.model import HealthReport
from vision_rec.health.run import Progress, check_health
from vision_rec.index.lock import FolderLock
from vision_rec.outfile import unfinished
from vision_rec.recommend import Recommender
from vision_rec.recommend.state import State

_KEPT = 10  # reports of versions
_TELL_SECONDS = 0.3
_STATUS = "status.json"
_log = logging.getLogger(__name__)
Word = Literal["none", "running", "done", "failed"]


@dataclass(frozen=True, slots=True)
class Status:
    """How far the check of a version is; `error` says why the last one ended without a report."""

    word: Word
    stage: str = ""
    done: int = 0
    total: int | None = None
    error: str = ""


class HealthDesk:
    """The reports below one data folder; several processes may share it, one of them checks at a time."""

    def __init__(self, data: Path) -> None:
        self.folder = data / "health"

    # ── reading ───────────────────────────────────────────────────────────────────────────────────

    def report(self, state: State) -> HealthReport | None:
        """Return the report of a version; None where it was not checked with its default weights."""
        try:
            report = HealthReport.from_dict(json.loads(self._path(state.version_id).read_bytes()))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            _log.warning("the health report of %s cannot be read: %s", state.version_id, error)
            return None
        same = report.version_id == state.version_id and dict(report.weights) == dict(state.default_weights)
        return report if same else None

    def status(self, state: State) -> Status:
        """Say whether the version is being checked, was checked, or could not be."""
        entry = self._entry()
        if entry is not None and entry["version_id"] == state.version_id:
            told = Status(**entry["status"])
            if told.word == "failed" or self._is_held():
                return told
        return Status("none" if self.report(state) is None else "done")

    def _entry(self) -> dict[str, Any] | None:
        """Return what the last check told of itself; None where there is nothing, or nothing to read."""
        try:
            entry: dict[str, Any] = json.loads((self.folder / _STATUS).read_bytes())
            Status(**entry["status"])
            return entry if isinstance(entry["version_id"], str) else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _is_held(self) -> bool:
        """Say whether somebody checks now: who was killed let go of the lock."""
        try:
            with self._lock().hold():
                return False
        except LockedError:
            return True
        except VisionRecError:
            return False

    # ── checking ──────────────────────────────────────────────────────────────────────────────────

    def check(
        self, recommender: Recommender, *, progress: Progress = lambda stage, done, total: None
    ) -> HealthReport:
        """Check the version in use and keep the report; raises LockedError where another check runs."""
        return self._check(recommender, progress, threading.Event())

    def start(self, recommender: Recommender) -> bool:
        """Check in the background; False where a check runs already. What goes wrong is in the status."""
        begun, refused = threading.Event(), threading.Event()

        def work() -> None:
            try:
                self._check(recommender, lambda stage, done, total: None, begun)
            except LockedError:
                refused.set()
            except Exception as error:  # a thread has nobody to raise to
                _log.error("the check of the catalogue's health failed", exc_info=error)
            finally:
                begun.set()

        threading.Thread(target=work, name="health", daemon=True).start()
        begun.wait()
        return not refused.is_set()

    def _check(self, recommender: Recommender, progress: Progress, begun: threading.Event) -> HealthReport:
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        version = recommender.version_id
        try:
            with self._lock().hold():
                self._tell(version, Status("running", "catalogue"))
                begun.set()
                report = check_health(recommender, progress=self._teller(version, progress))
                self._write(self._path(report.version_id), report.to_dict())
                (self.folder / _STATUS).unlink(missing_ok=True)
                self._prune()
                return report
        except LockedError:
            raise
        except BaseException as error:  # told once the lock is free for the next check
            self._tell(version, Status("failed", error=f"{error or type(error).__name__}"))
            raise

    def _teller(self, version_id: str, progress: Progress) -> Progress:
        told_at = 0.0

        def tell(stage: str, done: int, total: int | None) -> None:
            nonlocal told_at
            progress(stage, done, total)
            if time.monotonic() - told_at >= _TELL_SECONDS:
                told_at = time.monotonic()
                self._tell(version_id, Status("running", stage, done, total))

        return tell

    def _tell(self, version_id: str, status: Status) -> None:
        with suppress(VisionRecError, OSError):  # a full disk must not end the check
            self._write(self.folder / _STATUS, {"version_id": version_id, "status": asdict(status)})

    def _write(self, path: Path, body: Mapping[str, Any]) -> None:
        with unfinished(path) as part:
            part.write_text(json.dumps(body, ensure_ascii=False) + "\n", encoding="utf-8")

    def _prune(self) -> None:
        reports = [path for path in self.folder.glob("*.json") if path.name != _STATUS]
        for path in sorted(reports, key=lambda path: path.stat().st_mtime)[:-_KEPT]:
            path.unlink(missing_ok=True)

    def _path(self, version_id: str) -> Path:
        return self.folder / f"{version_id}.json"

    def _lock(self) -> FolderLock:
        return FolderLock(self.folder / "lock")
