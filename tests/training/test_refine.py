"""The bend of the colour map: fitted to names, without losing where plain swatches lie."""

import numpy as np

from vision_rec.encoders import palette
from vision_rec.encoders.colour import shop_colours
from vision_rec.fusion import unit
from vision_rec.training.refine import BendTraining, fit_bend

NAMES = ("Red", "Blue", "Green", "White", "Black")


def products(count, seed):
    """Palettes of products whose name is that of the larger of two colours, and the names."""
    rng = np.random.default_rng(seed)
    swatches = {name: palette.swatch_histogram([shop_colours()[name.lower()]])[0] for name in NAMES}
    rows, names = [], []
    for _ in range(count):
        first, second = rng.choice(NAMES, 2, replace=False)
        share = rng.uniform(0.52, 0.62)
        rows.append(share * swatches[first] + (1 - share) * swatches[second])
        names.append(str(first))
    return np.array(rows, dtype=np.float32), names


def first_is_right(colours, rows, names):
    raw = palette.palette_block(rows, colours, np.zeros(96, np.float32))
    block = unit(raw - raw.mean(0))
    scores = block @ block.T
    np.fill_diagonal(scores, -1)
    nearest = np.argsort(-scores, axis=1)[:, :10]
    codes = np.array(names)
    return (codes[nearest] == codes[:, None]).mean()


def test_the_larger_colour_names_the_product_once_the_bend_is_fitted():
    straight = palette.ColourMap.straight(np.eye(96, dtype=np.float32))
    rows, names = products(600, seed=1)
    fitted = fit_bend(rows, names, straight, BendTraining(steps=300, batch=128))
    unseen, their_names = products(300, seed=2)
    before, after = (first_is_right(colours, unseen, their_names) for colours in (straight, fitted))
    assert 1 - after < 0.85 * (1 - before) and after > 0.9
    assert fitted.into.shape == (palette.BEND, 96) and fitted.out.shape == (96, palette.BEND)


def test_a_swatch_lies_among_the_products_of_its_name():
    rows, names = products(600, seed=3)
    straight = palette.ColourMap.straight(np.eye(96, dtype=np.float32))
    fitted = fit_bend(rows, names, straight, BendTraining(steps=300, batch=128))
    raw = palette.palette_block(rows, fitted, np.zeros(96, np.float32))
    mean = raw.mean(0)
    block = unit(raw - mean)
    for name in NAMES:
        swatch = palette.swatch_histogram([shop_colours()[name.lower()]])
        asked = unit(palette.palette_block(swatch, fitted, mean))[0]
        nearest = np.argsort(-(block @ asked))[:20]
        assert {names[row] for row in nearest} == {name}


def test_the_same_seed_gives_the_same_map():
    rows, names = products(100, seed=4)
    straight = palette.ColourMap.straight(np.eye(96, dtype=np.float32))
    once, again = (fit_bend(rows, names, straight, BendTraining(steps=5, batch=32)) for _ in range(2))
    np.testing.assert_array_equal(once.metric, again.metric)
    np.testing.assert_array_equal(once.out, again.out)


def test_without_names_the_map_stays_as_it_is():
    straight = palette.ColourMap.straight(np.eye(96, dtype=np.float32))
    rows, names = products(20, seed=5)
    assert fit_bend(rows, ["" for _ in names], straight) is straight
    assert fit_bend(rows, ["Red" for _ in names], straight) is straight


def test_a_map_survives_its_tensors():
    rng = np.random.default_rng(6)
    arrays = [rng.normal(size=shape).astype(np.float32) for shape in ((96, 96), (5, 96), (5,), (96, 5))]
    colours = palette.ColourMap(*arrays)
    back = palette.ColourMap.of(colours.tensors())
    np.testing.assert_array_equal(back.into, arrays[1])
    straight = palette.ColourMap.straight(arrays[0])
    kept = {name: value for name, value in straight.tensors().items() if value.size}
    assert palette.ColourMap.of(kept).out.shape == (96, 0)
