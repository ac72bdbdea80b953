"""Events on their way in: checks, clocks, retries, erasure, room on the disk, files."""

from __future__ import annotations

import math
import stat
import threading
from datetime import UTC, datetime, timedelta

import pytest
from event_calls import NOON, Clock, bytes_of, settings_for, stored, view

from vision_rec.errors import InputError, IntegrityError, ResourceError, UnavailableError
from vision_rec.events import EventLog
from vision_rec.events.files import export_events, import_events
from vision_rec.sessions.history import History
from vision_rec.sessions.pseudonyms import Pseudonyms
from vision_rec.sessions.stores import Vault
from vision_rec.settings import Settings


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def settings(tmp_path):
    return settings_for(tmp_path / "var")


@pytest.fixture
def log(settings, clock):
    made = EventLog(settings, clock=clock)
    yield made
    made.close()


# ── what is taken ────────────────────────────────────────────────────────────────────────────────────


def test_an_event_is_stored_with_its_ids_hashed(log, settings):
    who = {"user_id": "anna@example.com", "session_id": "cookie-7"}
    what = {"at": "2026-03-01T11:00:00+02:00", "value": 12, "position": 3.0, "request_id": "r1"}
    body = view("P 1", event_id="e1", **who, **what)
    body["received_at"] = "2001-01-01T00:00:00Z"  # passed over: this clock counts
    assert log.record([body]).accepted == 1
    (event,) = stored(log)
    assert (event.event_id, event.product_id, event.value, event.position) == ("e1", "P 1", 12.0, 3)
    assert (event.at, event.received_at) == (NOON - timedelta(hours=3), NOON)
    assert len(event.user_id) == len(event.session_id) == 32 and event.user_id != event.session_id
    for path, data in bytes_of(settings.paths.data).items():
        assert b"anna" not in data and b"cookie-7" not in data, path


def test_null_is_not_given_and_times_without_zone_are_utc(log):
    nulls = dict.fromkeys(("event_id", "user_id", "session_id", "at", "value", "position", "request_id"))
    receipt = log.record([view(**nulls), view(at="2026-03-01T11:00:00")])
    assert receipt.accepted == 2
    first, second = stored(log)
    assert (first.at, second.at) == (NOON, NOON - timedelta(hours=1))
    assert first.event_id != second.event_id and first.user_id is None


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("2026-03-01T12:04:59Z", timedelta(seconds=299)),
        ("2026-03-01T12:05:01Z", timedelta(minutes=5)),
        ("2999-01-01T00:00:00Z", timedelta(minutes=5)),
        ("9999-12-31T23:59:59-14:00", timedelta(minutes=5)),
        ("2026-02-22T13:00:00Z", timedelta(days=-7, hours=1)),
        ("2026-02-22T11:00:00Z", timedelta(days=-7)),
        ("0001-01-01T00:00:00+14:00", timedelta(days=-7)),
    ],
)
def test_clocks_are_brought_back_to_reason(log, said, kept):
    assert log.record([view(at=said)]).accepted == 1
    assert stored(log)[0].at == NOON + kept and stored(log)[0].received_at == NOON


def test_the_order_is_that_of_receipt_even_when_the_clock_goes_back(log, clock):
    log.record([view("first", user_id="u", at="2026-03-01T12:04:00Z")])
    clock.now -= timedelta(days=1)
    log.record([view("second", user_id="u")])
    acts = log.history.of("u", None).acts
    assert [event.product_id for event in acts] == ["first", "second"]
    assert acts[1].received_at >= acts[0].received_at


BAD = [
    (None, "an event is an object"),
    ([], "an event is an object"),
    ("view", "an event is an object"),
    ({}, "type is None"),
    ({"type": "view"}, "product_id is missing"),
    (view(type="look"), "type is 'look'; allowed are impression, view"),
    (view(type=["view"]), "type is ['view']"),
    (view(type={}), "type is {}"),
    (view(7), "product_id is 7; allowed is a text"),
    (view(""), "product_id is empty"),
    (view("  "), "product_id is empty"),
    (view("x" * 257), "product_id has 257 characters; allowed are 256"),
    (view("a\0b"), "control character"),
    (view("a\nb"), "control character"),
    (view("\ud800"), "half a character"),
    (view(user_id="u\0"), "user_id holds a control character"),
    (view(user_id="u" * 257), "user_id has 257"),
    (view(user_id=12), "user_id is 12"),
    (view(session_id=""), "session_id is empty"),
    (view(event_id="e" * 129), "event_id has 129 characters; allowed are 128"),
    (view(request_id=True), "request_id is True"),
    (view(at="yesterday"), "at is 'yesterday'"),
    (view(at=1_700_000_000), "at is 1700000000"),
    (view(at="2026-03-01" * 10), "at is '2026"),
    (view(value="9"), "value is '9'"),
    (view(value=True), "value is True"),
    (view(value=math.inf), "value is inf"),
    (view(value=10**400), "value is 1000"),
    (view(value=1e13), "value is 1"),
    (view(type="rating"), "a rating needs its stars"),
    (view(type="rating", value=6), "value of a rating is 6"),
    (view(position=-1), "position is -1"),
    (view(position=1.5), "position is 1.5"),
    (view(position=10**30), "position is 1000"),
    (view(postion=1), "unknown field 'postion'; did you mean 'position'?"),
    ({**view(), "x" * 10_000: 1}, "unknown field 'xxx"),
]


