"""Rules on disk: draft, publish, history, undo, the log, and what damage does."""

from __future__ import annotations

import json
import stat
from datetime import UTC, datetime

import pytest

from vision_rec.errors import ChangedError, InputError, NotFoundError
from vision_rec.merchandise import RuleDesk
from vision_rec.rules import RuleStore, same_rules
from vision_rec.settings import Settings

NOW = datetime(2026, 3, 1, 8, tzinfo=UTC)
HIDE = {"effect": "hide", "products": ["A"]}
PIN = {"effect": "pin", "products": ["B"], "position": 2}


@pytest.fixture
def store(tmp_path):
    return RuleStore(tmp_path / "var" / "rules", clock=lambda: NOW)


@pytest.fixture
def desk(tmp_path):
    return RuleDesk(Settings(paths={"data": tmp_path / "var"}), clock=lambda: NOW)


def says(rules):
    return sorted("".join(rule.products) for rule in rules)


def test_nothing_is_there_before_the_first_rule(store):
    assert store.book().rules == () and store.book().number == 0 and store.stamp() is None
    assert store.draft().rules == () and store.problems() == () and store.numbers() == ()
    assert store.log.entries(10) == () and not store.folder.exists()


def test_a_draft_changes_nothing_until_it_is_published(store):
    rule = store.create(HIDE | {"name": "No A"}, "kim")
    assert (rule.serial, rule.author, rule.changed_at) == (1, "kim", NOW)
    assert store.book().rules == () and store.draft().rules == (rule,)
    before = store.stamp()
    version = store.publish("lee", note="spring")
    assert (version.number, version.author, version.note, version.rules) == (1, "lee", "spring", (rule,))
    assert store.stamp() != before and store.book().rules == (rule,) and store.book().number == 1
    assert store.publish("lee") is None  # nothing to publish
    again = RuleStore(store.folder)
    assert again.book().rules == (rule,) and again.draft().rules == (rule,)


def test_the_log_says_who_what_and_when(store):
    rule = store.create(HIDE, "kim")
    store.change(rule.id, PIN, "lee")
    store.publish("lee", note="n")
    store.remove(rule.id, "kim")
    store.discard("kim")
    store.restore(1, "kim")
    entries = list(reversed(store.log.entries(10)))
    assert [(e.seq, e.who, e.what) for e in entries] == [
        (1, "kim", "created"), (2, "lee", "changed"), (3, "lee", "published"), (4, "kim", "removed"),
        (5, "kim", "discarded"), (6, "kim", "restored"),
    ]  # fmt: skip
    assert (entries[1].before, entries[1].after) == ("Hide A in all lists", "Pin B to place 2 in all lists")
    assert entries[0].at == "2026-03-01T08:00:00Z" and entries[5].version == 2
    assert [e.seq for e in store.log.entries(2)] == [6, 5]
    assert [e.seq for e in store.log.entries(2, before=5)] == [4, 3]


def test_versions_never_change_and_can_be_taken_back(store, desk):
    first = store.create(HIDE, "kim")
    store.publish("kim")
    kept = (store.folder / "versions" / "000001.json").read_bytes()
    store.create(PIN, "kim")
    store.publish("kim")
    store.change(first.id, HIDE | {"products": ["C"]}, "kim")
    store.publish("kim")
    assert says(store.book().rules) == ["B", "C"]
    for want, number in ((["A", "B"], 4), (["A"], 5), ([], 6)):
        assert desk.undo("kim").number == number
        assert says(store.book().rules) == want == says(store.draft().rules)
    with pytest.raises(InputError, match="nothing left to undo"):
        desk.undo("kim")
    assert store.restore(3, "kim").restored_from == 3 and says(store.book().rules) == ["B", "C"]
    assert (store.folder / "versions" / "000001.json").read_bytes() == kept
    assert store.numbers() == (1, 2, 3, 4, 5, 6, 7) and store.problems() == ()
    with pytest.raises(NotFoundError, match="no version 9"):
        store.restore(9, "kim")


def test_undo_keeps_edits_that_are_not_published(store, desk):
    first = store.create(HIDE, "kim")
    store.publish("kim")
    store.create(PIN, "kim")
    store.publish("kim")
    store.change(first.id, HIDE | {"products": ["edited"]}, "kim")
    new = store.create(HIDE | {"products": ["new"]}, "kim")
    desk.undo("kim")
    assert says(store.book().rules) == ["A"]
    assert says(store.draft().rules) == ["edited", "new"]  # B is gone with its version
    assert [(c.kind, c.rule.id) for c in desk.diff()] == [("added", new.id), ("changed", first.id)]


def test_nothing_to_undo_before_the_first_publish(desk):
    with pytest.raises(InputError, match="nothing is published"):
        desk.undo("kim")


