"""What is done to an ONNX file after the export: smaller weights, named properties, a check."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from vision_rec.errors import UnavailableError

_LEAST = 1024  # values from which on an initialiser is worth halving


def finished(graph: bytes, properties: Mapping[str, str], note: str) -> bytes:
    """Halve the weights of an ONNX file where that loses nothing, write properties into it, check it.

    A float32 initialiser whose every value is a float16 is stored as one, behind a Cast that runtimes fold
    away when they load the file; so what is computed stays float32. Raises UnavailableError without `onnx`.
    """
    try:
        import onnx
    except ImportError as error:
        raise UnavailableError(f'onnx cannot be imported ({error}); pip install "onnx"') from error
    model = onnx.load_from_string(graph)
    _halve(onnx, model.graph)
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, dict(properties))
    model.doc_string = note
    onnx.checker.check_model(model)
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def _halve(onnx: Any, graph: Any) -> None:
    casts = []
    for tensor in graph.initializer:
        if tensor.data_type != onnx.TensorProto.FLOAT:
            continue
        values = onnx.numpy_helper.to_array(tensor)
        if values.size < _LEAST:
            continue
        with np.errstate(over="ignore"):
            halves = values.astype(np.float16)
        if not np.array_equal(halves.astype(np.float32), values):
            continue
        name = tensor.name
        tensor.CopyFrom(onnx.numpy_helper.from_array(halves, f"{name}.half"))
        casts.append(onnx.helper.make_node("Cast", [f"{name}.half"], [name], to=onnx.TensorProto.FLOAT))
    for node in reversed(casts):
        graph.node.insert(0, node)
