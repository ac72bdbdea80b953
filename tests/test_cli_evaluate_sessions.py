"""`evaluate-sessions` on the command line: sources, protocols, models, wrong input."""

from __future__ import annotations

import json

import numpy as np
import pytest
from fakes import fake_encoders

from vision_rec.errors import IncompatibleError, InputError
from vision_rec.evaluate_sessions import run as runs
from vision_rec.evaluate_sessions.run import current_pair, evaluate_sessions, open_shop
from vision_rec.events.files import read_event_files
from vision_rec.fusion import Aspect, AspectLayout, unit
from vision_rec.reindex import reindex
from vision_rec.sessions.pair import BEHAVIOUR, write_pair
from vision_rec.sessions.pair_store import PairStore
from vision_rec.sessions.sequences import from_events
from vision_rec.settings import Settings


@pytest.fixture(scope="module")
def views(published):
    return published.shop / "views.csv"


@pytest.fixture(scope="module")
def events(views):
    return list(read_event_files([views], on_error=pytest.fail))


@pytest.fixture(scope="module")
def shop(published):
    return open_shop(published.indexes)


def pair_at(folder, products, others=(), *, encoders=None, notes=None, model=True):
    """A pair with drawn vectors and, unless told not to, an untrained network."""
    rng = np.random.default_rng(0)
    vectors = unit(rng.normal(size=(len(products), 8)).astype(np.float32))
    layout = AspectLayout((*others, Aspect(BEHAVIOUR, 8, default_weight=0.5)))
    spec = network = None
    if model:
        import torch

        from vision_rec.sessions.network import SequenceNetwork
        from vision_rec.sessions.spec import SequenceSpec

        torch.manual_seed(0)
        form = SequenceSpec(tuple(a.dim for a in layout.aspects), width=8, layers=1, length=5)
        network = {name: value.numpy() for name, value in SequenceNetwork(form).state_dict().items()}
        spec = form.to_fields()
    write_pair(
        folder, ids=list(products), vectors=vectors, network=network, spec=spec, layout=layout,
        space="a", notes=notes or {}, encoders=encoders,
    )  # fmt: skip
    return folder


