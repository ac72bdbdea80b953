"""`export-onnx`: the graph gives the encoder's blocks, says how to call it, and replaces only its own."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil

import numpy as np
import pytest

from vision_rec.encoders import bundled_folder
from vision_rec.encoders.image import CONFIG, WEIGHTS, ImageEncoder
from vision_rec.encoders.prepare import fit_square, scaled_size, squares
from vision_rec.errors import InputError, IntegrityError
from vision_rec.export_onnx import DESCRIPTION, GRAPH, VECTORS, check_pictures, export_onnx
from vision_rec.outfile import unfinished_folder

pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
NAMES = ("colour", "shape", "style")


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    return export_onnx("bundled", tmp_path_factory.mktemp("portable") / "encoder")


@pytest.fixture(scope="module")
def description(done):
    return json.loads((done.folder / DESCRIPTION).read_text("utf-8"))


@pytest.fixture(scope="module")
def encoder():
    return ImageEncoder(bundled_folder(), kind="torch", device="cpu", threads=1)


@pytest.fixture(scope="module")
def run(done):
    """Run the exported file as a stranger would: with onnxruntime and the words of encoder.json alone."""
    session = onnxruntime.InferenceSession(done.folder / GRAPH, providers=["CPUExecutionProvider"])

    def blocks(pixels, size):
        return dict(zip(NAMES, session.run(list(NAMES), {"pixels": pixels, "size": size}), strict=True))

    return blocks


def fitted(pictures, side):
    size = np.array([scaled_size(picture, side) for picture in pictures], dtype=np.int32)
    return squares(pictures, side).pixels, size


# ── the graph ────────────────────────────────────────────────────────────────────────────────────────


def test_every_block_is_the_encoders(run, encoder):
    pictures = check_pictures()
    expected, found = encoder.encode_pictures(pictures), run(*fitted(pictures, encoder.input_side))
    for name in NAMES:
        assert found[name].dtype == np.float32 and found[name].shape == expected[name].shape
        np.testing.assert_allclose(found[name], expected[name], atol=1e-4)
        assert np.einsum("nd,nd->n", found[name], expected[name]).min() > 0.9999
        np.testing.assert_allclose(np.linalg.norm(found[name], axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("count", [1, 3, 7])
def test_the_batch_is_free(run, encoder, count):
    pixels, size = fitted(check_pictures(), encoder.input_side)
    every = run(pixels, size)
    for name, block in run(pixels[:count], size[:count]).items():
        np.testing.assert_allclose(block, every[name][:count], atol=1e-5)


@pytest.mark.parametrize("level", [0, 128, 255])
def test_a_picture_of_nothing_but_background(run, encoder, level):
    picture = np.full((60, 112, 3), level, np.uint8)
    found = run(*fitted([picture], encoder.input_side))
    for name, block in encoder.encode_pictures([picture]).items():
        assert np.isfinite(found[name]).all()
        np.testing.assert_allclose(found[name], block, atol=1e-4)


def test_a_plain_picture_of_a_colour_has_the_block_of_the_colour(run, encoder):
    # The guide tells ports to make the blocks of "like this, but red" so.
    for rgb in ((200, 30, 30), (20, 24, 60), (246, 244, 240)):
        side = encoder.input_side
        pixels = np.broadcast_to(np.array(rgb, np.uint8), (1, side, side, 3)).copy()
        found = run(pixels, np.array([[side, side]], np.int32))["colour"]
        np.testing.assert_allclose(found, encoder.encode_colour([rgb]), atol=1e-4)


def test_padding_is_no_colour_of_the_picture(run, encoder):
    picture = np.full((112, 30, 3), (30, 60, 160), np.uint8)
    pixels, size = fitted([picture], encoder.input_side)
    told = run(pixels, size)["colour"]
    pixels[:, :, : (112 - 30) // 2] = (220, 20, 20)
    elsewhere = run(pixels, size)["colour"][0] @ told[0]
    counted = run(pixels, np.array([[112, 112]], np.int32))["colour"][0] @ told[0]
    assert elsewhere > 0.99 > counted


def test_the_file_is_one_that_older_runtimes_read(done, description):
    model = onnx.load(done.folder / GRAPH)
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 17)]
    assert model.ir_version <= 9  # onnxruntime 1.15
    properties = {entry.key: entry.value for entry in model.metadata_props}
    assert properties["vision_rec.fingerprint"] == done.fingerprint == description["fingerprint"]
    for output in description["outputs"]:
        assert float(properties[f"vision_rec.gain.{output['name']}"]) == output["gain"]
    assert done.bytes == (done.folder / GRAPH).stat().st_size < 12 * 2**20


def test_weights_are_halved_only_where_nothing_is_lost():
    from vision_rec.encoders.onnx_file import finished

    rng = np.random.default_rng(4)
    exact = rng.normal(size=(64, 32)).astype(np.float16).astype(np.float32)
    inexact = rng.normal(size=(32, 64)).astype(np.float32)
    huge = np.full((64, 64), 1e6, np.float32)
    small = np.ones(8, np.float32)
    given = {"exact": exact, "inexact": inexact, "huge": huge, "small": small}
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["x", "exact"], ["a"]),
            helper.make_node("MatMul", ["a", "inexact"], ["b"]),
            helper.make_node("MatMul", ["b", "huge"], ["y"]),
        ],
        "g",
        [helper.make_tensor_value_info("x", kind, ["n", 64])],
        [helper.make_tensor_value_info("y", kind, ["n", 64])],
        [onnx.numpy_helper.from_array(value, name) for name, value in given.items()],
    )
    whole = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    small_file = finished(whole.SerializeToString(), {"key": "value"}, "note")
    kept = {entry.name: entry.data_type for entry in onnx.load_from_string(small_file).graph.initializer}
    assert kept == {"exact.half": onnx.TensorProto.FLOAT16, "inexact": kind, "huge": kind, "small": kind}
    x = rng.normal(size=(3, 64)).astype(np.float32)
    before, after = (
        onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"]).run(None, {"x": x})[0]
        for content in (whole.SerializeToString(), small_file)
    )
    np.testing.assert_array_equal(before, after)


# ── the description and the vectors ──────────────────────────────────────────────────────────────────


def test_the_description_is_that_of_graph_and_encoder(done, description, encoder):
    graph = (done.folder / GRAPH).read_bytes()
    assert description["format"] == 1 and description["side"] == encoder.input_side
    assert description["graph"]["sha256"] == hashlib.sha256(graph).hexdigest()
    assert description["licence"] == "Apache-2.0"
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    for told, there in (
        (description["inputs"], session.get_inputs()),
        (description["outputs"], session.get_outputs()),
    ):
        assert [(entry["name"], entry["shape"]) for entry in told] == [(e.name, e.shape) for e in there]
        types = {"uint8": "tensor(uint8)", "int32": "tensor(int32)", "float32": "tensor(float)"}
        assert [types[entry["type"]] for entry in told] == [entry.type for entry in there]
    gains = {output["name"]: output["gain"] for output in description["outputs"]}
    assert gains == {aspect.name: aspect.gain for aspect in encoder.aspects}
    for found in description["parity"]["found"].values():
        assert found["max_difference"] <= 1e-4 and found["least_cosine"] > 0.9999


def test_vectors_lead_from_pixels_to_blocks(done, run, encoder):
    told = json.loads((done.folder / VECTORS).read_text("utf-8"))
    side = told["side"]
    shapes = [(vector["height"], vector["width"]) for vector in told["vectors"]]
    assert any(max(shape) > side for shape in shapes) and any(max(shape) < side for shape in shapes)
    for vector, shape in zip(told["vectors"], shapes, strict=True):
        picture = np.frombuffer(base64.b64decode(vector["pixels"]), np.uint8).reshape(*shape, 3)
        square = np.frombuffer(base64.b64decode(vector["fitted"]), np.uint8).reshape(side, side, 3)
        np.testing.assert_array_equal(fit_square(picture, side), square)
        found = run(square[None], np.array([vector["size"]], np.int32))
        for name in NAMES:
            np.testing.assert_allclose(found[name][0], vector["blocks"][name], atol=1e-4)


def taps(old, new, shrinks):
    """The rule of `preparation.scale.weights`, word for word: for each output its first tap and weights."""
    scale = old / new
    stretch = max(scale, 1.0)
    support = 1.0 if shrinks else 2.0
    for i in range(new):
        centre = (i + 0.5) * scale
        first = max(int(centre - support * stretch + 0.5), 0)
        until = min(int(centre + support * stretch + 0.5), old)
        weights = np.array([kernel((j - centre + 0.5) / stretch, shrinks) for j in range(first, until)])
        yield first, weights / weights.sum()


def kernel(x, shrinks):
    x = abs(x)
    if shrinks:
        return max(1.0 - x, 0.0)
    if x < 1:
        return (1.5 * x - 2.5) * x * x + 1
    return (((x - 5) * x + 8) * x - 4) * -0.5 if x < 2 else 0.0


def resampled(values, new, shrinks):
    """Resample (n, m, 3) along its second axis."""
    old = values.shape[1]
    if old == new:
        return values
    columns = [
        np.einsum("nkc,k->nc", values[:, first : first + len(w)].astype(float), w)
        for first, w in taps(old, new, shrinks)
    ]
    return np.clip(np.floor(np.stack(columns, axis=1) + 0.5), 0, 255)


@pytest.mark.parametrize("shape", [(150, 97), (61, 160), (90, 67), (40, 52), (7, 160), (112, 48), (500, 333)])
def test_the_rule_of_the_description_makes_the_same_square(shape):
    picture = np.random.default_rng(shape).integers(0, 256, (*shape, 3), dtype=np.uint8)
    ratio = 112 / max(shape)
    height, width = (max(1, round(length * ratio)) for length in shape)
    shrinks = max(shape) > 112
    wide = resampled(picture, width, shrinks)
    scaled = resampled(wide.transpose(1, 0, 2), height, shrinks).transpose(1, 0, 2)
    top, left = (112 - height) // 2, (112 - width) // 2
    expected = np.pad(scaled, ((top, 112 - height - top), (left, 112 - width - left), (0, 0)), mode="edge")
    np.testing.assert_allclose(fit_square(picture, 112), expected, atol=1)  # fixed point against float64


# ── the folder ───────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def no_work(monkeypatch):
    """Fail where a graph is built although nothing can come of it."""
    monkeypatch.setattr("vision_rec.encoders.portable.portable_graph", lambda encoder: pytest.fail("built"))


def test_a_former_export_is_replaced_as_a_whole(done, tmp_path, monkeypatch):
    folder = tmp_path / "encoder"
    shutil.copytree(done.folder, folder)
    (folder / GRAPH).write_bytes(b"old")
    graph = (done.folder / GRAPH).read_bytes()
    monkeypatch.setattr("vision_rec.export_onnx._graph", lambda encoder, licence: graph)
    again = export_onnx("bundled", folder)
    assert again.folder == folder and again.parity == done.parity
    for name in (GRAPH, DESCRIPTION, VECTORS):
        assert (folder / name).read_bytes() == (done.folder / name).read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["encoder"]


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"holiday.jpg": "x"}, "no export wrote"),
        ({DESCRIPTION: "{}"}, "no export wrote"),
        ({DESCRIPTION: "no json"}, "no export wrote"),
        ({DESCRIPTION: '{"kind": "vision-rec image encoder"}', "notes.txt": "mine"}, "no export wrote"),
        ({GRAPH: "x"}, "no export wrote"),
    ],
    ids=["foreign", "other json", "no json", "a file more", "no description"],
)
def test_what_an_export_did_not_write_is_left_alone(cli, no_work, tmp_path, files, says):
    folder = tmp_path / "out"
    folder.mkdir()
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    ran = cli("export-onnx", folder)
    assert ran.code == 2 and says in ran.error
    assert {path.name: path.read_text("utf-8") for path in folder.iterdir()} == files


def test_a_graph_that_differs_is_not_written(done, tmp_path, monkeypatch):
    folder = tmp_path / "encoder"
    shutil.copytree(done.folder, folder)
    before = (folder / DESCRIPTION).read_bytes()
    graph = (done.folder / GRAPH).read_bytes()
    monkeypatch.setattr("vision_rec.export_onnx._graph", lambda encoder, licence: graph)
    monkeypatch.setattr("vision_rec.export_onnx.MOST_DIFFERENCE", 1e-12)
    for target in (folder, tmp_path / "new"):
        with pytest.raises(IntegrityError, match="block 'colour' by up to .* nothing was written"):
            export_onnx("bundled", target)
    assert (folder / DESCRIPTION).read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["encoder"]


def test_a_folder_appears_whole_or_not_at_all(tmp_path):
    old = tmp_path / "there"
    old.mkdir()
    (old / "a").write_text("old")
    with pytest.raises(RuntimeError), unfinished_folder(old) as new:
        (new / "b").write_text("new")
        raise RuntimeError
    assert [path.name for path in old.iterdir()] == ["a"]
    with unfinished_folder(old) as new:
        (new / "b").write_text("new")
    assert [path.name for path in old.iterdir()] == ["b"]
    assert [path.name for path in tmp_path.iterdir()] == ["there"]
    with pytest.raises(InputError, match="cannot be written"), unfinished_folder(tmp_path / "no" / "x"):
        pass


# ── the command ──────────────────────────────────────────────────────────────────────────────────────


def test_the_command_takes_any_encoder_and_says_what_it_wrote(cli, done, tmp_path, monkeypatch):
    own = tmp_path / "own"
    shutil.copytree(bundled_folder(), own)
    config = json.loads((own / CONFIG).read_text("utf-8"))
    config["gains"]["colour"] = 0.5
    (own / CONFIG).write_text(json.dumps(config), encoding="utf-8")
    graph = (done.folder / GRAPH).read_bytes()
    monkeypatch.setattr("vision_rec.export_onnx._graph", lambda encoder, licence: graph)
    ran = cli("export-onnx", tmp_path / "out", "--encoder", own, "--json")
    assert ran.code == 0 and not ran.err
    assert ran.json["folder"] == str(tmp_path / "out") and set(ran.json["parity"]) == set(NAMES)
    written = json.loads((tmp_path / "out" / DESCRIPTION).read_text("utf-8"))
    assert written["outputs"][0]["gain"] == 0.5 and "Apache" not in written["licence"]
    plain = cli("export-onnx", tmp_path / "out")
    assert plain.code == 0 and done.fingerprint in plain.out


@pytest.mark.parametrize(
    ("spoil", "code", "says"),
    [
        (lambda folder: shutil.rmtree(folder), 8, "no image encoder in"),
        (lambda folder: (folder / WEIGHTS).unlink(), 8, "lacks image.safetensors"),
        (lambda folder: (folder / WEIGHTS).write_bytes(b"x"), 5, "is damaged"),
        (lambda folder: (folder / CONFIG).write_text('{"format": 99}'), 6, "format 99"),
    ],
    ids=["no folder", "no weights", "damaged weights", "another format"],
)
def test_a_bad_encoder_is_named_and_nothing_written(cli, tmp_path, spoil, code, says):
    own = tmp_path / "own"
    shutil.copytree(bundled_folder(), own)
    spoil(own)
    ran = cli("export-onnx", tmp_path / "out", "--encoder", own)
    assert ran.code == code and says in ran.error
    assert {path.name for path in tmp_path.iterdir()} <= {"own"}


def test_a_file_is_no_folder(cli, no_work, tmp_path):
    (tmp_path / "out").write_text("x", encoding="utf-8")
    ran = cli("export-onnx", tmp_path / "out")
    assert ran.code == 2 and "is a file" in ran.error


def test_an_encoder_with_another_trunk_side_and_colour_map_exports_too(encoder, tmp_path):
    torch = pytest.importorskip("torch")
    from safetensors.torch import save_file

    from vision_rec.encoders.backbones import open_backbone
    from vision_rec.encoders.network import ImageNetwork
    from vision_rec.encoders.palette import ColourMap

    rng = np.random.default_rng(3)
    bend = (rng.normal(size=shape).astype(np.float32) / 8 for shape in ((24, 96), (24,), (96, 24)))
    bent = ColourMap(encoder.tensors["palette_metric"], *bend)
    torch.manual_seed(3)
    found = open_backbone("resnet18")
    state = ImageNetwork(found.trunk).state_dict()
    tensors = {
        f"network.{name}": value.half() if value.is_floating_point() else value
        for name, value in state.items()
    }
    beside = {**encoder.tensors, **bent.tensors()}
    tensors |= {name: torch.from_numpy(value) for name, value in beside.items()}
    own = tmp_path / "own"
    own.mkdir()
    save_file({name: value.contiguous().clone() for name, value in tensors.items()}, own / WEIGHTS)
    config = json.loads((bundled_folder() / CONFIG).read_text("utf-8"))
    config |= {"side": 96, "backbone": found.spec.to_fields()}
    config["sha256"] = hashlib.sha256((own / WEIGHTS).read_bytes()).hexdigest()
    (own / CONFIG).write_text(json.dumps(config), encoding="utf-8")
    written = export_onnx(str(own), tmp_path / "out")
    assert json.loads((written.folder / DESCRIPTION).read_text("utf-8"))["side"] == 96
    assert all(found.max_difference <= 1e-4 for found in written.parity.values())
    picture = check_pictures()[1]
    plain, other = (found.encode_pictures([picture])["colour"][0] for found in (encoder, ImageEncoder(own)))
    assert plain @ other < 0.999  # the bend does something
