"""Manifests of versions: written, read, refused."""

from __future__ import annotations

import subprocess
import sys

import pytest
from index_store import LAYOUT, publish, rewrite_manifest

from vision_rec.errors import (
    IncompatibleError,
    IntegrityError,
)
from vision_rec.index.manifest import FileEntry, Manifest, read_manifest
from vision_rec.index.version import VersionStore


@pytest.fixture
def store(tmp_path):
    return VersionStore(tmp_path / "indexes")


def manifest_of(**changes) -> Manifest:
    fields = {
        "layout": LAYOUT,
        "fingerprints": {"image": "abc"},
        "index_kind": "flat",
        "count": 2,
        "feed_sha256": "0" * 64,
        "created_at": "2026-03-01T04:00:00Z",
        "files": {"ids.json": FileEntry(5, "a" * 64)},
        "sources": {"feed": "kläder.csv"},
    }
    return Manifest(**{**fields, **changes})


def test_manifests_survive_writing_and_reading(tmp_path):
    manifest = manifest_of()
    (tmp_path / "manifest.json").write_bytes(manifest.to_bytes())
    assert read_manifest(tmp_path) == manifest
    assert manifest.version_id == f"2026-03-01T04-00-00Z-{manifest.checksum[:8]}"
    assert manifest_of(count=3).checksum != manifest.checksum


@pytest.mark.parametrize(
    "changes",
    [
        {"count": -1},
        {"count": "2"},
        {"layout": [{"name": "colour", "dim": 0, "gain": 1.0, "default_weight": 1.0}]},
        {"layout": [{"name": "colour"}]},
        {"layout": 7},
        {"files": {"../../etc/passwd": {"size": 1, "sha256": "a"}}},
        {"files": {"/etc/passwd": {"size": 1, "sha256": "a"}}},
        {"files": {"ids.json": 3}},
        {"surprise": 1},
    ],
)
def test_manifests_with_impossible_content_are_refused(tmp_path, changes):
    (tmp_path / "manifest.json").write_bytes(manifest_of().to_bytes())
    rewrite_manifest(tmp_path, **changes)
    with pytest.raises(IntegrityError, match="is no manifest"):
        read_manifest(tmp_path)


@pytest.mark.parametrize(
    "data", [b"", b"{}", b"[]", b"null", b"\xff\xfe", b"[" * 100_000, b'{"checksum": NaN}']
)
def test_manifests_that_are_garbage_are_refused(tmp_path, data):
    (tmp_path / "manifest.json").write_bytes(data)
    with pytest.raises(IntegrityError, match="damaged"):
        read_manifest(tmp_path)


@pytest.mark.parametrize("format_version", [0, 2, "1", None])
def test_another_format_names_the_command_that_cures_it(store, format_version):
    publish(store, seed=1)
    one = publish(store, seed=2)
    rewrite_manifest(one.path, format_version=format_version, writer_version="9.1")
    for use in (lambda: store.open(), lambda: store.open(one.id), lambda: store.activate(one.id)):
        with pytest.raises(IncompatibleError, match=r"vision-rec 9\.1.*vision-rec reindex FEED --full"):
            use()
    assert "format version" in str(store.verify(one.id)[0])


def test_importing_versions_is_cheap():
    code = (
        "import sys, vision_rec.index.version; "
        "sys.exit(any(m in sys.modules for m in ('faiss', 'torch', 'pandas')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
