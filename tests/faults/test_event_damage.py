"""A damaged file of events: set aside, the readable part kept, nobody waits, and erasing takes it along."""

from __future__ import annotations

import logging
import random
import sqlite3
import threading

import pytest
from event_calls import bytes_of, settings_for, view

from vision_rec.errors import IntegrityError
from vision_rec.events import EventLog
from vision_rec.sessions.sqlite_file import DamagedError
from vision_rec.sessions.sqlite_mend import damage_of, mend

COUNT = 600
PAGE = 4096


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """A folder with some 600 events of three users, and an erased one; nobody may change it."""
    data = tmp_path_factory.mktemp("filled") / "var"
    log = EventLog(settings_for(data))
    for start in range(0, COUNT, 200):
        log.record([
            view(f"product-{i % 37}", event_id=f"e{i:05d}", user_id=f"user-{i % 3}", session_id=f"s{i % 3}")
            for i in range(start, start + 200)
        ])  # fmt: skip
    log.record([view("gone", user_id="erased")])
    log.erase("erased")
    log.close()
    return data


@pytest.fixture
def data(filled, tmp_path):
    import shutil

    return shutil.copytree(filled, tmp_path / "var")


def tear(data, *pages, whole=PAGE):
    """Overwrite pages, from 0, of the file with bytes that mean nothing."""
    path = data / "events.db"
    stored = bytearray(path.read_bytes())
    for page in pages:
        stored[page * PAGE : page * PAGE + whole] = b"\xa5" * whole
    path.write_bytes(stored)


