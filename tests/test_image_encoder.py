import json
import shutil

import numpy as np
import pytest

from vision_rec.encoders import bundled_folder
from vision_rec.encoders.image import CONFIG, WEIGHTS, ImageEncoder
from vision_rec.errors import IncompatibleError, IntegrityError, UnavailableError
from vision_rec.sample import draw_product, draw_spec
from vision_rec.types import Sample


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return ImageEncoder(bundled_folder(), threads=1, cache=tmp_path_factory.mktemp("graphs"))


@pytest.fixture(scope="module")
def pictures():
    rng = np.random.default_rng(11)
    return [draw_product(draw_spec(rng), rng, 128) for _ in range(24)]


@pytest.fixture(scope="module")
def blocks(encoder, pictures):
    return encoder.encode_pictures(pictures)


def test_blocks_are_unit_rows_of_the_layout(encoder, blocks):
    assert [aspect.name for aspect in encoder.aspects] == ["colour", "shape", "style"]
    for aspect in encoder.aspects:
        assert blocks[aspect.name].shape == (24, aspect.dim)
        assert blocks[aspect.name].dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(blocks[aspect.name], axis=1), 1, atol=1e-5)


def test_one_by_one_equals_the_batch(encoder, pictures, blocks):
    for row in (0, 7):
        alone = encoder.encode_pictures([pictures[row]])
        for name, block in blocks.items():
            # bf16 sums in another order for another batch size.
            assert alone[name][0] @ block[row] > 0.995


def test_colour_is_blind_to_mirroring(encoder, pictures, blocks):
    mirrored = encoder.encode_pictures([np.ascontiguousarray(picture[:, ::-1]) for picture in pictures])
    assert np.einsum("nd,nd->n", mirrored["colour"], blocks["colour"]).mean() > 0.95


def test_a_sample_without_pictures_has_zero_rows(encoder, pictures):
    out = encoder.encode([Sample(), Sample(images=(pictures[0],)), Sample(text="words only")])
    for block in out.values():
        assert not block[0].any() and not block[2].any() and block[1].any()


def test_pooling_leans_on_the_main_picture(encoder, pictures, blocks):
    both = encoder.encode([Sample(images=(pictures[0], pictures[1]))])
    for name, block in both.items():
        assert np.linalg.norm(block[0]) == pytest.approx(1, abs=1e-5)
        assert block[0] @ blocks[name][0] > block[0] @ blocks[name][1]
    single = encoder.pool({name: block[:1] for name, block in blocks.items()})
    np.testing.assert_allclose(single["shape"][0], blocks["shape"][0], atol=1e-6)


def test_any_size_of_picture_is_encoded(encoder):
    rng = np.random.default_rng(0)
    sizes = [(16, 16), (400, 30), (31, 500), (112, 112), (1, 1)]
    out = encoder.encode_pictures([rng.integers(0, 256, (*size, 3), dtype=np.uint8) for size in sizes])
    assert all(np.isfinite(block).all() for block in out.values())


def test_a_swatch_is_nearest_to_products_of_its_colour(encoder):
    rng = np.random.default_rng(5)
    colours = ("red", "blue", "green", "black", "white", "yellow")
    drawn = [draw_spec(rng, colour=colour, pattern="solid") for colour in colours for _ in range(6)]
    block = encoder.encode_pictures([draw_product(spec, rng, 128) for spec in drawn])["colour"]
    for position, colour in enumerate(colours):
        rgb = {"red": (176, 32, 40), "blue": (40, 80, 190), "green": (40, 130, 70)}.get(
            colour, {"black": (30, 30, 30), "white": (245, 245, 243), "yellow": (238, 204, 60)}.get(colour)
        )
        order = np.argsort(-(block @ encoder.encode_colour([rgb])[0]))
        assert sum(int(row) // 6 == position for row in order[:6]) >= 5, colour


def test_colours_are_named(encoder):
    assert encoder.name_colours(encoder.encode_colour([(178, 34, 42)])[0])[0] in {"red", "maroon"}
    assert encoder.name_colours(np.zeros(96, np.float32)) == ()


def test_the_mask_finds_the_drawn_product(encoder):
    from vision_rec.sample import draw_with_mask

    rng = np.random.default_rng(3)
    drawn = [draw_with_mask(draw_spec(rng), rng, 112) for _ in range(20)]
    shares = encoder.masks([picture for picture, _ in drawn])
    truth = np.stack([mask[::2, ::2] > 127 for _, mask in drawn])
    overlap = ((shares > 0.5) & truth).sum() / ((shares > 0.5) | truth).sum()
    assert overlap > 0.7


def test_encoding_centres_on_nothing_in_particular(encoder):
    # A random pair scores about 0 in every aspect (architecture, section 1), gains even out the spreads.
    rng = np.random.default_rng(8)
    out = encoder.encode_pictures([draw_product(draw_spec(rng), rng, 112) for _ in range(120)])
    for aspect in encoder.aspects:
        cosines = out[aspect.name] @ out[aspect.name].T
        apart = cosines[~np.eye(len(cosines), dtype=bool)]
        assert abs(apart.mean()) < 0.15, aspect.name
        assert 0.04 < apart.std() * aspect.gain < 0.25, aspect.name


def test_runtimes_agree(pictures, encoder, blocks):
    plain = ImageEncoder(bundled_folder(), kind="torch", device="cpu", threads=1).encode_pictures(
        pictures[:8]
    )
    for name, block in plain.items():
        assert np.einsum("nd,nd->n", block, blocks[name][:8]).min() > 0.97, name


def test_fingerprint_needs_no_network_and_follows_the_weights(tmp_path, encoder):
    copied = tmp_path / "copy"
    shutil.copytree(bundled_folder(), copied)
    assert ImageEncoder(copied).fingerprint == encoder.fingerprint
    config = json.loads((copied / CONFIG).read_text())
    (copied / CONFIG).write_text(json.dumps(config | {"sha256": "0" * 64}))
    assert ImageEncoder(copied).fingerprint != encoder.fingerprint


def test_damage_is_found_and_named(tmp_path, pictures):
    copied = tmp_path / "copy"
    shutil.copytree(bundled_folder(), copied)
    data = bytearray((copied / WEIGHTS).read_bytes())
    data[len(data) // 2] ^= 1
    (copied / WEIGHTS).write_bytes(bytes(data))
    with pytest.raises(IntegrityError, match="expected SHA-256"):
        ImageEncoder(copied, kind="torch").encode_pictures(pictures[:1])
    (copied / WEIGHTS).unlink()
    with pytest.raises(UnavailableError, match="lacks"):
        ImageEncoder(copied, kind="torch").encode_pictures(pictures[:1])


def test_missing_and_foreign_encoders_say_what_to_do(tmp_path):
    with pytest.raises(UnavailableError, match="train image"):
        ImageEncoder(tmp_path)
    (tmp_path / CONFIG).write_text('{"format": 99}')
    with pytest.raises(IncompatibleError, match="format 99"):
        ImageEncoder(tmp_path)
