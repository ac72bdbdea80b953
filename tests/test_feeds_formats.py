"""Shopify, JSON Lines, Parquet and reviews; bombs and flat memory."""

import gzip
import json
import os
import tracemalloc
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vision_rec.errors import FeedError, FeedRowError
from vision_rec.feeds import detect_format, read_feed, read_reviews
from vision_rec.feeds import parquet as parquet_file
from vision_rec.types import Review


@pytest.fixture
def run(tmp_path):
    def read(content, name, reader=read_feed, **options):
        path = tmp_path / name
        if isinstance(content, pa.Table):
            pq.write_table(content, path)
        else:
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        errors = []
        return list(reader(path, on_error=errors.append, **options)), errors

    return read


SHOPIFY = (
    "Handle,Title,Body (HTML),Vendor,Product Category,Type,Tags,Published,Option1 Name,Option1 Value,"
    "Option2 Name,Option2 Value,Variant SKU,Variant Grams,Variant Inventory Tracker,Variant Inventory Qty,"
    "Variant Inventory Policy,Variant Price,Variant Compare At Price,Image Src,Image Position,Variant Image,"
    "SEO Title,Google Shopping / Gender,Fabric (product.metafields.shopify.fabric),Status\n"
    'tee,Soft tee,"<p>Very <b>soft</b>,\n&amp; warm</p>",Acme,Apparel > Tops,Shirts,"summer, new",TRUE,'
    "Color,Red,Size,M,00123,100,shopify,3,deny,19.90,29.90,https://x.example/1.jpg,1,https://x.example/red.jpg,SEO,female,"
    "cotton,active\n"
    "tee,,,,,,,,,Blue,,M,T-2,100,shopify,0,deny,19.90,,https://x.example/2.jpg,2,,,,,\n"
    "tee,,,,,,,,,Blue,,L,,100,shopify,-1,continue,19.90,19.90,,,,,,,\n"
    "tee,,,,,,,,,,,,,,,,,,,https://x.example/3.jpg,3,,,,,\n"
    "tee,,,,,,,,,Green,,L,T-4,100,shopify,1,deny,cheap,,,,,,,,\n"
    "mug,Mug,,Acme,,Mugs,,TRUE,Title,Default Title,,,,,,,deny,5.00,,mug.jpg,1,,,,,active\n"
    "old,Old,,Acme,,Mugs,,TRUE,Title,Default Title,,,OLD,,,,deny,5.00,,,,,,,,draft\n"
    "lost,,,Acme,,Mugs,,TRUE,Title,Default Title,,,LOST,,,,deny,5.00,,,,,,,,active\n"
)


def test_shopify_variants(run, tmp_path):
    products, errors = run(SHOPIFY, "export.csv", default_currency="EUR")
    assert detect_format(tmp_path / "export.csv") == "shopify"
    assert [product.id for product in products] == ["00123", "T-2", "tee-blue-l", "mug"]
    red, blue, large, mug = products
    assert {product.group_id for product in (red, blue, large)} == {"tee"} and mug.group_id == "mug"
    assert {product.title for product in (red, blue, large)} == {"Soft tee"}
    assert (
        red.description == "Very soft , & warm"
        and red.brand == "Acme"
        and red.category == ("Apparel", "Tops")
    )
    assert (red.price, red.sale_price, red.currency) == (Decimal("29.90"), Decimal("19.90"), "EUR")
    assert (blue.price, blue.sale_price, large.sale_price) == (Decimal("19.90"), None, None)
    assert [p.availability for p in products] == ["in_stock", "out_of_stock", "backorder", "in_stock"]
    shots = tuple(f"https://x.example/{i}.jpg" for i in (1, 2, 3))
    assert red.image_refs == ("https://x.example/red.jpg", *shots) and blue.image_refs == shots
    assert red.attributes == {
        "color": ("Red",), "size": ("M",), "gender": ("female",), "material": ("cotton",),
        "type": ("Shirts",), "tags": ("summer", "new"),
    }  # fmt: skip
    assert blue.attributes["color"] == ("Blue",) and mug.category == ("Mugs",)
    assert "color" not in mug.attributes and "title" not in mug.attributes
    assert [(e.line, e.column) for e in errors] == [(7, "Variant Price"), (10, "Title")]


