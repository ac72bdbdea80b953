"""A catalogue's own encoder: labels or none, any trunk, before and after, resumed, indexed."""

from __future__ import annotations

import csv
import json
from dataclasses import replace

import fakes
import numpy as np
import pytest

torch = pytest.importorskip("torch")
torchvision = pytest.importorskip("torchvision")

from PIL import Image  # noqa: E402

from vision_rec.encoders import load_encoders  # noqa: E402
from vision_rec.encoders.image import ImageEncoder  # noqa: E402
from vision_rec.errors import InputError  # noqa: E402
from vision_rec.settings import Settings  # noqa: E402
from vision_rec.training.catalog import article_types, masks, training_labels  # noqa: E402
from vision_rec.training.report import mirrored  # noqa: E402
from vision_rec.training.run_catalog import (  # noqa: E402
    CatalogueOptions,
    default_recipe,
    start_network,
    train_catalogue,
)
from vision_rec.types import Product  # noqa: E402

TINY = "shufflenet_v2_x0_5"
FAST = CatalogueOptions(side=32, steps=2)


def settings(folder, **more):
    plain = {"runtime": "torch", "device": "cpu", "threads": 1}
    return Settings(
        paths={"indexes": folder / "indexes", "data": folder / "var"},
        images={"workers": 1},
        encoders={**plain, **more},
    )


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    file = tmp_path_factory.mktemp("recipe") / "recipe.toml"
    file.write_text("batch = 8\nthreads = 1\nsave_every = 2\n")
    return file


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    file = tmp_path_factory.mktemp("weights") / "tiny.pth"
    torch.manual_seed(8)
    torch.save(torchvision.models.get_model(TINY, weights=None).state_dict(), file)
    return file


@pytest.fixture(scope="module")
def fitted(drawn_shop, tmp_path_factory, recipe, weights):
    """Heads fitted to the drawn shop on another trunk with its own weights."""
    root = tmp_path_factory.mktemp("fitted")
    lines = []
    options = replace(FAST, backbone=TINY, weights=str(weights), recipe=recipe)
    report = train_catalogue(
        drawn_shop.feed, root / "out", settings=settings(root), options=options, log=lines.append
    )
    return root, report, lines


def test_the_folder_says_what_it_is(fitted):
    root, report, lines = fitted
    told = json.loads((root / "out" / "image.json").read_text())
    assert told["backbone"]["name"] == TINY and told["side"] == 32
    assert told["backbone"]["mean"] == [0.485, 0.456, 0.406] and told["notes"]["start"] == "heads"
    assert json.loads((root / "out" / "report.json").read_text()) == report.to_fields()
    fields = report.to_fields()
    assert (fields["backbone"], fields["start"], fields["steps"], fields["side"]) == (TINY, "heads", 2, 32)
    assert any("pictures train" in line and "article: 80" in line for line in lines)


def test_its_blocks_are_joined_with_the_feed_s_own_labels(fitted, tmp_path):
    root, _, _ = fitted
    encoder, bundled = ImageEncoder(root / "out"), load_encoders(settings(tmp_path).encoders).image
    classes = encoder.labels["shape"].classes["article"]
    assert 2 <= len(classes) < len(bundled.labels["shape"].classes["article"])
    # Colours keep the names that the bundled encoder knows.
    kept, given = (one.colour_map.labels.tensors("colour") for one in (encoder, bundled))
    assert kept.keys() == given.keys() and all(np.array_equal(kept[name], given[name]) for name in kept)


def test_before_and_after_are_both_measured_on_held_out_products(fitted):
    _, report, _ = fitted
    assert report.held_out >= 8 and report.facts["trained_on"] + report.held_out <= 80
    lines = {(change.block, change.label, change.condition): change for change in report.changes}
    assert ("shape", "article", "") in lines and ("colour", "colour", "") in lines
    itself = [change for change in report.changes if change.label == "the product itself"]
    assert {change.block for change in itself} == {"colour", "shape", "style"}
    for change in report.changes:
        assert change.before.queries == change.after.queries > 0
        assert 0 <= change.before.micro <= 1 and 0 <= change.after.micro <= 1
    # The bundled encoder finds a mirrored product again; a trunk of random weights need not.
    assert max(change.before.micro for change in itself) > 0.8
    assert report.k < 10 and any("few products" in note for note in report.notes)


