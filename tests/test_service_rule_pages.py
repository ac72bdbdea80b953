"""The screens of rules, used without scripts: list, editor, preview, publish, undo, history, quick pins."""

from __future__ import annotations

import html
import re

import pytest
from service_shop import BASE_URL, open_shop, page
from starlette.testclient import TestClient

from vision_rec.service import create_app
from vision_rec.service.console.rule_form import RuleForm, differences

HOSTILE = "<script>alert(1)</script>\u202e🎉 'x' \"y\" " + "w" * 400
FIELDS = {
    "sent": "1",
    "effect": "pin",
    "products": "bag-blue",
    "position": "2",
    "scope": "all",
    "enabled": "1",
}


@pytest.fixture
def shop(tmp_path):
    settings, recommender = open_shop(tmp_path)
    with TestClient(create_app(settings, recommender), base_url=BASE_URL, follow_redirects=False) as client:
        yield client


def save(shop, **fields):
    answer = shop.post("/rules/save", data=FIELDS | fields)
    assert answer.status_code == 303, answer.text[:1500]
    return re.search(r"#(r-[0-9a-f]{12})", answer.headers["location"])[1]


def hidden(text, name):
    return re.search(rf'name="{name}" value="([^"]*)"', text)[1]


def first(shop):
    return shop.get("/v1/products/mug-red/similar").json()["items"]


def test_the_whole_way_without_scripts(shop):
    assert "No rules yet" in page(shop.get("/rules"))
    assert "Save to the draft" in page(shop.get("/rules/new"))
    rule = save(shop, name="Bags first")
    text = page(shop.get("/rules?said=created"))
    assert "Pin bag-blue to place 2 in all lists" in text and "1 change to publish" in text
    assert "Shoppers see it once the draft is published" in text and not first(shop)[1]["pinned"]
    published = shop.post("/rules/publish", data={"serial": hidden(text, "serial"), "note": "spring"})
    assert published.headers["location"] == "/rules?said=published" and first(shop)[1]["id"] == "bag-blue"
    text = page(shop.get("/rules?said=published"))
    assert "these rules apply now" in text and "to publish" not in text and "Version 1 applies" in text
    assert shop.post("/rules/undo").headers["location"] == "/rules?said=restored"
    assert not first(shop)[1]["pinned"]
    text = page(shop.get("/rules/history?version=1"))
    assert "What version 1 changed" in text and "spring" in text and "back to version 0" in text
    assert "created" in text and "restored" in text
    assert shop.post("/rules/restore", data={"version": "1"}).status_code == 303
    assert first(shop)[1]["pinned"]
    text = page(shop.get(f"/rules/edit/{rule}"))
    assert "Edit a rule" in text and "Bags first" in text
    removed = shop.post("/rules/remove", data={"id": rule, "serial": hidden(text, "serial")})
    assert removed.headers["location"] == "/rules?said=removed"
    assert "Removed" in page(shop.get("/rules"))
    assert shop.post("/rules/discard").status_code == 303 and "Bags first" in page(shop.get("/rules"))


def test_what_cannot_be_saved_comes_back_with_all_that_was_typed(shop):
    answer = shop.post("/rules/save", data=FIELDS | {"products": "", "name": HOSTILE, "priority": "7"})
    text = page(answer, 422)
    assert "pin names &#39;products&#39;" in text and html.escape(HOSTILE)[:30] in text.replace("&#34;", '"')
    assert 'name="priority" type="number" min="-1000" max="1000" value="7"' in text
    for wrong in ({"position": "x"}, {"effect": "boost", "strength": "a lot"}, {"effect": "explode"}):
        page(shop.post("/rules/save", data=FIELDS | wrong), 422)
    assert shop.post("/rules/save", json={}).status_code == 415