def test_a_shopify_product_given_away_costs_nothing(run):
    rows = (
        "Handle,Title,Variant SKU,Variant Price,Variant Compare At Price\na,A,1,0.00,9.00\nb,B,2,8.00,0.00\n"
    )
    (gift, plain), errors = run(rows, "s.csv")
    assert (gift.price, gift.sale_price, plain.price, plain.sale_price) == (0, None, 8, None) and not errors


def test_shopify_mapping_and_new_column_names(run):
    feed = (
        "URL handle,Title,SKU,Option1 name,Option1 value,Price,Product image URL,Status,Maker note,EAN\n"
        "cup,Cup,C1,Size,S,5 GBP,c.jpg,Active,by hand,42\ncup,,C2,,L,6 GBP,,,,\n"
    )
    products, _ = run(feed, "a.csv")
    assert [(p.id, p.currency, p.attributes["maker_note"]) for p in products] == [
        ("C1", "GBP", ("by hand",)),
        ("C2", "GBP", ("by hand",)),
    ]
    products, errors = run(feed, "b.csv", mapping={"id": "EAN", "brand": "Maker note"})
    assert [(p.id, p.brand) for p in products] == [("42", "by hand")]
    assert [(e.line, e.column) for e in errors] == [(3, "EAN")]  # no variant takes the first one's id
    with pytest.raises(FeedError, match="not there"):
        run(feed, "c.csv", mapping={"brand": "Nobody"})


def test_json_lines_keep_numbers_and_read_nested_values(run):
    lines = [
        '{"id": 1e5, "title": "A", "price": 12.990, "currency": "USD", "attributes": {"color": "Red/Blue"}}',
        '{"id": "00123", "title": "B", "price": {"value": 5, "currency": "EUR"}, "category": ["X", "Y"]}',
        '{"id": 123456789012345678901234567890, "title": "C", "images": ["a.jpg", {"src": "b.jpg"}]}',
        '{"id": "NA", "title": "D", "in_stock": false, "price": null, "brand": {"name": "Acme"},'
        ' "tags": ["x"]}',
        "",
    ]
    products, errors = run("\ufeff" + "\r\n".join(lines), "feed.jsonl")
    assert not errors
    a, b, c, d = products
    assert [p.id for p in products] == ["1e5", "00123", "123456789012345678901234567890", "NA"]
    assert (a.price, a.currency, a.attributes) == (Decimal("12.99"), "USD", {"color": ("Red", "Blue")})
    assert (b.price, b.currency, b.category) == (5, "EUR", ("X", "Y"))
    assert c.image_refs == ("a.jpg", "b.jpg")
    assert (d.availability, d.price, d.brand) == ("out_of_stock", None, "Acme")
    assert d.attributes == {"tags": ("x",)}


BAD_JSON = [
    b'{"id": 1, "title": "x"', b"[1, 2]", b"7", b'{"id": 1, "title": "x", "price": NaN}', b"\xff\xfe{}x",
    b'{"id": 1, "title": "\\ud800"}', b'{"title": "x"}', b'{"id": 1}', b'{"id": "a\\u0000", "title": "x"}',
    b"[" * 100_000, b'{"a":' * 50_000, b'{"id": 1, "title": "' + b"x" * (2 << 20) + b'"}',
    b'{"id": 1, "title": "x", "price": 1e999999}', json.dumps({f"k{i}": 1 for i in range(1001)}).encode(),
    b'{"id": 1, "title": "x", "' + b"k" * 300 + b'": 1}',
]  # fmt: skip


def test_bad_json_lines_cost_only_themselves(run):
    good = [b'{"id": "%d", "title": "T"}' % i for i in range(len(BAD_JSON) + 1)]
    lines = [good[0]] + [line for pair in zip(BAD_JSON, good[1:], strict=True) for line in pair]
    products, errors = run(b"\n".join(lines), "feed.jsonl")
    assert [p.id for p in products] == [str(i) for i in range(len(good))]
    assert [e.line for e in errors] == list(range(2, 2 * len(BAD_JSON) + 1, 2))


