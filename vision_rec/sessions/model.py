"""The trained sequence model as a SessionEncoder: rows of recent views in, one query row out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from vision_rec.errors import IncompatibleError, InputError, IntegrityError, UnavailableError
from vision_rec.fusion import AspectLayout
from vision_rec.sessions import EVENT_TYPES, VIEW, RecencyMean, ViewContext
from vision_rec.sessions.forward import SequenceForward
from vision_rec.sessions.pair import MODEL, PairConfig, read_arrays, read_config
from vision_rec.sessions.spec import GAP_STEPS, SequenceSpec
from vision_rec.types import Array

_AT_ONCE = 256  # sessions in one pass of the network
_VIEW = EVENT_TYPES.index(VIEW)


class SequenceModel:
    """Answers with what is wanted after the views; safe to share between threads.

    It runs in NumPy, in the thread that asks: one session is a matter of a millisecond, and torch, which
    trained it, need not be there.
    """

    def __init__(self, config: PairConfig, network: SequenceForward) -> None:
        self.config = config
        self._network = network
        self._mean = RecencyMean(layout=config.layout)

    @classmethod
    def load(cls, folder: Path, *, layout: AspectLayout | None = None) -> SequenceModel:
        """Load the model of the pair in `folder`, which must read rows of `layout` where one is given.

        Raises UnavailableError where the pair has no model, IntegrityError where a file is damaged,
        IncompatibleError for another format or layout.
        """
        config = read_config(folder)
        if config.spec is None:
            raise UnavailableError(f"session pair {folder} has no sequence model; train one")
        if layout is not None:
            check_layout(config, layout)
        weights = read_arrays(folder, MODEL, config)
        try:
            network = SequenceForward(SequenceSpec.from_fields(dict(config.spec)), weights)
        except (InputError, TypeError, ValueError) as error:
            raise IntegrityError(f"the sequence model in {folder} cannot be used: {error}") from error
        return cls(config, network)

    @property
    def returns(self) -> tuple[float, ...]:
        """What the scores of products viewed gain, if these are ranked at all: see `returning`."""
        return self._network.spec.returns

    def encode(
        self,
        views: Array,
        lengths: npt.NDArray[np.int64],
        weights: Array | None = None,
        context: ViewContext | None = None,
    ) -> Array:
        """Encode `views` (n, L, D), oldest first, of which `lengths` (n,) are real, into rows (n, D).

        The network looks only at the last `length` views of the model's form, and not at `weights`: what an
        event tells is learned from its type. Without `context` all events count as views of unknown times.
        The share `hold` of an answer is the recency mean, which looks at all views and at `weights`.
        """
        out = np.zeros((len(views), views.shape[2]), dtype=np.float32)
        real = np.flatnonzero(np.asarray(lengths) > 0)
        if views.shape[2] != self.config.layout.dim:
            raise InputError(f"views have {views.shape[2]} values, the model reads {self.config.layout.dim}")
        for start in range(0, len(real), _AT_ONCE):
            chosen = real[start : start + _AT_ONCE]
            out[chosen] = self._answers(views, lengths, context, chosen)
        if (hold := self._network.spec.hold) and len(real):
            out *= np.float32(1.0 - hold)
            out[real] += np.float32(hold) * self._mean.encode(
                views[real], lengths[real], None if weights is None else weights[real]
            )
        return out

    def _answers(
        self,
        views: Array,
        lengths: npt.NDArray[np.int64],
        context: ViewContext | None,
        chosen: npt.NDArray[np.int64],
    ) -> Array:
        spec = self._network.spec
        counts = np.minimum(lengths[chosen], spec.length)
        width = int(counts.max())
        # The last views of each session, moved to the front: what fills up comes after them.
        places = (lengths[chosen] - counts)[:, None] + np.minimum(np.arange(width), counts[:, None] - 1)
        rows = np.ascontiguousarray(np.take_along_axis(views[chosen], places[:, :, None], axis=1))
        types = gaps = None
        if spec.event_types:
            types = np.full(places.shape, _VIEW, dtype=np.int64)
            steps = np.full(places.shape, np.nan)
            if context is not None:
                types = np.take_along_axis(np.asarray(context.types)[chosen], places, axis=1)
                steps = np.take_along_axis(np.asarray(context.gaps)[chosen], places, axis=1)
            types, gaps = np.minimum(types, spec.event_types - 1), gap_steps(steps)
        return self._network.answer(rows, counts - 1, types, gaps)


def check_layout(config: PairConfig, layout: AspectLayout) -> None:
    """Raise IncompatibleError unless rows of `layout` are what the model of a pair reads."""
    ours = [(aspect.name, aspect.dim) for aspect in config.layout.aspects]
    theirs = [(aspect.name, aspect.dim) for aspect in layout.aspects]
    if ours != theirs:
        raise IncompatibleError(
            f"the sequence model reads rows of {_told(ours)}; this index has {_told(theirs)}; "
            "train it again with `vision-rec train session`"
        )


def gap_steps(gaps: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Return the class of each gap in seconds: whole powers of two, the last one for longer and unknown."""
    with np.errstate(invalid="ignore"):
        classes = np.floor(np.log2(np.maximum(gaps, 0.0) + 1.0))
    return np.where(np.isnan(classes), GAP_STEPS - 1, np.minimum(classes, GAP_STEPS - 1)).astype(np.int64)


def _told(aspects: list[tuple[str, int]]) -> str:
    return ", ".join(f"{name} {dim}" for name, dim in aspects)