def test_hostile_names_are_text_on_every_screen(shop):
    rule = save(shop, name=HOSTILE, scope="query", scope_query="<img src=x onerror=alert(1)>")
    for path in ("/rules", f"/rules/edit/{rule}", "/rules/history"):
        text = page(shop.get(path))
        assert "<img src=x" not in text
    serial = hidden(page(shop.get("/rules")), "serial")
    shop.post("/rules/publish", data={"serial": serial, "note": HOSTILE})
    assert "alert(1)" in page(shop.get("/rules/history"))


def test_the_second_merchandiser_sees_what_the_first_did(shop):
    rule = save(shop)
    mine = page(shop.get(f"/rules/edit/{rule}"))
    shop.put(f"/v1/rules/{rule}", json={"effect": "hide", "products": ["lamp-red"]})
    late = FIELDS | {"id": rule, "serial": hidden(mine, "serial"), "position": "4"}
    text = page(shop.post("/rules/save", data=late), 412)
    assert "Hide lamp-red in all lists" in text and "As it is now" in text and 'max="200" value="4"' in text
    over = shop.post("/rules/save", data=late | {"serial": hidden(text, "serial")})
    assert over.status_code == 303 and "to place 4" in page(shop.get("/rules"))
    assert "somebody" in page(shop.post("/rules/publish", data={"serial": "1"}), 412).lower()
    page(shop.post("/rules/remove", data={"id": rule, "serial": "1"}), 412)
    page(shop.post("/rules/remove", data={"id": "r-000000000000"}), 404)


def test_nothing_that_was_not_shown_is_discarded(shop):
    save(shop, name="mine")
    shown = hidden(page(shop.get("/rules")), "serial")
    save(shop, name="theirs")
    text = page(shop.post("/rules/discard", data={"serial": shown, "note": "my note"}), 412)
    assert "The draft was changed meanwhile" in text and "theirs" in text and 'value="my note"' in text
    done = shop.post("/rules/discard", data={"serial": hidden(text, "serial")})
    assert done.headers["location"] == "/rules?said=discarded"
    assert "theirs" not in page(shop.get("/rules"))


def test_nothing_that_was_not_shown_is_taken_back(shop):
    save(shop)
    shop.post("/rules/publish")
    shown = hidden(page(shop.get("/rules")), "version")
    save(shop, name="theirs", position="3")
    shop.post("/rules/publish")
    text = page(shop.post("/rules/undo", data={"version": shown}), 412)
    assert "Version 2 applies by now, not version 1" in text and "Version 2 applies" in text
    assert shop.post("/rules/undo", data={"version": hidden(text, "version")}).status_code == 303


def test_what_is_gone_is_said_on_the_list(shop):
    rule = save(shop)
    shop.delete(f"/v1/rules/{rule}")
    for answer, status, word in (
        (shop.get(f"/rules/edit/{rule}"), 404, "There is no rule"),
        (shop.get("/rules/history?version=99"), 404, "There is no version 99"),
        (shop.post("/rules/restore", data={"version": "99"}), 404, "There is no version 99"),
        (shop.post("/rules/restore", data={"version": "x"}), 422, "give its number"),
        (shop.post("/rules/quick", data=FIELDS | {"effect": "boost"}), 422, "A card can pin or hide"),
        (shop.post("/rules/remove", data={"id": rule, "serial": "²"}), 404, "Below is what there is now"),
    ):
        text = page(answer, status)
        assert word in text and 'role="alert"' in text and "<h1>Rules</h1>" in text


def test_what_somebody_removed_meanwhile_is_saved_as_new(shop):
    rule = save(shop)
    mine = page(shop.get(f"/rules/edit/{rule}"))
    shop.delete(f"/v1/rules/{rule}")
    late = FIELDS | {"id": rule, "serial": hidden(mine, "serial"), "name": "mine"}
    text = page(shop.post("/rules/save", data=late), 404)
    assert "Saving makes a new rule" in text and 'value="mine"' in text and hidden(text, "id") == ""
    assert save(shop, name="mine") != rule


