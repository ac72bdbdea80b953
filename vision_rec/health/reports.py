"""What reindex said of the version in use, what the newest failed run said, and what products lack now."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from vision_rec.health.facts import PICTURE_ASPECTS
from vision_rec.index.version import IndexVersion
from vision_rec.recommend.state import State

MAX_LISTED = 1_000
_CHUNK = 65_536
_QUOTED = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"")
_LACKS: WeakKeyDictionary[Any, dict[str, tuple[int, tuple[str, ...]]]] = WeakKeyDictionary()
_NUMBER = re.compile(r"(?<![\w#])-?\d[\d.,]*")


@dataclass(frozen=True, slots=True)
class RunReports:
    """Reports as ReindexReport.to_dict wrote them; empty where there is none.

    `failed` is of the newest run that failed after the version was made; `failed_at` is its file's name.
    """

    made: Mapping[str, Any]
    failed: Mapping[str, Any]
    damage: str = ""  # why the version's report cannot be read


def run_reports(state: State, data: Path) -> RunReports:
    """Read the report of a version, and that of the newest failed run since."""
    made: dict[str, Any] = {}
    damage = ""
    if isinstance(state.version, IndexVersion):
        try:
            found = state.version.report
            made = found if isinstance(found, dict) and isinstance(found.get("plan"), dict) else {}
        except (OSError, ValueError) as error:
            damage = f"the report of {state.version_id} cannot be read: {error}"
    return RunReports(made, _newest_failed(data / "reports", str(made.get("started_at", ""))), damage)


def _newest_failed(folder: Path, since: str) -> dict[str, Any]:
    for path in sorted(folder.glob("reindex-*.json"), reverse=True):
        try:
            report = json.loads(path.read_bytes())
        except (OSError, ValueError):
            continue
        if isinstance(report, dict) and report.get("outcome") == "failed":
            return report if str(report.get("started_at", "")) > since else {}
    return {}


def reason_kind(reason: str) -> str:
    """Return a reason without what differs from row to row: quoted values and numbers become …."""
    return _NUMBER.sub("…", _QUOTED.sub("…", reason))


def value_of(reason: str) -> str:
    """Return the value that a reason quotes, '' where it quotes none."""
    quoted = _QUOTED.search(reason)
    return quoted[0][1:-1] if quoted else ""


def lacking(state: State) -> dict[str, tuple[int, tuple[str, ...]]]:
    """Return what products of a version lack: flag or aspect → how many, and the first of them.

    `picture` and `text` are blocks that are all zeros; flags are those that reindex gave, such as
    `image:missing` for a product one of whose pictures could not be used.
    """
    found = _LACKS.get(state.catalog)
    if found is None:
        found = _LACKS[state.catalog] = _lacking(state)
    return found


def _lacking(state: State) -> dict[str, tuple[int, tuple[str, ...]]]:
    catalog = state.catalog
    ids, live = catalog.ids, catalog.live_rows
    out: dict[str, tuple[int, tuple[str, ...]]] = {}
    pictures = [name for name in PICTURE_ASPECTS if name in state.layout.names]
    texts = ["text"] if "text" in state.layout.names else []
    for said, names in (("picture", pictures), ("text", texts)):
        if names:
            rows = live[_empty(state, names, live)]
            out[said] = len(rows), tuple(ids[row] for row in rows[:MAX_LISTED])
    counts: Counter[str] = Counter()
    listed: dict[str, list[str]] = {}
    flags = catalog.column("flags")
    for row in live:
        for flag in flags[row] or ():
            counts[flag] += 1
            if len(members := listed.setdefault(flag, [])) < MAX_LISTED:
                members.append(ids[row])
    for flag, count in counts.most_common():
        if flag != "no_image":
            out[flag] = count, tuple(listed[flag])
    return out


def _empty(state: State, names: list[str], rows: Any) -> Any:
    """Mark the rows whose blocks of all `names` are zeros."""
    parts = []
    for start in range(0, len(rows), _CHUNK):
        chunk = rows[start : start + _CHUNK]
        filled = [state.rows[chunk, state.layout.slice(name)].any(axis=1) for name in names]
        parts.append(~np.logical_or.reduce(filled))
    return np.concatenate(parts) if parts else np.zeros(0, dtype=bool)