def test_a_frozen_trunk_is_published_as_it_was(fitted, weights):
    root, _, _ = fitted
    network = ImageEncoder(root / "out").build_module().network
    given = torch.load(weights, weights_only=True)
    kept = dict(zip(network.trunk.names, network.trunk.stages, strict=True))["stage2"].state_dict()
    for name, value in kept.items():
        np.testing.assert_allclose(value.float(), given[f"stage2.{name}"].float(), atol=2e-3)


def test_another_trunk_is_another_fingerprint(fitted, tmp_path):
    root, report, _ = fitted
    bundled = load_encoders(settings(tmp_path).encoders).image.fingerprint
    assert report.fingerprint == ImageEncoder(root / "out").fingerprint != bundled
    told = json.loads((root / "out" / "image.json").read_text())
    for change in ({"side": 48}, {"backbone": {**told["backbone"], "mean": [0.5, 0.5, 0.5]}}):
        (tmp_path / "image.json").write_text(json.dumps({**told, **change}))
        assert ImageEncoder(tmp_path).fingerprint != report.fingerprint


def test_an_index_is_made_with_it(fitted, drawn_shop, tmp_path):
    from vision_rec import Recommender
    from vision_rec.reindex import reindex

    root, report, _ = fitted
    chosen = settings(tmp_path, image=str(root / "out"))
    encoders = replace(load_encoders(chosen.encoders), text=fakes.Words())
    reindex(drawn_shop.feed, settings=chosen, encoders=encoders)
    recommender = Recommender.open(tmp_path / "indexes", settings=chosen)
    manifest = json.loads(next((tmp_path / "indexes").glob("2*/manifest.json")).read_text())
    assert manifest["fingerprints"]["image"] == report.fingerprint
    first = next(iter(csv.DictReader(drawn_shop.feed.open(encoding="utf-8"))))["id"]
    answer = recommender.similar(first, k=5, weights={"shape": 1})
    assert len(answer) == 5 and all(np.isfinite(item.score) for item in answer)


@pytest.fixture(scope="module")
def unlabelled(drawn_shop, tmp_path_factory):
    """The drawn shop with ids, numbered titles and pictures only."""
    folder = tmp_path_factory.mktemp("plain")
    with drawn_shop.feed.open(encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    with (folder / "feed.csv").open("w", encoding="utf-8", newline="") as out:
        table = csv.writer(out)
        table.writerow(["id", "title", "image_link"])
        table.writerows([row["id"], f"thing {number}", row["image_link"]] for number, row in enumerate(rows))
    return folder / "feed.csv", drawn_shop.shop


def test_a_feed_without_labels_trains_and_goes_on(unlabelled, tmp_path, recipe):
    feed, images = unlabelled
    lines = []
    options = replace(FAST, images=images, recipe=recipe)

    def train(**changes):
        return train_catalogue(
            feed,
            tmp_path / "out",
            settings=settings(tmp_path),
            options=replace(options, **changes),
            log=lines.append,
        )

    report = train()
    assert report.facts["labels"] == {} and report.facts["start"] == "fine-tune"
    assert {change.label for change in report.changes} == {"the product itself"}
    assert any("only views" in line for line in lines)
    assert json.loads((tmp_path / "out" / "image.json").read_text())["backbone"]["name"] == "bundled"

    first = report.fingerprint
    report = train(steps=3)
    assert "continuing from step 2 of 3" in lines and report.fingerprint != first
    for changes, says in (({"side": 64}, "side 32"), ({"freeze": True}, "'fine-tune'")):
        with pytest.raises(InputError, match=f"holds a run.*{says}.*--out"):
            train(**changes)


def test_too_few_pictures_are_counted(tmp_path):
    for number in range(3):
        Image.new("RGB", (40, 40), (number * 50, 0, 0)).save(tmp_path / f"{number}.png")
    rows = "".join(f"{number},thing {number},{number}.png\n" for number in range(9))
    (tmp_path / "feed.csv").write_text("id,title,image_link\n" + rows)
    with pytest.raises(InputError, match=r"3 of 9 products .* \(6 pictures not used: missing\).*at least 50"):
        train_catalogue(tmp_path / "feed.csv", tmp_path / "out", settings=settings(tmp_path))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (CatalogueOptions(backbone="resnet5"), "near it are resnet50"),
        (CatalogueOptions(backbone=TINY, weights="no.pth"), "there is no weights file no.pth"),
        (CatalogueOptions(weights="DEFAULT"), "begins with its own weights"),
        (CatalogueOptions(backbone=TINY, freeze=True), "frozen trunk needs weights"),
        (CatalogueOptions(side=50), "multiples of 4"),
        (CatalogueOptions(side=1024), "from 32 to 512"),
    ],
    ids=["backbone", "weights", "default", "freeze", "odd-side", "large-side"],
)
def test_what_cannot_be_is_said_before_any_picture_is_read(options, says, tmp_path):
    with pytest.raises(InputError, match=says):
        train_catalogue(tmp_path / "no.csv", tmp_path / "out", settings=settings(tmp_path), options=options)
    assert not (tmp_path / "out").exists()


