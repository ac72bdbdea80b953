"""A service with API keys, for the tests of who may do what."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

from service_shop import BASE_URL, open_shop
from starlette.testclient import TestClient

from vision_rec.access import SCOPES, create_key
from vision_rec.service import create_app

SAME = {"Sec-Fetch-Site": "same-origin"}
PAGE = {**SAME, "Sec-Fetch-Mode": "navigate", "Accept": "text/html"}


@contextmanager
def keyed_shop(folder: Path) -> Iterator[SimpleNamespace]:
    """Open a service with one key per scope and one with all."""
    settings, recommender = open_shop(folder, rate_per_second=0)
    made = {scope: create_key(folder / "var", f"for {scope}", [scope]).token for scope in SCOPES}
    made["all"] = create_key(folder / "var", "for all", SCOPES).token
    app = create_app(settings, recommender)
    with TestClient(app, base_url=BASE_URL, follow_redirects=False) as client:
        yield SimpleNamespace(client=client, app=app, tokens=made, folder=folder, service=app.state.service)


def fresh_client(shop: SimpleNamespace) -> TestClient:
    """Return the client of a keyed shop, with no cookies and no wrong keys behind it."""
    shop.client.cookies.clear()
    shop.service.failures._levels.clear()
    return shop.client


@contextmanager
def own_services(folder: Path) -> Iterator[Callable[..., SimpleNamespace]]:
    """Give a function that makes a service whose keys and settings a test may change."""
    clients = []

    def make(*names, **service):
        settings, recommender = open_shop(folder, **{"poll_seconds": 0.02, **service})
        tokens = [create_key(folder / "var", "key", name.split(",")).token for name in names]
        app = create_app(settings, recommender)
        client = TestClient(app, base_url=BASE_URL, follow_redirects=False)
        clients.append(client.__enter__())
        return SimpleNamespace(client=client, tokens=tokens, service=app.state.service, data=folder / "var")

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


def log_in(client, token, target="/", **headers):
    return client.post("/login", data={"key": token, "next": target}, headers={**SAME, **headers})
