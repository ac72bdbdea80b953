"""Fetching by URL: cache, retries, fairness and limits, against a server on loopback."""

from __future__ import annotations

import gzip
import hashlib
import json
import threading
import time

import loopback
import pytest
from loopback import PICTURE, reason, serving

from vision_rec.errors import ResourceError, UrlNotAllowedError
from vision_rec.fetch import FetchPolicy
from vision_rec.fetch import cache as cache_module
from vision_rec.fetch.breaker import Breaker

make, shop, url = loopback.make, loopback.shop, loopback.url  # fixtures

# ── the ordinary case and the cache ──────────────────────────────────────────────────────────────


def test_a_picture_is_fetched_with_plain_headers(make, shop, url, tmp_path):
    path = make().fetch(url("/a.jpg?key=1 2"))
    assert path.read_bytes() == PICTURE and tmp_path / "cache" in path.parents
    [(asked, headers)] = shop.visits
    assert asked == "/a.jpg?key=1%202"
    assert headers == {
        "Host": f"shop.test:{shop.port}", "User-Agent": "vision-rec", "Accept": "image/*",
        "Accept-Encoding": "identity",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("validator", "condition"),
    [
        ({"ETag": '"v1"'}, "If-None-Match"),
        ({"Last_Modified": "Sun, 01 Mar 2026 04:00:00 GMT"}, "If-Modified-Since"),
    ],
)
def test_an_unchanged_picture_is_not_sent_again(make, shop, url, validator, condition):
    [text] = validator.values()

    def route(handler, visit):
        if handler.headers[condition] == text:
            handler.answer(304, b"")
        else:
            handler.answer(200, PICTURE, **validator)

    shop.routes["/v.jpg"] = route
    path = make().fetch(url("/v.jpg"))
    before = path.stat().st_mtime_ns
    assert make().fetch(url("/v.jpg")) == path and path.stat().st_mtime_ns == before
    assert shop.visits[1][1][condition] == text
    assert make().fetch(url("/v.jpg"), refresh=True) == path and path.stat().st_mtime_ns > before
    assert condition not in shop.visits[2][1]


def test_a_changed_picture_replaces_the_old_one(make, shop, url):
    shop.routes["/v.jpg"] = lambda handler, visit: handler.answer(body=b"v%d" % visit, ETag=f'"{visit}"')
    fetcher = make()
    path = fetcher.fetch(url("/v.jpg"))
    assert path.read_bytes() == b"v1"
    assert fetcher.fetch(url("/v.jpg")) == path and path.read_bytes() == b"v2"
    sidecar = json.loads(path.with_suffix(".json").read_text())
    assert sidecar == {"sha256": hashlib.sha256(b"v2").hexdigest(), "etag": '"2"', "last_modified": ""}
    assert sorted(file.name for file in path.parent.iterdir()) == sorted([path.name, path.name + ".json"])


def test_a_damaged_cache_entry_is_fetched_whole(make, shop, url):
    shop.routes["/v.jpg"] = lambda handler, visit: handler.answer(
        *((304, b"") if "If-None-Match" in handler.headers else (200, PICTURE)), ETag='"1"'
    )
    fetcher = make()
    path = fetcher.fetch(url("/v.jpg"))
    sidecar = path.with_suffix(".json")
    for damage in (
        lambda: path.write_bytes(b"cut"),
        lambda: path.unlink(),
        lambda: sidecar.write_text("{"),
        lambda: sidecar.write_text('{"sha256": 1, "more": 2}'),
        lambda: sidecar.write_text("[1]"),
        lambda: sidecar.unlink(),
    ):
        damage()
        assert fetcher.fetch(url("/v.jpg")).read_bytes() == PICTURE
        assert "If-None-Match" not in shop.visits[-1][1]
    assert fetcher.fetch(url("/v.jpg")).read_bytes() == PICTURE
    assert "If-None-Match" in shop.visits[-1][1]


def test_a_hostile_validator_is_not_kept(make, shop, url):
    shop.routes["/v.jpg"] = lambda handler, visit: handler.answer(ETag="x" * 5000, Last_Modified="\xe9")
    make().fetch(url("/v.jpg"))
    make().fetch(url("/v.jpg"))
    assert not {"If-None-Match", "If-Modified-Since"} & set(shop.visits[1][1])


def test_a_full_disk_is_named(make, url, monkeypatch):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache_module.os, "replace", full)
    fetcher = make()
    with pytest.raises(ResourceError, match="1,200 bytes"):
        fetcher.fetch(url())
    assert not [file for file in fetcher._cache._folder.rglob("*") if file.is_file()]


def test_connections_are_kept(make, shop, url):
    peers = set()
    shop.routes["/p.jpg"] = lambda handler, visit: (peers.add(handler.client_address), handler.answer())
    fetcher = make()
    for _ in range(5):
        fetcher.fetch(url("/p.jpg"))
    assert len(peers) == 1


