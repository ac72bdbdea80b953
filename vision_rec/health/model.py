"""What a check of a version's vectors finds: rows by kind, with the limits that were held against them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

FORMAT = 1
KINDS = (
    "near_duplicates",
    "colour_label",
    "text_against_picture",
    "placeholder_pictures",
    "never_shown",
)
MAX_LISTED = 1_000  # rows of one kind


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Limits of the checks; similarities are cosines.

    On the drawn shop of 1,000 products, whose labels are right, no product is beyond them.
    """

    near_duplicate: float = 0.98  # in every block of the pictures
    same_picture: float = 0.9995
    placeholder_products: int = 5  # of different titles, not variants of one another
    colour_far: float = 0.2  # the named colour against the pixels
    colour_gap: float = 0.3  # by which another name must be nearer
    neighbours: int = 10
    unlike: int = 9  # of them in other categories by shape
    alike: int = 6  # of them in the product's own by text
    list_length: int = 20
    queries: int = 10_000  # products whose neighbours are looked at; of a larger catalogue a sample
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Row:
    """One product that a finding names; `others` are the products that show it, most telling first."""

    product_id: str
    others: tuple[str, ...] = ()
    value: float = 0.0
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found: `count` rows in all, the worst MAX_LISTED listed.

    `looked_at` products of `of` were judged; `note` says why the others were not.
    """

    kind: str
    count: int
    rows: tuple[Row, ...]
    looked_at: int
    of: int
    note: str = ""


@dataclass(frozen=True, slots=True)
class HealthReport:
    """All findings of one version."""

    version_id: str
    checked_at: str
    seconds: float
    products: int
    weights: Mapping[str, float]  # the default weights, which the lists depend on
    thresholds: Thresholds
    findings: tuple[Finding, ...]

    def finding(self, kind: str) -> Finding:
        """Return the finding of a kind; an empty one where the check did not run."""
        return next((f for f in self.findings if f.kind == kind), Finding(kind, 0, (), 0, self.products))

    def to_dict(self) -> dict[str, Any]:
        """Return the report with JSON types."""
        out = asdict(self)
        for finding in out["findings"]:
            for row in finding["rows"]:
                row["others"] = list(row["others"])
            finding["rows"] = list(finding["rows"])
        return {**out, "findings": list(out["findings"]), "weights": dict(self.weights), "format": FORMAT}

    @classmethod
    def from_dict(cls, body: Mapping[str, Any]) -> HealthReport:
        """Read what `to_dict` wrote; raises KeyError, TypeError or ValueError where it is something else."""
        if body["format"] != FORMAT:
            raise ValueError(f"format {body['format']!r}; expected {FORMAT}")
        findings = [
            Finding(**{**entry, "rows": tuple(_row(row) for row in entry["rows"])})
            for entry in body["findings"]
        ]
        named = {field.name: body[field.name] for field in fields(cls)}
        return cls(**{**named, "findings": tuple(findings), "thresholds": Thresholds(**body["thresholds"])})


def _row(entry: Mapping[str, Any]) -> Row:
    return Row(**{**entry, "others": tuple(entry["others"])})