def test_fields_that_differ_are_named():
    mine = RuleForm(effect="pin", products="a\nb", position="4", name="x", starts_at="2026-03-01T08:00")
    theirs = RuleForm(effect="pin", products="a\nb", position="1", strength="90", enabled="")
    assert differences(mine, theirs) == [
        ("To place", "4", "1"),
        ("From", "2026-03-01 08:00 UTC", "–"),
        ("Name", "x", "–"),
        ("Switched on", "yes", "no"),
    ]
    assert differences(mine, mine) == []


def test_a_pin_is_moved_by_one_place(shop):
    rule = save(shop, name="<b>Bags</b>")
    moved = shop.post("/rules/move", data={"id": rule, "by": "1"})
    assert moved.headers["location"] == f"/rules?said=moved#{rule}"
    text = page(shop.get("/rules?said=moved"))
    assert "to place 3" in text and "new place in the draft" in text
    serial = hidden(text, "serial")
    alone = {"HX-Request": "true"}
    said = page(shop.post("/rules/move", data={"id": rule, "by": "-1", "serial": serial}, headers=alone))
    assert said == "“&lt;b&gt;Bags&lt;/b&gt;” is at place 2 in the draft. Publish it under Rules."
    page(shop.post("/rules/move", data={"id": rule, "by": "-1", "serial": serial}), 412)
    for _ in range(3):
        assert shop.post("/rules/move", data={"id": rule, "by": "-1"}).status_code == 303
    assert "to place 1" in page(shop.get("/rules"))
    hide = save(shop, effect="hide")
    assert "only pins have places" in page(shop.post("/rules/move", data={"id": hide, "by": "1"}), 422)
    gone = shop.post("/rules/move", data={"id": "r-000000000000", "by": "1"}, headers=alone)
    assert "no rule" in page(gone, 404).lower()


def test_the_way_leads_back_to_the_search(shop):
    search = "/?text=mug&in_stock=1"
    card = page(shop.get(search))
    link = html.unescape(re.search(r'href="([^"]*)" data-effect="pin"', card)[1])
    text = page(shop.get(link))
    assert html.unescape(hidden(text, "back")) == search
    saved = shop.post("/rules/save", data=FIELDS | {"back": search})
    text = page(shop.get(saved.headers["location"]))
    assert f'<a href="{html.escape(search)}">Back to your search</a>' in text
    sent = {"serial": hidden(text, "serial"), "back": search}
    text = page(shop.get(shop.post("/rules/publish", data=sent).headers["location"]))
    assert "Back to your search" in text
    for odd in ("//evil.example", "https://evil.example/?x", "javascript:alert(1)", "/rules/undo", "/\\evil"):
        answer = shop.post("/rules/undo", data={"back": odd})
        assert "back" not in (answer.headers.get("location") or "")
        assert "evil" not in page(shop.get("/rules", params={"said": "published", "back": odd}))


def test_a_search_without_a_list_of_its_own_is_told(shop):
    def editor(search):
        card = page(shop.get(search))
        return page(shop.get(html.unescape(re.search(r'href="([^"]*)" data-effect="pin"', card)[1])))

    for search in ("/?colour=red", "/?like=mug-red"):
        assert "this rule acts on all lists of the shop" in editor(search)
    for search in ("/?text=mug", "/?product=mug-red&colour=red"):
        assert "all lists of the shop" not in editor(search)
    assert "all lists of the shop" not in page(shop.get("/rules/new"))


def test_the_editor_has_room_for_what_a_rule_says(shop):
    body = {"effect": "boost", "products": ["mug-red"], "strength": 0.337,
            "starts_at": "2026-03-01T08:30:15Z", "ends_at": "2026-03-02T08:30:00Z"}  # fmt: skip
    rule = shop.post("/v1/rules", json=body).json()
    text = page(shop.get(f"/rules/edit/{rule['id']}"))
    assert 'step="any" value="33.7"' in text
    assert 'step="1" value="2026-03-01T08:30:15"' in text and 'local" value="2026-03-02T08:30"' in text


