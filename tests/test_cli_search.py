"""`similar`, `search`, `search --batch`, `evaluate`, `export-similar`: the contract, to the letter."""

from __future__ import annotations

import csv
import json
import shutil

import pandas as pd
import pyarrow.parquet as pq
import pytest

from vision_rec import Recommender
from vision_rec.encoders.colour import parse_colour
from vision_rec.settings import Settings

FIELDS = {
    *("request_id", "version", "weights", "took_ms", "degraded", "empty_reason", "facets", "items"),
}
ITEM = {
    *("id", "title", "link", "image", "brand", "category", "price", "currency", "availability"),
    *("group_id", "score", "parts", "missing", "boost", "pinned", "rules", "reasons"),
}


@pytest.fixture(scope="session")
def rows(drawn_shop):
    with drawn_shop.feed.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def ask(cli, published):
    """Run a command on the published shop; return its JSON, or what it said where it fails."""

    def run(*args, ok=True):
        ran = cli(*args, *published.common, *(["--json"] if ok else []))
        assert (ran.code == 0) == ok, ran
        return ran.json if ok else ran

    return run


@pytest.fixture(scope="session")
def recommender(published):
    from fakes import fake_encoders

    settings = Settings(paths={"indexes": published.indexes, "data": published.root / "var"})
    return Recommender.open(published.indexes, settings=settings, encoders=fake_encoders())


def ids(answer):
    return [item["id"] for item in answer["items"]]


def test_similar_answers_as_the_contract_says(ask, rows, recommender):
    asked = rows[0]["id"]
    answer = ask("similar", asked, "-k", "5")
    assert set(answer) == FIELDS and all(ITEM <= set(item) for item in answer["items"])
    assert answer["version"] == recommender.version_id and len(answer["items"]) == 5
    assert answer["empty_reason"] is None and answer["degraded"] == [] and answer["facets"] == {}
    assert sum(answer["weights"].values()) == pytest.approx(1)
    for item in answer["items"]:
        assert sum(item["parts"].values()) == pytest.approx(item["score"], abs=1e-5)
        assert item["id"] != asked and item["pinned"] is False and item["rules"] == []
        row = next(row for row in rows if row["id"] == item["id"])
        assert item["title"] == row["title"] and item["group_id"] == (row["item_group_id"] or None)
        assert f"{item['price']:.2f} EUR" == (row["sale_price"] or row["price"])
    assert ids(answer) == [item.product.id for item in recommender.similar(asked, k=5)]


