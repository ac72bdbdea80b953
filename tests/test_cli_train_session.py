"""`train session`: what is asked reaches the training, its table comes out, a small shop end to end."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("torch")

RECIPE = """\
dim = 8
width = 16
layers = 1
length = 6
batch = 64
epochs = 2
warmup = 5
"""


@pytest.fixture
def asked(monkeypatch, tmp_path):
    from vision_rec.training import run_session
    from vision_rec.training.run_session import SessionReport
    from vision_rec.training.session_ranks import Figures

    calls = []

    def train(settings, options, recipe, *, log):
        calls.append((options, recipe))
        log("epoch 1 of 1")
        measures = {
            "sequence model": Figures(0.5, 0.25, 0.2, 90),
            "recency mean": Figures(0.1, 0.05, 0.04, 90),
        }
        return SessionReport(tmp_path / "pair", "ab" * 32, True, "sequence model", measures, {"acts": 3})

    monkeypatch.setattr(run_session, "train_session", train)
    return calls


def test_options_reach_the_training(cli, asked, tmp_path):
    from vision_rec.training.run_session import SessionOptions
    from vision_rec.training.session_recipe import SessionRecipe

    recipe = tmp_path / "recipe.toml"
    recipe.write_text("width = 32\nepochs = 9\n")
    args = ["--events", "a.csv", "--events", "b.csv", "--index", tmp_path, "--out", tmp_path / "pair"]
    more = ["--recipe", recipe, "--kind", "auto", "--minutes", "2.5", "--by", "session", "--json"]
    ran = cli("train", "session", *args, *more)
    assert ran.code == 0 and ran.err == "epoch 1 of 1\n"
    options, chosen = asked[0]
    assert [str(file) for file in options.events] == ["a.csv", "b.csv"]
    assert (options.index, options.out) == (tmp_path, tmp_path / "pair")
    assert (options.by, options.minutes, options.go_on) == ("session", 2.5, False)
    assert chosen == SessionRecipe(width=32, epochs=9, kind="auto")
    assert ran.json["kept"] == "sequence model" and ran.json["published"] is True
    assert ran.json["measures"][0] == {
        "name": "sequence model", "hr@10": 0.5, "ndcg@10": 0.25, "mrr": 0.2, "count": 90,
    }  # fmt: skip
    assert cli("train", "session", "--continue", "--epochs", "3").code == 0
    assert asked[1] == (SessionOptions(go_on=True), SessionRecipe(epochs=3, continue_epochs=3))


def test_the_table_says_what_won(cli, asked):
    ran = cli("train", "session", "--quiet")
    lines = [line.split() for line in ran.out.splitlines()]
    assert lines[0] == ["model", "HR@10", "NDCG@10", "MRR", "acts", "kept"]
    assert lines[1] == ["sequence", "model", "0.5000", "0.2500", "0.2000", "90", "yes"]
    assert lines[2] == ["recency", "mean", "0.1000", "0.0500", "0.0400", "90"]
    assert not ran.err


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--by", "shop"], "user and session"),
        (["--kind", "lstm"], "attention, gru, auto"),
        (["--minutes", "0"], "above 0"),
        (["--epochs", "0"], "1 or more"),
        (["--recipe", "no.toml"], "no.toml"),
        (["--events", "no.csv"], "no.csv"),
    ],
)
def test_what_makes_no_sense_is_wrong_usage(cli, tmp_path, more, says):
    ran = cli("train", "session", "--data", tmp_path / "var", *more)
    assert ran.code == 2 and says in ran.err and not ran.out


def test_too_few_events_end_with_exit_4_and_one_line(cli, tmp_path):
    ran = cli("train", "session", "--data", tmp_path / "var", "--indexes", tmp_path / "indexes")
    assert ran.code == 4 and not ran.out
    assert len(ran.err.splitlines()) == 1 and "collect more events" in ran.err


def test_a_small_shop_end_to_end(cli, drawn_shop, tmp_path):
    from vision_rec.sessions.pair import read_config, read_table

    (tmp_path / "recipe.toml").write_text(RECIPE)
    places = ["--data", tmp_path / "var", "--indexes", tmp_path / "indexes"]
    (tmp_path / "vision-rec.toml").write_text("[encoders]\nthreads = 1\ndevice = 'cpu'\n")
    given = ["--recipe", tmp_path / "recipe.toml", "--config", tmp_path / "vision-rec.toml", "--quiet"]
    views = drawn_shop.shop / "views.csv"
    ran = cli("train", "session", "--events", views, "--kind", "attention", *places, *given, "--json")
    assert ran.code == 0, ran.err
    folder = tmp_path / "var" / "session" / (tmp_path / "var" / "session" / "CURRENT").read_text().strip()
    assert ran.json["folder"] == str(folder) and read_config(folder).fingerprint == ran.json["fingerprint"]
    assert len(read_table(folder).ids) > 10
    # The same from the event store, going on.
    assert cli("events", "import", drawn_shop.shop / "views.csv", *places, "--quiet").code == 0
    again = cli("train", "session", "--continue", "--epochs", "1", *places, *given, "--json")
    assert again.code == 0, again.err
    names = [measure["name"] for measure in again.json["measures"]]
    assert names == ["sequence model", "recency mean", "popularity", "model before"]
    said = json.dumps(again.json)
    assert "u0001" not in said and again.json["notes"]["recipe"]["epochs"] == 1


def test_beside_an_index_the_rows_hold_its_blocks_and_behaviour(cli, published, tmp_path):
    from vision_rec.index.version import VersionStore
    from vision_rec.sessions.pair import read_config

    (tmp_path / "recipe.toml").write_text(RECIPE)
    (tmp_path / "vision-rec.toml").write_text("[encoders]\nthreads = 1\ndevice = 'cpu'\n")
    views = published.shop / "views.csv"
    given = ["--recipe", tmp_path / "recipe.toml", "--config", tmp_path / "vision-rec.toml", "--json"]
    pair = tmp_path / "pair"
    ran = cli("train", "session", "--events", views, "--index", published.indexes, "--out", pair, *given)
    assert ran.code == 0, ran.err
    with VersionStore(published.indexes).open() as version:
        names, made = version.layout.names, dict(version.manifest.fingerprints)
        current = version.id
    config = read_config(pair)
    assert config.layout.names == (*names, "behaviour") and dict(config.encoders) == made
    assert config.notes["index_version"] == current and config.notes["products"] == 80
    assert list(config.spec["dims"]) == [aspect.dim for aspect in config.layout.aspects]
    # An index that does not know the products viewed is not used unless it is named.
    strange = tmp_path / "strange.csv"
    head, *rows = views.read_text().splitlines()
    at = head.split(",").index("product_id")
    cells = [row.split(",") for row in rows]
    renamed = [",".join([*row[:at], f"x-{row[at]}", *row[at + 1 :]]) for row in cells]
    strange.write_text("\n".join([head, *renamed]))
    ran = cli("train", "session", "--events", strange, "--indexes", published.indexes, "--out", pair, *given)
    assert ran.code == 0 and "it is not used" in ran.err
    assert read_config(pair).layout.names == ("behaviour",)
