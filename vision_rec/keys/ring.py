"""Keys as values: made, checked in constant time, and what each may do. Nothing here touches a disk."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

SCOPES = ("search", "events", "merch", "admin")
PREFIX = "vrk"  # what secret scanners look for: vrk_<id>_<secret>
TOKEN = re.compile(rf"{PREFIX}_([0-9a-f]{{12}})_([0-9a-f]{{64}})")
_LONGEST = 128  # characters of a token that are looked at; ours have 81
_NOBODY = "0" * 64  # compared with where no key has the id, so that both ways cost the same

State = Literal["valid", "expired", "revoked"]


@dataclass(frozen=True, slots=True)
class ApiKey:
    """One key as stored: `digest` is the SHA-256 in hex of the whole token, times are in UTC."""

    id: str
    name: str
    scopes: tuple[str, ...]
    digest: str
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None

    def state(self, now: datetime) -> State:
        """Say whether the key is good at `now`."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and self.expires_at <= now else "valid"


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key just made, and its token, which is shown once and stored nowhere."""

    key: ApiKey
    token: str


@dataclass(frozen=True, slots=True)
class Checked:
    """What became of a token: its key where it is good, else why not."""

    key: ApiKey | None
    reason: Literal["", "unknown", "expired", "revoked"] = ""


class KeyRing:
    """All keys of one file, by id."""

    def __init__(self, keys: Iterable[ApiKey] = ()) -> None:
        self._by_id = {key.id: key for key in keys}

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[ApiKey]:
        return iter(self._by_id.values())

    def get(self, key_id: str) -> ApiKey | None:
        """Return the key of an id, None where there is none."""
        return self._by_id.get(key_id)

    def check(self, token: str, now: datetime) -> Checked:
        """Find the key of `token`, in the same time and words whether its id or its secret is wrong.

        That a key is expired or revoked is told to who has its secret only.
        """
        match = TOKEN.fullmatch(token[:_LONGEST])
        key = self._by_id.get(match[1]) if match else None
        right = hmac.compare_digest(digest_of(token[:_LONGEST]), key.digest if key else _NOBODY)
        if key is None or not right:
            return Checked(None, "unknown")
        state = key.state(now)
        return Checked(key) if state == "valid" else Checked(None, state)


def digest_of(token: str) -> str:
    """Return the SHA-256 in hex of a token; no slow hash is needed for 256 random bits."""
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


def make_key(
    name: str, scopes: Iterable[str], *, now: datetime, expires_at: datetime | None = None
) -> NewKey:
    """Make a key with a random id and a random secret of 256 bits."""
    key_id = secrets.token_hex(6)
    token = f"{PREFIX}_{key_id}_{secrets.token_hex(32)}"
    wanted = set(scopes)
    ordered = tuple(scope for scope in SCOPES if scope in wanted)
    return NewKey(ApiKey(key_id, name, ordered, digest_of(token), now, expires_at), token)
