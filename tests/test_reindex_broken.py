"""Pictures that could not be used: tried again where that is worth it, told of each time, never all lost."""

from __future__ import annotations

import os
import time

import pytest
from reindex_shop import InProcessPool, Shop, records

from vision_rec.errors import FeedError, ImageError
from vision_rec.reindex import broken


class BusyPool(InProcessPool):
    """A pool of a machine so busy that some pictures take too long."""

    slow = frozenset()
    looked_at = 0

    def decode(self, sources, *, max_side):
        for source in sources:
            (outcome,) = super().decode([source], max_side=max_side)
            type(self).looked_at += 1
            yield ImageError("took too long", "too-slow") if source.name in self.slow else outcome


@pytest.fixture
def busy(monkeypatch):
    monkeypatch.setattr("vision_rec.images.DecodePool", BusyPool)
    monkeypatch.setattr(BusyPool, "slow", frozenset({"p003.png", "p007.png"}))
    monkeypatch.setattr(BusyPool, "looked_at", 0)
    return BusyPool


@pytest.fixture
def shop(tmp_path, busy):
    return Shop(tmp_path / "shop").fill(12)


def flags(shop):
    return {ident: entry["flags"] for ident, entry in records(shop.open()).items() if entry["flags"]}


def test_what_was_too_slow_is_tried_again_without_any_change(shop, busy, monkeypatch):
    first = shop.run()
    assert first.image_problems == {"too-slow": 2} and set(flags(shop)) == {"p003", "p007"}
    monkeypatch.setattr(busy, "slow", frozenset({"p007.png"}))
    second = shop.run()
    assert second.outcome == "published" and second.plan.to_encode == 2 and second.plan.pictures_changed == 2
    assert set(flags(shop)) == {"p007"} and second.products_without_image == 1
    monkeypatch.setattr(busy, "slow", frozenset())
    assert shop.run().plan.to_encode == 1 and not flags(shop)
    assert shop.run().outcome == "unchanged"


def test_what_is_always_too_slow_is_given_up(shop, busy):
    outcomes = [shop.run().outcome for _ in range(broken.MAX_TRIES + 2)]
    assert outcomes == ["published"] * broken.MAX_TRIES + ["unchanged"] * 2
    shop.overrides = {"images": {"timeout_s": 99.0}}  # under other limits it may go
    assert shop.run().plan.to_encode == 2


def test_a_raised_limit_takes_effect(shop, busy, monkeypatch):
    monkeypatch.setattr(busy, "slow", frozenset())
    shop.overrides = {"images": {"max_pixels": 500}}
    small = shop.run()
    assert small.image_problems["too-large"] > 0 and shop.run().outcome == "unchanged"
    shop.overrides = {}
    healed = shop.run()
    assert (
        healed.plan.to_encode >= small.image_problems["too-large"]
        and "too-large" not in healed.image_problems
    )


def test_a_picture_that_is_broken_is_not_tried_again(shop, busy, monkeypatch):
    monkeypatch.setattr(busy, "slow", frozenset())
    (shop.root / "images/p002.png").write_bytes(b"\x89PNG\r\n\x1a\n and then nothing of the kind")
    assert shop.run().image_problems == {"corrupt": 1}
    seen = busy.looked_at
    assert shop.run().outcome == "unchanged" and busy.looked_at == seen


def test_what_is_amiss_is_told_each_time(shop, busy, monkeypatch):
    monkeypatch.setattr(busy, "slow", frozenset())
    (shop.root / "images/p002.png").write_bytes(b"\x89PNG\r\n\x1a\n and then nothing of the kind")
    (shop.root / "images/p005.png").unlink()
    first = shop.run()
    assert first.image_problems == {"corrupt": 1, "missing": 1} and first.products_without_image == 2
    unchanged = shop.run()
    shop.row("p001")["price"] = "12.00 EUR"
    priced = shop.run()
    shop.row("p002")["title"] = "another thing"
    worded = shop.run()
    for report in (unchanged, priced, worded):
        assert report.image_problems == first.image_problems, report.outcome
        assert sorted(report.image_problem_list, key=str) == sorted(first.image_problem_list, key=str)
        assert report.products_without_image == 2


def test_a_picture_exchanged_for_one_of_its_size_and_time_is_noticed(shop, busy, monkeypatch):
    monkeypatch.setattr(busy, "slow", frozenset())
    first, second = shop.root / "images/p001.png", shop.root / "images/p002.png"
    size = max(first.stat().st_size, second.stat().st_size) + 8
    for path in (first, second):  # bytes after the end of a PNG mean nothing
        path.write_bytes(path.read_bytes().ljust(size, b"\0"))
        os.utime(path, ns=(10**18, 10**18))
    shop.run()
    time.sleep(2.1)  # files younger than two seconds are not remembered at all
    shop.run(full=True)
    contents = first.read_bytes(), second.read_bytes()
    for path, content in zip((second, first), contents, strict=True):
        path.write_bytes(content)
        os.utime(path, ns=(10**18, 10**18))
    assert shop.run().plan.pictures_changed == 2


# ── a catalogue that loses its pictures ──────────────────────────────────────────────────────────────


@pytest.fixture
def large(tmp_path, busy, monkeypatch):
    monkeypatch.setattr(busy, "slow", frozenset())
    shop = Shop(tmp_path / "large").fill(25)
    shop.run()
    return shop


def no_column(shop):
    for row in shop.rows:
        row["image_link"] = ""


def half_mounted(shop):
    for row in shop.rows[1:]:
        (shop.root / "images" / f"{row['id']}.png").unlink()


def one_placeholder(shop):
    for row in shop.rows:
        shop.paint(row["id"], (128, 128, 128))


def error_pages(shop):
    for row in shop.rows:
        (shop.root / "images" / f"{row['id']}.png").write_text(f"<html>503 {row['id']}</html>")


@pytest.mark.parametrize(
    ("lose", "told"),
    [(no_column, "no picture named"), (half_mounted, r"1 of 25 .*missing"), (one_placeholder, "placeholder"),
     (error_pages, "25 of the 25 products .* cannot be decoded")],
)  # fmt: skip
def test_a_catalogue_that_loses_its_pictures_is_refused(large, lose, told):
    before = large.current()
    lose(large)
    with pytest.raises(FeedError, match=told):
        large.run()
    assert large.current() == before
    assert large.run(allow_shrink=True).products_without_image >= 24


def test_a_few_lost_pictures_are_no_reason_to_refuse(large):
    for row in large.rows[:4]:
        (large.root / "images" / f"{row['id']}.png").unlink()
    assert large.run().products_without_image == 4


def test_after_a_refusal_the_pictures_are_looked_at_again(large, busy, monkeypatch):
    monkeypatch.setattr(busy, "slow", frozenset(f"{row['id']}.png" for row in large.rows))
    with pytest.raises(FeedError, match="cannot be decoded"):
        large.run(full=True)
    monkeypatch.setattr(busy, "slow", frozenset())
    assert large.run(full=True).products_without_image == 0
