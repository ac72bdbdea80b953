"""Trunks by the names of torchvision: its classification networks without their classifiers."""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Mapping
from typing import Any

import torchvision
from torch import Tensor, nn

from vision_rec.encoders.trunk_spec import TrunkSpec
from vision_rec.encoders.trunk_stages import Stage, StageTrunk
from vision_rec.encoders.trunk_weights import load_into
from vision_rec.errors import UnavailableError

_TOKENS = ("vit_", "maxvit")  # made for one side only, and without maps at several strides
_LISTS = ("features", "layers", "trunk_output")  # containers whose children are stages
_ENDS = ("avgpool", "classifier", "fc", "head", "norm", "flatten", "permute")  # where the trunk is over
_BESIDE = ("aux", "dropout")  # parts of training only
_MOST_SIDE = 224  # larger pictures cost much and show a product no better


def names() -> tuple[str, ...]:
    """Return the names of the networks that can be trunks."""
    every = torchvision.models.list_models(module=torchvision.models)
    return tuple(name for name in every if not name.startswith(_TOKENS))


def default_spec(name: str) -> tuple[TrunkSpec, int]:
    """Return how the published weights of `name` want pictures, and their input side."""
    wanted = torchvision.models.get_model_weights(name).DEFAULT.transforms()
    side = min(int(wanted.crop_size[0]), _MOST_SIDE)
    return TrunkSpec(name, tuple(wanted.mean), tuple(wanted.std)), side // 32 * 32


def build(spec: TrunkSpec) -> tuple[StageTrunk, set[str]]:
    """Return the trunk with random weights, and all names of the whole network's tensors."""
    model = torchvision.models.get_model(spec.name, weights=None)
    trunk = StageTrunk(spec, list(_stages(model)), channels_last=spec.name.startswith("swin"))
    return trunk, set(model.state_dict())


def load(trunk: StageTrunk, known: set[str], tensors: Mapping[str, Tensor], source: str) -> None:
    """Load a whole network's `tensors` into its trunk; InputError names the first that does not fit."""
    load_into(trunk.tensors(), known, tensors, source)


def download(name: str) -> Mapping[str, Tensor]:
    """Return the published weights of `name`, from torch's cache or downloaded; UnavailableError offline."""
    weights = torchvision.models.get_model_weights(name).DEFAULT
    try:
        tensors: Mapping[str, Any] = weights.get_state_dict(
            progress=False, check_hash=True, weights_only=True
        )
    except (OSError, RuntimeError, pickle.UnpicklingError) as error:
        raise UnavailableError(
            f"the weights {name} DEFAULT cannot be had from {weights.url} ({error}); download that file "
            "where there is a network and give it with --weights FILE"
        ) from error
    return tensors


def _stages(model: nn.Module) -> Iterator[Stage]:
    """Yield the parts of a network in the order in which pictures pass through them, up to the last map."""
    for name, part in model.named_children():
        if name in _ENDS:
            return
        if name.lower().startswith(_BESIDE):
            continue
        if name in _LISTS and isinstance(part, nn.Sequential):
            yield from ((f"{name}.{inner}", stage) for inner, stage in part.named_children())
        else:
            yield name, part
