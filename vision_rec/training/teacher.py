"""Features of a published ImageNet network as training targets; its file and weights stay outside."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from vision_rec.errors import InputError, UnavailableError
from vision_rec.training.data import Source

_TENSOR = 171  # last feature map (1, 7, 7, 1280) of MobileNetV2 1.0 224, post-training quantised
_SIDE = 224


def teacher_features(
    model: Path, sources: Sequence[Source], cache: Path
) -> dict[str, npt.NDArray[np.float16]]:
    """Return centred features (n, 1280) of each source's pictures, computed into `cache` at first use.

    `model` is a TensorFlow Lite file of MobileNetV2 (Sandler et al., 2018, arXiv 1801.04381).
    """
    if not model.is_file():
        raise InputError(f"no teacher model {model}; give a TensorFlow Lite file or train without --teacher")
    cache.mkdir(parents=True, exist_ok=True)
    raw = {}
    for source in sources:
        file = cache / f"{source.name}-{len(source)}-teacher.npy"
        if not file.is_file():
            np.save(file, _features(model, source.pixels))
        raw[source.name] = np.load(file)
    mean = np.concatenate([features.astype(np.float32) for features in raw.values()]).mean(0)
    return {name: (features - mean).astype(np.float16) for name, features in raw.items()}


def _features(model: Path, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float16]:
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError as error:
        raise UnavailableError('a teacher needs TensorFlow Lite: pip install "vision-rec[train]"') from error
    network = Interpreter(str(model), experimental_preserve_all_tensors=True)
    network.allocate_tensors()
    entry = network.get_input_details()[0]["index"]
    scale, zero = network.get_tensor_details()[_TENSOR]["quantization"]
    out = np.empty((len(pixels), 1280), dtype=np.float16)
    for row, square in enumerate(pixels):
        large = Image.fromarray(square).resize((_SIDE, _SIDE), Image.Resampling.BICUBIC)
        network.set_tensor(entry, np.asarray(large)[None])
        network.invoke()
        out[row] = ((network.get_tensor(_TENSOR)[0].astype(np.float32) - zero) * scale).mean((0, 1))
    return out
