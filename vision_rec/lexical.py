"""Search by words: exact ids, brands and rare words that a text network blurs (BM25)."""

from __future__ import annotations

import logging
import re
import unicodedata
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vision_rec.types import Array

_K1 = 1.2
_B = 0.4  # product texts are short; length says less than in articles
# Scripts written without spaces are cut into single signs, all others into words.
_UNSPACED = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\u0e00-\u0e7f"
_WORD = re.compile(rf"[{_UNSPACED}]|[^\W_{_UNSPACED}]+")
_EDGES = ".,;:!?\"'()[]{}<>«»“”„"


def tokens(text: str) -> list[str]:
    """Cut `text` into case-folded words without accents; a compound such as `AB-12/c` also stays whole."""
    folded = unicodedata.normalize("NFKD", text).casefold()
    plain = "".join(sign for sign in folded if not unicodedata.combining(sign))
    out: list[str] = []
    for chunk in plain.split():
        words = _WORD.findall(chunk)
        out += words
        whole = chunk.strip(_EDGES)
        if len(words) > 1 and not re.search(f"[{_UNSPACED}]", whole):
            out.append(whole)
    return out


@dataclass(frozen=True, slots=True)
class LexicalHits:
    """The best rows of one text: `rows` (m,) int64 and `scores` (m,) 0–1, falling, none of score 0."""

    rows: npt.NDArray[np.int64]
    scores: Array


class LexicalIndex:
    """BM25 over one text per row; scores are shares of what the ideal product would reach."""

    def __init__(self, texts: Sequence[str]) -> None:
        with warnings.catch_warnings():  # its progress bars, never shown, miss widgets in notebooks
            warnings.filterwarnings("ignore", message="IProgress not found")
            import bm25s  # 0.4 s; `tokens` alone must stay cheap

        logging.getLogger("bm25s").setLevel(logging.WARNING)  # it sets itself to DEBUG
        self._count = len(texts)
        corpus = [tokens(text) for text in texts]
        self._vocabulary: dict[str, int] = {}
        if any(corpus):
            bm25 = bm25s.BM25(method="lucene", k1=_K1, b=_B)
            bm25.index(corpus, show_progress=False)
            self._vocabulary = bm25.vocab_dict
            # One column per word: the rows that have it, and what it scores there.
            self._starts, self._rows, self._scores = (
                bm25.scores[key] for key in ("indptr", "indices", "data")
            )

    def __len__(self) -> int:
        return self._count

    def score(self, text: str) -> Array:
        """Return the score of every row (N,), 0–1: 1 where all words of `text` stand in a product.

        Ideal is a product of average length with each word once; words that no product has count as
        the rarest, so a product with half of a query's meaning scores about half.
        """
        wanted = list(dict.fromkeys(tokens(text)))
        out = np.zeros(self._count, dtype=np.float32)
        shares = {word: self._rarity(word) / (1 + _K1) for word in wanted}
        for word in wanted:
            if word in self._vocabulary:
                code = self._vocabulary[word]
                here = slice(self._starts[code], self._starts[code + 1])
                # Capped per word: a product that says "shoe" five times does not make up for "blue".
                out[self._rows[here]] += np.minimum(self._scores[here], shares[word])
        ideal = sum(shares.values())
        return np.minimum(out / np.float32(ideal), np.float32(1.0)) if ideal else out

    def search(self, text: str, k: int) -> LexicalHits:
        """Return the k best rows for `text`; fewer where fewer share a word with it."""
        scores = self.score(text)
        rows = np.lexsort((np.arange(self._count), -scores))[:k]
        rows = rows[scores[rows] > 0]
        return LexicalHits(rows.astype(np.int64), scores[rows])

    def _rarity(self, word: str) -> float:
        """Return Lucene's idf; a word of no product has the highest."""
        code = self._vocabulary.get(word)
        frequency = 0 if code is None else int(self._starts[code + 1] - self._starts[code])
        return float(np.log(1 + (self._count - frequency + 0.5) / (frequency + 0.5)))
