"""API keys and logins: made, stored as hashes, checked, revoked; through Python and the command line."""

from __future__ import annotations

import json
import re
import stat
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from vision_rec.access import (
    MAX_NAME,
    Access,
    create_key,
    list_keys,
    parse_expiry,
    parse_scopes,
    revoke_key,
    rotate_key,
)
from vision_rec.errors import InputError, NotFoundError
from vision_rec.keys import SCOPES, KeyFile, KeyRing, Logins, logins, make_key, ring
from vision_rec.settings import Settings

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
WEEK = timedelta(days=7)


def access_to(folder, **service):
    """What a service would know, with a clock that a test can move."""
    time = [datetime.now(UTC)]
    settings = Settings(paths={"data": folder}, service=service)
    access = Access(settings, clock=lambda: time[0])
    access.time = time
    return access


# ── keys as values ───────────────────────────────────────────────────────────────────────────────────


def test_a_key_has_256_random_bits_and_a_form_that_scanners_find():
    made = [make_key("shop", ["search"], now=NOW) for _ in range(20)]
    assert len({new.token for new in made}) == len({new.key.id for new in made}) == 20
    for new in made:
        match = re.fullmatch(r"vrk_([0-9a-f]{12})_([0-9a-f]{64})", new.token)
        assert match[1] == new.key.id and match[2] not in repr(new.key)
        assert new.key.digest == ring.digest_of(new.token) != ring.digest_of(match[2])


def test_a_ring_knows_its_keys_and_no_others():
    made = [make_key(f"shop {i}", ["search"], now=NOW) for i in range(3)]
    keys = KeyRing(new.key for new in made)
    for new in made:
        assert keys.check(new.token, NOW).key == new.key
    stranger = make_key("shop", ["search"], now=NOW).token
    mixed = made[0].token[:17] + made[1].token[17:]  # the id of one, the secret of another
    for token in (
        stranger,
        mixed,
        "",
        "vrk_",
        made[0].token[:-1],
        made[0].token + "0",
        made[0].token.upper(),
    ):
        checked = keys.check(token, NOW)
        assert checked.key is None and checked.reason == "unknown"


@hypothesis_settings(derandomize=True, deadline=None)
@given(st.text(max_size=200))
def test_no_text_is_a_key(text):
    keys = KeyRing([make_key("shop", SCOPES, now=NOW).key])
    assert keys.check(text, NOW).key is None


@pytest.mark.parametrize("known", [True, False])
def test_secrets_are_compared_in_constant_time_whether_the_id_is_known_or_not(monkeypatch, known):
    new = make_key("shop", ["search"], now=NOW)
    keys = KeyRing([new.key] if known else [])
    compared = []
    compare = ring.hmac.compare_digest
    monkeypatch.setattr(ring.hmac, "compare_digest", lambda a, b: compared.append((a, b)) or compare(a, b))
    keys.check(new.token, NOW)
    keys.check("nonsense", NOW)
    assert len(compared) == 2 and all(len(a) == len(b) == 64 for a, b in compared)


def test_expired_and_revoked_is_told_to_who_has_the_secret_only():
    new = make_key("shop", ["search"], now=NOW, expires_at=NOW + WEEK)
    keys = KeyRing([new.key])
    assert keys.check(new.token, NOW + WEEK - timedelta(seconds=1)).key
    assert keys.check(new.token, NOW + WEEK).reason == "expired"
    assert keys.check(new.token[:-1] + "x", NOW + WEEK).reason == "unknown"
    assert keys.check(f"vrk_{new.key.id}_{'0' * 64}", NOW + WEEK).reason == "unknown"


# ── making, listing, revoking ────────────────────────────────────────────────────────────────────────


def test_a_made_key_is_stored_as_its_hash_for_the_owner_only(tmp_path):
    data = tmp_path / "deep" / "var"
    new = create_key(data, "  Shop   front ", ["events", "search"])
    assert new.key.name == "Shop front" and new.key.scopes == ("search", "events")
    assert list_keys(data) == (new.key,)
    file = data / "keys.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600 and stat.S_IMODE(data.stat().st_mode) == 0o700
    for path in data.iterdir():
        assert new.token[17:] not in path.read_text()
    assert sorted(path.name for path in data.iterdir()) == ["keys.json", "keys.lock"]


def test_the_mode_does_not_widen_when_the_file_is_replaced(tmp_path):
    create_key(tmp_path, "a", ["search"])
    (tmp_path / "keys.json").chmod(0o644)
    create_key(tmp_path, "b", ["search"])
    assert stat.S_IMODE((tmp_path / "keys.json").stat().st_mode) == 0o600


