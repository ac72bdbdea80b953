"""Recommender: opens a version, answers queries, follows new versions."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from vision_rec.errors import InputError, VisionRecError
from vision_rec.filters import Filters
from vision_rec.fusion import AspectLayout
from vision_rec.recommend.answerer import CHUNK, Answerer, Neighbours
from vision_rec.recommend.colours import ColourNames, NameColours
from vision_rec.recommend.encoding import Crop, QueryEncoder, QueryEncoders
from vision_rec.recommend.explain import Explanation
from vision_rec.recommend.pictures import AnyPicture, picture_from
from vision_rec.recommend.state import State, current_of, open_state
from vision_rec.rules import Clock, RuleBook, RuleStore, utc_now
from vision_rec.sessions import RecencyMean, SessionEncoder
from vision_rec.sessions.history import History
from vision_rec.sessions.stores import Vault
from vision_rec.settings import Settings
from vision_rec.types import Example, Picture, Product, Query, Recommendations

_CROP_SIDE = 1024  # a picture to be cropped is opened larger than encoders see it
AnyFilters = Filters | Mapping[str, Any] | Sequence[str]


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
            session=session_encoder or RecencyMean(),
            search=settings.search,
            names_of=_names(settings, encoders, name_colours),
            history=history or History(Vault(settings.events, settings.paths.data)),
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
        catalog = self._state.catalog
        return tuple(catalog.product(int(row)) for row in catalog.live_rows[offset : offset + limit])

    def picture(self, source: AnyPicture, *, crop: Sequence[float] | None = None) -> Picture:
        """Open a query's picture as large as the encoders need it; raise ImageError."""
        side = _CROP_SIDE if crop is not None else self.encoders.image.input_side
        return picture_from(source, max_side=side, limits=self.settings.images)

    def _example(self, entry: Example | Mapping[str, Any]) -> Example:
        if isinstance(entry, Example):
            return entry
        if not isinstance(entry, Mapping) or not set(entry) <= {"product_id", "image", "weight"}:
            raise InputError(f"an example is {entry!r}; it has a product_id or an image, and a weight")
        image = entry.get("image")
        picture = None if image is None else self.picture(image)
        return Example(entry.get("product_id"), picture, entry.get("weight", 1.0))

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
            self._state = self._opened()
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

    def ranking(self, query: Query, depth: int | None = None) -> tuple[str, ...]:
        """Return the ids of the first `depth` results (all where None), beyond any limit of k."""
        return self._answerer.ranking(self._state, query, depth)

    def similar_all(self, k: int = 20, *, chunk: int = CHUNK) -> Iterator[Neighbours]:
        """Yield the similar list of every product that is not retired, as `similar` answers it."""
        return self._answerer.similar_all(self._state, k, chunk)

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
        user_id: str | None = None,
        session_id: str | None = None,
        session_share: float | None = None,
    ) -> Recommendations:
        """Recommend products similar to one of the catalogue, from stored rows alone."""
        return self.search(
            product_id=product_id,
            recent=recent,
            user_id=user_id,
            session_id=session_id,
            session_share=session_share,
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
        crop: Sequence[float] | None = None,
        facets: Sequence[str] = (),
        rating_boost: float = 0.0,
    ) -> Recommendations:
        """Recommend products near any mix of sources; each option means what it does in POST /v1/search."""
        return self.answer(
            Query(
                product_id=product_id,
                image=None if image is None else self.picture(image, crop=crop),
                text=text,
                colour=colour,
                examples=tuple(map(self._example, examples)),
                recent=_listed(recent),
                user_id=user_id,
                session_id=session_id,
                weights=weights,
                preset=preset,
                filters=_filters(filters),
                exclude=_listed(exclude),
                k=k,
                offset=offset,
                min_score=min_score,
                diversity=diversity,
                max_per_group=max_per_group,
                exclude_own_group=exclude_own_group,
                session_share=session_share,
                crop=_box(crop),
                facets=_listed(facets),
                rating_boost=rating_boost,
            )
        )

    def recommend(
        self,
        *,
        recent: Sequence[str] = (),
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
    ) -> Recommendations:
        """Recommend products for who looked at `recent`, oldest first, or whose events are stored."""
        return self.search(
            recent=recent,
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
        )


def _box(crop: Sequence[float] | None) -> Crop | None:
    if crop is None:
        return None
    if len(crop) != 4:
        raise InputError(f"crop is {crop!r}; allowed are four numbers x, y, w, h in 0–1")
    x, y, w, h = crop
    return x, y, w, h


def _listed(values: Sequence[str]) -> tuple[str, ...]:
    return (values,) if isinstance(values, str) else tuple(values)


def _filters(filters: AnyFilters | None) -> Filters | None:
    if filters is None or isinstance(filters, Filters):
        return filters
    if isinstance(filters, Mapping):
        return Filters.from_dict(filters)
    return Filters.parse([filters] if isinstance(filters, str) else filters)


def _names(
    settings: Settings, encoders: QueryEncoders | None, given: NameColours | None
) -> Callable[[str | None], NameColours | None]:
    """Name colours as told, not at all for encoders of the caller's own, else as the settings' encoder."""
    if given is not None or encoders is not None:
        return lambda _: given
    return ColourNames(settings.encoders)


def _load_encoders(settings: Settings) -> QueryEncoders:
    from vision_rec.encoders import load_encoders

    return load_encoders(settings.encoders, settings.paths.data / "cache")
