"""Trunks by the names of open_clip: the picture towers of CLIP networks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vision_rec.encoders.backbones import conv
from vision_rec.encoders.trunk_spec import OPEN_CLIP, TrunkSpec
from vision_rec.encoders.trunk_stages import OtherTrunk, Stage, StageTrunk, at_size
from vision_rec.encoders.trunk_weights import load_into, read_tensors
from vision_rec.errors import InputError, UnavailableError

_FINE = 64  # channels of the fine map that is learned beside a transformer
_END = "attnpool"
_PREFERRED = ("datacomp_xl", "laion2b", "laion400m")  # published weights, the best known first


def library() -> Any:
    """Return open_clip; UnavailableError names the cure where it is not installed."""
    try:
        import open_clip
    except ImportError as error:
        raise UnavailableError(
            f'backbones of open_clip need its package ({error}): pip install "vision-rec[open-clip]"'
        ) from error
    return open_clip


def names() -> tuple[str, ...]:
    """Return the names that can be trunks, each with `open_clip:` before it; none without the package."""
    try:
        open_clip = library()
    except UnavailableError:
        return ()
    return tuple(OPEN_CLIP + name for name in open_clip.list_models() if _is_own(_config(name)))


def default_spec(name: str) -> tuple[TrunkSpec, int]:
    """Return how the published weights of `name` want pictures, and their input side."""
    open_clip = library()
    side = _config(_short(name))["vision_cfg"].get("image_size", 224)
    mean, std = open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD
    return TrunkSpec(name, tuple(mean), tuple(std)), int(side) // 4 * 4


class TokenTrunk(OtherTrunk):
    """A vision transformer: tokens of its middle and its last block as maps, and a fine map of its own.

    A grid of 7 × 7 or 14 × 14 tokens cannot show a product's outline, so two small convolutions, learned
    with the heads, give the fine map. Pictures are brought to the one side the transformer knows.
    """

    def __init__(self, spec: TrunkSpec, visual: Any) -> None:
        blocks = len(visual.transformer.resblocks)
        width = int(visual.conv1.out_channels)
        super().__init__(spec, (_FINE, width, width))
        self.outline = nn.Sequential(conv(3, _FINE // 2, 2), conv(_FINE // 2, _FINE, 2))
        self.visual = visual
        self.blocks = [max(blocks // 2 - 1, 0), blocks - 1]
        self.side = tuple(visual.image_size)

    def tensors(self) -> dict[str, Tensor]:
        """Return the transformer's tensors by their names in the picture tower."""
        found: dict[str, Tensor] = self.visual.state_dict()
        return found

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Map pictures (n, 3, H, W) to the fine, middle and deep maps."""
        x = self.normalised(x)
        fine = at_size(self.outline(x), (x.shape[-2] // 4, x.shape[-1] // 4))
        with _plain_attention():
            found = self.visual.forward_intermediates(
                at_size(x, self.side), indices=self.blocks, intermediates_only=True, output_fmt="NCHW"
            )
        middle, deep = found["image_intermediates"]
        return fine, middle, deep


@contextmanager
def _plain_attention() -> Iterator[None]:
    """Leave out torch's fused attention while a network is traced: ONNX has no such operator."""
    enabled = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(enabled and torch._C._get_tracing_state() is None)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(enabled)


def build(spec: TrunkSpec) -> tuple[StageTrunk | TokenTrunk, set[str]]:
    """Return the trunk with random weights, and all names of the picture tower's tensors."""
    open_clip, config = library(), _config(_short(spec.name))
    # Its picture tower alone: the text tower is larger, and some of them would be downloaded.
    visual = open_clip.model._build_vision_tower(
        config["embed_dim"],
        open_clip.model.CLIPVisionCfg(**config["vision_cfg"]),
        config.get("quick_gelu", False),
    )
    known = set(visual.state_dict())
    if hasattr(visual, "transformer"):
        return TokenTrunk(spec, visual), known
    return StageTrunk(spec, list(_stages(visual))), known


def load(trunk: StageTrunk | TokenTrunk, known: set[str], tensors: Mapping[str, Tensor], source: str) -> None:
    """Load a CLIP network's `tensors` into its trunk; InputError names the first that does not fit."""
    load_into(trunk.tensors(), known, tensors, source)


def download(name: str) -> Mapping[str, Tensor]:
    """Return published weights of `name`, from the cache or downloaded; UnavailableError offline."""
    open_clip, short = library(), _short(name)
    tag = default_tag(short)
    try:
        file = open_clip.download_pretrained(open_clip.get_pretrained_cfg(short, tag))
    except Exception as error:  # the hub's and urllib's exceptions have no common root
        reason = str(error).strip().splitlines()[0][:160] if str(error).strip() else type(error).__name__
        raise UnavailableError(
            f"the weights {name} {tag} cannot be had ({reason}); download them where there is a network and "
            "give the file with --weights FILE"
        ) from error
    return read_tensors(Path(file))


def default_tag(short: str) -> str:
    """Return which of the published weights DEFAULT means: those of the best known data that fit."""
    open_clip = library()
    quick = bool(_config(short).get("quick_gelu", False))
    fitting = [
        tag
        for tag in open_clip.list_pretrained_tags_by_model(short)
        if bool(open_clip.get_pretrained_cfg(short, tag).get("quick_gelu", False)) == quick
    ]
    for start in _PREFERRED:
        if found := next((tag for tag in fitting if tag.startswith(start)), None):
            return str(found)
    if not fitting:
        other = f"{short}-quickgelu"
        hint = f" (those of its name belong to open_clip:{other})" if other in open_clip.list_models() else ""
        raise InputError(
            f"open_clip publishes no weights for {short!r}{hint}; give a file with --weights FILE"
        )
    return str(fitting[0])


def _stages(visual: nn.Module) -> Iterator[Stage]:
    for name, part in visual.named_children():
        if name == _END:
            return
        yield name, part


def _short(name: str) -> str:
    return name.removeprefix(OPEN_CLIP)


def _config(short: str) -> Any:
    return library().get_model_config(short)


def _is_own(config: Any) -> bool:
    """Whether open_clip builds the picture tower itself: transformers or ResNets, not those of timm."""
    return "timm_model_name" not in config["vision_cfg"]
