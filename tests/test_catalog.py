"""The catalogue: rows come back, every clause of filters marks the right rows, counts are counts."""

from __future__ import annotations

import math
import time
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import numpy as np
import pytest

from vision_rec.catalog import MAX_FACET_VALUES, CatalogTable, CatalogWriter
from vision_rec.errors import InputError, IntegrityError, NotFoundError
from vision_rec.filters import Filters
from vision_rec.records import product_to_record
from vision_rec.types import Product

SHIRT = Product(
    "001",
    "Blue shirt",
    description="long",
    brand="Acme",
    category=("Apparel", "Topwear", "Shirts"),
    price=Decimal("50.00"),
    sale_price=Decimal("40.00"),
    currency="EUR",
    group_id="g1",
    attributes={"material": ("Wool", "Silk"), "color": ("Blue",)},
)
POLO = Product(
    "002",
    "Polo",
    brand="ACME",
    category=("Apparel", "Topwear", "shirts"),
    price=Decimal("60"),
    availability="out_of_stock",
    group_id="g1",
    attributes={"Material": ("wool",)},
)
SHOE = Product(
    "1e5", "Shoe", brand="Bée", category=("Footwear",), price=Decimal("3.30"), availability="preorder"
)
BARE = Product("bare", "No price")
GONE = Product("gone", "Gone", brand="Acme", category=("Footwear",), price=Decimal(5))
ALL = (SHIRT, POLO, SHOE, BARE, GONE)


def table_of(folder, records, **options):
    path = folder / "catalog.parquet"
    CatalogTable.write(path, records, **options)
    return CatalogTable.load(path)


@pytest.fixture
def table(tmp_path):
    records = [product_to_record(product) for product in ALL]
    records[0] |= {"rating": 4.5, "rating_count": 12, "flags": ["no_image"], "text_hash": "abc"}
    records[2] |= {"rating": 3.0, "rating_count": 1}
    records[4] |= {"retired_at": "2026-01-01T00:00:00+00:00"}
    return table_of(tmp_path, records)


def passing(table, *expressions, like=None):
    mask = table.mask(Filters.parse(expressions), like=like)
    return [table.ids[row] for row in np.flatnonzero(mask)]


def test_products_come_back_as_they_were(table):
    assert len(table) == 5
    assert [table.product(row) for row in range(5)] == list(ALL)
    assert table.ids == tuple(product.id for product in ALL)
    assert table.row_of("1e5") == 2
    assert "001" in table
    assert "1" not in table


def test_an_unknown_id_is_not_found(table):
    with pytest.raises(NotFoundError, match="no product '1'"):
        table.row_of("1")


def test_numbers_by_row(table):
    assert table.prices.tolist()[:3] == [40.0, 60.0, 3.3]
    assert np.isnan(table.prices[3])
    assert table.ratings.tolist()[0] == 4.5
    assert table.rating_counts.tolist() == [12, 0, 1, 0, 0]
    assert table.retired.tolist() == [False, False, False, False, True]
    assert table.groups[0] == table.groups[1] >= 0
    assert table.groups.tolist()[2:] == [-1, -1, -1]
    assert table.column("text_hash") == ["abc", None, None, None, None]


def test_records_have_every_column(table):
    records = list(table.records())
    assert records[0]["flags"] == ["no_image"]
    assert records[0]["attributes"] == {"material": ["Wool", "Silk"], "color": ["Blue"]}
    assert records[4]["retired_at"].startswith("2026")


@pytest.mark.parametrize(
    ("expressions", "ids"),
    [
        ([], ["001", "002", "1e5", "bare"]),  # retired rows never
        (["category=Topwear"], ["001", "002"]),  # any level
        (["category=apparel"], ["001", "002"]),
        (["category=TOPWEAR|footwear"], ["001", "002", "1e5"]),
        (["category!=Topwear"], ["1e5", "bare"]),
        (["category=Top"], []),
        (["brand=acme"], ["001", "002"]),
        (["brand!=Acme"], ["1e5", "bare"]),
        (["brand=BÉE"], ["1e5"]),
        (["brand=Nobody"], []),
        (["id=001|bare"], ["001", "bare"]),
        (["currency=eur"], ["001"]),
        (["availability=preorder"], ["1e5"]),
        (["group_id=G1"], ["001", "002"]),
        (["in_stock=true"], ["001", "bare"]),
        (["in_stock=false"], ["002", "1e5"]),
        (["price<=40"], ["001", "1e5"]),  # the effective price, and none fails
        (["price<40"], ["1e5"]),
        (["price>=40"], ["001", "002"]),
        (["price>40"], ["002"]),
        (["price=3.3"], ["1e5"]),
        (["price=40..60"], ["001", "002"]),
        (["rating>=4"], ["001"]),
        (["rating<=5"], ["001", "1e5"]),
        (["attributes.material=wool"], ["001", "002"]),  # name and value without case
        (["attributes.material=silk"], ["001"]),
        (["attributes.material!=silk"], ["002", "1e5", "bare"]),
        (["attributes.MATERIAL=silk", "price<=40", "in_stock=true"], ["001"]),
        (["brand=acme", "category=footwear"], []),
    ],
)
def test_filters(table, expressions, ids):
    assert passing(table, *expressions) == ids


