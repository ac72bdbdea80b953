"""The bodies of requests and answers as the OpenAPI document has them.

`batch.query_from_json` and `recommend.checks` decide what a search may be; `SearchBody` says the same, to
point at wrong fields. `search_body` adds the limits that are settings.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, create_model

from vision_rec.batch import MAX_EXAMPLES, MAX_IDS, MAX_TEXT
from vision_rec.settings import Settings

MAX_PAGE = 500

Text = Annotated[str, Field(max_length=MAX_TEXT)]
Share = Annotated[float, Field(ge=0, le=1)]
Weight = Annotated[float, Field(ge=0)]
RecentType = Literal["view", "click", "add_to_cart", "purchase"]
Texts = Annotated[list[str], Field(max_length=MAX_IDS)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class ExampleBody(_Body):
    """One more (weight > 0) or less (weight < 0) wanted example."""

    product_id: Text | None = None
    image: str | None = Field(default=None, description="base64 of the picture file")
    weight: Annotated[float, Field(ge=-1, le=1)] = 1.0


class SearchBody(_Body):
    """What to search for; at least one source, everything else optional."""

    product_id: Text | None = None
    image: str | None = Field(default=None, description="base64 of the picture file")
    image_url: str | None = Field(default=None, description="answered with 422 url-not-allowed")
    text: str | None = None
    colour: Text | None = Field(
        default=None, description="a name or a hex value", examples=["red", "#c81e1e"]
    )
    examples: Annotated[list[ExampleBody], Field(max_length=MAX_EXAMPLES)] | None = None
    recent: Texts | None = Field(default=None, description="viewed product ids, oldest first")
    recent_types: Annotated[list[RecentType], Field(max_length=MAX_IDS)] | None = Field(
        default=None, description="what was done with each of `recent`; view where nothing is said"
    )
    user_id: Text | None = None
    session_id: Text | None = None
    weights: dict[str, Weight] | None = Field(
        default=None,
        description="aspect → weight ≥ 0; aspects not named weigh 0",
        examples=[{"colour": 2, "shape": 1}],
    )
    preset: Text | None = None
    filters: dict[str, Any] | None = Field(
        default=None,
        description="conditions that must all hold",
        examples=[{"category": ["Shoes", "Bags"], "price": {"min": 10, "max": 50}, "in_stock": True}],
    )
    exclude: Texts | None = None
    k: Annotated[int, Field(ge=1)] = 10
    offset: Annotated[int, Field(ge=0)] = 0
    min_score: float | None = None
    diversity: Share = 0.0
    max_per_group: Annotated[int, Field(ge=0)] = 1
    exclude_own_group: bool = True
    session_share: Share | None = Field(
        default=None, description="of what a visitor did; 0.3 beside another source"
    )
    session_model: Literal["auto", "recency"] = Field(
        default="auto", description="what turns visits into a query: the trained model, or their mean"
    )
    crop: Annotated[list[Share], Field(min_length=4, max_length=4)] | None = Field(
        default=None, description="x, y, w, h of the part of the picture to look at, in 0–1"
    )
    facets: Texts | None = Field(default=None, description="text fields or attributes.NAME to count")
    rating_boost: Share = 0.0


def search_body(settings: Settings) -> type[SearchBody]:
    """Return SearchBody with the limits that `settings` give."""
    return create_model(
        "SearchBody",
        __base__=SearchBody,
        __doc__=SearchBody.__doc__,
        k=(Annotated[int, Field(ge=1, le=settings.search.max_k)], 10),
        text=(Annotated[str, Field(max_length=settings.service.max_text)] | None, None),
    )


class ExplainBody(SearchBody):
    """A search, and the product to explain."""

    item: Text


class RuleEffectOut(BaseModel):
    """What a rule did: `amount` is a pin's place, what a boost adds, or how many products it names."""

    id: str
    name: str
    effect: Literal["hide", "pin", "filter", "boost", "bury"]
    amount: float


class Item(BaseModel):
    """One product of an answer; the parts sum to the score."""

    id: str
    title: str
    link: str | None
    image: str | None
    brand: str
    category: list[str]
    price: float | None = Field(description="major units")
    currency: str | None
    availability: Literal["in_stock", "out_of_stock", "preorder", "backorder"]
    group_id: str | None
    score: float
    parts: dict[str, float]
    missing: list[str]
    boost: float
    lexical: float = Field(description="how far the words are found literally, 0–1; counts in the boost")
    pinned: bool
    rules: list[str] = Field(description="ids of merchandising rules that pinned, boosted or buried it")
    effects: list[RuleEffectOut] = Field(description="what they did, in order")
    rank_without_rules: int | None = Field(description="from 1; null where it is beyond the first 200")
    reasons: list[str]


