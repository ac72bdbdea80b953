"""The answers of the routes of versions as the OpenAPI document has them."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field


class ProblemOut(BaseModel):
    """One file of a version that is not what its manifest says."""

    file: str
    expected: str
    found: str


class VerifiedOut(BaseModel):
    """What came of checking every byte of a version."""

    at: str = Field(description="ISO 8601, UTC")
    ok: bool
    problems: list[ProblemOut]


class VerifyAnswer(VerifiedOut):
    """The same of the version that was asked for."""

    request_id: str
    id: str


class CheckOut(BaseModel):
    """One check of a version before it was published."""

    name: str
    passed: bool
    detail: str


class MeasuresOut(BaseModel):
    """What the reindex that made a version counted and measured; `stages` are seconds by name."""

    seconds: float
    products: int
    new: int
    changed: int
    returned: int
    gone: int
    retired: int
    rejected: int
    recall: dict[str, float] = Field(description="recall@10 by weighting, of approximate indexes")
    checks: list[CheckOut]
    stages: dict[str, float]


class VersionInfo(BaseModel):
    """One index version on disk."""

    id: str
    current: bool
    state: Literal["current", "ready", "damaged", "incompatible"]
    created_at: str
    count: int
    bytes: int
    fingerprints: dict[str, str] = Field(description="of the encoders, by name")
    index_kind: str | None
    parent: str | None
    stays: bool = Field(description="whether the next reindex leaves it")
    verified: VerifiedOut | None = Field(description="null where nobody has checked it yet")
    measures: MeasuresOut | None = Field(description="null where there is no report")


class Versions(BaseModel):
    """All index versions, newest first; `in_use` is the one that answers."""

    request_id: str
    current: str | None
    in_use: str | None
    versions: list[VersionInfo]


class ChangedOut(BaseModel):
    """A product of both versions; `facts` are text, pictures, price, stock, reviews or other."""

    id: str
    facts: list[str]
    was: dict[str, Any]


class MovedOut(BaseModel):
    """A probe whose list changed; who left it and who came, best first."""

    id: str
    overlap: float
    gone: list[str]
    come: list[str]


class DiffAnswer(BaseModel):
    """What changed from version `before` to version `after`; lists hold `limit` entries at most."""

    request_id: str
    before: str
    after: str
    count_before: int
    count_after: int
    added: list[str]
    added_count: int
    removed: list[str]
    removed_count: int
    changed: list[ChangedOut]
    changed_count: int
    changed_facts: dict[str, int]
    encoders_changed: list[str]
    probes: int
    k: int
    overlap: float | None = Field(description="mean share of the k nearest that both name")
    moved: list[MovedOut]
    products: dict[str, dict[str, Any]] = Field(description="those named here, as the later version has them")