def test_the_json_form_asks_the_same(table):
    filters = Filters.from_dict(
        {"brand": {"not": ["Acme"]}, "price": {"min": 1, "max": 50}, "in_stock": False}
    )
    assert np.flatnonzero(table.mask(filters)).tolist() == [2]


def test_filters_relative_to_the_query_product(table):
    assert passing(table, "same_category=true", like=0) == ["001", "002"]  # the full path, without case
    assert passing(table, "same_category=false", like=0) == ["1e5", "bare"]
    assert passing(table, "price_ratio=0.5..1.5", like=0) == ["001", "002"]
    assert passing(table, "price_ratio<1.5", like=0) == ["001", "1e5"]
    assert passing(table, "price_ratio<=2", like=3) == []  # the query product has no price


def test_a_ratio_bound_is_not_missed_by_binary_fractions(tmp_path):
    # 3 * 1.1 is 3.3000000000000003 in binary, just above the price 3.30.
    records = [product_to_record(Product(str(i), "t", price=Decimal(p))) for i, p in enumerate(("3", "3.30"))]
    assert passing(table_of(tmp_path, records), "price_ratio>=1.1", like=0) == ["1"]


@pytest.mark.parametrize("expression", ["same_category=true", "price_ratio<=2"])
def test_relative_filters_need_a_query_product(table, expression):
    with pytest.raises(InputError, match="give a product id"):
        table.mask(Filters.parse([expression]))


def test_an_unknown_attribute_is_an_error_that_lists_some(table):
    with pytest.raises(InputError, match=r"attribute 'fabric'.* has color, material"):
        table.mask(Filters.parse(["attributes.fabric=wool"]))


def test_facets_count_the_rows_given(table):
    rows = table.mask(None)
    facets = table.facets(["brand", "category", "attributes.material", "availability"], rows)
    assert facets["brand"] == {"Acme": 2, "Bée": 1}  # first spelling, most frequent first
    assert facets["category"] == {"Apparel": 2, "Shirts": 2, "Topwear": 2, "Footwear": 1}
    assert facets["attributes.material"] == {"Wool": 2, "Silk": 1}
    assert facets["availability"] == {"in_stock": 2, "out_of_stock": 1, "preorder": 1}
    assert table.facets(["brand"], np.zeros(5, dtype=bool)) == {"brand": {}}


def test_a_value_named_twice_in_a_row_counts_once(tmp_path):
    product = Product("1", "t", category=("Bags", "bags"), attributes={"color": ("red", "Red")})
    table = table_of(tmp_path, [product_to_record(product)])
    assert table.facets(["category", "attributes.color"], table.mask(None)) == {
        "category": {"Bags": 1},
        "attributes.color": {"red": 1},
    }


def test_the_price_facet_counts_bands(tmp_path):
    prices = [None, 1, 2, 4, 5, 19, 20, 21, 49, 50, 90, 400]
    products = [Product(str(i), "t", price=None if p is None else Decimal(p)) for i, p in enumerate(prices)]
    table = table_of(tmp_path, [product_to_record(product) for product in products])
    assert table.price_bands == ((-math.inf, 4.5), (4.5, 20), (20, 50), (50, math.inf))
    counted = table.facets(["price"], table.mask(None))["price"]
    # A price at an edge is in both bands, as in both filters.
    assert counted == {"..4.5": 3, "4.5..20": 3, "20..50": 4, "50..": 3}
    for name, count in counted.items():
        low, high = name.split("..")
        ends = [f"price>={low}"] * bool(low) + [f"price<={high}"] * bool(high)
        assert len(passing(table, *ends)) == count
    cheap = table.facets(["price"], table.mask(Filters.parse(["price<=4"])))["price"]
    assert cheap == {"..4.5": 3, "4.5..20": 0, "20..50": 0, "50..": 0}
    few = table_of(tmp_path, [product_to_record(product) for product in products[:6]])
    assert few.facets(["price"], few.mask(None)) == {"price": {}}


@pytest.mark.parametrize("name", ["rating", "in_stock", "colour", "title"])
def test_unknown_facets_are_refused(table, name):
    with pytest.raises(InputError, match=f"no facet '{name}'; allowed are"):
        table.facets([name], table.mask(None))


def test_facets_list_the_most_frequent_values_only(tmp_path):
    records = [product_to_record(Product(str(i), "t", brand=f"b{i % 150}")) for i in range(310)]
    table = table_of(tmp_path, records)
    counts = table.facets(["brand"], table.mask(None))["brand"]
    assert len(counts) == MAX_FACET_VALUES
    assert list(counts.values())[:11] == [3] * 10 + [2]


