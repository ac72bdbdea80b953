"""The loss in pieces: its value and its gradients are those that autograd finds for the plain formula."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from vision_rec.training import session_loss  # noqa: E402
from vision_rec.training.session_loss import cross_entropy_among  # noqa: E402

WANTED, AMONG = torch.tensor([0, 1, 2, 3, 8, 8, 1]), torch.tensor([0, 0, 4, 5, 6, 7, 8, 1])


def leaves(seed=0):
    torch.manual_seed(seed)
    return (
        torch.randn(7, 5).requires_grad_(),
        torch.randn(9, 5).requires_grad_(),
        torch.tensor(3.0).requires_grad_(),
    )


def plain(answers, rows, scale, smoothing, prior):
    logits = scale * (answers @ rows[AMONG].T) + prior[AMONG]
    hit = scale * (answers * rows[WANTED]).sum(1) + prior[WANTED]
    twin = WANTED[:, None] == AMONG[None, :]
    total = torch.logsumexp(torch.cat([hit[:, None], logits.masked_fill(twin, -1e4)], 1), 1)
    mean = (hit + logits.masked_fill(twin, 0).sum(1)) / ((~twin).sum(1) + 1)
    return (total - (1 - smoothing) * hit - smoothing * mean).mean()


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("piece", [8, 24, 1 << 21])
def test_value_and_gradients_are_those_of_the_plain_formula(smoothing, piece, monkeypatch):
    monkeypatch.setattr(session_loss, "_PIECE", piece)
    answers, rows, scale = leaves()
    prior = torch.linspace(-1, 2, 9)
    expected = plain(answers, rows, scale, smoothing, prior)
    wanted_gradients = torch.autograd.grad(expected, (answers, rows, scale))
    got = cross_entropy_among(
        answers, rows[WANTED], rows[AMONG], (WANTED, AMONG), scale, smoothing=smoothing, prior=prior
    )  # fmt: skip
    assert float(got.detach()) == pytest.approx(float(expected.detach()), rel=1e-5)
    for gradient, wanted in zip(
        torch.autograd.grad(got, (answers, rows, scale)), wanted_gradients, strict=True
    ):
        torch.testing.assert_close(gradient, wanted, rtol=1e-4, atol=1e-6)


def test_low_precision_stays_near():
    answers, rows, scale = leaves()
    low = cross_entropy_among(
        answers, rows[WANTED], rows[AMONG], (WANTED, AMONG), scale, dtype=torch.bfloat16
    )  # fmt: skip
    assert float(low.detach()) == pytest.approx(
        float(plain(answers, rows, scale, 0.0, torch.zeros(9)).detach()), rel=0.02
    )