@pytest.mark.parametrize("reader", [read_feed, read_reviews])
@pytest.mark.parametrize("many", [1, 30])  # within the rows looked at for columns, and beyond them
def test_json_lines_cut_off_in_the_last_are_refused(run, reader, many):
    whole = '{"id": "1", "title": "Töpfe", "details": {"a": "b"}}'.encode()
    for end in (1, whole.index("ö".encode()) + 1, whole.index(b"}") + 1):
        with pytest.raises(
            FeedError, match=rf"cut off in its last row \(line {many + 1}: .*download it again"
        ):
            run((whole + b"\n") * many + whole[:end], "f.jsonl", reader)
        found, errors = run((whole + b"\n") * many + whole[:end] + b"\n", "f.jsonl", reader)
        assert (len(found), len(errors)) == (many, 1)
    assert len(run((whole + b"\n") * many + whole, "f.jsonl", reader)[0]) == many + 1
    assert len(run(whole + b"\n" + b"[1]", "f.jsonl", reader)[1]) == 1  # whole, if of no use


def test_reviews_cut_off_in_the_last_row_are_refused(run):
    with pytest.raises(FeedError, match="cut off in its last row"):
        run("product_id,text\n1,fine\n2", "r.csv", read_reviews)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('[{"id": 1}]', "one JSON document"),
        ('{\n  "id": 1\n}', "one JSON document"),
        ('{"name": "x"}\n{"name": "y"}', "no column for id; columns found: name"),
    ],
)
def test_json_that_is_not_lines(run, content, message):
    with pytest.raises(FeedError, match=message):
        run(content, "feed.jsonl")


def test_json_columns_may_come_later_but_not_without_end(run, monkeypatch):
    monkeypatch.setattr("vision_rec.feeds.products.MAX_NAMES", 40)
    lines = [json.dumps({"id": f"P{i}", "title": "T", f"k{i}": "v"}) for i in range(60)]
    products, errors = run("\n".join(lines), "feed.jsonl")
    assert len(products) == 38 and len(errors) == 22 and "different columns" in errors[0].reason
    assert products[30].attributes == {"k30": ("v",)}


def table():
    return pa.table(
        {
            "id": pa.array(["00123", "1e5", "NA", "x"]),
            "title": pa.array(["A", "B", "C", None]),
            "price": pa.array([12.99, 29.990000000000002, None, 1], pa.float64()),
            "sale_price": pa.array([9.99, None, None, 1], pa.float32()),
            "currency": pa.array(["USD", "EUR", None, "USD"]).dictionary_encode(),
            "in_stock": [True, False, None, True],
            "category": pa.array([["X", "Y"], None, [], ["Z"]], pa.list_(pa.string())),
            "images": pa.array([["a.jpg", "b.jpg"], ["c.jpg"], None, []], pa.list_(pa.string())),
            "year": pa.array([2011, None, 2013, 2014], pa.int32()),
            "cost": pa.array([Decimal("1.50"), None, None, None]),
            "added": pa.array([date(2024, 5, 31), None, None, None]),
            "blob": [b"\xff\xd8"] * 4,
            "nested": [{"a": 1}] * 4,
        }
    )


def test_parquet(run, tmp_path, monkeypatch):
    monkeypatch.setattr(parquet_file, "_BATCH", 3)
    products, errors = run(table(), "feed.parquet")
    assert detect_format(tmp_path / "feed.parquet") == "parquet"
    a, b, c = products
    assert [p.id for p in products] == ["00123", "1e5", "NA"]
    assert (a.price, a.sale_price, a.currency) == (Decimal("12.99"), Decimal("9.99"), "USD")
    assert (b.price, b.availability, c.price) == (Decimal("29.99"), "out_of_stock", None)
    assert (a.category, a.image_refs, c.image_refs) == (("X", "Y"), ("a.jpg", "b.jpg"), ())
    assert a.attributes == {"year": ("2011",), "cost": ("1.50",), "added": ("2024-05-31",)}
    assert b.attributes == {}
    assert [(e.line, e.column) for e in errors] == [(4, "title")]