# ── F12, F16: failures and retries ───────────────────────────────────────────────────────────────


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 429, 451])
def test_refusals_are_not_retried(make, shop, url, status):
    shop.routes["/x.jpg"] = lambda handler, visit: handler.answer(status, b"<html>")
    assert reason(make().fetch, url("/x.jpg")) == f"http-{status}"
    assert shop.count() == 1


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_server_errors_are_tried_three_times_with_growing_jittered_pauses(make, shop, url, status):
    shop.routes["/x.jpg"] = lambda handler, visit: handler.answer(status, b"")
    pauses = []
    assert reason(make(sleep=pauses.append).fetch, url("/x.jpg")) == f"http-{status}"
    assert shop.count() == 3 and len(pauses) == 2
    assert 0.25 <= pauses[0] <= 0.75 and 0.5 <= pauses[1] <= 1.5


def test_a_second_try_may_succeed(make, shop, url):
    shop.routes["/x.jpg"] = lambda handler, visit: handler.answer(200 if visit == 3 else 503)
    assert make().fetch(url("/x.jpg")).read_bytes() == PICTURE


@pytest.mark.parametrize("status", [201, 204, 206, 300, 304])
def test_other_statuses_are_no_pictures(make, shop, url, status):
    shop.routes["/x.jpg"] = lambda handler, visit: handler.answer(status, b"")
    assert reason(make().fetch, url("/x.jpg")) == f"http-{status}"


def test_a_cached_picture_stands_in_for_a_host_that_is_down(make, shop, url):
    shop.routes["/x.jpg"] = lambda handler, visit: handler.answer(200 if visit == 1 else 503)
    fetcher = make()
    path = fetcher.fetch(url("/x.jpg"))
    assert fetcher.fetch(url("/x.jpg")) == path
    assert reason(fetcher.fetch, url("/x.jpg"), refresh=True) == "http-503"
    shop.routes["/x.jpg"] = lambda handler, visit: handler.answer(410, b"")
    assert reason(fetcher.fetch, url("/x.jpg")) == "http-410"


def test_a_host_that_cannot_be_resolved_or_reached(make, shop, url):
    def unknown(host, port):
        raise OSError("Name or service not known")

    assert reason(make(resolve=unknown).fetch, url()) == "dns"
    assert reason(make(resolve=lambda host, port: []).fetch, url()) == "dns"
    with serving() as other:
        port = other.port
    closed = make(ports=frozenset({port}))
    assert reason(closed.fetch, f"http://shop.test:{port}/a.jpg") == "broken"
    assert shop.count() == 0


def test_the_second_address_is_used_when_the_first_refuses(make, shop, url):
    loopback = {"127.0.0.1", "127.0.0.9"}
    fetcher = make(
        resolve=lambda host, port: ["127.0.0.9", "127.0.0.1"], admits=lambda address: str(address) in loopback
    )
    assert fetcher.fetch(url()).read_bytes() == PICTURE


def test_the_breaker_opens_rests_and_tries_once():
    now = [0.0]
    breaker = Breaker(FetchPolicy(break_after=3), lambda: now[0])
    for _ in range(2):
        breaker.fail()
    assert breaker.admits() and not breaker.opened
    now[0] = 61.0
    breaker.fail()
    assert breaker.admits()  # the first two are too long ago
    breaker.fail()
    breaker.fail()
    assert breaker.opened and not breaker.admits()
    now[0] += 30
    assert breaker.admits() and not breaker.admits()  # one trial
    breaker.fail()
    now[0] += 29
    assert not breaker.admits()
    now[0] += 1
    assert breaker.admits()
    breaker.succeed()
    assert breaker.admits() and breaker.admits()


def test_a_failing_host_is_left_alone_and_named(make, shop, url):
    shop.routes["/x.jpg"] = lambda handler, visit: handler.answer(500, b"")
    fetcher = make()
    reasons = [reason(fetcher.fetch, url(f"/x.jpg?{number}")) for number in range(6)]
    assert reasons == ["http-500"] * 3 + ["host-down"] * 3
    assert shop.count() == 10 and fetcher.stopped_hosts == ("shop.test",)


def test_many_pictures_at_once_with_at_most_four_per_host(make, shop, url):
    busy, most, lock = [0], [0], threading.Lock()

    def route(handler, visit):
        with lock:
            busy[0] += 1
            most[0] = max(most[0], busy[0])
        time.sleep(0.01)
        with lock:
            busy[0] -= 1
        handler.answer(body=handler.path.encode())

    shop.routes["/m.jpg"] = route
    urls = [url(f"/m.jpg?{number}") for number in range(40)] + [url("/gone.jpg"), "ftp://x", url("/m.jpg?0")]
    found = dict(make().fetch_all(iter(urls)))
    assert set(found) == set(urls) and shop.count() == 41
    assert 2 <= most[0] <= 4
    for asked in urls[:40]:
        assert found[asked].read_bytes() == asked[asked.index("/m.jpg") :].encode()
    assert found[url("/gone.jpg")].reason == "http-404" and isinstance(found["ftp://x"], UrlNotAllowedError)


