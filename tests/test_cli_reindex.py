"""`reindex` and `demo`: reports, exit codes, what is left behind."""

from __future__ import annotations

import csv
import json
import socket

import pytest

from vision_rec.index.version import VersionStore

FEED = "id,title,price,image_link\n"


@pytest.fixture
def shop(tmp_path, drawn_shop):
    return drawn_shop.copy(tmp_path / "shop")


@pytest.fixture
def small(tmp_path):
    """Options for an index of its own, and a function that writes a feed."""

    def write(*lines, name="feed.csv"):
        path = tmp_path / name
        path.write_text(FEED + "".join(f"{line}\n" for line in lines), encoding="utf-8")
        return path

    return write, ["--indexes", str(tmp_path / "indexes"), "--data", str(tmp_path / "var")]


def rows(count, bad=0):
    good = [f"p{i},thing number {i},{i + 1}.00 EUR," for i in range(count)]
    return [*good, *(f"b{i},broken {i},a lot," for i in range(bad))]


def test_plan_publish_and_again(cli, shop):
    args = ["reindex", shop.feed, "--reviews", shop.shop / "reviews.csv", *shop.common]
    plan = cli(*args, "--plan", "--json")
    assert plan.code == 0 and plan.json["outcome"] == "planned" and plan.json["plan"]["new"] == 80
    assert not list(shop.indexes.glob("*Z-*"))
    first = cli(*args, "--json")
    assert first.code == 0 and first.json["outcome"] == "published" and first.json["reviews"] > 50
    assert first.json["version_id"] == VersionStore(shop.indexes).current_id()
    again = cli(*args)
    assert again.code == 0 and "nothing has changed" in again.out and not again.err
    assert len(VersionStore(shop.indexes).ids()) == 1
    full = cli(*args, "--full", "--index", "exact", "--json")
    assert full.json["outcome"] == "published" and full.json["plan"]["to_encode"] == 80


def test_the_index_kind_is_the_asked_one(cli, small):
    pytest.importorskip("faiss")
    write, common = small
    for kind in ("flat", "exact"):
        assert cli("reindex", write(*rows(40)), "--index", kind, "--json", *common).json["index_kind"] == kind
    assert (
        cli("reindex", write(*rows(40)), "--index", "auto", "--json", *common).json["index_kind"] == "exact"
    )


def test_columns_can_be_mapped(cli, small, tmp_path):
    write, common = small
    feed = tmp_path / "odd.csv"
    feed.write_text("key,name,farbe\n1,a thing,rot\n2,other thing,blau\n")
    mapped = ["--map", "id=key", "--map", "title=name", "--map", "color=farbe"]
    assert cli("reindex", feed, *mapped, *common).code == 0
    answer = cli("similar", "1", "--json", "--facets", "attributes.color", "--weights", "text=1", *common)
    assert answer.json["items"][0]["id"] == "2" and answer.json["facets"]["attributes.color"] == {"blau": 1}
    ran = cli("reindex", feed, "--map", "id", *common)
    assert ran.code == 2 and "FIELD=COLUMN" in ran.error


def test_rejected_rows_are_exit_code_3_and_are_told(cli, small):
    write, common = small
    ran = cli("reindex", write(*rows(60, bad=2)), *common)
    assert ran.code == 3 and "published version" in ran.out
    assert "rejected feed.csv:62, column 'price'" in ran.err and ran.err.count("rejected feed.csv") == 2
    report = cli("reindex", write(*rows(60, bad=2)), "--json", "--plan", *common)
    assert report.code == 3 and [entry["line"] for entry in report.json["rejects"]] == [62, 63]
    quiet = cli("reindex", write(*rows(60, bad=2)), "--quiet", *common)
    assert quiet.code == 3 and not quiet.err


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (rows(20, bad=10), "33%"),
        ([], "no product"),
        (["only-one-cell"], "bad rows"),
    ],
)
def test_a_bad_feed_is_exit_code_4_and_publishes_nothing(cli, small, lines, says):
    write, common = small
    assert cli("reindex", write(*rows(5), name="good.csv"), *common).code == 0
    before = VersionStore(common[1]).ids()
    ran = cli("reindex", write(*lines), *common)
    assert ran.code == 4 and says in ran.error
    assert VersionStore(common[1]).ids() == before and cli("similar", "p1", *common).code == 0
    more = cli("reindex", write(*rows(20, bad=10)), "--max-reject-share", "0.5", "--allow-shrink", *common)
    assert more.code == 3


