"""RSS 2.0 and Atom: fields, hostile documents, broken items, cut files, bounded memory."""

import gzip
import tracemalloc

import pytest

from vision_rec.errors import FeedError
from vision_rec.feeds import detect_format, read_feed

RSS = """<?xml version="1.0" encoding="utf-8"?>
<rss version="2.0" xmlns:g="http://base.google.com/ns/1.0" xmlns:c="http://base.google.com/cns/1.0">
<channel><title>The shop</title><link>https://x.example</link><description>All</description>
{}
</channel></rss>
"""
ITEM = "<item><g:id>{0}</g:id><title>Title {0}</title><g:price>{0}.50 USD</g:price></item>"


def items(*numbers):
    return "\n".join(ITEM.format(number) for number in numbers)


@pytest.fixture
def read(tmp_path):
    def run(content, name="feed.xml"):
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        errors = []
        return list(read_feed(path, on_error=errors.append)), errors

    return run


def test_rss_item(read, tmp_path):
    item = """<item>
      <g:id>00123</g:id><g:title>Red &amp; white</g:title><title>Other</title>
      <description><![CDATA[<p>Soft <b>wool</b></p>]]></description>
      <link>https://x.example/1</link><g:image_link>a.jpg</g:image_link>
      <g:additional_image_link>b.jpg</g:additional_image_link>
      <g:additional_image_link>c.jpg</g:additional_image_link>
      <g:price>12.99 USD</g:price><g:sale_price>9 USD</g:sale_price><g:availability>in stock</g:availability>
      <g:product_type>A &gt; B &gt; C</g:product_type><g:color>Red/White</g:color><g:brand>Acme</g:brand>
      <g:item_group_id>G</g:item_group_id><c:season type="string">Summer</c:season>
      <g:shipping><g:country>US</g:country><g:price>5 USD</g:price></g:shipping>
    </item>"""
    (product,), errors = read(RSS.format(item))
    assert detect_format(tmp_path / "feed.xml") == "rss" and not errors
    assert (product.id, product.title, product.description) == ("00123", "Red & white", "Soft wool")
    assert product.image_refs == ("a.jpg", "b.jpg", "c.jpg") and product.category == ("A", "B", "C")
    assert (str(product.price), product.sale_price, product.currency) == ("12.99", 9, "USD")
    assert (product.link, product.brand, product.group_id) == ("https://x.example/1", "Acme", "G")
    assert product.attributes == {"color": ("Red", "White"), "season": ("Summer",)}


def test_atom_entry(read, tmp_path):
    (product,), errors = (
        read("""<feed xmlns="http://www.w3.org/2005/Atom" xmlns:g="http://base.google.com/ns/1.0">
      <title>Shop</title><id>tag:shop</id><author><name>Acme</name></author>
      <entry><id>tag:1</id><g:id>1</g:id><title>Cup</title><link href="https://x.example/1"/>
      <link rel="self" href="https://x.example/no"/><summary type="xhtml"><div>Big <i>cup</i></div></summary>
      <g:image_link>a.jpg</g:image_link></entry></feed>""")
    )
    assert detect_format(tmp_path / "feed.xml") == "atom" and not errors
    assert (product.id, product.title, product.link) == ("1", "Cup", "https://x.example/1")
    assert product.description == "Big cup" and product.image_refs == ("a.jpg",)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "iso-8859-1"])
def test_encodings(read, encoding):
    declared = encoding.removesuffix("-sig")
    document = RSS.replace("utf-8", declared).format(items(1).replace("Title", "Café"))
    products, errors = read(document.encode(encoding))
    assert products[0].title == "Café 1" and not errors


@pytest.mark.parametrize("packed", [False, True])
def test_bad_rows_have_the_line_of_their_item(read, packed):
    bad = "<item>\n<g:id>5</g:id>\n<title>T</title>\n<g:price>call us</g:price></item>"
    content = RSS.format(f"{items(1, 2)}\n{bad}\n{items(3)}\n<item><title>x</title></item>").encode()
    products, errors = read(gzip.compress(content) if packed else content)
    assert [product.id for product in products] == ["1", "2", "3"]
    assert [(e.line, e.column, e.product_id) for e in errors] == [(6, "price", "5"), (11, "id", "")]


