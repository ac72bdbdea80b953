"""The pages say what the code does: defaults, limits, codes, names, commands, routes, links, reasons."""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import re
import tomllib
from dataclasses import fields as fields_of
from pathlib import Path
from typing import Any

import pytest

from vision_rec import errors
from vision_rec.settings import Settings

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
REFERENCE = DOCS / "reference"
TO_COME = {DOCS / "images" / "page.png"}  # made with the first release, from the running page
IGNORED = {".venv", ".git", "var", "build", "dist"}


def pages() -> list[Path]:
    found = [*ROOT.glob("*.md"), *DOCS.rglob("*.md")]
    found += [ROOT / name / "README.md" for name in ("catalog", "deploy", "indexes", "notebooks")]
    return sorted(path for path in found if not IGNORED & set(path.relative_to(ROOT).parts))


def read(name: str) -> str:
    return (REFERENCE / name).read_text("utf-8")


def rows(text: str) -> list[list[str]]:
    """The cells of all table rows, heads and rules left out."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    cells = [re.split(r"(?<!\\)\|", line)[1:-1] for line in lines]
    return [[cell.strip() for cell in row] for row in cells if not set("".join(row)) <= set("-: ")]


def code(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def prose(text: str) -> str:
    """`text` without its blocks of code."""
    return re.sub(r"```.*?```", "", text, flags=re.DOTALL)


def section(text: str, title: str) -> str:
    """What stands under the heading `title`, up to the next of its level or higher."""
    level, rest = re.search(rf"^(#+) {re.escape(title)}$\n(.*)", text, re.MULTILINE | re.DOTALL).groups()
    return re.split(rf"^#{{1,{len(level)}}} ", rest, maxsplit=1, flags=re.MULTILINE)[0]


def defaults() -> dict[str, Any]:
    flat = Settings().model_dump(mode="json")
    return {f"{part}.{name}": value for part, values in flat.items() for name, value in values.items()}


@pytest.fixture(autouse=True)
def no_settings_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a vision-rec.toml of the checkout must not count as a default


# ── settings and limits ──────────────────────────────────────────────────────────────────────────────


def test_every_setting_is_documented_with_its_default():
    told = {code(row[0])[0]: row[1] for row in rows(read("settings.md")) if "." in (code(row[0]) or [""])[0]}
    assert set(told) == set(defaults())
    for name, value in defaults().items():
        if told[name] != "see below":
            assert json.loads(code(told[name])[0]) == value, name


def test_the_toml_of_the_settings_page_is_right():
    blocks = re.findall(r"```toml\n(.*?)```", read("settings.md"), re.DOTALL)
    example, presets = blocks
    Path("vision-rec.toml").write_text(example, encoding="utf-8")
    assert Settings.load().images.allowed_hosts
    assert tomllib.loads(presets)["search"]["presets"] == defaults()["search.presets"]


def lookup(place: str) -> Any:
    """The value of a setting, of a constant of a module, or of a field's default of a class in one."""
    if not place.startswith("vision_rec."):
        return defaults()[place]
    module, _, name = place.rpartition(".")
    try:
        return getattr(importlib.import_module(module), name)
    except ModuleNotFoundError:
        module, _, owner = module.rpartition(".")
        kind = getattr(importlib.import_module(module), owner)
        return {field.name: field.default for field in fields_of(kind)}[name]


def test_every_limit_is_that_of_the_code():
    table = [row for row in rows(read("limits.md")) if len(row) == 3 and code(row[2])]
    assert len(table) > 60
    for limit, value, place in table:
        assert json.loads(code(value)[0]) == lookup(code(place)[0]), f"{limit}: {place}"


def test_every_limit_of_pictures_and_service_is_listed():
    listed = {place for row in rows(read("limits.md")) for place in code(row[-1])}
    beside = {"images.workers", "service.host", "service.port", "service.workers", "service.poll_seconds"}
    beside |= {"service.threads", "service.warm", "service.require_keys"}
    wanted = {name for name in defaults() if name.startswith(("images.", "service."))} - beside
    assert wanted <= listed


# ── errors ───────────────────────────────────────────────────────────────────────────────────────────


def test_codes_classes_statuses_and_exits():
    from vision_rec.cli.exits import BY_ERROR, UNEXPECTED
    from vision_rec.service.problems import PROBLEMS

    text = read("errors.md")
    table = [row for row in rows(text) if len(row) == 5 and code(row[0])]
    over_http = [row for row in rows(text) if len(row) == 3 and code(row[0])]
    classes = {
        kind.code: name
        for name, kind in inspect.getmembers(errors, inspect.isclass)
        if issubclass(kind, errors.VisionRecError)
    }
    assert {code(row[0])[0]: code(row[1])[0] for row in table} == classes
    for row in table:
        name = code(row[0])[0]
        assert int(row[2]) == PROBLEMS[name].status, name
        assert int(row[3]) == BY_ERROR.get(name, UNEXPECTED), name
    assert {code(row[0])[0]: int(row[1]) for row in over_http} == {
        name: problem.status for name, problem in PROBLEMS.items() if name not in classes
    }