def test_the_bundled_network_begins_with_all_its_weights():
    network, backbone, start = start_network(CatalogueOptions())
    shipped = load_encoders(Settings().encoders).image.build_module().network.state_dict()
    assert start == "fine-tune" and backbone.spec.is_bundled and not network.frozen
    for name, value in network.state_dict().items():
        torch.testing.assert_close(value, shipped[name])
    assert start_network(CatalogueOptions(freeze=True))[2] == "heads"


def test_weights_of_another_encoder_s_folder_are_a_beginning(tmp_path, weights):
    from vision_rec.encoders import bundled_folder

    file = bundled_folder() / "image.safetensors"
    assert start_network(CatalogueOptions(weights=str(file)))[2] == "fine-tune"
    with pytest.raises(InputError, match=r"tiny\.pth does not fit the backbone: it lacks trunk"):
        start_network(CatalogueOptions(weights=str(weights)))


@pytest.mark.parametrize("start", ["fine-tune", "heads", "random"])
def test_larger_catalogues_train_longer_and_have_an_end(start):
    steps = [default_recipe(pictures, start, 112).steps for pictures in (50, 1000, 20_000, 10**6)]
    assert steps == sorted(steps) and steps[0] >= 150 and steps[-1] <= 10_000
    few = default_recipe(50, start, 96)
    assert few.batch % 2 == 0 and few.batch <= 50 and few.sides == ((0.0, 96),)


# ── pictures and labels ──────────────────────────────────────────────────────────────────────────────


def product(number, *category, **attributes):
    values = {name: (value,) for name, value in attributes.items()}
    return Product(str(number), f"title {number}", category=category, attributes=values)


def test_rare_article_types_count_as_the_level_above():
    paths = [("Home", "Vases")] * 8 + [("Home", "Lamps")] * 3 + [("Toys", "Cars")] * 2 + [()]
    found = article_types([product(number, *path) for number, path in enumerate(paths)])
    assert found == ["vases"] * 8 + ["home"] * 3 + ["", "", ""]


def test_material_takes_a_place_that_the_feed_leaves_free():
    both, named = training_labels([product(1, "A", material="wool", gender="male", color="Red/White")])
    assert both["usage"] == ["wool"] and both["gender"] == ["male"] and both["colour"] == ["red"]
    assert named["usage"] == "material: 1" and "pattern" not in named
    other, _ = training_labels([product(1, "A", material="wool", usage="sport")])
    assert other["usage"] == ["sport"] and other["gender"] == ["wool"]
    full, _ = training_labels([product(1, "A", material="wool", usage="sport", gender="male")])
    assert full["usage"] == ["sport"] and full["gender"] == ["male"]


def test_masks_come_from_white_and_from_what_a_network_is_sure_of():
    pictures = np.full((2, 16, 16, 3), 250, np.uint8)
    pictures[:, 4:12, 4:12] = (200, 30, 30)
    pictures[1] = (120, 90, 60)  # no white at all
    shares = np.zeros((2, 8, 8), np.float32)
    shares[:, 3:5, 3:5] = 1.0
    background, inside = masks(pictures, shares)
    assert background[0, 0, 0] and background[1, 0, 0] and not background[:, 8, 8].any()
    assert inside[:, 8, 8].all() and not (background & inside).any()
    blind, nothing = masks(pictures, np.zeros((2, 8, 8), np.float32))
    assert blind[0, 0, 0] and not blind[1].any() and not nothing.any()


def test_a_mirrored_picture_has_lost_its_rim():
    picture = np.arange(20 * 10 * 3, dtype=np.uint8).reshape(20, 10, 3)
    found = mirrored(picture)
    assert found.shape == (16, 8, 3)
    np.testing.assert_array_equal(found[0, 0], picture[2, 8])
