"""The doctor: every check, well and unwell."""

from __future__ import annotations

import shutil
import socket
from collections import namedtuple

import pytest

from vision_rec.access import create_key, revoke_key
from vision_rec.diagnose import Finding, diagnose, exit_code, machine, shop
from vision_rec.encoders import bundled_folder
from vision_rec.index.version import VersionStore
from vision_rec.settings import Settings

Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def place(published, tmp_path):
    return published.copy(tmp_path / "place")


def settings_of(place, **sections):
    paths = {"indexes": place.indexes, "data": place.root / "var"}
    return Settings(paths=paths, **{"service": {"port": 0}, **sections})


def only(findings):
    (found,) = findings
    return found


def test_a_good_place_is_well(cli, place):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (place.root / "s.toml").write_text(f"[service]\nport = {port}\n")
    ran = cli("doctor", "--json", "--config", place.root / "s.toml", *place.common)
    checks = {check["name"]: check for check in ran.json["checks"]}
    failed = [check for check in checks.values() if check["status"] == "fail"]
    assert ran.code == 0 and ran.json["ok"] and not failed
    assert set(ran.json["checks"][0]) >= {"name", "status", "detail", "fix"}
    current = VersionStore(place.indexes).current_id()
    assert checks[f"version {current} (current)"]["status"] == "ok"
    assert {"python", "torch", "cpu", "gpu", "picture formats", "encoders", "lock", "memory"} <= set(checks)
    assert checks[f"port {port}"]["status"] == checks["settings"]["status"] == "ok"
    assert "s.toml" in checks["settings"]["detail"]
    table = cli("doctor", *place.common).out
    assert all(name in table for name in checks if not name.startswith("port"))


def test_a_new_place_is_well_and_stays_untouched(tmp_path, fake_loading):
    settings = Settings(paths={"indexes": tmp_path / "i", "data": tmp_path / "v"})
    findings = diagnose(settings)
    assert exit_code([finding for finding in findings if not finding.name.startswith("disk")]) == 0
    told = next(finding for finding in findings if finding.name.startswith("versions in"))
    assert told.status == "warn" and "reindex FEED" in told.fix
    assert not (tmp_path / "i").exists()


def test_exit_codes():
    ok, warn = Finding("a", "ok", ""), Finding("a", "warn", "", damage=True)
    fail, damage = Finding("a", "fail", ""), Finding("a", "fail", "", damage=True)
    assert [exit_code(case) for case in ([], [ok, warn], [ok, fail], [fail, damage], [damage])] == [
        0, 0, 8, 5, 5
    ]  # fmt: skip


def test_damage_is_named_with_its_file(place, fake_loading):
    settings = settings_of(place)
    current = VersionStore(place.indexes).current_id()
    catalog = place.indexes / current / "catalog.parquet"
    catalog.write_bytes(catalog.read_bytes()[:-1])
    found = only(shop.versions(settings))
    assert (found.status, found.damage) == ("fail", True) and "catalog.parquet: expected" in found.detail
    assert exit_code(diagnose(settings)) == 5
    (place.indexes / "CURRENT").write_text("2020-01-01T00-00-00Z-00000000\n")
    assert "which is not there" in [found.detail for found in shop.versions(settings)][-1]
    (place.indexes / "CURRENT").write_text("garbage")
    assert [found.status for found in shop.versions(settings)] == ["fail", "fail"]


def test_libraries(monkeypatch):
    versions = {"torch": "2.5.1+cpu", "pillow": "11.3.0"}
    monkeypatch.setattr(machine, "_installed", lambda name: versions.get(name))
    found = {finding.name: finding for finding in machine.libraries()}
    assert found["torch"].status == "fail" and "torch>=2.10" in found["torch"].fix
    assert found["pillow"].status == "ok" and found["numpy"].fix == "pip install numpy"


@pytest.mark.parametrize(
    ("installed", "status", "says"),
    [
        ((), "warn", "vision-rec[cpu]"),
        (("faiss-cpu", "faiss-gpu"), "fail", "pip uninstall"),
    ],
)
def test_one_faiss_only(monkeypatch, installed, status, says):
    monkeypatch.setattr(machine, "_installed", lambda name: "1.15.1" if name in installed else None)
    found = only(machine.faiss_found())
    assert found.status == status and says in found.fix


def test_faiss_says_what_it_runs_on():
    pytest.importorskip("faiss")
    found = only(machine.faiss_found())
    assert found.status == "ok" and ("CPU only" in found.detail or "GPUs" in found.detail)


