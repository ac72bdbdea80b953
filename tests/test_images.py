"""Pictures come out with the right pixels, whatever the format, mode or metadata."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageFile

from vision_rec.errors import ImageError, ImageTooLargeError, InputError
from vision_rec.images import crop, open_image, resolve_ref, shrink, thumbnail
from vision_rec.settings import ImageSettings

RED, GREEN, BLUE, WHITE = (200, 30, 30), (30, 160, 60), (30, 60, 200), (255, 255, 255)


def quarters(width=64, height=48):
    """Red, green / blue, white: every turn and flip of it is different."""
    picture = np.zeros((height, width, 3), np.uint8)
    top, left = height // 2, width // 2
    picture[:top, :left], picture[:top, left:] = RED, GREEN
    picture[top:, :left], picture[top:, left:] = BLUE, WHITE
    return picture


def encode(picture, kind, **options):
    out = io.BytesIO()
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    image.save(out, kind, **options)
    return out.getvalue()


def corners(picture):
    height, width = picture.shape[:2]
    points = [(height // 4, width // 4), (height // 4, 3 * width // 4)]
    points += [(3 * height // 4, width // 4), (3 * height // 4, 3 * width // 4)]
    return [tuple(int(value) for value in picture[point]) for point in points]


def near(found, wanted, most=6):
    return np.abs(np.asarray(found, int) - np.asarray(wanted, int)).max() <= most


@pytest.mark.parametrize(
    ("kind", "options", "most"),
    [
        ("JPEG", {"quality": 95, "subsampling": 0}, 6),
        ("JPEG", {"quality": 95, "progressive": True, "subsampling": 0}, 6),
        ("PNG", {}, 0),
        ("PNG", {"interlace": 1}, 0),
        ("WEBP", {"lossless": True}, 0),
        ("WEBP", {"quality": 90}, 12),
        ("GIF", {}, 2),
        ("BMP", {}, 0),
        ("TIFF", {}, 0),
        ("TIFF", {"compression": "tiff_lzw"}, 0),
        ("TIFF", {"big_tiff": True}, 0),
        ("AVIF", {"quality": 95, "subsampling": "4:4:4"}, 8),
    ],
)
def test_every_format_gives_the_same_picture(kind, options, most, tmp_path):
    data = encode(quarters(), kind, **options)
    path = tmp_path / "name-does-not-matter.txt"
    path.write_bytes(data)
    for source in (data, path):
        picture = open_image(source)
        assert picture.dtype == np.uint8 and picture.flags.writeable and picture.flags.c_contiguous
        assert picture.shape == (48, 64, 3)
        assert near(corners(picture), [RED, GREEN, BLUE, WHITE], most)


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_orientation_is_undone(kind, turn):
    undo = [None, None, 0, 3, 1, 5, 2, 6, 4]  # how a camera would have stored it: the inverse transposition
    exif = Image.Exif()
    exif[0x0112] = turn
    stored = Image.fromarray(quarters())
    if turn > 1:
        stored = stored.transpose(Image.Transpose(undo[turn]))
    picture = open_image(encode(stored, kind, exif=exif, **({"quality": 95} if kind != "PNG" else {})))
    assert picture.shape == (48, 64, 3)
    assert near(corners(picture), [RED, GREEN, BLUE, WHITE], 12)


def test_orientation_swaps_sides_before_the_thumbnail_is_measured():
    exif = Image.Exif()
    exif[0x0112] = 6
    small = Image.open(io.BytesIO(thumbnail(encode(quarters(400, 200), "JPEG", exif=exif), 100)))
    assert small.size == (100, 200)


def test_a_broken_exif_block_costs_only_the_orientation():
    data = encode(quarters(), "JPEG", quality=95, exif=b"Exif\0\0MM\0*\0\0\0\xffgarbage")
    assert near(corners(open_image(data)), [RED, GREEN, BLUE, WHITE])


def test_sixteen_bits_are_scaled_not_clipped():
    ramp = np.tile(np.arange(0, 65536, 256, dtype=np.uint16), (32, 1))
    for kind in ("PNG", "TIFF"):
        picture = open_image(encode(Image.fromarray(ramp), kind))
        assert len(np.unique(picture)) > 250
        assert np.abs(picture[0, :, 1].astype(int) - np.arange(256)).max() <= 1


def test_eight_bit_values_times_257_come_back_exactly():
    grey = np.tile(np.arange(256, dtype=np.uint16) * 257, (16, 1))
    assert np.array_equal(open_image(encode(Image.fromarray(grey), "PNG"))[0, :, 0], np.arange(256))


def test_sixteen_bit_grey_with_a_transparent_value_lies_on_white():
    grey = np.full((32, 32), 1000, np.uint16)
    grey[:, 16:] = 30000
    out = io.BytesIO()
    Image.fromarray(grey).save(out, "PNG", transparency=1000)
    picture = open_image(out.getvalue())
    assert tuple(picture[5, 5]) == WHITE and near(picture[5, 20], (116, 116, 116), 1)


def test_cmyk_comes_out_in_its_colours():
    stored = Image.fromarray(quarters()).convert("CMYK")
    for kind, options in (("JPEG", {"quality": 95}), ("TIFF", {})):
        assert near(corners(open_image(encode(stored, kind, **options))), [RED, GREEN, BLUE, WHITE], 10)


def test_grey_palette_and_two_level_pictures():
    source = Image.fromarray(quarters())
    for mode, wanted in (
        ("P", [RED, GREEN, BLUE, WHITE]),
        ("L", [(v, v, v) for v in (81, 110, 67, 255)]),
        ("1", None),
    ):
        picture = open_image(encode(source.convert(mode, dither=Image.Dither.NONE), "PNG"))
        assert picture.shape == (48, 64, 3)
        if mode == "P":
            assert near(corners(picture), wanted, 30)  # the web palette is coarse
        elif wanted:
            assert near(corners(picture), wanted, 1)
        else:
            assert set(np.unique(picture)) == {0, 255}


def with_hidden_red(mode):
    """Left half visible blue, right half fully transparent red."""
    pixels = np.zeros((32, 64, 4), np.uint8)
    pixels[:, :32], pixels[:, 32:] = (*BLUE, 255), (255, 0, 0, 0)
    return Image.fromarray(pixels).convert(mode) if mode != "RGBA" else Image.fromarray(pixels)


@pytest.mark.parametrize(
    ("kind", "options"), [("PNG", {}), ("WEBP", {"lossless": True, "exact": True}), ("TIFF", {}), ("GIF", {})]
)
def test_transparency_lies_on_white(kind, options):
    picture = open_image(encode(with_hidden_red("RGBA"), kind, **options))
    assert near(picture[16, 10], BLUE, 2) and tuple(picture[16, 50]) == WHITE


def test_hidden_colours_do_not_bleed_when_shrinking():
    picture = open_image(encode(with_hidden_red("RGBA"), "PNG"), max_side=17)
    for red, green, _ in picture.reshape(-1, 3).astype(int):
        assert red - green <= 2  # between blue and white, green is never below red


def test_transparency_of_other_modes():
    grey_alpha = open_image(encode(with_hidden_red("RGBA").convert("LA"), "PNG"))
    assert tuple(grey_alpha[16, 50]) == WHITE and grey_alpha[16, 10, 0] < 100
    keyed = encode(Image.fromarray(quarters()), "PNG", transparency=RED)
    assert corners(open_image(keyed)) == [WHITE, GREEN, BLUE, WHITE]
    palette = Image.fromarray(quarters()).quantize(8)
    index = palette.getpixel((2, 2))
    assert near(corners(open_image(encode(palette, "PNG", transparency=index)))[0], WHITE, 0)


def test_half_transparent_is_mixed_with_white():
    pixels = np.full((20, 20, 4), (0, 0, 0, 128), np.uint8)
    assert near(open_image(encode(Image.fromarray(pixels), "PNG"))[10, 10], (127, 127, 127), 1)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "TIFF", "PNG", "AVIF"])
def test_the_first_frame_counts(kind):
    frames = [Image.new("RGB", (32, 32), colour) for colour in (RED, GREEN, BLUE)]
    data = encode(frames[0], kind, save_all=True, append_images=frames[1:])
    assert near(open_image(data)[16, 16], RED, 8)


def test_a_wide_gamut_profile_is_converted():
    wide = ImageCms.ImageCmsProfile(io.BytesIO(swapped_primaries()))
    data = encode(Image.new("RGB", (32, 32), RED), "PNG", icc_profile=wide.tobytes())
    red, green, _ = open_image(data)[16, 16].astype(int)
    assert green > red  # in this profile the first channel is green


def swapped_primaries():
    """An sRGB profile whose red and green primaries are exchanged, under a name that is not sRGB."""
    data = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    count = int.from_bytes(data[128:132], "big")
    entries = {bytes(data[at : at + 4]): at for at in range(132, 132 + 12 * count, 12)}
    red, green = entries[b"rXYZ"], entries[b"gXYZ"]
    data[red : red + 4], data[green : green + 4] = data[green : green + 4], data[red : red + 4]
    for name in (b"sRGB", "sRGB".encode("utf-16-be")):
        data = data.replace(name, b"x" * len(name))
    return bytes(data)


@pytest.mark.parametrize("profile", [b"", b"junk", b"\0" * 4000, b"desc" * 100])
def test_a_broken_profile_is_ignored(profile):
    data = encode(quarters(), "PNG", icc_profile=profile)
    assert corners(open_image(data)) == [RED, GREEN, BLUE, WHITE]


def test_the_longest_side_is_at_most_max_side_and_nothing_is_enlarged():
    data = encode(quarters(640, 200), "JPEG")
    assert open_image(data, max_side=256).shape == (80, 256, 3)
    assert open_image(data, max_side=5000).shape == (200, 640, 3)
    assert open_image(encode(quarters(20, 700), "PNG"), max_side=7).shape == (7, 1, 3)


def test_scaled_decoding_stays_within_a_grey_level_of_the_full_way():
    rng = np.random.default_rng(3)
    coarse = Image.fromarray(rng.integers(0, 256, (40, 50, 3), np.uint8))
    big = coarse.resize((1500, 1200), Image.Resampling.BICUBIC)
    jpeg = encode(big, "JPEG", quality=90)
    full = np.asarray(Image.open(io.BytesIO(jpeg)).resize((160, 128), Image.Resampling.BILINEAR), int)
    difference = np.abs(open_image(jpeg, max_side=160).astype(int) - full)
    assert difference.mean() < 1 and difference.max() < 16


def test_shrinking_averages_and_is_deterministic():
    board = (np.indices((400, 400)).sum(axis=0) % 2 * 255).astype(np.uint8)
    data = encode(np.stack([board] * 3, axis=-1), "PNG")
    picture = open_image(data, max_side=50)
    assert near(picture, 128, 2)  # an aliasing filter would show 0 or 255
    assert np.array_equal(picture, open_image(data, max_side=50))


def test_shrink_is_the_same_resampling():
    picture = np.random.default_rng(1).integers(0, 256, (300, 200, 3), np.uint8)
    assert np.array_equal(shrink(picture, 90), open_image(encode(picture, "PNG"), max_side=90))
    assert shrink(picture, 300) is picture
    with pytest.raises(InputError, match="max_side"):
        shrink(picture, 0)


def test_crop_cuts_shares_of_the_picture():
    picture = quarters()
    assert np.array_equal(crop(picture, (0, 0, 1, 1)), picture)
    assert (crop(picture, (0.5, 0, 0.5, 0.5)) == GREEN).all()
    assert crop(picture, (0.25, 0.5, 0.5, 0.25)).shape == (12, 32, 3)
    assert crop(picture, (0.999, 0.999, 1e-9, 1e-9)).shape == (1, 1, 3)
    assert crop(picture, (0.7, 0.0, 0.30000000001, 1.0)).shape[0] == 48


@pytest.mark.parametrize(
    "box",
    [
        (0, 0, 0, 1), (0, 0, 1, -1), (-0.1, 0, 1, 1), (0.5, 0, 0.6, 1), (1, 0, 0.1, 1),
        (0, 0, float("nan"), 1), (0, 0, float("inf"), 1), (0, 0, 1),
    ],
)  # fmt: skip
def test_crop_refuses_boxes_outside(box):
    with pytest.raises(InputError, match="crop"):
        crop(quarters(), box)


def test_thumbnails_are_small_webp_without_metadata():
    exif = Image.Exif()
    exif[0x010E] = "<script>alert(1)</script>"
    exif[0x8825] = {1: "N", 2: (52.0, 31.0, 12.0)}
    data = encode(quarters(800, 600), "JPEG", exif=exif, comment=b"secret place")
    small = thumbnail(data, 320)
    image = Image.open(io.BytesIO(small))
    assert image.format == "WEBP" and image.size == (320, 240)
    assert not image.getexif() and "icc_profile" not in image.info
    assert b"script" not in small and b"secret" not in small and len(small) < 10_000
    assert near(corners(np.array(image.convert("RGB"))), [RED, GREEN, BLUE, WHITE], 16)
    with pytest.raises(InputError, match="width"):
        thumbnail(data, 0)


def test_the_state_of_the_surrounding_process_does_not_matter(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert open_image(encode(quarters(), "PNG")).shape == (48, 64, 3)


def reason(source, **options):
    with pytest.raises(ImageError) as caught:
        open_image(source, **options)
    return caught.value.reason


def test_reasons_of_unusable_pictures(tmp_path):
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "page.jpg").write_text("<html><body>404 not found</body></html>")
    assert reason(b"") == reason(tmp_path / "empty.jpg") == "empty"
    assert reason(tmp_path / "page.jpg") == "not-an-image"
    assert reason(tmp_path / "no-such.jpg") == "missing"
    assert reason(tmp_path) == "directory"
    assert reason(tmp_path / ("x" * 300)) == "unreadable"
    assert reason(Path("nul\0byte")) == "unreadable"
    assert reason(encode(quarters(1, 1), "PNG")) == "too-small"
    assert reason(encode(quarters(15, 400), "PNG")) == "too-small"
    assert reason(encode(quarters(16, 801), "PNG")) == "too-long"
    data = encode(quarters(), "JPEG")
    assert reason(data[: len(data) // 2]) == "truncated"


def test_floating_point_pictures_are_refused_by_name():
    assert reason(encode(Image.fromarray(np.ones((32, 32), np.float32)), "TIFF")) == "unsupported"


def test_query_limits_are_tighter_and_depend_on_the_format():
    limits = ImageSettings(
        max_pixels=10_000, max_query_pixels=2_000, max_query_pixels_jpeg=5_000, max_query_bytes=3_000
    )
    png, jpeg = encode(quarters(), "PNG"), encode(quarters(), "JPEG")
    assert open_image(png, limits=limits).shape == open_image(jpeg, limits=limits, query=True).shape
    with pytest.raises(ImageTooLargeError, match="3,072 pixels, the limit is 2,000"):
        open_image(png, limits=limits, query=True)
    with pytest.raises(ImageTooLargeError, match="3,000 bytes"):
        open_image(jpeg + bytes(3_000), limits=limits, query=True)
    assert open_image(jpeg + bytes(3_000), limits=limits).shape == (48, 64, 3)


def test_byte_limit_holds_for_files_without_reading_them_whole(tmp_path):
    path = tmp_path / "huge.jpg"
    with path.open("wb") as file:
        file.truncate(1 << 40)  # a sparse terabyte
    assert reason(path) == "too-large"


def test_max_side_must_be_positive():
    with pytest.raises(InputError, match="max_side is 0"):
        open_image(b"x", max_side=0)


def test_resolve_ref_finds_files_below_the_root(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    file = tmp_path / "a" / "b" / "100%20ü.jpg"
    file.touch()
    (tmp_path / "back\\slash.jpg").touch()
    (tmp_path / "link.jpg").symlink_to(file)
    real = file.resolve()
    for ref in ("a/b/100%20ü.jpg", "./a//b/100%20ü.jpg", "a/../a/b/100%20ü.jpg", "link.jpg", str(file)):
        assert resolve_ref(ref, tmp_path) == real
    assert resolve_ref("back\\slash.jpg", tmp_path).name == "back\\slash.jpg"


def test_resolve_ref_follows_a_root_that_is_a_link(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "x.jpg").touch()
    (tmp_path / "root").symlink_to(tmp_path / "real")
    assert resolve_ref("x.jpg", tmp_path / "root") == (tmp_path / "real" / "x.jpg").resolve()
