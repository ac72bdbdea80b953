"""Hostile URLs, addresses and redirects: refused before a forbidden address sees a single packet."""

from __future__ import annotations

import ipaddress
import socket
import ssl
import threading

import loopback
import pytest
from loopback import PICTURE, reason

from vision_rec.errors import FetchError, UrlNotAllowedError
from vision_rec.fetch import Fetcher, FetchPolicy, check_url, is_public
from vision_rec.fetch.addresses import system_resolve
from vision_rec.settings import ImageSettings

make, sentinel, shop, url = loopback.make, loopback.sentinel, loopback.shop, loopback.url  # fixtures

# ── T8, T9: addresses ────────────────────────────────────────────────────────────────────────────

NOT_PUBLIC = """
0.0.0.0 0.1.2.3 10.0.0.1 10.255.255.255 100.64.0.1 100.100.100.200 127.0.0.1 127.1.2.3 168.63.129.16
169.254.0.1 169.254.169.254 172.16.0.1 172.31.255.255 192.0.0.1 192.0.0.192 192.0.2.1 192.88.99.1
192.168.0.1 198.18.0.1 198.51.100.1 203.0.113.1 224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.255
:: ::1 ::127.0.0.1 ::8.8.8.8 ::ffff:127.0.0.1 ::ffff:169.254.169.254 ::ffff:8.8.8.8 64:ff9b::7f00:1
64:ff9b::a9fe:a9fe 64:ff9b::808:808 64:ff9b:1::1 100::1 2001::1 2001:0:7f00:1:: 2001:db8::1 2001:10::1
2001:20::1 2002:7f00:1:: 2002:808:808:: 3fff::1 4000::1 5f00::1 fc00::1 fd00:ec2::254 fe80::1
fe80::1%eth0 fec0::1 ff02::1 ff0e::1 2606:4700::1%1
""".split()
PUBLIC = (
    "8.8.8.8 1.1.1.1 93.184.215.14 172.32.0.1 100.128.0.1 2606:4700::1111 2a00:1450:4001:81b::200e".split()
)


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_addresses_that_must_not_be_reached(make, sentinel, address):
    assert not is_public(ipaddress.ip_address(address))
    fetcher = make(
        resolve=lambda host, port: ["93.184.215.14", address],
        ports=frozenset({sentinel.port}),
        admits=is_public,
    )
    with pytest.raises(UrlNotAllowedError, match="not a public address"):
        fetcher.fetch(f"http://shop.test:{sentinel.port}/")


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses(address):
    assert is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "127.1", "0x7f000001", "2130706433", "0177.0.0.1", "0", "①②⑦.0.0.1", "127。0。0。1",
        "[::1]", "[::]", "[::ffff:127.0.0.1]", "[0:0:0:0:0:ffff:7f00:1]", "localhost", "localhost.",
        "LOCALHOST", "a.localhost", "[::ffff:7f00:1]",
    ],
)  # fmt: skip
def test_spellings_of_loopback_do_not_pass_even_when_allowed_by_name(make, sentinel, host):
    # The system's own resolver answers these without asking anybody; `a.localhost` may be unknown to it.
    fetcher = make(hosts=(host,), ports=frozenset({sentinel.port}), admits=is_public, resolve=system_resolve)
    with pytest.raises((UrlNotAllowedError, FetchError)) as caught:
        fetcher.fetch(f"http://{host}:{sentinel.port}/x.jpg")
    assert isinstance(caught.value, UrlNotAllowedError) or caught.value.reason == "dns"


def test_names_are_resolved_once_and_the_checked_address_is_used(make, shop, url):
    lookups = []

    def rebinding(host, port):
        lookups.append(host)
        return ["127.0.0.1"] if len(lookups) == 1 else ["10.0.0.1"]

    fetcher = make(resolve=rebinding)
    assert fetcher.fetch(url()).read_bytes() == PICTURE
    assert lookups == ["shop.test"]  # the name does not exist: only the pinned address can have been reached
    with pytest.raises(UrlNotAllowedError, match=r"10\.0\.0\.1"):
        fetcher.fetch(url(), refresh=True)


def test_an_answer_that_is_no_address_is_refused(make, url):
    with pytest.raises(UrlNotAllowedError, match="no address"):
        make(resolve=lambda host, port: ["localhost"]).fetch(url())


def test_tls_names_and_verifies_the_host_not_the_address(make):
    hellos = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def listen():
            link, _ = listener.accept()
            with link:
                hellos.append(link.recv(4096))

        thread = threading.Thread(target=listen)
        thread.start()
        port = listener.getsockname()[1]
        fetcher = make(ports=frozenset({port}), tries=1)
        assert reason(fetcher.fetch, f"https://shop.test:{port}/a.jpg") == "broken"
        thread.join()
    assert b"shop.test" in hellos[0]  # the server name indication
    context = fetcher._client._pool._ssl_context
    assert context.check_hostname and context.verify_mode == ssl.CERT_REQUIRED


