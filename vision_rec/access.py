"""Who may ask for what: make, list, rotate and revoke keys, and follow them while a service runs."""

from __future__ import annotations

import re
import threading
import time
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from vision_rec.errors import InputError, NotFoundError, VisionRecError
from vision_rec.keys import SCOPES, ApiKey, Checked, KeyFile, KeyRing, Logins, NewKey, make_key
from vision_rec.settings import Settings

__all__ = ["SCOPES", "Access", "ApiKey", "Checked", "Entry", "NewKey", "Rotated"]
__all__ += ["create_key", "list_keys", "parse_expiry", "parse_scopes", "revoke_key", "rotate_key"]

MAX_KEYS = 1000
MAX_NAME = 64
_UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}


def create_key(data: Path, name: str, scopes: Iterable[str], *, expires_at: datetime | None = None) -> NewKey:
    """Make a key and store its hash below `data`; the token in the answer is the only copy there will be.

    Raises InputError for a bad name or too many keys, and what a damaged or full disk raises.
    """
    now = _now()
    if expires_at is not None and expires_at <= now:
        raise InputError(f"the key would expire at {expires_at.isoformat()}, which is past; give later")
    made = make_key(_checked_name(name), parse_scopes(",".join(scopes)), now=now, expires_at=expires_at)
    file = KeyFile(data)
    with file.locked():
        ring = file.read() or KeyRing()
        if len(ring) >= MAX_KEYS:
            raise InputError(f"there are {len(ring)} keys, the limit; move {file.path} away to start anew")
        file.write(KeyRing([*ring, made.key]))
    return made


def list_keys(data: Path) -> tuple[ApiKey, ...]:
    """Return all keys, oldest first, revoked and expired ones too."""
    return tuple(KeyFile(data).read() or ())


def revoke_key(data: Path, key_id: str) -> ApiKey:
    """Revoke a key for good; `key_id` may be its whole token. Revoking it again changes nothing.

    Raises NotFoundError naming the keys there are.
    """
    wanted = re.sub(r"^vrk_([0-9a-f]{12})(_.*)?$", r"\1", key_id.strip(), flags=re.DOTALL)
    file = KeyFile(data)
    _known(file.read(), wanted)
    with file.locked():
        ring = file.read()
        key = _known(ring, wanted)
        if key.revoked_at is None:
            key = replace(key, revoked_at=_now())
            file.write(KeyRing(key if other.id == key.id else other for other in ring or ()))
    return key


def rotate_key(data: Path, name: str, *, grace: timedelta = timedelta(hours=24)) -> Rotated:
    """Make a new key in place of the valid one of `name` (or id), which stays good for `grace` more.

    The new key has the name, the scopes and the expiry of the old one. Raises InputError where several valid
    keys have the name or `grace` is negative, NotFoundError where none has.
    """
    if grace < timedelta(0):
        raise InputError(f"the grace is {grace}; give 0 or more hours")
    file, wanted = KeyFile(data), " ".join(name.split())
    _only(file.read(), wanted, _now())
    with file.locked():
        now, ring = _now(), file.read() or KeyRing()
        old = _only(ring, wanted, now)
        if len(ring) >= MAX_KEYS:
            raise InputError(f"there are {len(ring)} keys, the limit; move {file.path} away to start anew")
        made = make_key(old.name, old.scopes, now=now, expires_at=old.expires_at)
        last = now + grace
        old = replace(old, expires_at=last if old.expires_at is None else min(last, old.expires_at))
        file.write(KeyRing([*(old if key.id == old.id else key for key in ring), made.key]))
    return Rotated(made, old)


def parse_scopes(text: str) -> tuple[str, ...]:
    """Read `search,events`; raises InputError for none or unknown ones."""
    given = {part.strip() for part in text.split(",")} - {""}
    unknown = sorted(given - set(SCOPES))
    if unknown or not given:
        what = f"unknown scope {unknown[0][:50]!r}" if unknown else "no scope is given"
        raise InputError(f"{what}; name one or more of {', '.join(SCOPES)}, with commas between")
    return tuple(scope for scope in SCOPES if scope in given)


def parse_expiry(text: str, *, now: datetime | None = None) -> datetime:
    """Read a span from now on (`12h`, `90d`, `8w`), or a date or time, in UTC where it names no zone."""
    span = re.fullmatch(r"(\d{1,5})([hdw])", text.strip())
    if span:
        return (now or _now()) + int(span[1]) * _UNITS[span[2]]
    try:
        time = datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise InputError(
            f"cannot read the time {text[:50]!r}; give a span such as 12h, 90d or 8w, or a date: 2027-01-31"
        ) from error
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


