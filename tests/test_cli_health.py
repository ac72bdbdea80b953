"""`vision-rec health`: a table for people, the whole report as JSON, one check at a time."""

from __future__ import annotations

import pytest

from vision_rec.health import KINDS
from vision_rec.index.lock import FolderLock


@pytest.fixture
def place(published, tmp_path):
    return published.copy(tmp_path)


def test_the_report_as_json_is_kept_for_the_console(cli, place):
    ran = cli("health", "--json", *place.common)
    assert ran.code == 0 and not ran.err
    assert [finding["kind"] for finding in ran.json["findings"]] == list(KINDS)
    assert ran.json["products"] == 80
    assert (place.root / "var" / "health" / f"{ran.json['version_id']}.json").is_file()


def test_the_table_names_every_check_and_its_first_products(cli, place):
    ran = cli("health", *place.common)
    assert ran.code == 0 and "80 products checked" in ran.out
    for name in ("near-duplicate products", "colour name against pixels", "text against picture"):
        assert name in ran.out


def test_without_an_index_and_beside_another_check(cli, place, tmp_path):
    none = cli("health", "--indexes", tmp_path / "none", "--data", tmp_path / "var2")
    assert none.code == 8 and "no index" in none.error or "no version" in none.error
    folder = place.root / "var" / "health"
    folder.mkdir(parents=True)
    with FolderLock(folder / "lock").hold():
        assert cli("health", *place.common).code == 7
