"""Drawn pictures: colours, outlines, patterns, light, and that the same seed draws the same."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from vision_rec.sample import draw_product, draw_scene, draw_spec, draw_with_mask, iter_drawn
from vision_rec.sample.articles import ARTICLES
from vision_rec.sample.curves import corner, ellipse, flipped, line, mirror, outline, rounded, shrunk
from vision_rec.sample.fields import enlarge, soften
from vision_rec.sample.palette import (
    ANCHORS,
    COLOUR_NAMES,
    COLOURS,
    SCHEMES,
    lab_to_rgb,
    nearest_colour,
    partner,
    rgb_to_lab,
    vary,
)
from vision_rec.sample.patterns import GRAIN_DEPTH, PATTERNS, TEXTURES, grain, print_pattern
from vision_rec.sample.render import render
from vision_rec.sample.spec import KNOBS, paints

RNG = np.random.default_rng


def shares(picture, mask) -> np.ndarray:
    """Share of the product's pixels nearest to each named colour."""
    lab = rgb_to_lab(picture[mask > 200] / 255.0)
    nearest = np.linalg.norm(lab[:, None] - ANCHORS, axis=-1).argmin(axis=1)
    return np.bincount(nearest, minlength=len(COLOUR_NAMES)) / max(1, len(nearest))


# ── colours ──────────────────────────────────────────────────────────────────────────────


def test_known_lab_values():
    assert lab_to_rgb((100, 0, 0)) == pytest.approx([1, 1, 1], abs=0.002)
    assert lab_to_rgb((0, 0, 0)) == pytest.approx([0, 0, 0], abs=0.002)
    assert rgb_to_lab([1.0, 0.0, 0.0]) == pytest.approx([53.24, 80.09, 67.2], abs=0.1)
    back = rgb_to_lab(lab_to_rgb((50, 10, -20)))
    assert back == pytest.approx([50, 10, -20], abs=0.05)


def test_named_colours_are_in_gamut_and_far_apart():
    for name, lab in COLOURS.items():
        assert rgb_to_lab(lab_to_rgb(lab)) == pytest.approx(lab, abs=4.0), name
    gaps = np.linalg.norm(ANCHORS[:, None] - ANCHORS, axis=-1) + 1000 * np.eye(len(ANCHORS))
    assert gaps.min() > 25


@pytest.mark.parametrize("name", COLOUR_NAMES)
def test_dye_lots_vary_but_stay_nearest_to_their_name(name):
    drawn = np.array([vary(name, RNG(i)) for i in range(60)])
    assert {nearest_colour(lab) for lab in drawn} == {name}
    assert len(np.unique(drawn.round(2), axis=0)) > 40
    assert drawn.std(axis=0).max() > (0.5 if name == "white" else 1.5)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_second_colour_stands_out(scheme):
    for name, lab in COLOURS.items():
        for choice in (0.0, 0.5, 1.0):
            assert np.linalg.norm(np.subtract(partner(lab, scheme, choice), lab)) > 20, (name, choice)


# ── outlines and fields ──────────────────────────────────────────────────────────────────


def test_two_corners_make_a_straight_stretch():
    points = line([corner(0, 0), corner(1, 1)])
    assert points[:, 0] == pytest.approx(points[:, 1], abs=1e-6)
    assert points[0] == pytest.approx([0, 0]) and points[-1] == pytest.approx([1, 1])


def test_a_smooth_outline_passes_through_its_points_and_stays_near():
    asked = [(0.0, -1.0), (1.0, 0.0), (0.0, 1.0), (-1.0, 0.0)]
    drawn = outline(asked)
    for point in asked:
        assert np.linalg.norm(drawn - point, axis=1).min() < 1e-6
    radius = np.linalg.norm(drawn, axis=1)
    assert 0.87 < radius.min() and radius.max() < 1.05  # four smooth points come close to a circle


def test_mirror_flip_and_shrink():
    whole = outline(mirror([(0.0, -1.0), corner(0.5, 0.0), (0.0, 1.0)]))
    other = flipped(whole)
    for point in whole:
        assert np.linalg.norm(other - point, axis=1).min() < 1e-5
    assert shrunk([(1.0, 2.0), corner(1.0, 0.0)], 0.5, 1.0) == [(0.5, 1.5), (0.5, 0.5, 1)]


def test_ready_made_shapes():
    oval = ellipse(1.0, 2.0, 3.0, 1.0)
    assert oval.mean(axis=0) == pytest.approx([1, 2], abs=1e-5)
    assert oval[:, 0].max() == pytest.approx(4.0)
    box = rounded(-1, -2, 1, 2, 0.25)
    assert box.min(axis=0) == pytest.approx([-1, -2]) and box.max(axis=0) == pytest.approx([1, 2])


