"""Reindex: from a feed to a new index version, doing only what has changed, and all of it or nothing."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from vision_rec.errors import FeedError, InputError, VisionRecError
from vision_rec.reindex.context import Inputs
from vision_rec.reindex.report import Journal, Progress, ReindexReport
from vision_rec.reindex.run import Run, note_failure

if TYPE_CHECKING:
    from vision_rec.encoders import EncoderSet
    from vision_rec.settings import Settings

__all__ = ["ReindexReport", "reindex"]


def reindex(
    feed: Path,
    *,
    settings: Settings,
    images: Path | None = None,
    reviews: Path | None = None,
    views: Path | None = None,
    plan_only: bool = False,
    full: bool = False,
    allow_shrink: bool = False,
    refresh_images: bool = False,
    progress: Progress | None = None,
    encoders: EncoderSet | None = None,
    now: datetime | None = None,
) -> ReindexReport:
    """Bring the indexes to what `feed` says and publish a new version, unless nothing has changed.

    Relative picture paths resolve against `images`, by default the feed's folder. The block `behaviour` comes
    from the trained session pair; where there is none it is fitted to the file `views`. `plan_only` stops
    once it is known what would be done; `full` encodes everything anew; `allow_shrink` accepts that much of
    the catalogue is gone; `refresh_images` fetches pictures with URLs again. `progress` hears (stage, done,
    total or None). A run that was killed is resumed by calling again.

    Raises FeedError (nothing is published: unusable, too many bad rows, shrunk), LockedError, ResourceError,
    IntegrityError (the new version fails its checks) and what the encoders raise. Reports of failed runs are
    kept in the data folder; the message says where.
    """
    inputs = Inputs(
        feed=_file(feed, "feed"),
        images=_folder(images) if images is not None else Path(feed).resolve().parent,
        reviews=_file(reviews, "reviews file") if reviews is not None else None,
        views=_file(views, "views file") if views is not None else None,
        plan_only=plan_only,
        full=full,
        allow_shrink=allow_shrink,
        refresh_images=refresh_images,
        now=(now or datetime.now(UTC)).astimezone(UTC),
    )
    journal = Journal(feed=str(feed))
    if encoders is None:
        from vision_rec.encoders import load_encoders

        encoders = load_encoders(settings.encoders, settings.paths.data / "cache")
    run = Run(inputs, settings, encoders, journal, progress or (lambda stage, done, total: None))
    try:
        return run()
    except VisionRecError as error:
        if error.code != "locked" and not plan_only:
            note_failure(error, journal, settings.paths.data)
        raise


def _file(path: Path, what: str) -> Path:
    path = Path(path)
    if not path.exists():
        raise FeedError(f"there is no {what} {path}; give an existing file")
    if path.is_dir():
        raise FeedError(f"the {what} {path} is a folder; give a file")
    return path.resolve()


def _folder(path: Path) -> Path:
    if not Path(path).is_dir():
        raise InputError(f"there is no picture folder {path}; give an existing folder with --images DIR")
    return Path(path).resolve()
