"""Following new versions: one reference is swapped, running calls finish on the old one."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from fake_shop import FakeEncoders, drawn_products, publish

from vision_rec import Recommender
from vision_rec.errors import InputError, VisionRecError
from vision_rec.index.version import VersionStore

PRODUCTS, ROWS = drawn_products()


def test_a_new_version_is_seen_and_the_old_answers_until_then(tmp_path):
    first = publish(tmp_path, PRODUCTS, ROWS)
    rec = Recommender.open(tmp_path, encoders=FakeEncoders())
    assert (rec.version_id, rec.reload_if_changed()) == (first.id, False)
    old = rec.state
    second = publish(tmp_path, PRODUCTS[:10], ROWS[:10])
    assert rec.version_id == first.id
    assert rec.reload_if_changed() is True
    assert (rec.version_id, len(rec), rec.reload_if_changed()) == (second.id, 10, False)
    assert old.catalog.product(79) == PRODUCTS[79]  # whoever still holds the old one can read it
    VersionStore(tmp_path).activate(first.id)
    assert rec.reload_if_changed() is True
    assert rec.version_id == first.id


def test_a_damaged_new_version_leaves_another_in_charge_and_says_so(tmp_path):
    first = publish(tmp_path, PRODUCTS, ROWS)
    rec = Recommender.open(tmp_path)
    second = publish(tmp_path, PRODUCTS[:10], ROWS[:10])
    vectors = second.path / "vectors.npy"
    vectors.chmod(0o600)
    data = bytearray(vectors.read_bytes())
    data[-1] ^= 1
    vectors.write_bytes(data)
    rec.reload_if_changed()
    assert rec.version_id == first.id
    assert second.id in rec.degraded[0]
    assert rec.similar(PRODUCTS[0].id).degraded == rec.degraded
    assert rec.reload_if_changed() is False  # the damaged one is not opened again and again


def test_garbage_in_current_does_not_stop_answers(tmp_path):
    publish(tmp_path, PRODUCTS, ROWS)
    rec = Recommender.open(tmp_path)
    (tmp_path / "CURRENT").write_text("nonsense\n")
    assert rec.reload_if_changed() is False
    assert rec.similar(PRODUCTS[0].id)


def test_a_version_that_does_not_fit_the_settings_is_not_taken(tmp_path):
    from fake_shop import LAYOUT, settings_for

    from vision_rec.fusion import AspectLayout

    first = publish(tmp_path, PRODUCTS, ROWS)
    rec = Recommender.open(tmp_path, settings=settings_for(tmp_path, search={"weights": {"text": 2}}))
    layout = AspectLayout(LAYOUT.aspects[:3])
    publish(tmp_path, PRODUCTS, ROWS[:, : layout.dim], layout=layout)
    with pytest.raises(InputError, match="search.weights"):
        rec.reload_if_changed()
    assert rec.similar(PRODUCTS[0].id).version_id == first.id


def test_many_readers_while_versions_change(tmp_path):
    versions = [publish(tmp_path, PRODUCTS, ROWS).id]
    rec = Recommender.open(tmp_path, encoders=FakeEncoders())
    versions.append(publish(tmp_path, PRODUCTS[:60], ROWS[:60]).id)
    sizes = dict(zip(versions, (80, 60), strict=True))
    store = VersionStore(tmp_path)

    def read(number):
        answer = rec.search(product_id=PRODUCTS[number % 60].id, text="red mug", k=200, max_per_group=0)
        return answer.version_id, len(answer)

    with ThreadPoolExecutor(4) as pool:
        reads = [pool.submit(read, number) for number in range(60)]
        for version in versions * 2:
            store.activate(version)
            rec.reload_if_changed()
        for read_ in reads:
            version, count = read_.result()
            assert count == sizes[version] - 1


def test_build_tells_what_is_wrong_with_the_feed(tmp_path):
    with pytest.raises(VisionRecError):
        Recommender.build(tmp_path / "nothing.csv", indexes=tmp_path / "indexes")
