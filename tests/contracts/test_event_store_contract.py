"""What every event store does, on SQLite and on a real Redis."""

from __future__ import annotations

import random
import threading
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from redis_server import RedisServer

from vision_rec.errors import IntegrityError
from vision_rec.sessions import EVENT_TYPES
from vision_rec.sessions.redis_store import RedisStore
from vision_rec.sessions.sqlite_store import SqliteStore
from vision_rec.types import Event

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    found = RedisServer(tmp_path_factory.mktemp("redis")).start()
    yield found
    found.kill()


@pytest.fixture(params=["sqlite", "redis"])
def another(request, tmp_path):
    """Opens the same store again and again, as another process would."""
    opened = []
    if request.param == "sqlite":

        def make(check="key one"):
            opened.append(SqliteStore(tmp_path / "var" / "events.db", check))
            return opened[-1]
    else:
        url = request.getfixturevalue("server").url

        def make(check="key one"):
            opened.append(RedisStore(url, check, read_timeout_s=30, timeout_s=30, prefix=f"{{{tmp_path}}}:"))
            return opened[-1]

    yield make
    for store in opened:
        store.close()


@pytest.fixture
def store(another):
    return another()


def event(number, kind="view", product="p1", user=None, session=None, minutes=0, **fields):
    at = NOON + timedelta(minutes=minutes)
    return Event(f"e{number}", kind, product, fields.pop("at", at), at, user, session, **fields)


def ids(events):
    return [entry.event_id for entry in events]


# ── in and out ───────────────────────────────────────────────────────────────────────────────────────


def test_every_field_comes_back(store):
    full = event(
        1, "rating", "Ü/ p\u00a0„1“", "u", "s", at=NOON - timedelta(days=3, microseconds=7), value=4.5,
        position=0, request_id="r-1",
    )  # fmt: skip
    bare = event(2)
    assert store.append([full, bare]) == 2
    assert list(store.export()) == [full, bare]
    assert store.recent("u", 5) == (full,)


def test_nothing_stored_is_nothing_found(store):
    assert store.recent("u", 5, session_id="s") == () and store.recent(None, 5) == ()
    assert dict(store.popular(10)) == {} and list(store.export("u")) == [] and dict(store.counts()) == {}
    assert store.buried(["m"]) == {} and store.prune(NOON) == 0 and store.forget("u") == 0
    assert store.append([]) == 0


def test_a_known_id_is_a_duplicate_and_the_first_stays(store, another):
    assert store.append([event(1, product="p1"), event(1, product="p2"), event(2)]) == 2
    assert another().append([event(1, product="p3"), event(3)]) == 1
    assert [(e.event_id, e.product_id) for e in store.export()] == [("e1", "p1"), ("e2", "p1"), ("e3", "p1")]


def test_recent_are_the_last_acts_oldest_first(store):
    store.append([event(i, product=f"p{i}", user="u", minutes=i) for i in range(20)])
    assert ids(store.recent("u", 3)) == ["e17", "e18", "e19"]
    assert ids(store.recent("u", 100)) == [f"e{i}" for i in range(20)]
    assert store.recent("other", 3) == ()


def test_the_order_is_that_of_receipt_then_that_of_coming(store):
    store.append([event(1, user="u", minutes=5), event(2, user="u"), event(3, user="u", minutes=5)])
    store.append([event(4, user="u", minutes=5), event(5, "purchase", user="u", minutes=5)])
    assert ids(store.recent("u", 9)) == ["e2", "e1", "e3", "e4", "e5"]
    assert ids(store.export("u")) == ["e1", "e2", "e3", "e4", "e5"]


def test_impressions_are_kept_but_are_no_acts(store):
    store.append([event(i, kind, user="u", session="s", minutes=i) for i, kind in enumerate(EVENT_TYPES)])
    assert [e.type for e in store.recent("u", 9)] == list(EVENT_TYPES[1:])
    assert len(list(store.export("u"))) == len(EVENT_TYPES)
    assert dict(store.counts()) == dict.fromkeys(sorted(EVENT_TYPES), 1)