def test_revoking_is_for_good_and_may_be_said_twice(tmp_path):
    new, other = create_key(tmp_path, "a", ["search"]), create_key(tmp_path, "b", ["search"])
    first = revoke_key(tmp_path, new.key.id)
    assert first.revoked_at is not None
    assert revoke_key(tmp_path, new.token) == first  # whoever pastes the whole key is understood
    states = {key.name: key.state(datetime.now(UTC)) for key in list_keys(tmp_path)}
    assert states == {"a": "revoked", "b": "valid"}
    for wrong in ("000000000000", "", f"{other.key.id}0", "vrk_"):
        with pytest.raises(NotFoundError, match=other.key.id):
            revoke_key(tmp_path, wrong)


def test_revoking_where_there_are_no_keys_leaves_nothing_behind(tmp_path):
    with pytest.raises(NotFoundError, match="none"):
        revoke_key(tmp_path / "var", "000000000000")
    assert list_keys(tmp_path / "var") == () and not (tmp_path / "var").exists()


@pytest.mark.parametrize("name", ["", "   ", "x" * (MAX_NAME + 1), "a\x1b[31m", "a\u202eb", "a\u0000"])
def test_names_are_short_and_visible(tmp_path, name):
    with pytest.raises(InputError, match="name"):
        create_key(tmp_path, name, ["search"])


def test_scopes_are_those_there_are():
    assert parse_scopes("merch, search,search") == ("search", "merch")
    for wrong in ("", " , ", "all", "search;admin", "SEARCH", "search,root"):
        with pytest.raises(InputError, match="search, events, merch, admin"):
            parse_scopes(wrong)


def test_expiry_is_a_span_or_a_date():
    assert parse_expiry("12h", now=NOW) == NOW + timedelta(hours=12)
    assert parse_expiry(" 90d ", now=NOW) == NOW + timedelta(days=90)
    assert parse_expiry("8w", now=NOW) == NOW + timedelta(weeks=8)
    assert parse_expiry("2027-01-31") == datetime(2027, 1, 31, tzinfo=UTC)
    assert parse_expiry("2027-01-31T10:00+02:00") == datetime(2027, 1, 31, 8, tzinfo=UTC)
    for wrong in ("", "never", "90", "-5d", "1y", "2027-13-01", "9" * 400 + "d"):
        with pytest.raises(InputError, match="90d"):
            parse_expiry(wrong)


def test_a_key_that_is_expired_already_is_not_made(tmp_path):
    with pytest.raises(InputError, match="past"):
        create_key(tmp_path, "a", ["search"], expires_at=NOW)
    assert not (tmp_path / "keys.json").exists()


def test_there_is_a_limit_of_keys(tmp_path, monkeypatch):
    monkeypatch.setattr("vision_rec.access.MAX_KEYS", 2)
    create_key(tmp_path, "a", ["search"])
    create_key(tmp_path, "b", ["search"])
    with pytest.raises(InputError, match="2 keys"):
        create_key(tmp_path, "c", ["search"])


def test_as_many_keys_as_allowed_fit_into_the_file(tmp_path):
    from vision_rec.access import MAX_KEYS

    keys = [make_key("ü" * MAX_NAME, SCOPES, now=NOW, expires_at=NOW).key for _ in range(MAX_KEYS)]
    file = KeyFile(tmp_path)
    with file.locked():
        file.write(KeyRing(keys))
    assert list(file.read()) == keys


# ── following the file ───────────────────────────────────────────────────────────────────────────────


def test_without_a_file_a_service_is_open_and_makes_nothing(tmp_path):
    access = access_to(tmp_path / "var")
    assert access.is_open and not access.refresh() and access.check("x").reason == "unknown"
    assert not (tmp_path / "var").exists()


def test_the_first_key_closes_an_open_service(tmp_path):
    access = access_to(tmp_path)
    new = create_key(tmp_path, "a", ["search"])
    assert access.is_open and access.refresh() and not access.is_open
    assert access.check(new.token).key == new.key and access.valid_keys == 1
    assert not access.refresh()  # nothing has changed since