@pytest.mark.parametrize("radius", [1.0, 3.0, 9.0, 25.0])
def test_soften_keeps_flat_areas_and_spreads_edges(radius):
    field = np.zeros((160, 160), np.float32)
    field[:, 80:] = 1.0
    soft = soften(field, radius)
    assert soft.shape == field.shape and soft.dtype == np.float32
    assert soft[80, 10] == pytest.approx(0.0, abs=0.02)
    if radius < 20:
        assert soft[80, 120] == pytest.approx(1.0, abs=0.03)
    assert soft[80, 78:82].mean() == pytest.approx(0.5, abs=0.1)
    assert np.all(np.diff(soft[80, 20:110]) > -0.02)


def test_enlarge_reaches_any_shape():
    assert enlarge(np.ones((3, 4), np.float32), (30, 50)) == pytest.approx(np.ones((30, 50)), abs=1e-5)


# ── patterns and materials ───────────────────────────────────────────────────────────────


def grid(side=128, periods=6.0):
    v, u = np.mgrid[0:side, 0:side].astype(np.float32) * (periods / side)
    return u, v, periods / side


@pytest.mark.parametrize("name", PATTERNS)
def test_a_pattern_covers_less_than_its_ground(name):
    u, v, pixel = grid()
    printed = print_pattern(name, u, v, pixel=pixel, seed=3)
    covered = 1 - (1 - printed.second) * (1 - printed.third)
    assert printed.second.shape == u.shape and printed.second.dtype == printed.third.dtype == np.float32
    assert printed.second.min() >= 0 and covered.max() <= 1
    assert covered.mean() == 0 if name == "solid" else 0.12 < covered.mean() < 0.42


def test_patterns_differ_from_each_other():
    u, v, pixel = grid()
    fields = [print_pattern(name, u, v, pixel=pixel, seed=3).second for name in PATTERNS]
    for i, one in enumerate(fields):
        for other in fields[:i]:
            assert np.abs(one - other).mean() > 0.1


def test_scattered_patterns_follow_their_seed():
    u, v, pixel = grid()
    first, again, other = (print_pattern("floral", u, v, pixel=pixel, seed=s).second for s in (3, 3, 4))
    assert np.array_equal(first, again) and not np.array_equal(first, other)


@pytest.mark.parametrize("name", [*TEXTURES, "wood", ""])
def test_grain_is_gentle_and_fades_when_too_fine(name):
    u, v, pixel = grid(periods=0.6)
    field = grain(name, u, v, pixel=pixel, seed=5)
    assert field.shape == u.shape and field.dtype == np.float32 and np.isfinite(field).all()
    assert (field.std() > 0.02) == (name in GRAIN_DEPTH)
    assert abs(field.mean()) < 0.6
    if name in ("knit", "corduroy", "leather", "woven"):
        assert np.abs(grain(name, u, v, pixel=0.2, seed=5)).max() == 0


# ── pictures ─────────────────────────────────────────────────────────────────────────────

ALL_CUTS = [(name, cut) for name, article in ARTICLES.items() for cut in article.cuts]


@pytest.mark.parametrize(("article", "cut"), ALL_CUTS)
def test_every_cut_is_drawn_inside_its_picture(article, cut):
    for seed in range(2):
        spec = draw_spec(RNG(seed), article=article, cut=cut)
        picture, mask = draw_with_mask(spec, RNG(seed + 9), 96)
        assert picture.shape == (96, 96, 3) and picture.dtype == np.uint8 and picture.flags.c_contiguous
        assert mask.shape == (96, 96) and mask.dtype == np.uint8
        assert 0.03 < (mask > 127).mean() < 0.6
        rim = np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]])
        assert (rim > 127).mean() < 0.03
        backdrop = rgb_to_lab(picture[mask == 0] / 255.0)
        assert np.median(backdrop[:, 0]) > 74


@pytest.mark.parametrize("colour", COLOUR_NAMES)
def test_the_named_colour_dominates(colour):
    place = COLOUR_NAMES.index(colour)
    own = []
    for i, article in enumerate(ARTICLES):
        spec = draw_spec(RNG((i, place)), article=article, colour=colour, pattern=PATTERNS[(i + place) % 8])
        part = shares(*draw_with_mask(spec, RNG((1, i, place)), 72))
        own.append((part[place], part.argmax() == place))
    assert np.mean([first for _, first in own]) >= 0.9
    assert np.mean([share for share, _ in own]) > 0.6