def test_two_merchandisers_do_not_overwrite_each_other(store):
    rule = store.create(HIDE, "kim")
    store.change(rule.id, PIN, "lee", serial=rule.serial)
    with pytest.raises(ChangedError, match="changed by lee") as caught:
        store.change(rule.id, HIDE, "kim", serial=rule.serial)
    assert caught.value.current["products"] == ["B"] and caught.value.current["author"] == "lee"
    with pytest.raises(ChangedError):
        store.remove(rule.id, "kim", serial=rule.serial)
    with pytest.raises(ChangedError, match="draft was changed"):
        store.publish("kim", serial=1)
    with pytest.raises(ChangedError, match="then discard it"):
        store.discard("kim", serial=1)
    assert store.publish("kim", serial=2).number == 1
    with pytest.raises(NotFoundError):
        store.change("r-000000000000", HIDE, "kim")


def test_undo_takes_back_only_what_was_looked_at(store, desk):
    store.create(HIDE, "kim")
    store.publish("kim")
    store.create(PIN, "lee")
    store.publish("lee")
    with pytest.raises(ChangedError, match="version 2 applies by now, not version 1"):
        desk.undo("kim", expected=1)
    assert says(store.book().rules) == ["A", "B"]
    assert desk.undo("kim", expected=2).number == 3


def test_a_wrong_rule_leaves_no_trace(store):
    with pytest.raises(InputError):
        store.create({"effect": "pin"}, "kim")
    with pytest.raises(InputError, match="500"):
        store.publish("kim", note="x" * 501)
    assert store.draft().rules == () and store.log.entries(9) == ()


def test_files_are_for_their_owner_only(store):
    store.create(HIDE, "kim")
    store.publish("kim")
    for path in (store.folder, *store.folder.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


# ── damage ────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def two(store):
    store.create(HIDE, "kim")
    store.publish("kim")
    store.create(PIN, "kim")
    store.publish("kim")
    return store


@pytest.mark.parametrize("spoil", ["cut", "flip", "empty", "gone"])
def test_a_damaged_version_gives_way_to_the_last_good_one(two, spoil):
    path = two.folder / "versions" / "000002.json"
    data = path.read_bytes()
    if spoil == "gone":
        path.unlink()
    else:
        path.write_bytes({"cut": data[:-40], "flip": data.replace(b'"B"', b'"Q"'), "empty": b""}[spoil])
    book = two.book()
    assert (book.number, says(book.rules)) == (1, ["A"])
    assert "version 1 applies instead" in book.problems[0] and book.problems[0].startswith("rules:")
    assert any("000002" in problem or "version 2" in problem for problem in two.problems())
    assert says(two.draft().rules) == ["A", "B"]  # the draft has a file of its own
    healed = two.publish("kim")
    assert healed is not None and healed.number == 3 and two.book().problems == ()


@pytest.mark.parametrize("text", [b"", b"x", b"-1", b"99\n", b"1.5", "２".encode()])
def test_a_damaged_current_gives_way_to_the_newest_good_version(two, text):
    (two.folder / "CURRENT").write_bytes(text)
    book = two.book()
    assert (book.number, says(book.rules)) == (2, ["A", "B"]) and len(book.problems) == 1
    assert two.publish("kim").number == 3 and two.book().problems == ()


def test_a_lost_current_is_noticed(two):
    (two.folder / "CURRENT").unlink()
    assert two.book().number == 2 and "missing" in two.book().problems[0]


def test_without_any_good_version_no_rule_applies(two):
    for path in (two.folder / "versions").iterdir():
        path.write_text("{}")
    assert two.book().rules == () and "no rule applies" in two.book().problems[0]


def test_a_damaged_draft_is_put_aside(two):
    two.create(HIDE | {"products": ["lost"]}, "kim")
    (two.folder / "draft.json").write_text('{"format": 1}')
    assert says(two.draft().rules) == ["A", "B"] and "draft is lost" in two.draft().problem
    assert any("draft" in problem for problem in two.problems())
    rule = two.create(HIDE | {"products": ["C"]}, "kim")
    assert rule.serial == 6 and says(two.draft().rules) == ["A", "B", "C"]
    assert two.problems() == () and (two.folder / "draft.damaged.json").exists()


def test_gaps_and_garbage_in_the_log_are_named(two):
    path = two.folder / "audit.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([lines[0], "garbage\n", *lines[3:]]))
    problems = two.problems()
    assert "line 2 cannot be read" in problems[0] and "expected 3" in problems[1]
    assert two.create(HIDE, "kim").serial == 5


def test_files_of_a_later_format_are_not_guessed_at(two):
    path = two.folder / "versions" / "000002.json"
    document = json.loads(path.read_text())
    path.write_text(json.dumps(document | {"format": 2}))
    assert two.book().number == 1 and "format 2" in two.book().problems[0]


def test_same_rules_have_no_order(two):
    rules = two.book().rules
    assert same_rules(rules, rules[::-1]) and not same_rules(rules, rules[:1]) and same_rules((), ())