def test_what_was_bought_is_found_behind_many_views(store):
    store.append([event(0, "purchase", "old", "u"), *(event(i, user="u", minutes=i) for i in range(1, 60))])
    assert [e.product_id for e in store.recent("u", 5, bought=True)] == ["old"]


# ── sessions and logins ──────────────────────────────────────────────────────────────────────────────


def test_an_anonymous_session_becomes_the_users_at_login(store):
    store.append([event(1, session="s"), event(2, session="s", minutes=1), event(3, session="t", minutes=2)])
    assert store.recent("u", 9) == () and ids(store.recent(None, 9, session_id="s")) == ["e1", "e2"]
    store.append([event(4, user="u", session="s", minutes=3)])
    assert ids(store.recent("u", 9)) == ["e1", "e2", "e4"]
    store.append([event(5, session="s", minutes=4)])
    assert ids(store.recent("u", 9)) == ["e1", "e2", "e4", "e5"]
    assert {e.user_id for e in store.export("u")} == {"u"}


def test_a_login_in_the_middle_of_a_call(store):
    calls = [event(1, session="s"), event(2, user="u", session="s"), event(3, session="s")]
    store.append([replace(entry, received_at=NOON) for entry in calls])
    assert ids(store.recent("u", 9)) == ["e1", "e2", "e3"]


def test_two_users_of_one_session_keep_what_is_theirs(store):
    store.append([event(1, session="s"), event(2, user="ann", session="s", minutes=1)])
    store.append([event(3, user="bob", session="s", minutes=2), event(4, session="s", minutes=3)])
    assert ids(store.recent("ann", 9)) == ["e1", "e2"]
    assert ids(store.recent("bob", 9)) == ["e3", "e4"]
    assert ids(store.recent("ann", 9, session_id="s")) == ["e1", "e2"]
    assert ids(store.recent(None, 9, session_id="s")) == ["e1", "e2", "e3", "e4"]


def test_a_login_sent_again_changes_nothing(store):
    first = event(1, user="ann", session="s")
    store.append([first])
    store.append([event(2, user="bob", session="s", minutes=1)])
    assert store.append([first]) == 0
    store.append([event(3, session="s", minutes=2)])
    assert ids(store.recent("bob", 9)) == ["e2", "e3"]


def test_user_and_session_together(store):
    store.append([event(1, user="u"), event(2, session="s", minutes=1), event(3, user="u", minutes=2)])
    assert ids(store.recent("u", 9, session_id="s")) == ["e1", "e2", "e3"]
    assert ids(store.recent("u", 2, session_id="s")) == ["e2", "e3"]


# ── popular ──────────────────────────────────────────────────────────────────────────────────────────


def test_popular_counts_visitors_not_events(store):
    store.append([event(i, product="pushed", session="bot", minutes=i) for i in range(50)])
    store.append([event(100 + i, product="liked", session=f"s{i}", minutes=60) for i in range(3)])
    store.append([event(200, product="liked", user="u", session="s9", minutes=61)])
    store.append([event(300 + i, "impression", "shown", session=f"s{i}", minutes=62) for i in range(9)])
    assert list(store.popular(1000).items()) == [("liked", 4), ("pushed", 1)]
    assert list(store.popular(1).items()) == [("liked", 1)]


# ── forgetting ───────────────────────────────────────────────────────────────────────────────────────


def test_forgetting_takes_all_of_one_user_and_nothing_else(store, another):
    mine = [event(i, kind, user="u", session="s") for i, kind in enumerate(EVENT_TYPES)]
    store.append([event(90, session="s"), *mine, event(91, user="v", session="t"), event(92, session="t")])
    assert store.forget("u") == len(mine) + 1
    for opened in (store, another()):
        assert opened.recent("u", 9, session_id="s") == () and list(opened.export("u")) == []
        assert ids(opened.export()) == ["e91", "e92"] and ids(opened.recent("v", 9)) == ["e91", "e92"]
    assert store.forget("u") == 0
    assert store.append([event(93, session="s"), event(1, user="u")]) == 2  # the id is free again
    assert ids(store.recent(None, 9, session_id="s")) == ["e93"]  # and the session is nobody's
    assert ids(store.recent("u", 9)) == ["e1"]


