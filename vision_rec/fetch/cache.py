"""Fetched files by URL, each with a sidecar that tells how to ask whether it changed."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from vision_rec.errors import ResourceError


@dataclass(frozen=True, slots=True)
class Entry:
    """One cached file and the validators its server gave with it."""

    path: Path
    etag: str
    last_modified: str

    def conditions(self) -> Mapping[str, str]:
        """Return the request headers that ask for the file only if it changed."""
        named = {"If-None-Match": self.etag, "If-Modified-Since": self.last_modified}
        return {name: text for name, text in named.items() if text}


@dataclass(frozen=True, slots=True)
class _Sidecar:
    sha256: str
    etag: str = ""
    last_modified: str = ""


class FileCache:
    """Files under `folder`, named by the SHA-256 of their URL; disposable, and safe under several writers."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, url: str) -> Path:
        """Return where the file of `url` lies or would lie."""
        name = hashlib.sha256(url.encode("utf-8", "surrogatepass")).hexdigest()
        return self._folder / name[:2] / name

    def look(self, url: str) -> Entry | None:
        """Return the entry of `url`, None where it is absent or damaged."""
        path = self.path(url)
        try:
            sidecar = _Sidecar(**json.loads(path.with_suffix(".json").read_bytes()))
            found = hashlib.sha256(path.read_bytes()).hexdigest()
        except (OSError, ValueError, TypeError):
            return None
        return Entry(path, sidecar.etag, sidecar.last_modified) if found == sidecar.sha256 else None

    def store(self, url: str, body: bytes, headers: Mapping[str, str]) -> Path:
        """Keep `body` and its validators; a reader sees the old file or the new one, never half of one."""
        path = self.path(url)
        sidecar = _Sidecar(
            sha256=hashlib.sha256(body).hexdigest(),
            etag=_printable(headers.get("etag", "")),
            last_modified=_printable(headers.get("last-modified", "")),
        )
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # A crash between the two leaves a sidecar that does not fit, which `look` takes for absent.
            _replace(path, body)
            _replace(path.with_suffix(".json"), json.dumps(asdict(sidecar)).encode())
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise
            message = f"no space for {len(body):,} bytes of a fetched picture in {self._folder}; free some"
            raise ResourceError(message) from error
        return path


def _replace(path: Path, content: bytes) -> None:
    handle, temporary = tempfile.mkstemp(prefix=".", suffix=".part", dir=path.parent)
    try:
        with open(handle, "wb") as file:
            file.write(content)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def _printable(header: str) -> str:
    """Keep a header that is safe to send back, else drop it."""
    return header if header.isascii() and header.isprintable() and len(header) <= 256 else ""
