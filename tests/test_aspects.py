"""Precision, chance, overlap and the table of aspects: plain loops, and tiny blocks with exact answers."""

from __future__ import annotations

import math

import numpy as np
import pytest

from vision_rec.aspects import (
    aspect_table,
    averaged,
    chance_level,
    fused,
    like_this_but,
    nearest,
    overlap,
    random_pair_spread,
    same_label_precision,
    splits_of,
)
from vision_rec.aspects.labels import labels_of
from vision_rec.types import Product


def _gallery(labels, query, unlike, known_only):
    rows = [row for row in range(len(labels)) if row != query and (labels[row] or not known_only)]
    return [row for row in rows if unlike is None or unlike[row] != unlike[query]]


def _plain(vectors, labels, k, unlike=None, members=10, known_only=False):
    """Same-label precision with plain loops, and the precision of a random order."""
    right, chances = {}, []
    for query, label in enumerate(labels):
        if not label or labels.count(label) <= members:
            continue
        others = _gallery(labels, query, unlike, known_only)
        chances.append(sum(labels[row] == label for row in others) / len(others))
        others.sort(key=lambda row: -float(vectors[query] @ vectors[row]))
        right.setdefault(label, []).append(sum(labels[row] == label for row in others[:k]) / k)
    every = [value for values in right.values() for value in values]
    micro, macro = np.mean(every), np.mean([np.mean(values) for values in right.values()])
    return micro, macro, len(every), np.mean(chances)


@pytest.mark.parametrize("known_only", [False, True])
@pytest.mark.parametrize("conditioned", [False, True])
def test_precision_and_chance_equal_the_plain_loop(conditioned, known_only):
    rng = np.random.default_rng(3)
    vectors = rng.normal(size=(90, 6)).astype(np.float32)
    labels = [str(name) for name in rng.choice(["a", "b", "", "rare"], 90, p=[0.5, 0.3, 0.15, 0.05])]
    unlike = [str(draw) for draw in rng.integers(0, 3, 90)] if conditioned else None
    micro, macro, queries, chance = _plain(vectors, labels, 5, unlike, known_only=known_only)
    found = same_label_precision(vectors, labels, 5, unlike=unlike, known_only=known_only)
    assert (found.micro, found.macro, found.queries) == pytest.approx((micro, macro, queries))
    assert chance_level(labels, unlike=unlike, known_only=known_only) == pytest.approx(chance)


def test_perfect_clusters_score_one_and_labels_without_members_are_nan():
    vectors = np.repeat(np.eye(2, dtype=np.float32), 12, axis=0)
    labels = ["x"] * 12 + ["y"] * 12
    assert same_label_precision(vectors, labels, 10).micro == 1.0
    assert chance_level(labels) == pytest.approx(11 / 23)
    assert np.isnan(same_label_precision(vectors, ["only"] * 5 + [""] * 19, 10).micro)
    assert np.isnan(chance_level(["only"] * 5 + [""] * 19))


def test_places_without_a_product_are_misses_and_never_the_same_article():
    """Two products of another article are all that may answer: the other eight places stay empty."""
    vectors = np.ones((14, 3), dtype=np.float32)
    labels, unlike = ["red"] * 14, ["shirt"] * 12 + ["shoe"] * 2
    found = same_label_precision(vectors, labels, 10, unlike=unlike)
    assert found.micro == pytest.approx((12 * 0.2 + 2 * 1.0) / 14)
    alone = same_label_precision(vectors, labels, 10, unlike=["shirt"] * 14)
    assert alone.queries == 0 and np.isnan(chance_level(labels, unlike=["shirt"] * 14))


def test_changed_queries_are_asked_of_the_clean_gallery():
    clean = np.repeat(np.eye(2, dtype=np.float32), 12, axis=0)
    labels = ["x"] * 12 + ["y"] * 12
    swapped = clean[::-1].copy()
    assert same_label_precision(clean, labels, 10, changed=clean).micro == 1.0
    assert same_label_precision(clean, labels, 10, changed=swapped).micro == 0.0
    half = np.where(np.arange(24)[:, None] % 2, clean, swapped)
    assert same_label_precision(clean, labels, 10, changed=half).micro == 0.5


def test_nearest_is_in_order_and_marks_empty_places():
    gallery = np.array([[1.0], [3.0], [2.0]], dtype=np.float32)
    queries = np.array([[1.0], [-1.0]], dtype=np.float32)
    np.testing.assert_array_equal(nearest(queries, gallery, 4), [[1, 2, 0, -1], [0, 2, 1, -1]])
    itself = np.array([1, -1])
    np.testing.assert_array_equal(nearest(queries, gallery, 3, itself=itself), [[2, 0, -1], [0, 2, 1]])
    apart = (np.array([7, 8]), np.array([7, 8, 9]))
    np.testing.assert_array_equal(nearest(queries, gallery, 2, apart=apart), [[1, 2], [0, 2]])
    np.testing.assert_array_equal(nearest(queries, gallery[:0], 2), [[-1, -1], [-1, -1]])