def test_words_for_lexical_search_leave_links_out(table, tmp_path):
    assert table.words()[0].split() == "001 Acme Blue shirt Apparel Topwear Shirts Wool Silk Blue".split()
    product = Product("1", "t", attributes={"video": ("https://x.example/v",)})
    (tmp_path / "b").mkdir()
    assert table_of(tmp_path / "b", [product_to_record(product)]).words() == ["1  t"]


def test_a_null_attribute_does_not_shift_the_rows(tmp_path):
    products = [
        Product("0", "t"),
        Product("1", "t", attributes={"a": (), "b": ("x", "y")}),
        Product("2", "t", attributes={"a": ("x",)}),
        Product("3", "t", attributes={"b": ("y",), "a": ("z",)}),
    ]
    table = table_of(tmp_path, [product_to_record(product) for product in products])
    assert passing(table, "attributes.b=y") == ["1", "3"]
    assert passing(table, "attributes.a=x") == ["2"]
    assert passing(table, "attributes.a!=x") == ["0", "1", "3"]


def test_an_empty_catalogue_answers(tmp_path):
    table = table_of(tmp_path, [])
    assert (len(table), table.ids, table.words()) == (0, (), [])
    assert table.mask(Filters.parse(["category=a", "brand!=b", "price<=3"])).shape == (0,)
    assert table.facets(["brand", "category"], table.mask(None)) == {"brand": {}, "category": {}}


def test_the_writer_works_in_chunks_and_removes_a_half_file(tmp_path):
    path = tmp_path / "catalog.parquet"
    with CatalogWriter(path) as writer:
        for number in range(9000):
            writer.append({"id": str(number), "title": "t", "price": "1.5"})
    table = CatalogTable.load(path)
    assert writer.count == len(table) == 9000
    assert table.row_of("8999") == 8999
    assert table.product(8999).price == Decimal("1.5")
    assert len(list(table.records())) == 9000
    with pytest.raises(RuntimeError), CatalogWriter(tmp_path / "half.parquet") as writer:
        writer.append({"id": "1", "title": "t"})
        raise RuntimeError
    assert not (tmp_path / "half.parquet").exists()


def test_extra_columns_are_named_and_others_refused(tmp_path):
    table = table_of(tmp_path, [{"id": "1", "title": "t", "row_hash": "x"}], extra=["row_hash"])
    assert table.column("row_hash") == ["x"]
    with pytest.raises(InputError, match="row_hash"):
        CatalogTable.write(tmp_path / "b.parquet", [{"id": "1", "title": "t", "row_hash": "x"}])
    with pytest.raises(IntegrityError, match="no column 'absent'"):
        table.column("absent")


def test_a_damaged_or_missing_file_is_an_integrity_error(tmp_path):
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 not really")
    for name in ("bad.parquet", "missing.parquet"):
        with pytest.raises(IntegrityError, match=name):
            CatalogTable.load(tmp_path / name)


def test_a_pruned_file_can_still_be_read_by_who_has_it_open(tmp_path):
    table = table_of(tmp_path, [product_to_record(SHIRT)])
    (tmp_path / "catalog.parquet").unlink()
    assert table.product(0) == SHIRT


def test_threads_see_the_same_masks(table):
    filters = Filters.parse(["category=Topwear", "price<=50", "attributes.material=wool"])
    with ThreadPoolExecutor(8) as pool:
        masks = list(pool.map(lambda _: table.mask(filters).tolist(), range(64)))
    assert all(mask == [True, False, False, False, False] for mask in masks)


def test_cached_masks_cannot_be_written_to(table):
    clause = Filters.parse(["brand=acme"]).clauses[0]
    with pytest.raises(ValueError, match="read-only"):
        table.clause_mask(clause)[0] = False
    table.mask(Filters((clause,)))[0] = False  # the joint mask is the caller's own
    assert table.clause_mask(clause)[0]


def test_cached_masks_are_cheap_on_ten_thousand_rows(tmp_path):
    records = [
        {
            "id": str(i),
            "title": "t",
            "brand": f"b{i % 50}",
            "category": ["a", f"c{i % 9}"],
            "price": str(i % 100),
        }
        for i in range(10_000)
    ]
    table = table_of(tmp_path, records)
    filters = Filters.parse(["category=c3|c4", "price<=50", "brand!=b7", "in_stock=true"])
    reference = table.mask(filters)
    expected = [
        r["category"][1] in ("c3", "c4") and int(r["price"]) <= 50 and r["brand"] != "b7" for r in records
    ]
    assert reference.tolist() == expected
    start = time.perf_counter()
    for _ in range(50):
        table.mask(filters)
    cached = time.perf_counter() - start
    table._masks.clear()
    start = time.perf_counter()
    for _ in range(50):
        table.mask(filters)
        table._masks.clear()
    assert cached < time.perf_counter() - start  # relative: absolute times are no test
