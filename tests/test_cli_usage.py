"""The command line as a whole: help, usage errors, exit codes, common options, settings."""

from __future__ import annotations

import re

import pytest

from vision_rec import errors
from vision_rec.cli import exits
from vision_rec.cli.exits import EXIT_CODES, one_line, reported

COMMANDS = (
    "demo reindex similar search export-similar export-onnx evaluate evaluate-sessions audience serve doctor "
    "health versions train config events privacy keys rules"
).split()
LATER = "bench"
COMMON = ("--indexes", "--data", "--config", "--verbose", "--quiet")


def leaf_commands():
    groups = {
        "versions": "list verify diff activate prune",
        "train": "image session",
        "config": "show",
        "events": "import export",
        "privacy": "export erase",
        "keys": "create list rotate revoke",
        "rules": "list add remove publish diff undo history check",
    }
    return [
        [name] if leaf == "-" else [name, leaf] for name in COMMANDS for leaf in groups.get(name, "-").split()
    ]


def test_help_lists_the_commands_there_are_and_the_exit_codes(cli):
    ran = cli("--help")
    listed = re.findall(r"^  ([a-z-]+)  ", ran.out.partition("Commands:")[2], re.MULTILINE)
    assert ran.code == 0 and listed == COMMANDS and not ran.err
    assert not set(LATER.split()) & set(listed)
    assert " ".join(EXIT_CODES.split()) in " ".join(ran.out.split())
    named = {int(number) for number in re.findall(r"(\d+) ", EXIT_CODES)}
    assert named == {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 130, 141, 143}


@pytest.mark.parametrize("command", leaf_commands(), ids=" ".join)
def test_every_command_takes_the_common_options_and_says_what_it_does(cli, command):
    ran = cli(*command, "--help")
    assert ran.code == 0 and ran.out.startswith(f"Usage: vision-rec {' '.join(command)} ")
    assert all(option in ran.out for option in COMMON)
    sentence = ran.out.splitlines()[2].strip()
    assert sentence.endswith(".") and len(sentence) <= 50


def test_version(cli):
    from vision_rec import __version__

    assert cli("--version").out == f"vision-rec {__version__}\n"


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["similr", "x"], "'similr'"),
        (["similar"], "PRODUCT_ID"),
        (["similar", "x", "--colour", "red"], "--colour"),
        (["similar", "x", "-k", "many"], "'-k'"),
        (["search", "--text"], "--text"),
        (["versions"], "Missing command"),
        (["versions", "lst"], "'list'"),
        (["train"], "Missing command"),
        (["reindex", "a", "b"], "b"),
        (["reindex", "feed.csv", "--index", "milvus"], "setting index.kind is 'milvus'"),
        (["serve", "--port", "99999"], "setting service.port"),
        (["serve", "--host", "0.0.0.0"], "this machine only"),
        (["keys", "create", "--name", "shop", "--scope", "serch"], "'serch'"),
        (["keys", "create", "--name", "shop", "--scope", "search", "--expires", "soon"], "'soon'"),
        (["keys", "revoke", "0123456789ab"], "there is no key"),
        (["keys", "rotate", "nobody"], "there is no valid key"),
        (["keys", "rotate", "nobody", "--grace", "-1"], "--grace"),
        (["config", "show", "--config", "no.toml"], "no.toml"),
        (["search", "--output", "o.jsonl", "--text", "a"], "--batch"),
        (["search", "--batch", "no.jsonl"], "no.jsonl"),
        (["search", "--batch", "q.jsonl", "--json"], "leave --json away, or give --output"),
        (["search", "--batch", "q.jsonl", "--text", "a", "-k", "3"], "--k, --text"),
        (["evaluate", "no.jsonl"], "no.jsonl"),
        (["train", "image", "--packs", "no", "--out", "o"], "--packs"),
        (["versions", "prune", "--keep", "0"], "--keep is 0"),
        (["versions", "diff", "a", "b", "--probes", "-1"], "--probes is -1"),
        (["demo", "--products", "0", "--no-serve"], "0 products"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_usage_is_one_line_and_exit_code_2(cli, tmp_path, monkeypatch, args, says):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "feed.csv").write_text("id,title\n1,a\n")
    ran = cli(*args)
    assert ran.code == 2 and says in ran.error
    assert sorted(path.name for path in tmp_path.iterdir()) == ["feed.csv"]


