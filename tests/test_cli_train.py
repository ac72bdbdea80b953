"""`train image`: what is asked reaches the training, and its table comes out."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")


@pytest.fixture
def trained(monkeypatch):
    from vision_rec.training import run_image
    from vision_rec.training.aspects import Measure
    from vision_rec.training.precision import Precision

    asked = []

    def train(packs, out, *, recipe, teacher, cache, log):
        asked.append((packs, out, recipe, teacher, cache))
        log("step 25")
        return (Measure("shape", "article", "", Precision(0.75, 0.5, 90)),)

    monkeypatch.setattr(run_image, "train_image", train)
    return asked


def test_options_reach_the_training(cli, trained, tmp_path):
    from vision_rec.training.train_image import ImageTraining

    recipe = tmp_path / "recipe.toml"
    recipe.write_text("steps = 7\nseed = 3\n")
    args = ["train", "image", "--packs", tmp_path, "--out", tmp_path / "out"]
    ran = cli(*args, "--recipe", recipe, "--cache", tmp_path / "c", "--json")
    assert ran.code == 0 and ran.err == "step 25\n"
    assert trained == [(tmp_path, tmp_path / "out", ImageTraining(steps=7, seed=3), None, tmp_path / "c")]
    assert ran.json == {
        "encoder": str(tmp_path / "out"),
        "measures": [
            {
                "block": "shape",
                "label": "article",
                "condition": "",
                "micro": 0.75,
                "macro": 0.5,
                "queries": 90,
            }
        ],
    }
    table = cli(*args, "--quiet")
    assert table.out.splitlines()[1].split() == ["shape", "article", "all", "0.750", "90"] and not table.err


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--recipe", "no.toml"], "no.toml"),
        (["--recipe", "bad.toml"], "stepz"),
        (["--teacher", "no.tflite"], "no.tflite"),
        (["--out", "bad.toml"], "is a file"),
    ],
)
def test_wrong_input_is_one_line(cli, trained, tmp_path, monkeypatch, more, says):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.toml").write_text("stepz = 7\n")
    ran = cli("train", "image", "--packs", tmp_path, "--out", tmp_path / "out", *more)
    assert ran.code == 2 and says in ran.error and not trained


def test_a_missing_pack_is_named(cli, tmp_path):
    ran = cli("train", "image", "--packs", tmp_path, "--out", tmp_path / "out")
    assert ran.code == 2 and "'fashion'" in ran.error
