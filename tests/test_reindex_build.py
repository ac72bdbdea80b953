"""What a published version holds: rows, flags, placeholders, checks, report; against plain derivations."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image
from reindex_shop import InProcessPool, Shop, content, expected_row, records

from vision_rec.errors import FetchError, IncompatibleError, IntegrityError, UrlNotAllowedError
from vision_rec.fusion import Aspect, AspectLayout
from vision_rec.index import build_index
from vision_rec.index.exact import ExactIndex
from vision_rec.reindex import checks, plan


@pytest.fixture
def shop(tmp_path, monkeypatch):
    monkeypatch.setattr("vision_rec.images.DecodePool", InProcessPool)
    return Shop(tmp_path / "shop")


# ── rows ──────────────────────────────────────────────────────────────────────────────────────────


def test_rows_are_those_of_a_plain_derivation(shop, monkeypatch):
    monkeypatch.setattr(plan, "CHUNK_PRODUCTS", 4)
    shop.fill(10)
    shop.paint("back", (1, 250, 1))
    shop.row("p004")["additional_image_link"] = "images/back.png"
    shop.reviews = [{"product_id": "p007", "rating": "4", "text": "warm and soft"}]
    shop.run()
    version, catalog = shop.open(), records(shop.open())
    for row, name in enumerate(version.ids):
        files = [shop.root / ref for ref in catalog[name]["image_refs"]]
        said = ["warm and soft"] if name == "p007" else []
        np.testing.assert_array_equal(
            version.stored_rows()[row], expected_row(shop, catalog[name], files, said)
        )
    assert len(catalog["p004"]["image_refs"]) == 2


def test_real_decode_processes_give_the_same_version(tmp_path, shop, monkeypatch):
    shop.fill(9)
    shop.run()
    monkeypatch.undo()
    other = Shop(tmp_path / "other").fill(9)
    other.run()
    assert content(shop.open()) == content(other.open())


def test_an_incremental_run_ends_where_a_whole_one_does(tmp_path, shop, monkeypatch):
    monkeypatch.setattr(plan, "CHUNK_PRODUCTS", 4)
    shop.fill(10)
    shop.run()
    other = Shop(tmp_path / "other").fill(10)
    for each in (shop, other):
        each.row("p002")["title"] = "changed"
        each.paint("p003", (7, 7, 7))
        each.row("p004")["price"] = "1.00 EUR"
        each.reviews = [{"product_id": "p005", "rating": "1", "text": "broke at once"}]
        each.add("new", (8, 8, 8))
    shop.run()
    other.run()
    assert content(shop.open()) == content(other.open())


def test_ids_keep_their_form_and_records_their_fields(shop):
    for name in ("00123", "1e5", "Größe/7"):
        row = shop.add("x", (50, 60, 70))
        row["id"] = name
    shop.rows[1]["item_group_id"] = "family"
    shop.run()
    assert shop.open().ids == ("00123", "1e5", "Größe/7")
    assert records(shop.open())["1e5"]["group_id"] == "family"


def test_ids_that_differ_in_unicode_form_alone_are_one_product(shop):
    shop.fill(3)
    shop.rows[1]["id"] = "A\u030angstrom"
    shop.rows.append({**shop.rows[1], "id": "\u00c5ngstrom", "price": "2.00 EUR"})
    report = shop.run()
    assert report.duplicates == 1 and set(shop.open().ids) == {"p000", "p002", "\u00c5ngstrom"}
    shop.rows.pop(1)
    assert shop.run().outcome == "unchanged"
    shop.rows[-1]["id"] = "A\u030angstrom"
    assert shop.run().plan.meta_changed == 1 and "A\u030angstrom" in shop.open().ids


# ── pictures that cannot be used ──────────────────────────────────────────────────────────────────


def test_every_broken_picture_keeps_its_product_and_is_told(shop):
    shop.fill(8)
    images = shop.root / "images"
    (images / "p000.png").unlink()
    (images / "p001.png").write_bytes(b"")
    (images / "p002.png").write_text("<html>404</html>")
    Image.new("RGB", (1, 1)).save(images / "p003.png")
    (images / "p004.png").write_bytes((images / "p005.png").read_bytes()[:60])
    shop.row("p006")["image_link"] = "../../secret.png"
    shop.row("p007")["image_link"] = ""
    report = shop.run()
    catalog, version = records(shop.open()), shop.open()
    assert report.products_without_image == 7 and report.outcome == "published"
    assert {problem.ref: problem.reason for problem in report.image_problem_list} == {
        "images/p000.png": "missing",
        "images/p001.png": "empty",
        "images/p002.png": "not-an-image",
        "images/p003.png": "too-small",
        "images/p004.png": "truncated",
        "../../secret.png": "outside",
    }
    assert sum(report.image_problems.values()) == 6 and catalog["p003"]["flags"] == [
        "image:too-small",
        "no_image",
    ]
    assert catalog["p007"]["flags"] == ["no_image"] and catalog["p005"]["flags"] == []
    layout = version.layout
    for row, name in enumerate(version.ids):
        assert np.any(version.rows()[row][layout.slice("colour")]) == (name == "p005")
        assert np.any(version.rows()[row][layout.slice("text")])


def test_a_repaired_picture_is_taken_up(shop):
    shop.fill(5)
    (shop.root / "images/p001.png").write_text("not yet")
    shop.run()
    assert shop.run().outcome == "unchanged"
    shop.paint("p001", (4, 5, 6))
    report = shop.run()
    assert report.plan.pictures_changed == 1 and shop.encoded("picture") == ["#040506"]
    assert records(shop.open())["p001"]["flags"] == [] and report.products_without_image == 0


def test_one_broken_picture_of_two_leaves_the_other(shop):
    shop.fill(3)
    shop.row("p001")["additional_image_link"] = "images/none.png"
    shop.run()
    record = records(shop.open())["p001"]
    assert record["flags"] == ["image:missing"]
    assert np.any(shop.open().rows()[1][:4])


def test_placeholders_are_found_reported_and_left_out(shop):
    shop.fill(60)
    for number in range(25):
        shop.paint(f"p{number:03d}", (128, 128, 128))
    report = shop.run()
    assert [placeholder.products for placeholder in report.placeholders] == [25]
    assert report.image_problems == {"placeholder": 25} and report.products_without_image == 25
    assert "#808080" not in shop.encoded("picture")
    assert not np.any(shop.open().rows()[:25, :7]) and np.all(np.any(shop.open().rows()[25:, :7], axis=1))
    assert shop.run().outcome == "unchanged"


def test_variants_that_share_a_picture_are_no_placeholder(shop):
    shop.fill(40)
    for number in range(25):
        shop.paint(f"p{number:03d}", (128, 128, 128))
        shop.row(f"p{number:03d}")["item_group_id"] = "one shirt"
    report = shop.run()
    assert report.placeholders == () and shop.encoded("picture").count("#808080") == 1


def test_urls_are_fetched_and_their_failures_told_by_host(shop, monkeypatch):
    shop.fill(4)
    for name in ("p000", "p001", "p002"):
        shop.row(name)["image_link"] = f"https://pictures.example/{name}.png"
    asked = []

    class Fetcher:
        def __init__(self, limits, folder):
            assert folder == shop.root / "var/cache/images"

        def __enter__(self):
            return self

        def __exit__(self, *error):
            pass

        def fetch_all(self, urls, *, refresh=False):
            for url in urls:
                asked.append((url, refresh))
                yield (
                    url,
                    {
                        "https://pictures.example/p000.png": shop.root / "images/p000.png",
                        "https://pictures.example/p001.png": FetchError("gone", "http-404"),
                    }.get(url, UrlNotAllowedError("no")),
                )

    monkeypatch.setattr("vision_rec.fetch.Fetcher", Fetcher)
    report = shop.run()
    assert report.image_problems == {"http-404": 1, "url-not-allowed": 1}
    assert report.image_problems_by_host == {"pictures.example": 2}
    assert np.any(shop.open().rows()[0][:4]) and not np.any(shop.open().rows()[1][:4])
    assert len(asked) == 3 and not asked[0][1]
    shop.run(refresh_images=True)
    assert len(asked) == 6 and asked[-1][1]


# ── encoders that misbehave ───────────────────────────────────────────────────────────────────────


def encoders_with(shop, monkeypatch, name, change):
    encoders = shop.encoders
    before = getattr(encoders.text, name)
    monkeypatch.setattr(encoders.text, name, lambda given: change(before(given)), raising=False)
    return encoders


def test_a_vector_of_nan_empties_one_block_and_flags_its_product(shop, monkeypatch):
    shop.fill(40)

    def spoil(block):
        block[3], block[5] = np.nan, block[5] * 3
        return block

    report = shop.run(encoders=encoders_with(shop, monkeypatch, "encode_texts", spoil))
    version, catalog = shop.open(), records(shop.open())
    assert report.bad_vectors == 2 and catalog["p003"]["flags"] == ["bad_vector:text"]
    assert not np.any(version.rows()[3][version.layout.slice("text")]) and np.isfinite(version.rows()).all()
    assert np.any(version.rows()[3][:4]) and catalog["p005"]["flags"] == ["bad_vector:text"]


def test_a_broken_model_is_not_published(shop, monkeypatch):
    shop.fill(10)
    with pytest.raises(IntegrityError, match="bad vectors: 10 blocks of 10"):
        shop.run(encoders=encoders_with(shop, monkeypatch, "encode_texts", lambda block: block + np.inf))
    assert shop.current() is None
    report = json.loads(next((shop.root / "var/reports").iterdir()).read_text())
    assert {check["name"]: check["passed"] for check in report["checks"]}["bad vectors"] is False


def test_blocks_of_another_width_are_refused(shop, monkeypatch):
    shop.fill(5)
    with pytest.raises(IncompatibleError, match=r"gave \(5, 7\) for aspect 'text'; its layout"):
        shop.run(encoders=encoders_with(shop, monkeypatch, "encode_texts", lambda block: block[:, :7]))


# ── index and checks ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", ["exact", "flat", "hnsw", "ivf"])
def test_every_kind_is_built_checked_and_searched(shop, kind):
    pytest.importorskip("faiss")
    shop.fill(60)
    shop.overrides = {"index": {"kind": kind}}
    report = shop.run()
    assert report.index_kind == kind and all(check.passed for check in report.checks)
    assert set(report.recall) == (
        {"equal", "colour", "shape", "text"} if kind in checks.APPROXIMATE else set()
    )
    assert shop.open().manifest.index_kind == kind
    assert shop.run().outcome == "unchanged"
    shop.overrides = {"index": {"kind": "exact"}}
    assert (shop.run().outcome == "unchanged") == (kind == "exact")


LAYOUT = AspectLayout((Aspect("a", 8), Aspect("b", 8)))


def random_rows(count=400, seed=3):
    rng = np.random.default_rng(seed)
    rows = rng.standard_normal((count, 16)).astype(np.float32)
    for part in (slice(0, 8), slice(8, 16)):
        rows[:, part] /= np.linalg.norm(rows[:, part], axis=1, keepdims=True)
    return rows


class Forgetful:
    """An index that finds only rows of even number."""

    def __init__(self, rows):
        self.exact, self.even = ExactIndex(rows), np.arange(len(rows)) % 2 == 0

    def __len__(self):
        return len(self.even)

    def search(self, queries, k, *, allowed=None):
        return self.exact.search(queries, k, allowed=self.even)

    def save(self, folder):
        pass


def test_an_index_below_the_least_recall_fails():
    rows = random_rows()
    recall = checks.measure_recall(LAYOUT, rows, Forgetful(rows), "hnsw", goal=0.95)
    assert set(recall) == {"equal", "a", "b"} and all(0.4 < share < 0.6 for share in recall.values())
    check = checks.check_recall(recall, "hnsw", 0.95)
    assert not check.passed
    with pytest.raises(IntegrityError, match="recall@10 of 'hnsw'.*Choose --index exact or flat"):
        checks.require([check])


def test_products_that_do_not_find_themselves_fail():
    rows = random_rows()
    assert not checks.check_self_search(LAYOUT, rows, Forgetful(rows), 1.0).passed
    assert checks.check_self_search(LAYOUT, rows, build_index(rows, "exact"), 1.0).passed


def test_twins_find_themselves_by_score():
    rows = np.repeat(random_rows(4), 50, axis=0)
    assert checks.check_self_search(LAYOUT, rows, build_index(rows, "exact"), 1.0).passed


@pytest.mark.parametrize("bad", [0.5, np.nan, np.inf])
def test_norms_other_than_zero_and_one_fail(bad):
    rows = random_rows()
    rows[7, 8:] = 0
    assert checks.check_norms(LAYOUT, rows).passed
    rows[9, 2] = bad
    check = checks.check_norms(LAYOUT, rows)
    assert not check.passed and "'a': 1" in check.detail


def test_corners_hold_the_rows_that_have_the_aspect():
    rows = random_rows(5)
    rows[1, 8:] = 0
    corners = checks.corner_queries(LAYOUT, rows)
    assert {name: len(queries) for name, queries in corners.items()} == {"equal": 5, "a": 5, "b": 4}
    assert not corners["a"][:, 8:].any()


def test_one_product_is_a_catalogue(shop):
    shop.fill(1)
    assert shop.run().outcome == "published" and len(shop.open().ids) == 1


def test_a_product_with_nothing_but_an_id_and_title_is_kept(shop):
    shop.fill(3)
    shop.rows[1].update(title="•", image_link="", product_type="")
    shop.run()
    assert len(shop.open().ids) == 3


# ── report ────────────────────────────────────────────────────────────────────────────────────────


def test_the_report_is_kept_with_the_version_and_counts_everything(shop):
    shop.fill(10)
    report = shop.run()
    told = report.to_dict()
    assert json.loads(json.dumps(told)) == told
    assert told["version_id"] == shop.current() and told["plan"]["new"] == 10
    assert {"feed", "pictures", "plan", "decode", "image encode", "text", "rows", "index", "publish"} <= set(
        told["stages"]
    )
    assert told["stages"]["feed"]["done"] == told["stages"]["image encode"]["done"] == 10
    assert told["peak_memory_bytes"] > 1_000_000 and told["pictures_encoded"] == 10
    kept = shop.open().report
    assert kept["plan"] == told["plan"] and kept["outcome"] == "published"
    assert shop.open().manifest.sources["images"] == str(shop.root)


def test_old_versions_are_pruned(shop):
    shop.fill(3)
    shop.overrides = {"index": {"keep_versions": 2}}
    for price in range(4):
        shop.row("p001")["price"] = f"{price}.00 EUR"
        shop.run()
    assert len(shop.store.ids()) == 2


def test_a_damaged_current_version_is_replaced_from_the_one_before(shop):
    shop.fill(6)
    shop.run()
    shop.row("p001")["price"] = "2.00 EUR"
    shop.run()
    (shop.open().path / "catalog.parquet").write_bytes(b"damage")
    report = shop.run()
    assert report.outcome == "published" and "damaged" in report.notes[0]
    assert not shop.encoded("picture") and records(shop.open())["p001"]["price"] == "2.00"


def test_full_starts_anew_where_no_version_is_good(shop):
    shop.fill(4)
    shop.run()
    (shop.open().path / "vectors.npy").write_bytes(b"damage")
    with pytest.raises(IntegrityError, match="--full"):
        shop.run()
    report = shop.run(full=True)
    assert report.outcome == "published" and report.notes[0].startswith("started anew")
