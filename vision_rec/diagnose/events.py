"""The event store: whether it is whole, keeps what it acknowledges, and is for nobody else's eyes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from vision_rec.diagnose.finding import Finding, failed
from vision_rec.errors import VisionRecError
from vision_rec.sessions.stores import Vault
from vision_rec.settings import Settings

_OLDEST = (6, 2)  # of Redis


def store(settings: Settings) -> Iterator[Finding]:
    """Check the store that the settings name; it is not made where there is none yet."""
    vault = Vault(settings.events, settings.paths.data)
    name = f"events in {settings.events.store}"
    if vault.is_unused:
        yield Finding(name, "ok", "none yet")
        return
    yield from _rights(vault)
    try:
        check = _sqlite if settings.events.store == "sqlite" else _redis
        yield from check(name, vault)
    except VisionRecError as error:
        yield failed(name, error, "see docs/sessions.md")
    finally:
        vault.close()


def _rights(vault: Vault) -> Iterator[Finding]:
    files: list[Path] = [vault.data / "secrets" / "events.key", vault.path]
    open_ones = [str(path) for path in files if path.exists() and path.stat().st_mode & 0o077]
    if open_ones:
        fix = f"chmod 600 {' '.join(open_ones)}"
        yield Finding("rights of the events", "warn", "others can read them", fix)


def _sqlite(name: str, vault: Vault) -> Iterator[Finding]:
    from vision_rec.sessions.sqlite_store import SqliteStore

    found = vault.store
    assert isinstance(found, SqliteStore)
    damage = found.damage()
    if damage is not None:
        fix = "start the service: it sets the file aside and goes on with all that can be read of it"
        yield Finding(name, "fail", f"{vault.path} is damaged: {damage}", fix, damage=True)
        return
    if aside := [path for path in vault.set_aside() if path.suffix == ".db"]:
        detail = f"{len(aside)} damaged and set aside: {', '.join(map(str, aside[:3]))}"
        fix = "compare with a backup, then remove; they hold events of users, and erasing a user removes them"
        yield Finding("damaged events", "warn", detail, fix)
    yield Finding(name, "ok", f"{sum(found.counts().values())} events, synced at every commit")


def _redis(name: str, vault: Vault) -> Iterator[Finding]:
    from vision_rec.sessions.redis_store import RedisStore

    found = vault.store
    assert isinstance(found, RedisStore)
    facts = found.facts()
    version = facts["version"]
    if tuple(map(int, re.findall(r"\d+", version)[:2])) < _OLDEST:
        yield Finding(name, "fail", f"Redis {version}", "use Redis 6.2 or newer")
    elif facts["aof"] != "1":
        detail = "the append-only file is off: events would be lost at a restart, so they are refused"
        yield Finding(name, "fail", detail, "set `appendonly yes` in the server's configuration")
    elif facts["maxmemory"] != "0" and facts["policy"] != "noeviction":
        detail = f"maxmemory-policy is {facts['policy']}: the server may throw events away"
        yield Finding(name, "fail", detail, "set `maxmemory-policy noeviction`")
    elif facts["fsync"] == "always":
        yield Finding(name, "ok", f"Redis {version}, synced at every write")
    else:
        said = facts["fsync"] or "not told"
        detail = f"Redis {version}, appendfsync {said}: a power cut may lose the last second of events"
        yield Finding(name, "warn", detail, "set `appendfsync always`, or accept it")
