"""Who is logged in: one small file per login, so that every worker sees a logout at once.

The file's name is the SHA-256 of the token in the browser's cookie: who reads the folder cannot log in.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from vision_rec.keys.disk import disk_errors
from vision_rec.keys.ring import digest_of

MAX_LOGINS = 1000  # of all keys together; the oldest end first
_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")
_WRITTEN_BY = 60.0  # seconds after which a file that cannot be read was left by a crash


@dataclass(frozen=True, slots=True)
class Login:
    """A login: of which key, and until when in seconds since 1970."""

    key_id: str
    expires_at: float


class Logins:
    """The logins in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)

    def begin(self, key_id: str, *, now: float, seconds: float) -> str:
        """Log in with a key for `seconds`; return the token, 256 random bits, for the cookie.

        Raises ResourceError or UnavailableError where the folder cannot be written.
        """
        token = secrets.token_urlsafe(32)
        with disk_errors(self.folder, "nobody was logged in"):
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._sweep(now)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            with os.fdopen(os.open(self._path(token), flags, 0o600), "w", encoding="ascii") as file:
                json.dump({"key": key_id, "expires_at": now + seconds}, file)
        return token

    def find(self, token: str, *, now: float) -> Login | None:
        """Return the login of a token, None where there is none or it has ended."""
        if not _TOKEN.fullmatch(token):
            return None
        login = _read(self._path(token))
        return login if login is not None and now < login.expires_at else None

    def end(self, token: str) -> None:
        """Log out; nothing happens where that login has ended already."""
        if _TOKEN.fullmatch(token):
            with disk_errors(self.folder, "nobody was logged in"), suppress(FileNotFoundError):
                self._path(token).unlink()

    def _path(self, token: str) -> Path:
        return self.folder / f"{digest_of(token)}.json"

    def _sweep(self, now: float) -> None:
        """Remove what has ended or was left by a crash, and the oldest where there are too many."""
        alive: list[tuple[float, Path]] = []
        for path in self.folder.glob("*.json"):
            login = _read(path)
            if login is not None and now < login.expires_at:
                alive.append((login.expires_at, path))
            elif login is not None or _is_old(path):  # else another worker is just writing it
                path.unlink(missing_ok=True)
        for _, path in sorted(alive)[: max(0, len(alive) - MAX_LOGINS + 1)]:
            path.unlink(missing_ok=True)


def _is_old(path: Path) -> bool:
    try:
        return time.time() - path.stat().st_mtime > _WRITTEN_BY
    except OSError:
        return False


def _read(path: Path) -> Login | None:
    try:
        entry = json.loads(path.read_bytes()[:1000])
        return Login(str(entry["key"]), float(entry["expires_at"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None  # no such login, or a file that nobody can use any more