def test_a_gpu_that_is_asked_for_must_be_there(monkeypatch, place):
    monkeypatch.setattr(machine.shutil, "which", lambda name: None)
    monkeypatch.setattr(machine.Path, "exists", lambda path: False)
    statuses = {
        device: only(machine.gpu(settings_of(place, encoders={"device": device}))).status
        for device in ("auto", "cpu", "cuda")
    }
    assert statuses == {"auto": "ok", "cpu": "ok", "cuda": "fail"}


def test_missing_picture_formats_are_named(monkeypatch):
    from PIL import features

    monkeypatch.setattr(features, "check", lambda code: code != "avif")
    found = only(machine.picture_formats())
    assert found.status == "fail" and found.detail == "cannot read AVIF"


def test_encoders_that_are_not_there_or_damaged(place, tmp_path):
    absent = settings_of(place, encoders={"image": str(tmp_path / "none")})
    found = only(shop.encoders_load(absent))
    assert (found.status, found.damage) == ("fail", False) and "train image" in found.detail
    if not (bundled_folder() / "image.safetensors").is_file():
        return
    shutil.copytree(bundled_folder(), tmp_path / "copy")
    weights = tmp_path / "copy" / "image.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    found = only(shop.encoders_load(settings_of(place, encoders={"image": str(tmp_path / "copy")})))
    assert (found.status, found.damage) == ("fail", True) and "image.safetensors" in found.detail


def test_encoders_other_than_the_versions_are_told(place, fake_loading, monkeypatch):
    import fakes

    assert [found.status for found in shop.encoders_load(settings_of(place))] == ["ok"]
    monkeypatch.setattr(fakes.Words, "fingerprint", "other")
    ok, told = shop.encoders_load(settings_of(place))
    assert told.status == "warn" and "another text encoder" in told.detail and "reindex" in told.fix


def test_a_writer_is_named(place):
    assert only(shop.lock(settings_of(place))).status == "ok"
    with VersionStore(place.indexes).lock():
        told = only(shop.lock(settings_of(place)))
        assert told.status == "warn" and "is in use by process" in told.detail
    assert VersionStore(place.indexes).ids()


def test_network_disks_are_warned_about(place, monkeypatch):
    monkeypatch.setattr(shop, "_file_system", lambda folder: "nfs4")
    assert only(shop.lock(settings_of(place))).status == "warn"


@pytest.mark.parametrize(
    ("free", "status"), [(0.5, "ok"), (0.1, "warn"), (0.0001, "fail")], ids=["ok", "nearly", "full"]
)
def test_disks(place, monkeypatch, free, status):
    total = 10**12
    monkeypatch.setattr(shop.shutil, "disk_usage", lambda path: Usage(total, 0, int(free * total)))
    assert {found.status for found in shop.disk(settings_of(place))} == {status}


def test_memory(place, monkeypatch):
    for free, status in ((1 << 40, "ok"), (1 << 20, "warn"), (None, "ok")):
        monkeypatch.setattr(shop, "_available_memory", lambda free=free: free)
        assert only(shop.memory(settings_of(place))).status == status


def test_a_busy_port(place):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        found = only(shop.port(settings_of(place, service={"port": port})))
    assert found.status == "warn" and "--port" in found.fix
    unknown = settings_of(place, service={"host": "no-such-host.invalid", "port": 0})
    assert only(shop.port(unknown)).status == "warn"


def test_variables_that_nobody_reads(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VISION_REC_INDEX__KIND", "exact")
    assert only(shop.sources(None)).status == "ok"
    monkeypatch.setenv("VISION_REC_INDX__KIND", "exact")
    found = only(shop.sources(None))
    assert found.status == "warn" and "VISION_REC_INDX__KIND" in found.detail


def test_keys_are_counted_and_damage_is_told(tmp_path):
    settings = Settings(paths={"data": tmp_path / "var"})
    none = only(shop.keys(settings))
    assert none.status == "ok" and "open" in none.detail
    made = create_key(tmp_path / "var", "shop", ["search"])
    assert only(shop.keys(settings)).detail == "1 valid"
    revoke_key(tmp_path / "var", made.key.id)
    ended = only(shop.keys(settings))
    assert ended.status == "warn" and "1 revoked" in ended.detail
    (tmp_path / "var" / "keys.json").write_text("{}")
    damaged = only(shop.keys(settings))
    assert damaged.status == "fail" and damaged.damage and exit_code([damaged]) == 5