def test_a_publish_that_came_too_late_keeps_its_note(shop):
    save(shop)
    text = page(shop.post("/rules/publish", data={"serial": "999", "note": "for <spring>"}), 412)
    assert 'value="for &lt;spring&gt;"' in text


def test_preview_alone_and_as_a_page(shop):
    alone = shop.post("/rules/preview", data=FIELDS, headers={"HX-Request": "true"})
    text = page(alone)
    assert "<html" not in text and "lists change" in text and "Before" in text and "pinned" in text
    text = page(shop.post("/rules/preview", data=FIELDS | {"name": "kept"}))
    assert "<html" in text and 'value="kept"' in text and "lists change" in text
    hint = page(shop.post("/rules/preview", data=FIELDS | {"products": ""}, headers={"HX-Request": "true"}))
    assert "A pin names" in hint
    assert shop.get("/v1/rules").json()["rules"] == []


def test_a_card_pins_and_hides(shop):
    back = "/?product=mug-red&offset=24"
    form = {"effect": "pin", "products": "bag-blue", "position": "3", "scope": "product",
            "scope_product": "mug-red", "back": back}  # fmt: skip
    assert shop.post("/rules/quick", data=form).headers["location"] == back
    evil = shop.post("/rules/quick", data=form | {"effect": "hide", "back": "https://evil.example/"})
    assert evil.headers["location"].startswith("/rules?said=created#r-")
    sentences = [rule["sentence"] for rule in shop.get("/v1/rules").json()["rules"]]
    assert sentences == [
        "Hide bag-blue in the list of mug-red",
        "Pin bag-blue to place 3 in the list of mug-red",
    ]
    assert shop.post("/rules/quick", data=form | {"effect": "boost"}).status_code == 422


def test_other_sites_cannot_change_rules(shop):
    for path in ("/rules/save", "/rules/quick", "/rules/publish", "/rules/undo"):
        answer = shop.post(path, data=FIELDS, headers={"Sec-Fetch-Site": "cross-site"})
        assert answer.status_code == 403 and answer.json()["type"] == "cross-site"


def test_nothing_to_undo_or_publish_is_said(shop):
    assert "Nothing is published yet" in page(shop.post("/rules/undo"), 422)
    assert shop.post("/rules/publish").headers["location"] == "/rules?said=same"
    assert "<script" not in page(shop.get("/rules?said=<script>")).split("<main")[1]
    assert shop.get("/rules/edit/r-000000000000").status_code == 404
    assert shop.post("/rules/restore", data={"version": "x"}).status_code == 422


@pytest.mark.parametrize(
    "body",
    [
        {"effect": "pin", "products": ["a", "b c"], "position": 4, "priority": -2, "name": "n"},
        {"effect": "hide", "filters": {"brand": ["X"], "price": {"max": 9.5}, "in_stock": False}},
        {"effect": "boost", "filters": ["brand=A|B", "price=1..2", "category=C"], "strength": 0.075},
        {"effect": "filter", "filters": ["in_stock=true", "rating>=4"], "enabled": False,
         "scope": {"kind": "query", "value": "x y"}, "starts_at": "2026-03-01T08:30:00Z",
         "ends_at": "2026-03-09T23:59:59Z"},
        {"effect": "bury", "products": ["a"], "strength": 1.0, "scope": {"kind": "product", "value": "p"}},
    ],
)  # fmt: skip
def test_a_rule_goes_through_the_form_unchanged(shop, body):
    made = shop.post("/v1/rules", json=body).json()
    store = shop.app.state.service.rules
    form = RuleForm.of({**made, "conditions": store.conditions(made["id"])})
    again = shop.put(f"/v1/rules/{made['id']}", json=form.body()).json()
    for name in ("effect", "name", "scope", "products", "position", "strength", "priority", "enabled"):
        assert again[name] == made[name], name
    assert (again["starts_at"], again["ends_at"]) == (made["starts_at"], made["ends_at"])
    assert sorted(again["sentence"].split()) == sorted(made["sentence"].split())