# ── URLs ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "bad",
    [
        "", "a.jpg", "//shop.test/a.jpg", "file:///etc/passwd", "gopher://shop.test/", "ftp://shop.test/a.jpg",
        "javascript:alert(1)", "data:image/png;base64,AA", "http://", "http:///a.jpg", "http:shop.test/a.jpg",
        "http://user@shop.test/", "http://user:pass@shop.test/", "http://shop.test@evil.test/",
        "http://evil.test#@shop.test/", "http://evil.test\\@shop.test/", "http://shop.test:22/",
        "http://shop.test:0/", "http://shop.test:99999/", "http://shop.test:x/", "http://[::1/", "http://[x]/",
        "http://shop.test\r\nHost: evil/", "http://shop.test/a\tb", "http://shop.test/\0",
        "http://shop .test/",
        "http://evil.test/", "http://xshop.test/", "http://shop.test.evil.test/", "http://cdn.test/",
        "http://evilcdn.test/", "http://.cdn.test/", "http://a..cdn.test%2f/", "http://shop%2etest/",
        "http://[fe80::1%25eth0]/", "http://" + "a" * 64 + "ü.cdn.test/", "http://shop.test/" + "a" * 2000,
    ],
)  # fmt: skip
def test_urls_that_are_not_allowed(bad):
    with pytest.raises(UrlNotAllowedError) as caught:
        check_url(bad, ("shop.test", "*.cdn.test"))
    assert len(str(caught.value)) < 400 and "pass" not in str(caught.value).replace("passwd", "")


def test_allowed_urls_are_split_into_what_goes_on_the_wire():
    hosts = ("shop.test", "*.cdn.test", "bücher.test", "[2606:4700::1]")
    for given, authority, path, port in (
        ("http://shop.test", "shop.test", "/", 80),
        ("HTTPS://Shop.Test./A%20b.jpg?x=1&y=%26#part", "shop.test", "/A%20b.jpg?x=1&y=%26", 443),
        ("http://shop.test:443/ü.jpg", "shop.test:443", "/%C3%BC.jpg", 443),
        ("https://a.b.cdn.test/x y", "a.b.cdn.test", "/x%20y", 443),
        (" http://bücher.test/x ", "xn--bcher-kva.test", "/x", 80),
        ("https://[2606:4700::1]/x", "[2606:4700::1]", "/x", 443),
    ):
        target = check_url(given, hosts)
        assert (target.authority, target.path, target.port) == (authority, path, port)


def test_no_host_is_allowed_by_default(tmp_path):
    with (
        Fetcher(ImageSettings(), tmp_path) as fetcher,
        pytest.raises(UrlNotAllowedError, match="allowed_hosts"),
    ):
        fetcher.fetch("https://example.com/a.jpg")
    assert not list(tmp_path.iterdir())


def test_the_usual_ports_are_the_only_ones_by_default(make, sentinel):
    fetcher = make(ports=FetchPolicy().ports)
    with pytest.raises(UrlNotAllowedError, match="allowed are 80, 443"):
        fetcher.fetch(f"http://shop.test:{sentinel.port}/")


def test_errors_do_not_show_queries(make, url):
    with pytest.raises(FetchError) as caught:
        make().fetch(url("/gone.jpg?token=sesame"))
    assert "sesame" not in str(caught.value) and "/gone.jpg" in str(caught.value)


# ── T10: redirects ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_three_redirects_are_followed(make, shop, url, status):
    aims = {"/1": "/2", "/2": url("/3"), "/3": f"//shop.test:{shop.port}/a.jpg", "/0": "/1"}
    for path, aim in aims.items():
        shop.routes[path] = lambda handler, visit, aim=aim: handler.answer(status, b"moved", Location=aim)
    assert make().fetch(url("/1")).read_bytes() == PICTURE
    assert reason(make().fetch, url("/0")) == "redirects"


def test_every_redirect_is_checked_again(make, shop, url, sentinel):
    inner = f"http://inner.test:{sentinel.port}/"
    addresses = {"shop.test": "127.0.0.1", "inner.test": "127.0.0.2"}
    fetcher = make(
        hosts=("shop.test", "inner.test"),
        ports=frozenset({shop.port, sentinel.port}),
        resolve=lambda host, port: [addresses[host]],
    )
    for aim in (inner, f"http://127.0.0.1:{sentinel.port}/", f"http://shop.test@127.0.0.1:{sentinel.port}/",
                "file:///etc/passwd", "gopher://shop.test/x", "http://evil.test/", "//[::1]/", "http://a:b@shop.test/",
                "/" + "x" * 3000):  # fmt: skip
        shop.routes["/r"] = lambda handler, visit, aim=aim: handler.answer(302, b"", Location=aim)
        with pytest.raises(UrlNotAllowedError):
            fetcher.fetch(url("/r"))


def test_redirects_in_a_circle_or_to_nowhere_end(make, shop, url):
    shop.routes["/loop"] = lambda handler, visit: handler.answer(302, b"", Location="/loop")
    shop.routes["/nowhere"] = lambda handler, visit: handler.answer(302, b"")
    assert reason(make().fetch, url("/loop")) == "redirects" and shop.count() == 4
    assert reason(make().fetch, url("/nowhere")) == "bad-redirect"


# ── T12: nothing leaks in or out ─────────────────────────────────────────────────────────────────


def test_proxies_netrc_and_cookies_play_no_part(make, shop, url, sentinel, monkeypatch, tmp_path):
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{sentinel.port}")
    (tmp_path / ".netrc").write_text("machine shop.test login me password secret")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    shop.routes["/c.jpg"] = lambda handler, visit: handler.answer(
        302 if visit == 1 else 200, Set_Cookie="id=1; Path=/", Location="/c.jpg"
    )
    fetcher = make()
    fetcher.fetch(url("/c.jpg"))
    fetcher.fetch(url("/c.jpg"), refresh=True)
    assert shop.count() == 3
    for _, headers in shop.visits:
        assert not {"Cookie", "Authorization", "Proxy-Authorization", "Referer"} & set(headers)