@pytest.mark.parametrize(
    ("options", "same"),
    [
        (["--weights", "colour=2,shape=1"], {"weights": {"colour": 2, "shape": 1}}),
        (["--weights", "colour:2"], {"weights": {"colour": 2}}),
        (["--preset", "colour"], {"preset": "colour"}),
        (["--filter", "price<=50", "--filter", "in_stock=true"], {"filters": ["price<=50", "in_stock=true"]}),
        (["--offset", "3"], {"offset": 3}),
        (["--min-score", "0.6"], {"min_score": 0.6}),
        (["--diversity", "0.7"], {"diversity": 0.7}),
        (["--max-per-group", "0"], {"max_per_group": 0}),
        (["--no-exclude-own-group"], {"exclude_own_group": False}),
        (["--exclude-own-group"], {}),
        (["--rating-boost", "0.5"], {"rating_boost": 0.5}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_every_option_does_what_the_field_of_its_name_does(ask, rows, recommender, options, same):
    asked = next(row["id"] for row in rows if row["item_group_id"])
    expected = recommender.similar(asked, k=8, **same)
    answer = ask("similar", asked, "-k", "8", *options)
    assert ids(answer) == [item.product.id for item in expected]
    assert answer["weights"] == pytest.approx(expected.weights)
    assert [item["boost"] for item in answer["items"]] == pytest.approx([item.boost for item in expected])


def test_exclude_and_facets_take_lists(ask, rows, recommender):
    asked = rows[0]["id"]
    first = ids(ask("similar", asked, "-k", "4"))
    for given in ([",".join(first[:2])], [json.dumps(first[:2])], [first[0], first[1]]):
        options = [part for value in given for part in ("--exclude", value)]
        answer = ask("similar", asked, "-k", "2", *options, "--facets", "brand,attributes.color")
        assert ids(answer) == [item.product.id for item in recommender.similar(asked, k=4)][2:]
    assert set(answer["facets"]) == {"brand", "attributes.color"}
    assert sum(answer["facets"]["brand"].values()) > 10


def test_search_by_every_source(ask, rows, published, recommender):
    row = rows[0]
    picture = published.shop / row["image_link"]
    assert ids(ask("search", "--image", picture, "-k", "1")) == [row["id"]]
    by_product = ask("search", "--product", row["id"], "-k", "4")
    assert ids(by_product) == ids(ask("similar", row["id"], "-k", "4"))
    red = ask("search", "--colour", "red", "-k", "3")
    swatch = "#{:02x}{:02x}{:02x}".format(*parse_colour("red"))
    assert ids(red) == ids(ask("search", "--colour", swatch, "-k", "3"))
    assert all("red" in item["title"].lower() for item in red["items"])
    edited = ask("search", "--product", row["id"], "--colour", "red", "-k", "4")
    assert edited["weights"]["text"] == 0 and ids(edited) != ids(by_product)
    words = ask("search", "--text", rows[5]["title"], "-k", "1")
    assert ids(words) == [rows[5]["id"]] and words["items"][0]["boost"] > 0
    viewed = [rows[1]["id"], rows[2]["id"]]
    recent = ask("search", "--recent", ",".join(viewed), "-k", "5")
    assert ids(recent) == [item.product.id for item in recommender.recommend(recent=viewed, k=5)]
    mixed = ask("search", "--product", row["id"], "--recent", viewed[0], "--session-share", "1", "-k", "5")
    assert ids(mixed) == ids(ask("search", "--recent", viewed[0], "--exclude", row["id"], "-k", "5"))
    more = json.dumps([{"product_id": row["id"]}, {"image": str(picture), "weight": 0.5}])
    less = json.dumps([{"product_id": row["id"]}, {"product_id": by_product["items"][0]["id"], "weight": -1}])
    shown = [ids(ask("search", "--examples", given, "-k", "80")) for given in (more, less)]
    assert row["id"] not in shown[0] and shown[0] != shown[1]


def test_crop_looks_at_a_part_of_the_picture(ask, rows, published, tmp_path):
    from PIL import Image

    one, two = (published.shop / row["image_link"] for row in rows[:2])
    side = 96
    both = Image.new("RGB", (2 * side, side))
    for place, path in enumerate((one, two)):
        both.paste(Image.open(path).resize((side, side)), (place * side, 0))
    both.save(tmp_path / "both.png")
    for place in (0, 1):
        answer = ask("search", "--image", tmp_path / "both.png", "--crop", f"{place / 2},0,0.5,1", "-k", "1")
        assert ids(answer) == [rows[place]["id"]]


@pytest.mark.parametrize(
    ("args", "code", "says"),
    [
        (["similar", "nope"], 2, "'nope'"),
        (["similar", "ID", "-k", "0"], 2, "k is 0"),
        (["similar", "ID", "-k", "201"], 2, "201"),
        (["similar", "ID", "--weights", "color=1"], 2, "this index has colour, shape, text, reviews"),
        (["similar", "ID", "--weights", "colour=-1"], 2, "-1"),
        (["similar", "ID", "--weights", "colour=nan"], 2, "nan"),
        (["similar", "ID", "--weights", "colour=0"], 2, "above 0"),
        (["similar", "ID", "--weights", "colour=1e999"], 2, "inf"),
        (["similar", "ID", "--weights", "colour"], 2, "NAME=NUMBER"),
        (["similar", "ID", "--weights", "colour=1,colour=2"], 2, "twice"),
        (["similar", "ID", "--weights", "colour=1", "--preset", "look"], 2, "preset"),
        (["similar", "ID", "--preset", "nope"], 2, "nope"),
        (["similar", "ID", "--filter", "price<<3"], 2, "price"),
        (["similar", "ID", "--filter", "prize<3"], 2, "prize"),
        (["similar", "ID", "--diversity", "2"], 2, "diversity"),
        (["similar", "ID", "--offset", "-1"], 2, "offset"),
        (["similar", "ID", "--facets", "nope"], 2, "nope"),
        (["similar", ""], 2, "''"),
        (["search"], 2, "at least one of"),
        (["search", "--text", "  "], 2, "at least one of"),
        (["search", "--text", "x" * 600], 2, "512"),
        (["search", "--colour", "reddish-ish"], 2, "reddish-ish"),
        (["search", "--image", "nope.jpg"], 2, "nope.jpg"),
        (["search", "--image", "FOLDER"], 2, "is a folder"),
        (["search", "--image", "FEED"], 2, "products.csv: this is not a picture"),
        (["search", "--image", "EMPTY"], 2, "empty"),
        (["search", "--text", "a", "--crop", "0,0,1,1"], 2, "crop"),
        (["search", "--image", "PICTURE", "--crop", "0,0,1"], 2, "crop"),
        (["search", "--image", "PICTURE", "--crop", "a,0,1,1"], 2, "--crop needs numbers"),
        (["search", "--examples", "{}"], 2, "JSON list"),
        (["search", "--examples", "[{]"], 2, "not valid JSON"),
        (["search", "--examples", '[{"id": "a"}]'], 2, "'id'"),
        (["export-similar", "OUT", "-k", "0"], 2, "k is 0"),
        (["export-similar", "FOLDER"], 2, "is a folder"),
        (["export-similar", "nowhere/out.parquet"], 2, "nowhere/out.parquet cannot be written"),
        (["search", "--batch", "EMPTY", "--output", "nowhere/r.jsonl"], 2, "nowhere/r.jsonl"),
        (["evaluate", "FEED"], 2, "line 1"),
        (["evaluate", "EMPTY"], 2, "no query"),
        (["evaluate", "PICTURE"], 2, "UTF-8"),
    ],
    ids=lambda value: " ".join(value)[:60] if isinstance(value, list) else "",
)
def test_wrong_input_is_one_line(ask, published, rows, tmp_path, monkeypatch, args, code, says):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").touch()
    names = {
        "ID": rows[0]["id"],
        "FOLDER": published.shop,
        "FEED": published.feed,
        "PICTURE": published.shop / rows[0]["image_link"],
        "EMPTY": tmp_path / "empty",
        "OUT": tmp_path / "out.parquet",
    }
    ran = ask(*(names.get(arg, arg) for arg in args), ok=False)
    assert ran.code == code and says in ran.error
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]


def test_a_filter_that_nothing_passes_is_no_error(cli, published, rows):
    ran = cli("similar", rows[0]["id"], "--filter", "price<0", *published.common)
    assert ran.code == 0 and "no results: filter" in ran.error


def test_without_json_a_plain_table_comes_out(cli, published, rows):
    ran = cli("similar", rows[0]["id"], "-k", "3", "--facets", "brand", *published.common)
    head, *lines = ran.out.splitlines()
    assert head.split() == ["id", "title", "price", "score", "parts", "reasons"] and not ran.err
    titles = {row["title"] for row in rows}
    assert all(any(title in line for title in titles) for line in lines[:3])
    assert all(" colour " in line and line.index("EUR") == head.index("price") + 2 for line in lines[:3])
    assert lines[3] == "" and lines[4].split() == ["brand", "products"] and "\x1b" not in ran.out


# ── files of queries ──────────────────────────────────────────────────────────────────────────────


def batch_file(path, rows, published):
    picture = rows[3]["image_link"]
    shutil.copy(published.shop / picture, path.parent / "near.jpg")
    lines = [
        {"query_id": "first", "product_id": rows[0]["id"], "k": 3},
        {"product_id": "nope"},
        {"query_id": "near", "image": "near.jpg", "k": 1},
        {"query_id": "far", "image": str(published.shop / picture), "k": 1},
        {"query_id": "gone", "image": "gone.jpg"},
        {"query_id": "words", "text": rows[5]["title"], "colour": "red", "filters": {"price": {"max": 500}}},
    ]
    path.write_text("\n".join(map(json.dumps, lines)) + "\n\nnot json\n", encoding="utf-8")
    return lines


def test_batch_answers_in_order_and_goes_on_after_bad_queries(cli, ask, published, rows, tmp_path):
    queries, results = tmp_path / "queries.jsonl", tmp_path / "results.jsonl"
    batch_file(queries, rows, published)
    ran = cli("search", "--batch", queries, "--output", results, *published.common)
    assert ran.code == 3 and not ran.out and "3 of them with an error" in ran.err
    answers = [json.loads(line) for line in results.read_text("utf-8").splitlines()]
    assert [answer["query_id"] for answer in answers] == ["first", 2, "near", "far", "gone", "words", 8]
    assert [set(answer) - {"query_id"} for answer in answers] == [
        {"items"}, {"error"}, {"items"}, {"items"}, {"error"}, {"items"}, {"error"}
    ]  # fmt: skip
    alone = ask("similar", rows[0]["id"], "-k", "3")["items"]
    assert answers[0]["items"] == [{name: item[name] for name in ("id", "score", "parts")} for item in alone]
    assert answers[2]["items"] == answers[3]["items"] and answers[2]["items"][0]["id"] == rows[3]["id"]
    assert [answers[i]["error"]["code"] for i in (1, 4, 6)] == [
        "not-found", "image-unreadable", "invalid-input"
    ]  # fmt: skip
    to_stdout = cli("search", "--batch", queries, *published.common)
    assert to_stdout.out == results.read_text("utf-8") and to_stdout.code == 3
    counted = cli("search", "--batch", queries, "--output", results, "--json", "--quiet", *published.common)
    assert counted.json == {"output": str(results), "queries": 7, "failed": 3} and not counted.err


def test_results_never_take_the_place_of_the_queries(cli, published, rows, tmp_path):
    queries, link = tmp_path / "q.jsonl", tmp_path / "link.jsonl"
    queries.write_text(json.dumps({"product_id": rows[0]["id"]}))
    link.symlink_to(queries)
    before = queries.read_text()
    for output in (queries, link, tmp_path / "." / "q.jsonl"):
        ran = cli("search", "--batch", queries, "--output", output, *published.common)
        assert ran.code == 2 and "is the file of the queries; name another" in ran.error
    assert queries.read_text() == before


def test_a_good_batch_ends_with_0(cli, published, rows, tmp_path):
    queries = tmp_path / "q.jsonl"
    queries.write_text("\ufeff" + json.dumps({"product_id": rows[0]["id"]}) + "\n", encoding="utf-8")
    assert cli("search", "--batch", queries, *published.common).code == 0
    queries.write_text("")
    empty = cli("search", "--batch", queries, "--output", tmp_path / "r.jsonl", *published.common)
    assert empty.code == 0 and (tmp_path / "r.jsonl").read_text() == ""


def test_a_line_of_a_batch_that_is_not_utf8_costs_itself_only(cli, published, rows, tmp_path):
    good = json.dumps({"query_id": "good", "product_id": rows[0]["id"], "k": 1}).encode()
    queries = tmp_path / "q.jsonl"
    queries.write_bytes(b'{"query_id": "bad", "text": "caf\xe9"}\n' + good + b"\n")
    ran = cli("search", "--batch", queries, *published.common)
    bad, found = map(json.loads, ran.out.splitlines())
    assert ran.code == 3 and "UTF-8" in bad["error"]["message"] and bad["error"]["code"] == "invalid-input"
    assert found["query_id"] == "good" and len(found["items"]) == 1


def test_a_batch_that_breaks_off_leaves_the_older_results(cli, published, tmp_path):
    queries, results = tmp_path / "q.jsonl", tmp_path / "r.jsonl"
    queries.write_bytes(b'{"text": "mug"}\n' * 80 + b"\x89PNG\0\n")
    results.write_text("older")
    ran = cli("search", "--batch", queries, "--output", results, *published.common)
    assert ran.code == 2 and "UTF-8" in ran.error and results.read_text() == "older"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["q.jsonl", "r.jsonl"]


def test_evaluate_gives_the_numbers_of_the_contract(cli, ask, published, rows, tmp_path):
    near = ids(ask("similar", rows[0]["id"], "-k", "10"))
    lines = [
        {"query_id": "a", "product_id": rows[0]["id"], "relevant": [near[0], near[4]]},
        {"query_id": "b", "product_id": rows[0]["id"], "relevant": [near[4]], "ignore": near[:4]},
    ]
    qrels = tmp_path / "qrels.jsonl"
    qrels.write_text("\n".join(map(json.dumps, lines)))
    found = ask("evaluate", qrels)
    assert found == {
        "queries": 2,
        "recall@1": pytest.approx((0.5 + 1) / 2),
        "recall@10": 1.0,
        "precision@10": pytest.approx((0.2 + 0.1) / 2),
        "r_precision": pytest.approx((0.5 + 1) / 2),
        "mrr": 1.0,
        "ndcg@10": pytest.approx(found["ndcg@10"]),
        "map": pytest.approx(((1 + 2 / 5) / 2 + 1) / 2),
    }
    table = cli("evaluate", qrels, *published.common).out.splitlines()
    assert table[1].split() == ["queries", "2"] and table[5].split() == ["r_precision", "0.7500"]


def test_export_similar_is_what_similar_answers(cli, ask, published, rows, recommender, tmp_path):
    out = tmp_path / "similar.parquet"
    done = ask("export-similar", out, "-k", "7")
    table = pd.read_parquet(out)
    assert list(table.columns) == ["product_id", "position", "similar_id", "score"]
    assert done == {
        "output": str(out), "version_id": recommender.version_id, "products": 80, "rows": len(table)
    }  # fmt: skip
    assert list(dict.fromkeys(table["product_id"])) == [row["id"] for row in rows]
    for asked in (rows[0]["id"], rows[40]["id"], rows[-1]["id"]):
        own = table[table["product_id"] == asked]
        items = ask("similar", asked, "-k", "7")["items"]
        assert list(own["similar_id"]) == [item["id"] for item in items]
        assert list(own["position"]) == list(range(1, len(items) + 1))
        assert list(own["score"]) == pytest.approx([item["score"] for item in items], abs=1e-6)
    assert pq.read_schema(out).metadata[b"vision_rec.version"].decode() == recommender.version_id
    assert [path.name for path in tmp_path.iterdir()] == [out.name]
