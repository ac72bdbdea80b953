"""What all stages of one run share."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from vision_rec.encoders import EncoderSet
from vision_rec.fusion import AspectLayout
from vision_rec.index.version import IndexVersion
from vision_rec.reindex.behaviour import SESSION, Behaviour
from vision_rec.reindex.cache import PictureCache
from vision_rec.reindex.encode import REVIEWS, WORDS, ParentRows
from vision_rec.reindex.plan import Stale
from vision_rec.reindex.report import Journal, Progress
from vision_rec.reindex.staging import Staging, digest, to_json
from vision_rec.settings import Settings


@dataclass(frozen=True, slots=True)
class Inputs:
    """What one run was asked to do."""

    feed: Path
    images: Path
    reviews: Path | None
    views: Path | None
    plan_only: bool
    full: bool
    allow_shrink: bool
    refresh_images: bool
    now: datetime


@dataclass(frozen=True, slots=True)
class Context:
    """One run: what was asked, with which settings and encoders, and where it keeps its notes."""

    inputs: Inputs
    settings: Settings
    encoders: EncoderSet
    journal: Journal
    progress: Progress
    staging: Staging
    cache: PictureCache
    parent: IndexVersion | None
    behaviour: Behaviour | None = None

    @property
    def layout(self) -> AspectLayout:
        """The blocks of a row: the encoders', then what visitors did."""
        extra = () if self.behaviour is None else (self.behaviour.aspect,)
        return AspectLayout((*self.encoders.layout.aspects, *extra))

    @property
    def fingerprints(self) -> dict[str, str]:
        """Fingerprints of all that decides a row beside the feed."""
        extra = {} if self.behaviour is None else {SESSION: self.behaviour.fingerprint}
        return {**self.encoders.fingerprints, **extra}

    @property
    def is_behaviour_new(self) -> bool:
        """Whether the block `behaviour` is another than that of the current version."""
        written = self.parent.manifest.fingerprints if self.parent else {}
        return written.get(SESSION) != self.fingerprints.get(SESSION)

    @property
    def stale(self) -> Stale:
        """Which encoders or layouts have changed since the current version."""
        if self.parent is None:
            return Stale(image=True, text=True)
        before, after = self.parent.manifest.fingerprints, self.encoders.fingerprints
        old = {(aspect.name, aspect.dim) for aspect in self.parent.layout.aspects}
        new = {aspect.name: (aspect.name, aspect.dim) in old for aspect in self.encoders.layout.aspects}
        words = before.get("text") != after.get("text") or not all(
            same for name, same in new.items() if name in (WORDS, REVIEWS)
        )
        pictures = before.get("image") != after.get("image") or not all(
            same for name, same in new.items() if name not in (WORDS, REVIEWS)
        )
        full = self.inputs.full
        return Stale(pictures or full, words or full, image_changed=pictures, text_changed=words)

    @property
    def parent_rows(self) -> ParentRows | None:
        """The rows whose blocks can be copied."""
        return ParentRows(self.parent.layout, self.parent.stored_rows()) if self.parent else None

    @property
    def salt(self) -> str:
        """All that decides the blocks of a chunk beside the products in it."""
        return digest(
            "1",
            self.parent.id if self.parent else "",
            to_json(sorted(self.encoders.fingerprints.items())),
            to_json([(aspect.name, aspect.dim) for aspect in self.encoders.layout.aspects]),
            str(self.inputs.full),
        )

    @property
    def count(self) -> int:
        """Rows of the new version."""
        return int(self.staging.one("SELECT count(*) FROM target"))


def open_cache(settings: Settings, encoders: EncoderSet) -> PictureCache:
    """Open the cache of picture blocks for the image encoder at hand."""
    width = sum(a.dim for a in encoders.layout.aspects if a.name not in (WORDS, REVIEWS))
    limits = settings.images.model_dump(mode="json", exclude={"workers", "allowed_hosts"})
    return PictureCache(
        settings.paths.data / "cache",
        digest(encoders.fingerprints.get("image", "")),
        width,
        limits=digest(to_json(sorted(limits.items()))),
    )
