"""benchmarks/sessions.py: packs are read as their protocols say, a seed that is done is not trained again."""

from __future__ import annotations

import gzip
import importlib
import json
from pathlib import Path

import numpy as np
import pytest

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"


@pytest.fixture
def load(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module


@pytest.fixture
def packs(tmp_path):
    """Both packs in small: visitors who go round in one of two circles of products."""
    rng = np.random.default_rng(0)
    walks = [[str(10 * side + (start + i) % 6 + 1) for i in range(5)]
             for side, start in rng.integers(0, (2, 6), (60, 2))]  # fmt: skip
    beauty, diginetica = tmp_path / "packs" / "beauty", tmp_path / "packs" / "diginetica"
    for folder in (beauty, diginetica):
        folder.mkdir(parents=True)
    (beauty / "sequences.txt").write_text("\n".join(f"{n} {' '.join(walk)}" for n, walk in enumerate(walks)))
    attributes = {name: [int(name) // 10, 2 + int(name) % 3] for walk in walks for name in walk}
    (beauty / "item_attributes.json").write_text(json.dumps(attributes))
    with gzip.open(diginetica / "train_sessions.txt.gz", "wt") as file:
        file.writelines(f"{' '.join(walk)}\n" for walk in walks)
    with gzip.open(diginetica / "test_prefix_target.tsv.gz", "wt") as file:
        file.writelines(f"{' '.join(walk[:3])}\t{walk[3]}\n" for walk in walks[:9])
        file.write("1 99\t1\n")
    return tmp_path / "packs"


def test_beauty_leaves_one_out_and_brings_its_attributes(load, packs):
    pack = load("sessions_data").beauty(packs / "beauty")
    assert set(pack.train.lengths) == {3} and set(pack.whole.lengths) == {4}
    assert len(pack.test) == len(pack.validation) == 60 and pack.new_only
    rows, (aspect,) = pack.contents["behaviour + attributes"]
    assert rows.shape == (12, aspect.dim) and np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
    sides = np.array([int(name) // 10 for name in pack.train.products])
    near = rows @ rows.T
    assert near[sides[:, None] == sides].mean() > near[sides[:, None] != sides].mean() + 0.3


def test_products_without_attributes_have_no_block(load):
    rows = load("sessions_data").attribute_rows([["a", "b"], [], ["b", "c"], ["a"]], dim=2)
    assert not rows[1].any() and np.allclose(np.linalg.norm(rows[[0, 2, 3]], axis=1), 1)


def test_diginetica_has_given_cases_and_validates_on_the_last_sessions(load, packs):
    pack = load("sessions_data").diginetica(packs / "diginetica")
    assert (len(pack.train), len(pack.validation.sequences), len(pack.whole)) == (54, 6, 60)
    assert len(pack.test) == 10 and not pack.new_only
    assert pack.train.products == pack.test.sequences.products and "99" in pack.train.products


def test_a_run_is_recorded_and_not_made_twice(load, packs, tmp_path, monkeypatch, capsys):
    bench, sessions = load("bench"), load("sessions")
    monkeypatch.setattr(bench, "RESULTS", tmp_path / "results")
    (tmp_path / "tiny.toml").write_text(
        "dim = 8\nwidth = 8\nlayers = 1\nepochs = 2\nbatch = 16\nmin_views = 1\n"
    )
    options = ["--data", packs, "--seeds", "1", "--recipe", tmp_path / "tiny.toml", "--out", tmp_path / "out"]
    command = ["sessions.py", "beauty", *map(str, options), "--refit", "--variant", "behaviour"]
    monkeypatch.setattr("sys.argv", command)
    sessions.main()
    assert "epoch 1 of 2" in capsys.readouterr().out
    (record,) = (tmp_path / "results").glob("*-sessions-beauty.md")
    text = record.read_text()
    assert "`python benchmarks/sessions.py beauty" in text and "60 cases" in text
    assert all(f"| {name} |" in text for name in ("popularity", "co-visits", "ActionPiece", "goal"))
    monkeypatch.setattr(sessions, "one_training", None)  # would fail if it were called
    sessions.main()
    assert record.read_text().split("\n", 4)[4] == text.split("\n", 4)[4]
