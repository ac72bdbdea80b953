"""CSV and TSV: dialects, true line numbers, and what one bad row may cost."""

import csv
import gzip
import io
import random
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vision_rec.errors import FeedError, FeedRowError
from vision_rec.feeds import detect_format, read_feed
from vision_rec.feeds.delimited import MAX_LINE, read_lines

HEADER = "id,title,description,price,availability,image_link"
packed_bytes = partial(gzip.compress, mtime=0)  # the same bytes, so the same test names, in every worker
NOISE = random.Random(1).randbytes(1 << 20).hex().encode()


def read(path, **options):
    """Return the products and the row errors of a feed."""
    errors: list[FeedRowError] = []
    return list(read_feed(path, on_error=errors.append, **options)), errors


@pytest.fixture
def feed(tmp_path):
    def write(content, name="feed.csv"):
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


def good(number):
    return f"P{number},Title {number},Some words,{number}.50 USD,in_stock,{number}.jpg"


def test_reads_every_field_of_a_merchant_row(feed):
    names = (
        "id\ttitle\tdescription\tlink\timage_link\tadditional_image_link\tprice\tsale_price\tavailability\tbrand\t"
        "product_type\tgoogle_product_category\tcolor\tmaterial\tpattern\tsize\tgender\titem_group_id\tseason"
    )
    row = (
        "00123\tRed shirt\tSoft\thttps://x.example/1\ta.jpg\tb.jpg,c.jpg\t12.99 USD\t9.99 USD\tout of stock\t"
        "Acme\tApparel > Tops > Shirts\t212\tRed/White\tCotton/Wool\tstriped\tM\tfemale\tG1\tSummer"
    )
    path = feed(f"{names}\n{row}\n", "feed.tsv")
    assert detect_format(path) == "merchant-tsv"
    (product,), errors = read(path)
    assert not errors
    assert (product.id, product.title, product.description) == ("00123", "Red shirt", "Soft")
    assert (product.brand, product.link, product.group_id) == ("Acme", "https://x.example/1", "G1")
    assert product.category == ("Apparel", "Tops", "Shirts")
    assert product.image_refs == ("a.jpg", "b.jpg", "c.jpg")
    assert (str(product.price), str(product.sale_price), product.currency) == ("12.99", "9.99", "USD")
    assert product.availability == "out_of_stock"
    assert product.attributes == {
        "color": ("Red", "White"), "material": ("Cotton", "Wool"), "pattern": ("striped",), "size": ("M",),
        "gender": ("female",), "google_product_category": ("212",), "season": ("Summer",),
    }  # fmt: skip


@pytest.mark.parametrize(
    "written", ["00123", "1e5", "NA", "null", "nan", "1.0", "True", "-0", "0x1F", "日本"]
)
def test_ids_stay_as_written(feed, written):
    products, errors = read(feed(f"id,title\n{written},Cup\n"))
    assert [product.id for product in products] == [written] and not errors


def test_utf16_without_a_mark_loses_only_the_undecodable_row(feed):
    lines = [text.encode("utf-16-le") for text in ("id,title\n", "1,Cup\n", "2,a", "\n", "3,Ö\n")]
    lines.insert(3, b"\x00\xd8")  # half of a surrogate pair
    products, errors = read(feed(b"".join(lines)))
    assert [(p.id, p.title) for p in products] == [("1", "Cup"), ("3", "Ö")]
    assert [(e.line, e.column) for e in errors] == [(3, "title")]


