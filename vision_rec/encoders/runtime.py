"""Choose where a network runs: CUDA through torch, else OpenVINO, else onnxruntime, else torch on the CPU."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy.typing as npt

from vision_rec.encoders.runtime_cache import graph_folder
from vision_rec.errors import InputError, UnavailableError
from vision_rec.settings import thread_count
from vision_rec.types import Array

if TYPE_CHECKING:
    import torch

Tensor = npt.NDArray[Any]  # uint8, int64 or float, first axis = batch
Kind = Literal["auto", "torch", "openvino", "onnxruntime"]
Device = Literal["auto", "cpu", "cuda"]
Precision = Literal["auto", "float32"]
KINDS = ("auto", "torch", "openvino", "onnxruntime")
DEVICES = ("auto", "cpu", "cuda")

_log = logging.getLogger(__name__)


class Network(Protocol):
    """A network ready to run; safe to call from several threads at once."""

    @property
    def name(self) -> str:
        """Where and how it runs, such as `torch-cuda` or `openvino-bf16`."""
        ...

    def __call__(self, *arrays: Tensor) -> tuple[Array, ...]:
        """Run a batch: arrays with the batch first in, float32 arrays with the batch first out."""
        ...


def load_runtime(
    export: Callable[[], torch.nn.Module],
    example: tuple[Tensor, ...],
    *,
    key: str,
    kind: Kind = "auto",
    device: Device = "auto",
    threads: int = 0,
    cache: Path | None = None,
    dynamic_batch: bool = True,
    dynamic_length: bool = False,
    precision: Precision = "auto",
) -> Network:
    """Return a network that runs what `export` builds; where the graph is cached, torch stays unimported.

    `export` builds the torch module; it is called only when no intact graph of `key` (a fingerprint of
    weights and code) lies in `cache`. `example` holds inputs of a batch of at least 2, whose values may
    be anything valid. `dynamic_batch` frees the first axis of every input, `dynamic_length` the second.
    `threads` 0 means one per usable core. `precision` "float32" turns bf16 off.

    Raises InputError for an unknown kind or device, UnavailableError where the kind asked for cannot
    run here; "auto" goes on to the next kind with one line in the log.
    """
    _check(kind, device, dynamic_batch, dynamic_length)
    free = int(dynamic_batch) + int(dynamic_length)
    job = _Job(
        export=export,
        example=example,
        free=free,
        threads=thread_count(threads),
        precision=precision,
        folder=graph_folder(cache, key, example, free) if cache is not None else None,
    )
    if kind in ("openvino", "onnxruntime"):
        return _openvino(job) if kind == "openvino" else _onnx(job)
    if device == "cuda" or (device == "auto" and _nvidia_driver() and _cuda_works()):
        return _torch(job, "cuda")
    if kind == "auto":
        for load in (_openvino, _onnx):
            try:
                return load(job)
            except UnavailableError as error:
                _log.warning("%s; trying the next runtime", error)
    return _torch(job, "cpu")


@dataclass(frozen=True, slots=True)
class _Job:
    """What every runtime is given; `free` is the number of leading axes that vary."""

    export: Callable[[], torch.nn.Module]
    example: tuple[Tensor, ...]
    free: int
    threads: int
    precision: Precision
    folder: Path | None


def _check(kind: str, device: str, dynamic_batch: bool, dynamic_length: bool) -> None:
    if kind not in KINDS:
        raise InputError(f"runtime is {kind!r}; allowed are {', '.join(KINDS)}")
    if device not in DEVICES:
        raise InputError(f"device is {device!r}; allowed are {', '.join(DEVICES)}")
    if device == "cuda" and kind in ("openvino", "onnxruntime"):
        raise InputError(f"runtime {kind!r} runs on the cpu only; for cuda use 'torch' or 'auto'")
    if dynamic_length and not dynamic_batch:
        raise InputError("dynamic_length needs dynamic_batch")


def _torch(job: _Job, device: Literal["cpu", "cuda"]) -> Network:
    from vision_rec.encoders.runtime_torch import TorchNetwork

    return TorchNetwork(job.export(), device, job.threads)


def _openvino(job: _Job) -> Network:
    from vision_rec.encoders.runtime_openvino import load_openvino

    return load_openvino(
        job.export,
        job.example,
        free=job.free,
        threads=job.threads,
        precision=job.precision,
        folder=job.folder,
    )


def _onnx(job: _Job) -> Network:
    from vision_rec.encoders.runtime_onnx import load_onnx

    return load_onnx(job.export, job.example, free=job.free, threads=job.threads, folder=job.folder)


def _nvidia_driver() -> bool:
    """Say whether an NVIDIA driver seems to be there, without the seconds that importing torch costs."""
    if os.environ.get("CUDA_VISIBLE_DEVICES", "unset").strip() in ("", "-1"):
        return False
    places = ("/dev/nvidiactl", "/dev/dxg", "/proc/driver/nvidia/version")
    return any(Path(place).exists() for place in places) or shutil.which("nvidia-smi") is not None


def _cuda_works() -> bool:
    """Run one sum on the device: an old driver or a full device shows only in use."""
    import torch

    if not torch.cuda.is_available():
        return False
    try:
        return float(torch.ones(2, device="cuda").sum().cpu()) == 2.0
    except RuntimeError as error:
        _log.warning("the CUDA device cannot be used (%s); running on the CPU", error)
        return False
