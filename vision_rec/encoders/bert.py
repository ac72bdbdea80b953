"""The BERT of small sentence models in plain torch, so that it traces cleanly and needs no transformers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch.nn import functional as fn

from vision_rec.errors import UnavailableError


class SentenceBert(torch.nn.Module):
    """Token ids and mask (n, L) int64 → mean-pooled unit embeddings (n, d), as the original."""

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        width, eps = config["hidden_size"], config["layer_norm_eps"]
        self.words = torch.nn.Embedding(config["vocab_size"], width)
        self.places = torch.nn.Embedding(config["max_position_embeddings"], width)
        self.kinds = torch.nn.Embedding(config["type_vocab_size"], width)
        self.norm = torch.nn.LayerNorm(width, eps=eps)
        self.layers = torch.nn.ModuleList(_Layer(config) for _ in range(config["num_hidden_layers"]))

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Encode a batch of padded token ids; `mask` is 1 for tokens, 0 for padding."""
        places = torch.cumsum(torch.ones_like(ids), dim=1) - 1
        hidden = self.norm(self.words(ids) + self.places(places) + self.kinds(torch.zeros_like(ids)))
        weights = mask.to(hidden.dtype)
        bias = (1.0 - weights)[:, None, None, :] * -1e4  # (n, 1, 1, L); −inf would make bf16 NaN
        for layer in self.layers:
            hidden = layer(hidden, bias)
        pooled = (hidden * weights[:, :, None]).sum(1) / weights.sum(1, keepdim=True).clamp_min(1e-9)
        return fn.normalize(pooled, dim=1)


class _Layer(torch.nn.Module):
    """Self-attention and feed-forward, each with its residual and norm after it."""

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        width, eps = config["hidden_size"], config["layer_norm_eps"]
        self.heads = config["num_attention_heads"]
        self.query, self.key, self.value, self.mix = (torch.nn.Linear(width, width) for _ in range(4))
        self.wide = torch.nn.Linear(width, config["intermediate_size"])
        self.narrow = torch.nn.Linear(config["intermediate_size"], width)
        self.mix_norm, self.norm = (torch.nn.LayerNorm(width, eps=eps) for _ in range(2))

    def forward(self, hidden: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        """Pass hidden states (n, L, d) through the layer."""
        n, length, width = hidden.shape
        query, key, value = (
            part(hidden).view(n, length, self.heads, width // self.heads).transpose(1, 2)
            for part in (self.query, self.key, self.value)
        )
        mixed = fn.scaled_dot_product_attention(query, key, value, attn_mask=bias)
        hidden = self.mix_norm(hidden + self.mix(mixed.transpose(1, 2).reshape(n, length, width)))
        return self.norm(hidden + self.narrow(fn.gelu(self.wide(hidden))))  # type: ignore[no-any-return]


_LAYER_NAMES = {
    "query": "attention.self.query",
    "key": "attention.self.key",
    "value": "attention.self.value",
    "mix": "attention.output.dense",
    "mix_norm": "attention.output.LayerNorm",
    "wide": "intermediate.dense",
    "narrow": "output.dense",
    "norm": "output.LayerNorm",
}


def load_bert(folder: Path) -> SentenceBert:
    """Build the network in `folder` from its config.json and model.safetensors."""
    try:
        config = json.loads((folder / "config.json").read_text("utf-8"))
        network = SentenceBert(config)
        network.load_state_dict(_renamed(load_file(folder / "model.safetensors"), len(network.layers)))
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise UnavailableError(f"the text model in {folder} cannot be loaded: {error!r}") from error
    return network.eval()


def _renamed(stored: dict[str, torch.Tensor], layers: int) -> dict[str, torch.Tensor]:
    """Give the stored weights the names that they have here."""
    state = {
        "words.weight": stored["embeddings.word_embeddings.weight"],
        "places.weight": stored["embeddings.position_embeddings.weight"],
        "kinds.weight": stored["embeddings.token_type_embeddings.weight"],
    }
    for part in ("weight", "bias"):
        state[f"norm.{part}"] = stored[f"embeddings.LayerNorm.{part}"]
        for i in range(layers):
            for ours, theirs in _LAYER_NAMES.items():
                state[f"layers.{i}.{ours}.{part}"] = stored[f"encoder.layer.{i}.{theirs}.{part}"]
    return state
