"""Recommender: opens a version, answers queries, follows new versions."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from vision_rec.errors import VisionRecError
from vision_rec.fusion import AspectLayout
from vision_rec.recommend.answerer import CHUNK, Answerer, Neighbours
from vision_rec.recommend.checks import check_whole
from vision_rec.recommend.colours import NameColours, names_of
from vision_rec.recommend.encoding import QueryEncoder, QueryEncoders
from vision_rec.recommend.explain import Explanation
from vision_rec.recommend.given import AnyFilters, box_of, example_of, filters_of, listed
from vision_rec.recommend.journey import Influences, Journey
from vision_rec.recommend.pictures import AnyPicture, picture_from
from vision_rec.recommend.state import State, current_of, open_state
from vision_rec.rerank import Ints
from vision_rec.rules import NO_RULES, Clock, RuleBook, RuleStore, utc_now
from vision_rec.sessions import SessionEncoder
from vision_rec.sessions.audience import AudienceFile
from vision_rec.sessions.history import History
from vision_rec.sessions.stores import Vault
from vision_rec.settings import Settings
from vision_rec.types import Example, Picture, Product, Query, Recommendations

_CROP_SIDE = 1024  # a picture to be cropped is opened larger than encoders see it


class Recommender:
    """Answers queries from the current version of one index directory; safe for many readers at once.

    Encoders are loaded when the first picture, text or colour is asked for; a product given by id is
    answered from stored rows alone.
    """

    def __init__(
        self,
        root: Path,
        settings: Settings,
        *,
        encoders: QueryEncoders | None = None,
        session_encoder: SessionEncoder | None = None,
        name_colours: NameColours | None = None,
        rules: bool = True,
        clock: Clock = utc_now,
        history: History | None = None,
    ) -> None:
        self.settings = settings
        self._root = root
        self._answerer = Answerer(
            encoder=QueryEncoder(lambda: encoders or _load_encoders(settings)),
            session=session_encoder,
            search=settings.search,
            names_of=names_of(settings, encoders, name_colours),
            history=history or History(Vault(settings.events, settings.paths.data)),
            sessions=settings.sessions,
            audience=AudienceFile(settings.paths.data),
        )
        self._reloading = threading.Lock()
        self._rules = RuleStore(settings.paths.data / "rules", clock=clock) if rules else None
        self._state = self._opened()

    @classmethod
    def open(
        cls,
        indexes: Path | str = "indexes",
        *,
        settings: Settings | None = None,
        encoders: QueryEncoders | None = None,
        session_encoder: SessionEncoder | None = None,
        name_colours: NameColours | None = None,
        rules: bool = True,
        clock: Clock = utc_now,
        history: History | None = None,
    ) -> Recommender:
        """Open the current version in the folder `indexes`; raise UnavailableError where there is none.

        The published merchandising rules of the settings' data folder apply, unless `rules` is False; `clock`
        decides which of them are within their dates.
        """
        chosen = settings or Settings.load(paths={"indexes": Path(indexes)})
        return cls(
            Path(indexes),
            chosen,
            encoders=encoders,
            session_encoder=session_encoder,
            name_colours=name_colours,
            rules=rules,
            clock=clock,
            history=history,
        )

    @classmethod
    def build(
        cls,
        feed: Path | str,
        *,
        images: Path | str | None = None,
        reviews: Path | str | None = None,
        indexes: Path | str = "indexes",
        settings: Settings | None = None,
    ) -> Recommender:
        """Reindex `feed` into the folder `indexes`, changed products only, and open the result."""
        from vision_rec.reindex import reindex

        paths = {"indexes": Path(indexes)}
        if settings is None:
            chosen = Settings.load(paths=paths)
        else:
            chosen = settings.model_copy(update={"paths": settings.paths.model_copy(update=paths)})
        reindex(
            Path(feed),
            settings=chosen,
            images=None if images is None else Path(images),
            reviews=None if reviews is None else Path(reviews),
        )
        return cls.open(indexes, settings=chosen)

    # ── what is open ──────────────────────────────────────────────────────────────────────────────

    def __len__(self) -> int:
        return len(self._state)

    @property
    def state(self) -> State:
        """The version that answers now, as one value: read it once where several reads must agree."""
        return self._state

    @property
    def version_id(self) -> str:
        """The version that answers now."""
        return self._state.version_id

    @property
    def layout(self) -> AspectLayout:
        """The aspects of the version that answers now."""
        return self._state.layout

    @property
    def default_weights(self) -> dict[str, float]:
        """The weight of each aspect where a query names none."""
        return dict(self._state.default_weights)

    @property
    def session_models(self) -> tuple[str, ...]:
        """What `session_model` may be to make a difference; `auto` is there where a trained model is."""
        trained = self._answerer.session or self._state.session_model.model
        return ("auto", "recency") if trained else ("recency",)

    @property
    def presets(self) -> dict[str, dict[str, float]]:
        """Named weights, those aspects that this version has."""
        return {name: dict(weights) for name, weights in self._state.presets.items()}

    @property
    def degraded(self) -> tuple[str, ...]:
        """What is not as it should be for every answer, for example a damaged version stood in for."""
        return self._state.degraded

    @property
    def encoders(self) -> QueryEncoders:
        """The encoders, loaded at first use."""
        return self._answerer.encoder.encoders

    def product(self, product_id: str) -> Product:
        """Return a product, retired ones too, without its reviews; raise NotFoundError."""
        catalog = self._state.catalog
        return catalog.product(catalog.row_of(product_id))

    def products(self, *, offset: int = 0, limit: int = 100) -> tuple[Product, ...]:
        """Return products that are not retired, in the order of the catalogue."""
        check_whole("offset", offset, 0)
        check_whole("limit", limit, 0)
        catalog = self._state.catalog
        return tuple(catalog.product(int(row)) for row in catalog.live_rows[offset : offset + limit])

    def picture(self, source: AnyPicture, *, crop: Sequence[float] | None = None) -> Picture:
        """Open a query's picture as large as the encoders need it; raise ImageError."""
        side = _CROP_SIDE if crop is not None else self.encoders.image.input_side
        return picture_from(source, max_side=side, limits=self.settings.images)

    def reload_if_changed(self) -> bool:
        """Open what CURRENT names now, if it is another version, and rules published since.

        Running calls finish on the old ones. Where the new version cannot be opened, the error is raised and
        the old one goes on.
        """
        with self._reloading:
            changed = self._rules is not None and self._rules.stamp() != self._state.rules.stamp
            if changed and self._rules is not None:
                self._state = self._state.under(self._rules.book())
            if current_of(self._root) in (None, self._state.wanted_id):
                return changed
            state = self._opened()
            if self._state.session_model.is_wanted:
                state.session_model.warm()  # no session waits for it
            self._state = state
            return True

    def _opened(self) -> State:
        state = open_state(self._root, self.settings)
        return state if self._rules is None else state.under(self._rules.book())

    # ── answers ───────────────────────────────────────────────────────────────────────────────────

    def answer(self, query: Query) -> Recommendations:
        """Answer any query; raise InputError, NotFoundError or what the encoders raise."""
        return self._answerer.answer(self._state, query)

    def answer_under(self, query: Query, rules: RuleBook) -> Recommendations:
        """Answer a query as if `rules` were the published ones."""
        return self._answerer.answer(self._state.under(rules), query)

    def answer_many(self, queries: Sequence[Query]) -> list[Recommendations | VisionRecError]:
        """Answer many queries, encoded and searched together; a bad one gives its error, the rest go on."""
        return self._answerer.answer_many(self._state, queries)

    def explain(self, query: Query, product_id: str) -> Explanation:
        """Say why `product_id` is where it is in the answer to `query`; raise NotFoundError."""
        return self._answerer.explain(self._state, query, product_id)

    def influences(self, query: Query) -> Influences:
        """Say what each visit (stored, or of `recent`) does to the list of `query`: its score without it."""
        return self._answerer.influences(self._state, query)

    def journey(self, query: Query) -> Journey:
        """Answer after the first of `recent`, the first two and so on; raise NotFoundError."""
        return self._answerer.journey(self._state, query)

    def ranking(self, query: Query, depth: int | None = None) -> tuple[str, ...]:
        """Return the ids of the first `depth` results (all where None), beyond any limit of k."""
        return self._answerer.ranking(self._state, query, depth)

    def similar_all(
        self, k: int = 20, *, chunk: int = CHUNK, rows: Ints | None = None, rules: bool = True
    ) -> Iterator[Neighbours]:
        """Yield the similar list of every product not retired, or of `rows`, as `similar` answers it."""
        state = self._state if rules else self._state.under(NO_RULES)
        return self._answerer.similar_all(state, k, chunk, rows)

    def similar(
        self,
        product_id: str,
        *,
        k: int = 10,
        weights: Mapping[str, float] | None = None,
        preset: str | None = None,
        filters: AnyFilters | None = None,
        exclude: Sequence[str] = (),
        offset: int = 0,
        min_score: float | None = None,
        diversity: float = 0.0,
        max_per_group: int = 1,
        exclude_own_group: bool = True,
        facets: Sequence[str] = (),
        rating_boost: float = 0.0,
        recent: Sequence[str] = (),
        recent_types: Sequence[str] = (),
        user_id: str | None = None,
        session_id: str | None = None,
        session_share: float | None = None,
        session_model: str = "auto",
    ) -> Recommendations:
        """Recommend products similar to one of the catalogue, from stored rows alone."""
        return self.search(
            product_id=product_id,
            recent=recent,
            recent_types=recent_types,
            user_id=user_id,
            session_id=session_id,
            session_share=session_share,
            session_model=session_model,
            k=k,
            weights=weights,
            preset=preset,
            filters=filters,
            exclude=exclude,
            offset=offset,
            min_score=min_score,
            diversity=diversity,
            max_per_group=max_per_group,
            exclude_own_group=exclude_own_group,
            facets=facets,
            rating_boost=rating_boost,
        )

    def search(
        self,
        *,
        product_id: str | None = None,
        image: AnyPicture | None = None,
        text: str | None = None,
        colour: str | None = None,
        examples: Sequence[Example | Mapping[str, Any]] = (),
        recent: Sequence[str] = (),
        recent_types: Sequence[str] = (),
        user_id: str | None = None,
        session_id: str | None = None,
        weights: Mapping[str, float] | None = None,
        preset: str | None = None,
        filters: AnyFilters | None = None,
        exclude: Sequence[str] = (),
        k: int = 10,
        offset: int = 0,
        min_score: float | None = None,
        diversity: float = 0.0,
        max_per_group: int = 1,
        exclude_own_group: bool = True,
        session_share: float | None = None,
        session_model: str = "auto",
        crop: Sequence[float] | None = None,
        facets: Sequence[str] = (),
        rating_boost: float = 0.0,
    ) -> Recommendations:
        """Recommend products near any mix of sources; each option means what it does in POST /v1/search.

        None stands for not given, as null does there.
        """
        return self.answer(
            Query(
                product_id=product_id,
                image=None if image is None else self.picture(image, crop=crop),
                text=text,
                colour=colour,
                examples=tuple(example_of(entry, self.picture) for entry in examples or ()),
                recent=listed(recent),
                recent_types=listed(recent_types),
                user_id=user_id,
                session_id=session_id,
                weights=weights,
                preset=preset,
                filters=filters_of(filters),
                exclude=listed(exclude),
                k=k,
                offset=offset,
                min_score=min_score,
                diversity=0.0 if diversity is None else diversity,
                max_per_group=max_per_group,
                exclude_own_group=True if exclude_own_group is None else exclude_own_group,
                session_share=session_share,
                session_model=session_model,
                crop=box_of(crop),
                facets=listed(facets),
                rating_boost=0.0 if rating_boost is None else rating_boost,
            )
        )

    def recommend(
        self,
        *,
        recent: Sequence[str] = (),
        recent_types: Sequence[str] = (),
        user_id: str | None = None,
        session_id: str | None = None,
        k: int = 10,
        weights: Mapping[str, float] | None = None,
        preset: str | None = None,
        filters: AnyFilters | None = None,
        exclude: Sequence[str] = (),
        offset: int = 0,
        min_score: float | None = None,
        diversity: float = 0.0,
        max_per_group: int = 1,
        facets: Sequence[str] = (),
        rating_boost: float = 0.0,
        session_model: str = "auto",
    ) -> Recommendations:
        """Recommend products for who looked at `recent`, oldest first, or whose events are stored."""
        return self.search(
            recent=recent,
            recent_types=recent_types,
            user_id=user_id,
            session_id=session_id,
            k=k,
            weights=weights,
            preset=preset,
            filters=filters,
            exclude=exclude,
            offset=offset,
            min_score=min_score,
            diversity=diversity,
            max_per_group=max_per_group,
            facets=facets,
            rating_boost=rating_boost,
            session_model=session_model,
        )


def _load_encoders(settings: Settings) -> QueryEncoders:
    from vision_rec.encoders import load_encoders

    return load_encoders(settings.encoders, settings.paths.data / "cache")
