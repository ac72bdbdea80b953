"""The answers of the routes of the catalogue screen as the OpenAPI document has them."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class LackOut(BaseModel):
    """Products that lack something; the first 1,000 are listed."""

    count: int
    products: list[str]


class ReportOut(BaseModel):
    """What reindex said of the version in use."""

    request_id: str
    version: str
    report: dict[str, Any] | None = Field(description="as `vision-rec reindex --json` writes it")
    failed: dict[str, Any] | None = Field(description="of the newest run that failed since")
    damage: str | None = Field(description="why the report cannot be read")
    lacking: dict[str, LackOut] = Field(description="picture, text, or a flag such as image:missing")


class RowOut(BaseModel):
    """One product that a finding names, and the products that show it."""

    product_id: str
    others: list[str]
    value: float
    detail: str


class FindingOut(BaseModel):
    """What one check found; the worst 1,000 rows are listed."""

    kind: Literal[
        "near_duplicates",
        "colour_label",
        "text_against_picture",
        "placeholder_pictures",
        "never_shown",
    ]
    count: int
    rows: list[RowOut]
    looked_at: int
    of: int
    note: str


class HealthReportOut(BaseModel):
    """All findings of one version."""

    model_config = ConfigDict(extra="allow")
    version_id: str
    checked_at: str
    seconds: float
    products: int
    weights: dict[str, float]
    thresholds: dict[str, float]
    findings: list[FindingOut]


class ProgressOut(BaseModel):
    """How far a check is."""

    stage: str
    done: int
    total: int | None


class HealthOut(BaseModel):
    """The check of the version in use; `health` is null before the first one has ended."""

    request_id: str
    version: str
    state: Literal["none", "running", "done", "failed"]
    progress: ProgressOut | None
    error: str | None
    health: HealthReportOut | None


class AspectOut(BaseModel):
    """The products most alike in one aspect alone, without rules."""

    name: str
    missing: bool
    neighbours: list[dict[str, Any]]


class InspectionOut(BaseModel):
    """A product inside out; the fields of a product, and these."""

    model_config = ConfigDict(extra="allow")
    request_id: str
    version: str
    id: str
    flags: list[str]
    record: dict[str, Any] = Field(description="as the feed had it, read")
    variants: list[dict[str, Any]]
    aspects: list[AspectOut]
    rules: list[dict[str, Any]] = Field(description="of the draft, that touch it")
    findings: list[dict[str, Any]] = Field(description="of the last check, that name it")
