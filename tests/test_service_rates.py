"""Rates: buckets, keys, logins, addresses with wrong keys."""

from __future__ import annotations

import pytest
from keyed_shop import PAGE, bearer, log_in, own_services
from service_shop import BASE_URL, problem
from starlette.testclient import TestClient

from vision_rec.service.rates import MAX_BUCKETS, Buckets


@pytest.fixture
def own(tmp_path):
    """Make a service whose keys and settings a test may change."""
    with own_services(tmp_path) as make:
        yield make


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
