"""Run a network in torch: on CUDA where there is one, on the CPU as the last resort."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from typing import Any, Literal, cast

import numpy as np
import numpy.typing as npt
import torch

from vision_rec.errors import ResourceError, UnavailableError
from vision_rec.types import Array


class TorchNetwork:
    """A torch module on one device, in float32; arrays in, arrays out."""

    def __init__(self, module: torch.nn.Module, device: Literal["cpu", "cuda"], threads: int) -> None:
        if device == "cuda" and not torch.cuda.is_available():
            raise UnavailableError(
                "device is 'cuda' but torch finds no CUDA device; check nvidia-smi or use device 'cpu'"
            )
        self.name = f"torch-{device}"
        self._device = torch.device(device)
        self._module = module.eval().to(self._device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        if device == "cpu":
            torch.set_num_threads(threads)

    def __call__(self, *arrays: npt.NDArray[Any]) -> tuple[Array, ...]:
        """Run a batch; where the device's memory is short, in halves."""
        try:
            return self._run(arrays)
        except torch.cuda.OutOfMemoryError as error:
            count = len(arrays[0])
            if count < 2:
                raise ResourceError(f"the CUDA device has no room for a batch of one: {error}") from error
        torch.cuda.empty_cache()
        halves = [self(*(array[part] for array in arrays)) for part in np.array_split(np.arange(count), 2)]
        return tuple(np.concatenate(outputs) for outputs in zip(*halves, strict=True))

    def _run(self, arrays: tuple[npt.NDArray[Any], ...]) -> tuple[Array, ...]:
        with torch.inference_mode():
            inputs = [torch.from_numpy(_writable(array)).to(self._device) for array in arrays]
            outputs = self._module(*inputs)
            outputs = outputs if isinstance(outputs, tuple | list) else (outputs,)
            return tuple(output.float().cpu().numpy() for output in outputs)


def onnx_bytes(
    module: torch.nn.Module,
    example: tuple[npt.NDArray[Any], ...],
    free: int,
    *,
    inputs: Sequence[str] | None = None,
    outputs: Sequence[str] | None = None,
    opset: int = 18,
    fold: bool = True,
) -> bytes:
    """Export `module` as an ONNX file whose inputs' and outputs' first `free` axes vary.

    `inputs` and `outputs` are their names (`input0`, … by default). Without `fold` the weights are stored
    as they are, not with the batch norms worked in.
    """
    names = list(inputs or [f"input{i}" for i in range(len(example))])
    labels = ("batch", "length")[:free]
    free_axes = {name: dict(enumerate(labels)) for name in (*names, *(outputs or ()))}
    file = io.BytesIO()
    with torch.inference_mode(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the newer exporter needs one more package and brings nothing here
        torch.onnx.export(
            module.eval(),
            tuple(torch.from_numpy(_writable(array)) for array in example),
            cast(Any, file),  # takes a file object, though its annotation does not say so
            dynamo=False,
            input_names=names,
            output_names=list(outputs) if outputs else None,
            dynamic_axes=free_axes if free else None,
            opset_version=opset,
            training=torch.onnx.TrainingMode.EVAL if fold else torch.onnx.TrainingMode.PRESERVE,
        )
    return file.getvalue()


def _writable(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return a contiguous array that torch may wrap; read-only ones are copied, as torch would warn."""
    array = np.ascontiguousarray(array)
    return array if array.flags.writeable else array.copy()
