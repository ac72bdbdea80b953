"""Filters: the two forms say the same, and every wrong one is told."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vision_rec.errors import InputError
from vision_rec.filters import MAX_CLAUSES, Clause, Filters


@pytest.mark.parametrize(
    ("expression", "fields"),
    [
        ("category=Shoes|Bags", {"category": ["Shoes", "Bags"]}),
        ("brand!=Acme", {"brand": {"not": ["Acme"]}}),
        ("price<=50", {"price": {"max": 50}}),
        ("price>=10", {"price": {"min": 10}}),
        ("price=10..50", {"price": {"min": 10, "max": 50}}),
        ("price=10..50", {"price": [10, 50]}),
        ("price=7", {"price": 7}),
        ("price=..50", {"price": {"max": 50}}),
        ("price_ratio=0.5..1.5", {"price_ratio": [0.5, 1.5]}),
        ("rating>=4", {"rating": {"min": "4"}}),
        ("in_stock=true", {"in_stock": True}),
        ("in_stock!=true", {"in_stock": False}),
        ("same_category=yes", {"same_category": True}),
        ("attributes.material=wool", {"attributes.material": "wool"}),
        ("attributes.age group = adult ", {"attributes.age group": ["adult"]}),
        (" id = 00123 ", {"id": ["00123"]}),
        ("brand=A=B", {"brand": ["A=B"]}),
        ("brand=a<b", {"brand": ["a<b"]}),
    ],
)
def test_both_forms_say_the_same(expression, fields):
    assert Filters.parse([expression]) == Filters.from_dict(fields)


def test_strict_bounds_are_exclusive():
    (less,) = Filters.parse(["price<50"]).clauses
    assert (less.minimum, less.maximum, less.exclusive) == (-math.inf, 50.0, True)
    (more,) = Filters.parse(["rating>4"]).clauses
    assert (more.minimum, more.maximum, more.exclusive) == (4.0, math.inf, True)


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("", "cannot read filter ''"),
        ("price", "cannot read filter"),
        ("=5", "cannot read filter"),
        ("colour=red", "unknown filter field 'colour'; allowed are price"),
        ("attributes.=x", "unknown filter field"),
        ("price=cheap", "needs a finite number; got 'cheap'"),
        ("price<=nan", "finite number"),
        ("price<=inf", "finite number"),
        ("price=50..10", "min 50 above max 10; swap them"),
        ("price!=5", "is a number: use"),
        ("brand<=A", "is a text: use = or !="),
        ("in_stock=perhaps", "needs true or false; got 'perhaps'"),
        ("in_stock<=true", "is true or false"),
        ("category=", "at least one value and no empty ones"),
        ("category=a||b", "no empty ones"),
    ],
)
def test_wrong_expressions(expression, message):
    with pytest.raises(InputError, match=message.replace("|", r"\|")):
        Filters.parse([expression])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"colour": "red"}, "unknown filter field"),
        ({"price": {}}, "takes"),
        ({"price": {"min": 1, "mx": 2}}, "takes"),
        ({"price": {"min": True}}, "finite number; got True"),
        ({"price": [1, 2, 3]}, "finite number"),
        ({"price": math.nan}, "finite number"),
        ({"price": None}, "finite number"),
        ({"brand": {"is": ["A"]}}, "takes a list or"),
        ({"brand": {"not": []}}, "at least one value"),
        ({"brand": []}, "at least one value"),
        ({"brand": [None]}, "takes texts"),
        ({"brand": [True]}, "takes texts"),
        ({"brand": [["A"]]}, "takes texts"),
        ({"in_stock": 2}, "true or false; got 2"),
        ({"in_stock": None}, "true or false"),
    ],
)
def test_wrong_fields(fields, message):
    with pytest.raises(InputError, match=message):
        Filters.from_dict(fields)


def test_no_more_clauses_than_allowed():
    assert len(Filters.parse(["price<=5"] * MAX_CLAUSES).clauses) == MAX_CLAUSES
    with pytest.raises(InputError, match="51 filters given; allowed are at most 50"):
        Filters.parse(["price<=5"] * (MAX_CLAUSES + 1))


@given(st.text(max_size=30))
def test_any_text_is_read_or_refused(text):
    try:
        Filters.parse([text])
    except InputError as error:
        assert str(error)


words = st.text(st.characters(exclude_characters="|", exclude_categories=["C", "Z"]), min_size=1, max_size=8)
numbers = st.floats(-1e6, 1e6, allow_nan=False)
clauses = st.one_of(
    st.builds(
        Clause,
        field=st.sampled_from(["brand", "category", "attributes.size"]),
        values=st.lists(words, min_size=1, max_size=3).map(tuple),
        negate=st.booleans(),
    ),
    st.builds(Clause, field=st.just("price"), maximum=numbers, exclusive=st.booleans()),
    st.builds(Clause, field=st.just("rating"), minimum=numbers, exclusive=st.booleans()),
    st.tuples(numbers, numbers).map(lambda ab: Clause("price", minimum=min(ab), maximum=max(ab))),
    st.builds(Clause, field=st.sampled_from(["in_stock", "same_category"]), flag=st.booleans()),
)


@given(clauses)
def test_a_clause_writes_itself_as_it_is_read(clause):
    assert Filters.parse([clause.expression]).clauses == (clause,)


def test_clauses_can_be_keys():
    assert len({Clause("brand", ("a",)), Clause("brand", ("a",)), Clause("brand", ("b",))}) == 2
