"""A session pair: behaviour vectors by product, and the sequence model trained with them, as one folder.

Both come from the same events and agree with each other only, so they are written, read and exchanged
together, under one fingerprint: the SHA-256 of all that is in the folder.
"""

from __future__ import annotations

import hashlib
import json
import os
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from vision_rec.errors import IncompatibleError, InputError, IntegrityError
from vision_rec.failpoints import failpoint
from vision_rec.fusion import Aspect, AspectLayout
from vision_rec.outfile import sync, unfinished_folder
from vision_rec.types import Array

BEHAVIOUR = "behaviour"
CONFIG, IDS, VECTORS, MODEL = "pair.json", "ids.json", "behaviour.safetensors", "model.safetensors"
FORMAT = 1
GAIN = 0.1  # gain = GAIN / spread of random-pair cosines, as of every encoder
# Who was seen together says much, but of the products that sell anyway most of all: half of a say.
DEFAULT_WEIGHT = 0.5
_PAIRS = 20_000
_LEAST_SPREAD = 1e-3
_NORM_TOLERANCE = 2e-3


@dataclass(frozen=True, slots=True)
class PairConfig:
    """What `pair.json` says beside the vectors and the weights.

    `layout` is that of the rows the model reads and answers with, `space` names the space of the behaviour
    vectors: pairs of one space may be compared. `encoders` are the fingerprints of the encoders whose rows
    the model has learned from, empty where it does not matter. `files` has the SHA-256 of each file.
    """

    spec: Mapping[str, Any] | None
    layout: AspectLayout
    space: str
    fingerprint: str
    notes: Mapping[str, Any]
    encoders: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)

    @property
    def has_model(self) -> bool:
        """Whether a sequence model belongs to the pair."""
        return self.spec is not None


@dataclass(frozen=True)
class BehaviourTable:
    """Behaviour vectors (M, d), of norm 1 or 0, by product id."""

    ids: tuple[str, ...]
    vectors: Array
    fingerprint: str

    @property
    def dim(self) -> int:
        """Width of the block."""
        return int(self.vectors.shape[1])

    def blocks(self, product_ids: Sequence[str]) -> Array:
        """Return the blocks (n, d) of products; a product without views has a zero block."""
        out = np.zeros((len(product_ids), self.dim), dtype=np.float32)
        known = [
            (at, row) for at, name in enumerate(product_ids) if (row := self._rows.get(_key(name), -1)) >= 0
        ]
        if known:
            places, rows = np.array(known).T
            out[places] = self.vectors[rows]
        return out

    def aspect(self) -> Aspect:
        """Return the aspect `behaviour` of rows that hold these vectors."""
        return behaviour_aspect(self.vectors)

    @cached_property
    def _rows(self) -> Mapping[str, int]:
        return {_key(name): row for row, name in enumerate(self.ids)}


def behaviour_aspect(vectors: Array) -> Aspect:
    """Return the aspect of behaviour vectors (M, d); its gain evens out the spread of random pairs."""
    held = vectors[np.any(vectors, axis=1)]
    spread = 0.0
    if len(held) > 1:
        first, second = np.random.default_rng(0).integers(0, len(held), (2, _PAIRS))
        other = first != second
        spread = float(np.einsum("nd,nd->n", held[first[other]], held[second[other]]).std())
    gain = round(GAIN / max(spread, _LEAST_SPREAD), 4) if spread else 1.0
    return Aspect(BEHAVIOUR, int(vectors.shape[1]), gain=gain, default_weight=DEFAULT_WEIGHT)


def write_pair(
    folder: Path,
    *,
    ids: Sequence[str],
    vectors: Array,
    network: Mapping[str, Array] | None,
    spec: Mapping[str, Any] | None,
    layout: AspectLayout,
    space: str,
    notes: Mapping[str, Any],
    encoders: Mapping[str, str] | None = None,
) -> str:
    """Write a pair as `folder`, in place of a pair that is there, and return its fingerprint.

    `vectors` (M, d) have norm 1 or 0 and are stored as float16, as rows are; `network` are the weights of a
    sequence model of the form `spec`, both None where there is none. Nothing is ever half there. Raises
    InputError for what does not fit together, ResourceError where the disk is full.
    """
    from safetensors.numpy import save

    folder = Path(folder)
    vectors = np.asarray(vectors, dtype=np.float32)
    _check(ids, vectors, network, spec, layout)
    if folder.exists() and not (folder / CONFIG).is_file() and any(folder.iterdir()):
        raise InputError(f"{folder} holds something else than a session pair; name a new folder")
    contents = {
        IDS: json.dumps(list(ids), ensure_ascii=False, separators=(",", ":")).encode(),
        VECTORS: save({BEHAVIOUR: np.ascontiguousarray(vectors, dtype=np.float16)}),
    }
    if network is not None:
        contents[MODEL] = save({name: np.ascontiguousarray(value) for name, value in sorted(network.items())})
    body = {
        "format": FORMAT,
        "spec": None if spec is None else dict(spec),
        "layout": [
            {"name": a.name, "dim": a.dim, "gain": float(a.gain), "default_weight": float(a.default_weight)}
            for a in layout.aspects
        ],
        "space": space,
        "encoders": dict(encoders or {}),
        "notes": dict(notes),
        "files": {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()},
    }
    fingerprint = _fingerprint(body)
    contents[CONFIG] = _canonical({**body, "fingerprint": fingerprint})
    folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with unfinished_folder(folder) as new:
        for name, content in contents.items():
            write_file(new / name, content)
            failpoint("pair.file-written")
        sync(new)
        failpoint("pair.written")
    sync(folder.parent)
    return fingerprint