def leaf_of(data, word):
    """Return the number of a page that holds rows of events, by a word that is in them."""
    stored = (data / "events.db").read_bytes()
    rows = [i // PAGE for i in range(0, len(stored)) if stored.startswith(word, i)]
    return max(set(rows), key=rows.count)


def aside(data):
    return sorted(path.name for path in (data / "quarantine").glob("*.db"))


def test_a_file_of_nonsense_is_set_aside_and_a_new_one_begun(data, caplog):
    (data / "events.db").write_bytes(b"\x00garbage" * 1000)
    log = EventLog(settings_for(data))
    with caplog.at_level(logging.ERROR):
        assert log.record([view("p1", event_id="new", user_id="u")]).accepted == 1
    assert [event.event_id for event in log.export()] == ["new"] and len(aside(data)) == 1
    assert (data / "quarantine" / aside(data)[0]).read_bytes() == b"\x00garbage" * 1000
    said = [record for record in caplog.records if "mended" in record.message]
    assert len(said) == 1 and "0 events kept" in said[0].detail and "quarantine" in said[0].detail
    assert (data / "quarantine").stat().st_mode & 0o077 == 0 == (data / "events.db").stat().st_mode & 0o077
    log.close()


def test_what_can_be_read_is_kept_and_the_rest_is_told(data):
    tear(data, leaf_of(data, b"product-3"))
    log = EventLog(settings_for(data))
    said = log.vault.mend()
    kept = [event.event_id for event in log.export()]
    assert COUNT * 0.5 < len(kept) < COUNT and f"{len(kept)} events kept" in said
    assert kept == sorted(set(kept)) and damage_of(data / "events.db", 60) is None
    most = int(said.partition("at most ")[2].split()[0])
    assert COUNT - len(kept) <= most  # the erased user's number is among the missing ones
    # All that is kept is known again: sent once more it is a duplicate, what was lost is taken.
    again = [view("again", event_id=f"e{i:05d}", user_id="user-0") for i in range(COUNT)]
    receipt = log.record(again)
    assert (receipt.duplicates, receipt.accepted) == (len(kept), COUNT - len(kept))
    late = log.record([view("gone", user_id="erased", at="2026-01-01T00:00:00Z")])
    assert late.accepted == 0 and "erased" in late.rejected[0].reason  # marks are kept, too
    log.close()


@pytest.mark.parametrize("seed", range(12))
def test_damage_anywhere_never_stops_events_for_good(data, seed):
    chance = random.Random(seed)
    path = data / "events.db"
    stored = bytearray(path.read_bytes())
    if seed % 3 == 0:
        del stored[chance.randrange(1, len(stored)) :]
    else:
        for _ in range(chance.choice((1, 40))):
            stored[chance.randrange(len(stored))] ^= chance.randrange(1, 256)
    path.write_bytes(stored)
    log = EventLog(settings_for(data))
    try:
        log.vault.mend()
        assert log.record([view("new", event_id="new", user_id="u")]).accepted == 1
        assert "new" in {event.product_id for event in log.history.of("u", None).acts}
    except IntegrityError as error:  # a bit in the check word or the format: for a person to decide
        assert "another key" in str(error) or "another version" in str(error)
        assert not aside(data)
    except Exception as error:
        assert type(error).__name__ == "IncompatibleError"
        assert not aside(data)
    log.close()


def test_whole_files_and_other_keys_are_left_alone(data, tmp_path):
    log = EventLog(settings_for(data))
    assert log.vault.mend() is None and not (data / "quarantine").exists()
    check = log.vault.names.check
    log.close()
    tear(data, leaf_of(data, b"product-3"))
    before = (data / "events.db").read_bytes()
    with pytest.raises(IntegrityError, match="another key"):
        mend(data / "events.db", f"not {check}", 60)
    assert (data / "events.db").read_bytes() == before and not (data / "quarantine").exists()
    assert EventLog(settings_for(tmp_path / "nothing")).vault.mend() is None


def test_serving_does_not_wait_and_knows_again_afterwards(data):
    (data / "events.db").write_bytes(b"nonsense" * 2000)
    log = EventLog(settings_for(data))
    assert log.history.of("user-0", None).is_down  # at once; a thread mends
    for thread in threading.enumerate():
        if thread.name == "mend-events":
            thread.join()
    assert len(aside(data)) == 1
    assert log.record([view("p", user_id="user-0")]).accepted == 1
    log.close()


def test_many_who_notice_at_once_mend_once(data):
    logs = [EventLog(settings_for(data)) for _ in range(4)]
    for log in logs:
        list(log.export("user-0"))  # all have the old file open
    tear(data, *range(1, 12))
    errors = []

    def write(number, log):
        try:
            assert log.record([view("p", event_id=f"new-{number}", user_id="w")]).accepted == 1
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=write, args=entry) for entry in enumerate(logs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors and len(aside(data)) == 1
    fresh = EventLog(settings_for(data))
    assert {event.event_id for event in fresh.export("w")} == {f"new-{n}" for n in range(4)}
    for log in (*logs, fresh):
        log.close()


def test_erasing_a_user_takes_what_was_set_aside_along(data):
    tear(data, leaf_of(data, b"product-3"))
    log = EventLog(settings_for(data))
    user = log.vault.names.user("user-1").encode()
    log.vault.mend()
    assert any(user in found for found in bytes_of(data).values()) and aside(data)
    assert log.erase("user-1") > 0
    assert not any(user in found for found in bytes_of(data).values()) and not aside(data)
    log.close()


def test_doctor_says_what_is_damaged_and_what_was_set_aside(data):
    from vision_rec.diagnose.events import store

    tear(data, leaf_of(data, b"product-3"))
    found = {finding.name: finding for finding in store(settings_for(data))}
    assert found["events in sqlite"].status == "fail" and "start the service" in found["events in sqlite"].fix
    log = EventLog(settings_for(data))
    log.vault.mend()
    log.close()
    found = {finding.name: finding for finding in store(settings_for(data))}
    assert found["events in sqlite"].status == "ok" and found["damaged events"].status == "warn"


def test_only_the_file_itself_makes_a_damaged_error(data):
    log = EventLog(settings_for(data))
    log.close()
    with sqlite3.connect(data / "events.db") as db:
        db.execute("UPDATE meta SET value = 'other' WHERE name = 'key'")
    with pytest.raises(IntegrityError) as error:
        log.record([view("p")])
    assert not isinstance(error.value, DamagedError)