@pytest.mark.parametrize("pack", [bytes, packed_bytes])
@pytest.mark.parametrize(
    "last",
    [
        "P3",
        "P3,Title 3,Some wor",
        'P3,"Tea',
        'P3,Tea,"one\ntwo, a, b, c, d, e, f, g\nthree',
        'P3,"Tea ""big""',
    ],
)
def test_a_feed_cut_off_in_its_last_row_is_refused(feed, pack, last):
    text = f"{HEADER}\n{good(1)}\n{good(2)}\n{last}"
    with pytest.raises(FeedError, match=r"cut off in its last row \(line 4: .*download it again") as caught:
        read(feed(pack(text.encode())))
    assert not isinstance(caught.value, FeedRowError)
    products, errors = read(feed(f"{text}\n"))  # with a line break it is a bad row as any other
    assert [product.id for product in products] == ["P1", "P2"] and errors


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("last", [good(3), 'P3,"Title 3","one\ntwo",3 USD,in_stock,3.jpg', ""])
def test_a_whole_last_row_needs_no_line_break(feed, newline, last):
    bad = f'P2,Tea 12" wide,"x{newline}P2,too,few'  # stray quotes before it cost their own rows only
    products, errors = read(feed(newline.join([HEADER, good(1), bad, last]).encode()))
    assert [product.id for product in products] == ["P1", "P3"][: 1 + bool(last)] and len(errors) == 2


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_dialects(feed, delimiter, newline, encoding):
    text = newline.join(["id|title|price", 'A1|"Tea|pot, big; ü"|5 EUR', "A2|Cup|6 EUR", ""])
    if delimiter != "|":
        text = text.replace('"Tea|pot, big; ü"', '"Tea\tpot, big; ü"').replace("|", delimiter)
    products, errors = read(feed(text.encode(encoding)))
    assert not errors and [product.id for product in products] == ["A1", "A2"]
    assert products[0].title.endswith("pot, big; ü") and products[1].price == 6


def test_excel_separator_line(feed):
    products, errors = read(feed('sep=;\nid;title\n1;"a,b"\n'))
    assert products[0].title == "a,b" and not errors


def test_mixed_newlines_and_blank_lines_keep_true_line_numbers(feed):
    rows = f"{HEADER}\r\n\n{good(1)}\n\r\n,,,,,\n{good(2)}\r{good(3)}\nP4,,x,1 USD,in_stock,4.jpg\r\n"
    products, errors = read(feed(rows))
    assert [product.id for product in products] == ["P1", "P2", "P3"]
    assert [(error.line, error.column, error.product_id) for error in errors] == [(8, "title", "P4")]


def test_quoted_newlines_count_as_lines(feed):
    rows = [
        HEADER,
        'P1,T,"one\ntwo ""2""\n\nfour",1 USD,in_stock,1.jpg',
        "P2,T,x,cheap,in_stock,2.jpg",
        good(3),
    ]
    products, errors = read(feed("\n".join(rows)))
    assert products[0].description == 'one\ntwo "2"\n\nfour'
    assert [product.id for product in products] == ["P1", "P3"]
    assert [(error.line, error.column) for error in errors] == [(6, "price")]


DEFECTS = {
    "encoding": (b"P5,caf\xe9,x,1 USD,in_stock,5.jpg", "title", "UTF-8"),
    "encoding in quotes": (b'P5,"caf\xe9",x,1 USD,in_stock,5.jpg', "title", "UTF-8"),
    "NUL": (b"P5,a\0b,x,1 USD,in_stock,5.jpg", "title", "NUL"),
    "open quote": (b'P5,"Broken,x,1 USD,in_stock,5.jpg', "(row)", "quote"),
    "text after quote": (b'P5,"Bro"ken,x,1 USD,in_stock,5.jpg', "(row)", "quote"),
    "too few columns": (b"P5,Title,x", "(row)", "3 columns; the header has 6"),
    "too many columns": (b"P5,Title,x,1 USD,in_stock,5.jpg,more", "(row)", "7 columns"),
    "no id": (b",Title,x,1 USD,in_stock,5.jpg", "id", "missing"),
    "blank id": (b"  ,Title,x,1 USD,in_stock,5.jpg", "id", "missing"),
    "no title": (b"P5, ,x,1 USD,in_stock,5.jpg", "title", "missing"),
    "long id": (b"P" * 257 + b",Title,x,1 USD,in_stock,5.jpg", "id", "allowed are 256"),
    "control in id": (b'"P\n5",Title,x,1 USD,in_stock,5.jpg', "id", "line break"),
    "long title": (b"P5," + b"t" * 1025 + b",x,1 USD,in_stock,5.jpg", "title", "allowed are 1024"),
    "long description": (b"P5,T," + b"t" * 20_001 + b",1 USD,in_stock,5.jpg", "description", "20000"),
    "long field": (b"P5,T,x,1 USD,in_stock," + b"t" * 140_000, "image_link", "131072"),
    "long line": (b"P5,T,x,1 USD,in_stock," + NOISE, "(row)", str(MAX_LINE)),
    "long quoted field": (b'P5,T,"' + b"t" * 140_000 + b'",1 USD,in_stock,5.jpg', "(row)", "131072"),
    "price": (b"P5,T,x,call us,in_stock,5.jpg", "price", "call us"),
    "negative price": (b"P5,T,x,-1 USD,in_stock,5.jpg", "price", "negative"),
    "NaN price": (b"P5,T,x,nan,in_stock,5.jpg", "price", "nan"),
    "currency": (b"P5,T,x,1 XXQ,in_stock,5.jpg", "price", "XXQ"),
    "JPY decimals": (b"P5,T,x,1.50 JPY,in_stock,5.jpg", "price", "JPY"),
    "ambiguous price": (b"P5,T,x,1.299 USD,in_stock,5.jpg", "price", "ambiguous"),
    "availability": (b"P5,T,x,1 USD,perhaps,5.jpg", "availability", "perhaps"),
    "pictures": (b"P5,T,x,1 USD,in_stock,5.jpg", None, None),
}


