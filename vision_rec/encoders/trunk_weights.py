"""Weights of trunks from local files: safetensors, or a torch file of tensors and nothing else."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from vision_rec.errors import InputError

_WRAPPERS = ("state_dict", "model", "model_state_dict")  # what training scripts put weights under
_PARALLEL = "module."  # put before every name where several devices trained
_PREFIXES = ("model.", "visual.", "backbone.", "encoder.")  # a network within another
_COUNTER = "num_batches_tracked"  # older files lack it, and nothing depends on it


def read_tensors(file: Path) -> dict[str, Tensor]:
    """Read the tensors of a weights file; InputError where it is none or holds more than tensors."""
    if not file.is_file():
        raise InputError(f"there is no weights file {file}; give a .safetensors or a torch state_dict file")
    try:
        if file.suffix == ".safetensors":
            tensors: dict[str, Tensor] = load_file(file)
            return tensors
        found = torch.load(file, map_location="cpu", weights_only=True)
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError) as error:
        reason = str(error).strip().splitlines()[0][:120] if str(error).strip() else type(error).__name__
        raise InputError(
            f"{file} is no weights file ({reason}); give a .safetensors file, or a torch file that holds a "
            "state_dict and nothing else: torch.save(model.state_dict(), …)"
        ) from error
    return _tensors(found, file)


def _tensors(found: Any, file: Path) -> dict[str, Tensor]:
    for name in _WRAPPERS:
        if isinstance(found, Mapping) and isinstance(found.get(name), Mapping):
            found = found[name]
    if not isinstance(found, Mapping):
        raise InputError(f"{file} holds a {type(found).__name__}; a state_dict is needed")
    tensors = {str(name): value for name, value in found.items() if isinstance(value, Tensor)}
    if not tensors:
        raise InputError(f"{file} holds no tensors; give a torch state_dict or a .safetensors file")
    return tensors


def load_into(
    wanted: Mapping[str, Tensor], known: set[str], tensors: Mapping[str, Tensor], source: str
) -> None:
    """Copy `tensors` into those of a trunk, `wanted`, by the names they have in the whole network.

    `known` are all names of the whole network: what it has beside the trunk (a classifier) is left aside.
    Raises InputError naming the first tensor that is missing, of another shape, or of no such network.
    """
    found = _renamed(tensors, wanted)
    for name, value in wanted.items():
        if name not in found:
            if name.endswith(_COUNTER):
                continue
            raise InputError(f"{source} does not fit the backbone: it lacks {name} {tuple(value.shape)}")
        if found[name].shape != value.shape:
            raise InputError(
                f"{source} does not fit the backbone: {name} has the shape {tuple(found[name].shape)}, "
                f"the backbone has {tuple(value.shape)}"
            )
    heads = {name.split(".")[0] for name in known} - {name.split(".")[0] for name in wanted}
    for name in found:
        if name not in known and name.split(".")[0] not in heads:
            raise InputError(f"{source} does not fit the backbone: the backbone has no {name}")
    with torch.no_grad():
        for name, value in wanted.items():
            if name in found:
                value.copy_(found[name])


def _renamed(tensors: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """Take away what training scripts put before every name, where the names fit better without it."""
    while tensors and all(name.startswith(_PARALLEL) for name in tensors):
        tensors = {name.removeprefix(_PARALLEL): value for name, value in tensors.items()}
    best, most = tensors, len(tensors.keys() & wanted.keys())
    for prefix in _PREFIXES:
        short = {name.removeprefix(prefix): v for name, v in tensors.items() if name.startswith(prefix)}
        if (fitting := len(short.keys() & wanted.keys())) > most:
            best, most = short, fitting
    return best
