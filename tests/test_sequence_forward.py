"""The sequence model's network in NumPy against the one that torch trains: every form, every length."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from session_pairs import make_pair  # noqa: E402

from vision_rec.errors import InputError  # noqa: E402
from vision_rec.fusion import Aspect  # noqa: E402
from vision_rec.sessions.forward import SequenceForward  # noqa: E402
from vision_rec.sessions.network import SequenceNetwork  # noqa: E402
from vision_rec.sessions.spec import GAP_STEPS, SequenceSpec  # noqa: E402

DIMS = (4, 6, 2)
FORMS = [
    {"kind": kind, "layers": layers, "heads": heads, "event_types": types}
    for kind in ("attention", "gru")
    for layers, heads, types in ((1, 1, 0), (2, 4, 6), (3, 2, 3))
]


def network_of(seed=0, **form):
    """Return a network with weights drawn so large that every part of it has a say."""
    torch.manual_seed(seed)
    network = SequenceNetwork(SequenceSpec(DIMS, width=16, length=7, **form)).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(0.0, 0.5)
    return network


def forward_of(network):
    weights = {name: value.numpy() for name, value in network.state_dict().items()}
    return SequenceForward(network.spec, weights)


def drawn(n, length, spec, seed=3):
    """Return rows, places of the last view, types and classes of gaps."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(n, length, sum(DIMS))).astype(np.float32)
    rows[rng.random((n, length)) < 0.2] = 0.0
    last = rng.integers(0, length, size=n)
    last[0] = length - 1
    if not spec.event_types:
        return rows, last, None, None
    kinds = rng.integers(0, spec.event_types, size=(n, length))
    return rows, last, kinds, rng.integers(0, GAP_STEPS, size=(n, length))


def after_last(network, rows, last, types, gaps):
    given = [None if values is None else torch.from_numpy(values) for values in (rows, types, gaps)]
    with torch.no_grad():
        return network(*given).numpy()[np.arange(len(rows)), last]


@pytest.mark.parametrize("form", FORMS, ids=lambda form: f"{form['kind']}-{form['layers']}")
@pytest.mark.parametrize("length", [1, 5, 7, 9])  # longer than any distance it knows, too
def test_it_answers_what_the_trained_network_does(form, length):
    network = network_of(**form)
    given = drawn(6, length, network.spec)
    found = forward_of(network).answer(*given)
    assert found.dtype == np.float32 and found.shape == (6, sum(DIMS))
    np.testing.assert_allclose(found, after_last(network, *given), atol=3e-6)


@pytest.mark.parametrize("kind", ["attention", "gru"])
def test_each_weight_has_a_say(kind):
    network = network_of(kind=kind, layers=2, heads=2, event_types=4)
    given = drawn(5, 6, network.spec)
    before = forward_of(network).answer(*given)
    for name, parameter in network.named_parameters():
        with torch.no_grad():
            kept = parameter.clone()
            parameter += torch.linspace(0.5, 1.0, parameter.numel()).view_as(parameter)
            found, expected = forward_of(network).answer(*given), after_last(network, *given)
            parameter.copy_(kept)
        np.testing.assert_allclose(found, expected, atol=3e-6, err_msg=name)
        assert np.abs(found - before).max() > 1e-5, name


def test_what_comes_after_the_last_view_has_no_say():
    network = network_of(kind="attention", layers=2, heads=2, event_types=4)
    rows, last, types, gaps = drawn(5, 6, network.spec)
    answer = forward_of(network).answer
    before = answer(rows, last, types, gaps)
    rows[np.arange(6)[None] > last[:, None]] = 1e3
    np.testing.assert_allclose(answer(rows, last, types, gaps), before, atol=1e-5)


def test_large_values_are_no_warning():
    network = network_of(kind="attention", layers=1, heads=1)
    rows, last, _, _ = drawn(2, 4, network.spec)
    with np.errstate(all="raise"):
        assert np.isfinite(forward_of(network).answer(rows * 1e4, last)).all()


def test_weights_of_another_form_are_refused():
    network = network_of(kind="attention", layers=2, heads=2)
    weights = {name: value.numpy() for name, value in network.state_dict().items()}
    missing = {name: value for name, value in weights.items() if name != "age"}
    odd = {**weights, "leave.bias": np.zeros(5, np.float32)}
    for wrong, name in ((missing, "age"), (odd, "leave.bias"), ({**weights, "more": odd["age"]}, "more")):
        with pytest.raises(InputError, match=f"weights {name} are missing, unknown or of another shape"):
            SequenceForward(network.spec, wrong)


def test_answers_need_no_torch(tmp_path):
    make_pair(tmp_path / "pair", ["a", "b"], [Aspect("colour", 4)])
    script = """
import sys
import numpy as np
sys.modules["torch"] = None  # every import of it fails
from pathlib import Path
from vision_rec.sessions.model import SequenceModel
model = SequenceModel.load(Path(sys.argv[1]))
print(model.encode(np.ones((1, 3, 10), np.float32), np.array([3])).any())
"""
    run = [sys.executable, "-c", script, str(tmp_path / "pair")]
    done = subprocess.run(run, capture_output=True, text=True, check=False)
    assert done.stdout == "True\n", done.stderr
