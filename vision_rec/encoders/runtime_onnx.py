"""Run a network in onnxruntime on the CPU: the fallback where OpenVINO cannot."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from vision_rec.encoders.runtime_cache import is_intact, store
from vision_rec.errors import UnavailableError
from vision_rec.types import Array

if TYPE_CHECKING:
    import torch

_GRAPH = "graph.onnx"


class OnnxNetwork:
    """An onnxruntime session on the CPU, in float32."""

    name = "onnxruntime-f32"

    def __init__(self, session: Any) -> None:
        self._session = session
        self._names = [given.name for given in session.get_inputs()]

    def __call__(self, *arrays: npt.NDArray[Any]) -> tuple[Array, ...]:
        """Run a batch."""
        feed = {name: np.ascontiguousarray(a) for name, a in zip(self._names, arrays, strict=True)}
        return tuple(np.asarray(output, dtype=np.float32) for output in self._session.run(None, feed))


def load_onnx(
    export: Callable[[], torch.nn.Module],
    example: tuple[npt.NDArray[Any], ...],
    *,
    free: int,
    threads: int,
    folder: Path | None,
) -> OnnxNetwork:
    """Open the graph cached in `folder`, or export it (and keep it there); see `load_runtime`."""
    _onnxruntime()  # before the time that exporting takes
    return open_graph(_graph(export, example, free, folder), threads)


def open_graph(graph: bytes, threads: int) -> OnnxNetwork:
    """Open an ONNX file's bytes; raises UnavailableError where onnxruntime is not there or refuses them."""
    onnxruntime = _onnxruntime()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's exceptions have no common root
        raise UnavailableError(f"onnxruntime cannot open the network: {error}") from error
    return OnnxNetwork(session)


def _onnxruntime() -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise UnavailableError(
            f'onnxruntime cannot be imported ({error}); pip install "onnxruntime"'
        ) from error
    return onnxruntime


def _graph(
    export: Callable[[], torch.nn.Module],
    example: tuple[npt.NDArray[Any], ...],
    free: int,
    folder: Path | None,
) -> bytes:
    """Return the ONNX graph as bytes, from the cache where it is intact."""
    path = folder.with_suffix(".onnx") if folder is not None else None
    if path is not None and is_intact(path):
        return (path / _GRAPH).read_bytes()
    from vision_rec.encoders.runtime_torch import onnx_bytes

    graph = onnx_bytes(export(), example, free)
    if path is not None:
        store(path, lambda new: _write(new / _GRAPH, graph))
    return graph


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)
