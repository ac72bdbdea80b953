"""Who may do what over HTTP: every route × scope × way to ask, logins, cross-site requests, rates, hosts."""

from __future__ import annotations

import re
import time
from types import SimpleNamespace

import pytest
from fastapi.routing import iter_route_contexts
from service_shop import BASE_URL, open_shop, problem, settings_for
from starlette.testclient import TestClient

from vision_rec.access import SCOPES, create_key, revoke_key
from vision_rec.errors import InputError
from vision_rec.service import create_app, scopes
from vision_rec.service.auth import LOCAL_COOKIE, SECURE_COOKIE, address_of, is_local
from vision_rec.service.console.login import safe_target
from vision_rec.service.rates import MAX_BUCKETS, Buckets
from vision_rec.service.run import serve
from vision_rec.settings import Settings

SAME = {"Sec-Fetch-Site": "same-origin"}
PAGE = {**SAME, "Sec-Fetch-Mode": "navigate", "Accept": "text/html"}
WAYS = {
    "bearer": lambda token: {"Authorization": f"Bearer {token}"},
    "header": lambda token: {"X-API-Key": token},
}


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A service with one key per scope and one with all; nobody may change its keys."""
    folder = tmp_path_factory.mktemp("auth")
    settings, recommender = open_shop(folder, rate_per_second=0)
    made = {scope: create_key(folder / "var", f"for {scope}", [scope]).token for scope in SCOPES}
    made["all"] = create_key(folder / "var", "for all", SCOPES).token
    app = create_app(settings, recommender)
    with TestClient(app, base_url=BASE_URL, follow_redirects=False) as client:
        yield SimpleNamespace(client=client, app=app, tokens=made, folder=folder, service=app.state.service)


@pytest.fixture
def client(shop):
    """The client of `shop`, with no cookies and no wrong keys behind it."""
    shop.client.cookies.clear()
    shop.service.failures._levels.clear()
    return shop.client


@pytest.fixture
def own(tmp_path):
    """Make a service whose keys and settings a test may change."""
    clients = []

    def make(*names, **service):
        settings, recommender = open_shop(tmp_path, **{"poll_seconds": 0.02, **service})
        tokens = [create_key(tmp_path / "var", "key", name.split(",")).token for name in names]
        app = create_app(settings, recommender)
        client = TestClient(app, base_url=BASE_URL, follow_redirects=False)
        clients.append(client.__enter__())
        return SimpleNamespace(client=client, tokens=tokens, service=app.state.service, data=tmp_path / "var")

    yield make
    for client in clients:
        client.__exit__(None, None, None)


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


def wait_for(condition):
    for _ in range(3000):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("waited too long")


# ── the table ────────────────────────────────────────────────────────────────────────────────────────


def routes_of(app):
    """Every (method, template) that the app answers."""
    for route in iter_route_contexts(app.routes):
        for method in sorted(getattr(route, "methods", None) or ()):
            if method != "HEAD":
                yield method, route.path


ROUTES = sorted(set(routes_of(create_app(Settings(paths={"data": "/nonexistent"})))))


def test_every_route_is_in_the_table():
    assert len(ROUTES) > 20
    missing = [route for route in ROUTES if not scopes.is_listed(*route)]
    assert not missing, f"say in service/scopes.py which scope these need: {missing}"


def test_the_table_names_scopes_that_exist():
    for need in [*scopes.TABLE.values(), *scopes.BRANCHES.values()]:
        assert set(need.scopes) <= set(SCOPES) and need.cost > 0


def test_what_is_public_is_little():
    public = {template for (_, template), need in scopes.TABLE.items() if not need.scopes}
    assert public == {"/healthz", "/readyz", "/openapi.json", "/static/{name}", "/login", "/logout"}
    assert all(need.scopes for need in scopes.BRANCHES.values())


@pytest.mark.parametrize(
    ("method", "path", "wanted"),
    [
        ("GET", "/v1/products/a b/similar", "search"),
        ("HEAD", "/v1/products/x/image", "search"),
        ("POST", "/v1/events", "events"),
        ("PUT", "/v1/rules/7/publish", "merch"),
        ("GET", "/v1/rules", "merch"),
        ("DELETE", "/v1/users/7", "admin"),
        ("POST", "/v1/versions/x/activate", "admin"),
        ("GET", "/metrics", "admin"),
    ],
)
def test_requests_find_their_need(method, path, wanted):
    assert [need.scopes for need in scopes.find(method, path).needs] == [(wanted,)]


@pytest.mark.parametrize(
    "path",
    [
        *("/v1/rulesx", "/healthz/", "/healthz\n", "//healthz", "/HEALTHZ", "/static/a/b", "/static/", ""),
        *("/v1/products//similar", "/v1/versions/x/activate\n", "/metrics/../healthz"),
    ],
)
def test_what_only_resembles_a_route_is_in_no_entry(path):
    assert not scopes.find("GET", path).needs and not scopes.find("POST", path).needs


def test_where_two_entries_fit_both_must_be_met(monkeypatch):
    narrow, wide = scopes.Need(("admin",)), scopes.Need(("search",))
    entries = [("GET", ("", "a", "{x}"), "/a/{x}", wide), ("GET", ("", "a", "b"), "/a/b", narrow)]
    monkeypatch.setitem(scopes._BY_LENGTH, 3, entries)
    assert scopes.find("GET", "/a/b").needs == (wide, narrow) and scopes.find("GET", "/a/c").needs == (wide,)


def test_the_table_comes_before_branches():
    assert scopes.find("GET", "/rules").needs[0].scopes == ("search",)
    for method, path in (("POST", "/rules"), ("GET", "/rules/new"), ("POST", "/rules/history")):
        assert [need.scopes for need in scopes.find(method, path).needs] == [("merch",)]


# ── every route × every scope × every way ────────────────────────────────────────────────────────────


def address(template):
    return re.sub(r"\{[^}]*\}", "mug-red", template)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("method", "template"), ROUTES, ids=map(" ".join, ROUTES))
def test_every_route_asks_for_its_scope(shop, client, method, template, way):
    path = address(template)
    needs = scopes.find(method, path).needs
    for scope in SCOPES:
        answer = client.request(method, path, headers=WAYS[way](shop.tokens[scope]))
        may = all(not need.scopes or scope in need.scopes for need in needs)
        assert (answer.status_code == 403 and "scope" in answer.text) != may, (scope, answer.text)
        assert answer.status_code not in (401, 500)
        if not may:
            assert 'error="insufficient_scope"' in answer.headers["www-authenticate"]


@pytest.mark.parametrize(("method", "template"), ROUTES, ids=map(" ".join, ROUTES))
def test_every_route_but_the_public_ones_asks_for_a_key(client, method, template):
    path = address(template)
    public = all(not need.scopes for need in scopes.find(method, path).needs)
    answer = client.request(method, path)
    assert (answer.status_code == 401) != public
    if not public:
        assert answer.headers["www-authenticate"] == 'Bearer realm="vision-rec"'
        assert answer.headers["cache-control"] == "no-store" and "x-request-id" in answer.headers


def test_what_there_is_not_is_told_to_known_callers_only(shop, client):
    for method, path in (("GET", "/nope"), ("POST", "/v1/nope/x"), ("DELETE", "/v1/search")):
        assert client.request(method, path).status_code == 401
    key = bearer(shop.tokens["search"])
    problem(client.get("/nope", headers=key), 404, "not-found")
    answer = client.get("/v1/search", headers=key)
    problem(answer, 405, "method-not-allowed")
    assert answer.headers["allow"] == "POST"
    problem(client.get("/nope", headers=bearer(shop.tokens["admin"])), 404, "not-found")


def test_encoded_slashes_do_not_change_what_is_asked_for(shop, client):
    key = bearer(shop.tokens["search"])
    assert client.get("/v1/products/a%2Fb%20c%252F", headers=key).json()["id"] == "a/b c%2F"
    assert client.get("/v1/products/..%2F..%2Fhealthz").status_code == 401
    assert client.get("/v1/products/x%2F..%2F..%2F..%2Fv1%2Fversions%2Fx%2Factivate").status_code == 401


# ── 401 and 403 ──────────────────────────────────────────────────────────────────────────────────────


def test_no_key_and_wrong_keys(shop, client):
    said = problem(client.get("/v1/aspects"), 401, "unauthenticated")["detail"]
    assert "Authorization: Bearer" in said and "X-API-Key" in said
    good = shop.tokens["search"]
    bodies = set()
    for wrong in ("", "nonsense", f"vrk_{'0' * 12}_{'0' * 64}", good[:-1] + "g", good[:17] + "0" * 64):
        answer = client.get("/v1/aspects", headers=bearer(wrong))
        bodies.add(problem(answer, 401, "unauthenticated")["detail"])
        assert answer.headers["www-authenticate"] == 'Bearer realm="vision-rec", error="invalid_token"'
    assert len(bodies) == 1  # unknown and wrong cannot be told apart


def test_how_a_key_may_be_sent(shop, client):
    good = shop.tokens["search"]
    for headers in (
        {"authorization": f"bearer {good}"},
        {"Authorization": f"Bearer   {good} "},
        {"Authorization": "Basic dXNlcjpwYXNz", "X-API-Key": good},  # a proxy's password beside it
    ):
        assert client.get("/v1/aspects", headers=headers).status_code == 200
    for headers in (
        {"Authorization": good},
        {"Authorization": f"Token {good}"},
        {"X-API-Key": f"Bearer {good}"},
    ):
        assert client.get("/v1/aspects", headers=headers).status_code == 401
    assert client.get("/v1/aspects", params={"key": good, "access_token": good}).status_code == 401


def test_a_refused_scope_is_named(shop, client):
    answer = client.post("/v1/versions/x/activate", headers=bearer(shop.tokens["merch"]))
    said = problem(answer, 403, "forbidden")["detail"]
    assert "admin" in said and "for merch" in said
    assert 'scope="admin"' in answer.headers["www-authenticate"]


def test_nothing_secret_is_logged(shop, client, caplog):
    caplog.set_level("INFO", "vision_rec.service")
    client.get("/v1/aspects", headers=bearer(shop.tokens["search"]))
    client.get("/v1/aspects", headers=bearer(shop.tokens["search"][:-1] + "g"))
    client.post("/login", data={"key": shop.tokens["search"]}, headers=SAME)
    lines = [{**vars(record), "message": record.getMessage()} for record in caplog.records]
    assert "a key was refused" in {line["message"] for line in lines}
    assert shop.tokens["search"][17:-1] not in str(lines)
    assert shop.tokens["search"][4:16] in {line.get("key") for line in lines}  # its public id is


def test_metrics_for_admins_and_this_machine(shop, client):
    problem(client.get("/metrics"), 401, "unauthenticated")
    client.get("/v1/aspects", headers=bearer("wrong"))
    text = client.get("/metrics", headers=bearer(shop.tokens["admin"])).text
    assert 'vision_rec_refused_keys_total{reason="unknown"}' in text
    assert 'http_response_status_code="401",http_route="/v1/aspects"' in text
    local = TestClient(shop.app, base_url=BASE_URL, client=("127.0.0.1", 5000))
    assert local.get("/metrics").status_code == 200
    assert local.get("/metrics", headers={"X-Forwarded-For": "8.8.8.8"}).status_code == 401
    assert local.get("/metrics", headers={"Host": "10.0.0.5"}).status_code == 401
    assert local.get("/v1/aspects").status_code == 401


@pytest.mark.parametrize(
    ("client", "host", "local"),
    [
        ("127.0.0.1", "127.0.0.1:8000", True),
        ("::1", "[::1]:8000", True),
        ("127.0.0.1", "localhost", True),
        ("127.0.0.1", "shop.example", False),
        ("10.0.0.7", "127.0.0.1", False),
        ("::ffff:10.0.0.7", "localhost", False),
        ("", "localhost", False),
    ],
)
def test_this_machine(client, host, local):
    scope = {"client": (client, 1) if client else None, "headers": [(b"host", host.encode())]}
    assert is_local(scope) is local


@pytest.mark.parametrize(
    ("client", "address"),
    [
        ("10.0.0.7", "10.0.0.7"),
        ("::ffff:10.0.0.7", "10.0.0.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("unix", "unix"),
    ],
)
def test_addresses_are_counted_by_who_holds_them(client, address):
    assert address_of({"client": (client, 1)}) == address


# ── changes of keys ──────────────────────────────────────────────────────────────────────────────────


def test_a_service_without_keys_is_open_and_says_so(own):
    shop = own()
    assert shop.client.get("/v1/aspects").status_code == 200
    assert shop.client.get("/v1/aspects", headers=bearer("whatever")).status_code == 200
    page = shop.client.get("/").text
    assert "Open to everybody on this machine" in page and "keys create" in page and "Sign out" not in page
    assert "nobody has to sign in" in shop.client.get("/login").text
    assert shop.client.post("/login", data={"key": "x"}, headers=SAME).headers["location"] == "/"


def test_keys_are_taken_up_and_dropped_while_it_runs(own):
    shop = own()
    created = create_key(shop.data, "first", ["search"])
    wait_for(lambda: shop.client.get("/v1/aspects").status_code == 401)
    assert shop.client.get("/v1/aspects", headers=bearer(created.token)).status_code == 200
    revoke_key(shop.data, created.key.id)
    wait_for(lambda: shop.client.get("/v1/aspects", headers=bearer(created.token)).status_code == 401)
    said = problem(shop.client.get("/v1/aspects", headers=bearer(created.token)), 401, "unauthenticated")
    assert "revoked" in said["detail"]
    assert shop.client.get("/healthz").status_code == 200


def test_lost_keys_do_not_open_a_running_service(own, caplog):
    shop = own("search")
    (shop.data / "keys.json").unlink()
    wait_for(lambda: shop.client.get("/readyz").json()["status"] == "degraded")
    assert "keys" in shop.client.get("/readyz").text and str(shop.data) not in shop.client.get("/readyz").text
    assert shop.client.get("/v1/aspects").status_code == 401
    assert shop.client.get("/v1/aspects", headers=bearer(shop.tokens[0])).status_code == 200
    wait_for(lambda: "gone" in caplog.text or any("gone" in str(vars(r)) for r in caplog.records))


def test_the_watch_outlives_a_defect(own, caplog):
    shop = own()
    refresh, calls = shop.service.access.refresh, []

    def broken_at_first():
        calls.append(1)
        if len(calls) < 3:
            raise RuntimeError("a defect")
        return refresh()

    shop.service.access.refresh = broken_at_first
    create_key(shop.data, "first", ["search"])
    wait_for(lambda: shop.client.get("/v1/aspects").status_code == 401)


# ── logins ───────────────────────────────────────────────────────────────────────────────────────────


def log_in(client, token, target="/", **headers):
    return client.post("/login", data={"key": token, "next": target}, headers={**SAME, **headers})


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


# ── rates ────────────────────────────────────────────────────────────────────────────────────────────


def test_a_bucket_gives_its_burst_then_its_rate():
    now = [0.0]
    buckets = Buckets(2.0, 4, clock=lambda: now[0])
    assert [buckets.take("a") for _ in range(4)] == [0.0] * 4
    assert buckets.take("a") == pytest.approx(0.5) and buckets.take("b") == 0.0
    now[0] += 0.4
    assert buckets.take("a") == pytest.approx(0.1)
    now[0] += 0.1
    assert buckets.take("a") == 0.0 and buckets.take("a") > 0
    now[0] += 1000
    assert [bool(buckets.take("a")) for _ in range(5)] == [False] * 4 + [True]
    now[0] -= 500  # a clock that jumps back takes nothing away
    assert buckets.take("a") == pytest.approx(0.5)


def test_costs_and_no_limit():
    buckets = Buckets(1.0, 10, clock=lambda: 0.0)
    assert buckets.take("a", 5) == 0.0 and buckets.take("a", 5) == 0.0 and buckets.take("a", 0.1) > 0
    assert buckets.take("b", 1000) == 0.0  # dearer than a bucket holds: a whole one
    assert {Buckets(0.0, 1).take("a") for _ in range(50)} == {0.0}


def test_buckets_are_forgotten_not_gathered():
    buckets = Buckets(1.0, 1, clock=lambda: 0.0)
    for i in range(MAX_BUCKETS + 50):
        buckets.take(str(i))
    assert len(buckets._levels) == MAX_BUCKETS and "0" not in buckets._levels


def test_a_key_has_its_rate_and_no_other_keys(own):
    shop = own("search", "search", rate_per_second=0.001, burst=3)
    first, second = map(bearer, shop.tokens)
    for _ in range(3):
        assert shop.client.get("/v1/aspects", headers=first).status_code == 200
    answer = shop.client.get("/v1/aspects", headers=first)
    assert "3 at once" in problem(answer, 429, "rate-limited")["detail"]
    assert 900 < int(answer.headers["retry-after"]) <= 1000
    assert shop.client.get("/v1/aspects", headers=second).status_code == 200
    assert shop.client.get("/healthz", headers=first).status_code == 200
    assert shop.client.get("/v1/products/mug-red/image", headers=second).status_code == 200  # a tenth
    assert "vision_rec_rate_limited_total 1.0" in shop.service.metrics.render().decode()


def test_logins_have_the_rate_of_their_key(own):
    shop = own("search", rate_per_second=0.001, burst=2)
    log_in(shop.client, shop.tokens[0])
    assert shop.client.get("/v1/aspects").status_code == 200
    assert shop.client.get("/v1/aspects", headers=bearer(shop.tokens[0])).status_code == 200
    assert shop.client.get("/", headers=PAGE).status_code == 429
    assert 'role="alert"' in shop.client.get("/", headers=PAGE).text


def test_an_open_service_has_no_rate_unless_it_is_set(own):
    shop = own(rate_per_second=0.001, burst=2)
    assert [shop.client.get("/v1/aspects").status_code for _ in range(5)] == [200] * 5
    limited = own(anonymous_rate_per_second=0.001, burst=2)
    assert [limited.client.get("/v1/aspects").status_code for _ in range(3)] == [200, 200, 429]


def test_wrong_keys_are_limited_per_address_and_good_ones_never(own):
    shop = own("search")
    codes = [shop.client.get("/v1/aspects", headers=bearer(f"wrong {i}")).status_code for i in range(12)]
    assert codes == [401] * 10 + [429] * 2
    answer = log_in(shop.client, "wrong")
    assert answer.status_code == 429 and 1 <= int(answer.headers["retry-after"]) <= 6
    # Customers behind the same proxy are not locked out by the one who guesses.
    assert shop.client.get("/v1/aspects", headers=bearer(shop.tokens[0])).status_code == 200
    assert log_in(shop.client, shop.tokens[0]).status_code == 303
    elsewhere = TestClient(shop.client.app, base_url=BASE_URL, client=("10.0.0.9", 1))
    assert elsewhere.get("/v1/aspects", headers=bearer("wrong")).status_code == 401


# ── where it listens, which names it has ─────────────────────────────────────────────────────────────


def test_names_and_addresses_once_there_are_keys(own):
    shop = own("search", allowed_hosts=["shop.example", "*.inner.example"])
    key = bearer(shop.tokens[0])
    for host in ("10.0.0.5:8000", "[2001:db8::1]", "shop.example", "SHOP.example:443", "a.inner.example"):
        assert shop.client.get("/v1/aspects", headers={**key, "Host": host}).status_code == 200, host
    for host in ("evil.example", "inner.example", "shop.example.evil.example", "xinner.example"):
        problem(shop.client.get("/v1/aspects", headers={**key, "Host": host}), 421, "host-not-allowed")


def test_an_open_service_has_the_names_that_are_allowed(own):
    shop = own(allowed_hosts=["shop.example"])
    assert shop.client.get("/v1/aspects", headers={"Host": "shop.example"}).status_code == 200
    problem(shop.client.get("/v1/aspects", headers={"Host": "10.0.0.5"}), 421, "host-not-allowed")


def test_keys_can_be_required_on_this_machine_too(tmp_path):
    with pytest.raises(InputError, match="require_keys"):
        serve(settings_for(tmp_path, require_keys=True, port=0))


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_with_a_key_it_listens_anywhere(tmp_path, monkeypatch, host):
    create_key(tmp_path / "var", "a", ["search"])
    asked = []
    monkeypatch.setattr("vision_rec.service.run.listen", lambda service: asked.append(service.host) or 1 / 0)
    with pytest.raises(ZeroDivisionError):
        serve(settings_for(tmp_path, host=host, require_keys=True, port=0))
    assert asked == [host]


def test_the_contract_says_which_scopes(shop, client):
    document = client.get("/openapi.json").json()
    assert set(document["components"]["securitySchemes"]) == {"bearer", "header"}
    activate = document["paths"]["/v1/versions/{version_id}/activate"]["post"]
    assert activate["security"] == [{"bearer": ["admin"]}, {"header": ["admin"]}]
    assert document["paths"]["/healthz"]["get"]["security"] == []
