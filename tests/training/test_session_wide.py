"""Wider behaviour vectors: what was learned stays, what the graph knows is added."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from session_data import TINY, cycles, data_of  # noqa: E402

from vision_rec.errors import InputError  # noqa: E402
from vision_rec.fusion import unit  # noqa: E402
from vision_rec.sessions.sequences import from_lists  # noqa: E402
from vision_rec.training.session_graph import covisits, projected  # noqa: E402
from vision_rec.training.session_wide import widened  # noqa: E402
from vision_rec.training.train_session import SessionTrainer  # noqa: E402

WIDE = replace(TINY, graph=2.0, projected=16, projected_share=0.4)


def trained(tmp_path, recipe=WIDE, content=None):
    data = data_of(cycles(), content=content)
    trainer = SessionTrainer(data, recipe, tmp_path, device="cpu")
    return trainer.run(), data, trainer.trials


def test_projections_keep_the_inner_products_of_the_graphs_rows():
    lists = [[f"p{at}" for at in np.random.default_rng(seed).integers(60, size=6)] for seed in range(200)]
    graph = covisits(from_lists(lists), window=3)
    rows = unit((np.eye(len(graph)) + 8.0 * graph.to_dense().numpy()).astype(np.float32))
    found = projected(graph, 8.0, 4096, seed=0).numpy()
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=1e-5)
    assert np.abs(found @ found.T - rows @ rows.T).max() < 6 / np.sqrt(4096)


def test_later_acts_count_more_where_asked():
    lists = [["a", "b"], ["a", "b"], ["a", "c"]]
    alike = covisits(from_lists(lists), window=3).to_dense().numpy()
    later = covisits(from_lists(lists), window=3, half_life=0.5).to_dense().numpy()
    assert alike[0, 1] > alike[0, 2] and later[0, 1] < alike[0, 1] and later[0, 2] > alike[0, 2]
    # Of six acts 5, 3 and 1 came after the first of each pair: they count half for every three of them.
    ab, ac = 0.5 ** (5 / 3) + 0.5 ** (3 / 3), 0.5 ** (1 / 3)
    assert later[0, 2] == pytest.approx(ac / np.sqrt((ab + ac) * ac), rel=1e-5)


def test_the_order_of_acts_is_that_of_their_times():
    lists, times = [["a", "c"], ["a", "b"]], [[30.0, 40.0], [10.0, 20.0]]
    known = covisits(from_lists(lists, at=times), window=3, half_life=0.5).to_dense().numpy()
    as_listed = covisits(from_lists(lists), window=3, half_life=0.5).to_dense().numpy()
    assert known[0, 1] > known[0, 2] and as_listed[0, 1] < as_listed[0, 2]


def test_a_share_of_nothing_changes_no_score(tmp_path):
    before, data, trials = trained(tmp_path)
    after = widened(before, data, replace(WIDE, projected_share=0.0), trials)
    old, new = before.vectors(), after.vectors()
    assert new.shape == (len(old), 24) and after.objective.network.spec.dims == (24,)
    np.testing.assert_allclose(new[:, :8], old, atol=1e-6)
    assert not new[:, 8:].any() and after.figures == before.figures


def test_scores_are_those_of_both_parts(tmp_path):
    before, data, trials = trained(tmp_path)
    after = widened(before, data, WIDE, trials)
    vectors, share = after.vectors(), WIDE.projected_share
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
    graph = covisits(data.train, window=WIDE.projected_window, half_life=WIDE.projected_half_life)
    rows = projected(graph, WIDE.graph, 16, WIDE.seed).numpy()
    np.testing.assert_allclose(vectors[:, 8:], share**0.5 * rows, atol=1e-6)
    views = torch.tensor([[0, 1, 2, 1]])
    old, network = before.objective.network, after.objective.network
    with torch.no_grad():
        answer = network(torch.from_numpy(vectors)[views])[0, -1].numpy()
        seen = torch.from_numpy(before.vectors())[views]
        learned = (old.leave(old.body(old.enter(seen))) + old.share * old._mean(seen))[0, -1].numpy()
        mean = (old.share * old._mean(torch.from_numpy(rows)[views]))[0, -1].numpy()
    wanted = (1 - share) * before.vectors() @ learned + share * rows @ mean
    found = vectors @ answer
    np.testing.assert_allclose(found / np.linalg.norm(found), wanted / np.linalg.norm(wanted), atol=1e-5)


def test_other_blocks_and_products_without_vector_stay(tmp_path):
    content = unit(np.random.default_rng(0).normal(size=(12, 5)).astype(np.float32))
    before, data, trials = trained(tmp_path, content=content)
    data.has_vector[3] = False
    after = widened(before, data, WIDE, trials)
    assert after.objective.network.spec.dims == (5, 24)
    assert not after.vectors()[3].any() and after.vectors()[2].any()
    np.testing.assert_array_equal(after.objective.content.numpy(), content)


def test_nothing_asked_for_is_nothing_done(tmp_path):
    before, data, trials = trained(tmp_path, recipe=TINY)
    assert widened(before, data, TINY, trials) is before


def test_a_row_has_no_room_for_more_than_it_holds():
    with pytest.raises(InputError, match="700 are for projected; a row has at most 640"):
        replace(WIDE, projected=700).behaviour_dim(0)
    with pytest.raises(InputError, match="projected is 16 with graph 0"):
        replace(WIDE, graph=0.0)