def test_tombstones(store, another):
    store.bury("m1", NOON)
    store.bury("m1", NOON + timedelta(microseconds=1))
    assert another().buried({"m1", "m2"}) == {"m1": NOON + timedelta(microseconds=1)}
    assert store.buried([]) == {}


def test_pruning_goes_by_when_events_came_here(store):
    store.append([event(1, user="u", session="s"), event(2, minutes=-(10**6))])
    assert store.prune(datetime.now(UTC) - timedelta(days=1)) == 0
    assert store.prune(datetime.now(UTC) + timedelta(days=1)) == 2
    assert list(store.export()) == [] and store.recent("u", 9) == () and dict(store.popular(9)) == {}
    store.append([event(3, session="s")])
    assert store.recent("u", 9) == ()  # the login went with its events


# ── many at once ─────────────────────────────────────────────────────────────────────────────────────


def test_many_writers_store_everything_once(store, another):
    def write(opened, seed):
        order = [event(i, user=f"u{i % 3}") for i in range(100)]
        random.Random(seed).shuffle(order)
        for start in range(0, 100, 10):
            counted[seed] += opened.append(order[start : start + 10])

    counted = Counter()
    threads = [threading.Thread(target=write, args=(store if i % 2 else another(), i)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(counted.values()) == 100
    assert sorted(ids(store.export())) == sorted(f"e{i}" for i in range(100))


def test_a_large_call_and_long_exports(store):
    many = [event(i, user="u", product=f"p{i % 7}", minutes=i) for i in range(1700)]
    assert store.append(many) == 1700
    assert list(store.export()) == many and list(store.export("u")) == many
    assert sum(store.counts().values()) == 1700 and store.forget("u") == 1700


def test_another_key_is_refused(store, another):
    store.append([event(1)])
    with pytest.raises(IntegrityError, match="another key"):
        another("key two").append([event(2)])
    assert ids(store.export()) == ["e1"]


def test_closing_is_no_end(store):
    store.append([event(1)])
    store.close()
    assert ids(store.export()) == ["e1"] and store.append([event(2)]) == 1
    store.close()
    store.close()


def test_the_same_answers_as_a_plain_list(store):
    """Random events with logins, against a list that is scanned."""
    rng = random.Random(5)
    kept, owner = [], {}
    for number in range(300):
        user = rng.choice([None, None, "ann", "bob"])
        session = rng.choice([None, "s1", "s2", "s3"])
        entry = event(
            number, rng.choice(EVENT_TYPES), f"p{rng.randrange(9)}", user, session, minutes=rng.randrange(50)
        )
        store.append([entry])
        if session and user:
            if owner.get(session) != user:
                theirs = [e.session_id == session and not e.user_id for e in kept]
                kept = [replace(e, user_id=user) if t else e for e, t in zip(kept, theirs, strict=True)]
            owner[session] = user
        elif session and session in owner:
            entry = replace(entry, user_id=owner[session])
        kept.append(entry)
    assert list(store.export()) == kept
    for user in ("ann", "bob"):
        acts = [e for e in kept if e.user_id == user and e.type != "impression"]
        acts = sorted(acts, key=lambda e: e.received_at)  # stable: then as they came
        assert store.recent(user, 20) == tuple(acts[-20:])
    visitors = {}
    for e in kept:
        if e.type != "impression":
            visitors.setdefault(e.product_id, set()).add(e.user_id or e.session_id or e.event_id)
    assert dict(store.popular(1000)) == {product: len(who) for product, who in visitors.items()}
