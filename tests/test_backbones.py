"""Trunks by name: their maps, their weights from files, what does not fit, and that nothing is downloaded."""

from __future__ import annotations

import copy
import json
import pickle
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
torchvision = pytest.importorskip("torchvision")

from safetensors.torch import save_file  # noqa: E402

from vision_rec.encoders.backbones import DEFAULT, build_trunk, open_backbone  # noqa: E402
from vision_rec.encoders.network import ImageNetwork, InferenceNetwork  # noqa: E402
from vision_rec.encoders.trunk_spec import TrunkSpec  # noqa: E402
from vision_rec.errors import IncompatibleError, InputError, UnavailableError  # noqa: E402

SMALL = "mobilenet_v3_small"
TINY = "shufflenet_v2_x0_5"


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    """Whoever tries to download fails."""

    def refuse(url, *args, **kwargs):
        raise OSError(f"no network for {url}")

    monkeypatch.setattr("torch.hub.download_url_to_file", refuse)
    monkeypatch.setattr("urllib.request.urlopen", refuse)


def whole(name, seed=3):
    """A whole network of torchvision with random weights and statistics."""
    torch.manual_seed(seed)
    model = torchvision.models.get_model(name, weights=None)
    for key, value in model.state_dict().items():
        if key.endswith("running_mean"):
            value.normal_(std=0.1)
    return model.eval()


@pytest.fixture(scope="module")
def tiny_file(tmp_path_factory):
    file = tmp_path_factory.mktemp("weights") / "tiny.pth"
    torch.save(whole(TINY).state_dict(), file)
    return file


# ── maps ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("name", "widths"), [(SMALL, (16, 24, 576)), (TINY, (24, 48, 1024))])
def test_three_maps_with_the_widths_read_off(name, widths):
    backbone = open_backbone(name)
    trunk = copy.deepcopy(backbone.trunk).eval()
    assert trunk.widths == widths and backbone.side == 224
    fine, middle, deep = trunk(torch.zeros(2, 3, 96, 64))
    assert fine.shape == (2, widths[0], 24, 16) and middle.shape == (2, widths[1], 12, 8)
    assert deep.shape[:2] == (2, widths[2]) and deep.shape[2] <= 6
    views = ImageNetwork(trunk).eval()(torch.zeros(2, 3, 64, 64))
    assert views.mask.shape == (2, 16, 16) and views.shape.shape == (2, 128) and views.style.shape == (2, 64)


def test_the_deep_map_is_that_of_the_network_on_pictures_as_it_wants_them(tmp_path):
    model = whole(SMALL)
    torch.save(model.state_dict(), tmp_path / "w.pth")
    trunk = open_backbone(SMALL, tmp_path / "w.pth").trunk.eval()
    pixels = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), np.uint8))
    ours = trunk((pixels.permute(0, 3, 1, 2).float() - 128) / 64)[2]
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    theirs = model.features(((pixels.float() / 255 - mean) / std).permute(0, 3, 1, 2))
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)


def test_a_network_without_maps_at_these_strides_is_refused():
    with pytest.raises(InputError, match=r"squeezenet1_1.*strides.*resnet50"):
        open_backbone("squeezenet1_1")


def test_transformers_of_torchvision_are_no_backbones():
    with pytest.raises(InputError, match="there is no backbone 'vit_b_16'"):
        open_backbone("vit_b_16")


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("resnet5", "resnet50"),
        ("ResNet50", "resnet50"),
        ("convnext-tiny", "convnext_tiny"),
        ("bundle", "bundled"),
    ],
)
def test_an_unknown_name_lists_near_ones(name, near):
    with pytest.raises(InputError) as caught:
        open_backbone(name)
    assert repr(name) in str(caught.value) and near in str(caught.value)


def test_a_trunk_is_built_again_from_what_is_written_of_it():
    backbone = open_backbone(TINY)
    spec = TrunkSpec.from_fields(json.loads(json.dumps(backbone.spec.to_fields())))
    assert spec == backbone.spec and not spec.is_bundled
    again = build_trunk(spec)
    assert again.state_dict().keys() == backbone.trunk.state_dict().keys()
    torch.testing.assert_close(again.shift, backbone.trunk.shift)
    assert TrunkSpec.from_fields(None).is_bundled


@pytest.mark.parametrize(
    "fields",
    [{}, {"name": "resnet50"}, {"name": "x", "mean": [0, 0], "std": [1, 1]},
     {"name": "x", "mean": [0, 0, 0], "std": [1, 1, 0]}, {"name": "x", "mean": "abc", "std": [1, 1, 1]}, "x"],
    ids=["empty", "name-only", "two-channels", "zero-std", "words", "text"],
)  # fmt: skip
def test_a_spec_that_is_none_names_the_cure(fields):
    with pytest.raises(IncompatibleError, match="train it again"):
        TrunkSpec.from_fields(fields)