def test_revoked_and_expired_keys_end_and_the_service_stays_closed(tmp_path):
    new = create_key(tmp_path, "a", ["search"], expires_at=datetime.now(UTC) + WEEK)
    access = access_to(tmp_path)
    access.time[0] += WEEK
    assert access.check(new.token).reason == "expired" and access.valid_keys == 0
    access.time[0] -= WEEK
    revoke_key(tmp_path, new.key.id)
    assert access.refresh() and access.check(new.token).reason == "revoked"
    assert not access.is_open and access.valid_keys == 0


def test_a_file_that_goes_or_breaks_leaves_the_keys_of_before(tmp_path):
    new = create_key(tmp_path, "a", ["search"])
    access, file = access_to(tmp_path), tmp_path / "keys.json"
    kept = file.read_bytes()
    file.unlink()
    assert not access.refresh() and "gone" in access.trouble and access.check(new.token).key
    file.write_bytes(kept[:50])
    assert not access.refresh() and "damaged" in access.trouble and access.check(new.token).key
    file.write_bytes(kept)
    access.refresh()
    assert access.trouble is None and access.check(new.token).key and not access.is_open


# ── logins ───────────────────────────────────────────────────────────────────────────────────────────


def test_a_login_is_a_file_that_does_not_hold_its_token(tmp_path):
    store = Logins(tmp_path / "logins")
    token = store.begin("abc", now=1000.0, seconds=60)
    assert re.fullmatch(r"[\w-]{43}", token)
    (path,) = store.folder.iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600 and stat.S_IMODE(store.folder.stat().st_mode) == 0o700
    assert token not in path.name and token not in path.read_text()
    assert store.find(token, now=1059.9).key_id == "abc" and store.find(token, now=1060.0) is None
    assert Logins(tmp_path / "logins").find(token, now=1001.0)  # another worker, or after a restart
    store.end(token)
    store.end(token)
    assert store.find(token, now=1001.0) is None


@pytest.mark.parametrize("token", ["", "../keys", "x" * 42, "x" * 44, "a/" * 21 + "b", "\x00" * 43, "ä" * 43])
def test_what_is_no_token_is_no_path(tmp_path, token):
    store = Logins(tmp_path)
    assert store.find(token, now=0.0) is None
    store.end(token)


def test_ended_and_too_many_logins_are_swept(tmp_path, monkeypatch):
    monkeypatch.setattr(logins, "MAX_LOGINS", 3)
    store = Logins(tmp_path)
    short = store.begin("a", now=0.0, seconds=10)
    tokens = [store.begin("a", now=100.0 + i, seconds=60) for i in range(5)]
    assert [bool(store.find(token, now=110.0)) for token in tokens] == [False, False, True, True, True]
    assert store.find(short, now=5.0) is None and len(list(tmp_path.iterdir())) == 3


def test_a_damaged_login_is_none(tmp_path):
    store = Logins(tmp_path)
    for text in ("", "{", "[]", "{}", '{"key": "a", "expires_at": "x"}', '{"key": "a", "expires_at": NaN}'):
        token = store.begin("a", now=0.0, seconds=10)
        next(path for path in tmp_path.iterdir() if path.name == f"{ring.digest_of(token)}.json").write_text(
            text
        )
        assert store.find(token, now=1.0) is None


def test_a_login_ends_with_its_key(tmp_path):
    new = create_key(tmp_path, "a", ["search"], expires_at=datetime.now(UTC) + timedelta(hours=2))
    access = access_to(tmp_path, login_hours=12)
    entry = access.log_in(new.key)
    assert 7000 < entry.seconds <= 7200 and access.of_login(entry.token) == new.key
    revoke_key(tmp_path, new.key.id)
    access.refresh()
    assert access.of_login(entry.token) is None


def test_a_rotated_key_has_a_successor_and_an_end(tmp_path):
    end = datetime.now(UTC).replace(microsecond=0) + 10 * WEEK
    old = create_key(tmp_path, "shop", ["search", "merch"], expires_at=end)
    other = create_key(tmp_path, "Ops", ["admin"])
    done = rotate_key(tmp_path, " shop ", grace=timedelta(hours=2))
    assert done.new.token != old.token and done.old.id == old.key.id and done.old.digest == old.key.digest
    assert (done.new.key.name, done.new.key.scopes, done.new.key.expires_at) == ("shop", old.key.scopes, end)
    access = access_to(tmp_path)
    assert [access.check(token).reason for token in (old.token, done.new.token, other.token)] == [""] * 3
    login = access.log_in(access.check(old.token).key)
    access.time[0] += timedelta(hours=2, seconds=1)
    assert access.check(old.token).reason == "expired" and access.of_login(login.token) is None
    assert access.check(done.new.token).key == done.new.key and access.check(other.token).key == other.key


