"""What reindex does again and what it leaves alone, told by what the encoders are given."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from reindex_shop import InProcessPool, Shop, records

from vision_rec.errors import FeedError, InputError
from vision_rec.reindex import plan

NOW = datetime(2026, 3, 1, 4, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def one_process(monkeypatch):
    monkeypatch.setattr("vision_rec.images.DecodePool", InProcessPool)


@pytest.fixture
def shop(tmp_path):
    shop = Shop(tmp_path / "shop").fill(12)
    report = shop.run(now=NOW)
    assert report.outcome == "published" and report.plan.new == 12
    return shop


def files_of(shop: Shop) -> dict[str, tuple[int, bytes]]:
    folder = shop.open().path
    return {
        path.name: (path.stat().st_ino, path.read_bytes())
        for path in folder.iterdir()
        if path.is_file() and path.name in ("vectors.npy", "ids.json", "catalog.parquet")
    }


def test_a_first_run_encodes_every_picture_and_text_once(shop):
    assert len(shop.encoded("picture")) == len(set(shop.encoded("picture"))) == 12
    assert len(shop.encoded("text")) == 12 and shop.encoded("reviews") == []


def test_nothing_changed_publishes_nothing_and_encodes_nothing(shop):
    before = shop.current()
    report = shop.run(now=NOW + timedelta(hours=1))
    assert (report.outcome, report.version_id) == ("unchanged", before)
    assert report.plan.unchanged == report.plan.products == 12 and report.plan.to_encode == 0
    assert shop.current() == before and not shop.encoded("picture") and not shop.encoded("text")
    assert shop.building() == []


def test_a_feed_in_another_order_changes_nothing(shop):
    shop.rows.reverse()
    assert shop.run().outcome == "unchanged"


def test_touched_pictures_change_nothing(shop):
    for path in (shop.root / "images").iterdir():
        os.utime(path, ns=(1, 1))
    assert shop.run().outcome == "unchanged"


def test_a_price_alone_rewrites_only_the_catalogue(shop, monkeypatch):
    monkeypatch.setattr("vision_rec.images.DecodePool", None)  # no picture may be opened
    before = files_of(shop)
    shop.row("p003").update(price="7.50 EUR", availability="out_of_stock")
    report = shop.run()
    after = files_of(shop)
    assert report.outcome == "published" and report.plan.meta_changed == 1 and report.plan.unchanged == 11
    assert not shop.encoded("picture") and not shop.encoded("text")
    assert after["vectors.npy"] == before["vectors.npy"] and after["ids.json"] == before["ids.json"]
    assert after["catalog.parquet"] != before["catalog.parquet"]
    record = records(shop.open())["p003"]
    assert (record["price"], record["availability"]) == ("7.50", "out_of_stock")


def test_a_title_encodes_one_text_and_no_picture(shop):
    old = shop.open().rows().copy()
    shop.row("p004")["title"] = "quite another name"
    report = shop.run()
    assert report.plan.text_changed == 1 and report.plan.to_encode == 1
    assert shop.encoded("text") == ["quite another name. Small Things"] or len(shop.encoded("text")) == 1
    assert not shop.encoded("picture")
    new, layout = shop.open().rows(), shop.open().layout
    changed = np.any(old != new, axis=0)
    assert changed[layout.slice("text")].any() and not changed[: layout.slice("text").start].any()
    assert list(np.flatnonzero(np.any(old != new, axis=1))) == [4]


def test_a_new_picture_encodes_one_picture_and_no_text(shop):
    shop.paint("p005", (1, 2, 3))
    report = shop.run()
    assert report.plan.pictures_changed == 1 and shop.encoded("picture") == ["#010203"]
    assert not shop.encoded("text")


def test_a_renamed_picture_is_not_encoded_again(shop):
    os.rename(shop.root / "images/p006.png", shop.root / "images/other.png")
    shop.row("p006")["image_link"] = "images/other.png"
    report = shop.run()
    assert report.plan.meta_changed == 1 and not shop.encoded("picture")
    assert records(shop.open())["p006"]["image_refs"] == ["images/other.png"]


def test_the_order_of_rows_and_columns_is_no_news(shop):
    for number, row in enumerate(shop.rows):
        row |= {"season": "Summer", "fit": f"{number}", "color": "red"}
    assert shop.run().outcome == "published"
    shop.rows[:] = [dict(reversed(row.items())) for row in reversed(shop.rows)]
    assert shop.run().outcome == "unchanged"
    shop.rows[0]["fit"] = "other"
    assert shop.run().outcome == "published"


def test_a_picture_that_another_product_had_comes_from_the_cache(shop):
    shop.row("p001")["image_link"] = "images/p002.png"
    report = shop.run()
    assert report.plan.pictures_changed == 1 and not shop.encoded("picture") and report.pictures_cached == 1
    rows = shop.open().rows()
    assert np.array_equal(rows[1][:7], rows[2][:7])


def test_a_lost_cache_costs_only_what_changed(shop):
    (shop.root / "var/cache/pictures.sqlite").write_bytes(b"no database at all" * 100)
    shop.paint("p005", (1, 2, 3))
    assert shop.run().plan.pictures_changed == 1 and shop.encoded("picture") == ["#010203"]


def test_new_products_come_last_and_old_rows_keep_their_place(shop):
    old = shop.open().rows().copy()
    shop.add("a-first", (9, 9, 9))
    shop.rows.insert(0, shop.rows.pop())
    report = shop.run()
    version = shop.open()
    assert report.plan.new == 1 and version.ids == (*(f"p{n:03d}" for n in range(12)), "a-first")
    assert np.array_equal(version.rows()[:12], old) and len(shop.encoded("text")) == 1


def test_another_image_encoder_invalidates_its_blocks_only(shop):
    shop.image = "image-2"
    report = shop.run()
    assert report.plan.encoders_changed == ("image",) and report.plan.to_encode == 12
    assert len(shop.encoded("picture")) == 12 and not shop.encoded("text")
    assert shop.open().manifest.fingerprints["image"] == "image-2"
    assert shop.run().outcome == "unchanged"


def test_another_text_encoder_invalidates_its_blocks_only(shop):
    shop.text = "text-2"
    report = shop.run()
    assert report.plan.encoders_changed == ("text",)
    assert len(shop.encoded("text")) == 12 and not shop.encoded("picture")


def test_full_encodes_everything_again_and_publishes(shop):
    before = shop.current()
    report = shop.run(full=True)
    assert report.outcome == "published" and shop.current() != before
    assert len(shop.encoded("picture")) == len(shop.encoded("text")) == 12


def test_reviews_alone_encode_no_text_and_no_picture(shop):
    shop.reviews = [
        {"product_id": "p002", "rating": "5", "text": "lovely soft thing"},
        {"product_id": "p002", "rating": "2", "text": "too small"},
        {"product_id": "nobody", "rating": "1", "text": "lost"},
    ]
    report = shop.run()
    assert report.plan.reviews_changed == 1 and (report.reviews, report.reviews_without_product) == (3, 1)
    assert shop.encoded("reviews") == ["lovely soft thing", "too small"]
    assert not shop.encoded("text") and not shop.encoded("picture")
    record = records(shop.open())["p002"]
    assert (record["rating"], record["rating_count"], record["sentiment"]) == (3.5, 2, 0.625)
    assert shop.run().outcome == "unchanged"
    shop.row("p001")["price"] = "1.00 EUR"
    assert shop.run().outcome == "published" and records(shop.open())["p002"]["rating"] == 3.5


def test_reviews_of_no_product_at_all_are_refused(shop):
    before = shop.current()
    path = shop.root / "other.csv"
    path.write_text("product_id,text\n")
    assert shop.run(reviews=path).outcome == "unchanged"  # a shop without reviews has none to lose
    path.write_text("product_id,text\nSKU-7,fine\nSKU-8,fine\n")
    with pytest.raises(FeedError, match=r"none of the 2 reviews in .* \(the first is of 'SKU-7'\)"):
        shop.run(reviews=path)
    assert shop.current() == before
    gone = shop.rows.pop(3)["id"]  # reviews of what has just left the feed are of this shop
    path.write_text(f"product_id,text\n{gone},fine\n")
    assert shop.run(reviews=path).reviews_without_product == 1


def test_reviews_that_are_all_gone_are_refused_unless_allowed(shop):
    shop.reviews = [{"product_id": "p002", "rating": "5", "text": "lovely"}]
    shop.run()
    path = shop.root / "other.csv"
    for text in ("product_id,text\n", "product_id,text\nSKU-7,fine\n"):
        path.write_text(text)
        with pytest.raises(FeedError, match=r"(holds no review|none of the 1 reviews).*--allow-shrink"):
            shop.run(reviews=path)
    assert records(shop.open())["p002"]["rating"] == 5.0
    assert shop.run(reviews=path, allow_shrink=True).outcome == "published"
    assert records(shop.open())["p002"]["rating"] is None


def test_a_run_without_the_reviews_of_the_version_before_tells_it(shop):
    shop.reviews = [{"product_id": "p002", "rating": "5", "text": "lovely"}]
    assert shop.run().notes == ()
    shop.reviews = []
    (note,) = shop.run().notes
    assert "was made with reviews (" in note and "give --reviews to keep them" in note
    assert shop.run().notes == ()  # the version in use has none now


def test_plan_only_says_what_would_be_done_and_does_nothing(shop):
    before = shop.current()
    shop.row("p001")["title"] = "renamed"
    shop.add("new", (3, 3, 3))
    report = shop.run(plan_only=True)
    assert report.outcome == "planned" and (report.plan.new, report.plan.text_changed) == (1, 1)
    assert shop.current() == before and shop.building() == [] and not shop.encoded("text")


def test_plan_only_on_no_index_at_all_leaves_no_trace(tmp_path):
    shop = Shop(tmp_path / "shop").fill(3)
    assert shop.run(plan_only=True).plan.new == 3
    assert not (shop.root / "indexes").exists()


# ── products that go and come ─────────────────────────────────────────────────────────────────────


def test_a_product_gone_from_the_feed_is_retired_for_thirty_days(shop):
    before = files_of(shop)
    gone = shop.rows.pop(3)
    report = shop.run(now=NOW)
    assert (report.plan.gone, report.plan.retired, report.plan.dropped) == (1, 1, 0)
    assert files_of(shop)["vectors.npy"] == before["vectors.npy"]
    assert records(shop.open())["p003"]["retired_at"] == "2026-03-01T04:00:00+00:00"
    assert shop.run(now=NOW + timedelta(days=29)).outcome == "unchanged"
    assert len(shop.open().ids) == 12

    report = shop.run(now=NOW + timedelta(days=30))
    assert report.plan.dropped == 1 and "p003" not in shop.open().ids and not shop.encoded("text")
    shop.rows.append(gone)
    assert shop.run(now=NOW + timedelta(days=31)).plan.new == 1


def test_a_retired_product_that_returns_is_not_encoded_again(shop):
    row = shop.rows.pop(3)
    shop.run(now=NOW)
    shop.rows.append({**row, "price": "3.00 EUR"})
    report = shop.run(now=NOW + timedelta(days=5))
    assert report.plan.returned == 1 and not shop.encoded("text") and not shop.encoded("picture")
    record = records(shop.open())["p003"]
    assert record["retired_at"] is None and record["price"] == "3.00"


def test_retired_products_are_encoded_by_a_new_encoder_too(shop):
    shop.rows.pop(3)
    shop.run(now=NOW)
    shop.image = "image-2"
    shop.run(now=NOW + timedelta(days=1))
    assert len(shop.encoded("picture")) == 12 and np.any(shop.open().rows()[3][:4])


def test_reviews_of_a_retired_product_are_read_again_when_a_new_encoder_missed_them(shop):
    shop.reviews = [{"product_id": "p003", "rating": "4", "text": "fine"}]
    shop.run(now=NOW)
    row, reviews = shop.rows.pop(3), shop.reviews
    shop.run(now=NOW)
    shop.text, shop.reviews = "text-2", []
    shop.run(now=NOW)
    assert not np.any(shop.open().rows()[3][-8:]) and records(shop.open())["p003"]["rating"] == 4.0
    shop.rows.append(row)
    shop.reviews = reviews
    assert shop.run(now=NOW).plan.reviews_changed == 1 and np.any(shop.open().rows()[3][-8:])


def test_no_retirement_drops_at_once(shop):
    shop.overrides = {"feed": {"retire_days": 0}}
    shop.rows.pop(3)
    assert shop.run().plan.dropped == 1 and len(shop.open().ids) == 11


def test_prices_in_several_currencies_are_told(shop):
    assert shop.run().notes == ()
    shop.rows[2]["price"], shop.rows[5]["price"], shop.rows[7]["price"] = "11.00 USD", "7.50", ""
    (note,) = shop.run().notes
    assert "prices are in several currencies (EUR 9, USD 1, none 1)" in note and "filter by currency" in note


# ── guards ────────────────────────────────────────────────────────────────────────────────────────


def test_a_shrunken_feed_is_refused_unless_allowed(shop):
    before, rows = shop.current(), list(shop.rows)
    shop.rows[:] = rows[:9]
    with pytest.raises(FeedError, match=r"lacks 3 of the 12 products .* --allow-shrink.*reindex-.*\.json"):
        shop.run()
    assert shop.current() == before
    report = json.loads(next((shop.root / "var/reports").iterdir()).read_text())
    assert report["outcome"] == "failed" and report["plan"]["gone"] == 3
    notes = shop.run(plan_only=True).notes
    assert any("would be refused" in note for note in notes)
    assert shop.run(allow_shrink=True).plan.gone == 3


def test_a_feed_of_other_products_is_refused_too(shop):
    for row in shop.rows[:4]:
        row["id"] = "x" + row["id"]
    with pytest.raises(FeedError, match="lacks 4 of the 12"):
        shop.run()


def test_a_vanished_category_is_refused(shop):
    shop.add("lamp", (5, 5, 5), product_type="Lamps > Desk")
    shop.run()
    shop.rows.pop()
    with pytest.raises(FeedError, match="no product is left in 'Lamps'"):
        shop.run()


def test_a_wrong_picture_folder_is_refused(tmp_path):
    shop = Shop(tmp_path / "shop").fill(25)
    shop.run()
    (tmp_path / "empty").mkdir()
    with pytest.raises(FeedError, match=r"none of the feed's pictures can be had \(missing\)"):
        shop.run(images=tmp_path / "empty")
    assert shop.run(images=tmp_path / "empty", allow_shrink=True).products_without_image == 25


def test_bad_rows_are_listed_and_good_rows_go_on(shop):
    for number in range(40):
        shop.add(f"n{number}", (number, 1, 1))
    shop.rows[20]["title"] = ""
    report = shop.run()
    assert report.outcome == "published" and report.rejected == 1 and report.plan.products == 51
    assert (report.rejects[0].line, report.rejects[0].column) == (22, "title")


def test_too_many_bad_rows_are_refused(shop):
    before = shop.current()
    for row in shop.rows[::3]:
        row["title"] = ""
    with pytest.raises(FeedError, match="4 bad rows of 12"):
        shop.run(allow_shrink=True)
    assert shop.current() == before


def test_an_empty_feed_is_refused(shop):
    shop.rows[:] = shop.rows[:1]
    shop.write()
    shop.feed.write_text(shop.feed.read_text().splitlines()[0] + "\n")
    with pytest.raises(FeedError, match="empty"):
        shop.rerun()


def test_the_last_duplicate_wins_and_is_counted(shop):
    shop.rows.append({**shop.row("p001"), "price": "99.00 EUR"})
    report = shop.run()
    assert (report.duplicates, report.rejected, report.plan.products) == (1, 0, 12)
    assert records(shop.open())["p001"]["price"] == "99.00"


@pytest.mark.parametrize("what", ["feed", "reviews", "views", "images"])
def test_missing_files_are_named(shop, what):
    lost = shop.root / "lost"
    options = {} if what == "feed" else {what: lost}
    with pytest.raises((FeedError, InputError), match="there is no .*lost"):
        if what == "feed":
            from vision_rec.reindex import reindex

            reindex(lost, settings=shop.settings, encoders=shop.encoders)
        else:
            shop.run(**options)


def test_a_file_without_views_is_noted(shop):
    (shop.root / "views.csv").write_text("session,product\n")
    (note,) = shop.run(views=shop.root / "views.csv").notes
    assert note == "views.csv has no two products that were viewed in one session"


def test_chunks_cover_the_work_in_row_order(shop, monkeypatch):
    monkeypatch.setattr(plan, "CHUNK_PRODUCTS", 5)
    report = shop.run(full=True)
    assert report.chunks == 3 and report.plan.to_encode == 12


def test_progress_ends_at_its_total(tmp_path):
    shop = Shop(tmp_path / "shop").fill(6)
    heard: dict[str, tuple[int, int | None]] = {}
    shop.run(progress=lambda stage, done, total: heard.update({stage: (done, total)}))
    assert heard == {
        "feed": (6, 6),
        "pictures": (6, 6),
        "pictures encoded": (6, 6),
        "encode": (6, 6),
        "index": (6, 6),
        "publish": (1, 1),
    }


def test_an_unchanged_run_imports_no_heavy_library(shop):
    code = (
        "import sys; sys.path.insert(0, sys.argv[2])\n"
        "from pathlib import Path; from reindex_shop import Shop\n"
        "shop = Shop.__new__(Shop); shop.__dict__.update(root=Path(sys.argv[1]), rows=[], reviews=[], "
        "image='image-1', text='text-1', overrides={}, log=Path(sys.argv[1]) / 'encoded.jsonl')\n"
        "assert shop.rerun().outcome == 'unchanged'\n"
        "heavy = {'torch', 'openvino', 'onnxruntime', 'faiss', 'pandas', 'bm25s'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    tests = os.path.dirname(__file__)
    done = subprocess.run([sys.executable, "-c", code, str(shop.root), tests], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