def test_a_slow_host_does_not_delay_the_others(make, shop, url):
    release = threading.Event()
    shop.routes["/slow.jpg"] = lambda handler, visit: (release.wait(20), handler.answer())
    fetcher = make(hosts=("*.test",))
    urls = [url(f"/slow.jpg?{number}", "slow.test") for number in range(50)]
    urls += [url(f"/a.jpg?{number}", f"h{number % 19}.test") for number in range(95)]
    arriving = fetcher.fetch_all(urls)
    first = [next(arriving) for _ in range(95)]
    assert all("slow" not in asked for asked, _ in first)
    release.set()
    assert len(list(arriving)) == 50


def test_stopping_early_drops_the_rest(make, shop, url):
    arriving = make().fetch_all(url(f"/a.jpg?{number}") for number in range(500))
    next(arriving)
    arriving.close()
    assert shop.count() < 50


def test_closing_ends_what_is_on_its_way(make, shop, url):
    shop.routes["/drip.jpg"] = lambda handler, visit: drip(handler, head=True)
    fetcher = make()
    reasons = []
    thread = threading.Thread(target=lambda: reasons.append(reason(fetcher.fetch, url("/drip.jpg"))))
    thread.start()
    while not shop.count():
        time.sleep(0.01)
    fetcher.close()
    thread.join(10)
    assert reasons and reasons[0] in ("closed", "broken")
    assert reason(fetcher.fetch, url()) in ("closed", "broken")


# ── T11: endless, slow and lying answers ─────────────────────────────────────────────────────────


def test_too_many_bytes_are_not_taken(make, shop, url):
    sent = [0]

    def endless(handler, visit):
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        for _ in range(100_000):
            handler.wfile.write(b"1000\r\n" + bytes(4096) + b"\r\n")
            sent[0] += 4096

    shop.routes["/endless.jpg"] = endless
    shop.routes["/announced.jpg"] = lambda handler, visit: handler.answer(body=b"", length=10**10)
    shop.routes["/huge.jpg"] = lambda handler, visit: handler.answer(body=b"", length="9" * 19)
    for name in ("endless", "announced", "huge"):
        assert reason(make().fetch, url(f"/{name}.jpg")) == "too-large"
    assert sent[0] < 50_000_000 and shop.count() == 3


def test_a_wrong_length_is_noticed(make, shop, url):
    def short(handler, visit):
        handler.answer(body=b"x" * 10, length=1000)
        handler.close_connection = True

    shop.routes["/short.jpg"] = short
    shop.routes["/long.jpg"] = lambda handler, visit: handler.answer(body=b"x" * 1000, length=10)
    assert reason(make().fetch, url("/short.jpg")) == "broken" and shop.count() == 3
    assert make().fetch(url("/long.jpg")).read_bytes() == b"x" * 10


@pytest.mark.parametrize("coding", ["gzip", "br", "GZIP", "identity, gzip"])
def test_compressed_answers_are_refused(make, shop, url, coding):
    bomb = gzip.compress(bytes(10**6))
    shop.routes["/z.jpg"] = lambda handler, visit: handler.answer(body=bomb, Content_Encoding=coding)
    assert reason(make().fetch, url("/z.jpg")) == "encoded" and shop.count() == 1


def drip(handler, head, seconds=20.0):
    if head:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n")
    for _ in range(int(seconds / 0.05)):
        handler.wfile.write(b"H")
        handler.wfile.flush()
        time.sleep(0.05)


def test_drips_of_bytes_end_at_the_floor_or_the_total_time(make, shop, url):
    shop.routes["/body.jpg"] = lambda handler, visit: drip(handler, head=True)
    shop.routes["/head.jpg"] = lambda handler, visit: drip(handler, head=False)
    start = time.monotonic()
    floor = make(floor_after_s=0.2)
    assert reason(floor.fetch, url("/body.jpg")) == "too-slow"
    total = make(total_s=0.4)
    assert reason(total.fetch, url("/body.jpg")) == "timeout"
    assert reason(total.fetch, url("/head.jpg")) == "timeout"
    assert time.monotonic() - start < 10 and shop.count() == 3


def test_silence_ends_at_the_read_limit_and_is_tried_again(make, shop, url):
    shop.routes["/silent.jpg"] = lambda handler, visit: time.sleep(0.5)
    assert reason(make(read_s=0.1).fetch, url("/silent.jpg")) == "timeout"
    assert shop.count() == 3


def test_a_flood_of_headers_is_refused(make, shop, url):
    def flood(handler, visit):
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
        for number in range(100_000):
            handler.wfile.write(b"X-%d: %s\r\n" % (number, b"y" * 1000))

    shop.routes["/flood.jpg"] = flood
    assert reason(make(tries=1).fetch, url("/flood.jpg")) == "broken"


@pytest.mark.parametrize("answer", [b"", b"\0\0\0\0\r\n\r\n", b"SSH-2.0-x\r\n\r\n", b"HTTP/1.1 abc\r\n\r\n"])
def test_what_is_not_http_is_refused(make, shop, url, answer):
    def junk(handler, visit):
        handler.wfile.write(answer)
        handler.close_connection = True

    shop.routes["/junk.jpg"] = junk
    assert reason(make().fetch, url("/junk.jpg")) == "broken"
