"""Folds of visitors: a batch learns with the graph of the others' co-visits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from session_data import TINY, cycles, data_of  # noqa: E402

from vision_rec.sessions.sequences import from_lists  # noqa: E402
from vision_rec.training.session_batches import SessionBatches  # noqa: E402
from vision_rec.training.session_graph import covisit_folds, covisits  # noqa: E402
from vision_rec.training.train_session import SessionTrainer, Start, make_objective  # noqa: E402

FOLDED = replace(TINY, graph=2.0, graph_folds=3)


def test_a_fold_does_not_know_its_own_visitors():
    sequences = from_lists(["ab", "cd", "ab", "ce"])
    first, second, whole = (graph.to_dense().numpy() for graph in covisit_folds(sequences, window=3, folds=2))
    a, b, c, d, e = range(5)
    assert first[a, b] == 0 and second[a, b] == whole[a, b] == 1  # visitors 0 and 2, of fold 0, saw a and b
    assert second[c, d] == second[c, e] == 0 and first[c, d] == first[c, e] == whole[c, e] > 0
    assert np.allclose(whole, covisits(sequences, window=3).to_dense().numpy())
    once = covisit_folds(sequences, window=3, folds=1)
    assert len(once) == 1 and np.allclose(once[0].to_dense().numpy(), whole)


def test_a_batch_is_of_one_fold_and_every_visitor_comes_once_an_epoch():
    sequences = from_lists([[f"{visitor}", *"xyz"[: visitor % 4]] for visitor in range(1, 41)])
    batches = SessionBatches(sequences, batch=4, length=5, seed=3, folds=3)
    firsts: list[int] = []
    folds = set[int]()
    for step in range(batches.steps):
        batch = batches.at(step)
        own = [sequences.owners[np.flatnonzero(sequences.items == item)[0]] for item in batch.viewed[:, 0]]
        assert {visitor % 3 for visitor in own} == {batch.fold} and len(own) <= 4
        firsts += own
        folds.add(batch.fold)
    assert sorted(firsts) == batches.visitors.tolist() and folds == {0, 1, 2}


def test_more_folds_than_visitors_leave_some_empty():
    sequences = from_lists(["ab", "bc"])
    batches = SessionBatches(sequences, batch=4, length=5, seed=0, folds=5)
    assert sorted(batches.at(step).fold for step in range(batches.steps)) == [0, 1]


def test_training_learns_with_the_folds_graph_and_serves_that_of_all():
    data = data_of(cycles(60))
    objective = make_objective(data, replace(FOLDED, start=1.0))
    table = objective.table.detach()
    with torch.no_grad():
        served, folds = objective.vectors(), [objective.vectors(fold) for fold in range(3)]
    graphs = [graph.to_dense() for graph in covisit_folds(data.train, window=3, folds=3)]
    plain = [torch.nn.functional.normalize(table + 2.0 * graph @ table, dim=1) for graph in graphs]
    for one, other in zip([*folds, served], plain, strict=True):
        assert torch.allclose(one, other, atol=1e-6)
    batch = SessionBatches(data.train, batch=4, length=6, seed=0, folds=3).at(0)
    as_whole = replace(batch, fold=-1)
    with torch.no_grad():
        assert float(objective.train()(batch)) != float(objective.train()(as_whole))
        assert float(objective.eval()(batch)) == float(objective.eval()(as_whole))


def test_it_learns_and_a_resumed_run_draws_the_same(tmp_path):
    data = data_of(cycles(160))
    recipe = replace(FOLDED, epochs=10, drop_seen=False, patience=10, rate=2e-2)
    assert SessionTrainer(data, recipe, tmp_path / "whole").run().figures.mrr > 0.95
    first = SessionTrainer(data, recipe, tmp_path / "broken")
    for _ in range(first.batches.steps + 2):
        first._one()
        first.step += 1
    first.save()
    second = SessionTrainer(data, recipe, tmp_path / "broken")
    assert second.resume() and second._one() == first._one()
    assert torch.equal(second.objective.table, first.objective.table)


def test_a_continued_training_begins_at_the_vectors_before(tmp_path):
    data = data_of(cycles(60))
    first = SessionTrainer(data, FOLDED, tmp_path / "first").run()
    vectors = first.vectors().copy()
    weights = {name: torch.from_numpy(value) for name, value in first.network().items()}
    again = SessionTrainer(data, FOLDED, tmp_path / "again", start=Start(weights, vectors))
    assert np.allclose(again.objective.vectors().detach().numpy(), vectors, atol=1e-6)
    assert again.run().figures.count > 0