def test_exit_codes_are_those_that_help_prints():
    from vision_rec.cli import exits

    table = rows(section(read("errors.md"), "Exit codes"))
    told = {int(row[0]) for row in table if row[0].isdigit()}
    printed = {int(number) for number in re.findall(r"(?:^|[;:]\s)\s*(\d+) ", exits.EXIT_CODES)}
    assert told == printed
    assert set(exits.BY_ERROR.values()) <= told


# ── feeds ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("title", ["Columns of products", "Columns of reviews"])
def test_column_names_are_all_there(title):
    from vision_rec.feeds.columns import PRODUCT_FIELDS
    from vision_rec.feeds.reviews import REVIEW_FIELDS

    known = PRODUCT_FIELDS if "products" in title else REVIEW_FIELDS
    table = [row for row in rows(section(read("feeds.md"), title)) if code(row[0])]
    assert {code(row[0])[0]: tuple(code(row[1])) for row in table} == {
        name: names[1:] for name, names in known.items()
    }


# ── command line ─────────────────────────────────────────────────────────────────────────────────────


def commands() -> dict[str, Any]:
    """Every command by its name, such as `versions list`, and the groups."""
    import typer

    from vision_rec.cli.app import app

    def walk(command: Any, name: str) -> dict[str, Any]:
        inner = getattr(command, "commands", {})
        found = {name: command} if name else {}
        for word, child in inner.items():
            found |= walk(child, f"{name} {word}".strip())
        return found

    return walk(typer.main.get_command(app), "")


def test_every_command_and_option_is_in_the_reference():
    text = read("cli.md")
    for name, command in commands().items():
        assert f"vision-rec {name}" in text, name
        if not hasattr(command, "commands"):
            options = {option for parameter in command.params for option in parameter.opts}
            missing = sorted(o for o in options if o.startswith("-") and not re.search(rf"`{o}\b", text))
            missing = [o for o in missing if f"{o} " not in text and f"{o}]" not in text]
            assert not missing, f"{name}: {missing}"


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_that_a_page_names_exists(page):
    known = commands()
    text = page.read_text("utf-8")
    named = re.findall(r"(?:^[ \t]*(?:\S*/)?|`|\n)vision-rec ([a-z][a-z-]+)(?: ([a-z]+)\b)?", text, re.M)
    for word, second in named:
        assert word in known, f"`vision-rec {word}` does not exist"
        group = [name for name in known if name.startswith(f"{word} ")]
        assert not (group and second) or f"{word} {second}" in known, f"`vision-rec {word} {second}`"


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_every_option_that_a_page_gives_to_a_command_exists(page):
    known = commands()
    for line in re.findall(r"^\s*(?:\S*/)?vision-rec (.+)$", page.read_text("utf-8"), re.M):
        words = line.split(" #")[0].split()
        name = " ".join(words[:2]) if " ".join(words[:2]) in known else words[0]
        command = known.get(name)
        if command is None or hasattr(command, "commands"):
            continue
        takes = {o for p in command.params for o in (*p.opts, *getattr(p, "secondary_opts", ()))}
        given = {word.strip("[]").partition("=")[0] for word in words if word.strip("[]").startswith("--")}
        assert given <= takes | {"--help", "--version"}, line


# ── HTTP ─────────────────────────────────────────────────────────────────────────────────────────────


def test_routes_are_those_of_the_service():
    from vision_rec.service import create_app

    app = create_app(Settings())
    there = {(method, path) for path, methods in walk_routes(app) for method in methods if method != "HEAD"}
    named = re.findall(r"`(GET|POST|PUT|DELETE) (/\S*?)`", section(read("http.md"), "Routes"))
    assert set(named) == there


def walk_routes(app: Any) -> list[tuple[str, set[str]]]:
    document = app.openapi()["paths"]
    declared = [(path, {method.upper() for method in methods}) for path, methods in document.items()]
    plain = [(route.path, set(route.methods)) for route in app.routes if getattr(route, "methods", None)]
    return [*declared, *plain]


def test_fields_of_a_search():
    from vision_rec.service.schemas import SearchBody
    from vision_rec.service.search import SIMILAR_FIELDS

    text = read("http.md")
    told = {name for row in rows(section(text, "POST /v1/search")) for name in code(row[0])}
    assert told == set(SearchBody.model_fields)
    similar = section(text, "GET /v1/products/{product_id}/similar")
    assert set(SIMILAR_FIELDS) <= set(code(prose(similar)))


def test_metrics_are_those_of_the_service():
    from vision_rec.service.metrics import Metrics

    there = set()
    for family in Metrics().registry.collect():
        there.add(family.name + ("_total" if family.type == "counter" else ""))
    told = {code(row[0])[0] for row in rows(section(read("http.md"), "Metrics")) if code(row[0])}
    assert told == there


