"""Two merchandisers at once, each in a browser of his own: who comes second is shown what the first did."""

from __future__ import annotations

import time

import httpx
import pytest
from browsing import expect
from browsing_axe import violations

from vision_rec.access import create_key


@pytest.fixture(scope="module")
def keys(shop):
    """One key each."""
    return {
        name: create_key(shop / "var", name, scopes).token
        for name, scopes in (("Ana", ["search", "merch"]), ("Bo", ["search", "merch"]), ("Cy", ["search"]))
    }


@pytest.fixture(scope="module")
def url(keys, url):
    """The service, once it knows the keys."""
    for _ in range(3000):
        if httpx.get(f"{url}/v1/aspects", headers={"X-API-Key": keys["Cy"]}).status_code == 200:
            return url
        time.sleep(0.02)
    raise AssertionError("the keys are not known")


@pytest.fixture
def person(make_page, url, keys):
    """Open a browser and sign in."""

    def enter(name):
        page = make_page()
        page.goto(f"{url}/login?next=/rules")
        page.get_by_label("API key").fill(keys[name])
        page.get_by_role("button", name="Sign in").click()
        page.get_by_text(f"Signed in as {name}").wait_for()
        page.watch.expected += ("status of 412", "status of 404")
        return page

    return enter


def test_both_edit_one_rule_and_nobody_loses_anything(person, url, desk):
    rule = desk.store.create(
        {"effect": "pin", "products": ["bag-blue"], "position": 2, "name": "Bags"}, "kim"
    )
    ana, bo = person("Ana"), person("Bo")
    for page in (ana, bo):
        page.goto(f"{url}/rules/edit/{rule.id}")
    ana.get_by_label("To place").fill("3")
    ana.get_by_role("button", name="Save to the draft").click()
    expect(ana, ".rule .what").to_contain_text("to place 3")

    bo.get_by_label("To place").fill("5")
    bo.get_by_label("Name, for you").fill("Bags for <Easter>")
    bo.get_by_role("button", name="Save to the draft").click()
    expect(bo, "[role=alert]").to_contain_text("was changed by Ana")
    rows = [row.split("\t") for row in bo.locator(".plain tbody tr").all_inner_texts()]
    assert rows == [["To place", "3", "5"], ["Name", "Bags", "Bags for <Easter>"]]
    assert bo.get_by_label("To place").input_value() == "5"
    assert bo.get_by_label("Name, for you").input_value() == "Bags for <Easter>"
    assert violations(bo) == []
    assert desk.store.draft().rule(rule.id).position == 3  # nothing was overwritten
    bo.get_by_role("button", name="Save to the draft").click()
    expect(bo, ".rule h2").to_have_text("Bags for <Easter>")
    expect(bo, ".rule .what").to_contain_text("to place 5")
    expect(bo, ".rule .what").to_contain_text("Bo")


def test_nobody_publishes_what_was_not_shown(person, url, desk):
    desk.store.create({"effect": "hide", "products": ["lamp-red"]}, "kim")
    ana, bo = person("Ana"), person("Bo")
    ana.goto(f"{url}/rules")
    ana.get_by_label("Note for the history").fill("for the fair")
    bo.goto(f"{url}/rules/new?effect=hide&products=mug-red")
    bo.get_by_role("button", name="Save to the draft").click()
    expect(bo, "#to-publish").to_have_text("2 changes to publish")
    ana.get_by_role("button", name="Publish", exact=True).click()
    expect(ana, "[role=alert]").to_contain_text("changed meanwhile")
    expect(ana, "#to-publish").to_have_text("2 changes to publish")
    assert ana.get_by_label("Note for the history").input_value() == "for the fair"
    ana.get_by_role("button", name="Publish", exact=True).click()
    expect(ana, ".done").to_contain_text("these rules apply now")
    assert len(desk.rules_of("current")) == 2


def test_a_rule_that_is_gone_can_be_saved_again(person, url, desk):
    rule = desk.store.create({"effect": "hide", "products": ["lamp-red"]}, "kim")
    ana, bo = person("Ana"), person("Bo")
    bo.goto(f"{url}/rules/edit/{rule.id}")
    ana.goto(f"{url}/rules")
    ana.get_by_role("button", name="Remove Hide lamp-red").click()
    expect(ana, ".empty").to_contain_text("No rules yet")
    bo.get_by_label("Name, for you").fill("Lamps")
    bo.get_by_role("button", name="Save to the draft").click()
    expect(bo, "[role=alert]").to_contain_text("Saving makes a new rule")
    bo.get_by_role("button", name="Save to the draft").click()
    expect(bo, ".rule h2").to_have_text("Lamps")


def test_who_may_only_look_is_offered_no_change(person, url, desk):
    desk.store.create({"effect": "pin", "products": ["bag-blue"]}, "kim")
    desk.store.publish("kim")
    page = person("Cy")
    page.goto(f"{url}/rules")
    expect(page, ".head .tag").to_have_text("Read only")
    expect(page, ".rule .what").to_contain_text("Pin bag-blue")
    page.goto(f"{url}/rules/history")
    page.goto(f"{url}/?product=mug-red")
    assert page.locator("[data-why]").count() > 10 and page.locator("[data-effect]").count() == 0
    page.locator("[data-why]").first.click()
    expect(page, "#why tfoot td").to_be_visible()
    assert page.locator("#why [data-effect]").count() == 0
    for path in ("/rules", "/rules/history?version=1"):
        page.goto(url + path)
        assert (
            page.locator(
                "main form, main button, main a[href^='/rules/new'], main a[href^='/rules/edit']"
            ).count()
            == 0
        )
        assert violations(page) == []
