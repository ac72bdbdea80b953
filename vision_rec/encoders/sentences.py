"""Run a sentence model: texts in, unit vectors out; the fast way where the model is a plain BERT."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vision_rec.encoders.runtime import Device, Kind, Network, load_runtime
from vision_rec.encoders.text_models import ModelFolder
from vision_rec.errors import UnavailableError
from vision_rec.fusion import unit
from vision_rec.settings import thread_count
from vision_rec.types import Array

if TYPE_CHECKING:
    import torch

MAX_CHARACTERS = 4_000  # of one text; what the model reads ends far earlier
_STEP = 8  # lengths are padded to multiples of this, so that few shapes occur
_REMEMBERED = 16_384  # vectors; catalogues repeat themselves, and reviews are asked for twice

EncodeFunction = Callable[[list[str]], Array]


class SentenceModel:
    """Texts → unit vectors (n, d) float32; the network loads at the first call; thread-safe."""

    def __init__(self, open_network: Callable[[], tuple[str, EncodeFunction]]) -> None:
        self._open = open_network
        self._loaded: tuple[str, EncodeFunction] | None = None
        self._known: OrderedDict[str, Array] = OrderedDict()
        self._lock = threading.RLock()

    @property
    def runtime(self) -> str:
        """Where the network runs; loads it."""
        return self._network()[0]

    def encode(self, texts: Sequence[str]) -> Array:
        """Encode n texts; any Unicode and any length is safe, what is too long is cut."""
        clean = [text[:MAX_CHARACTERS].encode("utf-8", "replace").decode() for text in texts]
        with self._lock:
            found = {text: self._known[text] for text in clean if text in self._known}
        missing = [text for text in dict.fromkeys(clean) if text not in found]
        if missing:
            vectors = self._network()[1](missing)
            found.update(zip(missing, vectors, strict=True))
            self._remember(missing, vectors)
        if not clean:
            return np.zeros((0, 0), dtype=np.float32)
        return np.stack([found[text] for text in clean])

    def _network(self) -> tuple[str, EncodeFunction]:
        with self._lock:
            if self._loaded is None:
                self._loaded = self._open()
            return self._loaded

    def _remember(self, texts: list[str], vectors: Array) -> None:
        with self._lock:
            for text, vector in list(zip(texts, vectors, strict=True))[-_REMEMBERED:]:
                self._known[text] = vector.copy()
            while len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)


def open_sentences(
    folder: ModelFolder,
    *,
    key: str,
    runtime: Kind = "auto",
    device: Device = "auto",
    threads: int = 0,
    batch_size: int = 32,
    cache: Path | None = None,
    check: Callable[[], None] | None = None,
) -> SentenceModel:
    """Return the model in `folder`, not loaded yet; `check` runs before anything of it is read.

    A plain BERT runs through `load_runtime` under `key`, everything else in sentence-transformers.
    """
    if folder.is_plain_bert:
        return SentenceModel(
            lambda: _open_bert(folder, key, runtime, device, threads, batch_size, cache, check)
        )
    if runtime in ("openvino", "onnxruntime"):
        raise UnavailableError(
            f"the text model {folder.name!r} runs in torch only; use runtime 'auto' or 'torch'"
        )
    return SentenceModel(lambda: _open_any(folder, device, threads, batch_size, check))


def _open_bert(
    folder: ModelFolder,
    key: str,
    runtime: Kind,
    device: Device,
    threads: int,
    batch_size: int,
    cache: Path | None,
    check: Callable[[], None] | None,
) -> tuple[str, EncodeFunction]:
    # Threads in the tokenizer would make every later fork warn; one thread tokenises thousands a second.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    from tokenizers import Tokenizer

    if check is not None:
        check()
    try:
        tokenizer = Tokenizer.from_file(str(folder.path / "tokenizer.json"))
    except Exception as error:  # the library raises nothing narrower
        raise UnavailableError(f"the tokenizer in {folder.path} cannot be read: {error}") from error
    tokenizer.no_padding()
    tokenizer.enable_truncation(folder.max_length)

    def export() -> torch.nn.Module:
        from vision_rec.encoders.bert import load_bert

        return load_bert(folder.path)

    example = (np.ones((2, 16), np.int64), np.ones((2, 16), np.int64))
    network = load_runtime(
        export, example, key=key, kind=runtime, device=device, threads=threads, cache=cache,
        dynamic_length=True,
    )  # fmt: skip
    return network.name, lambda texts: _encode_sorted(tokenizer, network, texts, batch_size)


def _encode_sorted(tokenizer: Any, network: Network, texts: list[str], batch_size: int) -> Array:
    """Encode texts in batches of like length, which wastes least on padding."""
    tokens = [encoding.ids for encoding in tokenizer.encode_batch(texts)]
    order = sorted(range(len(tokens)), key=lambda i: len(tokens[i]))
    batches = [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
    rows = np.concatenate([network(*_pad([tokens[i] for i in batch]))[0] for batch in batches])
    vectors = np.empty_like(rows)
    vectors[order] = rows
    return unit(vectors)


def _pad(tokens: list[list[int]]) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Return ids and mask (n, L) int64, L the longest rounded up."""
    length = -(-max(len(ids) for ids in tokens) // _STEP) * _STEP
    ids = np.zeros((len(tokens), length), dtype=np.int64)
    mask = np.zeros_like(ids)
    for row, given in enumerate(tokens):
        ids[row, : len(given)] = given
        mask[row, : len(given)] = 1
    return ids, mask


def _open_any(
    folder: ModelFolder, device: Device, threads: int, batch_size: int, check: Callable[[], None] | None
) -> tuple[str, EncodeFunction]:
    """Open any other model with sentence-transformers, from files on this machine, running no code of its."""
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError as error:
        raise UnavailableError(
            f'sentence-transformers cannot be imported ({error}); pip install "sentence-transformers"'
        ) from error
    import torch

    if check is not None:
        check()
    place = device if device != "auto" else ("cuda" if torch.cuda.is_available() else "cpu")
    if place == "cpu":
        torch.set_num_threads(thread_count(threads))
    try:
        model = SentenceTransformer(
            str(folder.path),
            device=place,
            local_files_only=True,
            trust_remote_code=False,
            model_kwargs={"use_safetensors": True},
        )
    except Exception as error:  # every kind of model has its own ways to fail
        raise UnavailableError(f"the text model in {folder.path} cannot be loaded: {error}") from error

    def encode(texts: list[str]) -> Array:
        rows = model.encode(texts, batch_size=batch_size, convert_to_numpy=True, show_progress_bar=False)
        return unit(np.asarray(rows, dtype=np.float32))

    return f"torch-{place}", encode
