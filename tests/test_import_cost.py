"""What importing the package and asking for help may cost: NumPy, and no heavy library."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = (
    "torch faiss pandas pyarrow openvino onnx onnxruntime fastapi starlette uvicorn pydantic_settings "
    "sentence_transformers transformers tokenizers safetensors scipy PIL bm25s httpx jinja2 rich "
    "huggingface_hub"
).split()
LIST = "import sys, json; print(json.dumps(sorted({name.split('.')[0] for name in sys.modules})))"
COMMAND = "import sys; from vision_rec.cli import main; main({!r}); sys.stdout = sys.__stdout__; print(); "


def python(code):
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout


def loaded(code):
    return set(json.loads(python(code + LIST).splitlines()[-1]))


@pytest.mark.parametrize(
    "code",
    [
        "import vision_rec; ",
        "from vision_rec import Filters, Query; ",
        COMMAND.format(["--help"]),
        COMMAND.format(["similar", "--help"]),
        COMMAND.format(["--version"]),
        COMMAND.format(["similar", "--no-such-option"]),
    ],
    ids=["package", "names", "help", "command help", "version", "usage error"],
)
def test_nothing_heavy_is_loaded(code):
    modules = loaded(code)
    assert "vision_rec" in modules and not modules & set(HEAVY)


def test_the_command_line_adds_little_to_python_numpy_and_typer():
    # A ratio on this machine, now: an absolute time would say more about the machine than about us.
    measure = (
        "import subprocess, sys, resource, json\n"
        "def cost(code):\n"
        "    before = resource.getrusage(resource.RUSAGE_CHILDREN)\n"
        "    subprocess.run([sys.executable, '-c', code], stdout=subprocess.DEVNULL, check=True)\n"
        "    after = resource.getrusage(resource.RUSAGE_CHILDREN)\n"
        "    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime\n"
        "base = min(cost('import numpy, typer.main') for _ in range(3))\n"
        f"ours = min(cost({COMMAND.format(['--help'])!r}) for _ in range(3))\n"
        "print(json.dumps([base, ours]))"
    )
    base, ours = json.loads(python(measure).splitlines()[-1])
    assert ours < 2.5 * base


def test_commands_load_only_what_they_need(published):
    listing = COMMAND.format(["versions", "list", *published.common])
    assert not loaded(listing) & {"torch", "faiss", "pandas", "openvino", "fastapi", "sentence_transformers"}
    with_rows = COMMAND.format(["search", "--recent", "nope", *published.common])
    assert not loaded(with_rows) & {"torch", "openvino", "onnxruntime", "fastapi", "sentence_transformers"}


def test_recommender_is_found_lazily():
    assert python("import vision_rec; print(vision_rec.Recommender.__name__)").strip() == "Recommender"
    with pytest.raises(subprocess.CalledProcessError):
        python("from vision_rec import Nothing")
