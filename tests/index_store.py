"""Small index versions for tests: the files of one, and a store with them published."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np

from vision_rec.fusion import Aspect, AspectLayout, unit
from vision_rec.index.manifest import _canonical, _checksum
from vision_rec.index.version import IndexVersion, VersionStore

LAYOUT = AspectLayout((Aspect("colour", 3, gain=1.5, default_weight=2.0), Aspect("text", 5)))


def rows_of(seed: int, count: int = 6) -> np.ndarray:
    rng = np.random.default_rng(seed)
    blocks = [unit(rng.standard_normal((count, a.dim)).astype(np.float32)) for a in LAYOUT.aspects]
    return np.concatenate(blocks, axis=1).astype(np.float16)


def fill(building: Path, *, seed: int, count: int = 6, prices: str = "1,2,3") -> None:
    """Write what reindex writes; ids and catalogue tell the seed, the graph stays the same."""
    (building / "ids.json").write_text(json.dumps([f"{seed}-{i:05d}" for i in range(count)]))
    write_array(building / "vectors.npy", rows_of(seed, count))
    (building / "catalog.parquet").write_text(f"PAR1 prices {prices}")
    (building / "index").mkdir(exist_ok=True)
    (building / "index" / "hnsw.faiss").write_bytes(bytes(range(256)))
    (building / "report.json").write_text(json.dumps({"seed": seed}))


def write_array(path: Path, array: np.ndarray) -> None:
    beside = path.with_name(".part.npy")
    np.save(beside, array)
    os.replace(beside, path)


def publish(
    store: VersionStore, *, seed: int = 1, count: int = 6, key: str = "run", prices: str = "1,2,3"
) -> IndexVersion:
    with store.lock():
        building = store.begin(key)
        fill(building, seed=seed, count=count, prices=prices)
        return seal(store, building, count=count)


def seal(store: VersionStore, building: Path, *, count: int = 6) -> IndexVersion:
    return store.publish(
        building,
        layout=LAYOUT,
        fingerprints={"image": "i" * 8, "text": "t" * 8},
        index_kind="exact",
        count=count,
        feed_sha256="f" * 64,
        weights={"colour": 1},
        presets={"look": {"colour": 1}},
        sources={"feed": "products.csv"},
    )


def leftovers(root: Path) -> list[str]:
    """Names in `root` that a finished publish must not leave there."""
    return sorted(p.name for p in root.iterdir() if p.name.startswith(".") or p.name.endswith(".tmp"))


def rewrite_manifest(folder: Path, **changes) -> None:
    """Change a manifest and make its checksum right again, as another version or a liar would."""
    body = json.loads((folder / "manifest.json").read_bytes())
    del body["checksum"]
    body.update(changes)
    (folder / "manifest.json").write_bytes(_canonical({**body, "checksum": _checksum(body)}))
