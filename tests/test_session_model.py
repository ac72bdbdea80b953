"""The sequence model: against the network itself; loading, lengths, context, threads; and in answers."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from event_calls import settings_for, view
from fake_shop import FakeEncoders
from session_pairs import make_pair, network_of
from session_shop import VIEWED, VIEWS, ids, publish_with

from vision_rec import Recommender
from vision_rec.errors import IncompatibleError, InputError, IntegrityError, UnavailableError
from vision_rec.events import EventLog
from vision_rec.fusion import Aspect, AspectLayout
from vision_rec.recommend.session_model import VersionModel
from vision_rec.sessions import EVENT_TYPES, RecencyMean, ViewContext
from vision_rec.sessions.forward import SequenceForward
from vision_rec.sessions.model import SequenceModel, gap_steps
from vision_rec.sessions.network import SequenceNetwork
from vision_rec.sessions.pair import MODEL, read_arrays, read_config
from vision_rec.sessions.spec import GAP_STEPS, SequenceSpec

COLOUR = Aspect("colour", 4)
IDS = ["a", "b", "c", "d"]
LENGTH = 8


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("model") / "pair"
    make_pair(made, IDS, [COLOUR])
    return made


@pytest.fixture(scope="module")
def model(folder):
    return SequenceModel.load(folder)


def drawn(n=5, length=12, dim=10, seed=1):
    views = np.random.default_rng(seed).normal(size=(n, length, dim)).astype(np.float32)
    return views, np.array([12, 1, 8, 0, 5][:n])


@pytest.fixture(scope="module")
def network(folder):
    """The network that torch trains, with the weights of the pair."""
    config = read_config(folder)
    made = SequenceNetwork(SequenceSpec.from_fields(dict(config.spec))).eval()
    weights = read_arrays(folder, MODEL, config)
    made.load_state_dict({name: torch.from_numpy(value.copy()) for name, value in weights.items()})
    return made


def direct(network, rows, types=None, steps=None):
    """Ask the network itself about one session (L, D)."""
    shape = (1, len(rows))
    types = np.full(shape, EVENT_TYPES.index("view")) if types is None else types[None]
    steps = np.full(shape, GAP_STEPS - 1) if steps is None else steps[None]
    with torch.no_grad():
        given = (torch.from_numpy(rows[None]), torch.from_numpy(types), torch.from_numpy(steps))
        return network(*given)[0, -1].numpy()


def test_it_answers_as_the_network_does_after_the_last_view(model, network):
    views, lengths = drawn()
    found = model.encode(views, lengths)
    for session, length in enumerate(lengths):
        rows = views[session, max(0, length - LENGTH) : length]
        expected = direct(network, rows) if length else np.zeros(10)
        np.testing.assert_allclose(found[session], expected, atol=1e-5)
    assert found.dtype == np.float32 and np.abs(found[0] - found[2]).max() > 1e-3


def test_types_and_gaps_are_looked_at_as_in_training(model, network):
    views, lengths = drawn(2)
    rng = np.random.default_rng(5)
    types = rng.integers(1, 6, size=(2, 12))
    at = np.cumsum(rng.integers(1, 4000, size=(2, 12)), axis=1).astype(np.float64)
    at[0, :6] = np.nan
    gaps = np.diff(at, axis=1, prepend=np.nan)
    found = model.encode(views, lengths, None, ViewContext(types, gaps))
    for session, length in enumerate(lengths):
        part = slice(max(0, length - LENGTH), length)
        expected = direct(network, views[session, part], types[session, part], gap_steps(gaps[session, part]))
        np.testing.assert_allclose(found[session], expected, atol=1e-5)
    assert np.abs(found - model.encode(views, lengths)).max() > 1e-3


def test_a_share_of_the_answer_is_the_mean_of_the_views(folder):
    config = read_config(folder)
    weights = read_arrays(folder, MODEL, config)
    specs = [SequenceSpec.from_fields({**config.spec, "hold": hold}) for hold in (0.0, 0.4)]
    plain, held = (SequenceModel(config, SequenceForward(spec, weights)) for spec in specs)
    views, lengths = drawn()
    says = np.random.default_rng(2).uniform(0.2, 1.0, size=views.shape[:2]).astype(np.float32)
    mean = RecencyMean(layout=config.layout).encode(views, lengths, says)
    found = held.encode(views, lengths, says)
    expected = 0.6 * plain.encode(views, lengths, says) + 0.4 * mean
    np.testing.assert_allclose(found[lengths > 0], expected[lengths > 0], atol=1e-6)
    assert not found[lengths == 0].any()


def test_a_model_from_before_there_was_a_hold_is_read(folder):
    fields = dict(read_config(folder).spec)
    del fields["hold"]
    assert SequenceSpec.from_fields(fields).hold == 0.0
    with pytest.raises(InputError, match="missing or unknown"):
        SequenceSpec.from_fields({**fields, "more": 1})
    with pytest.raises(InputError, match="hold is 1.5"):
        SequenceSpec.from_fields({**fields, "hold": 1.5})


def test_gap_classes_are_powers_of_two():
    gaps = np.array([[np.nan, -3.0, 0.0, 0.9, 1.0, 2.9, 3.0, 60.0, 32766.0, 1e9]])
    assert gap_steps(gaps).tolist() == [[15, 0, 0, 0, 1, 1, 2, 5, 14, 15]]


def test_a_model_without_types_reads_rows_alone(tmp_path):
    layout = AspectLayout((COLOUR, Aspect("behaviour", 6)))
    for kind in ("attention", "gru"):
        make_pair(tmp_path / kind, IDS, [COLOUR], network=network_of(layout, event_types=0, kind=kind))
        plain = SequenceModel.load(tmp_path / kind)
        views, lengths = drawn(2)
        context = ViewContext(np.full((2, 12), 3), np.full((2, 12), 7.0))
        np.testing.assert_array_equal(
            plain.encode(views, lengths), plain.encode(views, lengths, None, context)
        )


def test_many_threads_get_the_same_answers(model):
    views, lengths = drawn()
    expected = model.encode(views, lengths)
    wrong: list[float] = []

    def ask():
        for _ in range(5):
            wrong.append(float(np.abs(model.encode(views, lengths) - expected).max()))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(wrong) == 20 and max(wrong) < 1e-5


def test_what_cannot_be_loaded_is_told(tmp_path, folder):
    with pytest.raises(IntegrityError, match="no session pair"):
        SequenceModel.load(tmp_path)
    make_pair(tmp_path / "table", IDS, network=False)
    with pytest.raises(UnavailableError, match="no sequence model"):
        SequenceModel.load(tmp_path / "table")
    other = AspectLayout((Aspect("colour", 5), Aspect("behaviour", 6)))
    with pytest.raises(
        IncompatibleError, match="reads rows of colour 4, behaviour 6; this index has colour 5"
    ):
        SequenceModel.load(folder, layout=other)
    with pytest.raises(InputError, match="views have 9 values"):
        SequenceModel.load(folder).encode(np.zeros((1, 2, 9), np.float32), np.array([2]))


def test_a_damaged_or_strange_model_is_told(tmp_path):
    make_pair(tmp_path / "pair", IDS, [COLOUR])
    path = tmp_path / "pair" / MODEL
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(IntegrityError, match="is damaged"):
        SequenceModel.load(tmp_path / "pair")

    class Odd:
        def __init__(self, network):
            self.spec = network.spec

        def state_dict(self):
            return {"weight": torch.zeros(3)}

    layout = AspectLayout((COLOUR, Aspect("behaviour", 6)))
    make_pair(tmp_path / "odd", IDS, [COLOUR], network=Odd(network_of(layout)))
    with pytest.raises(IntegrityError, match="cannot be used"):
        SequenceModel.load(tmp_path / "odd")


# ── in answers ───────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def indexes(tmp_path_factory):
    root = tmp_path_factory.mktemp("shop")
    publish_with(root / "indexes", root / "pair")
    return root / "indexes"


@pytest.fixture
def log(tmp_path):
    made = EventLog(settings_for(tmp_path / "var"))
    yield made
    made.close()


@pytest.fixture
def rec(indexes, log, tmp_path):
    settings = settings_for(tmp_path / "var")
    return Recommender.open(indexes, settings=settings, encoders=FakeEncoders(), history=log.history)


def test_the_versions_model_answers_and_the_recency_mean_where_asked(rec):
    learned = rec.recommend(recent=VIEWS, k=20)
    mean = rec.recommend(recent=VIEWS, k=20, session_model="recency")
    assert not learned.degraded and ids(learned) != ids(mean)
    rows = rec.state.rows[[rec.state.catalog.row_of(ident) for ident in VIEWS]]
    for answer, encoder in ((learned, rec.state.session_model.model), (mean, RecencyMean(layout=rec.layout))):
        wanted = encoder.encode(rows[None], np.array([3]))[0]
        for item in answer:
            stored = rec.state.rows[rec.state.catalog.row_of(item.product.id)]
            for name, part in item.parts.items():
                block = rec.layout.slice(name)
                expected = answer.weights[name] * float(wanted[block] @ stored[block])
                assert part == pytest.approx(expected, abs=1e-5)
            assert sum(item.parts.values()) == pytest.approx(item.score, abs=1e-5)
    with pytest.raises(InputError, match="session_model is 'newest'; allowed are auto, recency"):
        rec.recommend(recent=VIEWS, session_model="newest")


def test_answers_without_a_session_never_load_it(indexes, tmp_path):
    rec = Recommender.open(indexes, settings=settings_for(tmp_path / "var"), encoders=FakeEncoders())
    rec.similar("red-mug-plain-M")
    rec.recommend(session_id="stranger")
    assert "_loaded" not in rec.state.session_model.__dict__
    rec.recommend(recent=VIEWS)
    assert "_loaded" in rec.state.session_model.__dict__


def test_stored_types_reach_the_model(rec, log):
    for user, kind in (("looker", "view"), ("buyer", "purchase")):
        log.record([{**view(ident), "type": kind, "user_id": user} for ident in VIEWS])
    scores = {
        user: {item.product.id: item.score for item in rec.recommend(user_id=user, k=60)}
        for user in ("looker", "buyer")
    }
    both = set(scores["looker"]) & set(scores["buyer"])
    assert max(abs(scores["looker"][ident] - scores["buyer"][ident]) for ident in both) > 1e-3


def test_acts_on_one_product_right_after_one_another_are_one_as_in_training(rec):
    once = rec.recommend(recent=VIEWS, recent_types=["view", "view", "purchase"], k=5)
    parted = rec.recommend(recent=[*VIEWS, VIEWS[-1]], recent_types=["view", "view", "view", "purchase"], k=5)
    assert ids(once) == ids(parted)
    np.testing.assert_allclose([i.score for i in once], [i.score for i in parted], atol=1e-6)


def test_a_new_version_brings_its_own_model_and_a_rollback_the_old_one(tmp_path):
    root = tmp_path / "indexes"
    first = publish_with(root, tmp_path / "one")
    rec = Recommender.open(root, settings=settings_for(tmp_path / "var"), encoders=FakeEncoders())
    before = rec.recommend(recent=VIEWS, k=10)
    publish_with(root, tmp_path / "two", seed=1)
    assert rec.reload_if_changed() and ids(rec.recommend(recent=VIEWS, k=10)) != ids(before)
    from vision_rec.index.version import VersionStore

    VersionStore(root).activate(first.id)
    assert rec.reload_if_changed() and ids(rec.recommend(recent=VIEWS, k=10)) == ids(before)


def test_a_model_that_cannot_be_used_leaves_the_recency_mean(indexes, tmp_path, monkeypatch):
    def broken(*args, **options):
        raise IntegrityError("broken")

    monkeypatch.setattr(SequenceModel, "load", broken)
    rec = Recommender.open(indexes, settings=settings_for(tmp_path / "var"), encoders=FakeEncoders())
    answer = rec.recommend(recent=VIEWS, k=10)
    assert answer.degraded == ("session model",)
    mean = rec.recommend(recent=VIEWS, k=10, session_model="recency")
    assert ids(answer) == ids(mean) and not mean.degraded
    assert not rec.similar("red-mug-plain-M").degraded
    assert rec.similar("red-mug-plain-M", recent=VIEWS).degraded == ("session model",)


def test_a_version_without_a_model_is_not_degraded(tmp_path):
    publish_with(tmp_path / "indexes", tmp_path / "pair", with_model=False)
    settings = settings_for(tmp_path / "var")
    rec = Recommender.open(tmp_path / "indexes", settings=settings, encoders=FakeEncoders())
    auto, mean = (rec.recommend(recent=VIEWS, k=9, session_model=name) for name in ("auto", "recency"))
    assert ids(auto) == ids(mean) and not auto.degraded


def test_a_given_encoder_comes_before_the_versions(indexes, tmp_path):
    settings = settings_for(tmp_path / "var")
    rec = Recommender.open(
        indexes, settings=settings, encoders=FakeEncoders(), session_encoder=RecencyMean(0.5)
    )
    rec.recommend(recent=VIEWS)
    assert "_loaded" not in rec.state.session_model.__dict__


def test_viewed_together_is_the_reason(indexes, tmp_path):
    rec = Recommender.open(indexes, settings=settings_for(tmp_path / "var"), encoders=FakeEncoders())
    first = rec.similar(VIEWED[0], k=1, weights={"behaviour": 1})[0]
    assert first.reasons[0] == f"often viewed together {first.score:.2f}"


def test_a_model_that_is_absent_is_the_mean():
    views, lengths = drawn()
    np.testing.assert_array_equal(VersionModel().encode(views, lengths), RecencyMean().encode(views, lengths))
    assert not VersionModel().is_broken and VersionModel(Path("nowhere")).is_broken
