"""Run a network in OpenVINO on the CPU, in bf16 where the CPU has it."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from vision_rec.encoders.runtime_cache import is_intact, store
from vision_rec.errors import UnavailableError
from vision_rec.types import Array

if TYPE_CHECKING:
    import torch

_GRAPH = "graph.xml"
_TRACING = threading.Lock()  # torch traces one module at a time; two at once fail each other's checks


class OpenVinoNetwork:
    """A compiled graph; calls take turns, each using all its threads (the shortest time per call)."""

    def __init__(self, compiled: Any, precision: str) -> None:
        self.name = f"openvino-{precision}"
        self._request = compiled.create_infer_request()
        self._lock = threading.Lock()

    def __call__(self, *arrays: npt.NDArray[Any]) -> tuple[Array, ...]:
        """Run a batch."""
        inputs = [np.ascontiguousarray(array) for array in arrays]
        with self._lock:
            outputs = self._request.infer(inputs)  # copies the outputs
        return tuple(np.asarray(outputs[i], dtype=np.float32) for i in range(len(outputs)))


def load_openvino(
    export: Callable[[], torch.nn.Module],
    example: tuple[npt.NDArray[Any], ...],
    *,
    free: int,
    threads: int,
    precision: Literal["auto", "float32"],
    folder: Path | None,
) -> OpenVinoNetwork:
    """Compile the graph cached in `folder`, or export it (and keep it there); see `load_runtime`."""
    try:
        import openvino
    except ImportError as error:
        raise UnavailableError(f'OpenVINO cannot be imported ({error}); pip install "openvino"') from error
    core = openvino.Core()
    path = folder.with_suffix(".openvino") if folder is not None else None
    if path is None or not is_intact(path):
        graph = _convert(export(), example, free)
        if path is not None:
            store(path, lambda new: openvino.save_model(graph, new / _GRAPH, compress_to_fp16=False))
    else:
        graph = path / _GRAPH
    bf16 = precision == "auto" and "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    options = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "bf16" if bf16 else "f32",
        "INFERENCE_NUM_THREADS": threads,
        "ENABLE_CPU_PINNING": False,  # decode workers share these cores
    }
    try:
        compiled = core.compile_model(graph, "CPU", options)
    except RuntimeError as error:
        raise UnavailableError(f"OpenVINO cannot compile the network: {error}") from error
    return OpenVinoNetwork(compiled, "bf16" if bf16 else "f32")


def _convert(module: torch.nn.Module, example: tuple[npt.NDArray[Any], ...], free: int) -> Any:
    """Trace a torch module into an OpenVINO graph whose inputs' first `free` axes vary."""
    import openvino
    import torch

    tensors = tuple(torch.from_numpy(np.array(array)) for array in example)
    try:
        with _TRACING, warnings.catch_warnings(), torch.inference_mode():
            warnings.simplefilter("ignore")  # torch.jit.trace is deprecated, and what OpenVINO calls
            graph = openvino.convert_model(module.eval(), example_input=tensors)
    except Exception as error:  # the frontend's own exceptions have no common root
        raise UnavailableError(f"OpenVINO cannot convert the network: {error}") from error
    shapes = {i: openvino.PartialShape([-1] * free + list(a.shape[free:])) for i, a in enumerate(example)}
    graph.reshape(shapes)
    return graph
