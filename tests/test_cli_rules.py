"""`rules`: list, add, remove, publish, diff, undo, history, check."""

from __future__ import annotations

import pytest


@pytest.fixture
def place(published, tmp_path):
    return published.copy(tmp_path / "place")


@pytest.fixture
def rules(cli, place):
    """Run `rules VERB ARGS…` in the place."""
    return lambda verb, *args: cli("rules", verb, *args, *place.common)


@pytest.fixture
def similar(cli, place):
    def ask(product):
        ran = cli("similar", product, "--json", *place.common)
        assert ran.code == 0, ran
        return ran.json

    return ask


def ids_of(place):
    import csv

    with place.feed.open(newline="", encoding="utf-8") as file:
        return [row["id"] for row in csv.DictReader(file)]


def test_the_whole_way(place, rules, similar):
    shown = ids_of(place)
    base = shown[0]
    before = similar(base)
    first, last = before["items"][0]["id"], before["items"][-1]["id"]
    assert rules("list", "--json").json == {
        "version": 0, "draft": 0, "changed": False, "degraded": [], "rules": []
    }  # fmt: skip
    added = rules("add", "pin", "--products", last, "--position", "2", "--name", "Summer", "--json").json
    assert added["sentence"] == f"Pin {last} to place 2 in all lists" and added["problems"] == []
    hide = rules("add", "hide", "--products", first, "--product", base)
    assert hide.code == 0 and f"Hide {first} in the list of {base}" in hide.out
    assert [item["id"] for item in similar(base)["items"]] == [item["id"] for item in before["items"]]
    assert "+ r-" in rules("diff").out and len(rules("diff", "--json").json["changes"]) == 2
    published = rules("publish", "--note", "spring", "--json").json
    assert (published["version"], published["published"], len(published["changes"])) == (1, True, 2)
    after = similar(base)
    assert after["items"][1]["id"] == last and after["items"][1]["pinned"]
    assert first not in {item["id"] for item in after["items"]} and len(after["items"]) == 10
    assert [rule["effect"] for rule in after["rules"]] == ["hide", "pin"]
    assert "nothing to publish" in rules("publish").err
    undone = rules("undo", "--json").json
    assert undone == {"version": 2, "restored_from": 0, "rules": 0}
    assert [item["id"] for item in similar(base)["items"]] == [item["id"] for item in before["items"]]
    assert rules("undo", "1").code == 0 and similar(base)["items"][1]["id"] == last
    history = rules("history", "--json").json["versions"]
    assert [(v["number"], v["restored_from"], v["note"]) for v in history] == [
        (3, 1, "back to version 1"), (2, 0, "back to version 0"), (1, None, "spring")
    ]  # fmt: skip
    assert rules("remove", added["id"], "--json").json == {"removed": added["id"]}
    whats = [entry["what"] for entry in rules("history", "--audit", "--json").json["entries"]]
    assert whats == ["removed", "restored", "restored", "published", "created", "created"]
    table = rules("list").out
    assert "Hide" in table and "active" in table and "draft differs" in rules("list").err


def test_check_names_what_does_not_do_what_it_says(place, rules):
    first, second = ids_of(place)[:2]
    assert rules("check").out == "good\n" and rules("check").code == 0
    rules("add", "pin", "--products", first, "--position", "1", "--name", "A")
    rules("add", "pin", "--products", f"{second},gone-{second}", "--name", "B")
    rules("add", "hide", "--products", first, "--name", "C")
    rules("add", "boost", "--filter", "attributes.unheard=x", "--strength", "0.2")
    rules("add", "filter", "--filter", "price<=0", "--category", "Nowhere")
    ran = rules("check", "--json")
    said = " | ".join(problem for problems in ran.json["rules"].values() for problem in problems)
    assert ran.code == 3 and not ran.json["ok"] and ran.json["checked"] and ran.json["damage"] == []
    for word in (
        "place 1 is taken by “B”", f"{first} hidden by “C”: hide wins", "is not in the catalogue",
        "no product has the attribute", "no product passes its filters", "in the category Nowhere",
    ):  # fmt: skip
        assert word in said, (word, said)
    assert "conflict" in rules("list").out


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("add", "pun"), "did you mean"),
        (("add", "pin"), "names 'products'"),
        (("add", "hide", "--products", "A", "--category", "x", "--query", "y"), "--category and --query"),
        (("add", "hide", "--products", "A", "--from", "soon"), "starts_at"),
        (("remove", "r-000000000000"), "no rule"),
        (("diff", "7"), "no version 7"),
        (("diff", "x"), "names no rules"),
        (("undo",), "nothing is published"),
        (("undo", "4"), "no version 4"),
        (("history", "--limit", "0"), "1 or more"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(rules, arguments, word):
    ran = rules(*arguments)
    assert ran.code == 2 and word in ran.error


def test_rules_can_be_written_before_there_is_a_catalogue(cli, tmp_path):
    common = ["--indexes", tmp_path / "none", "--data", tmp_path / "var"]
    assert cli("rules", "add", "hide", "--products", "A", *common).code == 0
    assert cli("rules", "list", "--json", *common).json["rules"][0]["problems"] == []
    assert "no catalogue" in cli("rules", "check", *common).out


def test_damage_is_told_by_check_doctor_and_answers(cli, place, rules, similar):
    base, other = ids_of(place)[:2]
    rules("add", "hide", "--products", other)
    rules("publish")
    rules("add", "hide", "--products", ids_of(place)[2])
    rules("publish")
    (place.root / "var" / "rules" / "versions" / "000002.json").write_text("{}")
    answer = similar(base)
    assert "rules" in answer["degraded"][0] and "version 1 applies" in answer["degraded"][0]
    assert [rule["effect"] for rule in answer["rules"]] == ["hide"]
    assert rules("check").code == 3 and "000002.json" in rules("check").out
    doctor = cli("doctor", "--json", *place.common)
    found = next(check for check in doctor.json["checks"] if check["name"] == "rules")
    assert found["status"] == "fail" and "000002.json" in found["detail"] and doctor.code == 5
    rules("publish")
    assert similar(base)["degraded"] == []


def test_evaluate_measures_the_ranking_without_rules(cli, place, rules):
    base, *others = ids_of(place)
    query = place.root / "q.jsonl"
    query.write_text(f'{{"product_id": "{base}", "relevant": ["{others[0]}"]}}\n')
    before = cli("evaluate", query, "--json", *place.common).json
    rules("add", "hide", "--products", ",".join(others[:20]))
    rules("publish")
    assert cli("evaluate", query, "--json", *place.common).json == before