BROKEN = {
    "undefined entity": "<item><g:id>5</g:id><title>a&nbsp;b</title></item>",
    "bare ampersand": "<item><g:id>5</g:id><title>salt & pepper</title></item>",
    "bare less-than": "<item><g:id>5</g:id><title>a < b</title></item>",
    "wrong end tag": "<item><g:id>5</g:id><title>a</titel></item>",
    "item not closed": "<item><g:id>5</g:id><title>a</title>",
    "field not closed": "<item><g:id>5</g:id><title>a</item>",
    "bad UTF-8": b"<item><g:id>5</g:id><title>caf\xe9</title></item>",
    "unbound prefix": "<item><g:id>5</g:id><q:title>a</q:title></item>",
    "control character": "<item><g:id>5</g:id><title>a\x01</title></item>",
    "too long": f"<item><g:id>5</g:id><title>{'a' * 140_000}</title></item>",
}


@pytest.mark.parametrize("name", BROKEN)
@pytest.mark.parametrize("last", [False, True])
def test_a_broken_item_costs_only_itself(read, name, last):
    raw = BROKEN[name] if isinstance(BROKEN[name], bytes) else BROKEN[name].encode()
    after = () if last else range(6, 300)
    content = RSS.format(f"{items(1, 2)}\nBAD\n{items(*after)}").encode().replace(b"BAD", raw)
    products, errors = read(content)
    assert [product.id for product in products] == [str(i) for i in (1, 2, *after)]
    assert [error.line for error in errors] == [6]


def test_lines_stay_true_after_broken_items(read):
    broken = BROKEN["bare ampersand"]
    body = "\n".join([items(1), broken, items(2), "", broken, "<item>\n<title>x</title></item>", items(3)])
    products, errors = read(RSS.format(body))
    assert [product.id for product in products] == ["1", "2", "3"]
    assert [error.line for error in errors] == [5, 8, 9]


def test_a_file_cut_off_is_refused_wherever_it_is_cut(read):
    content = RSS.format(items(*range(1, 20))).encode()
    whole = len(content.rstrip())
    for cut in range(400, whole - 1, 97):
        with pytest.raises(FeedError, match="breaks off"):
            read(content[:cut])


DTD = '<!DOCTYPE rss [<!ENTITY a "{}">]>'
HOSTILE = {
    "external entity": '<!DOCTYPE rss [<!ENTITY a SYSTEM "file:///etc/passwd">]>',
    "external DTD": '<!DOCTYPE rss SYSTEM "http://127.0.0.1:9/x.dtd">',
    "parameter entity": '<!DOCTYPE rss [<!ENTITY % a SYSTEM "http://127.0.0.1:9/x"> %a;]>',
    "billion laughs": DTD.format("lol") + '<!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">',
    "padded": "<!--" + "x" * 80_000 + "-->" + DTD.format("x"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_dtds_and_entities_are_refused(read, name):
    document = RSS.format(items(1)).replace("<rss", HOSTILE[name] + "<rss", 1).replace("Title", "&a;")
    with pytest.raises(FeedError, match=r"DTDs and entities are not allowed|XML with the root"):
        read(document)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ("<html><body>Not found</body></html>", "XML with the root <html>"),
        ("<?xml version='1.0'?><products><p/></products>", "root <products>"),
        ("<rss><channel></channel></rss>", "no products"),
        ("<rss><channel><item><name>x</name></item></channel></rss>", "no column for id"),
        ("<rss>" + "<a>" * 200, "deeper than 100"),
        ("<rss><channel><!--" + "x" * (5 << 20), "longer than"),
        ("<?xml version='1.0' encoding='klingon'?><rss></rss>", "XML"),
    ],
)
def test_documents_that_are_no_feed(read, document, message):
    with pytest.raises(FeedError, match=message):
        read(document)


def test_memory_does_not_grow_with_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr("vision_rec.feeds.xml._CHUNK", 4096)
    peaks = []
    for count in (400, 1_600):
        path = tmp_path / f"{count}.xml"
        path.write_text(RSS.format(items(*range(count)).replace("Title", "Title " * 40)))
        tracemalloc.start()
        assert sum(1 for _ in read_feed(path)) == count
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] * 1.2
