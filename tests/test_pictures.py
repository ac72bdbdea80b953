"""Pictures at the door: thumbnails with their cache, references, decoding apart."""

from __future__ import annotations

import io

import pytest
from PIL import Image
from service_shop import draw

from vision_rec.errors import ImageError, NotFoundError
from vision_rec.fetch.cache import FileCache
from vision_rec.pictures import WIDTHS, QueryPictures, Thumbnails, find_picture, snap
from vision_rec.settings import ImageSettings


@pytest.fixture
def shop(tmp_path):
    (tmp_path / "shop").mkdir()
    draw("mug", "red", side=400).save(tmp_path / "shop" / "mug.png")
    return tmp_path / "shop"


@pytest.mark.parametrize(("asked", "made"), [(1, 80), (80, 80), (81, 160), (960, 960), (5000, 960)])
def test_few_widths_are_made(asked, made):
    assert snap(asked) == made and made in WIDTHS


def test_thumbnails_shrink_never_enlarge_and_are_made_once(shop, tmp_path):
    thumbnails = Thumbnails(tmp_path / "cache")
    small, large = (thumbnails.read(shop / "mug.png", width) for width in (100, 900))
    assert Image.open(io.BytesIO(small.data)).size == (160, 160)
    assert Image.open(io.BytesIO(large.data)).size == (400, 400)
    (shop / "mug.png").touch()  # another time, another tag
    kept = sorted((tmp_path / "cache").rglob("*.webp"))
    assert {path.stem for path in kept} == {small.tag, large.tag}
    assert not list((tmp_path / "cache").rglob("*.tmp"))


def test_a_kept_thumbnail_is_not_made_again(shop, tmp_path):
    thumbnails = Thumbnails(tmp_path / "cache")
    tag = thumbnails.read(shop / "mug.png", 80).tag
    (kept,) = (tmp_path / "cache").rglob("*.webp")
    kept.write_bytes(b"kept")
    assert (
        thumbnails.read(shop / "mug.png", 80).data == b"kept" and thumbnails.tag(shop / "mug.png", 80) == tag
    )


def test_metadata_stays_behind(shop, tmp_path):
    exif = Image.Exif()
    exif[0x010E] = "CANARY"
    draw("mug", "red").save(shop / "mug.jpg", exif=exif)
    assert b"CANARY" in (shop / "mug.jpg").read_bytes()
    assert b"CANARY" not in Thumbnails(tmp_path / "cache").read(shop / "mug.jpg", 80).data


@pytest.mark.parametrize("ref", ["absent.png", "../secret.png", "/etc/passwd", "", "x\0y", "."])
def test_references_stay_inside(shop, tmp_path, ref):
    (tmp_path / "secret.png").write_bytes((shop / "mug.png").read_bytes())
    with pytest.raises(NotFoundError) as refused:
        find_picture(ref, str(shop), tmp_path / "fetched")
    assert str(tmp_path) not in str(refused.value)


def test_references_resolve_in_the_folder_or_among_fetched_files(shop, tmp_path):
    assert find_picture("mug.png", str(shop), tmp_path) == shop / "mug.png"
    with pytest.raises(NotFoundError, match="reindex"):
        find_picture("mug.png", None, tmp_path)
    url = "https://cdn.shop.example/mug.png"
    with pytest.raises(NotFoundError, match="not kept"):
        find_picture(url, str(shop), tmp_path / "fetched")
    stored = FileCache(tmp_path / "fetched").store(url, (shop / "mug.png").read_bytes(), {})
    assert find_picture(url, None, tmp_path / "fetched") == stored


def test_query_pictures_are_decoded_within_limits(shop):
    pictures = QueryPictures(ImageSettings(max_query_bytes=100_000), workers=1)
    try:
        picture = pictures.open((shop / "mug.png").read_bytes(), max_side=64)
        assert picture.shape == (64, 64, 3)
        for data in (b"", b"<html>", bytes(100_001)):
            with pytest.raises(ImageError):
                pictures.open(data, max_side=64)
        assert pictures.open((shop / "mug.png").read_bytes(), max_side=64).shape == (64, 64, 3)
    finally:
        pictures.close()