@pytest.mark.parametrize(("body", "reason"), BAD, ids=range(len(BAD)))
def test_a_bad_event_is_told_and_the_others_go_on(log, body, reason):
    receipt = log.record([view(), body, view()])
    assert (receipt.accepted, receipt.duplicates) == (2, 0)
    assert [entry.index for entry in receipt.rejected] == [1]
    assert reason in receipt.rejected[0].reason and len(receipt.rejected[0].reason) < 300


def test_too_many_events_are_refused_as_a_whole(log):
    assert log.record([view(event_id=f"e{i}") for i in range(1000)]).accepted == 1000
    with pytest.raises(InputError, match="events has 1001 entries; allowed are 1000"):
        log.record([view()] * 1001)
    assert len(stored(log)) == 1000


def test_a_retry_counts_once(log):
    call = [view(event_id="e1"), view(event_id="e2"), view(event_id="e1")]
    first, second = log.record(call), log.record(call)
    assert (first.accepted, first.duplicates, second.accepted, second.duplicates) == (2, 1, 0, 3)


def test_an_empty_call_makes_nothing(log, settings):
    assert log.record([]).accepted == 0
    assert log.record([{}]).accepted == 0
    assert not (settings.paths.data / "events.db").exists()


# ── the key ──────────────────────────────────────────────────────────────────────────────────────────


def test_the_key_is_made_once_for_its_owner_alone(tmp_path):
    made = []
    threads = [
        threading.Thread(target=lambda: made.append(Pseudonyms.open(tmp_path / "s").check)) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(made)) == 1 and len(made) == 8
    path = tmp_path / "s" / "events.key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600 and stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [entry.name for entry in path.parent.iterdir()] == ["events.key"]
    path.write_bytes(b"short")
    with pytest.raises(IntegrityError, match="5 bytes instead of 32"):
        Pseudonyms.open(tmp_path / "s")


def test_pseudonyms_differ_by_use_and_key():
    one, two = Pseudonyms(b"a" * 32), Pseudonyms(b"b" * 32)
    said = {
        one.user("x"),
        one.session("x"),
        one.tombstone("x"),
        one.content("x"),
        two.user("x"),
        one.user("y"),
    }
    assert len(said) == 6 and one.user("x") == Pseudonyms(b"a" * 32).user("x")
    assert one.content("a", "b") != one.content("ab", "")
    assert len(one.user("\ud800")) == 32


def test_files_are_the_owners(log, settings):
    log.record([view(user_id="u")])
    for name in ("events.db", "events.db-wal", "secrets/events.key"):
        assert stat.S_IMODE((settings.paths.data / name).stat().st_mode) == 0o600, name


def test_a_lost_key_is_noticed(log, settings):
    log.record([view(user_id="u")])
    log.close()
    (settings.paths.data / "secrets" / "events.key").unlink()
    fresh = EventLog(settings)
    with pytest.raises(IntegrityError, match="bring the old key back"):
        fresh.record([view()])
    assert fresh.history.of("u", None).is_down


# ── erasing ──────────────────────────────────────────────────────────────────────────────────────────


def test_after_erasing_no_byte_of_the_user_is_left(log, settings):
    secret = "anna@example.com"
    others = [view(f"p{i}", user_id=f"user{i % 50}", session_id=f"s{i % 70}") for i in range(900)]
    mine = [
        view("mine-only", user_id=secret, session_id="anna-session", event_id=f"anna-event-{i}")
        for i in range(60)
    ]
    log.record([view("anon-mine", session_id="anna-session", event_id="anna-before")])
    log.record(others[:450] + mine + others[450:])
    hashed, session = log.vault.names.user(secret), log.vault.names.session("anna-session")
    assert any(hashed.encode() in data for data in bytes_of(settings.paths.data).values())
    assert log.erase(secret) == 61
    for path, data in bytes_of(settings.paths.data).items():
        for word in (secret, hashed, session, "anna", "mine-only", "anon-mine"):
            assert word.encode() not in data, (path, word)
    assert len(stored(log)) == 900 and log.erase(secret) == 0 and list(log.export(secret)) == []


def test_erasing_while_others_write_and_read(log, settings):
    log.record([view(user_id="anna", event_id=f"anna-{i}") for i in range(100)])
    stop, failed = threading.Event(), []

    def busy(number):
        other = EventLog(settings)
        try:
            count = 0
            while not stop.is_set():
                other.record([view(user_id=f"u{number}", event_id=f"b{number}-{count}")])
                other.history.of(f"u{number}", None)
                count += 1
        except Exception as error:
            failed.append(error)
        finally:
            other.close()

    threads = [threading.Thread(target=busy, args=(i,)) for i in range(2)]
    for thread in threads:
        thread.start()
    try:
        assert log.erase("anna") == 100
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    hashed = log.vault.names.user("anna")
    log.erase("nobody")  # all is quiet now: the journal is cut
    assert not failed
    assert all(
        hashed.encode() not in data and b"anna-" not in data
        for data in bytes_of(settings.paths.data).values()
    )


