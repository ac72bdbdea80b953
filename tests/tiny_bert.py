"""A sentence model of a few thousand values, saved as sentence-transformers saves one."""

from __future__ import annotations

import json

import numpy as np
from safetensors.numpy import save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

WIDTH, LAYERS, WORDS = 16, 2, 300


def write_tiny_bert(folder, seed=0, pooling="mean"):
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    save_file(_weights(rng), folder / "model.safetensors")
    config = {
        "model_type": "bert",
        "architectures": ["BertModel"],
        "hidden_act": "gelu",
        "hidden_size": WIDTH,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "layer_norm_eps": 1e-12,
        "max_position_embeddings": 40,
        "type_vocab_size": 2,
        "vocab_size": WORDS,
    }
    _json(folder / "config.json", config)
    _json(folder / "sentence_bert_config.json", {"max_seq_length": 32})
    kinds = ["Transformer", "Pooling", "Normalize"]
    modules = [
        {"idx": i, "name": str(i), "path": "" if i == 0 else f"{i}_{kind}", "type": f"st.models.{kind}"}
        for i, kind in enumerate(kinds)
    ]
    _json(folder / "modules.json", modules)
    (folder / "1_Pooling").mkdir(exist_ok=True)
    modes = {f"pooling_mode_{mode}": mode.startswith(pooling) for mode in ("cls_token", "mean_tokens")}
    _json(folder / "1_Pooling" / "config.json", {"word_embedding_dimension": WIDTH, **modes})
    _tokenizer().save(str(folder / "tokenizer.json"))
    return folder


def _json(path, value):
    path.write_text(json.dumps(value))


def _weights(rng):
    def draw(*shape):
        return rng.normal(0, 0.4, shape).astype(np.float32)

    norm = {"weight": np.ones(WIDTH, np.float32), "bias": np.zeros(WIDTH, np.float32)}
    weights = {
        "embeddings.word_embeddings.weight": draw(WORDS, WIDTH),
        "embeddings.position_embeddings.weight": draw(40, WIDTH) * 0.1,
        "embeddings.token_type_embeddings.weight": draw(2, WIDTH),
        **{f"embeddings.LayerNorm.{key}": value for key, value in norm.items()},
    }
    shapes = {
        "attention.self.query": (WIDTH, WIDTH),
        "attention.self.key": (WIDTH, WIDTH),
        "attention.self.value": (WIDTH, WIDTH),
        "attention.output.dense": (WIDTH, WIDTH),
        "intermediate.dense": (32, WIDTH),
        "output.dense": (WIDTH, 32),
    }
    for i in range(LAYERS):
        for name, shape in shapes.items():
            weights[f"encoder.layer.{i}.{name}.weight"] = draw(*shape)
            weights[f"encoder.layer.{i}.{name}.bias"] = draw(shape[0])
        for name in ("attention.output.LayerNorm", "output.LayerNorm"):
            weights |= {f"encoder.layer.{i}.{name}.{key}": value.copy() for key, value in norm.items()}
    return weights


def _tokenizer():
    """Bytes as tokens: any text has its own sequence."""
    vocabulary = {"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3}
    for i, letter in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet())):
        vocabulary[letter] = 4 + i
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[], unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return tokenizer
