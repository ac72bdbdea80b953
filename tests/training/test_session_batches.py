"""What session training is fed with and validated by: batches, the graph of co-visits, ranks."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from session_data import TINY, cycles, data_of  # noqa: E402

from vision_rec.sessions import RecencyMean  # noqa: E402
from vision_rec.sessions.sequences import HeldOut, from_lists  # noqa: E402
from vision_rec.training.session_batches import SessionBatches  # noqa: E402
from vision_rec.training.session_graph import covisits  # noqa: E402
from vision_rec.training.session_ranks import Figures, Trials, figures, mean_score, popular_score  # noqa: E402
from vision_rec.training.train_session import Start, make_objective  # noqa: E402


def plain_covisits(sequences, window):
    """Return the dense matrix of co-visits by loops."""
    near = np.zeros((len(sequences.products),) * 2)
    for visitor in range(len(sequences)):
        items = sequences.items[sequences.of(visitor)]
        for first in range(len(items)):
            for second in range(first + 1, min(first + window + 1, len(items))):
                near[items[first], items[second]] += 1 / (second - first)
                near[items[second], items[first]] += 1 / (second - first)
    total = near.sum(1)
    return near / np.sqrt(np.outer(total, total))


def test_the_graph_is_that_of_plain_loops():
    sequences = cycles(30)
    graph = covisits(sequences, window=3).to_dense().numpy()
    assert np.allclose(graph, plain_covisits(sequences, 3), atol=1e-6)
    assert np.linalg.eigvalsh(graph).max() <= 1 + 1e-6


def test_weak_links_of_the_graph_are_left_out():
    rng = np.random.default_rng(0)
    sequences = from_lists([[str(item) for item in rng.integers(0, 15, 6)] for _ in range(80)])
    whole, few = (covisits(sequences, window=3, neighbours=most).to_dense().numpy() for most in (99, 4))
    assert np.allclose(few, few.T)
    for row in range(15):
        strongest = np.sort(whole[row])[-4:]
        assert np.allclose(np.sort(few[row])[-4:], strongest)
    assert ((few == 0) | (few == whole)).all() and (few > 0).sum() < (whole > 0).sum()


def test_vectors_are_smoothed_over_the_graph_and_learn_through_it():
    data = data_of(cycles(30))
    objective = make_objective(data, replace(TINY, graph=3.0, start=1.0))
    graph = torch.from_numpy(plain_covisits(data.train, 3)).float()
    plain = torch.nn.functional.normalize(objective.table + 3.0 * graph @ objective.table, dim=1)
    assert torch.allclose(objective.vectors(), plain, atol=1e-6)
    wanted = torch.randn(12, 8)
    found = [
        torch.autograd.grad((vectors * wanted).sum(), objective.table)[0]
        for vectors in (objective.vectors(), plain)
    ]
    assert torch.allclose(*found, atol=1e-5)


def test_going_on_begins_new_products_beside_their_neighbours():
    data = data_of(cycles(30))
    old = torch.nn.functional.normalize(torch.randn(12, 8), dim=1).numpy()
    old[3] = 0.0
    weights = make_objective(data, TINY).network.state_dict()
    vectors = make_objective(data, replace(TINY, graph=2.0), Start(weights, old)).vectors().detach().numpy()
    assert np.allclose(np.delete(vectors, 3, 0), np.delete(old, 3, 0), atol=1e-6)
    beside = plain_covisits(data.train, 3)[3] @ old
    assert vectors[3] @ beside / np.linalg.norm(beside) > 0.95


def test_batches_follow_from_seed_and_step_and_hold_each_visitor_once_an_epoch():
    sequences = from_lists([[f"{visitor}", *"xyz"[: visitor % 4]] for visitor in range(1, 31)])
    batches, same = (SessionBatches(sequences, batch=7, length=5, seed=3) for _ in range(2))
    steps = range(batches.steps)
    assert all(torch.equal(batches.at(step).viewed, same.at(step).viewed) for step in steps)
    firsts = torch.cat([batches.at(step).viewed[:, 0] for step in steps]).tolist()
    assert sorted(firsts) == sorted(int(sequences.items[sequences.of(v)][0]) for v in batches.visitors)
    other = SessionBatches(sequences, batch=7, length=5, seed=4)
    assert any(batches.at(step).viewed.tolist() != other.at(step).viewed.tolist() for step in steps)


def test_of_long_histories_any_stretch_is_taken():
    sequences = from_lists([[str(item) for item in range(40)]])
    batches = SessionBatches(sequences, batch=1, length=5, seed=0)
    stretches = [batches.at(step) for step in range(30)]
    assert len({int(batch.viewed[0, 0]) for batch in stretches}) > 10
    for batch in stretches:
        assert batch.viewed[0, 1:].tolist() == batch.wanted[0, :-1].tolist() and batch.viewed.shape == (1, 5)


def test_ranks_leave_out_what_was_seen_and_count_ties_against_the_model():
    held = HeldOut.after_first(from_lists(["abcd", "ba", "aba"]))
    trials = Trials.of(held, length=2)
    assert len(trials) == 5  # going back to a does not count
    scores = torch.tensor([3.0, 2.0, 1.0, 0.0])
    found = figures(lambda part: scores.repeat(len(part), 1), trials, 4)
    assert found.mrr == pytest.approx(1.0)  # what is better was seen
    nothing = figures(lambda part: torch.zeros(len(part), 4), trials, 4)
    assert nothing.mrr == pytest.approx(np.mean([1 / 3, 1 / 2, 1, 1 / 3, 1 / 3]))
    every = figures(
        lambda part: scores.repeat(len(part), 1),
        Trials.of(held, length=2, drop_seen=False),
        4,
        drop_seen=False,
    )
    assert every.count == 6 and every.mrr == pytest.approx(np.mean([1 / 2, 1 / 3, 1 / 4, 1, 1 / 2, 1]))
    assert Figures.of(np.array([0, 9, 10])) == Figures(
        2 / 3, pytest.approx((1 + 1 / math.log2(11)) / 3), pytest.approx((1 + 0.1 + 1 / 11) / 3), 3
    )


def test_the_recency_mean_and_popularity_are_ranked_alike():
    data = data_of(cycles(60))
    objective = make_objective(data, replace(TINY, start=1.0)).eval()
    trials = Trials.of(data.validation, length=6)
    assert figures(mean_score(objective, RecencyMean()), trials, 12).count == len(trials)
    popular = figures(popular_score(data.train.counts()), trials, 12)
    assert 0 < popular.mrr < 1