def test_old_events_of_an_erased_user_are_refused_and_new_ones_start_anew(log, clock):
    old = view(user_id="anna", event_id="e1", at="2026-03-01T11:59:00Z")
    log.record([old])
    log.erase("anna")
    clock.now += timedelta(days=30)  # clamped to its bounds, the old event would look new
    receipt = log.record([old, view(user_id="anna", event_id="e2"), view(user_id="bob", event_id="e3")])
    assert receipt.accepted == 2 and receipt.rejected[0].reason == "the user was erased after this event"
    assert [event.event_id for event in log.export("anna")] == ["e2"]


def test_a_file_from_before_does_not_bring_an_erased_user_back(log, clock, tmp_path):
    log.record([view(user_id="anna"), view(user_id="bob")])
    out = tmp_path / "all.jsonl"
    assert export_events(log.export(), out) == 2
    log.erase("anna")
    done = import_events(log, out, hashed=True)
    assert (done.accepted, done.duplicates, done.rejects) == (0, 1, 1)
    assert list(log.export("anna")) == []


def test_a_user_gets_back_what_is_theirs(log):
    log.record([view("p1", session_id="s"), view("p2", user_id="anna", session_id="s"), view(user_id="bob")])
    mine = list(log.export("anna"))
    assert [(event.product_id, event.user_id) for event in mine] == [("p1", "anna"), ("p2", "anna")]


def test_old_events_are_deleted(settings, clock):
    log = EventLog(settings, clock=lambda: datetime.now(UTC) + timedelta(days=91))
    log.record([view(user_id="u")])
    assert stored(log) == []
    log.close()


# ── room and trouble ─────────────────────────────────────────────────────────────────────────────────


def test_a_full_disk_refuses_events_and_takes_them_again_with_some_air(tmp_path, monkeypatch):
    import shutil

    from vision_rec.events import log as module

    usage = type(shutil.disk_usage(tmp_path))
    free = [100]
    monkeypatch.setattr(module, "_DISK_SECONDS", 0.0)
    monkeypatch.setattr(module.shutil, "disk_usage", lambda path: usage(1000, 1000 - free[0], free[0]))
    log = EventLog(
        Settings.load(paths={"data": tmp_path}, events={"max_disk_share": 0.95, "min_free_bytes": 10})
    )
    for left, taken in ((60, True), (49, False), (55, False), (61, True), (9, False), (100, True)):
        free[0] = left
        if taken:
            assert log.record([view()]).accepted == 1
        else:
            with pytest.raises(ResourceError, match="full with"):
                log.record([view()])
    log.close()


def test_a_damaged_file_is_told_and_history_is_down(log, settings):
    log.record([view(user_id="u")])
    log.close()
    path = settings.paths.data / "events.db"
    path.write_bytes(b"\x00garbage" * 1000)
    fresh = EventLog(settings)
    assert fresh.history.of("u", None).is_down  # it does not wait until the file is mended
    assert fresh.record([view()]).accepted == 1  # which takes it, as tests/faults/test_event_damage.py says


def test_a_folder_that_cannot_be_written_is_told(tmp_path):
    blocked = tmp_path / "var"
    blocked.write_text("a file")
    log = EventLog(settings_for(blocked))
    with pytest.raises(UnavailableError):
        log.record([view()])


def test_a_file_taken_away_while_open_is_made_anew(log, settings):
    log.record([view("p1", user_id="u")])
    assert log.history.of("u", None).acts
    for path in settings.paths.data.glob("events.db*"):
        path.unlink()
    log.record([view("p2", user_id="u")])
    assert [event.product_id for event in EventLog(settings).history.of("u", None).acts] == ["p2"]


def test_history_rests_after_a_failure_and_comes_back(settings):
    class Broken:
        asked = 0

        def recent(self, *args, **options):
            self.asked += 1
            raise UnavailableError("down")

        popular = recent

    now, broken = [0.0], Broken()
    vault = Vault(settings.events, settings.paths.data)
    EventLog(settings, vault).record([view(user_id="u")])
    real = vault.store
    vault._store = broken
    history = History(vault, clock=lambda: now[0])
    assert [history.of("u", None).is_down for _ in range(5)] == [True] * 5 and broken.asked == 1
    assert dict(history.popular()) == {} and broken.asked == 1
    vault._store = real
    now[0] += 1.5
    assert not history.of("u", None).is_down and dict(history.popular()) == {"p1": 1}
    vault._store = broken
    now[0] += 100
    assert dict(history.popular()) == {"p1": 1}  # of before, while the store is down


def test_reading_makes_neither_key_nor_file(settings):
    history = History(Vault(settings.events, settings.paths.data))
    assert history.of("u", "s").acts == () and dict(history.popular()) == {}
    assert EventLog(settings).erase("u") == 0 and list(EventLog(settings).export("u")) == []
    assert not settings.paths.data.exists()
