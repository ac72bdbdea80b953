import numpy as np
import pytest

from vision_rec.encoders.prepare import fit_square, squares


@pytest.mark.parametrize("shape", [(80, 60), (60, 80), (112, 112), (500, 20), (1, 300), (300, 1), (7, 5)])
def test_every_shape_becomes_the_square(shape):
    picture = np.full((*shape, 3), 90, dtype=np.uint8)
    square = fit_square(picture, 112)
    assert square.shape == (112, 112, 3)
    assert np.all(square == 90)


def test_a_fitting_picture_is_left_alone():
    picture = np.random.default_rng(0).integers(0, 256, (112, 112, 3), dtype=np.uint8)
    np.testing.assert_array_equal(fit_square(picture, 112), picture)
    twice = fit_square(fit_square(picture[:, :70], 112), 112)
    np.testing.assert_array_equal(twice, fit_square(picture[:, :70], 112))


def test_padding_repeats_the_border_and_is_marked():
    picture = np.zeros((112, 56, 3), dtype=np.uint8)
    picture[:, 0], picture[:, -1] = 200, 100
    fitted = squares([picture], 112)
    assert np.all(fitted.pixels[0, :, :28] == 200) and np.all(fitted.pixels[0, :, -28:] == 100)
    assert fitted.inside[0].sum() == 112 * 56
    assert np.all(fitted.inside[0, :, 28:84] == 1)
