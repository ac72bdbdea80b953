import numpy as np

from vision_rec.encoders import palette


def test_lab_of_known_colours():
    # Published CIELAB (D65) values of sRGB primaries.
    lab = palette.rgb_to_lab([[255, 255, 255], [0, 0, 0], [255, 0, 0], [0, 255, 0], [0, 0, 255]])
    expected = [
        [100, 0, 0],
        [0, 0, 0],
        [53.24, 80.09, 67.20],
        [87.73, -86.18, 83.18],
        [32.30, 79.19, -107.86],
    ]
    np.testing.assert_allclose(lab, expected, atol=0.05)


def test_anchors_are_fixed_and_inside_the_gamut():
    anchors = palette.anchors()
    assert anchors.shape == (palette.ANCHORS, 3)
    assert np.all((anchors[:, 0] >= 0) & (anchors[:, 0] <= 100))
    distances = np.linalg.norm(anchors[:, None] - anchors[None], axis=2) + np.eye(len(anchors)) * 100
    assert distances.min() > 5


def test_table_shares_sum_to_one():
    table = palette.table()
    assert table.shape == (palette.LEVELS**3, palette.ANCHORS)
    np.testing.assert_allclose(table.sum(axis=1), 1, atol=1e-5)
    assert table.min() >= 0


def test_histogram_equals_the_plain_loop():
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (3, 5, 4, 3), dtype=np.uint8)
    shares = rng.random((3, 5, 4)).astype(np.float32)
    expected = np.zeros((3, palette.ANCHORS))
    for n in range(3):
        for y in range(5):
            for x in range(4):
                r, g, b = (int(value) // 8 for value in pixels[n, y, x])
                expected[n] += shares[n, y, x] * palette.table()[(r * 32 + g) * 32 + b]
        expected[n] /= shares[n].sum()
    np.testing.assert_allclose(palette.histogram(pixels, shares), expected, atol=1e-5)


def test_pixels_that_do_not_count_change_nothing():
    red = np.full((1, 4, 4, 3), (200, 20, 30), dtype=np.uint8)
    shares = np.ones((1, 4, 4), dtype=np.float32)
    alone = palette.histogram(red, shares)
    red[0, 0] = (255, 255, 255)
    shares[0, 0] = 0
    np.testing.assert_allclose(palette.histogram(red, shares), alone, atol=1e-6)


def test_a_picture_without_product_has_an_empty_palette_and_block():
    empty = palette.histogram(np.zeros((1, 2, 2, 3), np.uint8), np.zeros((1, 2, 2), np.float32))
    assert not empty.any()
    block = palette.palette_block(
        empty, palette.ColourMap.straight(np.eye(96, dtype=np.float32)), np.ones(96, np.float32)
    )
    assert not block.any()


def test_near_colours_are_near_and_far_ones_far():
    def root(*rgb):
        return np.sqrt(palette.swatch_histogram([rgb]))[0]

    assert root(200, 30, 40) @ root(190, 40, 45) > 0.9
    assert root(200, 30, 40) @ root(30, 60, 200) < 0.05
    assert root(250, 250, 250) @ root(235, 235, 230) > root(250, 250, 250) @ root(150, 150, 150)


def test_a_swatch_is_the_palette_of_a_plain_picture():
    picture = np.full((1, 8, 8, 3), (10, 120, 80), dtype=np.uint8)
    np.testing.assert_allclose(
        palette.swatch_histogram([(10, 120, 80)]),
        palette.histogram(picture, np.ones((1, 8, 8), np.float32)),
        atol=1e-6,
    )
