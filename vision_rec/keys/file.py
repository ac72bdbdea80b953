"""The file of keys: owner-only, replaced in one step, with a checksum; a damaged one is refused."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import stat
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from vision_rec.errors import IncompatibleError, IntegrityError, LockedError, UnavailableError
from vision_rec.failpoints import failpoint
from vision_rec.keys.disk import disk_errors
from vision_rec.keys.ring import SCOPES, ApiKey, KeyRing
from vision_rec.outfile import sync

FORMAT = 1
MAX_BYTES = 1 << 20
LOCK_SECONDS = 10.0  # a change takes milliseconds; whoever holds the lock longer is stuck
_FIELDS = {"id", "name", "scopes", "digest", "created_at", "expires_at", "revoked_at"}

Signature = tuple[int, int, int]


class KeyFile:
    """The keys below one data folder."""

    def __init__(self, folder: Path) -> None:
        self.path = Path(folder) / "keys.json"

    def signature(self) -> Signature | None:
        """Return what changes whenever the file does; None where there is no file."""
        try:
            found = os.stat(self.path)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise UnavailableError(f"{self.path} cannot be looked at: {error.strerror}") from error
        return found.st_mtime_ns, found.st_size, found.st_ino

    def read(self) -> KeyRing | None:
        """Return the keys, None where there is no file.

        Raises IntegrityError where the file is damaged or others may write it, IncompatibleError for another
        format, UnavailableError where it cannot be read.
        """
        try:
            with self.path.open("rb") as file:
                mode, data = os.fstat(file.fileno()).st_mode, file.read(MAX_BYTES + 1)
        except FileNotFoundError:
            if self.path.is_symlink():
                raise IntegrityError(f"{self.path} is a link to nothing; put the file there") from None
            return None
        except OSError as error:
            raise UnavailableError(
                f"{self.path} cannot be read: {error.strerror}; run this as the owner of the file"
            ) from error
        if mode & stat.S_IWOTH:
            raise IntegrityError(f"{self.path} can be written by everybody; look at it, then chmod 600 it")
        return _ring(data, self.path)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other writers away for the time of one change; raises LockedError where one is stuck."""
        with disk_errors(self.path, "the keys are as before"):
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
            descriptor = os.open(self.path.with_name("keys.lock"), flags, 0o600)
        try:
            deadline = time.monotonic() + LOCK_SECONDS
            while not _taken(descriptor):
                if time.monotonic() > deadline:
                    raise LockedError(f"another process changes {self.path}; try again when it has ended")
                time.sleep(0.02)
            yield
        finally:
            os.close(descriptor)

    def write(self, ring: KeyRing) -> None:
        """Replace the file by `ring`, in one step for every reader; call it under `locked`."""
        beside = self.path.with_name(f".keys.json.{os.getpid()}")
        with disk_errors(self.path, "the keys are as before"):
            try:
                descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
                with os.fdopen(descriptor, "wb") as file:
                    file.write(_text(ring).encode("ascii"))
                    failpoint("keys.written")
                    file.flush()
                    os.fsync(file.fileno())
                failpoint("keys.before-rename")
                os.replace(beside, self.path)
            finally:
                with suppress(FileNotFoundError):
                    beside.unlink()
            sync(self.path.parent)


def _text(ring: KeyRing) -> str:
    keys = [
        {name: value.isoformat() if isinstance(value, datetime) else value for name, value in fields.items()}
        for fields in map(asdict, ring)
    ]
    body = {"format": FORMAT, "keys": keys, "sha256": _checksum(keys)}
    return json.dumps(body, indent=1) + "\n"


def _checksum(keys: Any) -> str:
    plain = json.dumps(keys, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(plain.encode("ascii")).hexdigest()


def _ring(data: bytes, path: Path) -> KeyRing:
    cure = "restore it from a backup, or move it away and make new keys with `vision-rec keys create`"
    try:
        body = json.loads(data)
        if isinstance(body, dict) and isinstance(body.get("format"), int) and body["format"] != FORMAT:
            raise IncompatibleError(
                f"{path} has format {body['format']}, this version reads {FORMAT}; {cure}"
            )
        if body["sha256"] != _checksum(body["keys"]) or set(body) != {"format", "keys", "sha256"}:
            raise IntegrityError(f"{path} is not as it was written: its checksum is wrong; {cure}")
        keys = [_key(entry) for entry in body["keys"]]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise IntegrityError(f"{path} is damaged ({type(error).__name__}); {cure}") from error
    ring = KeyRing(keys)
    if len(ring) != len(keys):
        raise IntegrityError(f"{path} has two keys with one id; {cure}")
    return ring


def _key(entry: Mapping[str, Any]) -> ApiKey:
    """Read one key strictly; raises ValueError, KeyError or TypeError for anything odd."""
    if set(entry) != _FIELDS or not re.fullmatch(r"[0-9a-f]{12}", entry["id"]):
        raise ValueError("fields")
    if not re.fullmatch(r"[0-9a-f]{64}", entry["digest"]) or not isinstance(entry["name"], str):
        raise ValueError("digest")
    scopes = tuple(entry["scopes"])
    if not scopes or not set(scopes) <= set(SCOPES):
        raise ValueError("scopes")
    return ApiKey(
        entry["id"],
        entry["name"],
        scopes,
        entry["digest"],
        _time(entry["created_at"]),
        None if entry["expires_at"] is None else _time(entry["expires_at"]),
        None if entry["revoked_at"] is None else _time(entry["revoked_at"]),
    )


def _time(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        raise ValueError("a time without a zone")
    return time


def _taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