def _check(
    ids: Sequence[str],
    vectors: Array,
    network: Mapping[str, Array] | None,
    spec: Mapping[str, Any] | None,
    layout: AspectLayout,
) -> None:
    if vectors.ndim != 2 or len(vectors) != len(ids) or not vectors.shape[1]:
        raise InputError(f"{len(ids)} ids and vectors {vectors.shape}; needed are vectors (ids, d)")
    if len({_key(name) for name in ids}) != len(ids):
        raise InputError("ids of behaviour vectors must differ")
    norms = np.linalg.norm(vectors, axis=1)
    if not np.all((np.abs(norms - 1) <= _NORM_TOLERANCE) | (norms == 0)):
        raise InputError("behaviour vectors must have norm 1 or 0")
    dims = {aspect.name: aspect.dim for aspect in layout.aspects}
    if dims.get(BEHAVIOUR) != vectors.shape[1]:
        raise InputError(f"vectors are {vectors.shape}, the layout says {BEHAVIOUR} is {dims.get(BEHAVIOUR)}")
    if (network is None) != (spec is None):
        raise InputError("a sequence model needs both its weights (network) and its form (spec)")
    if spec is not None and list(spec.get("dims", ())) != list(dims.values()):
        raise InputError(f"the model has dims {spec.get('dims')}, the layout {list(dims.values())}")


def read_config(folder: Path) -> PairConfig:
    """Read and check `folder`/pair.json; raises IntegrityError or IncompatibleError."""
    path = Path(folder) / CONFIG
    try:
        body = json.loads(path.read_bytes())
        written, form = body.pop("fingerprint"), body["format"]
    except OSError as error:
        raise IntegrityError(f"there is no session pair in {folder}: {path} cannot be read") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise IntegrityError(f"{path} is damaged: {error!r}") from error
    if form != FORMAT:
        raise IncompatibleError(
            f"session pair {folder} has format {form}, this version reads {FORMAT}; "
            "train it again with `vision-rec train session`"
        )
    if written != _fingerprint(body):
        raise IntegrityError(f"{path} is damaged: its content is not what its fingerprint says")
    try:
        return PairConfig(
            spec=body["spec"],
            layout=AspectLayout(tuple(Aspect(**entry) for entry in body["layout"])),
            space=body["space"],
            fingerprint=written,
            notes=body["notes"],
            encoders=body["encoders"],
            files=body["files"],
        )
    except (KeyError, TypeError, InputError) as error:
        raise IntegrityError(f"{path} is no session pair: {error!r}") from error


def read_table(folder: Path) -> BehaviourTable:
    """Read the behaviour vectors of the pair in `folder`; raises IntegrityError or IncompatibleError."""
    config = read_config(folder)
    ids = json.loads(checked_file(folder, IDS, config))
    vectors = read_arrays(folder, VECTORS, config)[BEHAVIOUR]
    return BehaviourTable(tuple(ids), vectors.astype(np.float32), config.fingerprint)


def read_arrays(folder: Path, name: str, config: PairConfig) -> dict[str, Array]:
    """Read the arrays of one file of a pair, once its SHA-256 is what `config` says."""
    from safetensors.numpy import load

    arrays: dict[str, Array] = load(checked_file(folder, name, config))
    return arrays


def checked_file(folder: Path, name: str, config: PairConfig) -> bytes:
    """Return the content of a pair's file; raises IntegrityError where it is not what was written."""
    path = Path(folder) / name
    try:
        content = path.read_bytes()
    except OSError as error:
        raise IntegrityError(f"{path} cannot be read: {error.strerror}") from error
    if hashlib.sha256(content).hexdigest() != config.files.get(name):
        raise IntegrityError(f"{path} is damaged: its content is not what {CONFIG} says")
    return content


def write_file(path: Path, content: bytes) -> None:
    """Write a file, owner-only, and wait until the disk has it."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _key(product_id: str) -> str:
    """Return the form in which product ids are compared, as reindex does."""
    return unicodedata.normalize("NFC", product_id).strip()


def _canonical(body: Mapping[str, Any]) -> bytes:
    return json.dumps(body, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False).encode() + b"\n"


def _fingerprint(body: Mapping[str, Any]) -> str:
    """Hash all content: `body` has the hashes of the other files."""
    return hashlib.sha256(_canonical(body)).hexdigest()
