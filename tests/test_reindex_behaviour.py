"""The block `behaviour`: from a trained pair or from views, alone rewritten where only it has changed."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from reindex_shop import FakeImages, FakeWords, InProcessPool, Shop, records
from session_pairs import DIM, make_pair

from vision_rec import failpoints
from vision_rec.errors import FeedError, InputError, IntegrityError, UnavailableError
from vision_rec.sessions.pair import MODEL, read_config, read_table
from vision_rec.sessions.pair_store import PairStore

ASPECTS = (*FakeImages.aspects, *FakeWords.aspects)
NAMES = tuple(aspect.name for aspect in ASPECTS)
IDS = [f"p{number:03d}" for number in range(6)]
FEW = IDS[:4]  # products with views; the last of a pair's vectors is zero


@pytest.fixture
def shop(tmp_path, monkeypatch):
    monkeypatch.setattr("vision_rec.images.DecodePool", InProcessPool)
    return Shop(tmp_path / "shop").fill(6)


@pytest.fixture(autouse=True)
def disarm():
    yield
    failpoints.arm("")


def train(shop, seed=0, **fields):
    """Publish a pair as training does; return its folder."""
    make_pair(shop.root / "made", FEW, ASPECTS, seed=seed, **fields)
    return PairStore(shop.root / "var" / "session").publish(shop.root / "made")


def write_views(shop, lists, name="views.csv"):
    path = shop.root / name
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["session_id", "product_id"])
        writer.writerows([f"s{i}", product] for i, one in enumerate(lists) for product in one)
    return path


def behaviour(version):
    return np.asarray(version.stored_rows()[:, version.layout.slice("behaviour")], np.float32)


def others(version):
    return np.asarray(version.stored_rows()[:, : sum(aspect.dim for aspect in ASPECTS)])


VIEWS = [["p000", "p001"], ["p000", "p001"], ["p002", "p003"], ["p003", "p002"], ["p001", "p002"]]


# ── a trained pair ───────────────────────────────────────────────────────────────────────────────────


def test_a_pair_brings_the_block_and_the_model(shop):
    folder = train(shop)
    report = shop.run()
    version = shop.open()
    assert version.layout.names == (*NAMES, "behaviour") and version.layout.aspects[-1].default_weight == 0.5
    table = read_table(folder)
    assert version.layout.aspects[-1] == table.aspect()
    np.testing.assert_array_equal(behaviour(version), table.blocks(version.ids))
    assert not behaviour(version)[4:].any()  # nobody viewed them
    assert version.manifest.fingerprints["session"] == table.fingerprint
    assert version.model_folder == version.path / "session"
    assert read_config(version.model_folder).fingerprint == table.fingerprint
    assert (version.model_folder / MODEL).samefile(folder / MODEL)  # one copy on the disk
    assert {check.name: check.passed for check in report.checks}["norms"] and not report.notes


def test_the_same_pair_again_is_no_news_and_another_rewrites_its_block_alone(shop):
    train(shop)
    first = shop.run()
    assert shop.run().outcome == "unchanged"
    before = shop.open()
    rows, block = others(before).copy(), behaviour(before).copy()
    folder = train(shop, seed=1)
    plan = shop.run(plan_only=True)
    assert (plan.outcome, plan.plan.behaviour_changed, plan.plan.to_encode) == ("planned", 3, 0)
    report = shop.run()
    after = shop.open()
    assert report.plan.behaviour_changed == 3 and report.plan.to_encode == 0 and report.plan.unchanged == 6
    assert report.pictures_encoded == 0 and not shop.encoded("picture") and not shop.encoded("text")
    np.testing.assert_array_equal(others(after), rows)
    np.testing.assert_array_equal(behaviour(after), read_table(folder).blocks(after.ids))
    assert np.any(behaviour(after) != block)
    assert read_config(after.model_folder).fingerprint == after.manifest.fingerprints["session"]
    assert shop.run().outcome == "unchanged" and after.manifest.parent == first.version_id


def test_new_products_and_prices_keep_the_block(shop):
    train(shop)
    shop.run()
    shop.row("p001")["price"] = "11.00 EUR"
    shop.add("p999", (9, 9, 200))
    report = shop.run()
    version = shop.open()
    assert report.plan.behaviour_changed == 0 and report.plan.to_encode == 1
    np.testing.assert_array_equal(
        behaviour(version), read_table(PairStore(shop.root / "var/session").current()).blocks(version.ids)
    )
    shop.row("p002")["price"] = "12.00 EUR"
    shop.run()  # rows are shared with the parent, and so is the model
    assert shop.open().model_folder is not None
    assert (shop.open().path / "vectors.npy").samefile(version.path / "vectors.npy")


def test_a_rollback_brings_rows_and_model_of_one_pair_back(shop):
    train(shop)
    first = shop.run()
    train(shop, seed=1)
    shop.run()
    shop.store.activate(first.version_id)
    version = shop.open()
    config = read_config(version.model_folder)
    assert config.fingerprint == version.manifest.fingerprints["session"]
    (pair,) = [
        folder
        for folder in (shop.root / "var/session").glob("2*")
        if read_config(folder).fingerprint == config.fingerprint
    ]
    np.testing.assert_array_equal(behaviour(version), read_table(pair).blocks(version.ids))


def test_without_the_pair_the_block_goes_and_old_versions_open(shop):
    shop.run()
    assert shop.open().model_folder is None and shop.open().layout.names == NAMES
    folder = train(shop)
    shop.run()
    shop.overrides = {"sessions": {"model": "off"}}
    report = shop.run()
    assert shop.open().layout.names == NAMES and "session" not in shop.open().manifest.fingerprints
    assert report.pictures_encoded == 0 and any("dropped" in note for note in report.notes)
    shop.overrides = {"sessions": {"model": str(folder)}}
    shop.run()
    assert shop.open().manifest.fingerprints["session"] == read_config(folder).fingerprint


def test_a_model_of_other_rows_is_left_out_and_the_vectors_stay(shop):
    train(shop, encoders={"image": "image-0"})
    report = shop.run()
    assert shop.open().model_folder is None and behaviour(shop.open()).any()
    assert any("left out" in note and "train session" in note for note in report.notes)
    train(shop, encoders={"image": "image-1", "text": "text-1"}, seed=1)
    assert shop.run().notes == () and shop.open().model_folder is not None
    shop.image = "image-2"
    shop.run()
    assert shop.open().model_folder is None and behaviour(shop.open()).any()


def test_what_cannot_be_used_is_told_and_nothing_is_published(shop, tmp_path):
    shop.overrides = {"sessions": {"model": str(tmp_path / "nowhere")}}
    with pytest.raises(UnavailableError, match="sessions.model is .*nowhere"):
        shop.run()
    shop.overrides = {}
    folder = train(shop)
    model = folder / MODEL
    data = bytearray(model.read_bytes())
    data[-1] ^= 1
    model.write_bytes(data)
    with pytest.raises(IntegrityError, match="model.safetensors"):
        shop.run()
    (folder / "behaviour.safetensors").unlink()
    with pytest.raises(IntegrityError, match="behaviour.safetensors"):
        shop.run()
    assert shop.current() is None


def test_a_row_that_would_be_too_wide_is_refused(shop, monkeypatch):
    monkeypatch.setattr("vision_rec.reindex.behaviour.MAX_ROW", sum(a.dim for a in ASPECTS) + DIM - 1)
    train(shop)
    with pytest.raises(InputError, match=f"{DIM} of behaviour; allowed are"):
        shop.run()


@pytest.mark.parametrize(
    "place", ["reindex.behaviour-written", "reindex.session-written", "publish.files-done"]
)
def test_a_run_that_fails_between_leaves_the_old_pair_whole(shop, place):
    train(shop)
    first = shop.run()
    train(shop, seed=1)
    failpoints.arm(f"{place}=raise:EIO")
    with pytest.raises(UnavailableError):
        shop.run()
    failpoints.arm("")
    assert shop.current() == first.version_id and not shop.store.verify(first.version_id)
    shop.run()
    version = shop.open()
    assert version.id != first.version_id
    assert read_config(version.model_folder).fingerprint == version.manifest.fingerprints["session"]
    assert not shop.store.verify(first.version_id)


# ── views ────────────────────────────────────────────────────────────────────────────────────────────


def test_views_bring_the_block_where_no_pair_is(shop):
    report = shop.run(views=write_views(shop, VIEWS))
    version = shop.open()
    block, at = behaviour(version), {name: row for row, name in enumerate(version.ids)}
    norms = np.linalg.norm(block, axis=1)
    np.testing.assert_allclose(norms[[at[name] for name in FEW]], 1.0, atol=2e-3)
    assert not block[[at["p004"], at["p005"]]].any() and version.model_folder is None
    assert block[at["p000"]] @ block[at["p001"]] > block[at["p000"]] @ block[at["p003"]]
    assert (report.views, report.views_rejected) == (10, 0)
    assert version.manifest.sources["views"].endswith("views.csv")


def test_the_same_file_is_no_news_and_another_rewrites_the_block_alone(shop):
    path = write_views(shop, VIEWS)
    shop.run(views=path)
    fingerprint = shop.open().manifest.fingerprints["session"]
    assert shop.run(views=path).outcome == "unchanged"
    path = write_views(shop, [*VIEWS, ["p004", "p000"], ["p004", "p000"]])
    report = shop.run(views=path)
    assert report.outcome == "published" and report.plan.behaviour_changed >= 1
    assert not shop.encoded("picture") and not shop.encoded("text")
    assert shop.open().manifest.fingerprints["session"] != fingerprint
    assert behaviour(shop.open())[list(shop.open().ids).index("p004")].any()


def test_bad_lines_are_reported_and_too_many_refused(shop):
    path = write_views(shop, VIEWS * 5)
    path.write_text(path.read_text() + "s1,\n,p001\n")
    report = shop.run(views=path)
    assert (report.views, report.views_rejected) == (50, 2)
    assert {(reject.file, reject.column) for reject in report.rejects} == {
        ("views.csv", "product_id"),
        ("views.csv", "session_id"),
    }
    path.write_text("session_id,product_id\n" + "s1,\n" * 9 + "s1,p001\n")
    with pytest.raises(FeedError, match="9 bad rows of 10"):
        shop.run(views=path)
    path.write_text("session_id,product_id\ns1,p001\ns1")
    with pytest.raises(FeedError, match="cut off in its last row"):
        shop.run(views=path)
    with pytest.raises(FeedError, match="no views file"):
        shop.run(views=shop.root / "nowhere.csv")


def test_a_session_ends_after_a_pause_and_impressions_are_no_views(shop):
    path = shop.root / "views.csv"
    path.write_text(
        "user_id,product_id,event,timestamp\n"
        "u,p000,view,2026-03-01T10:00:00Z\nu,p001,view,2026-03-01T10:01:00Z\n"
        "u,p002,view,2026-03-02T10:00:00Z\nu,p003,purchase,2026-03-02T10:02:00Z\n"
        "u,p004,impression,2026-03-02T10:03:00Z\n"
    )
    shop.run(views=path)
    block = behaviour(shop.open())
    assert block[:4].any(axis=1).all() and not block[4].any()
    assert block[0] @ block[1] > block[1] @ block[2]


def test_views_that_say_nothing_give_no_block(shop):
    report = shop.run(views=write_views(shop, [["p000"], ["p001"]]))
    assert shop.open().layout.names == NAMES
    assert any("no two products" in note for note in report.notes)


def test_a_trained_pair_comes_before_views(shop):
    folder = train(shop)
    report = shop.run(views=write_views(shop, VIEWS))
    assert shop.open().manifest.fingerprints["session"] == read_config(folder).fingerprint
    assert any("not used" in note for note in report.notes)


def test_retired_products_keep_their_block(shop):
    train(shop)
    shop.run()
    shop.rows = [row for row in shop.rows if row["id"] != "p001"]
    shop.run()
    version = shop.open()
    assert (
        records(version)["p001"]["retired_at"] and behaviour(version)[list(version.ids).index("p001")].any()
    )
