"""`events` and `privacy` on the command line, recommendations by user there, and what doctor says."""

from __future__ import annotations

import json

import pytest
from event_calls import bytes_of, settings_for, view
from redis_server import RedisServer

from vision_rec.cli.app import run
from vision_rec.diagnose.events import store as diagnose_store
from vision_rec.events import EventLog


@pytest.fixture
def data(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # no settings file of the checkout
    monkeypatch.setenv("VISION_REC_EVENTS__MAX_DISK_SHARE", "1.0")
    return tmp_path / "var"


@pytest.fixture
def command(data, capsys):
    """Runs a command and returns its exit code, stdout and stderr."""

    def go(*args):
        code = run([*map(str, args), "--data", str(data)])
        return code, *capsys.readouterr()

    return go


def views(folder, rows):
    path = folder / "views.csv"
    path.write_text("session_id,user_id,product_id,type,at\n" + "".join(f"{row}\n" for row in rows))
    return path


def test_import_export_and_erase(command, data, tmp_path):
    path = views(tmp_path, ["s1,anna,A,view,2026-01-05T07:10:00Z", "s1,anna,B,purchase,2026-01-05T07:11:00Z",
                            "s2,bob,A,view,2026-01-06T07:10:00Z"])  # fmt: skip
    code, out, _ = command("events", "import", path, "--json")
    assert (code, json.loads(out)["accepted"]) == (0, 3)
    assert (
        command("events", "import", path)[1]
        .strip()
        .endswith("0 events stored, 3 were there already, 0 rejected")
    )

    code, out, _ = command("events", "export", tmp_path / "all.csv", "--json")
    assert json.loads(out) == {"output": str(tmp_path / "all.csv"), "events": 3}
    assert "anna" not in (tmp_path / "all.csv").read_text()
    assert command("events", "export", tmp_path / "all.jsonl")[1] == f"{tmp_path / 'all.jsonl'}: 3 events\n"

    mine = [json.loads(line) for line in command("privacy", "export", "anna")[1].splitlines()]
    assert [(entry["product_id"], entry["user_id"]) for entry in mine] == [("A", "anna"), ("B", "anna")]
    assert json.loads(command("privacy", "export", "anna", "--json")[1])["events"] == mine
    told = command("privacy", "export", "anna", "--output", tmp_path / "mine.jsonl", "--json")[1]
    assert json.loads(told)["events"] == 2
    assert [json.loads(line) for line in (tmp_path / "mine.jsonl").read_text().splitlines()] == mine
    assert command("privacy", "export", "anna", "--output", tmp_path / "mine.csv")[1].endswith(": 2 events\n")

    assert json.loads(command("privacy", "erase", "anna", "--json")[1]) == {"erased": 2}
    assert command("privacy", "erase", "anna")[1] == "0 events erased\n"
    assert command("privacy", "export", "anna")[1] == ""
    for name, content in bytes_of(data).items():
        assert mine[0]["session_id"].encode() not in content, name

    code, out, err = command("events", "import", path)  # the file from before
    assert code == 3 and "2 rejected" in out and "the user was erased after this event" in err


def test_bad_rows_give_exit_3_and_are_listed(command, tmp_path):
    code, out, err = command("events", "import", views(tmp_path, [",,A,stare,", ",,,view,", "s,,A,view,"]))
    assert code == 3 and "1 events stored, 0 were there already, 2 rejected" in out
    assert "line 2, column 'type'" in err and "line 3, column 'product_id'" in err


def test_what_cannot_be_read_or_written(command, tmp_path):
    assert command("events", "import", tmp_path / "absent.csv")[0] == 4
    assert command("events", "import", views(tmp_path, ["s,,A,view,"]), "--map", "nonsense")[0] == 2
    code, _, err = command("events", "export", tmp_path / "x.doc")
    assert code == 2 and ".csv, .jsonl, .parquet" in err
    assert command("privacy", "erase")[0] == 2


def test_recommendations_by_user_on_the_command_line(published, tmp_path, monkeypatch, capsys):
    place = published.copy(tmp_path / "place")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VISION_REC_EVENTS__MAX_DISK_SHARE", "1.0")
    from vision_rec import Recommender

    ids = [product.id for product in Recommender.open(place.indexes).products(limit=4)]
    rows = [f"s1,u1,{ident},view,2026-01-05T07:1{i}:00Z" for i, ident in enumerate(ids[:3])]
    assert run(["events", "import", str(views(tmp_path, rows)), *place.common]) == 0
    capsys.readouterr()

    def ask(*args):
        assert run([*args, "--json", *place.common]) == 0
        return json.loads(capsys.readouterr().out)

    by_user, by_session = ask("search", "--user-id", "u1"), ask("search", "--session-id", "s1")
    assert [item["id"] for item in by_user["items"]] == [item["id"] for item in by_session["items"]]
    assert by_user["items"][0]["reasons"][0].startswith("because you viewed ")
    beside = ask("similar", ids[3], "--user-id", "u1", "--session-share", "0.8")
    viewed = ask("similar", ids[3], "--recent", ",".join(ids[:3]), "--session-share", "0.8")
    plain = ask("similar", ids[3])
    assert beside["items"] != plain["items"] and viewed["items"] != plain["items"]
    assert ask("search", "--user-id", "stranger")["items"][0]["reasons"][0].startswith("popular: ")


def test_the_password_of_redis_is_not_shown(command, monkeypatch):
    monkeypatch.setenv("VISION_REC_EVENTS__URL", "redis://me:hunter2@shop.example:6379/0")
    for options in ((), ("--origin",), ("--json",)):
        out = command("config", "show", *options)[1]
        assert "hunter2" not in out and "redis://***@shop.example:6379/0" in out


# ── doctor ───────────────────────────────────────────────────────────────────────────────────────────


def said(settings):
    return [(found.status, found.detail) for found in diagnose_store(settings)]


def test_doctor_on_sqlite(tmp_path):
    settings = settings_for(tmp_path / "var")
    assert said(settings) == [("ok", "none yet")] and not (tmp_path / "var").exists()
    log = EventLog(settings)
    log.record([view(), view()])
    log.close()
    assert said(settings) == [("ok", "2 events, synced at every commit")]
    path = tmp_path / "var" / "events.db"
    path.chmod(0o644)
    assert said(settings)[0] == ("warn", "others can read them")
    path.chmod(0o600)
    damaged = bytearray(path.read_bytes())
    damaged[4096 : len(damaged)] = bytes(len(damaged) - 4096)
    path.write_bytes(damaged)
    (finding,) = diagnose_store(settings)
    assert finding.status == "fail" and finding.damage and finding.fix


@pytest.mark.parametrize(
    ("options", "status", "detail"),
    [
        (("--appendfsync", "always"), "ok", "synced at every write"),
        (("--appendfsync", "everysec"), "warn", "a power cut may lose the last second"),
        (("--appendonly", "no"), "fail", "the append-only file is off"),
        (("--maxmemory", "50mb", "--maxmemory-policy", "allkeys-lru"), "fail", "may throw events away"),
    ],
    ids=["always", "everysec", "off", "evicting"],
)
def test_doctor_on_redis(tmp_path, options, status, detail):
    server = RedisServer(tmp_path / "redis", *options).start()
    try:
        (found,) = diagnose_store(settings_for(tmp_path / "var", store="redis", url=server.url))
        assert found.status == status and detail in found.detail
    finally:
        server.kill()
    (found,) = diagnose_store(settings_for(tmp_path / "var", store="redis", url=server.url))
    assert found.status == "fail" and "cannot be reached" in found.detail