# ── weights from files ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("form", ["safetensors", "wrapped", "parallel", "within", "no-classifier"])
def test_weights_are_read_in_the_forms_they_come_in(tmp_path, tiny_file, form):
    tensors = torch.load(tiny_file, weights_only=True)
    file = tmp_path / "other.pth"
    if form == "safetensors":
        file = file.with_suffix(".safetensors")
        save_file(tensors, file)
    else:
        changed = {
            "wrapped": {"state_dict": tensors, "epoch": 3},
            "parallel": {"model": {f"module.{name}": value for name, value in tensors.items()}},
            "within": {f"backbone.{n}": v for n, v in tensors.items()} | {"head.weight": torch.ones(2)},
            "no-classifier": {n: v for n, v in tensors.items() if not n.startswith("fc.")},
        }[form]
        torch.save(changed, file)
    expected = open_backbone(TINY, tiny_file).trunk.state_dict()
    for name, value in open_backbone(TINY, file).trunk.state_dict().items():
        torch.testing.assert_close(value, expected[name])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            lambda t: t.pop("stage2.0.branch1.0.weight"),
            r"lacks stage2\.0\.branch1\.0\.weight \(24, 1, 3, 3\)",
        ),
        (
            lambda t: t.update({"conv5.0.weight": torch.ones(4, 4)}),
            r"conv5\.0\.weight has the shape \(4, 4\)",
        ),
        (lambda t: t.update({"stage9.weight": torch.ones(1)}), r"has no stage9\.weight"),
    ],
    ids=["missing", "shape", "unknown"],
)
def test_weights_that_do_not_fit_name_the_first_tensor(tmp_path, tiny_file, change, says):
    tensors = dict(torch.load(tiny_file, weights_only=True))
    change(tensors)
    torch.save(tensors, tmp_path / "w.pth")
    with pytest.raises(InputError, match=says):
        open_backbone(TINY, tmp_path / "w.pth")


def test_another_network_s_weights_do_not_fit(tiny_file):
    with pytest.raises(
        InputError, match=r"tiny\.pth does not fit the backbone: it lacks features\.0\.0\.weight"
    ):
        open_backbone(SMALL, tiny_file)


class Bomb:
    def __reduce__(self):
        return (Path.touch, (Path("exploded"),))


def test_a_file_that_holds_more_than_tensors_runs_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("bomb.pth").write_bytes(pickle.dumps({"a": Bomb()}))
    torch.save({"a": Bomb()}, "bomb2.pth")
    torch.save(["no", "tensors"], "list.pth")
    torch.save({"a": 1}, "none.pth")
    Path("text.safetensors").write_text("not a header")
    for name in ("bomb.pth", "bomb2.pth", "list.pth", "none.pth", "text.safetensors", "absent.pth"):
        with pytest.raises(InputError, match=name):
            open_backbone(TINY, Path(name))
    assert not Path("exploded").exists()


