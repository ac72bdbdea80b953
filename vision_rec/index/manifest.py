"""The manifest of an index version: what it holds and how to know that it still does.

The file is canonical JSON with a checksum of itself, so that any change of any byte shows; that envelope is
the same in every format version.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path, PurePosixPath
from typing import Any

from vision_rec import __version__
from vision_rec.errors import IncompatibleError, InputError, IntegrityError
from vision_rec.fusion import Aspect, AspectLayout

FORMAT_VERSION = 1
NAME = "manifest.json"


@dataclass(frozen=True, slots=True)
class FileEntry:
    """Size in bytes and SHA-256 in hex of one file."""

    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What one index version holds; `created_at` is UTC, `files` is keyed by relative name."""

    layout: AspectLayout
    fingerprints: Mapping[str, str]  # encoder name → hash
    index_kind: str
    count: int
    feed_sha256: str
    created_at: str  # 2026-03-01T04:00:00Z
    files: Mapping[str, FileEntry]
    parent: str | None = None
    weights: Mapping[str, float] = field(default_factory=dict)
    presets: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict)  # what reindex read: feed, images, …
    writer_version: str = __version__
    format_version: int = FORMAT_VERSION

    @property
    def checksum(self) -> str:
        """SHA-256 of everything else in the manifest."""
        return _checksum(self._body())

    @property
    def version_id(self) -> str:
        """The folder's name: UTC time and the start of the checksum."""
        return f"{self.created_at.replace(':', '-')}-{self.checksum[:8]}"

    @property
    def size(self) -> int:
        """Bytes of all files together."""
        return sum(entry.size for entry in self.files.values())

    def to_bytes(self) -> bytes:
        """Return the file's content."""
        body = self._body()
        return _canonical({**body, "checksum": _checksum(body)})

    def _body(self) -> dict[str, Any]:
        body = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        body["layout"] = [
            {
                "name": a.name,
                "dim": int(a.dim),
                "gain": float(a.gain),
                "default_weight": float(a.default_weight),
            }
            for a in self.layout.aspects
        ]
        body["files"] = {name: {"size": e.size, "sha256": e.sha256} for name, e in self.files.items()}
        for name in ("fingerprints", "weights", "sources"):
            body[name] = dict(body[name])
        body["presets"] = {name: dict(weights) for name, weights in self.presets.items()}
        return body


def read_manifest(folder: Path) -> Manifest:
    """Read and check the manifest of a version's folder, and nothing else.

    Raises IntegrityError where it is missing, damaged or of another folder, IncompatibleError where
    another format version wrote it.
    """
    path = folder / NAME
    try:
        data = path.read_bytes()
    except OSError as error:
        raise IntegrityError(f"{path} cannot be read: {error.strerror}") from error
    body = _opened_envelope(path, data)
    if body.get("format_version") != FORMAT_VERSION:
        raise IncompatibleError(
            f"{folder} has format version {body.get('format_version')}, written by vision-rec "
            f"{body.get('writer_version')}; this is vision-rec {__version__}, which reads format version "
            f"{FORMAT_VERSION}. Run `vision-rec reindex FEED --full` to write it anew"
        )
    try:
        return _from_body(body)
    except (KeyError, TypeError, ValueError, AttributeError, InputError) as error:
        raise IntegrityError(f"{path} is no manifest: {type(error).__name__}: {error}") from error


def _opened_envelope(path: Path, data: bytes) -> dict[str, Any]:
    try:
        payload = json.loads(data)
        body = {name: value for name, value in payload.items() if name != "checksum"}
        found, same = _checksum(body), _canonical(payload) == data
    except (ValueError, AttributeError, RecursionError) as error:
        raise IntegrityError(f"{path} is damaged: {error}") from error
    if payload.get("checksum") != found or not same:
        raise IntegrityError(f"{path} is damaged: its checksum does not match its content")
    return body


def _from_body(body: dict[str, Any]) -> Manifest:
    known = {entry.name for entry in fields(Manifest)}
    if set(body) != known:
        raise ValueError(f"fields {sorted(set(body) ^ known)} are missing or unknown")
    layout = AspectLayout(tuple(Aspect(**aspect) for aspect in body["layout"]))
    files = {_safe(name): FileEntry(int(e["size"]), str(e["sha256"])) for name, e in body["files"].items()}
    if not isinstance(body["count"], int) or body["count"] < 0:
        raise ValueError(f"count is {body['count']!r}")
    return Manifest(**{**body, "layout": layout, "files": files})


def _safe(name: str) -> str:
    path = PurePosixPath(name)
    if path.is_absolute() or not path.parts or ".." in path.parts or "\0" in name or "\\" in name:
        raise ValueError(f"file name {name!r} leads out of the version")
    return name


def _canonical(payload: Mapping[str, Any]) -> bytes:
    text = json.dumps(payload, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return text.encode() + b"\n"


def _checksum(body: Mapping[str, Any]) -> str:
    return hashlib.sha256(_canonical(body)).hexdigest()