def test_parquet_text_that_is_no_utf8_costs_one_row(run):
    raw = pa.array([b"good", b"caf\xe9", b"fine"])
    titles = pa.Array.from_buffers(pa.string(), 3, raw.buffers())
    products, errors = run(pa.table({"id": [1, 2, 3], "title": titles}), "feed.parquet")
    assert [p.id for p in products] == ["1", "3"]
    assert [(e.line, e.column) for e in errors] == [(2, "title")] and "UTF-8" in errors[0].reason


def test_damaged_parquet_is_refused(run, tmp_path):
    run(table(), "feed.parquet")
    whole = (tmp_path / "feed.parquet").read_bytes()
    for content in (whole[:-20], whole[:50], b"PAR1", b"PAR1" + b"\0" * 50 + b"PAR1", b"id,title\n1,x\n"):
        with pytest.raises(FeedError, match="Parquet"):
            run(content, "hurt.parquet")
    with pytest.raises(FeedError, match="Parquet inside gzip"):
        run(gzip.compress(whole), "packed.parquet")


def test_parquet_bombs_are_refused_or_stay_small(run, tmp_path):
    many = pa.table({"id": pa.array(["1"] * 400_000).dictionary_encode(), "title": ["x"] * 400_000})
    with pytest.raises(FeedError, match="200 times"):
        run(many, "many.parquet")
    lists = pa.table({"id": ["1"], "title": ["x"], "images": [["a"] * 500_000]})
    with pytest.raises(FeedError, match="values per row"):
        run(lists, "lists.parquet")
    # 2,000 rows of the same 100,000 characters: 200 MB if every row had its own
    text = os.urandom(50_000).hex()
    same = pa.table({"id": [str(i) for i in range(2_000)], "title": ["T"] * 2_000, "note": [text] * 2_000})
    tracemalloc.start()
    products, errors = run(same, "same.parquet")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(products) == 2_000 and not errors and peak < 30e6


def test_large_row_groups_are_refused(run, monkeypatch):
    monkeypatch.setattr(parquet_file, "MAX_ROW_GROUP", 100)
    with pytest.raises(FeedError, match="smaller row groups"):
        run(table(), "feed.parquet")


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_memory_does_not_grow_with_the_file(tmp_path: Path, kind, monkeypatch):
    monkeypatch.setattr("vision_rec.feeds.delimited.CHUNK", 4096)
    peaks = []
    for count in (400, 1_600):
        path = tmp_path / f"{count}.{kind}"
        with path.open("w") as file:
            file.write("id,title,note\n" if kind == "csv" else "")
            line = '{},"T","{}"\n' if kind == "csv" else '{{"id":"{}","title":"T","note":"{}"}}\n'
            file.writelines(line.format(i, "words " * 60) for i in range(count))
        tracemalloc.start()
        assert sum(1 for _ in read_feed(path)) == count
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] * 1.2


def test_an_open_feed_is_closed_when_reading_stops(tmp_path: Path):
    path = tmp_path / "feed.csv"
    path.write_text("id,title\n" + "1,x\n" * 10)
    before = len(os.listdir("/proc/self/fd"))
    rows = read_feed(path)
    next(rows)
    rows.close()
    assert len(os.listdir("/proc/self/fd")) == before


REVIEWS = [
    ("1", "4", "Nice", "Soft and warm", "2024-05-31", "3"),
    ("00123", "4.5", "", "Ok", "", ""),
    ("2", "", "Only a title", "", "1717113600", "0"),
]