def test_nearest_of_more_queries_than_one_chunk_holds():
    rows = np.random.default_rng(0).normal(size=(1100, 8)).astype(np.float32)
    found = nearest(rows, rows, 3, itself=np.arange(1100))
    for query in (0, 511, 512, 1099):
        scores = rows @ rows[query]
        scores[query] = -np.inf
        np.testing.assert_array_equal(found[query], np.argsort(-scores)[:3])


def test_overlap_counts_in_any_order():
    first, second = np.array([[1, 2, 3, 4], [5, 6, 7, 8]]), np.array([[4, 3, 2, 1], [5, 6, 1, 2]])
    assert overlap(first, second) == 0.75
    assert overlap(first, first) == 1.0
    assert math.isnan(overlap(first[:0], second[:0]))


def test_averages_by_query_and_by_label():
    found = averaged(np.array([1.0, 0.5, 0.0]), ["a", "a", "b"])
    assert (found.micro, found.macro, found.queries) == (0.5, 0.375, 3)


def test_spread_of_random_directions_is_one_over_root_of_the_dimension():
    rows = np.random.default_rng(0).normal(size=(4000, 64)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    assert random_pair_spread(rows) == pytest.approx(1 / 8, rel=0.03)


# ── the table ────────────────────────────────────────────────────────────────────────────────────────

ARTICLES, COLOURS = ("mug", "lamp", "bag"), ("red", "green", "blue")


def _ideal(each=4):
    """Every article in every colour `each` times; shape knows the article alone, colour the colour alone."""
    cells = [(a, c) for a in range(3) for c in range(3) for _ in range(each)]
    axes = np.eye(3, dtype=np.float32)
    shape, colour = axes[[a for a, _ in cells]], axes[[c for _, c in cells]]
    labels = {"article": [ARTICLES[a] for a, _ in cells], "colour": [COLOURS[c] for _, c in cells]}
    return {"colour": colour, "shape": shape, "style": shape}, labels


def test_the_table_of_ideal_blocks():
    blocks, labels = _ideal(each=12)
    table = {(m.block, m.label, m.condition): m for m in aspect_table(blocks, labels)}
    assert set(table) == {
        ("shape", "article", ""),
        ("colour", "colour", ""),
        ("colour", "colour", "other articles"),
        ("colour", "article", "leak"),
        ("shape", "colour", "leak"),
        ("style", "article", "leak"),
        ("all", "article and colour", ""),
    }
    for key in (("shape", "article", ""), ("colour", "colour", "other articles")):
        assert table[key].precision.micro == table[key].precision.macro == 1.0
    assert table["all", "article and colour", ""].precision.micro == 1.0
    assert table["shape", "article", ""].chance == pytest.approx(35 / 107)
    assert table["colour", "colour", "other articles"].chance == pytest.approx(24 / 72)
    assert table["all", "article and colour", ""].chance == pytest.approx(11 / 107)


def test_lines_without_labels_blocks_or_queries_are_left_out():
    blocks, labels = _ideal()
    assert (
        not aspect_table(blocks, labels)[-1].label == "article and colour"
    )  # four of each: none has over ten
    few = aspect_table(blocks, labels, 3)
    assert few[-1].label == "article and colour" and few[-1].precision.micro == 1.0
    colourless = aspect_table(blocks, {"article": labels["article"]})
    assert {(line.block, line.label) for line in colourless} == {
        ("shape", "article"), ("colour", "article"), ("style", "article")
    }  # fmt: skip
    assert {line.block for line in aspect_table({"shape": blocks["shape"]}, labels)} == {"shape"}
    flat = aspect_table(blocks, {"colour": labels["colour"]})  # no article: nothing across articles
    assert [line.condition for line in flat] == ["", "leak"]


def test_titles_without_a_pattern_word_are_no_wrong_answers():
    rows = np.repeat(np.eye(2, dtype=np.float32), 24, axis=0)
    pattern = (["striped"] * 12 + [""] * 12) + (["solid"] * 12 + [""] * 12)
    table = aspect_table({"style": rows}, {"pattern": pattern})
    assert [(line.precision.micro, line.precision.queries) for line in table] == [(1.0, 24)]
    assert table[0].chance == pytest.approx(11 / 23)


def test_fused_rows_weigh_cosines_with_gains():
    blocks, _ = _ideal(each=1)
    row = fused({"colour": blocks["colour"], "shape": blocks["shape"]}, {"colour": 4.0, "shape": 1.0})
    scores = row @ row.T
    expected = 4.0 * blocks["colour"] @ blocks["colour"].T + blocks["shape"] @ blocks["shape"].T
    np.testing.assert_allclose(scores, expected, rtol=1e-6)
    even = fused({"colour": blocks["colour"], "shape": blocks["shape"]})
    assert (even @ even.T)[0, 1] == pytest.approx((even @ even.T)[0, 3], rel=0.02)  # same spread, same say


def test_like_this_but_replaces_the_colour_and_keeps_the_rest():
    blocks, labels = _ideal(each=4)
    swatches = {name: np.eye(3, dtype=np.float32)[place] for place, name in enumerate(COLOURS)}
    found = like_this_but(blocks, labels, swatches, k=4)
    assert (found.precision.micro, found.precision.macro, found.precision.queries) == (1.0, 1.0, 36 * 2)
    assert found.chance == pytest.approx(4 / 35)
    one = like_this_but(blocks, labels, swatches, k=4, others=1)
    assert one.precision.queries == 36
    # Names that are no colours are not asked for; too few products of a pair are no query.
    assert like_this_but(blocks, labels, {"red": swatches["red"]}, k=4).precision.queries == 24
    assert like_this_but(blocks, labels, swatches, k=5).precision.queries == 0
    # A swatch that points away from its colour never finds it.
    wrong = {**swatches, "red": -swatches["red"]}
    assert like_this_but(blocks, labels, wrong, k=4).precision.macro == pytest.approx(2 / 3)


def test_like_this_but_equals_the_product_s_own_arithmetic():
    """The same answers as edit, resolve_weights, scale: one row, one colour replaced, gains as weights."""
    from vision_rec.fusion import Aspect, AspectLayout, edit, fuse, resolve_weights, scale, unit

    rng = np.random.default_rng(5)
    dims, gains = {"colour": 6, "shape": 8, "style": 4}, {"colour": 0.3, "shape": 1.1, "style": 0.6}
    blocks = {name: unit(rng.normal(size=(60, dim)).astype(np.float32)) for name, dim in dims.items()}
    labels = {
        "article": [str(name) for name in rng.choice(["mug", "lamp"], 60)],
        "colour": [str(name) for name in rng.choice(["red", "blue"], 60)],
    }
    swatch = {name: unit(rng.normal(size=(1, 6)).astype(np.float32))[0] for name in ("red", "blue")}
    layout = AspectLayout(tuple(Aspect(name, dim, gain=gains[name]) for name, dim in dims.items()))
    rows = fuse(layout, blocks)
    weights = resolve_weights(layout, None, dims)
    shares = []
    for query in range(60):
        asked = "red" if labels["colour"][query] == "blue" else "blue"
        row = edit(layout, rows[query], {"colour": swatch[asked]})
        scores = rows @ scale(layout, row[None], weights)[0]
        scores[query] = -np.inf
        good = [
            labels["article"][top] == labels["article"][query] and labels["colour"][top] == asked
            for top in np.argsort(-scores)[:5]
        ]
        shares.append(np.mean(good))
    found = like_this_but(blocks, labels, swatch, gains=gains, k=5)
    assert found.precision.queries == 60
    assert found.precision.micro == pytest.approx(np.mean(shares))


# ── labels ───────────────────────────────────────────────────────────────────────────────────────────


def test_labels_come_from_the_feed_s_fields():
    products = [
        Product(
            "1",
            "Striped tee",
            category=("Apparel", "T-Shirts"),
            attributes={"color": ("Navy  Blue/White",), "usage": ("Casual",), "material": ("Cotton",)},
        ),
        Product("2", "Tee", category=("Apparel",), attributes={"color": ("Multi",), "usage": ("NA",)}),
        Product("3", "Printed striped tee", attributes={"occasion": ("Sports",)}),
    ]
    labels = labels_of(products)
    assert labels["article"] == ["t-shirts", "apparel", ""]
    assert labels["colour"] == ["navy blue", "", ""]
    assert labels["pattern"] == ["striped", "", ""]
    assert labels["usage"] == ["casual", "", ""] and labels["material"] == ["cotton", "", ""]
    assert labels["gender"] == ["", "", ""]
    named = [Product("1", "Striped", attributes={"pattern": ("Check",)}), Product("2", "Solid")]
    assert labels_of(named)["pattern"] == ["check", ""]  # the attribute, where the feed has it
    assert labels_of(products[2:])["usage"] == ["sports"]


def test_twins_of_a_picture_stay_on_one_side():
    titles = ["nike men blue tshirt", "title 1", "title 2", "title 3"]
    own = splits_of(titles, ["", "", "", ""])
    assert own[0] == 1  # md5 modulo 5
    shared = splits_of(titles, ["p", "p", "q", "p"])
    assert shared == [min(own[0], own[1], own[3])] * 2 + [own[2], min(own[0], own[1], own[3])]
