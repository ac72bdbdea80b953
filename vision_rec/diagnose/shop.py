"""What the settings lead to: encoders, index versions, lock, disk, memory, port, settings themselves."""

from __future__ import annotations

import os
import shutil
import socket
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from vision_rec.diagnose.finding import Finding, Status, existing, failed
from vision_rec.errors import IntegrityError, LockedError, VisionRecError
from vision_rec.settings import CONFIG_NAME, Settings, unknown_variables

_NETWORK_DISKS = ("nfs", "nfs4", "cifs", "smb3", "fuse.sshfs", "9p", "afs")
_NEARLY_FULL = 0.85  # share of a disk that is used
_LEAST_ROOM, _ROOM_FACTOR = 512 << 20, 2.2  # bytes; × the largest version, what the next one may need
_LEAST_MEMORY = 2 << 30


def encoders_load(settings: Settings) -> Iterator[Finding]:
    """Check that the encoders load, with the hashes they should have."""
    from vision_rec.encoders import load_encoders

    try:
        encoders = load_encoders(settings.encoders, settings.paths.data / "cache")
        encoders.image.encode_colour([(200, 30, 30)])  # reads the weights and checks their hash
        prints = dict(encoders.fingerprints)
    except VisionRecError as error:
        yield failed("encoders", error, "reinstall the package, or train with `vision-rec train image`")
        return
    yield Finding("encoders", "ok", ", ".join(f"{name} {print_[:12]}" for name, print_ in prints.items()))
    yield from _written_by(settings, prints)


def _written_by(settings: Settings, prints: dict[str, str]) -> Iterator[Finding]:
    """Compare the encoders with those that wrote the current version."""
    from vision_rec.index.manifest import read_manifest
    from vision_rec.index.version import VersionStore

    store = VersionStore(settings.paths.indexes)
    try:
        current = store.current_id()
        written = read_manifest(store.root / current).fingerprints if current else prints
    except VisionRecError:
        return  # the check of the versions says so
    other = [name for name in prints if written.get(name) != prints[name]]
    if other:
        detail = f"the current version was written by another {' and '.join(other)} encoder"
        yield Finding("encoders of the version", "warn", detail, "run `vision-rec reindex FEED`")


def versions(settings: Settings) -> Iterator[Finding]:
    """Check every byte of every version."""
    from vision_rec.index.version import VersionStore

    store = VersionStore(settings.paths.indexes)
    name = f"versions in {store.root}"
    if not store.ids():
        fix = "run `vision-rec reindex FEED` or `vision-rec demo`"
        yield Finding(name, "warn", "none yet", fix)
        return
    try:
        current = store.current_id()
    except IntegrityError as error:
        fix = "`vision-rec versions activate VERSION`"
        yield Finding(f"{store.root / 'CURRENT'}", "fail", str(error), fix, damage=True)
        current = None
    for version in store.ids():
        problems = store.verify(version)
        shown = f"version {version}{' (current)' if version == current else ''}"
        if problems:
            fix = "`vision-rec versions activate` a good one, then `vision-rec reindex FEED --full`"
            yield Finding(shown, "fail", "; ".join(map(str, problems)), fix, damage=True)
        else:
            yield Finding(shown, "ok", "every file is what its manifest says")
    if current is not None and current not in store.ids():
        yield Finding(name, "fail", f"CURRENT names {current}, which is not there", "activate another", True)


def rules(settings: Settings) -> Iterator[Finding]:
    """Check every file of the merchandising rules."""
    from vision_rec.rules import RuleStore

    store = RuleStore(settings.paths.data / "rules")
    problems = store.problems()
    if problems:
        fix = "`vision-rec rules publish` writes the draft as a new version; see `vision-rec rules history`"
        yield Finding("rules", "fail", "; ".join(problems), fix, damage=True)
        return
    version, _ = store.current()
    told = "none published" if version is None else f"version {version.number}, {len(version.rules)} rules"
    yield Finding("rules", "ok", told)


def lock(settings: Settings) -> Iterator[Finding]:
    """Say who writes to the indexes, if anybody."""
    from vision_rec.index.version import VersionStore

    root = settings.paths.indexes
    kind = _file_system(root)
    if kind in _NETWORK_DISKS:
        fix = "keep the indexes on a local disk"
        yield Finding("lock", "warn", f"{root} is on a network disk ({kind}), whose locks may fail", fix)
        return
    if not (root / "LOCK").exists():
        yield Finding("lock", "ok", "nobody writes")
        return
    try:
        with VersionStore(root).lock():
            yield Finding("lock", "ok", "nobody writes")
    except LockedError as error:
        yield Finding("lock", "warn", str(error), "wait until it ends")
    except VisionRecError as error:
        yield failed("lock", error, "make the folder writable")


