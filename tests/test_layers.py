"""The import table of docs/architecture.md: imports go down only, rooms do not know each other.

Every import of every file is read with `ast`, those inside functions and under TYPE_CHECKING too.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import vision_rec

PACKAGE = Path(vision_rec.__file__).parent

# ── the table ─────────────────────────────────────────────────────────────────────────────────────

GROUND = set("errors types fusion filters settings records failpoints outfile".split())
ROOMS = set("feeds images keys fetch catalog lexical rules encoders index sessions sample".split())
USE_CASES = set(
    "access answers aspects audience batch compare demo diagnose evaluate evaluate_sessions events export "
    "export_onnx health merchandise pictures recommend reindex rerank training versions".split()
)
DOORS = {"service", "cli"}

# What a use case may import beside the ground and the rooms; the ones left of it may not be imported back.
BETWEEN_USE_CASES = {
    "recommend": {"rerank", "reindex"},  # Recommender.build reindexes; it is wired there
    "batch": {"recommend"},
    "audience": {"recommend", "events"},  # users' acts in the space of a version's rows
    "evaluate": {"recommend", "batch"},
    "evaluate_sessions": {"events"},  # events of files, checked as those of calls are
    "export": {"recommend"},
    "demo": {"reindex"},
    "health": {"recommend"},  # the version that is checked, and its similar lists
    "merchandise": {"recommend"},  # the catalogue that rules are checked against, and previews
    "versions": {"compare"},
    "diagnose": {"demo", "access"},  # whether the port is free, and which keys there are
    "training": {"aspects", "events"},  # the table of what blocks know; events read from files are checked
}
# What a door may import beside the ground and the use cases.
OF_DOORS = {
    "service": {"index.version"},
    "cli": {"index.version", "service.run"},  # `serve` and `demo` start the service
}

LIGHT = {"numpy", "_typeshed"}  # the latter is there for type checkers only
# Families of libraries: a file of a room imports one family, a file elsewhere none but those named for it.
FAMILIES = {
    "torch": {"torch", "torchvision", "open_clip"},
    "faiss": {"faiss"},
    "pillow": {"PIL"},
    "tables": {"pandas", "pyarrow"},
    "openvino": {"openvino"},
    "onnx": {"onnx", "onnxruntime"},
    "sentences": {"sentence_transformers", "transformers", "tokenizers", "huggingface_hub"},
    "bm25": {"bm25s"},
    "scipy": {"scipy"},
    "safetensors": {"safetensors"},
    "xml": {"defusedxml"},
    "http": {"httpx", "httpcore", "certifi"},
    "milvus": {"pymilvus"},
    "redis": {"redis"},
    "web": {
        *("fastapi", "starlette", "uvicorn", "uvloop", "httptools", "jinja2", "orjson", "pydantic"),
        *("prometheus_client", "python_multipart", "multipart"),
    },
    "terminal": {"typer", "rich"},
    "settings": {"pydantic", "pydantic_settings"},
    "teacher": {"ai_edge_litert"},
    "opencv": {"cv2"},
}
ALLOWED_FAMILIES = {
    "settings": {"settings"},
    "types": {"tables"},  # Recommendations.to_pandas, where it is called
    "training": {"torch", "scipy", "pillow", "safetensors", "teacher", "opencv"},
    "service": {"web"},
    "cli": {"terminal"},
    "evaluate_sessions.rankers": {"scipy"},  # tables of visitors × products are sparse
    "export": {"tables"},  # it writes Parquet and nothing else
    "events": {"tables"},  # so does its export
    "diagnose.machine": {"faiss", "torch", "pillow"},  # it looks whether they work
}
# Files of rooms where two families must meet.
MEET = {
    "encoders.image": {"torch", "safetensors"},  # reads its weights
    "encoders.bert": {"torch", "safetensors"},
    "encoders.trunk_weights": {"torch", "safetensors"},
    "encoders.sentences": {"torch", "sentences"},  # its fallback is a torch module
    "encoders.runtime_onnx": {"torch", "onnx"},  # exports from one to the other
    "encoders.runtime_openvino": {"torch", "openvino"},
}

# ── reading ───────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Import:
    """`name` imported by a file, at `line`; ours are relative to the package: `index.version`."""

    file: str
    line: int
    name: str
    ours: bool

    def __str__(self) -> str:
        return f"{self.file}.py:{self.line} imports {self.name}"


def imports_of(source: str, module: str) -> Iterator[Import]:
    """Yield what a file imports; `module` is its dotted name without the package's."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{module} imports relatively"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif called := called_import(node):
            names = [called]
        else:
            continue
        for name in names:
            first, _, rest = name.partition(".")
            if first == "vision_rec":
                yield Import(module, node.lineno, _module_part(rest), True)
            elif first not in sys.stdlib_module_names and first != "__future__":
                yield Import(module, node.lineno, first, False)


def called_import(node: ast.AST) -> str | None:
    """Return the name in `import_module("name")` or `__import__("name")`."""
    if not (isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant)):
        return None
    called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    return str(node.args[0].value) if called in ("import_module", "__import__") else None


def _module_part(dotted: str) -> str:
    """Cut names that are not modules off `index.version.VersionStore`."""
    parts = dotted.split(".")
    while parts and not is_module(parts):
        parts.pop()
    return ".".join(parts)


def is_module(parts: list[str]) -> bool:
    path = PACKAGE.joinpath(*parts)
    return path.is_dir() or path.with_suffix(".py").is_file()