def test_reviews_from_each_format(run):
    names = ("product_id", "rating", "title", "text", "at", "helpful")
    expected = [
        ("1", Review("Soft and warm", 4.0, datetime(2024, 5, 31, tzinfo=UTC), 3, "Nice")),
        ("00123", Review("Ok", 4.5)),
        ("2", Review("", None, datetime(2024, 5, 31, tzinfo=UTC), 0, "Only a title")),
    ]
    for join, name in ((",", "r.csv"), ("\t", "r.tsv")):
        content = "\n".join(join.join(row) for row in [names, *REVIEWS])
        assert run(content, name, read_reviews) == (expected, [])
        assert run(gzip.compress(content.encode()), name + ".gz", read_reviews) == (expected, [])
    content = "\n".join(json.dumps(dict(zip(names, row, strict=True))) for row in REVIEWS)
    assert run(content, "r.jsonl", read_reviews) == (expected, [])
    columns = dict(zip(names, map(list, zip(*REVIEWS, strict=True)), strict=True))
    assert run(pa.table(columns), "r.parquet", read_reviews) == (expected, [])


def test_reviews_by_other_names(run):
    content = "review_id,clothing_id,title,text,rating,positive_feedback\n7,767,Nice,Soft,5,2\n"
    assert run(content, "a.csv", read_reviews)[0] == [("767", Review("Soft", 5.0, None, 2, "Nice"))]
    line = '{"asin": "B01", "overall": 5.0, "reviewText": "Great", "summary": "Wow", "vote": "3",'
    line += ' "unixReviewTime": 1717113600}'
    (found,), errors = run(line, "b.jsonl", read_reviews)
    assert found == ("B01", Review("Great", 5.0, datetime(2024, 5, 31, tzinfo=UTC), 3, "Wow")) and not errors
    content = 'sku,stars,body,helpful\nA,4/5,Good,"[2, 3]"\nB,3 out of 5 stars,Fine,2/4\n'
    products, errors = run(content, "c.csv", read_reviews)
    assert [(r.rating, r.helpful) for _, r in products] == [(4.0, 2), (3.0, 2)] and not errors


def test_bad_reviews_are_listed(run, tmp_path):
    rows = [
        ("1,4,T,x,,", None), (",4,T,x,,", "product_id"), ("1,6,T,x,,", "rating"), ("1,0,T,x,,", "rating"),
        ("1,nan,T,x,,", "rating"), ("1,4,T,x,yesterday,", "at"), ("1,4,T,x,,-1", "helpful"),
        ("1,4,T,x,,many", "helpful"), ("1,,,,,", "text"), ("1,4,T", "(row)"), ("2,5,T,x,,", None),
        (f"1,4,T,{'x' * 20_001},,", "text"),
    ]  # fmt: skip
    content = "\n".join(["product_id,rating,title,text,at,helpful", *(row for row, _ in rows)])
    reviews, errors = run(content, "r.csv", read_reviews)
    assert [product_id for product_id, _ in reviews] == ["1", "2"]
    wanted = [(line, column) for line, (_, column) in enumerate(rows, 2) if column]
    assert [(e.line, e.column) for e in errors] == wanted
    with pytest.raises(FeedRowError, match="line 3, column 'product_id'"):
        list(read_reviews(tmp_path / "r.csv"))


def test_bad_rows_are_heard_of_in_the_order_of_the_file(run, tmp_path):
    lines = ['{"id": "1", "title": "A"}', "oops", '{"id": "2"}', "oops", '{"id": "3", "title": "B"}']
    _, errors = run("\n".join(lines), "feed.jsonl")
    assert [e.line for e in errors] == [2, 3, 4]
    rows = read_feed(tmp_path / "feed.jsonl")
    assert next(rows).id == "1"
    with pytest.raises(FeedRowError, match="line 2"):
        next(rows)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        ("a,b\n1,2\n", "no column for product_id"),
        ("product_id,when\n1,2\n", "no column for text"),
        ("<rss></rss>", "not from rss"),
    ],
)
def test_files_that_are_no_reviews(run, content, message):
    with pytest.raises(FeedError, match=message):
        run(content, "r.csv", read_reviews)


def test_a_review_file_without_reviews_is_fine(run):
    assert run("product_id,text\n", "r.csv", read_reviews) == ([], [])
