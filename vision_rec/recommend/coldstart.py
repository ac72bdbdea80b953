"""What is popular with users of like taste, for a visitor of whom one or two views are known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from vision_rec.recommend.state import State
from vision_rec.sessions.audience import Audience, near_rows
from vision_rec.sessions.profile import SAME
from vision_rec.types import Array

FEW_VIEWS = 2  # with more of them a visitor's own taste is known
LIFT = 0.1  # of the most popular product of a segment


@dataclass(frozen=True, slots=True)
class Likeminded:
    """How many users of the visitor's segment had to do with products, by row, and what that lifts (N,)."""

    users: Mapping[int, int]
    lift: Array


def likeminded(
    state: State, audience: Audience | None, row: Array, weights: Mapping[str, float]
) -> Likeminded | None:
    """Find the segment nearest to the visitor's row (D,); None where none is like it."""
    shared = () if audience is None else audience.shared(state.layout, state.fingerprints)
    if audience is None or not audience.segments or not shared:
        return None
    told = {name: weights[name] for name in shared}
    segments = near_rows(state.layout, audience.rows(state.layout, shared), told)
    near = segments @ near_rows(state.layout, row[None], told)[0]
    best = int(near.argmax())
    popular = audience.segments[best].popular or {}
    users = {state.catalog.row_of(ident): n for ident, n in popular.items() if ident in state.catalog}
    if near[best] < SAME or not users:
        return None
    lift = np.zeros(len(state), dtype=np.float32)
    lift[list(users)] = LIFT * np.asarray(list(users.values()), dtype=np.float32) / max(users.values())
    return Likeminded(users, lift)
