"""Who may do what over HTTP: every route × scope × way to ask, changes of keys, hosts."""

from __future__ import annotations

import re

import pytest
from fastapi.routing import iter_route_contexts
from keyed_shop import SAME, bearer, fresh_client, keyed_shop, own_services, wait_for
from service_shop import BASE_URL, problem, settings_for
from starlette.testclient import TestClient

from vision_rec.access import SCOPES, create_key, revoke_key
from vision_rec.errors import InputError
from vision_rec.service import create_app, scopes
from vision_rec.service.auth import address_of, is_local
from vision_rec.service.run import serve
from vision_rec.settings import Settings

WAYS = {
    "bearer": lambda token: {"Authorization": f"Bearer {token}"},
    "header": lambda token: {"X-API-Key": token},
}


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