@dataclass(frozen=True, slots=True)
class Rotated:
    """A new key, and the one that it stands in for, with its end."""

    new: NewKey
    old: ApiKey


@dataclass(frozen=True, slots=True)
class Entry:
    """What a browser needs to stay logged in: the cookie's value, and for how many seconds."""

    token: str
    seconds: int
    key: ApiKey


class Access:
    """The keys as one worker of a service knows them; `ring` is None as long as the service is open.

    Open means: there is no file of keys, so whoever reaches the service may do everything. Once it has seen
    one it never opens again: where the file is lost or damaged, the keys of before stay in force.
    Raises IntegrityError and its like where the file is there and cannot be used.
    """

    def __init__(
        self, settings: Settings, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._file = KeyFile(settings.paths.data)
        self._logins = Logins(settings.paths.data / "logins")
        self._login_seconds = settings.service.login_hours * 3600
        self._clock = clock
        self._lock = threading.Lock()
        self._signature = self._file.signature()
        self.ring: KeyRing | None = self._file.read()
        self.trouble: str | None = None  # why the file could not be read again

    @property
    def is_open(self) -> bool:
        """Whether there are no keys, so that everybody may do everything."""
        return self.ring is None

    @property
    def folder(self) -> Path:
        """Where the file of keys is, or would be."""
        return self._file.path.parent

    @property
    def valid_keys(self) -> int:
        """How many keys are neither expired nor revoked."""
        now = self._clock()
        return sum(key.state(now) == "valid" for key in self.ring or ())

    def refresh(self) -> bool:
        """Take up changes of the file; say whether there were any. Nothing is raised, see `trouble`."""
        with self._lock:
            try:
                signature = self._file.signature()
                if signature == self._signature and self.trouble is None:
                    return False
                ring = self._file.read()
            except VisionRecError as error:
                self.trouble = str(error)
                return False
            if ring is None and self.ring is not None:
                self.trouble = f"{self._file.path} is gone; the keys of before stay in force until a restart"
                return False
            changed = signature != self._signature
            self.ring, self._signature, self.trouble = ring, signature, None
            return changed

    def check(self, token: str) -> Checked:
        """Find the key of a token."""
        return (self.ring or KeyRing()).check(token, self._clock())

    def log_in(self, key: ApiKey) -> Entry:
        """Begin a login with a key that was checked; it ends with the key at the latest."""
        seconds = self._login_seconds
        if key.expires_at is not None:
            seconds = min(seconds, (key.expires_at - self._clock()).total_seconds())
        token = self._logins.begin(key.id, now=time.time(), seconds=seconds)
        return Entry(token, max(1, int(seconds)), key)

    def of_login(self, token: str) -> ApiKey | None:
        """Return the key of a login; None where it has ended, or its key is revoked or expired."""
        login = self._logins.find(token, now=time.time())
        key = self.ring.get(login.key_id) if login is not None and self.ring is not None else None
        return key if key is not None and key.state(self._clock()) == "valid" else None

    def log_out(self, token: str) -> None:
        """End a login, for every worker at once."""
        self._logins.end(token)


def _known(ring: KeyRing | None, key_id: str) -> ApiKey:
    key = None if ring is None else ring.get(key_id)
    if key is None:
        have = ", ".join(f"{other.id} ({other.name})" for other in ring or ()) or "none"
        raise NotFoundError(f"there is no key {key_id[:20]!r}; there are: {have}")
    return key


def _only(ring: KeyRing | None, name: str, now: datetime) -> ApiKey:
    """Find the one valid key of a name or id."""
    valid = [key for key in ring or () if key.state(now) == "valid"]
    found = [key for key in valid if key.id == name] or [key for key in valid if key.name == name]
    if len(found) > 1:
        ids = ", ".join(key.id for key in found)
        raise InputError(f"{len(found)} valid keys have the name {name!r}; give the id of one: {ids}")
    if not found:
        have = ", ".join(f"{key.name} ({key.id})" for key in valid) or "none"
        raise NotFoundError(f"there is no valid key {name[:MAX_NAME]!r}; there are: {have}")
    return found[0]


def _checked_name(name: str) -> str:
    plain = " ".join(name.split())
    odd = any(unicodedata.category(letter).startswith("C") for letter in plain)
    if not 1 <= len(plain) <= MAX_NAME or odd:
        raise InputError(
            f"the name is {name[:80]!r}; give 1 to {MAX_NAME} visible characters that say who uses the key"
        )
    return plain


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)