@pytest.mark.parametrize("name", DEFECTS)
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gz"])
def test_a_bad_row_costs_only_itself(feed, name, packed):
    raw, column, reason = DEFECTS[name]
    lines = [HEADER, *(good(i) for i in range(1, 5)), "BAD", *(good(i) for i in range(6, 10)), ""]
    content = "\n".join(lines).encode().replace(b"BAD", raw)
    products, errors = read(feed(packed_bytes(content) if packed else content))
    ids = [product.id for product in products]
    if column is None:
        assert len(ids) == 9 and not errors
        return
    assert ids == [f"P{i}" for i in (1, 2, 3, 4, 6, 7, 8, 9)]
    assert [(error.line, error.column) for error in errors] == [(6, column)]
    assert reason in errors[0].reason


def test_all_defects_in_one_feed(feed):
    chosen = [raw for raw, column, _ in DEFECTS.values() if column]
    content = HEADER.encode() + b"\n" + b"".join(
        raw + b"\n" + good(i).encode() + b"\n" for i, raw in enumerate(chosen)
    )  # fmt: skip
    products, errors = read(feed(content))
    assert [product.id for product in products] == [f"P{i}" for i in range(len(chosen))]
    assert len(errors) == len(chosen)


def test_an_open_quote_does_not_swallow_rows_up_to_the_next_quote(feed):
    lines = [HEADER, good(1), 'P2,"Broken,x,1 USD,in_stock,2.jpg', *(good(i) for i in range(3, 60))]
    lines += ['P60,"Fine, too","with ""quotes""",1 USD,in_stock,60.jpg', good(61)]
    products, errors = read(feed("\n".join(lines)))
    assert [product.id for product in products] == ["P1", *(f"P{i}" for i in range(3, 62))]
    assert [error.line for error in errors] == [3]


def test_an_open_quote_closed_by_a_later_broken_row_is_seen(feed):
    lines = [HEADER, 'P1,"Broken,x,1 USD,in_stock,1.jpg', *(good(i) for i in range(2, 9))]
    lines += ['P9,T",x,1 USD,in_stock,9.jpg', good(10)]
    products, errors = read(feed("\n".join(lines)))
    assert {f"P{i}" for i in (*range(2, 9), 10)} <= {product.id for product in products}
    assert errors[0].line == 2


def test_none_raises_the_first_bad_row(feed):
    path = feed(f"{HEADER}\n{good(1)}\nP2,,x,1 USD,in_stock,2.jpg\n{good(3)}\n")
    rows = read_feed(path)
    assert next(rows).id == "P1"
    with pytest.raises(FeedRowError, match="line 3, column 'title'"):
        next(rows)


def test_trailing_delimiters_and_unnamed_columns_are_harmless(feed):
    products, errors = read(feed("id,title,,\n1,Cup,,\n2,Pot\n"))
    assert [product.id for product in products] == ["1", "2"] and not errors
    products, _ = read(feed(",id,title\n0,1,Cup\n"))
    assert products[0].id == "1" and products[0].attributes == {}


