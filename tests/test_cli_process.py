"""The command line as a process: signals, pipes, full and closed outputs, terminals, exit codes."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from vision_rec.index.version import VersionStore

FAKES = Path(__file__).parent / "fakes.py"
REAL = "import sys; from vision_rec.cli import main; sys.exit(main())"
PATIENCE = 60  # seconds; only a hang takes that long


def start(*args, script=None, env=None, **options):
    command = [sys.executable, *(["-c", REAL] if script is None else [str(script)]), *map(str, args)]
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **options}
    return subprocess.Popen(command, env={**os.environ, **(env or {})}, **options)


def run(*args, **options):
    with start(*args, **options) as process:
        out, err = process.communicate(timeout=PATIENCE)
    return process.returncode, out, err


def wait_for(condition, process):
    ends = time.monotonic() + PATIENCE
    while not condition():
        assert process.poll() is None and time.monotonic() < ends, process.communicate()
        time.sleep(0.02)


@pytest.fixture
def place(published, tmp_path):
    return published.copy(tmp_path / "place")


@pytest.fixture(scope="session")
def some_id(published):
    with VersionStore(published.indexes).open() as version:
        return version.ids[0]


def test_exit_codes_reach_the_shell(place, some_id):
    assert run("similar", some_id, "--json", *place.common)[0] == 0
    assert run("similar", "nope", *place.common)[0] == 2
    (place.indexes / VersionStore(place.indexes).current_id() / "ids.json").write_text("[]")
    code, out, err = run("similar", some_id, *place.common)
    assert (code, out) == (5, "") and "ids.json" in err and err.strip().splitlines()[-1].startswith("error: ")
    code, out, err = run("doctor", "--json", *place.common)
    assert code == 5 and not json.loads(out)["ok"] and not err


@pytest.mark.parametrize(
    ("number", "code", "says"), [(signal.SIGINT, 130, "Ctrl-C"), (signal.SIGTERM, 143, "SIGTERM")]
)
def test_a_stopped_reindex_says_one_line_and_goes_on_when_called_again(place, number, code, says):
    before = VersionStore(place.indexes).current_id()
    args = ["reindex", place.feed, "--full", *place.common]
    slow = {"VISION_REC_FAILPOINTS": "reindex.encoded=sleep:60"}
    process = start(*args, script=FAKES, env=slow, start_new_session=True)
    chunks = place.indexes / ".building-reindex" / ".chunks"
    wait_for(lambda: chunks.is_dir() and any(chunks.iterdir()), process)
    time.sleep(0.2)
    os.killpg(process.pid, number)  # as a terminal does, to all processes of the command
    out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out) == (code, "")
    assert [line for line in err.splitlines() if line] == [
        f"stopped by {says}; what was published before is untouched"
    ]
    assert VersionStore(place.indexes).current_id() == before
    code, out, err = run(*args, "--json", script=FAKES)
    assert code == 0 and VersionStore(place.indexes).current_id() == json.loads(out)["version_id"] != before


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_serve_ends_cleanly(place, some_id, number, code):
    process = start("serve", "--port", "0", *place.common, script=FAKES)
    url = json.loads(process.stderr.readline())["url"]
    wait_for(lambda: answers(f"{url}/readyz"), process)
    with urllib.request.urlopen(f"{url}/v1/products/{some_id}/similar?k=3", timeout=PATIENCE) as answer:
        assert len(json.load(answer)["items"]) == 3
    process.send_signal(number)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == code and "Traceback" not in err


def answers(url):
    try:
        with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
            return answer.status == 200
    except OSError:
        return False


def test_the_reader_may_go_away(place, some_id):
    reader, writer = os.pipe()
    os.close(reader)
    code, _, err = run("similar", some_id, *place.common, stdout=writer)
    os.close(writer)
    assert code == 141 and not err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_under_the_output(place, some_id, tmp_path):
    with Path("/dev/full").open("w") as full:
        code, _, err = run("similar", some_id, "--json", *place.common, stdout=full)
    assert code == 9 and "disk is full" in err and err.count("\n") == 1
    queries = tmp_path / "q.jsonl"
    queries.write_text(json.dumps({"product_id": some_id}) + "\n")
    code, _, err = run("search", "--batch", queries, "--output", "/dev/full", *place.common)
    assert code == 9 and err.count("\n") == 1


def test_closed_and_narrow_outputs(place, some_id, tmp_path):
    command = f"{sys.executable} {FAKES} similar {some_id} {' '.join(place.common)}"
    closed = subprocess.run(f"{command} >&-", shell=True, capture_output=True, text=True, timeout=PATIENCE)
    assert closed.returncode == 0 and not closed.stderr
    feed = tmp_path / "feed.csv"
    feed.write_text("id,title\n1,Mütze blau 猫\n2,Mütze rot\n", encoding="utf-8")
    indexes = ["--indexes", tmp_path / "i", "--data", tmp_path / "v"]
    narrow = {"PYTHONIOENCODING": "ascii"}
    assert run("reindex", feed, *indexes, script=FAKES, env=narrow)[0] == 0
    code, out, _ = run("similar", "2", "--json", *indexes, env=narrow)
    assert code == 0 and out.isascii() and json.loads(out)["items"][0]["title"] == "Mütze blau 猫"
    code, out, _ = run("similar", "2", *indexes, env=narrow)
    assert code == 0 and "M\\xfctze blau" in out


def test_queries_may_come_from_stdin(place, some_id):
    lines = json.dumps({"query_id": "a", "product_id": some_id, "k": 1}) + "\n"
    with start("search", "--batch", "-", *place.common, stdin=subprocess.PIPE) as process:
        out, _ = process.communicate(lines, timeout=PATIENCE)
    assert process.returncode == 0 and json.loads(out)["query_id"] == "a"


# ── on a terminal ─────────────────────────────────────────────────────────────────────────────────


def on_terminal(*args, env=None):
    """Run a command with stdout and stderr on a terminal; return its exit code and what it showed."""
    ours, theirs = pty.openpty()
    environment = {"TERM": "xterm-256color", "COLUMNS": "150", **(env or {})}
    process = start(*args, script=FAKES, env=environment, stdout=theirs, stderr=theirs)
    os.close(theirs)
    shown = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        shown += part
    os.close(ours)
    return process.wait(timeout=PATIENCE), shown.decode()


def test_a_terminal_gets_bars_colours_and_progress(place, some_id):
    code, shown = on_terminal("similar", some_id, "-k", "3", *place.common)
    assert code == 0 and "\x1b[1m" in shown and re.search(r"colour [▁-█]\d\.\d\d", shown)
    plain = on_terminal("similar", some_id, "-k", "3", *place.common, env={"NO_COLOR": "1"})[1]
    assert not re.search(r"\x1b\[3[0-9]", plain)
    code, shown = on_terminal("reindex", place.feed, "--full", *place.common)
    assert code == 0 and "encode" in shown and "80/80" in shown and "━" in shown and "/s" in shown


def test_feeds_cannot_write_to_the_terminal(tmp_path):
    feed = tmp_path / "feed.csv"
    feed.write_text("id,title\n1,a mug\n2,\x1b]0;owned\x07\x1b[31ma mug [red]x[/red]\n")
    indexes = ["--indexes", tmp_path / "i", "--data", tmp_path / "v"]
    assert run("reindex", feed, *indexes, script=FAKES)[0] in (0, 3)
    code, shown = on_terminal("search", "--text", "mug", *indexes)
    assert code == 0 and "\x1b]0" not in shown and "\x1b[31m" not in shown
