"""The bodies of /v1/rules as the OpenAPI document has them; `rules.parse` decides what a rule may be."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

EffectName = Literal["hide", "pin", "filter", "boost", "bury"]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class ScopeBody(_Body):
    """Which lists a rule is for."""

    kind: Literal["all", "category", "query", "product"] = "all"
    value: str = Field(default="", description="the category, the words searched or the product's id")


class RuleBody(_Body):
    """What the author of a rule decides; either `products` or `filters`, as its effect needs."""

    effect: EffectName
    name: str = ""
    scope: ScopeBody = ScopeBody()
    products: list[str] = Field(default=[], description="ids; a pin puts them to places one after another")
    filters: dict[str, Any] | list[str] | None = Field(
        default=None, description="those of a search, or conditions such as price<=50"
    )
    position: int | None = Field(default=None, ge=1, description="of a pin, from 1")
    strength: Annotated[float, Field(gt=0, le=1)] | None = Field(
        default=None, description="of boost and bury"
    )
    starts_at: str | None = Field(default=None, description="ISO 8601; UTC where no zone is given")
    ends_at: str | None = None
    priority: int = 0
    enabled: bool = True


class PublishBody(_Body):
    """A word for the history."""

    note: str = ""


class PreviewBody(_Body):
    """What to compare; everything has a default."""

    queries: list[dict[str, Any]] | None = Field(default=None, description="search bodies; ten are chosen")
    k: int = 10
    before: str = Field(default="current", description="current, draft or a version's number")
    after: str = Field(default="draft", description="draft, current or a version's number")
    rule: RuleBody | None = Field(default=None, description="not saved yet; added to the draft for `after`")
    at: str | None = Field(default=None, description="the moment to look at; now")


class RuleOut(BaseModel):
    """A rule of the draft."""

    model_config = ConfigDict(extra="allow")
    id: str
    name: str
    effect: EffectName
    scope: ScopeBody
    products: list[str]
    filters: dict[str, Any] | list[str] | None
    position: int | None
    strength: float | None
    starts_at: str | None
    ends_at: str | None
    priority: int
    enabled: bool
    serial: int = Field(description="rises with every change; the rule's ETag")
    author: str
    changed_at: str | None
    sentence: str
    state: Literal["active", "scheduled", "ended", "off"]
    unpublished: Literal["added", "changed"] | None
    problems: list[str]
    hits_7_days: int = Field(description="answers it acted on, today and in the six days before")


class RulesOut(BaseModel):
    """The draft, the first rule to act first."""

    request_id: str
    version: int = Field(description="of the published rules; 0 for none")
    draft: int = Field(description="rises with every change of the draft; its ETag")
    changed: bool = Field(description="whether the draft differs from what is published")
    degraded: list[str]
    rules: list[RuleOut]


class ChangesOut(BaseModel):
    """What differs between two sets of rules."""

    model_config = ConfigDict(extra="allow")
    request_id: str
    changes: list[dict[str, Any]]


class HistoryOut(BaseModel):
    """Published versions or lines of the log, newest first."""

    model_config = ConfigDict(extra="allow")
    request_id: str


class PreviewOut(BaseModel):
    """Lists before and after."""

    request_id: str
    version: str
    at: str
    previews: list[dict[str, Any]]
