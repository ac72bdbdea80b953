"""From events to a published session pair: what is in it, going on, turning, refusing what is worse."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from vision_rec.errors import FeedError, InputError, LockedError  # noqa: E402
from vision_rec.fusion import unit  # noqa: E402
from vision_rec.index.lock import FolderLock  # noqa: E402
from vision_rec.sessions.model import SequenceModel  # noqa: E402
from vision_rec.sessions.network import SequenceNetwork  # noqa: E402
from vision_rec.sessions.pair import read_config, read_table  # noqa: E402
from vision_rec.sessions.pair_store import PairStore  # noqa: E402
from vision_rec.sessions.spec import SequenceSpec  # noqa: E402
from vision_rec.settings import Settings  # noqa: E402
from vision_rec.training import run_session, session_previous, session_returns  # noqa: E402
from vision_rec.training.procrustes import find_turn, turn_network  # noqa: E402
from vision_rec.training.run_session import SessionOptions, train_session  # noqa: E402
from vision_rec.training.session_ranks import Figures  # noqa: E402
from vision_rec.training.session_recipe import SessionRecipe  # noqa: E402

START = datetime(2026, 3, 1, tzinfo=UTC)
TINY = SessionRecipe(
    dim=8, width=16, layers=1, heads=2, length=6, dropout=0.0, input_dropout=0.0, batch=16, epochs=3,
    rate=1e-2, warmup=5, bf16=False, validation=0.2, continue_epochs=2, trial_epochs=1, drop_seen=False,
)  # fmt: skip


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class Interrupted(list):
    """Lines of a run that is stopped after its second epoch, before the checkpoint of that one."""

    def append(self, line):
        if line.startswith("epoch 2"):
            raise KeyboardInterrupt


def settings_of(folder):
    return Settings(
        paths={"indexes": folder / "indexes", "data": folder / "var"},
        encoders={"device": "cpu", "threads": 1, "runtime": "torch"},
    )


def write_views(path, *, visitors=60, seed=0, names="abcdefghijkl", day=0):
    """Write visits that walk one of four circles of three products each."""
    rng = np.random.default_rng(seed)
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(("user_id", "product_id", "type", "at"))
        for visitor in range(visitors):
            circle, at = rng.integers(4), rng.integers(3)
            moment = START + timedelta(days=day, minutes=float(visitor))
            for step in range(rng.integers(5, 9)):
                product = names[3 * circle + (at + step) % 3]
                moment += timedelta(minutes=float(rng.integers(1, 30)))
                table.writerow((f"anna-{day}-{visitor}", product, "view", moment.isoformat()))
    return path


@pytest.fixture
def views(tmp_path):
    return write_views(tmp_path / "views.csv")


def train(folder, *files, recipe=TINY, log=None, **options):
    lines = log if log is not None else []
    asked = SessionOptions(events=files, **options)
    return train_session(settings_of(folder), asked, recipe, log=lines.append)


def test_a_pair_is_published_and_answers(tmp_path, views):
    report = train(tmp_path, views)
    store = PairStore(tmp_path / "var" / "session")
    assert report.is_published and report.folder == store.current()
    config, table = read_config(report.folder), read_table(report.folder)
    assert config.fingerprint == report.fingerprint and config.layout.names == ("behaviour",)
    assert set(table.ids) == set("abcdefghijkl") and table.dim == 8
    assert np.allclose(np.linalg.norm(table.vectors, axis=1), 1, atol=2e-3)
    model = SequenceModel.load(report.folder)
    answer = model.encode(table.blocks(["a", "b"])[None], np.array([2]))
    assert answer.shape == (1, 8) and 0 < np.linalg.norm(answer) <= 1
    assert [measure["name"] for measure in report.to_fields()["measures"]] == [
        "sequence model", "recency mean", "popularity",
    ]  # fmt: skip
    notes = config.notes
    assert notes["visitors"] + notes["acts_held_out"] > 60 and notes["products_with_vector"] == 12
    assert notes["events_until"].startswith("2026-03-01") and notes["torch"] == torch.__version__
    assert notes["recipe"]["width"] == 16
    json.dumps(report.to_fields())


def test_nobody_is_named_in_anything_written(tmp_path, views):
    train(tmp_path, views)
    with pytest.raises(KeyboardInterrupt):  # so that a checkpoint stays
        train(tmp_path, views, recipe=replace(TINY, seed=1), log=Interrupted())
    written = [path for path in (tmp_path / "var").rglob("*") if path.is_file()]
    assert {"checkpoint.safetensors", "pair.json", "behaviour.safetensors"} <= {path.name for path in written}
    assert not any(b"anna" in path.read_bytes() for path in written)


def test_without_behaviour_enough_a_product_gets_no_vector(tmp_path, views):
    with views.open("a") as file:
        file.write(f"one,once,view,{START.isoformat()}\none,a,view,{START.isoformat()}\n")
        for product in ("late", "b", "late", "c"):  # viewed only in the time that is held out
            file.write(f"two,{product},view,{(START + timedelta(days=9)).isoformat()}\n")
            file.write(f"three,{product},view,{(START + timedelta(days=9)).isoformat()}\n")
    table = read_table(train(tmp_path, views).folder)
    assert set(table.ids) == set("abcdefghijkl")


@pytest.mark.parametrize("text", ["", "u,a,view,2026-03-01\nu,b,view,2026-03-01\n"])
def test_too_few_events_are_told_in_one_line(tmp_path, text):
    (tmp_path / "few.csv").write_text(f"user_id,product_id,type,at\n{text}")
    with pytest.raises(FeedError, match="collect more events first"):
        train(tmp_path, tmp_path / "few.csv")
    with pytest.raises(FeedError, match="the event store has 0 acts"):
        train(tmp_path)
    assert not (tmp_path / "var" / "session" / "CURRENT").exists()


def test_acts_that_cannot_be_foreseen_are_told(tmp_path, views):
    # In circles of three, what is done last is on products seen before.
    with pytest.raises(FeedError, match="seen before"):
        train(tmp_path, views, recipe=replace(TINY, drop_seen=True, validation=0.02))


def test_a_file_that_is_not_there_is_told(tmp_path):
    with pytest.raises(InputError, match="there is no file"):
        train(tmp_path, tmp_path / "no.csv")


def test_bad_rows_are_left_out_and_told(tmp_path, views):
    with views.open("a") as file:
        file.write("u,,view,2026-03-01\nu,a,stare,2026-03-01\n")
    lines = []
    train(tmp_path, views, log=lines)
    assert any("2 rows cannot be read" in line for line in lines)


def test_a_pair_can_be_written_to_a_folder_instead(tmp_path, views):
    report = train(tmp_path, views, out=tmp_path / "pair")
    assert report.folder == tmp_path / "pair" and read_config(tmp_path / "pair").has_model
    assert not (tmp_path / "var" / "session" / "CURRENT").exists()
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith(".")) == []


def test_the_next_night_is_turned_onto_the_space_of_the_one_before(tmp_path, views):
    first = train(tmp_path, views)
    lines = []
    second = train(tmp_path, views, recipe=replace(TINY, seed=5, epochs=12), log=lines)
    spaces = [read_config(report.folder).space for report in (first, second)]
    assert spaces[0] == spaces[1] and first.fingerprint != second.fingerprint
    turned = second.notes["turned_onto"]
    assert turned["fingerprint"] == first.fingerprint and turned["products"] == 12
    assert turned["mean_cosine"] > 0.3
    old, new = read_table(first.folder), read_table(second.folder)
    agreement = np.einsum("nd,nd->n", old.blocks(new.ids), new.vectors).mean()
    assert agreement == pytest.approx(turned["mean_cosine"], abs=0.01)


def test_nights_that_share_too_little_are_of_two_spaces(tmp_path, views):
    first = train(tmp_path, views)
    other = train(tmp_path, write_views(tmp_path / "others.csv", names="mnopqrstuvwx"))
    assert read_config(first.folder).space != read_config(other.folder).space
    assert "turned_onto" not in other.notes


@pytest.mark.parametrize("kind", ["attention", "gru"])
def test_a_turned_model_scores_as_before(kind):
    rng = np.random.default_rng(0)
    torch.manual_seed(0)
    spec = SequenceSpec(dims=(5, 8), kind=kind, width=16, layers=2, heads=2, dropout=0.0)
    network = SequenceNetwork(spec).eval()
    weights = {name: value.numpy() for name, value in network.state_dict().items()}
    content = unit(rng.normal(size=(30, 5)).astype(np.float32))
    vectors = unit(rng.normal(size=(30, 8)).astype(np.float32))
    rotation = np.linalg.qr(rng.normal(size=(8, 8)))[0].astype(np.float32)
    turn = find_turn([*"x" * 0, *map(str, range(30))], vectors, [*map(str, range(30))], vectors @ rotation)
    assert turn is not None and np.allclose(turn.rotation, rotation, atol=1e-5)
    assert turn.shared == 30 and turn.agreement == pytest.approx(1, abs=1e-5)
    turned = SequenceNetwork(spec).eval()
    new = turn_network(weights, turn.rotation)
    turned.load_state_dict({name: torch.from_numpy(value) for name, value in new.items()})
    rows = [np.concatenate([content, part], axis=1) for part in (vectors, vectors @ turn.rotation)]
    views = torch.tensor([[3, 1, 4, 1, 5], [9, 2, 6, 5, 3]])
    with torch.no_grad():
        scores = [
            net(torch.from_numpy(table)[views]).numpy() @ table.T
            for net, table in zip((network, turned), rows, strict=True)
        ]
    assert np.allclose(scores[0], scores[1], atol=1e-5)


def test_a_turn_needs_shared_vectors_of_one_width():
    rng = np.random.default_rng(0)
    vectors = unit(rng.normal(size=(10, 4)).astype(np.float32))
    names = [str(number) for number in range(10)]
    assert find_turn(names, vectors, names, vectors[:, :3]) is None
    assert find_turn(names, vectors, [f"{name}x" for name in names], vectors) is None
    partly = vectors.copy()
    partly[:7] = 0
    assert find_turn(names, partly, names, vectors) is None
    assert find_turn(names, partly, names, vectors, least=3) is not None
    got = find_turn(names, vectors, names[::-1], vectors[::-1])
    assert np.allclose(got.rotation @ got.rotation.T, np.eye(4), atol=1e-5)
    assert got.agreement == pytest.approx(1, abs=1e-5)


def test_going_on_starts_from_the_pair_in_use(tmp_path, views):
    first = train(tmp_path, views, recipe=replace(TINY, epochs=12))
    more = write_views(tmp_path / "more.csv", day=1, seed=1)
    lines = []
    second = train(tmp_path, views, more, recipe=TINY, go_on=True, log=lines)
    assert any(line.startswith("going on from") for line in lines)
    new, before = (second.measures[name].ndcg10 for name in ("sequence model", "model before"))
    assert second.is_published == (new >= before) and second.notes["recipe"]["epochs"] == 2
    assert before > 0.5  # chance gives 0.3
    if second.is_published:
        # Two short epochs after twelve: still nearly the model of before.
        assert second.notes["turned_onto"]["mean_cosine"] > 0.7
        assert read_config(second.folder).space == read_config(first.folder).space


def test_going_on_keeps_the_old_pair_where_the_new_is_worse(tmp_path, views, monkeypatch):
    first = train(tmp_path, views)
    best = Figures(1.0, 1.1, 1.0, 50)
    monkeypatch.setattr(session_previous.Previous, "figures", lambda self, trainer: best)
    lines = []
    second = train(tmp_path, views, go_on=True, log=lines)
    assert not second.is_published and second.kept == "model before"
    assert any(line.startswith("not published: validation fell") for line in lines)
    assert PairStore(tmp_path / "var" / "session").current() == first.folder
    assert second.fingerprint == first.fingerprint


@pytest.mark.parametrize("before", ["nothing", "other rows"])
def test_where_there_is_nothing_to_go_on_from_a_new_model_is_trained(tmp_path, views, before, monkeypatch):
    if before == "other rows":
        train(tmp_path, views)
        monkeypatch.setattr(session_previous.Previous, "fits", lambda self, content: False)
    lines = []
    report = train(tmp_path, views, go_on=True, log=lines)
    assert report.is_published and any("training a new one" in line for line in lines)


def test_coming_back_is_learned_told_and_counted_in_the_pair_before(tmp_path, views, monkeypatch):
    monkeypatch.setattr(session_returns, "_ENOUGH", 20)
    settings, lines = settings_of(tmp_path), []
    first = train_session(settings, SessionOptions((views,)), TINY, log=lines.append)
    returns = SequenceModel.load(first.folder).returns
    told = (
        f"coming back: the product viewed last gains {returns[0]:+.2f}, those viewed before {returns[1]:+.2f}"
    )
    assert len(returns) == 2 and told in lines
    again = train_session(settings, SessionOptions((views,), go_on=True), TINY)
    # On the same acts the pair before has the figures that it was published with, amounts included.
    before, published = again.measures[run_session.BEFORE], first.measures[run_session.MODEL]
    assert before.ndcg10 == pytest.approx(published.ndcg10, abs=0.02)
    new_only = train_session(settings, SessionOptions((views,)), replace(TINY, drop_seen=True))
    assert SequenceModel.load(new_only.folder).returns == ()


def test_a_damaged_pair_before_is_told_and_replaced(tmp_path, views):
    first = train(tmp_path, views)
    (first.folder / "pair.json").write_text("{")
    lines = []
    second = train(tmp_path, views, log=lines)
    assert any("is not used" in line for line in lines)
    assert PairStore(tmp_path / "var" / "session").current() == second.folder


def test_auto_tries_both_kinds(tmp_path, views):
    lines = []
    report = train(tmp_path, views, recipe=replace(TINY, kind="auto"), log=lines)
    assert any("attention NDCG@10" in line and "gru NDCG@10" in line for line in lines)
    assert report.notes["kind"] in ("attention", "gru")


def test_auto_keeps_the_recency_mean_where_it_is_better(tmp_path, views, monkeypatch):
    monkeypatch.setattr(
        run_session, "mean_score", lambda objective, mean: lambda trials: _perfect(objective, trials)
    )
    report = train(tmp_path, views, recipe=replace(TINY, kind="auto", epochs=1))
    assert report.kept == "recency mean" and report.is_published
    assert not read_config(report.folder).has_model and len(read_table(report.folder).ids) == 12


def _perfect(objective, trials):
    wanted = torch.from_numpy(trials.held.sequences.items[trials.targets].astype(np.int64))
    return torch.nn.functional.one_hot(wanted, len(objective.content)).float()


def test_a_stopped_run_goes_on_with_the_events_it_had(tmp_path, views):
    whole = train(tmp_path / "whole", views)

    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "broken", views, log=Interrupted())
    with views.open("a") as file:  # events go on meanwhile
        file.write(f"late,a,view,{(START + timedelta(days=3)).isoformat()}\n")
        file.write(f"late,b,view,{(START + timedelta(days=3)).isoformat()}\n")
    lines = []
    resumed = train(tmp_path / "broken", views, log=lines)
    assert any(line.startswith("going on from epoch 1") for line in lines)
    assert resumed.measures == whole.measures
    tables = [read_table(report.folder) for report in (whole, resumed)]
    assert tables[0].ids == tables[1].ids and np.array_equal(tables[0].vectors, tables[1].vectors)
    assert not (tmp_path / "broken" / "var" / "session" / ".training" / "run").exists()


def test_a_stopped_run_of_another_recipe_is_not_gone_on_with(tmp_path, views):
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, views, log=Interrupted())
    lines = []
    train(tmp_path, views, recipe=replace(TINY, width=8), log=lines)
    assert any("starting anew" in line for line in lines)


def test_two_trainings_at_once_are_refused(tmp_path, views):
    work = tmp_path / "var" / "session" / ".training"
    work.mkdir(parents=True)
    with FolderLock(work / ".lock").hold(), pytest.raises(LockedError):
        train(tmp_path, views)


def test_views_of_sessions_are_told_apart(tmp_path, views):
    report = train(tmp_path, views, by="session")
    assert report.notes["by"] == "session"
