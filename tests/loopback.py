"""A picture host on loopback and Fetchers that know it, for the tests that fetch."""

from __future__ import annotations

import ipaddress
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from vision_rec.errors import FetchError
from vision_rec.fetch import Fetcher, FetchPolicy
from vision_rec.settings import ImageSettings

PICTURE = b"\xff\xd8\xffa picture" * 100
LOOPBACK = ipaddress.ip_address("127.0.0.1")


class Shop(ThreadingHTTPServer):
    """A picture host: `routes` maps a path to a function (handler, visit number) → None."""

    daemon_threads = True

    def __init__(self):
        self.visits = []  # (path, headers)
        self.routes = {}
        super().__init__(("127.0.0.1", 0), Handler)

    def handle_error(self, request, client_address):
        """Clients that hang up early are what these tests are about."""

    @property
    def port(self):
        return self.server_address[1]

    def count(self, path=None):
        return sum(path in (None, visited) for visited, _ in self.visits)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.server.visits.append((self.path, dict(self.headers)))
        route = self.server.routes.get(self.path.partition("?")[0])
        try:
            if route is None:
                self.answer(404, b"<html>not found</html>")
            else:
                route(self, self.server.count(self.path))
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def answer(self, status=200, body=PICTURE, **headers):
        self.send_response(status)
        self.send_header("Content-Length", headers.pop("length", len(body)))
        for name, text in headers.items():
            self.send_header(name.replace("_", "-"), text)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


@contextmanager
def serving():
    server = Shop()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def shop():
    with serving() as server:
        server.routes["/a.jpg"] = lambda handler, visit: handler.answer()
        yield server


@pytest.fixture
def sentinel():
    with serving() as server:
        yield server
        assert server.count() == 0, "a forbidden address was reached"


@pytest.fixture
def make(shop, tmp_path):
    """Make Fetchers that know one host, shop.test, which is the loopback server."""
    made = []

    def build(
        *, resolve=None, sleep=None, clock=time.monotonic, hosts=("shop.test",), max_bytes=10_000, **policy
    ):
        policy = {"ports": frozenset({shop.port}), "admits": lambda address: address == LOOPBACK} | policy
        fetcher = Fetcher(
            ImageSettings(allowed_hosts=hosts, max_bytes=max_bytes),
            tmp_path / "cache",
            policy=FetchPolicy(**policy),
            resolve=resolve or (lambda host, port: ["127.0.0.1"]),
            sleep=sleep or (lambda seconds: None),
            clock=clock,
        )
        made.append(fetcher)
        return fetcher

    yield build
    for fetcher in made:
        fetcher.close()


@pytest.fixture
def url(shop):
    return lambda path="/a.jpg", host="shop.test": f"http://{host}:{shop.port}{path}"


def reason(call, *arguments, **options):
    with pytest.raises(FetchError) as caught:
        call(*arguments, **options)
    return caught.value.reason
