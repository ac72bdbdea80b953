"""A file of views into behaviour vectors: its bad rows are counted, listed and limited as those of a feed."""

from __future__ import annotations

from array import array
from datetime import datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vision_rec.errors import FeedRowError
from vision_rec.feeds.events import read_events
from vision_rec.feeds.rows import refuse_cut
from vision_rec.reindex.intake import Rejects
from vision_rec.reindex.report import Journal, Progress
from vision_rec.sessions import RATING, say_of_type
from vision_rec.sessions.covisits import fit_behaviour
from vision_rec.sessions.pair import BehaviourTable
from vision_rec.settings import FeedSettings

PAUSE_SECONDS = 1800.0  # a longer pause ends a session, where no session is named
_GOOD_STARS = 2.0
_TELL_EVERY = 5_000

Ints = npt.NDArray[np.int64]


class _Views:
    """Acts of a file as numbers: of the visitor or session, of the product, and when."""

    def __init__(self) -> None:
        self.visitors: dict[tuple[str, str], int] = {}
        self.products: dict[str, int] = {}
        self.who, self.what, self.when = array("q"), array("q"), array("d")

    def add(self, line: int, act: dict[str, object]) -> None:
        """Take one act that says something good; raises FeedRowError for one of nobody."""
        session, user = act.get("session_id"), act.get("user_id")
        if session is None and user is None:
            raise FeedRowError(
                line, "session_id", "neither a session nor a user is named", str(act["product_id"])
            )
        kind, value = str(act["type"]), act.get("value")
        good = isinstance(value, float) and value > _GOOD_STARS if kind == RATING else say_of_type(kind) > 0
        if not good:
            return
        visitor = ("session", str(session)) if session is not None else ("user", str(user))
        self.who.append(self.visitors.setdefault(visitor, len(self.visitors)))
        self.what.append(self.products.setdefault(str(act["product_id"]), len(self.products)))
        at = act.get("at")
        self.when.append(at.timestamp() if isinstance(at, datetime) else float("nan"))

    def ordered(self) -> tuple[Ints, Ints]:
        """Return products and sessions (T,), each session's acts together, oldest first.

        What has no time stays in the file's order.
        """
        who, what = np.array(self.who, np.int64), np.array(self.what, np.int64)
        when = np.array(self.when, np.float64)
        order = np.lexsort((np.nan_to_num(when, nan=0.0), who))
        who, what, when = who[order], what[order], when[order]
        with np.errstate(invalid="ignore"):
            paused = np.diff(when, prepend=np.nan) > PAUSE_SECONDS
        named = np.array([kind == "session" for kind, _ in self.visitors], bool)[who]
        return what, np.cumsum((np.diff(who, prepend=-1) != 0) | (paused & ~named))


def fit_views(
    path: Path, fingerprint: str, journal: Journal, *, settings: FeedSettings, progress: Progress
) -> BehaviourTable | None:
    """Fit behaviour vectors to the views of the file at `path`; None where no two go together.

    Raises FeedError where the file cannot be read or has too many bad rows.
    """
    rejects = Rejects(path, journal)
    views, taken = _Views(), 0
    with journal.stage("views") as done:
        try:
            for line, act in read_events(path, on_error=refuse_cut(path, rejects)):
                try:
                    views.add(line, act)
                except FeedRowError as error:
                    rejects(error)
                    continue
                taken += 1
                if taken % _TELL_EVERY == 0:
                    progress("views", taken, None)
        finally:
            journal.views, journal.views_rejected = taken, rejects.count
            done.append(taken)
    progress("views", taken, taken)
    rejects.check(taken, settings.max_reject_share)
    with journal.stage("behaviour") as done:
        vectors = fit_behaviour(*views.ordered(), len(views.products))
        done.append(len(vectors))
    if not vectors.shape[1]:
        return None
    stored = vectors.astype(np.float16).astype(np.float32)  # as rows are
    return BehaviourTable(tuple(views.products), stored, fingerprint)
