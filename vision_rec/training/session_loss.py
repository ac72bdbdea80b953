"""The cross-entropy of one wanted row among many, computed in pieces that stay in the processor's cache.

Autograd would keep several tables of answers × candidates for the way back, and moving them costs more than
the products that fill them. Here the gradients are made on the way there, as in "Cut your losses" (Wijmans et
al. 2025, arXiv 2411.09009).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

_PIECE = 1 << 21  # logits at once


def cross_entropy_among(
    answers: Tensor,
    wanted: Tensor,
    among: Tensor,
    same: tuple[Tensor, Tensor],
    scale: Tensor,
    *,
    smoothing: float = 0.0,
    prior: Tensor | None = None,
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """Return the mean cross-entropy of the rows `wanted` (T, D) beside the candidates `among` (K, D).

    Logits are `scale` times the inner products with `answers` (T, D), plus the `prior` (M,) of the product.
    `same` has the numbers of the products wanted (T,) and of the candidates (K,): a candidate that is the
    product wanted does not count. With `smoothing`, every row that counts is wanted a little. Large products
    are computed in `dtype`.
    """
    loss: Tensor = _Among.apply(answers, wanted, among, scale, same, prior, smoothing, dtype)
    return loss


class _Among(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        answers: Tensor,
        wanted: Tensor,
        among: Tensor,
        scale: Tensor,
        same: tuple[Tensor, Tensor],
        prior: Tensor | None,
        smoothing: float,
        dtype: torch.dtype,
    ) -> Tensor:
        with torch.autocast(answers.device.type, enabled=False):
            total, gradients = _pieces(
                answers.float(), wanted.float(), among.float(), float(scale), same, prior, smoothing, dtype
            )
        ctx.save_for_backward(*gradients)
        return total

    @staticmethod
    def backward(ctx: Any, *outer: Tensor) -> tuple[Tensor | None, ...]:
        return (*(gradient * outer[0] for gradient in ctx.saved_tensors), None, None, None, None)


def _pieces(
    answers: Tensor,
    wanted: Tensor,
    among: Tensor,
    scale: float,
    same: tuple[Tensor, Tensor],
    prior: Tensor | None,
    smoothing: float,
    dtype: torch.dtype,
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Return the loss, and its gradients by answers, wanted, among and scale."""
    count, step = len(answers), max(1, _PIECE // max(1, len(among)))
    candidates = among.to(dtype)
    columns = candidates.T.contiguous()
    by_answer, by_wanted = torch.empty_like(answers), torch.empty_like(answers)
    by_among = torch.zeros_like(among)
    loss, by_scale = answers.new_zeros(()), answers.new_zeros(())
    if prior is None:
        prior = answers.new_zeros(1 + int(max(same[0].max(), same[1].max())))
    for at in range(0, count, step):
        part = slice(at, at + step)
        query = answers[part].to(dtype)
        twin = same[0][part, None] == same[1][None, :]
        logits = (query @ columns).float().mul_(scale).add_(prior[same[1]])
        hit = (answers[part] * wanted[part]).sum(1).mul_(scale) + prior[same[0][part]]
        even = smoothing / (len(among) - twin.sum(1) + 1)  # what each row that counts is wanted
        mean = hit + (logits.sum(1) - (logits * twin).sum(1) if smoothing else 0.0)
        logits.masked_fill_(twin, -torch.inf)
        every = torch.logaddexp(torch.logsumexp(logits, 1), hit)
        loss += (every - (1 - smoothing) * hit - even * mean).sum()
        slope = torch.exp(logits - every[:, None])
        if smoothing:
            slope -= even[:, None]
            slope.masked_fill_(twin, 0.0)
        slope_hit = torch.exp(hit - every) - (1 - smoothing) - even
        raw = logits.sub_(prior[same[1]]).masked_fill_(twin, 0.0)
        by_scale += (slope * raw).sum() + (slope_hit * (hit - prior[same[0][part]])).sum()
        low = slope.mul_(scale / count).to(dtype)
        slope_hit = slope_hit[:, None] * (scale / count)
        by_answer[part] = (low @ candidates).float() + slope_hit * wanted[part]
        by_wanted[part] = slope_hit * answers[part]
        by_among += (low.T @ query).float()
    return loss / count, (by_answer, by_wanted, by_among, by_scale / (scale * count))
