"""Coming back to what was viewed: learned from held-out acts, and only where it is ranked at all."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from session_data import TINY, data_of  # noqa: E402

from vision_rec.sessions.model import SequenceModel  # noqa: E402
from vision_rec.sessions.pair import write_pair  # noqa: E402
from vision_rec.sessions.sequences import HeldOut, from_lists  # noqa: E402
from vision_rec.training import session_returns  # noqa: E402
from vision_rec.training.session_ranks import Trials, figures, model_score  # noqa: E402
from vision_rec.training.session_returns import fit_returns, with_returns  # noqa: E402
from vision_rec.training.train_session import SessionTrainer  # noqa: E402

KEEPING = replace(TINY, drop_seen=False, epochs=2)
NAMES = [f"p{number}" for number in range(40)]


def to_and_fro(count=200, seed=0):
    """Return visits of people who look at one thing, at another, and go back: a b a, never a a."""
    rng = np.random.default_rng(seed)
    pairs = [rng.permutation(len(NAMES))[:2] for _ in range(count)]
    return from_lists([[NAMES[a], NAMES[b], NAMES[a]] for a, b in pairs])


def by_nearness(trials):
    """Score as a mean of the views does: what was viewed last first, then what before, then the others."""
    items = trials.histories()[0].numpy()
    scores = 0.05 * np.random.default_rng(1).random((len(trials), len(NAMES)))
    for row, (viewed, length) in enumerate(zip(items, trials.lengths, strict=True)):
        for place in range(length):
            scores[row, viewed[place]] = 0.1 + 0.1 * (place == length - 1)
    return torch.from_numpy(scores).float()


def asked(sequences):
    return Trials.of(HeldOut.after_first(sequences), length=6, drop_seen=False)


def test_who_goes_back_to_the_view_before_the_last_is_found_there():
    trials = asked(to_and_fro())
    last, before = fit_returns(by_nearness, trials, len(NAMES))
    assert last < 0 and before > last + 0.09  # the one before the last passes it

    def added(part):
        scores, items = by_nearness(part), part.histories()[0].numpy()
        for row, (viewed, length) in enumerate(zip(items, part.lengths, strict=True)):
            for place in range(length):
                scores[row, viewed[place]] += last if place == length - 1 else before
        return scores

    plain = figures(by_nearness, trials, len(NAMES), drop_seen=False)
    better = figures(added, trials, len(NAMES), drop_seen=False)
    assert better.ndcg10 > plain.ndcg10 + 0.1


def test_what_is_chosen_by_is_what_is_measured():
    trials, rng = asked(to_and_fro(60)), np.random.default_rng(5)
    drawn = session_returns._Drawn.of(by_nearness, trials, len(NAMES))
    for amounts in ([0.0, 0.0], *rng.uniform(-0.2, 0.2, (6, 2)).tolist()):

        def added(part, amounts=amounts):
            scores, items = by_nearness(part), part.histories()[0].numpy()
            for row, (viewed, length) in enumerate(zip(items, part.lengths, strict=True)):
                for place in range(length):
                    scores[row, viewed[place]] += amounts[0 if place == length - 1 else 1]
            return scores

        wanted = figures(added, trials, len(NAMES), drop_seen=False)
        found = drawn.figures(amounts)
        assert (found.hr10, found.ndcg10) == pytest.approx((wanted.hr10, wanted.ndcg10), abs=1e-9)


def test_the_model_carries_what_was_learned(tmp_path, monkeypatch):
    monkeypatch.setattr(session_returns, "_ENOUGH", 20)
    data = data_of(to_and_fro())
    trainer = SessionTrainer(data, KEEPING, tmp_path / "run", device="cpu")
    before = trainer.run()
    plain = before.figures
    after = with_returns(before, data, KEEPING, trainer.trials)
    returns = after.objective.network.spec.returns
    assert len(returns) == 2 and returns[1] > returns[0] and after.figures.ndcg10 > plain.ndcg10
    found = figures(model_score(after.objective), trainer.trials, len(data), drop_seen=False)
    assert found == after.figures
    vectors = after.vectors()
    write_pair(
        tmp_path / "pair", ids=data.train.products, vectors=vectors, network=after.network(),
        spec=after.objective.network.spec.to_fields(), layout=data.layout(vectors), space="s", notes={},
    )  # fmt: skip
    assert SequenceModel.load(tmp_path / "pair").returns == returns


def test_nothing_is_learned_where_only_new_products_are_ranked_or_little_is_known(tmp_path):
    data = data_of(to_and_fro(60))
    trainer = SessionTrainer(data, KEEPING, tmp_path, device="cpu")
    trained = trainer.run()
    assert with_returns(trained, data, replace(KEEPING, drop_seen=True), trainer.trials) is trained
    assert with_returns(trained, data, KEEPING, trainer.trials) is trained  # fewer acts than say anything
    assert trained.objective.network.spec.returns == ()
