"""Every runtime gives the numbers of torch in float32, for any batch, from any thread."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from vision_rec.encoders.runtime import _nvidia_driver, load_runtime
from vision_rec.encoders.runtime_cache import is_intact
from vision_rec.encoders.runtime_torch import TorchNetwork
from vision_rec.errors import InputError, UnavailableError

SIDE = 32


class Net(torch.nn.Module):
    """A small picture network: uint8 (n, H, W, 3) in, two outputs."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(3)
        self.body = torch.nn.Sequential(
            torch.nn.Conv2d(3, 16, 3, 2, 1, bias=False),
            torch.nn.BatchNorm2d(16),
            torch.nn.ReLU(),
            torch.nn.Conv2d(16, 32, 3, 2, 1),
            torch.nn.GELU(),
            torch.nn.AdaptiveAvgPool2d(1),
            torch.nn.Flatten(),
        )
        self.head = torch.nn.Linear(32, 24)

    def forward(self, pictures):
        wide = self.body((pictures.permute(0, 3, 1, 2).float() - 120.0) / 60.0)
        return torch.nn.functional.normalize(self.head(wide), dim=1), wide


class Words(torch.nn.Module):
    """A small text network: int64 ids and mask (n, L) in, the masked mean out."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(4)
        self.table = torch.nn.Embedding(50, 16)

    def forward(self, ids, mask):
        weights = mask.unsqueeze(-1).float()
        return (self.table(ids) * weights).sum(1) / weights.sum(1).clamp_min(1.0)


@pytest.fixture(scope="module")
def pictures():
    return np.random.default_rng(0).integers(0, 256, (19, SIDE, SIDE, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def exact(pictures):
    return TorchNetwork(Net(), "cpu", 1)(pictures)


CASES = [
    ("torch", "cpu", "float32"),
    ("openvino", "cpu", "float32"),
    ("openvino", "cpu", "auto"),
    ("onnxruntime", "cpu", "float32"),
    pytest.param(("torch", "cuda", "float32"), marks=pytest.mark.gpu),
]


@pytest.fixture(scope="module", params=CASES, ids=lambda case: "-".join(case))
def loaded(request, tmp_path_factory):
    kind, device, precision = request.param
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("no CUDA device here")
    return load_runtime(
        Net, (np.zeros((2, SIDE, SIDE, 3), np.uint8),), key="net", kind=kind, device=device, threads=1,
        cache=tmp_path_factory.mktemp("cache"), precision=precision,
    )  # fmt: skip


def _close(network, got, want):
    assert got.dtype == np.float32 and got.shape == want.shape
    if network.name.endswith("bf16"):
        cosines = (got * want).sum(1) / np.linalg.norm(got, axis=1) / np.linalg.norm(want, axis=1)
        assert cosines.min() > 0.99
    else:
        np.testing.assert_allclose(got, want, atol=1e-3 if "cuda" in network.name else 1e-4, rtol=1e-3)


def test_numbers_agree_with_torch_in_float32(loaded, pictures, exact):
    for got, want in zip(loaded(pictures), exact, strict=True):
        _close(loaded, got, want)


@pytest.mark.parametrize("count", [1, 2, 7, 16])
def test_any_batch_size_gives_the_same_rows(loaded, pictures, exact, count):
    for got, want in zip(loaded(pictures[:count]), exact, strict=True):
        _close(loaded, got, want[:count])


def test_the_name_tells_where_it_runs(loaded):
    assert loaded.name in {"torch-cpu", "torch-cuda", "openvino-f32", "openvino-bf16", "onnxruntime-f32"}


def test_views_and_read_only_arrays_are_fine(loaded, pictures, exact):
    frozen = pictures[::-1]
    frozen.flags.writeable = False
    _close(loaded, loaded(frozen)[0], exact[0][::-1])


def test_answers_stay_when_the_next_batch_runs(loaded, pictures):
    first = loaded(pictures[:4])[0]
    kept = first.copy()
    loaded(pictures[4:8])
    np.testing.assert_array_equal(first, kept)


def test_threads_do_not_mix_answers(loaded, pictures, exact):
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda i: loaded(pictures[i : i + 1])[0], range(len(pictures))))
    _close(loaded, np.concatenate(answers), exact[0])


@pytest.mark.parametrize("kind", ["torch", "openvino", "onnxruntime"])
def test_two_integer_inputs_of_any_length(kind):
    example = (np.ones((2, 5), np.int64), np.ones((2, 5), np.int64))
    network = load_runtime(
        Words, example, key="words", kind=kind, device="cpu", threads=1, dynamic_length=True,
        precision="float32",
    )  # fmt: skip
    reference = TorchNetwork(Words(), "cpu", 1)
    rng = np.random.default_rng(1)
    for shape in ((3, 9), (1, 1), (6, 33)):
        ids, mask = rng.integers(0, 50, shape), rng.integers(0, 2, shape)
        (got,) = network(ids, mask)
        np.testing.assert_allclose(got, reference(ids, mask)[0], atol=1e-5)


@pytest.mark.parametrize("kind", ["openvino", "onnxruntime"])
def test_a_cached_graph_needs_no_torch(kind, tmp_path, pictures, exact):
    example = (np.zeros((2, SIDE, SIDE, 3), np.uint8),)
    load_runtime(Net, example, key="net-1", kind=kind, threads=1, cache=tmp_path)
    script = f"""
        import sys, json, pathlib
        import numpy as np
        from vision_rec.encoders.runtime import load_runtime
        def never():
            raise SystemExit("exported again")
        network = load_runtime(
            never, (np.zeros((2, {SIDE}, {SIDE}, 3), np.uint8),), key="net-1", kind={kind!r}, threads=1,
            cache=pathlib.Path({str(tmp_path)!r}), precision="float32")
        pictures = np.random.default_rng(0).integers(0, 256, (19, {SIDE}, {SIDE}, 3), dtype=np.uint8)
        print(json.dumps(["torch" in sys.modules, network(pictures)[0].tolist()]))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=True
    )
    with_torch, numbers = json.loads(done.stdout)
    assert not with_torch
    np.testing.assert_allclose(numbers, exact[0], atol=1e-4)


