"""`versions`: list, verify, diff, activate, prune."""

from __future__ import annotations

import csv

import pytest

from vision_rec.index.version import VersionStore


@pytest.fixture
def place(published, tmp_path):
    return published.copy(tmp_path / "place")


@pytest.fixture
def two(cli, place):
    """A second version: the first four products gone, two new, one with another title."""
    with place.feed.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    new = [{**rows[0], "id": "NEW1"}, {**rows[1], "id": "NEW2"}]
    rows[10]["title"] = "Something quite different, with other words"
    kept = [*rows[4:], *new]
    with place.feed.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(kept)
    ran = cli("reindex", place.feed, "--reviews", place.shop / "reviews.csv", "--json", *place.common)
    assert ran.code == 0, ran
    return ran.json["parent"], ran.json["version_id"], [row["id"] for row in rows[:4]]


def test_list_is_empty_before_the_first_reindex(cli, tmp_path):
    ran = cli("versions", "list", "--indexes", tmp_path / "none", "--json")
    assert ran.code == 0 and ran.json == {"current": None, "versions": []}
    assert "reindex FEED" in cli("versions", "list", "--indexes", tmp_path / "none").error
    assert cli("versions", "verify", "--indexes", tmp_path / "none").code == 8
    pruned = cli("versions", "prune", "--indexes", tmp_path / "none", "--json")
    assert pruned.json == {"removed": [], "kept": []} and not (tmp_path / "none").exists()


def test_list_activate_and_prune(cli, place, two):
    old, new, _ = two
    listed = cli("versions", "list", "--json", *place.common).json
    assert listed["current"] == new and [entry["id"] for entry in listed["versions"]] == [new, old]
    assert [entry["state"] for entry in listed["versions"]] == ["current", "ready"]
    assert [entry["current"] for entry in listed["versions"]] == [True, False]
    assert listed["versions"][1]["count"] == 80 and listed["versions"][1]["bytes"] > 1000
    back = cli("versions", "activate", old, "--json", *place.common)
    assert back.json == {"current": old, "before": new} and VersionStore(place.indexes).current_id() == old
    assert cli("versions", "activate", new[:25], *place.common).code == 0  # enough of it to be the only one
    pruned = cli("versions", "prune", "--keep", "1", "--json", *place.common)
    assert pruned.json == {"removed": [old], "kept": [new]}
    table = cli("versions", "list", *place.common).out.splitlines()
    assert len(table) == 2 and table[1].split()[:2] == [new, "current"]


def test_diff_says_what_came_and_went_and_how_lists_moved(cli, place, two):
    old, new, gone = two
    found = cli("versions", "diff", old, new, "--probes", "500", "--json", *place.common).json
    assert (found["before"], found["after"]) == (old, new)
    assert (found["count_before"], found["count_after"]) == (80, 78)
    assert found["added"] == ["NEW1", "NEW2"] and sorted(found["removed"]) == sorted(gone)
    assert found["encoders_changed"] == [] and found["probes"] == 76 and found["k"] == 10
    assert 0.5 < found["overlap"] < 1 and found["moved"][0]["overlap"] <= found["moved"][-1]["overlap"] < 1
    same = cli("versions", "diff", new, "current", "--json", *place.common).json
    assert same["overlap"] == 1.0 and same["added"] == same["removed"] == same["moved"] == []
    assert same["probes"] == 78  # no more than there are
    text = cli("versions", "diff", old, new, *place.common).out
    assert "in: 2 NEW1, NEW2" in text and "out: 4 " in text and "top 10 the same: " in text
    assert "changed: " in text and isinstance(found["changed"], list)


def test_verify_names_the_damaged_file(cli, place, two):
    old, new, _ = two
    assert cli("versions", "verify", *place.common).out.splitlines() == [f"{old}: good", f"{new}: good"]
    vectors = place.indexes / new / "vectors.npy"
    data = bytearray(vectors.read_bytes())
    data[-1] ^= 1
    vectors.write_bytes(data)
    ran = cli("versions", "verify", "--json", *place.common)
    assert ran.code == 5 and not ran.json["ok"]
    assert {entry["id"]: entry["ok"] for entry in ran.json["versions"]} == {old: True, new: False}
    problem = ran.json["versions"][1]["problems"][0]
    assert problem["file"] == "vectors.npy" and problem["expected"].startswith("SHA-256")
    assert cli("versions", "verify", old, *place.common).code == 0
    assert cli("versions", "activate", new, *place.common).code == 5
    assert cli("versions", "diff", old, new, *place.common).code == 5
    fallen = cli("search", "--text", "mug", "--json", *place.common)
    assert fallen.code == 0 and fallen.json["version"] == old and "vectors.npy" in fallen.json["degraded"][0]


def test_a_damaged_current_is_exit_code_5(cli, place):
    (place.indexes / "CURRENT").write_text("garbage\n")
    ran = cli("versions", "verify", *place.common)
    assert ran.code == 5 and "CURRENT" in ran.error


@pytest.mark.parametrize("name", ["activate", "verify", "diff"])
def test_unknown_versions_are_exit_code_2(cli, published, name):
    known = VersionStore(published.indexes).current_id()
    args = ["nope", known] if name == "diff" else ["nope"]
    ran = cli("versions", name, *args, *published.common)
    assert ran.code == 2 and "'nope'" in ran.error and known in ran.error
    for odd in ("", "../..", "20"):
        assert cli("versions", "activate", odd, *published.common).code == (0 if odd == "20" else 2)


def test_writing_waits_for_nobody(cli, place):
    with VersionStore(place.indexes).lock():
        for args in (["activate", "current"], ["prune"]):
            ran = cli("versions", *args, *place.common)
            assert ran.code == 7 and "is in use by process" in ran.error
        assert cli("versions", "list", *place.common).code == 0