def modules() -> Iterator[tuple[str, str]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        yield name, path.read_text("utf-8")


# ── judging ───────────────────────────────────────────────────────────────────────────────────────


def wrong(entry: Import) -> str | None:
    """Say why an import is not allowed, None where it is."""
    return _wrong_ours(entry) if entry.ours else _wrong_library(entry)


def _wrong_ours(entry: Import) -> str | None:
    own, other = entry.file.split(".")[0], entry.name.split(".")[0]
    if own == other or not other:  # the package itself: its version
        return None
    if not own:
        return None if other in GROUND | {"recommend"} else "the package's own names are light"
    if other in GROUND:
        return None
    if own in GROUND:
        return "the ground imports only the ground"
    if own in ROOMS:
        return "rooms do not know each other, nor what is above them"
    if own in USE_CASES:
        good = other in ROOMS or other in BETWEEN_USE_CASES.get(own, ())
        return None if good else "a use case knows rooms, and of use cases only those in the table"
    if own in DOORS:
        return None if other in USE_CASES or entry.name in OF_DOORS[own] else "doors know use cases only"
    return f"{own} is in no layer; add it to the table"


def _wrong_library(entry: Import) -> str | None:
    if entry.name in LIGHT:
        return None
    own = entry.file.split(".")[0]
    families = {family for family, names in FAMILIES.items() if entry.name in names}
    if not families:
        return "no family of libraries has it; add it to the table"
    if own in ROOMS:
        return None  # how many is judged per file
    allowed = ALLOWED_FAMILIES.get(own, set()) | ALLOWED_FAMILIES.get(entry.file, set())
    return None if families & allowed else f"{own} may import {sorted(allowed) or 'NumPy only'}"


ALL = [entry for name, source in modules() for entry in imports_of(source, name)]


def test_every_import_goes_down():
    found = [f"{entry}: {reason}" for entry in ALL if (reason := wrong(entry))]
    assert not found, "\n" + "\n".join(found)


def test_a_file_of_a_room_has_one_heavy_library():
    found = {}
    for file in sorted({entry.file for entry in ALL if entry.file.split(".")[0] in ROOMS}):
        names = {entry.name for entry in ALL if entry.file == file and not entry.ours} - LIGHT
        used = {family for family, members in FAMILIES.items() if names & members}
        if len(used) > 1 or file in MEET:
            found[file] = used
    assert found == MEET


def test_doors_never_touch_torch_or_faiss():
    heavy = {"torch", "torchvision", "faiss", "openvino", "onnxruntime", "pyarrow", "pandas", "PIL"}
    assert not [entry for entry in ALL if entry.file.split(".")[0] in DOORS and entry.name in heavy]


def test_the_table_names_what_there_is():
    """Nothing in the tables is left over; rooms of later issues may be absent."""
    there = {name.split(".")[0] for name, _ in modules()} - {""}
    assert there <= GROUND | ROOMS | USE_CASES | DOORS
    assert (GROUND | USE_CASES | DOORS) - there == set() and ROOMS - there == set()
    used = {(entry.file.split(".")[0], entry.name.split(".")[0]) for entry in ALL if entry.ours}
    unused = {(own, other) for own, others in BETWEEN_USE_CASES.items() for other in others} - used
    assert not unused
    files = {name for name, _ in modules()}
    assert set(MEET) <= files and {name for name in ALLOWED_FAMILIES if "." in name} <= files


def test_use_cases_have_an_order():
    """No circle: what a use case may import never leads back to it."""

    def reached(name, seen=()):
        assert name not in seen, f"{' → '.join((*seen, name))} is a circle"
        for other in BETWEEN_USE_CASES.get(name, ()):
            reached(other, (*seen, name))

    for name in BETWEEN_USE_CASES:
        reached(name)


@pytest.mark.parametrize(
    ("file", "source", "reason"),
    [
        ("fusion", "import torch", "NumPy only"),
        ("types", "def f():\n    from vision_rec.feeds import read_feed", "the ground"),
        ("feeds.xml", "from vision_rec.images import open_image", "rooms do not know"),
        ("index.exact", "from vision_rec import images", "rooms do not know"),
        ("catalog.table", "from vision_rec.recommend import Recommender", "rooms do not know"),
        ("rerank", "from vision_rec.recommend import Recommender", "of use cases only"),
        ("recommend.query", "import faiss", "NumPy only"),
        ("service.app", "from vision_rec.index.faiss_index import FaissIndex", "doors know"),
        ("service.app", "from vision_rec.cli import main", "doors know"),
        ("cli.search", "import importlib\nimportlib.import_module('torch')", "may import"),
        ("cli.search", "from vision_rec.images import open_image", "doors know"),
        ("odd", "from vision_rec.images import open_image", "in no layer"),
        ("feeds.csv", "import dask", "no family"),
        ("", "from vision_rec.images import open_image", "light"),
    ],
)
def test_the_test_sees_what_is_wrong(file, source, reason):
    found = [said for entry in imports_of(source, file) if (said := wrong(entry))]
    assert len(found) == 1 and reason in found[0]


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("index.version", "from vision_rec import __version__"),
        ("service.admin", "from vision_rec.index.version import VersionStore"),
        ("recommend.ranking", "from vision_rec.rerank import one_per_group"),
        ("reindex.run", "from vision_rec.index import choose_kind\nimport sqlite3"),
        ("", "from vision_rec.recommend import Recommender"),
        ("training.losses", "import torch"),
    ],
)
def test_the_test_lets_pass_what_is_right(file, source):
    assert not [entry for entry in imports_of(source, file) if wrong(entry)]
