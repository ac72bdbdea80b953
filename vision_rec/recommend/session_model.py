"""The sequence model of a version: loaded at the first session, and never a reason not to answer."""

from __future__ import annotations

import logging
import threading
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vision_rec.errors import VisionRecError
from vision_rec.fusion import AspectLayout
from vision_rec.sessions import RecencyMean, SessionEncoder, ViewContext
from vision_rec.sessions.model import SequenceModel
from vision_rec.types import Array

SESSION_MODEL = "session model"  # what an answer lacks while the model cannot be used

_log = logging.getLogger(__name__)


@lru_cache(maxsize=8)
def recency_of(layout: AspectLayout | None) -> RecencyMean:
    """Return the recency mean for rows of a layout."""
    return RecencyMean(layout=layout)


class VersionModel:
    """The SessionEncoder of one version: its sequence model, or the recency mean where there is none.

    `folder` is where the version has its session pair, None where it has no model. A model that cannot be
    loaded is tried once; the recency mean answers then.
    """

    def __init__(self, folder: Path | None = None, layout: AspectLayout | None = None) -> None:
        self._folder, self._layout = folder, layout
        self._lock = threading.Lock()

    @property
    def is_wanted(self) -> bool:
        """Whether the model was asked for, so that the one of a newer version will be, too."""
        return "_loaded" in self.__dict__

    @property
    def is_broken(self) -> bool:
        """Whether there is a model that cannot be used."""
        return self._folder is not None and self.model is None

    @property
    def model(self) -> SequenceModel | None:
        """The model, loaded when it is first asked for; None where there is none that can be used."""
        with self._lock:
            return self._loaded

    def warm(self) -> None:
        """Load the model now, if there is one, instead of at the first session."""
        _ = self.model

    @cached_property
    def _loaded(self) -> SequenceModel | None:
        if self._folder is None:
            return None
        try:
            return SequenceModel.load(self._folder, layout=self._layout)
        except (VisionRecError, OSError, MemoryError) as error:
            _log.warning("the recency mean answers instead of the sequence model: %s", error)
            return None

    @property
    def returns(self) -> tuple[float, ...]:
        """What the scores of products viewed gain, if these are ranked at all."""
        return () if self.model is None else self.model.returns

    def encode(
        self,
        views: Array,
        lengths: npt.NDArray[np.int64],
        weights: Array | None = None,
        context: ViewContext | None = None,
    ) -> Array:
        """Encode `views` (n, L, D), of which `lengths` (n,) are real, into rows (n, D)."""
        encoder: SessionEncoder = self.model or recency_of(self._layout)
        return encoder.encode(views, lengths, weights, context)
