"""The notebooks run from top to bottom, offline, and are kept without outputs."""

from __future__ import annotations

import os
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

FOLDER = Path(__file__).resolve().parent.parent / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
LEAST = {"quickstart": (9, 3), "sessions": (4, 5)}  # pictures and tables that each shows
# Names resolve to nothing but this machine, whatever a library may ask for.
OFFLINE = """
import socket

_all = socket.getaddrinfo

def _loopback_only(host, *rest, **named):
    if host not in (None, "", "localhost", "127.0.0.1", "::1"):
        raise OSError(f"this test is offline; {host!r} was asked for")
    return _all(host, *rest, **named)

socket.getaddrinfo = _loopback_only
"""


def test_there_are_notebooks():
    assert [path.stem for path in NOTEBOOKS] == sorted(LEAST)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_kept_without_outputs(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert (cell.outputs, cell.execution_count) == ([], None)
            assert not set(cell.metadata), "settings of one editor do not belong here"


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_runs_offline_and_leaves_nothing_behind(path, tmp_path, monkeypatch):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setenv("TMPDIR", str(scratch))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("VISION_REC_EVENTS__MAX_DISK_SHARE", "1.0")
    monkeypatch.setenv("VISION_REC_EVENTS__MIN_FREE_BYTES", "0")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    notebook = nbformat.read(path, as_version=4)
    notebook.cells.insert(0, nbformat.v4.new_code_cell(OFFLINE))
    before = sorted(os.listdir(tmp_path))
    client = NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    )
    client.execute()
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    pictures = [out for cell in code for out in cell.outputs if "image/png" in out.get("data", {})]
    tables = [out for cell in code for out in cell.outputs if "text/html" in out.get("data", {})]
    least_pictures, least_tables = LEAST[path.stem]
    assert len(pictures) >= least_pictures and len(tables) >= least_tables
    assert list(scratch.iterdir()) == []
    assert set(os.listdir(tmp_path)) <= {*before, "ipython"}