def test_nothing_is_downloaded_unless_asked_and_then_said_clearly(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    open_backbone(TINY)
    with pytest.raises(UnavailableError, match=r"shufflenet.*no network.*--weights FILE"):
        open_backbone(TINY, DEFAULT)


def test_default_takes_the_published_file_that_is_there(tmp_path, monkeypatch, tiny_file):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    url = torchvision.models.get_model_weights(TINY).DEFAULT.url
    kept = tmp_path / "hub" / "checkpoints" / url.rsplit("/", 1)[1]
    kept.parent.mkdir(parents=True)
    kept.write_bytes(tiny_file.read_bytes())
    expected = open_backbone(TINY, tiny_file).trunk.state_dict()
    found = open_backbone(TINY, DEFAULT).trunk.state_dict()
    torch.testing.assert_close(found["stages.0.0.weight"], expected["stages.0.0.weight"])


def test_the_bundled_trunk_takes_no_weights_of_a_trunk(tiny_file):
    assert open_backbone().spec.is_bundled
    with pytest.raises(InputError, match="heads"):
        open_backbone("bundled", tiny_file)


# ── open_clip ────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """open_clip with two networks small enough for a test: a transformer and a ResNet."""
    open_clip = pytest.importorskip("open_clip", reason="the extra open-clip is not installed")
    folder = tmp_path_factory.mktemp("configs")
    text = {"context_length": 8, "vocab_size": 64, "width": 16, "heads": 2, "layers": 1}
    vision = {
        "tiny-vit": {"image_size": 32, "layers": 3, "width": 32, "head_width": 16, "patch_size": 8},
        "tiny-rn": {"image_size": 64, "layers": [1, 1, 1, 1], "width": 8, "head_width": 64},
    }
    for name, config in vision.items():
        file = folder / f"{name}.json"
        file.write_text(json.dumps({"embed_dim": 16, "vision_cfg": config, "text_cfg": text}))
        open_clip.add_model_config(file)
    return open_clip


def clip_file(clip, name, file):
    torch.manual_seed(5)
    model = clip.create_model(name, pretrained=None).eval()
    torch.save({"state_dict": {f"module.{n}": v for n, v in model.state_dict().items()}}, file)
    return model


def test_a_transformer_gives_its_tokens_and_a_fine_map_of_its_own(clip, tmp_path):
    model = clip_file(clip, "tiny-vit", tmp_path / "clip.pt")
    backbone = open_backbone("open_clip:tiny-vit", tmp_path / "clip.pt")
    trunk = backbone.trunk.eval()
    assert trunk.widths == (64, 32, 32) and backbone.side == 32
    x = torch.randn(2, 3, 48, 48)
    fine, middle, deep = trunk(x)
    assert fine.shape == (2, 64, 12, 12) and middle.shape == deep.shape == (2, 32, 4, 4)
    seen = torch.nn.functional.interpolate(trunk.normalised(x), (32, 32), mode="bilinear")
    theirs = model.visual.forward_intermediates(seen, indices=[2], output_fmt="NCHW")
    torch.testing.assert_close(deep, theirs["image_intermediates"][0])


def test_a_resnet_of_open_clip(clip, tmp_path):
    model = clip_file(clip, "tiny-rn", tmp_path / "clip.pt")
    trunk = open_backbone("open_clip:tiny-rn", tmp_path / "clip.pt").trunk.eval()
    x = torch.randn(2, 3, 64, 64)
    fine, middle, deep = trunk(x)
    assert fine.shape[-1] == 16 and middle.shape[-1] == 8 and deep.shape[-1] == 2
    theirs = model.visual
    stem = theirs.stem(trunk.normalised(x))
    torch.testing.assert_close(deep, theirs.layer4(theirs.layer3(theirs.layer2(theirs.layer1(stem)))))
    tensors = torch.load(tmp_path / "clip.pt", weights_only=True)["state_dict"]
    del tensors["module.visual.layer1.0.conv1.weight"]
    torch.save(tensors, tmp_path / "less.pt")
    with pytest.raises(InputError, match=r"lacks layer1\.0\.conv1\.weight"):
        open_backbone("open_clip:tiny-rn", tmp_path / "less.pt")


@pytest.mark.parametrize("name", ["tiny-vit", "tiny-rn"])
def test_runtimes_agree_on_it(clip, name):
    from vision_rec.encoders.runtime import load_runtime

    torch.manual_seed(1)
    module = InferenceNetwork(ImageNetwork(build_trunk(TrunkSpec(f"open_clip:{name}"))), 32).eval()
    pixels = np.random.default_rng(1).integers(0, 256, (3, 64, 64, 3), np.uint8)
    plain, *others = (
        load_runtime(
            lambda: module, (pixels[:2],), key="x", kind=kind, device="cpu", threads=1, precision="float32"
        )(pixels)
        for kind in ("torch", "openvino", "onnxruntime")
    )
    for other in others:
        for ours, theirs in zip(plain, other, strict=True):
            np.testing.assert_allclose(theirs, ours, atol=2e-3)


def test_default_of_open_clip_is_asked_for_and_offline_says_so(clip, monkeypatch):
    from vision_rec.encoders.trunk_open_clip import default_tag

    def refuse(*args, **kwargs):
        raise OSError("no network here")

    monkeypatch.setattr(clip, "download_pretrained", refuse)
    assert default_tag("ViT-B-32") == "datacomp_xl_s13b_b90k" and default_tag("RN50-quickgelu")
    with pytest.raises(
        InputError, match=r"no weights for 'RN50' \(those of its name belong to open_clip:RN50-quick"
    ):
        default_tag("RN50")
    with pytest.raises(InputError, match="publishes no weights"):
        open_backbone("open_clip:tiny-vit", DEFAULT)
    monkeypatch.setattr(clip, "list_pretrained_tags_by_model", lambda name: ["laion2b_x"])
    monkeypatch.setattr(clip, "get_pretrained_cfg", lambda name, tag: {})
    with pytest.raises(UnavailableError, match=r"laion2b_x.*no network here.*--weights FILE"):
        open_backbone("open_clip:tiny-vit", DEFAULT)


def test_unknown_names_of_open_clip(clip):
    with pytest.raises(InputError, match="near it are open_clip:tiny-vit"):
        open_backbone("open_clip:tinyvit")
    with pytest.raises(InputError, match="there is no backbone 'open_clip:convnext_base'"):
        open_backbone("open_clip:convnext_base")  # built by another library


def test_without_the_package_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "open_clip", None)
    with pytest.raises(UnavailableError, match=r"vision-rec\[open-clip\]"):
        open_backbone("open_clip:ViT-B-32")
    with pytest.raises(InputError, match="near it are resnet50"):
        open_backbone("resnet5")
