"""Answerer: the way from queries to answers on one state; holds what does not change with versions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from vision_rec.errors import InputError, VisionRecError
from vision_rec.recommend.answer import compose
from vision_rec.recommend.checks import check_query, is_identified
from vision_rec.recommend.colours import NameColours
from vision_rec.recommend.encoding import Encoded, QueryEncoder
from vision_rec.recommend.explain import Explanation, explain
from vision_rec.recommend.journey import MAX_STEPS, Influences, Journey, influences_on
from vision_rec.recommend.query import Target, aim
from vision_rec.recommend.ranking import nothing, rank, search_together
from vision_rec.recommend.ruling import ruled
from vision_rec.recommend.session_model import SESSION_MODEL, VersionModel, recency_of
from vision_rec.recommend.state import State
from vision_rec.rerank import Ints
from vision_rec.sessions import SessionEncoder
from vision_rec.sessions.audience import AudienceFile
from vision_rec.sessions.history import History
from vision_rec.settings import SearchSettings, SessionSettings
from vision_rec.types import Query, Recommendations

CHUNK = 64  # queries searched at once; their masks and pictures are in memory together


@dataclass(frozen=True, slots=True)
class Neighbours:
    """One product's similar list: `ids` and `scores` of its k nearest, best first."""

    product_id: str
    ids: tuple[str, ...]
    scores: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Answerer:
    """Checks, encodes, aims, ranks and composes; every call works on the state it is given."""

    encoder: QueryEncoder
    session: SessionEncoder | None  # of the caller's own, in place of the version's
    search: SearchSettings
    names_of: Callable[[str | None], NameColours | None]  # by the image encoder's fingerprint
    history: History | None = None  # of visitors
    sessions: SessionSettings = SessionSettings()
    audience: AudienceFile | None = None

    def answer(self, state: State, query: Query) -> Recommendations:
        """Answer one query."""
        target = self._target(state, query)
        ranked = rank(state, target, query.offset + query.k)
        return compose(state, target, ranked, self._names(state))

    def explain(self, state: State, query: Query, product_id: str) -> Explanation:
        """Take one product of the answer to `query` apart, or what would make it one."""
        answer = self.answer(state, query)
        return explain(state, self._target(state, query), product_id, answer, self._names(state))

    def influences(self, state: State, query: Query) -> Influences:
        """Say what each visit of `query` does to its list."""
        target = self._target(state, query)
        found = rank(state, target, query.offset + query.k).rows[query.offset :]
        return influences_on(state, target, found)

    def journey(self, state: State, query: Query) -> Journey:
        """Answer after each of the recent products, and say what each visit does to the last list.

        A known visitor's stored visits have influence too; without `recent` there are no steps then.
        """
        count = len(query.recent)
        if count > MAX_STEPS or not (count or is_identified(query)):
            raise InputError(f"recent has {count} products; a journey has 1 to {MAX_STEPS}")
        for ident in query.recent:
            state.catalog.row_of(ident)  # unknown ones would be steps where nothing happens
        prefixes = [
            replace(query, recent=query.recent[:i], recent_types=query.recent_types[:i])
            for i in range(1, count + 1)
        ]
        steps = tuple(self.answer(state, prefix) for prefix in prefixes)
        return Journey(steps, self.influences(state, query))

    def ranking(self, state: State, query: Query, depth: int | None) -> tuple[str, ...]:
        """Return the ids of the first `depth` results, all where None."""
        ranked = rank(state, self._target(state, query), len(state) if depth is None else depth)
        return tuple(state.catalog.ids[row] for row in ranked.rows)

    def answer_many(self, state: State, queries: Sequence[Query]) -> list[Recommendations | VisionRecError]:
        """Answer `queries` in order; a bad one gives its error."""
        out: list[Recommendations | VisionRecError] = []
        for start in range(0, len(queries), CHUNK):
            out += self._answer_chunk(state, queries[start : start + CHUNK])
        return out

    def similar_all(
        self, state: State, k: int, chunk: int, chosen: Ints | None = None
    ) -> Iterator[Neighbours]:
        """Yield the similar list of every live product, or of the rows `chosen`, in catalogue order."""
        ids, live = state.catalog.ids, state.catalog.live_rows if chosen is None else chosen
        check_query(Query(product_id="any", k=k), self.search.max_k)
        for start in range(0, len(live), chunk):
            rows = live[start : start + chunk]
            # A product without any aspect has no neighbours, and must not end the whole list.
            asked = [row for row in rows if state.rows[row].any()]
            targets = {row: self._aim(state, Query(product_id=ids[row], k=k), Encoded()) for row in asked}
            first = dict(
                zip(asked, search_together(state, list(targets.values()), [k] * len(asked)), strict=True)
            )
            for row in rows:
                ranked = rank(state, targets[row], k, first[row]) if row in targets else nothing(state)
                names = tuple(ids[other] for other in ranked.rows)
                yield Neighbours(ids[row], names, tuple(map(float, ranked.scores)))

    def _names(self, state: State) -> NameColours | None:
        return self.names_of(state.fingerprints.get("image"))

    def _target(self, state: State, query: Query) -> Target:
        check_query(query, self.search.max_k)
        return self._aim(state, query, self.encoder.encode(state, [query]))

    def _aim(self, state: State, query: Query, encoded: Encoded) -> Target:
        session = self._session(state, query)
        target = aim(
            state,
            query,
            encoded,
            session,
            self.search,
            self.history,
            self.sessions,
            lambda: None if self.audience is None else self.audience.current(),
        )
        if target.visiting.visits and isinstance(session, VersionModel) and session.is_broken:
            target = replace(target, degraded=(*target.degraded, SESSION_MODEL))
        return ruled(state, target)

    def _session(self, state: State, query: Query) -> SessionEncoder:
        if query.session_model == "recency":
            return recency_of(state.layout)
        return self.session or state.session_model

    def _answer_chunk(self, state: State, queries: Sequence[Query]) -> list[Recommendations | VisionRecError]:
        bad: dict[int, VisionRecError] = {}
        for i, query in enumerate(queries):
            try:
                check_query(query, self.search.max_k)
            except VisionRecError as error:
                bad[i] = error
        encoded = self.encoder.encode(state, [query for i, query in enumerate(queries) if i not in bad])
        targets: dict[int, Target] = {}
        for i, query in enumerate(queries):
            try:
                if i not in bad:
                    targets[i] = self._aim(state, query, encoded)
            except VisionRecError as error:
                bad[i] = error
        good = self._answers(state, targets)
        return [bad[i] if i in bad else good[i] for i in range(len(queries))]

    def _answers(
        self, state: State, targets: dict[int, Target]
    ) -> dict[int, Recommendations | VisionRecError]:
        counts = [target.query.offset + target.query.k for target in targets.values()]
        first = search_together(state, list(targets.values()), counts)
        out: dict[int, Recommendations | VisionRecError] = {}
        for (i, target), count, found in zip(targets.items(), counts, first, strict=True):
            try:
                out[i] = compose(state, target, rank(state, target, count, found), self._names(state))
            except VisionRecError as error:  # an unknown facet
                out[i] = error
        return out
