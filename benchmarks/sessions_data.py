"""The packs that session models are measured on, as sequences with what is to be predicted."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import svds

from vision_rec.evaluate_sessions import Cases, given, renumbered
from vision_rec.fusion import Aspect, unit
from vision_rec.sessions.pair import GAIN
from vision_rec.sessions.sequences import HeldOut, Sequences, from_lists
from vision_rec.types import Array


@dataclass(frozen=True)
class Pack:
    """What is trained on, what is chosen by, what is measured; `contents` are other blocks by variant.

    `whole` is what may be trained on once the recipe's length is chosen: training and validation.
    """

    name: str
    train: Sequences
    validation: HeldOut
    whole: Sequences
    test: Cases
    new_only: bool
    ks: tuple[int, ...]
    contents: Mapping[str, tuple[Array, tuple[Aspect, ...]]] = field(default_factory=dict)


def beauty(folder: Path) -> Pack:
    """Read Amazon Beauty by the protocol of S³-Rec: last product test, last but one validation."""
    lines = (folder / "sequences.txt").read_text("utf-8").splitlines()
    sequences = from_lists(line.split()[1:] for line in lines)
    train, validation, test = sequences.leave_one_out()
    attributes = json.loads((folder / "item_attributes.json").read_text("utf-8"))
    content = attribute_rows([attributes.get(product, []) for product in sequences.products])
    aspect = Aspect("attributes", content.shape[1], gain=_gain(content))
    return Pack(
        "beauty", train, validation, sequences.first(sequences.lengths - 1), Cases.of(test),
        new_only=True, ks=(5, 10, 20), contents={"behaviour + attributes": (content, (aspect,))},
    )  # fmt: skip


def diginetica(folder: Path) -> Pack:
    """Read Diginetica's sessions and test prefixes; the last tenth of the sessions is for validation."""
    with gzip.open(folder / "train_sessions.txt.gz", "rt", encoding="utf-8") as file:
        lists = [line.split() for line in file]
    with gzip.open(folder / "test_prefix_target.tsv.gz", "rt", encoding="utf-8") as file:
        pairs = [line.rstrip("\n").split("\t") for line in file]
    sequences = from_lists(lists)
    test = given([prefix.split() for prefix, _ in pairs], [target for _, target in pairs], sequences.products)
    whole = renumbered(sequences, test.sequences.products)
    cut = len(whole) - len(whole) // 10
    numbers = np.arange(len(whole))
    return Pack(
        "diginetica", whole.select(numbers[:cut]), HeldOut.after_first(whole.select(numbers[cut:])), whole,
        test, new_only=False, ks=(10, 20),
    )  # fmt: skip


def attribute_rows(sets: Sequence[Sequence[object]], dim: int = 64) -> Array:
    """Return unit rows (N, dim) of sets of attributes: TF-IDF, centred, truncated SVD; zeros for none."""
    numbers: dict[object, int] = {}
    places = [(row, numbers.setdefault(name, len(numbers))) for row, own in enumerate(sets) for name in own]
    rows, columns = np.asarray(places, np.int64).reshape(-1, 2).T
    table = sparse.csr_matrix((np.ones(len(rows)), (rows, columns)), shape=(len(sets), len(numbers)))
    rarity = np.log(len(sets) / np.asarray((table > 0).sum(axis=0)).ravel())
    weighted = sparse.csr_matrix(table @ sparse.diags_array(rarity))
    left, sizes, _ = svds(weighted, k=min(dim, *(side - 1 for side in table.shape)), random_state=0)
    found = (left * sizes)[:, ::-1]
    held = np.asarray(table.sum(axis=1)).ravel() > 0
    found = np.where(held[:, None], found - found[held].mean(axis=0), 0.0)
    return unit(found.astype(np.float32))


def _gain(rows: Array) -> float:
    """Return what evens out the spread of random-pair cosines, as encoders do."""
    first, second = np.random.default_rng(0).integers(0, len(rows), (2, 20_000))
    return round(GAIN / float(np.einsum("nd,nd->n", rows[first], rows[second]).std()), 4)
