"""Visually and semantically similar products, with colour, shape, style and text as separate weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vision_rec.filters import Filters
from vision_rec.types import Query

if TYPE_CHECKING:
    from vision_rec.recommend import Recommender

__all__ = ["Filters", "Query", "Recommender", "__version__"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    # Recommender pulls in pandas and the encoders; importing the package must stay cheap.
    if name == "Recommender":
        from vision_rec.recommend import Recommender

        return Recommender
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
