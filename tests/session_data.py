"""Small data for session training: circles of products, and the recipe that learns them."""

from __future__ import annotations

import numpy as np

from vision_rec.fusion import Aspect
from vision_rec.sessions.sequences import from_lists
from vision_rec.training.session_recipe import SessionRecipe
from vision_rec.training.train_session import SessionData

TINY = SessionRecipe(
    dim=8, width=16, layers=1, heads=2, length=6, dropout=0.0, input_dropout=0.0, batch=16, epochs=3,
    rate=5e-3, warmup=5, bf16=False, graph=0.0, negatives=0,
    event_types=False,
)  # fmt: skip
LETTERS = "abcdefghijkl"


def cycles(count=120, seed=0):
    """Return visits that walk one of four circles a → b → c → a, from anywhere in it."""
    rng = np.random.default_rng(seed)
    lists = []
    for _ in range(count):
        circle, at, long = rng.integers(4), rng.integers(3), rng.integers(4, 9)
        lists.append([LETTERS[3 * circle + (at + step) % 3] for step in range(long)])
    return from_lists(lists)


def data_of(sequences, *, content=None, gains=(1.0,), share=0.2, has_vector=None):
    train, validation = sequences.split_by_time(share)
    count = len(sequences.products)
    content = np.zeros((count, 0), np.float32) if content is None else content
    aspects = (Aspect("text", content.shape[1], gain=gains[0]),) if content.shape[1] else ()
    known = np.ones(count, bool) if has_vector is None else np.asarray(has_vector)
    return SessionData(train, validation, content, aspects, known)