def test_the_answer_shown_has_every_field():
    from vision_rec.answers import answer_to_json
    from vision_rec.types import Product, Recommendation, Recommendations

    item = Recommendation(Product("a", "A"), 0.5, {"colour": 0.5})
    answer = answer_to_json(Recommendations((item,), "v", {"colour": 1.0}), request_id="r", took_ms=1.0)
    shown = json.loads(re.search(r"```json\n(.*?)```", section(read("http.md"), "The answer"), re.S)[1])
    assert set(shown) == set(answer)
    assert set(shown["items"][0]) == set(answer["items"][0])
    for one in shown["items"]:
        assert sum(one["parts"].values()) == pytest.approx(one["score"], abs=1e-5)


# ── Python ───────────────────────────────────────────────────────────────────────────────────────────


def test_options_of_python():
    from vision_rec.recommend import Recommender

    table = [row for row in rows(section(read("python.md"), "Ask")) if len(row) == 4 and code(row[0])]
    for column, name in ((1, "similar"), (2, "search"), (3, "recommend")):
        told = {option for row in table if row[column] != "–" for option in code(row[0])}
        taken = set(inspect.signature(getattr(Recommender, name)).parameters) - {"self"}
        assert told == taken, name


def test_names_of_python():
    from vision_rec.recommend import Recommender
    from vision_rec.types import Recommendation, Recommendations

    text = read("python.md")
    for name in re.findall(r"\brec\.([a-z_]+)", text):
        assert hasattr(Recommender, name), name
    for kind in (Recommendations, Recommendation):
        table = text.split(f"| `{kind.__name__}` | |")[1].split("\n\n")[0]
        for row in rows(table):
            for name in code(row[0]):
                assert hasattr(kind, name.removesuffix("()")), f"{kind.__name__}.{name}"


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_python_on_a_page_is_python_and_its_imports_exist(page):
    for block in re.findall(r"```python\n(.*?)```", page.read_text("utf-8"), re.DOTALL):
        if "->" in block:
            continue  # signatures
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom) and node.module.startswith("vision_rec"):
                module = importlib.import_module(node.module)
                assert all(hasattr(module, alias.name) for alias in node.names), block


def test_the_row_is_as_wide_as_the_architecture_says():
    from vision_rec.encoders import load_encoders

    layout = load_encoders(Settings().encoders).layout
    text = (DOCS / "architecture.md").read_text("utf-8")
    for aspect in layout.aspects:
        assert f"**{aspect.name}** ({aspect.dim})" in text
    assert f"{layout.dim} values" in text


# ── decisions, links, files ──────────────────────────────────────────────────────────────────────────


def test_every_dependency_has_a_reason():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    wanted = [*project["project"]["dependencies"], *project["build-system"]["requires"]]
    for extra in project["project"]["optional-dependencies"].values():
        wanted += extra
    names = {re.match(r"[A-Za-z0-9_.-]+", line)[0].lower() for line in wanted} - {"vision-rec"}
    records = " ".join(path.read_text("utf-8") for path in (DOCS / "decisions").glob("[0-9]*.md"))
    assert {name for name in names if f"`{name}`" not in records} == set()


def test_every_decision_is_in_the_list():
    table = (DOCS / "decisions" / "README.md").read_text("utf-8")
    found = sorted(path.name for path in (DOCS / "decisions").glob("[0-9]*.md"))
    assert sorted(re.findall(r"\((\d{4}-[\w-]+\.md)\)", table)) == found
    for name in found:
        title = (DOCS / "decisions" / name).read_text("utf-8").splitlines()[0]
        assert title.startswith(f"# {name[:4]} ")


def anchors(page: Path) -> set[str]:
    heads = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_relative_links_resolve(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page.read_text("utf-8"))):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        aim = (page.parent / name).resolve() if name else page
        if aim in TO_COME and not aim.exists():
            continue
        assert aim.exists(), target
        assert not anchor or anchor in anchors(aim), target


def test_examples_of_deployment_are_well_formed():
    yaml = pytest.importorskip("yaml")
    documents = list(yaml.safe_load_all((ROOT / "deploy" / "kubernetes.yaml").read_text("utf-8")))
    kinds = {document["kind"]: document for document in documents}
    pod = kinds["Deployment"]["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"]
    for container in pod["containers"]:
        assert container["securityContext"]["readOnlyRootFilesystem"]
    volumes = {volume["name"] for volume in pod["volumes"]}
    mounted = {mount["name"] for container in pod["containers"] for mount in container["volumeMounts"]}
    assert mounted == volumes
    upload = re.search(r"client_max_body_size (\d+)m", (ROOT / "deploy" / "nginx.conf").read_text("utf-8"))
    assert int(upload[1]) * 2**20 > Settings().images.max_query_bytes
    lines = (ROOT / "deploy" / "Dockerfile").read_text("utf-8").splitlines()
    names = re.findall(r"VISION_REC_(\w+)__(\w+)=", "\n".join(lines))
    assert {f"{part}.{name}".lower() for part, name in names} <= set(defaults())
    assert any(line.startswith("USER 10001") for line in lines)