def disk(settings: Settings) -> Iterator[Finding]:
    """Check that there is room for the next version, and on the disk at all."""
    needed = max(_LEAST_ROOM, int(_ROOM_FACTOR * _version_bytes(settings)))
    for name, folder in (("indexes", settings.paths.indexes), ("data", settings.paths.data)):
        usage = shutil.disk_usage(existing(folder))
        share = 1 - usage.free / usage.total
        status: Status = "fail" if usage.free < needed else "warn" if share > _NEARLY_FULL else "ok"
        detail = f"{usage.free / 1e9:.1f} GB free of {usage.total / 1e9:.1f} GB, {needed / 1e9:.1f} GB wanted"
        fix = "" if status == "ok" else "make room, or `vision-rec versions prune --keep 1`"
        yield Finding(f"disk of {name}", status, detail, fix)


def memory(settings: Settings) -> Iterator[Finding]:
    """Check that there is memory for the current version."""
    free = _available_memory()
    if free is None:
        yield Finding("memory", "ok", "not known on this system")
        return
    needed = _LEAST_MEMORY + 3 * _version_bytes(settings)  # stored rows and their float32 copy
    status: Status = "ok" if free >= needed else "warn"
    fix = "" if status == "ok" else "end other programs, or use a larger machine"
    detail = f"{free / 1e9:.1f} GB free, {needed / 1e9:.1f} GB wanted"
    yield Finding("memory", status, detail, fix)


def keys(settings: Settings) -> Iterator[Finding]:
    """Check the file of API keys, and say whether there are any."""
    from vision_rec.access import list_keys

    now = datetime.now(UTC)
    try:
        states = Counter(key.state(now) for key in list_keys(settings.paths.data))
    except VisionRecError as error:
        yield failed("keys", error, "restore keys.json from a backup, or make new keys")
        return
    said = ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
    if states["valid"]:
        yield Finding("keys", "ok", said)
    elif states:
        yield Finding("keys", "warn", f"{said}; nobody is let in", "`vision-rec keys create`")
    else:
        yield Finding("keys", "ok", "none: the service is open, on this machine only")


def port(settings: Settings) -> Iterator[Finding]:
    """Check that the service could listen."""
    from vision_rec.demo import check_port

    name = f"port {settings.service.port}"
    try:
        check_port(settings.service)
    except VisionRecError as error:
        yield Finding(name, "warn", str(error), "`vision-rec serve --port N`")
    except (OSError, socket.gaierror) as error:
        yield Finding(name, "warn", f"cannot be tried: {error}", "look at service.host")
    else:
        yield Finding(name, "ok", f"free on {settings.service.host}")


def sources(config: Path | None) -> Iterator[Finding]:
    """Say where settings come from, and which are not read."""
    chosen = config or (Path(CONFIG_NAME) if Path(CONFIG_NAME).is_file() else None)
    prefix = str(Settings.model_config.get("env_prefix"))
    variables = sorted(name for name in os.environ if name.upper().startswith(prefix))
    unread = unknown_variables()
    detail = f"{chosen or 'no settings file'}, {len(variables) - len(unread)} variables of the environment"
    if unread:
        fix = "unset them, or correct their names: VISION_REC_SECTION__NAME"
        yield Finding("settings", "warn", f"{detail}; nobody reads {', '.join(unread)}", fix)
    else:
        yield Finding("settings", "ok", detail)


def _version_bytes(settings: Settings) -> int:
    from vision_rec.index.version import VersionStore

    infos = VersionStore(settings.paths.indexes).list()
    return max((info.size for info in infos), default=0)


def _file_system(folder: Path) -> str:
    """Return the kind of the file system that `folder` is on, empty where it cannot be told."""
    try:
        mounts = [line.split()[1:3] for line in Path("/proc/mounts").read_text("utf-8").splitlines()]
    except OSError:
        return ""
    path = existing(folder).resolve()
    on = [(point, kind) for point, kind in mounts if path.is_relative_to(point)]
    return max(on, key=lambda entry: len(entry[0]), default=("", ""))[1]


def _available_memory() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text("ascii").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    except (OSError, ValueError, StopIteration):
        return None
