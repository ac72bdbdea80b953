"""Events from files and to files."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime

import pytest
from event_calls import Clock, settings_for, stored, view

from vision_rec.errors import FeedError, InputError
from vision_rec.events import EventLog
from vision_rec.events.files import COLUMNS, export_events, import_events


@pytest.fixture
def log(tmp_path):
    made = EventLog(settings_for(tmp_path / "var"), clock=Clock())
    yield made
    made.close()


VIEWS = """session_id,user_id,product_id,type,at
s1,u1,A,view,2026-01-05T07:10:00+00:00
s1,u1,B,add_to_cart,2026-01-05T07:11:00+00:00
s1,u1,B,purchase,2026-01-05T07:12:00+00:00
s2,u2,A,view,2026-01-06T07:10:00+00:00
"""


def test_a_file_of_views_is_imported_once(log, tmp_path):
    path = tmp_path / "views.csv"
    path.write_text(VIEWS)
    first, second = import_events(log, path), import_events(log, path)
    assert (first.accepted, first.duplicates, first.rejects) == (4, 0, 0)
    assert (second.accepted, second.duplicates, second.rejects) == (0, 4, 0)
    past = log.history.of("u1", None)
    assert [(e.product_id, e.type) for e in past.acts] == [
        ("A", "view"),
        ("B", "add_to_cart"),
        ("B", "purchase"),
    ]
    assert past.bought == {"B"} and past.acts[0].at == past.acts[0].received_at == datetime(
        2026, 1, 5, 7, 10, tzinfo=UTC
    )


def test_history_that_is_imported_late_comes_before_what_was_seen_live(log, tmp_path):
    log.record([view("live", user_id="u1")])
    path = tmp_path / "views.csv"
    path.write_text(VIEWS)
    import_events(log, path)
    assert [e.product_id for e in log.history.of("u1", None).acts] == ["A", "B", "B", "live"]


def test_columns_go_by_many_names_and_views_are_what_is_meant(log, tmp_path):
    path = tmp_path / "clicks.csv"
    path.write_text(
        "visitorid;itemid;timestamp;event\n7;11;1433221332117;addtocart\n7;12;1433221332118;transaction\n"
    )
    assert import_events(log, path).accepted == 2
    assert [(e.type, e.product_id, e.at.year) for e in stored(log)] == [
        ("add_to_cart", "11", 2015),
        ("purchase", "12", 2015),
    ]
    plain = tmp_path / "plain.jsonl"
    plain.write_text('{"sid": "s", "product_id": "A"}\n{"sid": "s", "product_id": "B", "position": 4}\n')
    assert import_events(log, plain, mapping={"session_id": "sid"}).accepted == 2
    assert [e.position for e in log.history.of(None, "s").acts] == [None, 4]


def test_bad_rows_are_listed_and_the_rest_goes_on(log, tmp_path):
    path = tmp_path / "bad.csv"
    path.write_text(
        "product_id,type,at,value,position\nA,view,2026-01-05,,\n,view,,,\nB,stare,,,\nC,view,never,,\n"
        "D,rating,2026-01-05,9,\nE,view,2026-01-05,x,\nF,view,2026-01-05,,1.5\nG,view,2999-01-05,,2\n"
    )
    done = import_events(log, path)
    assert (done.accepted, done.rejects) == (2, 6)
    assert [entry["line"] for entry in done.rejected] == [3, 4, 5, 6, 7, 8]
    assert stored(log)[1].at <= datetime.now(UTC)  # nobody did anything in the future


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("none.csv", "", "is empty"),
        ("no-product.csv", "user_id,at\nu,2026-01-01\n", "no column for product_id"),
        ("feed.xml", "<rss></rss>", "not from rss"),
    ],
)
def test_files_that_cannot_be_used(log, tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(FeedError, match=message):
        import_events(log, tmp_path / name)
    with pytest.raises(FeedError):
        import_events(log, tmp_path / "absent.csv")


@pytest.mark.parametrize("ending", [".csv", ".jsonl", ".parquet"])
def test_what_is_exported_can_be_imported_elsewhere(log, tmp_path, ending):
    log.record(
        [
            view("=cmd()", user_id="u", session_id="s", event_id="e1", position=2, value=1.5),
            {"type": "rating", "product_id": "Ü", "value": 4, "request_id": "r"},
        ]
    )
    out = tmp_path / f"out{ending}"
    assert export_events(log.export(), out) == 2
    if ending == ".csv":
        assert "'=cmd()" in out.read_text("utf-8")
    other = EventLog(settings_for(tmp_path / "other"))
    assert import_events(other, out, hashed=True).accepted == 2
    before, after = stored(log), stored(other)
    if ending != ".csv":
        assert [vars_of(event) for event in after] == [vars_of(event) for event in before]
    assert after[0].user_id == before[0].user_id and after[1].value == 4.0
    other.close()


def vars_of(event):
    return {name: getattr(event, name) for name in COLUMNS if name != "received_at"}


def test_an_export_elsewhere_than_to_a_known_format_is_refused(log, tmp_path):
    with pytest.raises(InputError, match=r"events are written to \.csv, \.jsonl, \.parquet"):
        export_events(log.export(), tmp_path / "out.xlsx")
    assert not os.listdir(tmp_path) or "out.xlsx" not in os.listdir(tmp_path)


def test_json_lines_are_json(log, tmp_path):
    log.record([view("A", event_id="e")])
    export_events(log.export(), tmp_path / "o.jsonl")
    (line,) = (tmp_path / "o.jsonl").read_text().splitlines()
    assert json.loads(line)["at"] == "2026-03-01T12:00:00Z" and list(json.loads(line)) == list(COLUMNS)
