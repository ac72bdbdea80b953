"""Rules as values: what may be said, in which words, which comes first, which acts when."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from vision_rec.errors import InputError, IntegrityError
from vision_rec.rules import RuleBook, Scope, View, rule_from_json, sentence, to_json
from vision_rec.rules.parse import MAX_NAME, MAX_PRODUCTS, rule_from_record

ID = "r-0123456789ab"
PIN = {"effect": "pin", "products": ["A"]}
HIDE = {"effect": "hide", "products": ["A"]}
BOOST = {"effect": "boost", "filters": {"brand": ["Acme"]}, "strength": 0.3}


def made(body, **changes):
    return replace(rule_from_json(body, rule_id=ID), **changes)


# ── what may be said ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (PIN | {"position": 3}, "Pin A to place 3 in all lists"),
        (HIDE | {"products": list("ABCDE")}, "Hide A, B, C and 2 more in all lists"),
        (
            BOOST | {"scope": {"kind": "category", "value": "Shoes"}},
            "Boost products of the brand Acme by 30 % when the category is Shoes",
        ),
        (
            {"effect": "filter", "filters": ["price<=50", "in_stock=true"], "starts_at": "2026-03-01",
             "scope": {"kind": "query", "value": "red shoes"}, "ends_at": "2026-04-01T08:30:00+02:00"},
            "Show only products priced up to 50 and in stock when the search is “red shoes”, "
            "from 2026-03-01, until 2026-04-01 06:30 UTC",
        ),
        (
            {"effect": "hide", "filters": {"brand": {"not": ["A"]}, "price": [2, 2.5], "rating": {"min": 4}}},
            "Hide products not of the brand A and priced from 2 up to 2.5 and with rating>=4.0 in all lists",
        ),
        (
            {"effect": "bury", "products": ["A"], "strength": 1, "scope": {"kind": "product", "value": "B"}},
            "Bury A by 100 % in the list of B",
        ),
    ],
)  # fmt: skip
def test_a_rule_reads_as_a_sentence(body, said):
    assert sentence(made(body)) == said


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ({}, "needs 'effect'"),
        ({"effect": "hid", "products": ["A"]}, "did you mean 'hide'"),
        (PIN | {"produts": []}, "did you mean 'products'"),
        (PIN | {"xyz": 1}, "known are"),
        ({"effect": "pin"}, "names 'products'"),
        (PIN | {"filters": {"brand": ["x"]}}, "takes no 'filters'"),
        (PIN | {"position": 0}, "from 1 to 200"),
        (PIN | {"position": 201}, "from 1 to 200"),
        (PIN | {"position": True}, "whole number"),
        (PIN | {"strength": 0.5}, "boost and bury"),
        (HIDE | {"position": 1}, "for pins"),
        ({"effect": "hide"}, "either 'products' or 'filters'"),
        (HIDE | {"filters": {"brand": ["x"]}}, "either 'products' or 'filters'"),
        ({"effect": "filter", "products": ["A"]}, "needs 'filters'"),
        ({"effect": "filter", "filters": {}}, "needs 'filters'"),
        ({"effect": "boost", "products": ["A"]}, "needs 'strength'"),
        (BOOST | {"strength": 0}, "above 0"),
        (BOOST | {"strength": 1.01}, "up to 1"),
        (BOOST | {"strength": float("nan")}, "above 0"),
        (BOOST | {"strength": "much"}, "above 0"),
        (BOOST | {"filters": {"brnd": ["x"]}}, "unknown filter field"),
        (BOOST | {"filters": "brand=x"}, "list of conditions"),
        (BOOST | {"filters": [1]}, "list of conditions"),
        (BOOST | {"filters": ["same_category=true"]}, "one product's list"),
        (HIDE | {"products": "A"}, "list of product ids"),
        (HIDE | {"products": [1]}, "allowed is a text"),
        (HIDE | {"products": [" "]}, "empty id"),
        (HIDE | {"products": [str(i) for i in range(MAX_PRODUCTS + 1)]}, "300"),
        (HIDE | {"name": "x" * (MAX_NAME + 1)}, "500"),
        (HIDE | {"name": "\ud800"}, "Unicode"),
        (HIDE | {"priority": 1001}, "1000"),
        (HIDE | {"priority": 1.5}, "whole number"),
        (HIDE | {"enabled": "yes"}, "true or false"),
        (HIDE | {"scope": "Shoes"}, '"kind"'),
        (HIDE | {"scope": {"kind": "brand", "value": "x"}}, "allowed are all, category, query, product"),
        (HIDE | {"scope": {"kind": "category"}}, "needs a 'value'"),
        (HIDE | {"scope": {"kind": "all", "value": "x"}}, "takes no 'value'"),
        (HIDE | {"scope": {"kinds": "all"}}, "did you mean 'kind'"),
        (HIDE | {"starts_at": "soon"}, "2026-03-01T08:00:00Z"),
        (HIDE | {"starts_at": 5}, "write a date"),
        (HIDE | {"starts_at": "0001-01-01T00:00:00+23:00"}, "write a date"),
        (HIDE | {"starts_at": "2026-03-02", "ends_at": "2026-03-02"}, "never apply"),
    ],
)
def test_what_is_wrong_is_named_with_a_way_out(body, word):
    with pytest.raises(InputError, match=word):
        rule_from_json(body, rule_id=ID)


def test_stored_rules_come_back_as_they_were():
    names = ["<script>alert(1)</script>", "تخفيضات 🎉", "x" * MAX_NAME, "é ＷＩＤＥ"]
    for name in names:
        rule = made(
            BOOST | {"name": name}, serial=4, author="me", changed_at=datetime(2026, 1, 2, tzinfo=UTC)
        )
        assert rule_from_record(json.loads(json.dumps(to_json(rule)))) == rule
    relative = {
        "effect": "hide",
        "filters": ["price_ratio=0.5..2"],
        "scope": {"kind": "product", "value": "A"},
    }
    rule = made(relative)
    assert rule_from_record(to_json(rule)) == rule and rule.condition is not None


@pytest.mark.parametrize("spoil", [{"id": "../x"}, {"serial": "x"}, {"effect": "?"}, {"changed_at": 3}])
def test_stored_rules_that_cannot_be_are_damage(spoil):
    with pytest.raises(IntegrityError):
        rule_from_record(to_json(made(HIDE)) | spoil)
    with pytest.raises(IntegrityError):
        rule_from_record({"id": ID})


# ── which comes first ─────────────────────────────────────────────────────────────────────────────


def test_precedence_is_effect_then_scope_then_priority_then_newest():
    category, product = Scope("category", "Shoes"), Scope("product", "A")
    wanted = [
        made(HIDE, scope=product),
        made(HIDE, priority=9),
        made(PIN, scope=product),
        made(PIN, scope=Scope("query", "x"), priority=-5),
        made(PIN, scope=category, priority=5),
        made(PIN, priority=7),
        made(PIN, serial=8),
        made(PIN, serial=7, id="r-000000000000"),
        made({"effect": "filter", "filters": {"brand": ["x"]}}),
        made(BOOST | {"effect": "bury"}, scope=product),
        made(BOOST, scope=category),
        made(BOOST | {"effect": "bury"}, priority=1),
    ]
    assert list(RuleBook(list(reversed(wanted))).rules) == wanted


# ── which acts when ───────────────────────────────────────────────────────────────────────────────


def test_a_view_finds_the_rules_of_its_scopes():
    scopes = [Scope(), Scope("category", "Red  SHOES"), Scope("query", " Blue Hat "), Scope("product", "A")]
    book = RuleBook([made(HIDE, scope=scope, id=f"r-{i:012x}") for i, scope in enumerate(scopes)])

    def found(*arguments):
        return {rule.scope.kind for rule in book.matching(View(*arguments))}

    assert found() == {"all"}
    assert found("A") == {"all", "product"} and found("a") == {"all"}  # ids stay as they are
    assert found(None, ("red shoes", "x")) == {"all", "category"}
    assert found(None, (), "blue   HAT") == {"all", "query"} and found(None, (), "blue hats") == {"all"}
    assert RuleBook().matching(View("A")) == () and not RuleBook()


def test_states_and_phases_follow_the_clock():
    start = datetime(2026, 3, 1, tzinfo=UTC)
    rule = made(HIDE | {"starts_at": "2026-03-01", "ends_at": "2026-03-03"})
    now = [start]
    book = RuleBook([rule], clock=lambda: now[0])
    seen = []
    for hours in (-1, 0, 47, 48, 100, 1, -1):  # clocks are set back, too
        now[0] = start + timedelta(hours=hours)
        seen.append((rule.state(now[0]), book.phase(), len(book.matching(View()))))
    assert seen == [
        ("scheduled", 0, 0), ("active", 1, 1), ("active", 1, 1), ("ended", 2, 0), ("ended", 2, 0),
        ("active", 1, 1), ("scheduled", 0, 0),
    ]  # fmt: skip
    assert replace(rule, enabled=False).state(start) == "off"


def test_saying_the_same_is_not_being_the_same():
    rule = made(HIDE, serial=3, author="a")
    assert rule.says_the_same(replace(rule, serial=9, author="b"))
    assert not rule.says_the_same(replace(rule, priority=1)) and not rule.says_the_same(None)