def test_a_rotation_shortens_lives_and_never_lengthens_them(tmp_path):
    soon = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)
    create_key(tmp_path, "shop", ["search"], expires_at=soon)
    assert rotate_key(tmp_path, "shop").old.expires_at == soon
    create_key(tmp_path, "Ops", ["admin"])
    assert rotate_key(tmp_path, "Ops", grace=timedelta(0)).old.state(datetime.now(UTC)) == "expired"


def test_only_one_valid_key_can_be_meant(tmp_path, monkeypatch):
    with pytest.raises(NotFoundError, match="there are: none"):
        rotate_key(tmp_path, "shop")
    assert not list(tmp_path.iterdir())
    one, two = (create_key(tmp_path, "shop", ["search"]) for _ in range(2))
    with pytest.raises(InputError, match=f"{one.key.id}, {two.key.id}"):
        rotate_key(tmp_path, "shop")
    revoke_key(tmp_path, one.key.id)
    assert rotate_key(tmp_path, "shop").old.id == two.key.id
    with pytest.raises(NotFoundError):
        rotate_key(tmp_path, one.key.id)
    with pytest.raises(InputError, match="0 or more"):
        rotate_key(tmp_path, "shop", grace=timedelta(seconds=-1))
    monkeypatch.setattr("vision_rec.access.MAX_KEYS", 3)
    with pytest.raises(InputError, match="the limit"):
        rotate_key(tmp_path, two.key.id)


# ── command line ─────────────────────────────────────────────────────────────────────────────────────


def test_create_list_revoke(cli, tmp_path):
    data = ["--data", tmp_path / "var"]
    assert "open" in cli("keys", "list", *data).error
    ran = cli("keys", "create", "--name", "shop", "--scope", "search,events", "--expires", "90d", *data)
    assert ran.code == 0 and re.fullmatch(r"vrk_\w{77}\n", ran.out) and "not shown again" in ran.err
    made = cli("keys", "create", "--name", "Ops", "--scope", "admin", "--json", *data).json
    assert set(made) == {"id", "name", "scopes", "state", "created_at", "expires_at", "revoked_at", "key"}
    assert (
        made["expires_at"] is None
        and made["state"] == "valid"
        and made["key"].startswith(f"vrk_{made['id']}_")
    )
    listed = cli("keys", "list", "--json", *data)
    assert [key["name"] for key in listed.json["keys"]] == ["shop", "Ops"]
    assert ran.out.strip()[17:] not in listed.out and "digest" not in listed.out
    ended = cli("keys", "revoke", made["id"], "--json", *data)
    assert ended.code == 0 and ended.json["state"] == "revoked" and ended.json["revoked_at"].endswith("Z")
    assert "is revoked since" in cli("keys", "revoke", made["id"], *data).out
    table = cli("keys", "list", *data).out.splitlines()
    assert [line.split()[3] for line in table] == ["state", "valid", "revoked"]


def test_rotate(cli, tmp_path):
    data = ["--data", tmp_path]
    old = cli("keys", "create", "--name", "shop", "--scope", "search,events", "--expires", "90d", *data)
    ran = cli("keys", "rotate", "shop", *data)
    assert ran.code == 0 and re.fullmatch(r"vrk_\w{77}\n", ran.out) and ran.out != old.out
    assert "not shown again" in ran.err and "is valid until" in ran.err and old.out.strip() not in ran.err
    assert cli("keys", "rotate", "shop", *data).code != 0  # two are valid now: which one is not said
    now = cli("keys", "rotate", ran.out[4:16], "--grace", "0", "--json", *data).json
    assert now["name"] == "shop" and now["scopes"] == ["search", "events"] and now["key"].startswith("vrk_")
    assert now["replaces"]["id"] == ran.out[4:16] and now["replaces"]["state"] == "expired"
    assert [key.state(datetime.now(UTC)) for key in list_keys(tmp_path)] == ["valid", "expired", "valid"]


def test_a_damaged_file_is_told_with_its_cure_and_exit_code_5(cli, tmp_path):
    (tmp_path / "keys.json").write_text("{}")
    for command in (["list"], ["create", "--name", "a", "--scope", "search"], ["revoke", "000000000000"]):
        ran = cli("keys", *command, "--data", tmp_path)
        assert ran.code == 5 and "keys.json" in ran.error and "backup" in ran.error
    assert json.loads((tmp_path / "keys.json").read_text()) == {}  # nothing was lost by trying
