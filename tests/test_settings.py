"""Settings: where a value comes from, and what is said of a wrong one."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from vision_rec.errors import InputError
from vision_rec.settings import NOT_SETTINGS, Settings, thread_count


@pytest.fixture(autouse=True)
def nowhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("VISION_REC_SEARCH__MAX_K", "VISION_REC_PATHS__INDEXES", "VISION_REC_SERVICE__PORT"):
        monkeypatch.delenv(name, raising=False)


def config(text, name="vision-rec.toml"):
    Path(name).write_text(text, encoding="utf-8")
    return Path(name)


def test_defaults_without_file():
    settings = Settings.load()
    assert (settings.paths.indexes, settings.search.max_k) == (Path("indexes"), 200)
    assert settings.service.host == "127.0.0.1"
    assert settings.search.presets["colour"] == {"colour": 1}


def test_a_file_here_is_read_and_one_named_too():
    config("[search]\nmax_k = 50\nweights = { colour = 2 }\n")
    assert Settings.load().search.max_k == 50
    other = config("[search]\nmax_k = 60\n", "other.toml")
    assert Settings.load(other).search.max_k == 60
    assert Settings.load(other).search.weights == {}


def test_arguments_before_environment_before_file(monkeypatch):
    config("[search]\nmax_k = 50\n[service]\nport = 1111\n")
    monkeypatch.setenv("VISION_REC_SEARCH__MAX_K", "70")
    assert Settings.load().search.max_k == 70
    assert Settings.load().service.port == 1111
    assert Settings.load(search={"max_k": 80}).search.max_k == 80


def test_an_argument_leaves_its_sections_other_values_alone():
    config("[service]\nport = 1111\nhost = '127.0.0.2'\n")
    service = Settings.load(service={"port": 2222}).service
    assert (service.port, service.host) == (2222, "127.0.0.2")


def test_none_is_not_given():
    config("[service]\nport = 1111\n")
    assert Settings.load(service={"port": None}).service.port == 1111


def test_it_is_frozen():
    settings = Settings.load()
    for change in (lambda: setattr(settings, "search", None), lambda: setattr(settings.search, "max_k", 1)):
        with pytest.raises(ValidationError):
            change()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[search]\nmax_kk = 5\n", "unknown setting 'search.max_kk'; did you mean 'max_k'?"),
        ("[serach]\nmax_k = 5\n", "unknown setting 'serach'; did you mean 'search'?"),
        ("[search]\nzzzzzz = 5\n", "unknown setting 'search.zzzzzz'; known are weights"),
        ("[search]\nmax_k = 0\n", "setting search.max_k is 0: Input should be greater than 0"),
        ("[search]\nmax_k = 'many'\n", "setting search.max_k is 'many'"),
        ("[index]\nkind = 'best'\n", "setting index.kind is 'best'"),
        ("[service]\nport = 70000\n", "setting service.port is 70000"),
        (
            "[feed]\nretire_days = 800000\n",
            "setting feed.retire_days is 800000: Input should be less than or",
        ),
        ("[search\n", "is not valid TOML"),
    ],
)
def test_wrong_files_are_told_in_one_line(text, message):
    config(text)
    with pytest.raises(InputError) as caught:
        Settings.load()
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_named_file_must_exist():
    with pytest.raises(InputError, match="no settings file absent.toml"):
        Settings.load(Path("absent.toml"))


def test_a_wrong_environment_is_told(monkeypatch):
    monkeypatch.setenv("VISION_REC_SEARCH__MAX_K", "many")
    with pytest.raises(InputError, match="search.max_k is 'many'"):
        Settings.load()


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("VISION_REC_FEED_MAX_REJECT_SHARE", "did you mean VISION_REC_FEED__MAX_REJECT_SHARE?"),
        ("VISION_REC_INDEXES", "did you mean VISION_REC_PATHS__INDEXES?"),
        ("VISION_REC_INDX__KIND", "did you mean VISION_REC_INDEX__KIND?"),
        ("VISION_REC_SERVICE_PORT", "did you mean VISION_REC_SERVICE__PORT?"),
        ("VISION_REC_ZZZ", "`vision-rec config show` lists all settings"),
    ],
)
def test_a_misspelt_variable_is_told(monkeypatch, name, near):
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setenv(name, "0.5")
    with pytest.raises(InputError) as caught:
        Settings.load()
    assert f"unknown variable {name} in the environment" in str(caught.value) and near in str(caught.value)
    monkeypatch.setenv(name, "")  # an empty variable counts as not set
    Settings.load()


def test_variables_that_are_no_settings_are_passed_over(monkeypatch):
    for name in NOT_SETTINGS:
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("vision_rec_search__max_k", "70")
    assert Settings.load().search.max_k == 70
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")  # a pod beside a service named vision-rec
    for name in (
        "SERVICE_HOST",
        "SERVICE_PORT",
        "SERVICE_PORT_HTTP",
        "PORT",
        "PORT_80_TCP",
        "PORT_80_TCP_ADDR",
    ):
        monkeypatch.setenv(f"VISION_REC_{name}", "tcp://10.0.0.2:80")
    Settings.load()
    monkeypatch.setenv("VISION_REC_FEED_RETIRE_DAYS", "3")
    with pytest.raises(InputError, match="VISION_REC_FEED__RETIRE_DAYS"):
        Settings.load()


@pytest.mark.parametrize(
    ("name", "value", "cure"),
    [
        ("VISION_REC_IMAGES__ALLOWED_HOSTS", "a,b", 'write it as ["a", "b"]'),
        ("VISION_REC_SEARCH__WEIGHTS", "colour=2", 'write it as {"name": …}'),
        ("VISION_REC_FEED", "{not json", 'write it as {"name": …}'),
    ],
)
def test_a_variable_that_should_hold_json_is_named(monkeypatch, name, value, cure):
    monkeypatch.setenv(name, value)
    with pytest.raises(InputError) as caught:
        Settings.load()
    assert str(caught.value) == f"{name} in the environment is not JSON; {cure}"


@pytest.mark.parametrize(
    ("host", "cure"),
    [
        ("http://x/", "write 'x'"),
        ("https://img.shop.example:8443/a?b", "write 'img.shop.example'"),
        ("cdn.example:80", "write 'cdn.example'"),
        ("cdn.example/img", "write 'cdn.example'"),
        ("*", "write 'img.shop.example'"),
        ("", "write 'img.shop.example'"),
    ],
)
def test_hosts_that_would_never_match_are_refused(host, cure):
    with pytest.raises(InputError, match=r"images\.allowed_hosts\.0") as caught:
        Settings.load(images={"allowed_hosts": [host]})
    assert "is no host name" in str(caught.value) and cure in str(caught.value)


def test_hosts_as_they_are_written():
    hosts = (
        "img.shop.example",
        "*.CDN.example",
        "a_b.example.",
        "127.0.0.1",
        "[2001:db8::1]",
        "::1",
        "bücher.example",
        "हिन्दी.example",
        "127。0。0。1",
    )
    assert Settings.load(images={"allowed_hosts": hosts}).images.allowed_hosts == hosts


def test_threads():
    assert thread_count(3) == 3
    assert thread_count(0) >= 1
