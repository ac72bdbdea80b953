"""What was learned of visitors: the session pair that the next reindex takes, and the audience's segments."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from vision_rec.diagnose.finding import Finding, failed
from vision_rec.errors import IncompatibleError, IntegrityError, VisionRecError
from vision_rec.sessions.audience import FILE_NAME, load
from vision_rec.sessions.pair import BEHAVIOUR, CONFIG, checked_file, read_config
from vision_rec.sessions.pair_store import PairStore
from vision_rec.settings import Settings


def pair(settings: Settings) -> Iterator[Finding]:
    """Check every byte of the pair that the settings name, and DATA/session/CURRENT."""
    name, chosen = "session pair", settings.sessions.model
    if chosen == "off":
        yield Finding(name, "ok", "not used: sessions.model is 'off'")
        return
    store = PairStore(settings.paths.data / "session")
    try:
        folder = store.current() if chosen == "auto" else Path(chosen)
        if folder is None:
            yield Finding(name, "ok", "none yet")
            return
        config = read_config(folder)
        for file in config.files:
            checked_file(folder, file, config)
    except IntegrityError as error:
        fix = "`vision-rec train session` writes a new one; versions that are there keep their own"
        is_there = chosen == "auto" or (Path(chosen) / CONFIG).exists()
        yield Finding(name, "fail", str(error), fix, damage=is_there)
        return
    except IncompatibleError as error:
        yield failed(name, error, "`vision-rec train session`")
        return
    model = "with a sequence model" if config.has_model else "without a sequence model"
    yield Finding(name, "ok", f"{folder.name}, {model}; every file is what was written")


def audience(settings: Settings) -> Iterator[Finding]:
    """Check the file of segments, and whether the current version can be compared with them."""
    from vision_rec.index.manifest import read_manifest
    from vision_rec.index.version import VersionStore

    path = settings.paths.data / FILE_NAME
    if not path.exists():
        yield Finding("audience", "ok", "no segments yet")
        return
    try:
        found = load(path)
    except IntegrityError as error:
        yield Finding("audience", "fail", str(error), "`vision-rec audience`", damage=True)
        return
    store = VersionStore(settings.paths.indexes)
    try:
        current = store.current_id()
        manifest = read_manifest(store.root / current) if current else None
    except VisionRecError:
        manifest = None  # the check of the versions says so
    told = f"{len(found.segments)} segments, made {found.made_at:%Y-%m-%d %H:%M}"
    if manifest is None:
        yield Finding("audience", "ok", told)
        return
    shared = found.shared(manifest.layout, manifest.fingerprints)
    if not shared:
        detail = f"{told}, with other encoders: newcomers are shown what all like"
        yield Finding("audience", "warn", detail, "`vision-rec audience`")
    elif BEHAVIOUR in manifest.layout.names and BEHAVIOUR not in shared:
        yield Finding("audience", "ok", f"{told}, before this session pair: compared without {BEHAVIOUR}")
    else:
        yield Finding("audience", "ok", told)
