"""`evaluate --aspects`: a feed and its pictures in, the table with chance levels out; no version is made."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from fakes import fake_encoders
from PIL import Image

from vision_rec.aspects.catalogue import STEPS, measure_catalogue, places, swatches
from vision_rec.errors import FeedError, InputError
from vision_rec.settings import Settings

COLOURS = {"red": (200, 20, 20), "blue": (20, 20, 200), "green": (20, 160, 20)}
BOXES = {"pole": (28, 4, 36, 60), "plank": (4, 28, 60, 36), "block": (14, 14, 50, 50)}


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """54 products: three forms in three colours, six of each; the form is the article."""
    folder = tmp_path_factory.mktemp("forms")
    rng = np.random.default_rng(0)
    with (folder / "feed.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["id", "title", "product_type", "color", "image_link"])
        for article, box in BOXES.items():
            for colour, rgb in COLOURS.items():
                for number in range(6):
                    name = f"{article}-{colour}-{number}"
                    picture = np.full((64, 64, 3), 255, np.uint8)
                    left, top, right, bottom = np.array(box) + rng.integers(-1, 2, 4)
                    picture[top:bottom, left:right] = np.clip(np.array(rgb) + rng.integers(-9, 10), 0, 255)
                    Image.fromarray(picture).save(folder / f"{name}.png")
                    title = f"{article} {number} {colour}"
                    table.writerow([name, title, f"Forms > {article}", colour.title(), f"{name}.png"])
    return folder


@pytest.fixture
def settings(tmp_path):
    return Settings(paths={"data": tmp_path / "var"}, images={"workers": 1})


def test_the_table_of_a_catalogue(cli, shop, tmp_path):
    ran = cli("evaluate", "--aspects", shop / "feed.csv", "--data", tmp_path / "var", "--json")
    found = ran.json
    assert ran.code == 0 and not ran.err
    assert {name: found[name] for name in ("split", "k", "products", "offered", "rejected", "encoder")} == {
        "split": "all", "k": 10, "products": 54, "offered": 54, "rejected": 0, "encoder": "fake-image",
    }  # fmt: skip
    lines = {(line["block"], line["label"], line["condition"]): line for line in found["measures"]}
    assert set(lines) == {
        ("shape", "article", ""),
        ("colour", "colour", ""),
        ("colour", "colour", "other articles"),
        ("colour", "article", "leak"),
        ("shape", "colour", "leak"),
    }
    for key in (("shape", "article", ""), ("colour", "colour", ""), ("colour", "colour", "other articles")):
        assert lines[key]["micro"] == lines[key]["macro"] == 1.0, key
        assert lines[key]["queries"] == 54
    assert lines["shape", "article", ""]["chance"] == pytest.approx(17 / 53)
    assert lines["colour", "colour", "other articles"]["chance"] == pytest.approx(12 / 36)
    assert any("no pattern labels" in note for note in found["notes"])
    assert not (tmp_path / "indexes").exists()

    table = cli("evaluate", "--aspects", shop / "feed.csv", "--data", tmp_path / "var")
    assert table.out.splitlines()[0] == "54 products, P@10, labels with more than 10 members"
    head, first = (line.split() for line in table.out.splitlines()[1:3])
    assert head == ["block", "label", "among", "micro", "macro", "chance", "queries"]
    assert first == ["shape", "article", "all", "1.000", "1.000", "0.321", "54"]
    assert "--split test" in table.err


def test_the_test_split_lowers_the_places_and_says_so(shop, settings):
    whole = measure_catalogue(shop / "feed.csv", settings=settings, encoders=fake_encoders())
    found = measure_catalogue(shop / "feed.csv", settings=settings, encoders=fake_encoders(), split="test")
    assert 3 <= found.products < whole.products and found.offered == found.products
    assert found.k in STEPS[1:] and any(f"first {found.k} places" in note for note in found.notes)
    assert not any("--split test" in note for note in found.notes)


@pytest.mark.parametrize(("members", "k"), [(11, 10), (10, 5), (6, 5), (5, 3), (4, 3), (3, 1), (1, 1)])
def test_places_are_as_many_as_most_labels_can_fill(members, k):
    labels = {"article": [str(number) for number in range(8) for _ in range(members)], "colour": [""] * 8}
    assert places(labels) == k


def _feed(folder, rows, extra=()):
    with (folder / "feed.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["id", "title", "product_type", "color", "image_link", *extra])
        table.writerows(rows)
    return folder / "feed.csv"


def _picture(folder, name, rgb, size=64):
    picture = np.full((size, size, 3), 255, np.uint8)
    picture[10:50, 20:40] = rgb
    Image.fromarray(picture).save(folder / name)


def test_sizes_of_one_variant_count_once_and_missing_pictures_not_at_all(tmp_path, settings):
    for colour, rgb in COLOURS.items():
        _picture(tmp_path, f"{colour}.png", rgb)
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    rows = [
        [f"{colour}-{size}", f"Tee {colour}", "Tees", colour, f"{colour}.png", "tee"]
        for colour in COLOURS
        for size in "SML"
    ]
    rows += [
        ["x", "Other", "Tees", "red", "missing.png", ""],
        ["y", "Other", "Tees", "red", "broken.png", ""],
    ]
    feed = _feed(tmp_path, rows, ["item_group_id"])
    found = measure_catalogue(feed, settings=settings, encoders=fake_encoders())
    assert (found.products, found.offered) == (3, 11)
    notes = "\n".join(found.notes)
    assert "6 variants share" in notes and "2 products have no usable picture" in notes
    assert "1 pictures not used: missing" in notes


def test_bad_rows_are_counted_and_end_with_3(cli, shop, tmp_path):
    rows = list(csv.reader((shop / "feed.csv").open(encoding="utf-8")))
    rows[1][1] = ""  # no title
    feed = tmp_path / "feed.csv"
    with feed.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    ran = cli("evaluate", "--aspects", feed, "--images", shop, "--data", tmp_path / "var", "--json")
    assert ran.code == 3 and ran.json["rejected"] == 1 and ran.json["products"] == 53


def test_only_names_that_are_colours_are_asked_for(settings):
    class Encoder:
        def encode_colour(self, rgb):
            return np.array([rgb[0]], np.float32)

    found = swatches(Encoder(), ["aurora dream", "red", "navy blue", "red", ""])
    assert list(found) == ["red", "navy blue"] and found["red"].shape == (3,)


@pytest.mark.parametrize(
    ("args", "code", "says"),
    [
        ([], 2, "either QRELS.jsonl or --aspects"),
        (["q.jsonl", "--aspects", "feed.csv"], 2, "either QRELS.jsonl or --aspects"),
        (["q.jsonl", "--images", "."], 2, "--images goes with --aspects"),
        (["q.jsonl", "--encoder", "x", "--split", "all"], 2, "--encoder, --split goes with --aspects"),
        (["--aspects", "none.csv"], 4, "none.csv"),
        (["--aspects", "feed.csv", "--split", "half"], 2, "split is 'half'"),
        (["--aspects", "feed.csv", "--images", "none"], 2, "--images DIR"),
        (["--aspects", "feed.csv"], 2, "0 of 1 products"),
    ],
)
def test_wrong_usage_is_one_line(cli, tmp_path, monkeypatch, args, code, says):
    monkeypatch.chdir(tmp_path)
    _feed(tmp_path, [["1", "a", "b", "c", ""]])
    ran = cli("evaluate", *args)
    assert ran.code == code and says in ran.error


def test_an_empty_or_bad_feed_is_refused(tmp_path, settings):
    with pytest.raises(FeedError, match="empty"):
        measure_catalogue(_feed(tmp_path, []), settings=settings, encoders=fake_encoders())
    with pytest.raises(FeedError, match="1 bad rows of 1"):
        measure_catalogue(
            _feed(tmp_path, [["1", "", "", "", ""]]), settings=settings, encoders=fake_encoders()
        )
    with pytest.raises(InputError, match="split"):
        measure_catalogue(tmp_path / "feed.csv", settings=settings, split="some", encoders=fake_encoders())
