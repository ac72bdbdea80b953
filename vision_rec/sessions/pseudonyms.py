"""Ids of users and sessions as keyed hashes, so that stores never hold the ids themselves."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import secrets
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from vision_rec.errors import IntegrityError, UnavailableError
from vision_rec.outfile import sync

KEY_NAME = "events.key"
_KEY_BYTES = 32
_HASH_BYTES = 24  # 32 characters of text


class Pseudonyms:
    """Turns ids into pseudonyms with one secret key; each use has its own, so that they never match."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self.user = lru_cache(4096)(lambda ident: self._hash("user", ident))
        self.session = lru_cache(4096)(lambda ident: self._hash("session", ident))

    @classmethod
    def open(cls, folder: Path) -> Pseudonyms:
        """Read the key in `folder`, made there by the first who asks, for the owner's eyes only.

        Raises IntegrityError for a damaged one. Without the key nobody can tell whose events are stored.
        """
        path = folder / KEY_NAME
        try:
            if not path.exists():
                _create(path)
            key = path.read_bytes()
        except OSError as error:
            raise UnavailableError(
                f"the key of the events, {path}, cannot be read or made: {error.strerror}; "
                "make the folder writable for the service"
            ) from error
        if len(key) != _KEY_BYTES:
            raise IntegrityError(
                f"the key of the events, {path}, has {len(key)} bytes instead of {_KEY_BYTES}; bring it back "
                "from a backup, or remove it together with the events"
            )
        return cls(key)

    @property
    def check(self) -> str:
        """A word that tells this key from another without giving it away."""
        return self._hash("check", "")

    def tombstone(self, user: str) -> str:
        """Return the mark of the erased user with the pseudonym `user`; without the key it says nothing."""
        return self._hash("tombstone", user)

    def content(self, *fields: str) -> str:
        """Return an event id for an event that brought none; the same content gives the same id."""
        return "c" + self._hash("content", "\x1f".join(fields))[:30]

    def _hash(self, use: str, ident: str) -> str:
        said = f"{use}\0{ident}".encode("utf-8", "surrogatepass")
        digest = hmac.new(self._key, said, hashlib.sha256).digest()
        return base64.urlsafe_b64encode(digest[:_HASH_BYTES]).decode("ascii")


def _create(path: Path) -> None:
    """Write a new key, unless another process is quicker; the file is whole when it appears."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    own = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    handle = os.open(own, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(handle, secrets.token_bytes(_KEY_BYTES))
        os.fsync(handle)
        with suppress(FileExistsError):
            os.link(own, path)
        sync(path.parent)
    finally:
        os.close(handle)
        own.unlink()