def test_a_solid_product_has_its_own_colour_on_average():
    for i, (colour, article) in enumerate(
        (c, a) for c in COLOUR_NAMES for a in ("t-shirt", "mug", "cushion", "umbrella")
    ):
        spec = draw_spec(RNG(i), article=article, colour=colour, pattern="solid")
        picture, mask = draw_with_mask(spec, RNG(i + 500), 64)
        typical = np.median(rgb_to_lab(picture[mask > 250] / 255.0), axis=0)
        assert nearest_colour(typical) == colour
        assert np.linalg.norm(typical - spec.lab) < 16


def test_white_things_stand_out_from_their_backdrop():
    for i, article in enumerate(ARTICLES):
        spec = draw_spec(RNG(i), article=article, colour="white", pattern="solid")
        picture, mask = draw_with_mask(spec, RNG(i + 40), 96)
        near = (soften((mask > 127).astype(np.float32), 3.0) > 0.03) & (mask == 0)
        product, around = (picture[where].mean() for where in (mask > 250, near))
        assert abs(product - around) > 3 or picture[mask > 127].std() > 12


def test_same_seed_same_picture_and_other_light_for_another():
    spec = draw_spec(RNG(1))
    one, again, other = (draw_product(spec, RNG(s), 80) for s in (5, 5, 6))
    assert np.array_equal(one, again) and not np.array_equal(one, other)


def test_views_show_other_sides():
    spec = draw_spec(RNG(3), article="shirt", cut="classic", colour="blue", pattern="solid")
    scene = draw_scene(RNG(4), spec)
    front = render(spec, scene, 96)
    back = render(spec, replace(scene, view="back"), 96)
    # The same outline, without collar and buttons.
    assert np.abs(front.mask.astype(int) - back.mask).mean() < 2
    assert np.abs(front.picture.astype(int) - back.picture).max() > 60
    detail = draw_with_mask(spec, RNG(4), 96, view="detail")[1]
    assert (detail > 127).mean() > 1.8 * (front.mask > 127).mean()
    turned = draw_scene(RNG(4), spec, "turned")
    assert turned.squeeze < 0.85 < scene.squeeze


def test_a_flip_mirrors_the_product():
    spec = draw_spec(RNG(8), article="sneaker", cut="runner")
    scene = replace(draw_scene(RNG(2), spec), rotation=0.0, shift_x=0.0, flip=False)
    right = render(spec, scene, 96).mask.astype(int)
    left = render(spec, replace(scene, flip=True), 96).mask.astype(int)
    assert np.abs(right - left[:, ::-1]).mean() < 6
    assert np.abs(right - left).mean() > 10


def test_given_factors_stay_and_knobs_are_in_range():
    spec = draw_spec(RNG(0), article="vase", cut="bulb", colour="teal", pattern="dots", texture="ceramic")
    assert (spec.article, spec.cut, spec.colour, spec.pattern, spec.texture) == (
        "vase",
        "bulb",
        "teal",
        "dots",
        "ceramic",
    )
    assert len(spec.knobs) == KNOBS and all(-1 <= k <= 1 for k in spec.knobs)
    used = {part.paint for a in ARTICLES.values() for cut in a.cuts for part in a.draw(cut, (0.9,) * KNOBS)}
    used |= {part.paint for a in ARTICLES.values() for cut in a.cuts for part in a.draw(cut, (-0.9,) * KNOBS)}
    assert used <= set(paints(spec))


def test_training_series_can_be_split_and_varies():
    whole = list(iter_drawn(21, 6, 48))
    parts = [*iter_drawn(21, 2, 48), *iter_drawn(21, 4, 48, start=2)]
    for (one, factors), (other, again) in zip(whole, parts, strict=True):
        assert np.array_equal(one, other) and factors.spec == again.spec
        assert np.array_equal(factors.mask, again.mask) and factors.mask.shape == one.shape[:2]
    assert not np.array_equal(next(iter_drawn(22, 1, 48))[0], whole[0][0])
    specs = [f.spec for _, f in iter_drawn(5, 100, 32)]
    assert len({s.article for s in specs}) >= 18 and len({s.colour for s in specs}) == 12
    assert len({s.pattern for s in specs}) == len(PATTERNS)


def test_colour_alone_finds_the_same_colour():
    """Known answers: by the histogram of its pixels, the ten nearest of a product share its colour."""
    drawn = [(shares(picture, f.mask), f.spec.colour) for picture, f in iter_drawn(31, 240, 32)]
    rows = np.array([row / np.linalg.norm(row) for row, _ in drawn])
    names = np.array([name for _, name in drawn])
    score = rows @ rows.T - 2 * np.eye(len(rows))
    top = np.argsort(-score, axis=1)[:, :10]
    assert (names[top] == names[:, None]).mean() > 0.93