def test_no_command_shows_the_help(cli):
    ran = cli()
    assert ran.code == 2 and "Commands:" in ran.err and not ran.out


def error_classes():
    return [
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.VisionRecError) and kind.code != "internal"
    ]


@pytest.mark.parametrize("kind", error_classes())
def test_every_error_of_ours_has_a_documented_exit_code(kind):
    assert 2 <= exits.BY_ERROR[kind.code] <= 9


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (errors.InputError("weights name 'x'"), 2, "error: weights name 'x'"),
        (errors.NotFoundError("no product"), 2, "error: no product"),
        (errors.FeedError("empty"), 4, "error: empty"),
        (errors.IntegrityError("damaged"), 5, "error: damaged"),
        (errors.IncompatibleError("other"), 6, "error: other"),
        (errors.LockedError("held"), 7, "error: held"),
        (errors.UnavailableError("no faiss"), 8, "error: no faiss"),
        (errors.ResourceError("full"), 9, "error: full"),
        (MemoryError(), 9, "memory"),
        (OSError(28, "No space left on device"), 9, "disk is full"),
        (KeyboardInterrupt(), 130, "Ctrl-C"),
        (KeyError("colour"), 1, "error: unexpected KeyError: 'colour'; run it again with -vv"),
        (errors.InputError("a\nb\x1b[31m\r\u2028c"), 2, "error: a b [31m c"),
    ],
)
def test_what_is_raised_becomes_one_line_and_a_code(capsys, error, code, says):
    with reported() as outcome:
        raise error
    err = capsys.readouterr().err
    assert outcome.code == code and says in err and err.count("\n") == 1 and "\x1b" not in err


def test_tracebacks_come_with_vv_only(cli, tmp_path):
    quiet, loud = (cli("similar", "x", "--indexes", tmp_path / "none", *more) for more in ([], ["-vv"]))
    assert quiet.code == loud.code == 8
    assert "Traceback" in loud.err and "no index version" in quiet.error


def test_common_options_stand_before_or_after_the_command(cli, published):
    after = cli("versions", "list", "--json", *published.common)
    before = cli(*published.common, "versions", "list", "--json")
    assert after.json == before.json and after.json["current"]
    nearer = cli("--indexes", "elsewhere", "versions", "list", "--json", *published.common)
    assert nearer.json == after.json


def test_config_show_says_what_is_in_force_and_why(cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "vision-rec.toml").write_text("[search]\nmax_k = 50\n[index]\nkeep_versions = 7\n")
    monkeypatch.setenv("VISION_REC_INDEX__KEEP_VERSIONS", "4")
    monkeypatch.setenv("VISION_REC_FEED", '{"retire_days": 3}')
    shown = cli("config", "show", "--indexes", "here", "--json")
    assert shown.json["paths"]["indexes"] == "here" and shown.json["search"]["max_k"] == 50
    both = cli("config", "show", "--indexes", "here", "--origin", "--json").json
    assert both["settings"] == shown.json
    assert both["settings"]["index"]["keep_versions"] == 4 and both["settings"]["feed"]["retire_days"] == 3
    assert (
        both["origins"]
        | {
            "paths.indexes": "option",
            "search.max_k": "file vision-rec.toml",
            "index.keep_versions": "environment VISION_REC_INDEX__KEEP_VERSIONS",
            "feed.retire_days": "environment VISION_REC_FEED",
            "feed.max_reject_share": "default",
        }
        == both["origins"]
    )
    lines = cli("config", "show").out.splitlines()
    assert "search.max_k = 50" in lines and 'service.host = "127.0.0.1"' in lines
    assert len(lines) == len(both["origins"])


@pytest.mark.parametrize(
    ("text", "says"),
    [("[serch]\nmax_k = 5\n", "serch"), ("not toml", "not valid TOML"), ("\xff", "UTF-8")],
)
def test_a_wrong_settings_file_is_one_line(cli, tmp_path, text, says):
    (tmp_path / "s.toml").write_bytes(text.encode("latin-1"))
    ran = cli("config", "show", "--config", tmp_path / "s.toml")
    assert ran.code == 2 and says in ran.error


def test_a_wrong_variable_is_one_line(cli, monkeypatch):
    monkeypatch.setenv("VISION_REC_FEED", "{not json")
    ran = cli("config", "show")
    assert ran.code == 2 and "environment" in ran.error


def test_one_line_keeps_words_and_drops_control_characters():
    assert one_line("  a\tb\n\x07c\u2029 ") == "  a b c"
