"""Logins to the console: cookies, their ends, targets, requests from other sites."""

from __future__ import annotations

import re

import pytest
from keyed_shop import PAGE, SAME, bearer, fresh_client, keyed_shop, log_in, own_services, wait_for
from service_shop import BASE_URL, problem

from vision_rec.access import revoke_key
from vision_rec.service.auth import LOCAL_COOKIE, SECURE_COOKIE
from vision_rec.service.console.login import safe_target


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A service with one key per scope and one with all; nobody may change its keys."""
    with keyed_shop(tmp_path_factory.mktemp("auth")) as opened:
        yield opened


@pytest.fixture
def client(shop):
    return fresh_client(shop)


@pytest.fixture
def own(tmp_path):
    """Make a service whose keys and settings a test may change."""
    with own_services(tmp_path) as make:
        yield make


# ── logins ───────────────────────────────────────────────────────────────────────────────────────────


def test_people_are_led_to_the_login_and_back(shop, client):
    answer = client.get("/?product=mug-red&weights=colour:2", headers=PAGE)
    assert answer.status_code == 303
    page = client.get(answer.headers["location"], headers=PAGE)
    assert page.status_code == 200 and 'type="password"' in page.text and "Open to everybody" not in page.text
    target = re.search(r'name="next" value="([^"]*)"', page.text)[1].replace("&amp;", "&")
    assert target == "/?product=mug-red&weights=colour:2"
    answer = log_in(client, shop.tokens["all"], target)
    assert (answer.status_code, answer.headers["location"]) == (303, target)
    seen = client.get(target, headers=PAGE)
    assert seen.status_code == 200 and "Signed in as for all" in seen.text and "Similar to" in seen.text
    assert client.get("/v1/aspects", headers=SAME).status_code == 200  # so the console's scripts may ask


def test_scripts_of_the_page_are_told_not_led(client):
    answer = client.get("/results?product=mug-red", headers={**SAME, "Sec-Fetch-Mode": "cors"})
    assert answer.status_code == 401 and 'role="alert"' in answer.text and "/login" in answer.text
    posted = client.post("/results", headers={**SAME, "Sec-Fetch-Mode": "cors"})
    assert posted.status_code == 401 and posted.headers["content-type"].startswith("text/html")
    assert client.post("/", headers=PAGE).headers["location"] == "/login?next=%2F"


def test_the_cookie_on_this_machine(shop, client):
    said = log_in(client, shop.tokens["search"]).headers["set-cookie"]
    assert said.startswith(f"{LOCAL_COOKIE}=") and "Secure" not in said
    assert "HttpOnly" in said and "SameSite=strict" in said and "Path=/" in said and "Domain" not in said
    assert "Max-Age=43200" in said and shop.tokens["search"] not in said


@pytest.mark.parametrize(
    "headers", [{"Host": "10.0.0.5:8000"}, {"X-Forwarded-Proto": "https"}], ids=["trusted", "proxy"]
)
def test_the_cookie_over_tls(shop, client, headers):
    said = log_in(client, shop.tokens["search"], **headers).headers["set-cookie"]
    assert said.startswith(f"{SECURE_COOKIE}=") and SECURE_COOKIE.startswith("__Host-")
    assert "Secure" in said and "HttpOnly" in said and "SameSite=strict" in said
    assert "Path=/" in said and "Domain" not in said
    token = said.partition("=")[2].partition(";")[0]
    kept = {"Cookie": f"other=1; {SECURE_COOKIE}={token}", "Host": "10.0.0.5:8000"}
    assert client.get("/v1/aspects", headers=kept).status_code == 200
    planted = {"Cookie": f"{LOCAL_COOKIE}={token}", "Host": "10.0.0.5:8000"}
    assert client.get("/v1/aspects", headers=planted).status_code == 401  # anybody near may plant that one


def test_no_login_where_the_key_could_be_read_on_its_way(shop, client):
    headers = {"Host": "10.0.0.5:8000", "Origin": "http://10.0.0.5:8000"}
    answer = client.post("/login", data={"key": shop.tokens["search"]}, headers=headers)
    assert answer.status_code == 403 and "https" in answer.text and "set-cookie" not in answer.headers
    assert "https" in client.get("/login", headers={"Host": "10.0.0.5:8000"}).text


def test_a_wrong_key_is_told_on_the_page(shop, client):
    answer = log_in(client, "vrk_wrong", "/?text=mug")
    assert answer.status_code == 401 and 'role="alert"' in answer.text and "no such key" in answer.text
    assert "set-cookie" not in answer.headers and "vrk_wrong" not in answer.text
    assert 'value="/?text=mug"' in answer.text  # where to go on is kept
    assert log_in(client, "").status_code == 401
    said = log_in(client, shop.tokens["events"])
    assert said.status_code == 403 and "the console needs search" in said.text


def test_a_logout_ends_the_login_and_not_only_the_cookie(shop, client):
    log_in(client, shop.tokens["search"])
    token = client.cookies[LOCAL_COOKIE]
    answer = client.post("/logout", headers=SAME)
    assert (answer.status_code, answer.headers["location"]) == (303, "/login")
    assert "Max-Age=0" in answer.headers["set-cookie"] and not client.cookies
    again = client.get("/v1/aspects", headers={"Cookie": f"{LOCAL_COOKIE}={token}"})
    assert "login has ended" in problem(again, 401, "unauthenticated")["detail"]
    assert client.post("/logout", headers=SAME).status_code == 303  # out already


def test_a_login_ends_with_its_time_and_with_its_key(own):
    shop = own("search", login_hours=0.0001)  # a third of a second
    log_in(shop.client, shop.tokens[0])
    token = shop.client.cookies.get(LOCAL_COOKIE) or "x"
    shop.client.cookies.clear()
    kept = {"Cookie": f"{LOCAL_COOKIE}={token}"}
    wait_for(lambda: shop.client.get("/v1/aspects", headers=kept).status_code == 401)


def test_a_revoked_key_ends_its_logins(own):
    shop = own("search")
    log_in(shop.client, shop.tokens[0])
    assert shop.client.get("/v1/aspects").status_code == 200
    revoke_key(shop.data, shop.tokens[0])
    wait_for(lambda: shop.client.get("/v1/aspects").status_code == 401)


def test_a_key_in_a_header_wins_over_the_login(shop, client):
    log_in(client, shop.tokens["all"])
    problem(client.get("/v1/aspects", headers=bearer("wrong")), 401, "unauthenticated")
    problem(client.get("/v1/aspects", headers=bearer(shop.tokens["events"])), 403, "forbidden")


def test_a_link_from_elsewhere_can_go_on(shop, client):
    """SameSite=Strict keeps the cookie back then; a click on the login page sends it."""
    headers = {**PAGE, "Sec-Fetch-Site": "cross-site"}
    led = client.get("/?text=mug", headers=headers).headers["location"]
    page = client.get(led, headers=headers).text
    assert 'href="/?text=mug"' in page and "another site" in page
    assert "another site" not in client.get(led, headers=PAGE).text


@pytest.mark.parametrize(
    "target",
    [
        *("//evil.example", "https://evil.example", "/\\evil.example", "\\\\evil", "javascript:alert(1)"),
        *("/\n/evil", "/a\r\nSet-Cookie: x=1", "", "evil", "/login?next=/", "/logout", "/" + "a" * 5000),
    ],
)
def test_nobody_is_led_elsewhere(shop, client, target):
    assert safe_target(target) == "/"
    assert log_in(client, shop.tokens["search"], target).headers["location"] == "/"


def test_a_target_is_kept_as_it_is():
    for target in ("/", "/?text=a+b&w.colour=1", "/?product=a%2Fb", "/why?item=x&weights=colour:1,shape:2"):
        assert safe_target(target) == target
    assert safe_target("/?text=Öl") == "/?text=%C3%96l"
    assert '"' not in safe_target('/?a="><script>') and "<" not in safe_target('/?a="><script>')


def test_odd_login_forms_are_refused(client):
    problem(client.post("/login", json={"key": "x"}, headers=SAME), 415, "unsupported-media-type")
    problem(client.post("/login", files={"key": b"x"}, headers=SAME), 415, "unsupported-media-type")
    problem(client.post("/login", data={"key": "x" * 20_000}, headers=SAME), 413, "body-too-large")


# ── requests from other sites ────────────────────────────────────────────────────────────────────────

FOREIGN = [
    {},  # no browser of today is silent
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "none"},
    {"Origin": "http://evil.example"},
    {"Origin": "http://127.0.0.1:9999"},
    {"Origin": "null"},
    {"Sec-Fetch-Site": "cross-site", "Origin": BASE_URL},
]
OWN = [{"Sec-Fetch-Site": "same-origin"}, {"Origin": BASE_URL}]


def said(headers):
    return " ".join(f"{name}={value}" for name, value in headers.items()) or "silent"


@pytest.mark.parametrize("headers", FOREIGN, ids=said)
def test_a_login_cannot_be_used_by_other_sites(shop, client, headers):
    log_in(client, shop.tokens["all"])
    for path, options in (
        ("/v1/versions/x/activate", {}),
        ("/v1/search", {"json": {"text": "mug"}}),
        ("/logout", {}),
        ("/login", {"data": {"key": shop.tokens["search"]}}),
    ):
        answer = client.post(path, headers=headers, **options)
        problem(answer, 403, "cross-site")
        assert "set-cookie" not in answer.headers
    assert client.get("/v1/aspects").status_code == 200  # still logged in


@pytest.mark.parametrize("headers", OWN, ids=said)
def test_a_login_can_be_used_by_its_own_pages(shop, client, headers):
    log_in(client, shop.tokens["all"])
    assert client.post("/v1/search", json={"text": "mug"}, headers=headers).status_code == 200
    assert client.post("/v1/versions/x/activate", headers=headers).status_code == 404


def test_keys_in_headers_need_no_browser(shop, client):
    answer = client.post("/v1/search", json={"text": "mug"}, headers=bearer(shop.tokens["search"]))
    assert answer.status_code == 200
