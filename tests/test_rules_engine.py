"""The rules in answers: against a slow and obvious reference, and on a catalogue where an index searches."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np
import pytest
from fake_shop import LAYOUT, FakeEncoders, drawn_products, publish, settings_for
from hypothesis import given, settings
from hypothesis import strategies as st
from rule_reference import expected, passes

from vision_rec import Recommender
from vision_rec.filters import Filters
from vision_rec.fusion import unit_blocks
from vision_rec.rerank import first_of, free_places, place_pins
from vision_rec.rules import RuleBook, rule_from_json
from vision_rec.types import Product, Query

PRODUCTS, ROWS = drawn_products()
BY_ID = {product.id: product for product in PRODUCTS}
IDS = list(BY_ID)
ORDER = {ident: row for row, ident in enumerate(IDS)}
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
BASE = "red-mug-plain-M"


@pytest.fixture(scope="module")
def rec(tmp_path_factory):
    root = tmp_path_factory.mktemp("ruled")
    publish(root / "indexes", PRODUCTS, ROWS)
    chosen = settings_for(root / "indexes").model_copy()
    paths = chosen.paths.model_copy(update={"data": root / "var"})
    return Recommender.open(
        root / "indexes", settings=chosen.model_copy(update={"paths": paths}), encoders=FakeEncoders()
    )


def made(number, **body):
    return replace(rule_from_json(body, rule_id=f"r-{number:012x}"), serial=body.pop("serial", number))


def rules_of(*bodies):
    return [made(number, **body) for number, body in enumerate(bodies, 1)]


def book(rules, now=NOW):
    return RuleBook(rules, number=1, clock=lambda: now)


def ask(rec, query, *bodies, now=NOW):
    return rec.answer_under(query, book(rules_of(*bodies), now))


def ids(answer):
    return [item.product.id for item in answer]


# ── pure functions ────────────────────────────────────────────────────────────────────────────────


@given(st.lists(st.integers(1, 9), max_size=12))
@settings(deadline=None, derandomize=True)
def test_each_pin_takes_the_first_free_place(wanted):
    taken, want = set(), []
    for place in wanted:
        while place in taken:
            place += 1
        taken.add(place)
        want.append(place)
    assert free_places(wanted).tolist() == want


@given(st.sets(st.integers(1, 30), max_size=8), st.integers(0, 12), st.integers(0, 25))
@settings(deadline=None, derandomize=True)
def test_a_shorter_list_begins_a_longer_one(places, others, count):
    chosen = np.array(sorted(places, reverse=True), dtype=np.int64)
    whole = place_pins(chosen, others, 100)
    assert sorted(whole.tolist()) == list(range(len(chosen) + others))
    assert place_pins(chosen, others, count).tolist() == whole[:count].tolist()
    for at, entry in enumerate(whole, 1):
        if entry < len(chosen) and at < chosen[entry]:
            rest = whole[at - 1 :]
            assert (rest < len(chosen)).all()  # pulled up only where nothing else is left


def test_the_first_mask_wins():
    masks = [np.array([1, 0, 0, 1], bool), np.array([1, 1, 0, 0], bool)]
    assert first_of(masks, 4).tolist() == [0, 1, -1, 0] and first_of([], 2).tolist() == [-1, -1]


# ── the reference ─────────────────────────────────────────────────────────────────────────────────

conditions = st.sampled_from(
    [{"brand": ["Acme"]}, {"brand": {"not": ["acme"]}}, {"category": ["Shoes"]}, {"in_stock": True}]
    + [["price<=20"], ["price>=40", "in_stock=true"], {"category": ["mug", "LAMP"]}]
)
scopes = st.one_of(
    st.just({}),
    st.sampled_from(["Home", "mug", "SHOES", "Nothing"]).map(lambda v: {"kind": "category", "value": v}),
    st.sampled_from([BASE, "blue-shoe-plain-S", "gone"]).map(lambda v: {"kind": "product", "value": v}),
    st.sampled_from(["red  Mug", "lamp"]).map(lambda v: {"kind": "query", "value": v}),
)
some_ids = st.lists(st.sampled_from([*IDS[:24], "blue-shoe-plain-M", "missing"]), min_size=1, max_size=5)
times = st.sampled_from([None, NOW - timedelta(days=2), NOW, NOW + timedelta(seconds=1)])


@st.composite
def bodies(draw):
    effect = draw(st.sampled_from(["pin", "pin", "hide", "filter", "boost", "bury"]))
    body = {"effect": effect, "scope": draw(scopes), "priority": draw(st.integers(-1, 1))}
    body["enabled"] = draw(st.integers(0, 5)) > 0
    if effect == "pin":
        body |= {"products": draw(some_ids), "position": draw(st.sampled_from([1, 2, 3, 7, 60, 200]))}
    elif effect == "filter" or draw(st.booleans()):
        body["filters"] = draw(conditions)
    else:
        body["products"] = draw(some_ids)
    if effect in ("boost", "bury"):
        body["strength"] = draw(st.sampled_from([0.05, 0.2, 0.5, 1.0]))
    start, end = draw(times), draw(times)
    body |= {"starts_at": start.isoformat() if start else None}
    if end is not None and (start is None or start < end):
        body["ends_at"] = end.isoformat()
    return body


queries = st.builds(
    Query,
    product_id=st.sampled_from([BASE, "blue-shoe-plain-S"]),
    filters=st.sampled_from(
        [None, None, ["in_stock=true"], ["category=Shoes"], ["brand=Acme", "price<=20"]]
    ).map(lambda given: given and Filters.parse(given)),
    exclude=st.sampled_from([(), (IDS[1], IDS[9])]),
    max_per_group=st.sampled_from([1, 1, 0, 2]),
    min_score=st.sampled_from([None, None, 0.3]),
    rating_boost=st.just(0.0),
)


@given(st.lists(bodies(), max_size=7), queries, st.sampled_from([7, 13, 40]))
@settings(deadline=None, derandomize=True, max_examples=40)
def test_answers_are_those_of_the_reference(rec, given_bodies, query, page):
    rules = rules_of(*given_bodies)
    everyone = rec.answer_under(replace(query, k=200, max_per_group=0, exclude_own_group=False), RuleBook())
    own = BY_ID[query.product_id].group_id
    kept = [
        (BY_ID[item.product.id], item.score, item.boost)
        for item in everyone
        if not (query.max_per_group and item.product.group_id == own)
    ]
    want, lifts, pinned = expected(kept, rules, query, BY_ID[query.product_id], NOW, ORDER)
    whole = rec.answer_under(replace(query, k=200), book(rules))
    assert ids(whole) == want
    scores = {product.id: score for product, score, _ in kept}
    for item in whole:
        assert item.score == scores[item.product.id]  # rules never change it
        assert sum(item.parts.values()) == pytest.approx(item.score, abs=1e-5)
        assert item.boost == pytest.approx(lifts.get(item.product.id, 0.0), abs=1e-6)
        assert item.pinned == (item.product.id in pinned)
    pages = [
        ident
        for start in range(0, len(want) + page, page)
        for ident in ids(rec.answer_under(replace(query, k=page, offset=start), book(rules)))
    ]
    assert pages == want and len(set(pages)) == len(pages)
    if not want and kept:
        assert "rules leave out all" in whole.empty_reason


# ── each promise by itself ────────────────────────────────────────────────────────────────────────


def test_without_rules_every_rank_is_that_of_the_list(rec):
    answer = rec.similar(BASE, k=5, offset=3)
    assert [item.rank_without_rules for item in answer] == [4, 5, 6, 7, 8]
    assert answer.rules == () and all(not item.rules and not item.pinned for item in answer)


def test_a_pin_stands_where_it_should_and_says_so(rec):
    query = Query(BASE, k=10)
    before = ids(rec.answer(query))
    last = rec.ranking(query)[-1]
    answer = ask(rec, query, {"effect": "pin", "products": [last], "position": 3, "name": "Summer"})
    assert ids(answer) == [*before[:2], last, *before[2:9]]
    item = answer[2]
    assert item.pinned and item.rules == ("r-000000000001",)
    assert item.to_dict()["effects"] == [
        {"id": "r-000000000001", "name": "Summer", "effect": "pin", "amount": 3.0}
    ]
    assert item.rank_without_rules == len(rec.ranking(query)) and item.boost == 0.0
    assert item.reasons[-1] == "pinned to place 3 by Summer"
    assert [i.rank_without_rules for i in answer] == [1, 2, item.rank_without_rules, *range(3, 10)]
    assert [effect.effect for effect in answer.rules] == ["pin"]


def test_lists_stay_full_after_hides_and_filters(rec):
    query = Query(BASE, k=20)
    answer = ask(
        rec, query, {"effect": "hide", "products": ids(rec.answer(query))[:15]},
        {"effect": "filter", "filters": {"in_stock": True}},
    )  # fmt: skip
    assert len(answer) == 20
    assert not set(ids(rec.answer(query))[:15]) & set(ids(answer))
    assert {item.product.availability for item in answer} == {"in_stock"}
    assert [(e.effect, e.amount) for e in answer.rules] == [("hide", 15.0), ("filter", 40.0)]


def test_hide_beats_pin_beats_filter(rec):
    out_of_stock = "black-bag-plain-S"
    pin = {"effect": "pin", "products": [out_of_stock]}
    only = {"effect": "filter", "filters": {"in_stock": True}}
    assert ids(ask(rec, Query(BASE), pin, only))[0] == out_of_stock
    assert out_of_stock not in ids(ask(rec, Query(BASE, k=200), pin, only, {**pin, "effect": "hide"}))


def test_what_a_request_asks_for_always_holds(rec):
    pin = {"effect": "pin", "products": ["black-bag-plain-S"]}
    for asked in (
        Query(BASE, filters=Filters.parse(["in_stock=true"]), k=200),
        Query(BASE, exclude=("black-bag-plain-S",), k=200),
        Query(BASE, min_score=0.5, k=200),
        Query("black-bag-plain-S", k=200),
        Query("black-bag-plain-M", k=200),  # a variant of the query product
    ):
        assert "black-bag-plain-S" not in ids(ask(rec, asked, pin))
    two = {"effect": "pin", "products": ["black-bag-plain-S", "black-bag-plain-M", "blue-bag-plain-M"]}
    assert ids(ask(rec, Query(BASE), two))[:2] == ["black-bag-plain-S", "blue-bag-plain-M"]
    assert ids(ask(rec, Query(BASE, max_per_group=0), two))[:3] == two["products"]


def test_pins_of_missing_products_close_the_gap(rec):
    block = {
        "effect": "pin",
        "products": ["missing", "blue-bag-plain-M", "gone", "blue-shoe-plain-M"],
        "position": 2,
    }
    assert ids(ask(rec, Query(BASE), block))[1:3] == ["blue-bag-plain-M", "blue-shoe-plain-M"]
    far = {"effect": "pin", "products": ["blue-bag-plain-M"], "position": 200}
    assert ids(ask(rec, Query(BASE, k=200), far))[-1] == "blue-bag-plain-M"


def test_scopes_reach_their_lists_only(rec):
    def lists(scope):
        pin = {"effect": "pin", "products": ["green-chair-striped-M"], "scope": scope}
        asked = {
            "product": Query(BASE),
            "other": Query("blue-shoe-plain-M"),
            "text": Query(text="  Red MUG "),
            "page": Query(text="blue", filters=Filters.parse(["category=mug|chair"])),
            "one": Query(text="blue", filters=Filters.parse(["category=CHAIR"])),
            "recent": Query(recent=(BASE,)),
        }
        return {name for name, query in asked.items() if ask(rec, query, pin)[0].pinned}

    assert lists({}) == {"product", "other", "text", "page", "one", "recent"}
    assert lists({"kind": "product", "value": BASE}) == {"product"}
    assert lists({"kind": "query", "value": "red mug"}) == {"text"}
    assert lists({"kind": "category", "value": "mug"}) == {"product"}
    assert lists({"kind": "category", "value": "chair"}) == {"one"}


def test_of_two_boosts_the_narrower_more_urgent_newer_one_counts(rec):
    def lift(*rules):
        answer = ask(rec, Query(BASE, k=200), *rules)
        return {round(item.boost, 3) for item in answer if item.product.brand == "Bolt"}

    boost = {"effect": "boost", "filters": {"brand": ["Bolt"]}, "strength": 0.25}
    bury = {**boost, "effect": "bury", "strength": 0.5}
    narrow = {"kind": "category", "value": "mug"}
    assert lift(boost) == {0.25} and lift(bury) == {-0.5}
    assert lift(boost, bury) == {-0.5} and lift(bury, boost) == {0.25}  # the newest
    assert lift({**bury, "priority": 1}, boost) == {-0.5}
    assert lift({**bury, "scope": narrow}, {**boost, "priority": 9}) == {-0.5}


def test_rules_keep_to_their_dates(rec):
    rule = {
        "effect": "hide",
        "filters": {"brand": ["Acme"]},
        "starts_at": "2026-03-01",
        "ends_at": "2026-03-02T00:00:00+01:00",
    }
    seen = []
    for hours in (-1, 0, 22, 23, 48):
        now = datetime(2026, 3, 1, tzinfo=UTC) + timedelta(hours=hours)
        brands = {item.product.brand for item in ask(rec, Query(BASE, k=200), rule, now=now)}
        seen.append("Acme" in brands)
    assert seen == [True, False, False, True, True]


def test_one_book_follows_its_clock(rec):
    now = [NOW]
    rules = rules_of(
        {"effect": "hide", "products": [IDS[8]], "starts_at": (NOW + timedelta(hours=1)).isoformat()}
    )
    ours = RuleBook(rules, clock=lambda: now[0])
    phases = []
    for hours in (0, 1, -5, 3):
        now[0] = NOW + timedelta(hours=hours)
        phases.append((ours.phase(), IDS[8] in ids(rec.answer_under(Query(BASE, k=200), ours))))
    assert phases == [(0, True), (1, False), (0, True), (1, False)]


def test_a_rule_this_catalogue_cannot_tell_does_nothing(rec):
    odd = {"effect": "filter", "filters": {"attributes.unheard": ["x"]}}
    assert ids(ask(rec, Query(BASE), odd)) == ids(rec.answer(Query(BASE)))


def test_relative_conditions_of_one_products_list(rec):
    rule = {
        "effect": "filter", "filters": ["price_ratio=0.9..1.1"], "scope": {"kind": "product", "value": BASE}
    }  # fmt: skip
    prices = {item.product.price for item in ask(rec, Query(BASE, k=200), rule)}
    assert prices == {BY_ID[BASE].price}
    assert len(ask(rec, Query("blue-shoe-plain-M", k=200), rule)) == 39


def test_facets_count_what_the_list_can_show(rec):
    rules = [
        {"effect": "filter", "filters": {"brand": ["Acme"]}},
        {"effect": "hide", "filters": {"category": ["lamp"]}},
        {"effect": "pin", "products": ["blue-shoe-plain-M"]},
    ]
    answer = ask(rec, Query(BASE, facets=("brand",), max_per_group=0, exclude_own_group=False), *rules)
    assert answer.facets == {"brand": {"Acme": 15, "Bolt": 1}}


def test_diversity_orders_what_is_not_pinned(rec):
    query = Query(BASE, diversity=0.7, k=12)
    pin = {"effect": "pin", "products": ["blue-shoe-plain-M"], "position": 4}
    free = [ident for ident in ids(ask(rec, query, pin)) if ident != "blue-shoe-plain-M"]
    alone = ask(rec, replace(query, exclude=("blue-shoe-plain-M",), k=11))
    assert [BY_ID[i].group_id for i in free] == [BY_ID[i].group_id for i in ids(alone)]
    assert ids(ask(rec, query, pin))[3] == "blue-shoe-plain-M"


def test_words_and_rules_lift_together(rec):
    boost = {"effect": "boost", "filters": {"brand": ["Bolt"]}, "strength": 0.4}
    for item in ask(rec, Query(text="blue shoe", k=30), boost):
        assert item.boost == pytest.approx(0.3 * item.lexical + (0.4 if item.product.brand == "Bolt" else 0))


# ── where an index searches ───────────────────────────────────────────────────────────────────────

COUNT = 1500


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    rng = np.random.default_rng(5)
    rows = np.stack([unit_blocks(LAYOUT, row) for row in rng.normal(size=(COUNT, LAYOUT.dim))])
    shop = [
        Product(f"p{i}", f"thing {i}", brand=f"b{i % 7}", price=Decimal(i % 50 + 1), group_id=f"g{i // 3}")
        for i in range(COUNT)
    ]
    root = tmp_path_factory.mktemp("large")
    publish(root, shop, rows)
    return Recommender.open(root, encoders=FakeEncoders(), rules=False)


@pytest.mark.parametrize(
    "given_rules",
    [
        [{"effect": "boost", "filters": {"brand": ["b1", "b2"]}, "strength": 0.05}],
        [{"effect": "bury", "filters": {"brand": ["b1", "b2", "b3"]}, "strength": 0.3}],
        [{"effect": "boost", "filters": {"brand": [f"b{i}"]}, "strength": 0.1 * (i + 1)} for i in range(6)],
        [
            {"effect": "boost", "products": ["p700", "p701"], "strength": 1.0},
            {"effect": "hide", "filters": ["price<=10"]},
            {"effect": "pin", "products": ["p800", "p9", "p41"], "position": 9},
            {"effect": "filter", "filters": {"brand": {"not": ["b0"]}}},
        ],
    ],
    ids=["boost", "bury", "many", "mixed"],
)
def test_a_large_catalogue_answers_as_the_reference(large, given_rules):
    query = Query("p5", k=60)
    state = large.state
    shop = {product.id: product for product in large.products(limit=COUNT)}
    ranking = large.ranking(replace(query, max_per_group=0, exclude_own_group=False))
    scores = (state.rows @ large._answerer._target(state, query).scaled).astype(np.float32)
    base = [(shop[i], scores[state.catalog.row_of(i)], 0.0) for i in ranking if shop[i].group_id != "g1"]
    order = {ident: row for row, ident in enumerate(state.catalog.ids)}
    want, _, _ = expected(base, rules_of(*given_rules), query, shop["p5"], NOW, order)
    got = [item.product.id for item in large.answer_under(query, book(rules_of(*given_rules)))]
    assert got == want[:60]


def test_the_reference_reads_filters_as_the_catalogue_does(rec):
    for text in ("brand=acme|Bolt", "category!=Shoes", "price=20..40", "in_stock=false"):
        filters = Filters.parse([text])
        mask = rec.state.catalog.mask(filters)
        assert [passes(product, filters) for product in PRODUCTS] == mask.tolist()
