"""What publishing a version refuses."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import numpy as np
import pytest
from index_store import fill, leftovers, publish, rows_of, seal, write_array

from vision_rec.errors import (
    InputError,
    IntegrityError,
    UnavailableError,
)
from vision_rec.index.version import VersionStore


@pytest.fixture
def store(tmp_path):
    return VersionStore(tmp_path / "indexes")


def spoil_shape(building: Path) -> None:
    write_array(building / "vectors.npy", rows_of(1)[:5])


def spoil_type(building: Path) -> None:
    write_array(building / "vectors.npy", rows_of(1).astype(np.float32))


def spoil_nan(building: Path) -> None:
    rows = rows_of(1)
    rows[4, 2] = np.nan
    write_array(building / "vectors.npy", rows)


def spoil_pickle(building: Path) -> None:
    write_array(building / "vectors.npy", np.array([{}] * 6))


def spoil_ids(building: Path) -> None:
    (building / "ids.json").write_text(json.dumps(["a", "b", "c", "d", "e", "a"]))


def spoil_id_type(building: Path) -> None:
    (building / "ids.json").write_text(json.dumps([1, 2, 3, 4, 5, 6]))


def spoil_id_json(building: Path) -> None:
    (building / "ids.json").write_text('["a", ')


def spoil_catalog(building: Path) -> None:
    (building / "catalog.parquet").unlink()


def spoil_link(building: Path) -> None:
    (building / "passwd").symlink_to("/etc/passwd")


@pytest.mark.parametrize(
    ("spoil", "word"),
    [
        (spoil_shape, r"expected float16 \(6, 8\)"),
        (spoil_type, "holds float32"),
        (spoil_nan, "row 4 of vectors.npy, product '1-00004'"),
        (spoil_pickle, "not a readable array"),
        (spoil_ids, "6 ids, 5 different"),
        (spoil_id_type, "list of product ids"),
        (spoil_id_json, "not readable"),
        (spoil_catalog, "catalog.parquet"),
        (spoil_link, "neither a file nor a folder"),
    ],
)
def test_files_that_do_not_fit_together_are_never_published(store, spoil, word):
    good = publish(store, seed=9).id
    with store.lock():
        building = store.begin("bad")
        fill(building, seed=1)
        spoil(building)
        with pytest.raises(IntegrityError, match=word):
            seal(store, building)
    assert store.ids() == (good,) and store.open().id == good
    assert publish(store, seed=2).id == store.current_id()
    assert leftovers(store.root) == []


def test_only_folders_of_this_store_are_published(store, tmp_path):
    fill_here = tmp_path / "elsewhere"
    fill_here.mkdir()
    fill(fill_here, seed=1)
    with pytest.raises(InputError, match="publish what `begin` returned"):
        seal(store, fill_here)


def test_a_folder_that_cannot_be_read_is_told(store, monkeypatch):
    store.root.mkdir()

    def refuse(folder):
        raise PermissionError(errno.EACCES, "Permission denied", str(folder))

    monkeypatch.setattr(Path, "iterdir", refuse)  # not chmod: root reads everything
    with pytest.raises(UnavailableError, match=r"indexes: Permission denied; check it and its permissions"):
        store.ids()
    with pytest.raises(UnavailableError):
        store.list()
