"""`train image`: what is asked reaches the training, and its table comes out."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")


@pytest.fixture
def trained(monkeypatch):
    from vision_rec.aspects import Measure, Precision
    from vision_rec.training import run_image

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


# ── on a catalogue ───────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def fitted(monkeypatch):
    from vision_rec.aspects import Precision
    from vision_rec.training import run_catalog
    from vision_rec.training.report import CatalogueTraining, Change

    asked = []

    def train(feed, out, *, settings, options, cache, log):
        asked.append((feed, out, options, cache))
        log("step 25")
        change = Change(
            "shape", "article", "", Precision(0.5, 0.4, 90), Precision(0.75, 0.6, 90), float("nan")
        )
        return CatalogueTraining(out, "abc", (change,), 5, 120, ("few products",), {"backbone": "bundled"})

    monkeypatch.setattr(run_catalog, "train_catalogue", train)
    return asked


def test_a_catalogue_s_options_reach_the_training(cli, fitted, tmp_path):
    from vision_rec.training.run_catalog import CatalogueOptions

    args = ["train", "image", "--catalog", tmp_path / "feed.csv", "--out", tmp_path / "out"]
    more = [
        "--images",
        tmp_path,
        "--backbone",
        "resnet50",
        "--weights",
        "DEFAULT",
        "--no-freeze",
        "--side",
        64,
    ]
    more += ["--steps", 9, "--recipe", tmp_path / "r.toml", "--cache", tmp_path / "c"]
    ran = cli(*args, *more, "--json")
    assert ran.code == 0 and ran.err == "step 25\n"
    wanted = CatalogueOptions(tmp_path, "resnet50", "DEFAULT", False, 64, 9, tmp_path / "r.toml")
    assert fitted == [(tmp_path / "feed.csv", tmp_path / "out", wanted, tmp_path / "c")]
    assert (ran.json["backbone"], ran.json["k"], ran.json["held_out"]) == ("bundled", 5, 120)
    measure = ran.json["measures"][0]
    assert (
        measure["before"]["micro"] == 0.5 and measure["after"]["micro"] == 0.75 and measure["chance"] is None
    )

    plain = cli(*args)
    assert fitted[-1][2] == CatalogueOptions()
    assert "note: few products" in plain.err and "P@5 on 120 held-out products" in plain.err
    assert plain.out.splitlines()[1].split() == ["shape", "article", "all", "0.500", "0.750", "+0.250", "90"]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ([], "either --catalog FEED"),
        (["--catalog", "f.csv", "--packs", "."], "either --catalog FEED"),
        (["--catalog", "f.csv", "--teacher", "t.tflite"], "--teacher is for --packs"),
        (["--packs", ".", "--backbone", "resnet50", "--side", "64"], "--backbone, --side is for --catalog"),
    ],
    ids=["neither", "both", "teacher", "packs"],
)
def test_options_of_one_way_are_not_for_the_other(cli, fitted, trained, tmp_path, options, says):
    ran = cli("train", "image", "--out", tmp_path / "out", *options)
    assert ran.code == 2 and says in ran.error and not fitted and not trained


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--backbone", "resnet5"], "near it are resnet50"),
        (["--backbone", "resnet18", "--weights", "no.pth"], "there is no weights file no.pth"),
        (["--steps", "0"], "no.csv does not exist"),
    ],
    ids=["backbone", "weights", "feed"],
)
def test_what_a_catalogue_run_refuses_is_one_line(cli, tmp_path, options, says):
    ran = cli("train", "image", "--catalog", tmp_path / "no.csv", "--out", tmp_path / "out", *options)
    assert ran.code in (2, 4) and says in ran.error


def test_steps_shorten_a_run_on_packs(cli, trained, tmp_path):
    assert cli("train", "image", "--packs", tmp_path, "--out", tmp_path / "out", "--steps", 5).code == 0
    assert trained[0][2].steps == 5
