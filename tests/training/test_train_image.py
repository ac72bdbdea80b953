"""The whole training on a few drawn pictures: it learns, resumes, publishes, and its encoder loads."""

import numpy as np
import pytest
import torch

from vision_rec.aspects import pattern_of, split_of
from vision_rec.encoders.image import ImageEncoder
from vision_rec.errors import InputError
from vision_rec.sample.draw import iter_drawn
from vision_rec.training.augment import augment
from vision_rec.training.batches import Batches, Classes
from vision_rec.training.data import SIDE, TASKS, Source, plain_background
from vision_rec.training.publish import publish_encoder
from vision_rec.training.run_image import read_recipe
from vision_rec.training.train_image import ImageTraining, Trainer, ahead


@pytest.fixture(scope="module")
def source():
    pixels, masks, articles, colours = [], [], [], []
    for picture, factors in iter_drawn(5, 60, SIDE):
        pixels.append(picture)
        masks.append(factors.mask > 127)
        articles.append(factors.spec.article)
        colours.append(factors.spec.colour.title())
    labels = {task: [""] * 60 for task in TASKS} | {"article": articles, "colour": colours}
    labels["pattern"] = ["solid" if row % 2 else "striped" for row in range(60)]
    split = np.array([0, 1, 2, 3, 4, 2] * 10)
    return Source("drawn", np.stack(pixels), labels, split, ~np.stack(masks), np.stack(masks))


def _recipe(**changes):
    fields = {
        "steps": 6,
        "batch": 12,
        "sides": ((0.0, 48), (0.5, 64)),
        "shares": {"drawn": 1.0},
        "save_every": 3,
    }
    return ImageTraining(**{**fields, "threads": 1, **changes})


def test_it_trains_resumes_and_publishes(tmp_path, source):
    seen = []
    trainer = Trainer(_recipe(), [source], tmp_path / "run")
    before = {name: value.clone() for name, value in trainer.objective.network.state_dict().items()}
    objective = trainer.run(seen.append, lambda averaged: seen.append({"validated": 1.0}))
    assert trainer.step == 6 and seen.count({"validated": 1.0}) == 2
    after = trainer.objective.network.state_dict()
    assert any(not torch.equal(before[name], after[name]) for name in before)

    resumed = Trainer(_recipe(steps=8), [source], tmp_path / "run")
    assert resumed.resume() and resumed.step == 6
    for name, value in resumed.objective.network.state_dict().items():
        torch.testing.assert_close(value, after[name])
    resumed.run(seen.append)
    assert resumed.step == 8

    pictures = [[np.asarray(picture) for picture in source.pixels[start::2]] for start in (0, 1)]
    encoder = publish_encoder(objective, pictures, tmp_path / "encoder", {"note": "test"})
    loaded = ImageEncoder(tmp_path / "encoder", kind="torch", device="cpu", threads=1)
    assert loaded.fingerprint == encoder.fingerprint
    blocks = loaded.encode_pictures([np.asarray(picture) for picture in source.pixels])
    for name, block in blocks.items():
        cosines = block @ block.T
        assert abs(cosines[~np.eye(60, dtype=bool)].mean()) < 0.2, name
    assert {aspect.name: aspect.gain > 0 for aspect in loaded.aspects} == {
        "colour": True, "shape": True, "style": True
    }  # fmt: skip


def test_a_checkpoint_of_other_classes_is_not_continued(tmp_path, source):
    Trainer(_recipe(steps=3), [source], tmp_path).run(lambda losses: None)
    fewer = {**source.labels, "article": ["mug"] * 60}
    other = Source("drawn", source.pixels, fewer, source.split, source.background, source.product)
    assert not Trainer(_recipe(), [other], tmp_path).resume()


def test_held_out_splits_are_never_drawn(source):
    batches = Batches([source], {"drawn": 1.0}, Classes.of([source], minimum=2), {}, seed=1)
    assert set(source.split[batches.rows[0]]) == {2, 3, 4}
    first = next(Batches([source], {"drawn": 1.0}, Classes.of([source], 2), {}, seed=4).stream(8))
    again = next(Batches([source], {"drawn": 1.0}, Classes.of([source], 2), {}, seed=4).stream(8))
    assert torch.equal(first.pixels, again.pixels)


def test_memberships_know_sets_and_strangers(source):
    classes = Classes({task: ("a", "b", "c") for task in TASKS})
    members = classes.members("article", ["a", "b|c", "", "stranger"])
    np.testing.assert_array_equal(members, [[1, 0, 0], [0, 1, 1], [0, 0, 0], [0, 0, 0]])


def test_augmentation_keeps_masks_on_the_product(source):
    rng = torch.Generator().manual_seed(0)
    pixels = torch.from_numpy(source.pixels[:16])
    background, product = torch.from_numpy(source.background[:16]), torch.from_numpy(source.product[:16])
    batch = augment(pixels, background, product, 64, rng)
    assert batch.picture.shape == batch.jittered.shape == (16, 3, 64, 64)
    assert 0 <= float(batch.picture.min()) and float(batch.picture.max()) <= 255
    assert float((batch.background + batch.product).max()) <= 1.001
    assert float(batch.product.mean()) > 0.02


def test_batches_come_in_order_and_errors_reach_the_caller():
    def two_then_fail():
        yield 1, 1
        yield 2, 2
        raise ValueError("no more")

    found = []
    with pytest.raises(ValueError, match="no more"):
        for item in ahead(two_then_fail()):
            found.append(item)
    assert found == [(1, 1), (2, 2)]


def test_near_white_that_touches_the_border_is_background():
    picture = np.full((40, 40, 3), 250, np.uint8)
    picture[10:30, 10:30] = (200, 20, 20)
    picture[18:22, 18:22] = 250  # a white button inside the product stays product
    found = plain_background(picture)
    assert found[0, 0] and not found[20, 20] and not found[12, 12]
    assert not plain_background(np.full((40, 40, 3), 250, np.uint8)).any()


@pytest.mark.parametrize(
    ("title", "pattern"),
    [
        ("Men Striped Polo", "striped"),
        ("Checked Shirt", "check"),
        ("Solid striped tie", ""),
        ("Plain tee", ""),
    ],
)
def test_pattern_words(title, pattern):
    assert pattern_of(title) == pattern


def test_splits_follow_the_published_rule():
    assert split_of("nike men blue tshirt") == 1  # md5 modulo 5
    assert {split_of(f"title {number}") for number in range(60)} == {0, 1, 2, 3, 4}


def test_recipes_come_from_toml(tmp_path):
    file = tmp_path / "recipe.toml"
    file.write_text("steps = 10\nsides = [[0.0, 64], [0.5, 96]]\n[losses]\nforget = 0.0\n")
    recipe = read_recipe(file)
    assert (recipe.steps, recipe.sides, recipe.losses.forget) == (10, ((0.0, 64), (0.5, 96)), 0.0)
    file.write_text("stepps = 10\n")
    with pytest.raises(InputError, match="stepps"):
        read_recipe(file)
    with pytest.raises(InputError, match="no training recipe"):
        read_recipe(tmp_path / "absent.toml")
