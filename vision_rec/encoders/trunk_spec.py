"""Which trunk an image encoder has and how it wants its pictures; read without torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vision_rec.errors import IncompatibleError

BUNDLED = "bundled"
OPEN_CLIP = "open_clip:"  # what names of open_clip begin with
Channels = tuple[float, float, float]  # red, green, blue


@dataclass(frozen=True)
class TrunkSpec:
    """A trunk by name, with the mean and spread (of values 0–1) that its weights expect of a picture."""

    name: str = BUNDLED
    mean: Channels = (128 / 255, 128 / 255, 128 / 255)
    std: Channels = (64 / 255, 64 / 255, 64 / 255)

    @property
    def is_bundled(self) -> bool:
        """Whether it is the package's own compact network."""
        return self.name == BUNDLED

    def to_fields(self) -> dict[str, Any]:
        """Return what `image.json` says of it."""
        return {"name": self.name, "mean": list(self.mean), "std": list(self.std)}

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any] | None) -> TrunkSpec:
        """Read what `image.json` says; nothing is the bundled trunk. Raises IncompatibleError."""
        if fields is None:
            return cls()
        try:
            mean, std = (tuple(float(value) for value in fields[key]) for key in ("mean", "std"))
            name = str(fields["name"])
        except (KeyError, TypeError, ValueError) as error:
            raise IncompatibleError(
                f"image encoder with backbone {fields!r}: it needs a name, and mean and std of three "
                "channels; train it again with `vision-rec train image`"
            ) from error
        if len(mean) != 3 or len(std) != 3 or not all(value > 0 for value in std):
            raise IncompatibleError(
                f"image encoder with backbone {name!r} has mean {mean} and std {std}; three channels are "
                "needed, std above 0; train it again with `vision-rec train image`"
            )
        return cls(name, mean, std)