def test_without_index_and_model_the_simple_ones_are_compared(cli, views, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ran = cli("evaluate-sessions", "--events", views, "--k", "5,10", "--json")
    assert ran.code == 0 and ran.json["k"] == [5, 10] and ran.json["protocol"] == "last"
    assert [one["model"] for one in ran.json["models"]] == ["popularity", "co-visits"]
    co_visits = ran.json["models"][1]
    assert co_visits["cases"] == ran.json["cases"] > 5
    assert 0 < co_visits["hr@5"] <= co_visits["hr@10"] <= 1 and co_visits["hr@10"] == co_visits["recall@10"]
    assert {f"{name}@10" for name in ("ndcg", "mrr", "precision", "f1", "coverage", "gini")} <= set(co_visits)
    assert ran.json["notes"] == [] and not list(tmp_path.iterdir())


def test_the_table_has_one_row_per_model(cli, published, views):
    ran = cli("evaluate-sessions", "--events", views, "--protocol", "time", "--k", "10", *published.common)
    lines = ran.out.splitlines()
    assert ran.code == 0 and "80 products, all ranked" in lines[0]
    assert lines[1].split() == "model hr@10 ndcg@10 mrr coverage@10 popularity@10 cold_recall@10".split()
    assert [line.split()[0] for line in lines[2:]] == ["popularity", "co-visits", "recency"]


def test_events_of_the_store_are_those_of_the_file(cli, published, views, tmp_path):
    place = published.copy(tmp_path / "place")
    assert cli("events", "import", views, *place.common).code == 0
    stored, from_file = (
        cli("evaluate-sessions", "--by", "session", "--json", *source, *place.common).json
        for source in ([], ["--events", views])
    )
    assert stored["cases"] == from_file["cases"]
    for ours, theirs in zip(stored["models"], from_file["models"], strict=True):
        assert ours == pytest.approx(theirs, abs=1e-9)


def test_a_trained_pair_is_measured_on_its_own_rows(events, shop, tmp_path):
    products = from_events(events).products
    alone = pair_at(tmp_path / "alone", products)
    found = evaluate_sessions(events, pair=alone, ks=(10,))
    assert [one.model for one in found.models] == ["popularity", "co-visits", "recency", "trained"]
    assert "nothing says when it was trained" in found.notes[0]
    beside = pair_at(tmp_path / "beside", products, shop.layout.aspects, encoders=shop.encoders)
    assert evaluate_sessions(events, shop=shop, pair=beside, ks=(10,)).products == 80
    table = pair_at(tmp_path / "table", products, model=False)
    assert [one.model for one in evaluate_sessions(events, pair=table).models][2:] == ["recency"]


def test_pairs_that_do_not_fit_are_refused(events, shop, tmp_path):
    products = from_events(events).products
    wide = pair_at(tmp_path / "wide", products, (Aspect("colour", 7),))
    with pytest.raises(InputError, match="reads colour too; give the index"):
        evaluate_sessions(events, pair=wide)
    with pytest.raises(IncompatibleError, match="other blocks colour"):
        evaluate_sessions(events, shop=shop, pair=wide)
    other = pair_at(tmp_path / "other", products, shop.layout.aspects, encoders={"image": "?"})
    with pytest.raises(IncompatibleError, match="another encoder"):
        evaluate_sessions(events, shop=shop, pair=other)


@pytest.mark.parametrize(("until", "told"), [("2026-02-20T00:00:00+00:00", True), ("2024-01-01", False)])
def test_what_the_model_may_have_learned_from_is_told(events, tmp_path, until, told):
    pair = pair_at(tmp_path / "pair", from_events(events).products, notes={"events_until": f"{until}"})
    notes = evaluate_sessions(events, pair=pair, ks=(5,)).notes
    assert bool(notes) == told and (not told or "cases are not from after 2026-02-20" in notes[0])


def test_an_index_of_other_products_is_not_used_unasked(cli, published, views, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    published.copy(tmp_path)
    text = views.read_text().splitlines()
    (tmp_path / "other.csv").write_text(
        "\n".join([text[0], *(f"{line.replace('-', '-x', 1)}" for line in text[1:])])
    )
    ran = cli("evaluate-sessions", "--events", "other.csv", "--json")
    assert "is not used" in ran.json["notes"][0] and len(ran.json["models"]) == 2
    asked = cli("evaluate-sessions", "--events", "other.csv", "--index", "indexes")
    assert asked.code == 2 and "leaves nothing to predict" in asked.error


def test_many_cases_are_drawn(events, monkeypatch):
    monkeypatch.setattr(runs, "MAX_CASES", 30)
    found = evaluate_sessions(events, protocol="time")
    assert found.cases + found.left_out <= 30 and "cases were drawn" in found.notes[0]


def test_bad_rows_are_told_and_the_rest_is_measured(cli, views, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "views.csv").write_text(
        views.read_text() + "s1,u1,,view,2026-01-01\ns1,u1,A,stare,2026-01-01\n"
    )
    ran = cli("evaluate-sessions", "--events", "views.csv", "--json")
    assert ran.code == 3 and ran.json["rejected"] == 2 and "'stare'" in ran.err


@pytest.mark.parametrize(
    ("args", "code", "says"),
    [
        (["--events", "no.csv"], 4, "no.csv"),
        (["--protocol", "first"], 2, "allowed are last, time"),
        (["--k", "ten"], 2, "whole numbers such as 10,20"),
        (["--k", "0"], 2, "from 1 to 1000"),
        (["--by", "shop"], 2, "allowed are user and session"),
        (["--model", "none"], 2, "no folder none"),
        (["--model", "."], 5, "no session pair"),
        (["--index", "none"], 8, "no index version"),
        ([], 2, "leaves nothing to predict"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_input_is_one_line(cli, tmp_path, monkeypatch, args, code, says):
    monkeypatch.chdir(tmp_path)
    ran = cli("evaluate-sessions", *args)
    assert (ran.code, says in ran.error, ran.out) == (code, True, ""), ran.err


def test_few_events_are_not_enough(cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "few.jsonl").write_text(json.dumps({"product_id": "a", "user_id": "u"}) + "\n")
    ran = cli("evaluate-sessions", "--events", "few.jsonl")
    assert ran.code == 2 and "more events are needed" in ran.error


def test_the_model_of_the_index_is_taken_unasked(cli, published, views, events, shop, tmp_path):
    place = published.copy(tmp_path / "place")
    pair = pair_at(
        tmp_path / "new", from_events(events).products, shop.layout.aspects, encoders=shop.encoders
    )
    PairStore(place.root / "var" / "session").publish(pair)
    settings = Settings(paths={"indexes": place.indexes, "data": place.root / "var"}, images={"workers": 1})
    reindex(place.feed, settings=settings, reviews=place.shop / "reviews.csv", encoders=fake_encoders())
    ran = cli("evaluate-sessions", "--events", views, "--index", place.indexes, "--data", tmp_path, "--json")
    assert ran.code == 0, ran.err
    own = ran.json["models"]
    assert [one["model"] for one in own] == ["popularity", "co-visits", "recency", "trained"]
    beside = cli(
        "evaluate-sessions", "--events", views, "--model", current_pair(settings), *place.common, "--json"
    )
    for mine, theirs in zip(own, beside.json["models"], strict=True):
        assert mine == pytest.approx(theirs, abs=1e-6)
