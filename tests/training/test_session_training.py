"""Session training: the loss, what is dropped, no look ahead, resuming, stopping early, a known answer."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from session_data import TINY, cycles, data_of  # noqa: E402

from vision_rec.errors import InputError  # noqa: E402
from vision_rec.fusion import unit  # noqa: E402
from vision_rec.sessions.sequences import from_lists  # noqa: E402
from vision_rec.training import session_objective  # noqa: E402
from vision_rec.training.session_batches import SessionBatches, windows  # noqa: E402
from vision_rec.training.session_loss import cross_entropy_among  # noqa: E402
from vision_rec.training.session_ranks import (  # noqa: E402
    Figures,
    Trials,
    model_score,
)
from vision_rec.training.session_recipe import SessionRecipe, read_session_recipe  # noqa: E402
from vision_rec.training.train_session import (  # noqa: E402
    CHECKPOINT,
    SessionTrainer,
    Start,
    make_objective,
)


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def random_content(count, dim=5, seed=3):
    return unit(np.random.default_rng(seed).normal(size=(count, dim)).astype(np.float32))


def plain_loss(objective, batch, candidates=None):
    """Return the loss by loops over visitors, views and candidates."""
    table = objective.vectors()
    rows = torch.cat([objective.content, table], dim=1)
    total, count = 0.0, 0
    for visitor in range(len(batch.viewed)):
        answers = objective.network(rows[batch.viewed[visitor]][None])[0]
        for place in range(batch.viewed.shape[1]):
            if not batch.real[visitor, place]:
                continue
            wanted = int(batch.wanted[visitor, place])

            def logit(product, query=answers[place]):
                score = (query * objective.factors * rows[product]).sum() * objective.scale
                return float((score + objective.prior[product]).detach())

            others = [p for p in (candidates or range(len(rows))) if p != wanted]
            logits = [logit(wanted), *(logit(p) for p in others)]
            norm = math.log(sum(math.exp(value) for value in logits))
            smoothing = objective.recipe.smoothing
            total -= (1 - smoothing) * (logits[0] - norm)
            total -= smoothing * sum(value - norm for value in logits) / len(logits)
            count += 1
    return total / count


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("width", [0, 5])
def test_the_loss_is_that_of_a_plain_loop(width, smoothing):
    sequences = cycles(20)
    content = random_content(12, width) if width else None
    data = data_of(sequences, content=content, gains=(0.7,))
    objective = make_objective(data, replace(TINY, smoothing=smoothing, start=1.0, negatives=0)).eval()
    batch = SessionBatches(data.train, batch=4, length=6, seed=0).at(0)
    assert float(objective(batch).detach()) == pytest.approx(plain_loss(objective, batch), rel=1e-5)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_so_is_the_loss_over_drawn_products(smoothing):
    data = data_of(cycles(20), content=random_content(12))
    objective = make_objective(data, replace(TINY, smoothing=smoothing, negatives=7, start=1.0)).eval()
    batch = SessionBatches(data.train, batch=4, length=6, seed=0).at(0)
    torch.manual_seed(5)
    got = float(objective(batch).detach())
    torch.manual_seed(5)
    drawn = torch.randint(12, (7,)).tolist()
    assert got == pytest.approx(plain_loss(objective, batch, drawn), rel=1e-5)


def test_scores_are_those_of_the_layout_up_to_one_factor():
    data = data_of(cycles(20), content=random_content(12), gains=(0.4,))
    objective = make_objective(data, replace(TINY, start=1.0))
    gains = {
        aspect.name: aspect.gain * aspect.default_weight
        for aspect in data.layout(objective.vectors().detach().numpy()).aspects
    }
    total = gains["text"] + gains["behaviour"]
    assert float(objective.factors[0]) == pytest.approx(gains["text"] / total)
    assert float(objective.factors[-1]) == pytest.approx(gains["behaviour"] / total)


def test_later_views_do_not_change_earlier_answers():
    objective = make_objective(data_of(cycles(20)), replace(TINY, start=1.0)).eval()
    items = torch.tensor([[0, 1, 2, 3, 4]])
    other = torch.tensor([[0, 1, 2, 9, 8]])
    with torch.no_grad():
        first, second = (
            objective.network(objective.rows_of(views, objective.vectors())) for views in (items, other)
        )
    assert torch.allclose(first[:, :3], second[:, :3], atol=1e-6)
    assert not torch.allclose(first[:, 3:], second[:, 3:], atol=1e-4)


def test_a_view_changes_what_is_lost_before_it_only_as_what_was_wanted():
    # The gradient of the loss at one place reaches only the rows viewed up to there.
    data = data_of(cycles(20))
    objective = make_objective(data, replace(TINY, start=1.0)).eval()
    rows = objective.rows_of(torch.tensor([[0, 1, 2, 3]]), objective.vectors()).detach().requires_grad_()
    objective.network(rows)[0, 1].sum().backward()
    reached = rows.grad.abs().sum(-1)[0]
    assert (reached[:2] > 0).all() and (reached[2:] == 0).all()


def test_products_without_a_vector_have_none_and_are_wanted_by_their_content_only():
    known = np.ones(12, bool)
    known[4] = False
    alone = make_objective(data_of(cycles(20), has_vector=known), TINY).eval()
    assert not alone.vectors()[4].any()
    batch = windows(from_lists(["ebc"]), np.zeros(3, np.int64), np.array([0]), np.array([3]))
    batch = replace(batch, wanted=torch.tensor([[4, 4]]))
    assert float(alone(batch).detach()) == 0.0
    beside = make_objective(data_of(cycles(20), has_vector=known, content=random_content(12)), TINY).eval()
    assert float(beside(batch).detach()) > 0


def test_products_taken_for_new_have_no_behaviour_and_no_popularity_anywhere_in_a_step(monkeypatch):
    data = data_of(cycles(60), content=random_content(12))
    objective = make_objective(data, replace(TINY, cold=0.3, start=1.0)).train()
    batch = SessionBatches(data.train, batch=16, length=6, seed=0).at(0)
    vectors, shares, told = objective.vectors().detach(), [], {}

    def watched(answers, wanted, among, same, scale, *, prior, **others):
        told.update(wanted=wanted, among=among, same=same, prior=prior)
        return cross_entropy_among(answers, wanted, among, same, scale, prior=prior, **others)

    monkeypatch.setattr(session_objective, "cross_entropy_among", watched)
    objective.network.register_forward_pre_hook(lambda module, given: told.update(viewed=given[0]))
    for step in range(100):
        torch.manual_seed(step)
        objective(batch)
        new = (told["among"][:, 5:] == 0).all(1)
        shown = torch.cat([objective.content, vectors * ~new[:, None]], dim=1)
        assert torch.equal(told["same"][1], torch.arange(12)) and torch.equal(told["among"], shown)
        assert torch.equal(told["wanted"], shown[told["same"][0]])
        assert torch.equal(told["viewed"], shown[batch.viewed])
        assert torch.equal(told["prior"], objective.prior * ~new)
        shares.append(float(new.float().mean()))
    assert 0.25 < np.mean(shares) < 0.35
    objective.eval()(batch)
    assert told["among"][:, 5:].any(1).all() and torch.equal(told["prior"], objective.prior)
    assert make_objective(data_of(cycles(20)), replace(TINY, cold=0.3)).cold == 0.0


def test_what_nobody_viewed_is_held_against_nobody():
    known = np.ones(14, bool)
    known[12:] = False  # never viewed
    sequences = replace(cycles(20), products=(*cycles(20).products, "m", "n"))
    beside = make_objective(data_of(sequences, content=random_content(14), has_vector=known), TINY)
    assert beside.candidates.tolist() == list(range(12))
    known[3] = False  # viewed too seldom for a vector
    beside = make_objective(data_of(sequences, content=random_content(14), has_vector=known), TINY)
    assert beside.candidates.tolist() == list(range(12))
    alone = make_objective(data_of(sequences, has_vector=known), TINY)
    assert alone.candidates.tolist() == list(range(14))


@pytest.mark.parametrize("kind", ["attention", "gru"])
@pytest.mark.parametrize("negatives", [0, 6])
def test_a_simple_pattern_is_learned(tmp_path, kind, negatives):
    recipe = replace(TINY, kind=kind, negatives=negatives, epochs=15, drop_seen=False, patience=15, rate=2e-2)
    data = data_of(cycles(160))
    trained = SessionTrainer(data, recipe, tmp_path).run()
    assert trained.figures.mrr > 0.95  # first nearly always
    trials = Trials.of(data.validation, length=6, drop_seen=False)
    score = model_score(trained.objective)
    first = [score(part).argmax(1).numpy() for part in trials.chunks(50)]
    hits = np.concatenate(first) == data.validation.sequences.items[trials.targets]
    assert hits.mean() > 0.9


def test_new_products_are_reached_by_their_content(tmp_path):
    """Products of one circle are alike; of each circle one is never trained on, and still found."""
    rng = np.random.default_rng(1)
    faces = unit(rng.normal(size=(4, 8)).astype(np.float32))
    lists = [[f"{c}{p}" for p in rng.permutation(9)[:5]] for c in rng.integers(0, 4, 200)]
    sequences = from_lists([[f"{c}{p}" for c in range(4) for p in range(10)], *lists])
    circles = np.array([int(product[0]) for product in sequences.products])
    content = unit(faces[circles] + 0.3 * rng.normal(size=(40, 8)).astype(np.float32))
    cold = np.array([product[1] == "9" for product in sequences.products])
    whole = sequences.select(np.arange(1, len(sequences)))
    data = data_of(whole, content=content, has_vector=~cold)
    trained = SessionTrainer(data, replace(TINY, epochs=20, cold=0.4, patience=20), tmp_path).run()
    trials = Trials.of(data.validation, length=6)
    scores = model_score(trained.objective)(trials).detach().numpy()
    wanted = circles[data.validation.sequences.items[trials.targets]]
    best = np.where(cold[None, :], scores, -np.inf).argmax(1)
    assert (circles[best] == wanted).mean() > 0.75  # by chance 0.25


def test_new_products_stand_among_those_that_sell(tmp_path):
    """Half of what was viewed in each circle sells four times as much; one product nobody has viewed."""
    rng = np.random.default_rng(2)
    faces = unit(rng.normal(size=(4, 8)).astype(np.float32))
    sells = np.repeat([4.0, 1.0], [4, 5]) / 21
    lists = [[f"{c}{p}" for p in rng.choice(9, 5, replace=False, p=sells)] for c in rng.integers(0, 4, 300)]
    sequences = from_lists([[f"{c}{p}" for c in range(4) for p in range(10)], *lists])
    circles = np.array([int(product[0]) for product in sequences.products])
    content = unit(faces[circles] + 0.3 * rng.normal(size=(40, 8)).astype(np.float32))
    cold = np.array([product[1] == "9" for product in sequences.products])
    data = data_of(sequences.select(np.arange(1, len(sequences))), content=content, has_vector=~cold)
    recipe = replace(TINY, epochs=20, cold=0.4, patience=20, debias=0.5)
    trained = SessionTrainer(data, recipe, tmp_path).run()
    trials = Trials.of(data.validation, length=6)
    scores = model_score(trained.objective)(trials).detach().numpy()
    wanted = circles[data.validation.sequences.items[trials.targets]]
    places = (scores[:, None, :] > scores[:, cold][:, :, None]).sum(2)  # of the four new ones
    place = np.where(circles[cold][None, :] == wanted[:, None], places, 0).sum(1)
    assert (place < 10).mean() > 0.8  # of 40; by chance 0.25
    assert np.median(place) < 7


def test_a_resumed_run_ends_as_one_that_never_stopped(tmp_path):
    data = data_of(cycles(60))
    recipe = replace(TINY, dropout=0.2, input_dropout=0.1, negatives=5, epochs=4)
    whole = SessionTrainer(data, recipe, tmp_path / "whole", key="k").run()

    class Stopped(Exception):
        pass

    def stop(line):
        if line.startswith("epoch 2"):
            raise Stopped

    broken = SessionTrainer(data, recipe, tmp_path / "broken", key="k")
    with pytest.raises(Stopped):
        broken.run(stop)  # after the validation and before its checkpoint: the one of epoch 1 is there
    again = SessionTrainer(data, recipe, tmp_path / "broken", key="k")
    assert again.resume() and again.epochs == 1
    for _ in range(2):
        again._one()
        again.step += 1
    again.save()  # in the middle of an epoch
    third = SessionTrainer(data, recipe, tmp_path / "broken", key="k")
    assert third.resume()
    resumed = third.run()
    assert resumed.figures == whole.figures
    assert np.array_equal(resumed.vectors(), whole.vectors())
    for name, value in whole.network().items():
        assert np.array_equal(resumed.network()[name], value), name


def test_a_checkpoint_of_another_run_or_a_broken_one_is_not_taken(tmp_path):
    data = data_of(cycles(30))
    trainer = SessionTrainer(data, TINY, tmp_path, key="one")
    assert not trainer.resume()
    trainer.save()
    assert SessionTrainer(data, TINY, tmp_path, key="one").resume()
    assert not SessionTrainer(data, TINY, tmp_path, key="two").resume()
    (tmp_path / CHECKPOINT).write_bytes((tmp_path / CHECKPOINT).read_bytes()[:100])
    assert not SessionTrainer(data, TINY, tmp_path, key="one").resume()


def test_early_stopping_keeps_the_best(tmp_path, monkeypatch):
    found = iter([0.2, 0.5, 0.4, 0.5, 0.1, 0.9])
    states = []

    def measure(self):
        states.append({name: value.clone() for name, value in self.objective.state_dict().items()})
        return Figures(0.0, next(found), 0.0, 1)

    monkeypatch.setattr(SessionTrainer, "measure", measure)
    trained = SessionTrainer(data_of(cycles(30)), replace(TINY, epochs=6, patience=3), tmp_path).run()
    assert (trained.epoch, trained.epochs, trained.figures.ndcg10) == (2, 5, 0.5)
    for name, value in trained.objective.state_dict().items():
        assert torch.equal(value, states[1][name])


def test_minutes_end_a_run_with_a_validated_model(tmp_path):
    trained = SessionTrainer(
        data_of(cycles(60)), replace(TINY, epochs=10_000, patience=10_000), tmp_path, minutes=0.01
    ).run()
    assert trained.figures.count > 0 and trained.epochs >= 1


def test_a_start_is_taken_over(tmp_path):
    data = data_of(cycles(60))
    first = SessionTrainer(data, TINY, tmp_path).run()
    vectors = first.vectors().copy()
    vectors[3] = 0.0  # new since then
    weights = {name: torch.from_numpy(value) for name, value in first.network().items()}
    objective = make_objective(data, TINY, Start(weights, vectors))
    got = objective.vectors().detach().numpy()
    assert np.allclose(got[:3], vectors[:3], atol=1e-6) and got[3].any()
    assert torch.equal(objective.network.leave.weight, weights["leave.weight"])


def test_recipes_are_read_from_toml(tmp_path):
    file = tmp_path / "recipe.toml"
    file.write_text('kind = "gru"\nwidth = 32\nscale = 20\nbf16 = false\n')
    assert read_session_recipe(file) == SessionRecipe(kind="gru", width=32, scale=20.0, bf16=False)
    assert read_session_recipe(None) == SessionRecipe()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("widht = 3", "unknown fields"),
        ("width = 0", "1 or more"),
        ('width = "a"', "such as 64"),
        ("dropout = 1.0", "up to, not with, 1"),
        ('kind = "lstm"', "attention, gru, auto"),
        ("width = ", "not valid TOML"),
        ("rate = 0.0", "above 0"),
        ("validation = 1.5", "below 1"),
    ],
)
def test_recipes_that_make_no_sense_are_refused(tmp_path, text, says):
    file = tmp_path / "recipe.toml"
    file.write_text(text)
    with pytest.raises(InputError, match=says):
        read_session_recipe(file)
    with pytest.raises(InputError, match="existing TOML"):
        read_session_recipe(tmp_path / "no.toml")


def test_the_behaviour_block_fits_beside_the_content():
    recipe = SessionRecipe()
    assert [recipe.behaviour_dim(width) for width in (0, 100, 592, 620)] == [128, 48, 48, 20]
    with pytest.raises(InputError, match="at most 640"):
        recipe.behaviour_dim(640)
    assert (replace(recipe, negatives=9).candidates(9), replace(recipe, negatives=9).candidates(10)) == (0, 9)
    assert replace(recipe, negatives=0).candidates(10**6) == 0
