"""The doctor on what was learned of visitors: the session pair and the audience's segments."""

from __future__ import annotations

import json

import pytest
from session_pairs import make_pair
from session_shop import publish_with

from vision_rec.diagnose import exit_code
from vision_rec.diagnose.sessions import audience, pair
from vision_rec.fusion import Aspect
from vision_rec.sessions.audience import FILE_NAME
from vision_rec.sessions.pair import CONFIG, IDS, MODEL
from vision_rec.sessions.pair_store import PairStore
from vision_rec.settings import Settings


@pytest.fixture
def settings(tmp_path):
    return settings_of(tmp_path)


def settings_of(folder, **sessions):
    return Settings(paths={"indexes": folder / "indexes", "data": folder / "var"}, sessions=sessions)


def only(findings):
    (found,) = findings
    return found


def trained(settings, folder, *, network=True):
    """Publish a small pair as `vision-rec train session` does, and return its folder."""
    make_pair(folder, ["a", "b", "c"], [Aspect("colour", 4)], network=network)
    return PairStore(settings.paths.data / "session").publish(folder)


# ── the pair ─────────────────────────────────────────────────────────────────────────────────────────


def test_none_and_a_good_one_are_well(settings, tmp_path):
    assert only(pair(settings)).detail == "none yet" and not settings.paths.data.exists()
    folder = trained(settings, tmp_path / "pair")
    found = only(pair(settings))
    assert found.status == "ok" and found.detail.startswith(f"{folder.name}, with a sequence model")
    trained(settings, tmp_path / "table", network=False)
    assert "without a sequence model" in only(pair(settings)).detail


@pytest.mark.parametrize(
    "content", [b"", b"2026-03-01T04-00-00Z-1a2b3c4d\n", b"../../etc\n", b"\xff\x00" * 90]
)
def test_a_damaged_current_is_a_finding(settings, tmp_path, content):
    trained(settings, tmp_path / "pair")
    current = settings.paths.data / "session" / "CURRENT"
    current.write_bytes(content)
    found = only(pair(settings))
    assert found.status == "fail" and found.damage and exit_code([found]) == 5
    assert str(current) in found.detail and "train session" in found.fix
    trained(settings, tmp_path / "again")  # what the fix says
    assert only(pair(settings)).status == "ok"


@pytest.mark.parametrize("name", [CONFIG, IDS, MODEL])
def test_a_damaged_file_is_a_finding(settings, tmp_path, name):
    path = trained(settings, tmp_path / "pair") / name
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)
    found = only(pair(settings))
    assert found.status == "fail" and found.damage and name in found.detail


def test_a_pair_of_another_format_is_a_finding_but_no_damage(settings, tmp_path):
    path = trained(settings, tmp_path / "pair") / CONFIG
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 99}))
    found = only(pair(settings))
    assert found.status == "fail" and not found.damage and "train session" in found.detail


def test_the_pair_that_the_settings_name_is_looked_at(tmp_path):
    trained(settings_of(tmp_path), tmp_path / "pair")
    (tmp_path / "var" / "session" / "CURRENT").write_text("odd")
    assert only(pair(settings_of(tmp_path, model="off"))).status == "ok"
    make_pair(tmp_path / "own", ["a", "b"], [Aspect("colour", 4)])
    assert only(pair(settings_of(tmp_path, model=str(tmp_path / "own")))).status == "ok"
    absent = only(pair(settings_of(tmp_path, model=str(tmp_path / "nowhere"))))
    assert absent.status == "fail" and not absent.damage and "nowhere" in absent.detail


# ── the audience ─────────────────────────────────────────────────────────────────────────────────────


def write(settings, layout, fingerprints):
    body = {
        "format": 1,
        "made_at": "2026-03-01T04:00:00+00:00",
        "users": 9,
        "dims": {aspect.name: aspect.dim for aspect in layout.aspects},
        "fingerprints": dict(fingerprints),
        "segments": [{"row": [0.1] * layout.dim, "users": 9, "share": 1.0, "face": [], "popular": {}}],
    }
    settings.paths.data.mkdir(exist_ok=True)
    (settings.paths.data / FILE_NAME).write_text(json.dumps(body))


def test_segments_are_compared_with_the_current_version(settings, tmp_path):
    assert only(audience(settings)).detail == "no segments yet"
    version = publish_with(settings.paths.indexes, tmp_path / "one")
    layout, prints = version.layout, dict(version.manifest.fingerprints)
    write(settings, layout, prints)
    found = only(audience(settings))
    assert (found.status, found.detail) == ("ok", "1 segments, made 2026-03-01 04:00")
    write(settings, layout, {**prints, "session": "of-the-night-before"})
    found = only(audience(settings))
    assert found.status == "ok" and "compared without behaviour" in found.detail
    write(settings, layout, {**prints, "image": "another"})
    found = only(audience(settings))
    assert found.status == "warn" and found.fix == "`vision-rec audience`"


def test_a_damaged_file_of_segments_is_a_finding(settings):
    settings.paths.data.mkdir()
    (settings.paths.data / FILE_NAME).write_text("{")
    found = only(audience(settings))
    assert found.status == "fail" and found.damage and FILE_NAME in found.detail


def test_without_an_index_there_is_nothing_to_compare(settings, tmp_path):
    version = publish_with(tmp_path / "elsewhere", tmp_path / "one")
    write(settings, version.layout, version.manifest.fingerprints)
    assert only(audience(settings)).status == "ok"
