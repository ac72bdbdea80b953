"""What can befall the file of keys: damage, kills, a full disk, many writers; it never opens a service."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys

import pytest
from service_shop import settings_for

from vision_rec import failpoints
from vision_rec.access import create_key, list_keys, revoke_key
from vision_rec.errors import (
    IncompatibleError,
    IntegrityError,
    LockedError,
    ResourceError,
    UnavailableError,
    VisionRecError,
)
from vision_rec.keys import KeyFile, file
from vision_rec.service import create_app
from vision_rec.service.run import serve


@pytest.fixture
def stored(tmp_path):
    """Two keys and a third, revoked; the bytes of their file."""
    for name in ("a", "b", "c"):
        made = create_key(tmp_path / "var", name, ["search", "merch"])
    revoke_key(tmp_path / "var", made.key.id)
    return (tmp_path / "var" / "keys.json").read_bytes()


def refused(folder, kind=VisionRecError):
    """Every way in refuses the file below `folder`, with words that name it."""
    settings = settings_for(folder, port=0)
    for way in (KeyFile(folder / "var").read, lambda: create_app(settings), lambda: serve(settings)):
        with pytest.raises(kind, match=r"keys\.json"):
            way()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b"\xff\xfe",
        b"{" * 10_000,
        b'{"format": 1}',
        b'{"format": "1"}',
        b"\x00" * 500,
    ],
    ids=range(9),
)
def test_what_is_no_file_of_keys_is_refused(tmp_path, content):
    (tmp_path / "var").mkdir()
    (tmp_path / "var" / "keys.json").write_bytes(content)
    refused(tmp_path, IntegrityError)


def test_every_bit_counts(tmp_path, stored):
    """No flipped bit is taken for keys: neither an earlier end of a revocation nor a scope more."""
    path, good, chance = tmp_path / "var" / "keys.json", list_keys(tmp_path / "var"), random.Random(3)
    for place in chance.sample(range(len(stored)), 200):
        damaged = bytearray(stored)
        damaged[place] ^= 1 << chance.randrange(8)
        path.write_bytes(damaged)
        try:
            assert list_keys(tmp_path / "var") == good  # a blank became another blank
        except (IntegrityError, IncompatibleError):
            pass


def test_a_cut_file_is_refused(tmp_path, stored):
    path = tmp_path / "var" / "keys.json"
    for length in range(0, len(stored.rstrip()), 37):
        path.write_bytes(stored[:length])
        with pytest.raises(IntegrityError):
            list_keys(tmp_path / "var")


def test_another_format_says_so(tmp_path, stored):
    body = json.loads(stored)
    (tmp_path / "var" / "keys.json").write_text(json.dumps({**body, "format": 2}))
    refused(tmp_path, IncompatibleError)


@pytest.mark.parametrize(
    "change",
    [
        {"scopes": ["search", "root"]},
        {"scopes": []},
        {"id": "../../etc"},
        {"digest": "0"},
        {"created_at": "2026-01-01T00:00:00"},
        {"extra": 1},
        {"name": None},
    ],
    ids=lambda change: next(iter(change)),
)
def test_fields_are_read_strictly_even_with_a_right_checksum(tmp_path, stored, change):
    body = json.loads(stored)
    body["keys"][0] |= change
    body["sha256"] = file._checksum(body["keys"])
    (tmp_path / "var" / "keys.json").write_text(json.dumps(body))
    refused(tmp_path, IntegrityError)


def test_two_keys_of_one_id_are_refused(tmp_path, stored):
    body = json.loads(stored)
    body["keys"].append(body["keys"][0])
    body["sha256"] = file._checksum(body["keys"])
    (tmp_path / "var" / "keys.json").write_text(json.dumps(body))
    refused(tmp_path, IntegrityError)


def test_a_file_that_everybody_may_write_is_refused(tmp_path, stored):
    (tmp_path / "var" / "keys.json").chmod(0o666)
    refused(tmp_path, IntegrityError)


def test_a_link_to_nothing_is_not_the_same_as_no_keys(tmp_path):
    (tmp_path / "var").mkdir()
    (tmp_path / "var" / "keys.json").symlink_to(tmp_path / "secrets" / "keys.json")
    refused(tmp_path, IntegrityError)


def test_a_folder_or_an_unreadable_file_is_refused(tmp_path, stored):
    path = tmp_path / "var" / "keys.json"
    path.unlink()
    path.mkdir()
    refused(tmp_path, UnavailableError)


# ── writing ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def armed():
    yield failpoints.arm
    failpoints.arm("")


@pytest.mark.parametrize("place", ["keys.written", "keys.before-rename"])
@pytest.mark.parametrize(("what", "kind"), [("ENOSPC", ResourceError), ("EIO", UnavailableError)])
def test_a_failing_disk_leaves_the_keys_of_before(tmp_path, stored, armed, place, what, kind):
    armed(f"{place}=raise:{what}")
    with pytest.raises(kind, match="as before"):
        create_key(tmp_path / "var", "d", ["search"])
    assert (tmp_path / "var" / "keys.json").read_bytes() == stored
    assert sorted(path.name for path in (tmp_path / "var").iterdir()) == ["keys.json", "keys.lock"]
    armed("")
    create_key(tmp_path / "var", "d", ["search"])
    assert len(list_keys(tmp_path / "var")) == 4


@pytest.mark.parametrize("place", ["keys.written", "keys.before-rename"])
def test_a_kill_leaves_the_keys_of_before_and_the_lock_free(tmp_path, stored, place):
    code = f"from vision_rec.access import create_key; create_key({str(tmp_path / 'var')!r}, 'd', ['search'])"
    environment = {**os.environ, "VISION_REC_FAILPOINTS": f"{place}=kill"}
    ended = subprocess.run([sys.executable, "-c", code], env=environment, check=False)
    assert ended.returncode == -signal.SIGKILL
    assert (tmp_path / "var" / "keys.json").read_bytes() == stored
    create_key(tmp_path / "var", "d", ["search"])
    assert len(list_keys(tmp_path / "var")) == 4


def _make_some(folder, number):
    for i in range(3):
        create_key(folder, f"{number}-{i}", ["search"])


def test_many_writers_lose_nothing(tmp_path):
    spawn = multiprocessing.get_context("fork")
    writers = [spawn.Process(target=_make_some, args=(tmp_path, number)) for number in range(6)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    assert [writer.exitcode for writer in writers] == [0] * 6
    assert {key.name for key in list_keys(tmp_path)} == {f"{n}-{i}" for n in range(6) for i in range(3)}


def test_a_stuck_writer_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(file, "LOCK_SECONDS", 0.05)
    with KeyFile(tmp_path).locked(), pytest.raises(LockedError, match=r"keys\.json"):
        create_key(tmp_path, "a", ["search"])
