"""The form of the sequence model's network: what training builds and answering reads."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from vision_rec.errors import InputError

Kind = Literal["attention", "gru"]
GAP_STEPS = 16  # classes of the time since the view before: whole powers of two, in seconds


@dataclass(frozen=True, slots=True)
class SequenceSpec:
    """The form of a `SequenceNetwork`; `dims` are the widths of the blocks in a row, in their order.

    `hold` is the share of an answer that is the mean of the views itself: what people look at next is partly
    what everybody looks at, and a taste that was shown should not be washed out by that.

    `returns` is what the score of a product gains that was viewed: last, one before that, and so on, the last
    value for all before. Who never comes back to what they saw has values below 0.
    """

    dims: tuple[int, ...]
    kind: Kind = "attention"
    width: int = 128
    layers: int = 2
    heads: int = 2
    length: int = 50  # views that are looked at
    dropout: float = 0.3
    event_types: int = 0  # 0: what was done, and when, is not looked at
    hold: float = 0.0
    returns: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in ("attention", "gru"):
            raise InputError(f"kind is {self.kind!r}; allowed are attention and gru")
        if min(self.width, self.layers, self.heads, self.length, *self.dims) < 1 or not self.dims:
            raise InputError(f"width, layers, heads, length and dims must be at least 1; got {self}")
        if self.width % self.heads:
            raise InputError(f"width {self.width} is no multiple of heads {self.heads}")
        if not 0 <= self.dropout < 1:
            raise InputError(f"dropout is {self.dropout}; allowed is 0 up to, not with, 1")
        if not 0 <= self.hold <= 1:
            raise InputError(f"hold is {self.hold}; allowed is 0 to 1")
        if not all(-2 <= amount <= 2 for amount in self.returns):  # scores are from -1 to 1
            raise InputError(f"returns are {self.returns}; allowed are numbers from -2 to 2")

    def to_fields(self) -> dict[str, Any]:
        """Return what `from_fields` reads, as JSON values."""
        return {**asdict(self), "dims": list(self.dims), "returns": list(self.returns)}

    @classmethod
    def from_fields(cls, given: dict[str, Any]) -> SequenceSpec:
        """Read what `to_fields` wrote; raises InputError for unknown or missing fields.

        Models from before there were `hold` and `returns` have none.
        """
        if unknown := ({"hold", "returns"} | set(given)) ^ {field.name for field in fields(cls)}:
            raise InputError(f"fields {sorted(unknown)} of a sequence model are missing or unknown")
        return cls(**{**given, "dims": tuple(given["dims"]), "returns": tuple(given.get("returns", ()))})