DAMAGES = ["flip", "cut", "delete", "sums", "empty-sums", "no-sums"]


@pytest.mark.parametrize(
    ("kind", "damage"), [*(("onnxruntime", damage) for damage in DAMAGES), ("openvino", "flip")]
)
def test_a_damaged_graph_is_exported_again(kind, damage, tmp_path, pictures, exact, caplog):
    example = (np.zeros((2, SIDE, SIDE, 3), np.uint8),)
    calls = []

    def export():
        calls.append(1)
        return Net()

    def load():
        return load_runtime(
            export, example, key="k", kind=kind, threads=1, cache=tmp_path, precision="float32"
        )

    load()
    (folder,) = (tmp_path / "graphs").iterdir()
    largest = max(folder.iterdir(), key=lambda path: path.stat().st_size)
    content = bytearray(largest.read_bytes())
    if damage == "flip":
        content[len(content) // 2] ^= 1
        largest.write_bytes(content)
    elif damage == "cut":
        largest.write_bytes(content[:-7])
    elif damage == "delete":
        largest.unlink()
    elif damage == "no-sums":
        (folder / "SHA256.json").unlink()
    else:
        (folder / "SHA256.json").write_text("{}" if damage == "empty-sums" else "[1")
    np.testing.assert_allclose(load()(pictures)[0], exact[0], atol=1e-4)
    assert len(calls) == 2 and "again" in caplog.text
    assert is_intact(folder) and [p.name for p in folder.parent.iterdir()] == [folder.name]
    load()
    assert len(calls) == 2


def test_no_driver_means_torch_is_not_asked(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setattr("vision_rec.encoders.runtime._cuda_works", lambda: pytest.fail("torch was asked"))
    assert not _nvidia_driver()
    load_runtime(Net, (np.zeros((2, SIDE, SIDE, 3), np.uint8),), key="k", threads=1)


def test_another_key_is_another_graph(tmp_path):
    example = (np.zeros((2, SIDE, SIDE, 3), np.uint8),)
    calls = []

    def export():
        calls.append(1)
        return Net()

    for key in ("a", "b", "a", "../../x"):
        load_runtime(export, example, key=key, kind="onnxruntime", threads=1, cache=tmp_path)
    assert len(calls) == 3 and len(list((tmp_path / "graphs").iterdir())) == 3


def test_a_cache_that_cannot_be_written_costs_only_time(tmp_path, pictures, exact, caplog):
    (tmp_path / "file").write_text("not a folder")
    network = load_runtime(
        Net, (np.zeros((2, SIDE, SIDE, 3), np.uint8),), key="k", kind="openvino", threads=1,
        cache=tmp_path / "file", precision="float32",
    )  # fmt: skip
    np.testing.assert_allclose(network(pictures)[0], exact[0], atol=1e-4)
    assert "cannot keep" in caplog.text


def test_auto_goes_on_to_the_next_runtime(monkeypatch, caplog, pictures, exact):
    monkeypatch.setitem(sys.modules, "openvino", None)
    example = (np.zeros((2, SIDE, SIDE, 3), np.uint8),)
    network = load_runtime(Net, example, key="k", device="cpu", threads=1)
    assert network.name == "onnxruntime-f32" and "OpenVINO cannot be imported" in caplog.text
    with pytest.raises(UnavailableError, match="pip install"):
        load_runtime(Net, example, key="k", kind="openvino", threads=1)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    network = load_runtime(Net, example, key="k", device="cpu", threads=1)
    assert network.name == "torch-cpu"
    np.testing.assert_allclose(network(pictures)[0], exact[0], atol=1e-4)


def test_a_broken_export_is_the_caller_s_error():
    def export():
        raise ValueError("no such weights")

    with pytest.raises(ValueError, match="no such weights"):
        load_runtime(export, (np.zeros((2, 4), np.float32),), key="k", device="cpu", threads=1)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"kind": "tensorrt"}, "allowed are auto, torch, openvino, onnxruntime"),
        ({"device": "mps"}, "allowed are auto, cpu, cuda"),
        ({"kind": "openvino", "device": "cuda"}, "cpu only"),
        ({"dynamic_batch": False, "dynamic_length": True}, "needs dynamic_batch"),
    ],
)
def test_wrong_options_say_what_is_allowed(options, words):
    with pytest.raises(InputError, match=words):
        load_runtime(Net, (np.zeros((2, 4), np.float32),), key="k", **options)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_cuda_asked_for_and_absent_is_said():
    with pytest.raises(UnavailableError, match="no CUDA device"):
        load_runtime(Net, (np.zeros((2, 4), np.float32),), key="k", device="cuda")


def test_short_device_memory_halves_the_batch(pictures, exact):
    network = TorchNetwork(Net(), "cpu", 1)
    whole = network._run

    def small(arrays):
        if len(arrays[0]) > 5:
            raise torch.cuda.OutOfMemoryError("full")
        return whole(arrays)

    network._run = small
    np.testing.assert_allclose(network(pictures)[0], exact[0], atol=1e-6)
