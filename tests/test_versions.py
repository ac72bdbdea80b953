"""The desk of versions: measures, when they were verified, what stays, the way back, what changed."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal

import pytest
from service_shop import open_shop, paint, products, publish, settings_for

from vision_rec.errors import IntegrityError, NotFoundError
from vision_rec.versions import Measures, VersionDesk, _measures

REPORT = {
    "seconds": 69.1,
    "rejected": 2,
    "plan": {"products": 100, "new": 7, "unchanged": 80, "returned": 3, "gone": 4, "retired": 5},
    "recall": {"equal": 0.991},
    "checks": [{"name": "norms", "passed": True, "detail": "none"}],
    "stages": {"text": {"seconds": 16.6, "done": 3, "per_second": 1.0}},
}


def changed_products():
    """Without the first three; one has another price, one another title, one is sold out and bare."""
    out = {product.id: product for product in products()[3:]}
    out["bag-blue"] = replace(out["bag-blue"], price=Decimal("1.00"))
    out["bag-red"] = replace(out["bag-red"], title="Crimson bag")
    out["bag-green"] = replace(out["bag-green"], availability="preorder", image_refs=())
    return [*out.values(), replace(out["bag-red"], id="bag-new")]


@pytest.fixture
def shop(tmp_path):
    """Three versions, the last one like the first."""
    settings = settings_for(tmp_path)
    paint(tmp_path / "shop")
    ids = [
        publish(tmp_path / "indexes", tmp_path / "shop", chosen).id
        for chosen in (products(), changed_products(), products())
    ]
    return settings, ids


def test_versions_are_listed_newest_first_and_what_leaves_is_known(shop):
    settings, ids = shop
    entries = VersionDesk(settings).entries()
    assert [entry.info.id for entry in entries] == ids[::-1]
    assert [entry.stays for entry in entries] == [True, True, False]  # 3 are kept, the next one is one
    assert [entry.parent for entry in entries] == [ids[1], ids[0], None]
    assert entries[0].fingerprints == {"image": "arithmetic-image", "text": "arithmetic-text"}
    assert all(entry.verified is None and entry.measures is None for entry in entries)
    assert VersionDesk(settings_for(settings.paths.data / "none")).entries() == ()


def test_what_was_verified_is_remembered_by_every_process(shop):
    settings, ids = shop
    desk = VersionDesk(settings)
    assert desk.verify(ids[0]).problems == ()
    desk.note_good(ids[2])
    other = {entry.info.id: entry.verified for entry in VersionDesk(settings).entries()}
    assert other[ids[0]].at.endswith("Z") and other[ids[0]].problems == ()
    assert other[ids[1]] is None and other[ids[2]] is not None
    with pytest.raises(NotFoundError):
        desk.verify("../../etc")


def test_damage_is_found_told_and_not_made_current(shop):
    settings, ids = shop
    path = settings.paths.indexes / ids[1] / "ids.json"
    data = path.read_bytes()
    path.chmod(0o600)
    path.write_bytes(data.replace(b"bag-new", b"bag-old"))  # of the same size
    desk = VersionDesk(settings)
    with pytest.raises(IntegrityError):
        desk.activate(ids[1])
    entry = desk.entries()[1]
    assert [problem.file for problem in entry.verified.problems] == ["ids.json"]
    assert VersionDesk(settings).entries()[1].verified == entry.verified
    assert desk.store.current_id() == ids[2]


def test_a_record_that_cannot_be_written_or_read_harms_nothing(shop):
    settings, ids = shop
    settings.paths.data.mkdir(exist_ok=True)
    (settings.paths.data / "verified").write_text("a file where the folder would be")
    desk = VersionDesk(settings)
    desk.verify(ids[0])
    assert desk.entries()[2].verified is not None and VersionDesk(settings).entries()[2].verified is None
    (settings.paths.data / "verified").unlink()
    (settings.paths.data / "verified").mkdir()
    (settings.paths.data / "verified" / f"{ids[0]}.json").write_text('{"at": 1}')
    assert VersionDesk(settings).entries()[2].verified is None


def test_records_of_removed_versions_go(shop):
    settings, ids = shop
    desk = VersionDesk(settings)
    for name in ids:
        desk.verify(name)
    desk.store.prune(1)
    desk.verify(ids[2])
    assert [path.name for path in (settings.paths.data / "verified").iterdir()] == [f"{ids[2]}.json"]


def test_the_way_back(shop):
    settings, ids = shop
    desk = VersionDesk(settings)
    assert desk.before(ids[2]) == ids[1] and desk.before(ids[0]) is None
    desk.activate(ids[1])
    assert desk.store.current_id() == ids[1] and desk.before(ids[1]) == ids[0]
    (settings.paths.indexes / ids[1] / "manifest.json").unlink()
    assert desk.before(ids[2]) == ids[0]  # its parent is damaged


def test_products_in_out_and_changed(shop):
    settings, ids = shop
    desk = VersionDesk(settings)
    found = desk.diff(ids[0], ids[1])
    assert found.added == ("bag-new",)
    assert set(found.removed) == {product.id for product in products()[:3]}
    assert {one.product_id: one.facts for one in found.changed} == {
        "bag-blue": ("price",),
        "bag-red": ("text",),
        "bag-green": ("pictures", "stock"),
    }
    assert desk.diff(ids[0], ids[1]) is found
    assert desk.diff(ids[0], ids[2]).changed == () and desk.diff(ids[0], ids[2]).overlap == 1
    for one in found.moved:
        assert len(one.gone) == len(one.come) == round(found.k * (1 - one.overlap))
        assert not set(one.gone) & set(one.come) and one.product_id not in one.come


def test_products_and_pictures_of_any_version(shop):
    settings, ids = shop
    desk = VersionDesk(settings)
    assert desk.product(ids[0], "bag-red").title == "Red bag"
    assert desk.product(ids[1], "bag-red").title == "Crimson bag"
    assert set(desk.products(ids[1], ["bag-new", "mug-red"])) == {"bag-new"}
    assert desk.pictures_root(ids[0]).endswith("shop")
    for version, product in (("x", "bag-red"), (ids[0], "bag-new")):
        with pytest.raises(NotFoundError):
            desk.product(version, product)


def test_measures_are_those_of_the_report():
    found = _measures(REPORT)
    assert found == Measures(
        seconds=69.1,
        products=100,
        new=7,
        changed=10,
        returned=3,
        gone=4,
        retired=5,
        rejected=2,
        recall={"equal": 0.991},
        checks=(("norms", True, "none"),),
        stages={"text": 16.6},
    )
    for report in ({}, {"plan": 3}, {**REPORT, "stages": []}, {**REPORT, "plan": {"products": "x"}}):
        assert _measures(report) is None


def test_the_report_of_a_version_is_read(tmp_path, monkeypatch):
    settings, recommender = open_shop(tmp_path)
    path = settings.paths.indexes / recommender.version_id / "report.json"
    path.chmod(0o600)
    path.write_text(json.dumps(REPORT))
    assert VersionDesk(settings).entries()[0].measures.new == 7
    path.write_text("[")
    assert VersionDesk(settings).entries()[0].measures is None
