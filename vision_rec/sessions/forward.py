"""The network of the sequence model in NumPy, for the answer after a session's last view.

Answers need neither torch, whose import takes longer than thousands of answers, nor the answers after all
other views: the last layer looks from the last view alone. The numbers are those of `network`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt

from vision_rec.errors import InputError
from vision_rec.fusion import matmul
from vision_rec.sessions.spec import GAP_STEPS, SequenceSpec
from vision_rec.types import Array

Ints = npt.NDArray[np.int64]
_TABLES = ("types.weight", "gaps.weight", "distance")  # of two dimensions, but nothing is multiplied with
_EPSILON = np.finfo(np.float32).eps  # below a mean square, as torch has it


class SequenceForward:
    """Turns rows (n, L, D) of views, oldest first, into rows (n, D): what is wanted after the last one."""

    def __init__(self, spec: SequenceSpec, weights: Mapping[str, Array]) -> None:
        """Take the weights of a `SequenceNetwork` of the form `spec`; raise InputError for any others."""
        found = {name: np.shape(value) for name, value in weights.items()}
        wanted = dict(_shapes(spec))
        if found != wanted:
            odd = sorted(name for name in {*found, *wanted} if found.get(name) != wanted.get(name))
            raise InputError(f"weights {', '.join(odd[:3])} are missing, unknown or of another shape")
        self.spec = spec
        self._weights = {}
        for name, value in weights.items():
            turned = value.T if value.ndim == 2 and not name.endswith(_TABLES) else value
            self._weights[name] = np.ascontiguousarray(turned, dtype=np.float32)
        self._shares = np.repeat(self._weights["share"], spec.dims)

    def answer(self, rows: Array, last: Ints, types: Ints | None = None, gaps: Ints | None = None) -> Array:
        """Answer (n, D) to `rows` (n, L, D), of which the views up to `last` (n,) are looked at.

        `types` (n, L) are numbers of events, `gaps` (n, L) classes of the time since the view before.
        """
        state = self._dense(rows, "enter")
        if self.spec.event_types and types is not None and gaps is not None:
            state += self._weights["types.weight"][types]
            state += self._weights["gaps.weight"][gaps]
        body = self._attention if self.spec.kind == "attention" else self._recurrent
        found = self._dense(self._normed(body(state, last), "body.norm"), "leave")
        return self._bounded(found + self._shares * self._mean(rows, last))

    def _mean(self, rows: Array, last: Ints) -> Array:
        """Return the weighted mean (n, D) of the views up to the last."""
        back = last[:, None] - np.arange(rows.shape[1])
        weights = _softmax(_by_distance(-self._weights["age"], back))
        return np.asarray(np.matmul(weights[:, None], rows)[:, 0])

    def _attention(self, state: Array, last: Ints) -> Array:
        every = np.arange(state.shape[1])[None]
        for layer in range(self.spec.layers - 1):
            state = self._layer(f"body.layers.{layer}", state, state, every)
        own = np.take_along_axis(state, last[:, None, None], axis=1)
        found = self._layer(f"body.layers.{self.spec.layers - 1}", state, own, last[:, None])
        return np.asarray(found[:, 0])

    def _layer(self, name: str, state: Array, own: Array, places: Ints) -> Array:
        """Bring `own` (n, Q, width), of the views at `places` (n or 1, Q) of `state`, a layer further."""
        around = self._normed(state, f"{name}.norm_attention")
        normed = around if own is state else self._normed(own, f"{name}.norm_attention")
        attended = self._dense(self._attend(name, around, normed, places), f"{name}.join")
        own = own + _sigmoid(self._dense(normed, f"{name}.gate_attention")) * attended
        normed = self._normed(own, f"{name}.norm_forward")
        value, gate = np.split(self._dense(normed, f"{name}.widen"), 2, axis=-1)
        fed = self._dense(value * gate * _sigmoid(gate), f"{name}.narrow")
        return own + _sigmoid(self._dense(normed, f"{name}.gate_forward")) * fed

    def _attend(self, name: str, around: Array, normed: Array, places: Ints) -> Array:
        """Let `normed` (n, Q, width) attend to `around` (n, L, width), nothing after the own place."""
        n, asked, width = normed.shape
        heads, each = self.spec.heads, width // self.spec.heads
        query = self._dense(normed, f"{name}.mix", slice(0, width)).reshape(n, asked, heads, each)
        keys = self._dense(around, f"{name}.mix", slice(width, None)).reshape(n, -1, 2, heads, each)
        key, value = keys[:, :, 0].transpose(0, 2, 3, 1), keys[:, :, 1].transpose(0, 2, 1, 3)
        logits = np.matmul(query.transpose(0, 2, 1, 3), key) / np.float32(np.sqrt(each))
        back = places[:, :, None] - np.arange(around.shape[1])  # (n or 1, Q, L)
        logits += np.moveaxis(_by_distance(self._weights[f"{name}.distance"], back), 0, 1)
        mixed = np.matmul(_softmax(logits), value)  # (n, heads, Q, each)
        return np.asarray(mixed.transpose(0, 2, 1, 3).reshape(n, asked, width))

    def _recurrent(self, state: Array, last: Ints) -> Array:
        """Run the gated recurrent units over the views; return the state (n, width) after the last."""
        for layer in range(self.spec.layers):
            held, out = np.zeros_like(state[:, 0]), np.empty_like(state)
            given = self._dense(state, "body.cells", ends=(f"weight_ih_l{layer}", f"bias_ih_l{layer}"))
            for place in range(state.shape[1]):
                own = self._dense(held, "body.cells", ends=(f"weight_hh_l{layer}", f"bias_hh_l{layer}"))
                (reset, update, new), (past_r, past_u, past_n) = (
                    np.split(part, 3, axis=-1) for part in (given[:, place], own)
                )
                kept = _sigmoid(update + past_u)
                fresh = np.tanh(new + _sigmoid(reset + past_r) * past_n)
                held = out[:, place] = (1.0 - kept) * fresh + kept * held
            state = out
        return np.take_along_axis(state, last[:, None, None], axis=1)[:, 0]

    def _dense(
        self,
        values: Array,
        name: str,
        part: slice = slice(None),
        ends: tuple[str, str] = ("weight", "bias"),
    ) -> Array:
        """Multiply `values` (…, d) with a matrix of weights and add its bias; of `part` of both."""
        weight, bias = (self._weights[f"{name}.{end}"] for end in ends)
        found = matmul(values.reshape(-1, values.shape[-1]), weight[:, part])
        found += bias[part]
        return np.asarray(found.reshape(*values.shape[:-1], found.shape[-1]))

    def _normed(self, values: Array, name: str) -> Array:
        squares = np.mean(values * values, axis=-1, keepdims=True)
        return np.asarray(values / np.sqrt(squares + _EPSILON) * self._weights[f"{name}.weight"])

    def _bounded(self, rows: Array) -> Array:
        """Shrink every block of `rows` (n, D) to a norm below 1: r becomes r / sqrt(1 + r²)."""
        starts = np.cumsum([0, *self.spec.dims[:-1]])
        squares = np.add.reduceat(rows * rows, starts, axis=1)
        return np.asarray(rows / np.repeat(np.sqrt(1.0 + squares), self.spec.dims, axis=1), np.float32)


def _by_distance(values: Array, back: Ints) -> Array:
    """Take from `values` (…, M) what belongs to how far `back` a view is; −inf for what is ahead.

    Views farther back than M have the last value.
    """
    laid = values[..., np.clip(back, 0, values.shape[-1] - 1)]
    return np.where(back < 0, np.float32(-np.inf), laid)


def _softmax(logits: Array) -> Array:
    found = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(found / found.sum(axis=-1, keepdims=True))


def _sigmoid(values: Array) -> Array:
    return np.asarray(0.5 * np.tanh(0.5 * values) + 0.5, dtype=np.float32)  # which never overflows


def _shapes(spec: SequenceSpec) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield the names and shapes of the weights of a network of the form `spec`."""
    dim, width = sum(spec.dims), spec.width

    def dense(name: str, given: int, made: int) -> Iterator[tuple[str, tuple[int, ...]]]:
        yield f"{name}.weight", (made, given)
        yield f"{name}.bias", (made,)

    yield from dense("enter", dim, width)
    yield from dense("leave", width, dim)
    yield from (("age", (spec.length,)), ("share", (len(spec.dims),)), ("body.norm.weight", (width,)))
    if spec.event_types:
        yield from (("types.weight", (spec.event_types, width)), ("gaps.weight", (GAP_STEPS, width)))
    for layer in range(spec.layers):
        if spec.kind == "gru":
            for side in ("ih", "hh"):
                yield f"body.cells.weight_{side}_l{layer}", (3 * width, width)
                yield f"body.cells.bias_{side}_l{layer}", (3 * width,)
            continue
        own = f"body.layers.{layer}"
        yield from ((f"{own}.norm_attention.weight", (width,)), (f"{own}.norm_forward.weight", (width,)))
        yield f"{own}.distance", (spec.heads, spec.length)
        sizes = {"mix": 3, "join": 1, "gate_attention": 1, "gate_forward": 1, "widen": 4}
        for name, times in sizes.items():
            yield from dense(f"{own}.{name}", width, times * width)
        yield from dense(f"{own}.narrow", 2 * width, width)