class Answer(BaseModel):
    """Similar products, best first."""

    request_id: str
    version: str
    weights: dict[str, float] = Field(description="as resolved: they sum to 1 over the query's aspects")
    took_ms: float
    degraded: list[str]
    empty_reason: str | None
    facets: dict[str, dict[str, int]]
    items: list[Item]
    rules: list[RuleEffectOut] = Field(
        default=[], description="rules of this list, where any acts; amounts count products they name"
    )


class AspectPart(BaseModel):
    """What one aspect adds: weight × similarity = part."""

    name: str
    weight: float
    similarity: float | None = Field(description="null where the weight is 0")
    part: float
    missing: bool


class Swatch(BaseModel):
    """A colour by name and value."""

    name: str
    hex: str


class ExplainAnswer(BaseModel):
    """Why a product is where it is; the parts of the aspects sum to the item's score."""

    request_id: str
    version: str
    took_ms: float
    item: Item
    rank: int | None = Field(description="from 1; null where the asked page does not hold the product")
    aspects: list[AspectPart]
    query_colours: list[Swatch]
    item_colours: list[Swatch]
    words: list[str] = Field(description="of the query, or of its product's title, that the product has")
    degraded: list[str]


class ProductAnswer(BaseModel):
    """One product as the version in use holds it."""

    model_config = ConfigDict(extra="allow")
    request_id: str
    version: str
    id: str
    title: str
    description: str
    brand: str
    category: list[str]
    link: str | None
    image: str | None
    images: int = Field(description="pictures it has; see /v1/products/{id}/image?n=")
    price: float | None
    currency: str | None
    availability: str
    group_id: str | None
    attributes: dict[str, list[str]]
    retired: bool = Field(description="gone from the feed: keeps its page, is in no answer")


class ProductPage(BaseModel):
    """A page of the catalogue; `next_cursor` is null on the last one."""

    request_id: str
    version: str
    total: int
    next_cursor: str | None
    items: list[dict[str, Any]]


class AspectInfo(BaseModel):
    """One aspect of the index."""

    name: str
    dim: int
    gain: float
    default_weight: float


class Aspects(BaseModel):
    """What can be weighed, and the named presets of weights."""

    aspects: list[AspectInfo]
    presets: dict[str, dict[str, float]]
    version: str
    request_id: str


class EventBody(_Body):
    """One thing a visitor did."""

    type: Literal["impression", "view", "click", "add_to_cart", "purchase", "rating"]
    product_id: Annotated[str, Field(min_length=1, max_length=256)]
    event_id: Annotated[str, Field(max_length=128)] | None = Field(
        default=None, description="sent again it counts once; without one a retry counts twice"
    )
    user_id: Annotated[str, Field(max_length=256)] | None = None
    session_id: Annotated[str, Field(max_length=256)] | None = Field(
        default=None, description="with user_id beside it: the session is this user's from now on"
    )
    at: str | None = Field(default=None, description="ISO 8601, UTC where no zone is given; clamped")
    value: float | None = Field(default=None, description="stars of a rating, amount, seconds of a view")
    position: Annotated[int, Field(ge=0)] | None = Field(default=None, description="place in the list")
    request_id: Annotated[str, Field(max_length=128)] | None = Field(
        default=None, description="of the answer that showed it"
    )


class EventsBody(_Body):
    """What visitors did, in order."""

    events: list[EventBody]


class EventRefusal(BaseModel):
    """One event that was not taken."""

    index: int
    reason: str


class EventsAnswer(BaseModel):
    """What became of a call: accepted events are stored durably."""

    request_id: str
    accepted: int
    duplicates: int
    rejected: list[EventRefusal]


class Erased(BaseModel):
    """How many events of a user there were."""

    request_id: str
    erased: int


class SegmentProduct(BaseModel):
    """A product of a segment; `users` where it is told how many had to do with it."""

    id: str
    title: str | None
    users: int | None = None


class SegmentOut(BaseModel):
    """Users of like taste: how many, their share of all taste, and the products that show it."""

    segment: int
    users: int
    share: float
    face: list[SegmentProduct]
    popular: list[SegmentProduct]


class AudienceOut(BaseModel):
    """The segments made last; `fits` says whether this index has their encoders."""

    request_id: str
    made_at: str | None
    users: int
    fits: bool
    segments: list[SegmentOut]


class FieldError(BaseModel):
    """One wrong field."""

    pointer: str
    code: str
    message: str


class ProblemBody(BaseModel):
    """An RFC 9457 problem document."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    request_id: str
    errors: list[FieldError]