def test_a_shrunken_feed_is_refused_unless_allowed(cli, small):
    write, common = small
    assert cli("reindex", write(*rows(20)), *common).code == 0
    ran = cli("reindex", write(*rows(10)), *common)
    assert ran.code == 4 and "allow-shrink" in ran.error.replace("_", "-")
    assert cli("reindex", write(*rows(10)), "--allow-shrink", *common).code == 0


def test_files_that_are_not_there(cli, small, tmp_path):
    write, common = small
    feed = write(*rows(5))
    for args, code in (
        (["reindex", tmp_path / "no.csv"], 4),
        (["reindex", tmp_path], 4),
        (["reindex", feed, "--images", tmp_path / "no"], 2),
        (["reindex", feed, "--reviews", tmp_path / "no.csv"], 4),
        (["reindex", feed, "--default-currency", "Euro"], 4),
    ):
        ran = cli(*args, *common)
        assert ran.code == code and ran.error.startswith("error: "), (args, ran)
    assert not VersionStore(common[1]).ids()


def test_reviews_of_strangers_are_told(cli, small, tmp_path):
    write, common = small
    (tmp_path / "r.csv").write_text("product_id,rating\np1,5\nx1,4\nx2,3\n")
    ran = cli("reindex", write(*rows(5)), "--reviews", tmp_path / "r.csv", *common)
    assert ran.code == 0 and "2 of 3 reviews belong to no product of the feed" in ran.err
    (tmp_path / "r.csv").write_text("product_id,rating\nx1,4\n")
    ran = cli("reindex", write(*rows(5)), "--reviews", tmp_path / "r.csv", *common)
    assert ran.code == 4 and "none of the 1 reviews" in ran.error


def test_a_second_reindex_is_exit_code_7(cli, small):
    write, common = small
    with VersionStore(common[1]).lock():
        ran = cli("reindex", write(*rows(5)), *common)
    assert ran.code == 7 and "is in use by process" in ran.error


def test_a_full_disk_is_exit_code_9(cli, small, monkeypatch):
    write, common = small
    assert cli("reindex", write(*rows(5)), *common).code == 0
    from vision_rec import failpoints

    failpoints.arm("publish.file-hashed=raise:ENOSPC")
    try:
        ran = cli("reindex", write(*rows(6)), *common)
    finally:
        failpoints.arm("")
    assert ran.code == 9 and "free" in ran.error and len(VersionStore(common[1]).ids()) == 1
    assert cli("reindex", write(*rows(6)), *common).code == 0


# ── demo ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def demo(cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return lambda *args: cli("demo", "--products", "12", *args)


def test_demo_draws_indexes_and_says_what_to_try(cli, demo, tmp_path):
    ran = demo("--no-serve")
    assert ran.code == 0 and "published version" in ran.out
    tries = [line.split() for line in ran.out.splitlines() if line.startswith("  vision-rec ")]
    assert len(tries) == 3
    with (tmp_path / "catalog" / "products.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 12
    import shlex

    for line in ran.out.splitlines():
        if line.startswith("  vision-rec "):
            tried = cli(*shlex.split(line)[1:])
            assert tried.code == 0 and len(tried.out.splitlines()) > 3, line
    again = demo("--no-serve", "--json")
    assert again.json["outcome"] == "unchanged" and again.json["url"] is None
    smaller = cli("demo", "--products", "6", "--no-serve", "--json")
    assert smaller.code == 0 and smaller.json["plan"]["products"] == 6 and smaller.json["plan"]["gone"] > 0


def test_demo_leaves_other_catalogues_alone(cli, demo, small, tmp_path):
    write, _ = small
    assert cli("reindex", write(*rows(5)), "--indexes", tmp_path / "mine").code == 0
    ran = demo("--no-serve", "--indexes", tmp_path / "mine")
    assert ran.code == 2 and "holds the catalogue of" in ran.error and not (tmp_path / "catalog").exists()
    (tmp_path / "catalog").mkdir()
    (tmp_path / "catalog" / "products.csv").write_text("id,title\n1,mine\n")
    ran = demo("--no-serve")
    assert ran.code == 2 and "was not drawn" in ran.error
    assert (tmp_path / "catalog" / "products.csv").read_text() == "id,title\n1,mine\n"


def test_demo_on_a_busy_port_says_so_before_it_draws(demo, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ran = demo("--port", taken.getsockname()[1])
    assert ran.code == 2 and "choose another with --port" in ran.error and not list(tmp_path.iterdir())


def test_demo_serves_what_it_made(demo, monkeypatch):
    served = []
    monkeypatch.setattr("vision_rec.service.run.serve", served.append)
    ran = demo("--port", "0", "--json")
    assert ran.code == 0 and json.loads(ran.out)["url"].startswith("http://127.0.0.1:")
    assert [settings.service.port for settings in served] == [0]