def test_duplicates_are_left_to_the_caller(feed):
    products, errors = read(feed("id,title\n1,Old\n2,Cup\n1,New\n"))
    assert [product.title for product in products] == ["Old", "Cup", "New"] and not errors


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"\n \n\r\n", "is empty"),
        (b"id,title\n", "no products"),
        (b"name,price\nCup,3\n", "no column for id; columns found: name, price"),
        (b"id,price\n1,3\n", "no column for title; columns found: id, price; name it with --map title="),
        (b"just some words\nand more\n", "no known format"),
        (b"\x89PNG\r\n\x1a\n\0\0", "a picture"),
        (b"PK\x03\x04rest", "zip"),
        (b"\x01\x02\0\xff\0\n", "not a text file"),
        (b"id,title,caf\xe9\n1,Cup,x\n", "header is not UTF-8"),
        (b'id,title,"open\n1,Cup,x\n', "header is unusable"),
        (b"x" * 70_000, "first line is longer"),
        (b",".join(b"c%d" % i for i in range(1200)) + b",id,title\n", "1 to 1000"),
        (packed_bytes(packed_bytes(b"id,title\n1,Cup\n")), "twice"),
        (packed_bytes(b"id,title\n1,Cup\n")[:-4], "cut off"),
        (packed_bytes(b"id,title\n1,Cup\n")[:-6] + b"abcdef", "damaged"),
        (packed_bytes(b"id,title\n1," + b"x" * 20_000_000), "200 times"),
        (packed_bytes(b"id,title\n" + b" " * 1_500_000), "200 times"),
    ],
)
def test_unusable_feeds_say_why_in_one_line(feed, content, message):
    with pytest.raises(FeedError, match=message) as caught:
        list(read_feed(feed(content), on_error=lambda error: None))
    assert "\n" not in str(caught.value) and not isinstance(caught.value, FeedRowError)


def test_missing_file_and_directory(tmp_path):
    for path, message in [(tmp_path / "none.csv", "does not exist"), (tmp_path, "is a directory")]:
        with pytest.raises(FeedError, match=message):
            read_feed(path)
        with pytest.raises(FeedError, match=message):
            detect_format(path)


def test_gzip_of_several_members_and_any_name(feed):
    packed = packed_bytes(b"id,title\n1,Cup\n") + packed_bytes(b"2,Pot\n") + b"\0" * 64
    assert [product.id for product in read(feed(packed, "feed.txt"))[0]] == ["1", "2"]


texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=30)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(texts, texts), min_size=1, max_size=8), st.sampled_from(",;\t|"))
def test_whatever_csv_writes_is_read_back(tmp_path_factory, rows, delimiter):
    buffer = io.StringIO()
    writer = csv.writer(buffer, delimiter=delimiter, lineterminator="\r\n")
    writer.writerow(["id", "title", "description", "note"])
    for number, (text, note) in enumerate(rows):
        writer.writerow([f"P{number}", "T", text, note])
    path = tmp_path_factory.mktemp("csv") / "feed.csv"
    path.write_bytes(buffer.getvalue().encode())
    products, errors = read(path)
    assert not errors
    assert [product.description for product in products] == [text.strip() for text, _ in rows]
    assert [product.attributes.get("note", ("",))[0] for product in products] == [n.strip() for _, n in rows]


def test_random_damage_never_costs_more_than_its_neighbourhood(feed):
    draw = random.Random(5)
    clean = [good(i).encode() for i in range(400)]
    for _ in range(15):
        lines = list(clean)
        hurt = set(draw.sample(range(400), 10))
        for i in hurt:
            at = draw.randrange(len(lines[i]))
            lines[i] = lines[i][:at] + draw.choice([b'"', b"\xff", b",", b"\0", b'","']) + lines[i][at:]
        products, _ = read(feed(HEADER.encode() + b"\n" + b"\n".join(lines)))
        assert {f"P{i}" for i in range(400) if i not in hurt} <= {product.id for product in products}


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=60), st.integers(1, 7))
def test_lines_are_those_of_splitlines_whatever_the_chunks(data, size):
    class Drip(io.BytesIO):
        def read(self, wanted=-1):
            return super().read(min(size, wanted) if wanted >= 0 else size)

    lines = list(read_lines(Drip(data)))
    assert [line.raw for line in lines] == data.splitlines(keepends=True)
    assert [line.number for line in lines] == list(range(1, len(lines) + 1))
