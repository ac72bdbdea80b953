"""Segment the audience by what users like, for visitors of whom little is known and for merchandisers."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np

from vision_rec.errors import InputError
from vision_rec.events import EventLog
from vision_rec.fusion import resolve_weights, scale
from vision_rec.recommend.state import State
from vision_rec.sessions import audience as segments
from vision_rec.sessions import say_of
from vision_rec.sessions.audience import Audience, AudienceFile, Segment
from vision_rec.sessions.profile import Interest, decayed, interests
from vision_rec.settings import SessionSettings, Settings
from vision_rec.types import Array, Event

MAX_SEGMENTS = 50
_MOST_ROWS = 500  # products of one user that are looked at


@dataclass(slots=True)
class _Points:
    """The interests of all users: whose, and of which products (rows of the catalogue)."""

    owners: list[int] = field(default_factory=list)
    found: list[Interest] = field(default_factory=list)
    members: list[list[int]] = field(default_factory=list)


def make_audience(
    state: State, log: EventLog, settings: SessionSettings, *, count: int = 8, seed: int = 0
) -> Audience:
    """Group the users of the event store into `count` segments at most, largest first.

    Each interest of a user belongs to one segment, so who has two tastes is in two. Raises InputError for a
    `count` that is not allowed, and what the event store raises.
    """
    if not 1 <= count <= MAX_SEGMENTS:
        raise InputError(f"segments is {count}; allowed is 1 to {MAX_SEGMENTS}")
    weights = resolve_weights(state.layout, state.default_weights, state.layout.names)
    points = _Points()
    users = _said(state, log.export(), settings.half_life_days)
    for owner, said in enumerate(users.values()):
        rows = sorted(said, key=lambda row: (-said[row], row))[:_MOST_ROWS]
        says = np.asarray([said[row] for row in rows], dtype=np.float32)
        for interest in interests(state.layout, state.rows[rows], says, weights):
            points.owners.append(owner)
            points.found.append(interest)
            points.members.append([rows[member] for member in interest.members])
    dims = {aspect.name: aspect.dim for aspect in state.layout.aspects}
    made = Audience(datetime.now(UTC), len(users), dims, dict(state.fingerprints))
    if not points.found:
        return made
    rows_of = np.stack([interest.row for interest in points.found])
    shares = np.asarray([interest.share for interest in points.found], dtype=np.float32)
    near = segments.near_rows(state.layout, rows_of, weights)
    labels = segments.clusters(near, shares, count, seed)
    labels = segments.large_enough(near, labels, points.owners, settings.min_segment_users)
    grouped = [
        _segment(state, points, np.flatnonzero(labels == label), rows_of, shares, weights)
        for label in range(int(labels.max()) + 1)
    ]
    ordered = tuple(sorted(grouped, key=lambda one: (-one.share, -one.users)))
    return Audience(made.made_at, made.users, made.dims, made.fingerprints, ordered)


def _said(state: State, events: Iterable[Event], half_life_days: float) -> dict[str, dict[int, float]]:
    """Sum up what each user's acts say of products (rows), decayed by their age."""
    now = datetime.now(UTC)
    out: defaultdict[str, dict[int, float]] = defaultdict(dict)
    for event in events:
        say = say_of(event)
        if event.user_id is None or say <= 0 or event.product_id not in state.catalog:
            continue
        row = state.catalog.row_of(event.product_id)
        if state.rows[row].any():
            said = float(decayed([say], [(now - event.at).total_seconds()], half_life_days)[0])
            out[event.user_id][row] = out[event.user_id].get(row, 0.0) + said
    return out


def _segment(
    state: State, points: _Points, own: Any, rows: Array, shares: Array, weights: dict[str, float]
) -> Segment:
    row = np.asarray(shares[own] @ rows[own] / shares[own].sum(), dtype=np.float32)
    row = np.round(row, 4)  # as the file has it
    live = state.catalog.live_rows
    scores = state.rows[live] @ scale(state.layout, row[None], weights)[0]
    face = live[np.argsort(-scores, kind="stable")[: segments.FACES]]
    users: defaultdict[int, set[int]] = defaultdict(set)
    for place in own:
        for member in points.members[place]:
            users[member].add(points.owners[place])
    liked = Counter(
        {product: len(who) for product, who in users.items() if len(who) >= segments.MIN_VISITORS}
    )
    ids = state.catalog.ids
    popular = sorted(liked.items(), key=lambda entry: (-entry[1], ids[entry[0]]))[: segments.MAX_POPULAR]
    return Segment(
        row,
        len({points.owners[place] for place in own}),
        float(shares[own].sum() / shares.sum()),
        tuple(ids[product] for product in face),
        {ids[product]: number for product, number in popular},
    )


class AudienceDesk:
    """Makes, keeps and shows the segments of a data folder."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.file = AudienceFile(settings.paths.data)

    def make(self, state: State, log: EventLog, *, count: int = 8, seed: int = 0) -> Audience:
        """Segment the users anew and keep the segments; services take them up at once."""
        made = make_audience(state, log, self.settings.sessions, count=count, seed=seed)
        segments.save(made, self.file.path)
        return made

    def show(self, state: State | None, audience: Audience | None = None) -> dict[str, Any]:
        """Return the segments as JSON, products with their titles; no segments where there are none yet."""
        found = audience or self.file.current()
        if found is None:
            return {"made_at": None, "users": 0, "fits": False, "segments": []}
        fits = state is not None and bool(found.shared(state.layout, state.fingerprints))
        listed = [
            {
                "segment": number,
                "users": one.users,
                "share": round(one.share, 4),
                "face": [{"id": ident, "title": _title(state, ident)} for ident in one.face],
                "popular": [
                    {"id": ident, "title": _title(state, ident), "users": count}
                    for ident, count in list((one.popular or {}).items())[:10]
                ],
            }
            for number, one in enumerate(found.segments, 1)
        ]
        made_at = found.made_at.isoformat().replace("+00:00", "Z")
        return {"made_at": made_at, "users": found.users, "fits": fits, "segments": listed}


def _title(state: State | None, ident: str) -> str | None:
    known = state is not None and ident in state.catalog
    return state.catalog.product(state.catalog.row_of(ident)).title if known and state is not None else None
