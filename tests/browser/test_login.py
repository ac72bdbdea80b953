"""Logging in with a real browser: which cookies it keeps, and what pages of other sites can do."""

from __future__ import annotations

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

from vision_rec.access import create_key


@pytest.fixture(scope="module")
def key(shop):
    """The only key there is."""
    return create_key(shop / "var", "Ana & <b>Bo</b>", ["search", "merch"]).token


@pytest.fixture(scope="module")
def url(key, url):
    """The service, once it knows the key."""
    for _ in range(3000):
        if httpx.get(f"{url}/v1/aspects").status_code == 401:
            return url
        time.sleep(0.02)
    raise AssertionError("the key is not known")


@pytest.fixture(scope="module")
def elsewhere(url):
    """A page on another port: a form that ends logins as soon as it is open, and a link to the console."""
    page = (
        f'<form method="post" action="{url}/logout"><button id="out">x</button></form>'
        f'<a href="{url}/?product=mug-red">look</a>'
    )

    class Page(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(page.encode())

        def log_message(self, *args):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


def sign_in(page, key):
    page.get_by_label("API key").fill(key)
    page.get_by_role("button", name="Sign in").click()


@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no-scripts"])
def test_in_and_out_again(make_page, url, key, scripts):
    page = make_page(java_script_enabled=scripts)
    page.watch.expected += ("401",)
    page.goto(f"{url}/?product=mug-red")
    assert page.url.startswith(f"{url}/login?next=")
    sign_in(page, "vrk_wrong")
    page.get_by_role("alert").get_by_text("no such key").wait_for()
    sign_in(page, key)
    page.get_by_text("Signed in as Ana & <b>Bo</b>").wait_for()
    assert page.url == f"{url}/?product=mug-red"
    (cookie,) = page.context.cookies()
    assert cookie["name"] == "vision-rec" and cookie["httpOnly"] and cookie["sameSite"] == "Strict"
    assert key not in cookie["value"]
    if scripts:
        assert page.evaluate("() => document.cookie") == ""
        assert page.evaluate("() => fetch('/v1/aspects').then(answer => answer.status)") == 200
    page.get_by_role("button", name="Sign out").click()
    page.get_by_label("API key").wait_for()
    assert page.context.cookies() == []
    page.goto(url)
    assert "/login" in page.url


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"], ids=["other-port", "other-site"])
def test_pages_of_other_sites_cannot_use_a_login(browser, url, key, elsewhere, host):
    context = browser.new_context()
    page = context.new_page()
    page.set_default_timeout(60_000)
    page.goto(f"{url}/login")
    sign_in(page, key)
    page.get_by_text("Signed in as").wait_for()
    page.goto(f"http://{host}:{elsewhere}/")
    with page.expect_response("**/logout") as refused:
        page.locator("#out").click()
    assert refused.value.status == 403
    page.goto(f"http://{host}:{elsewhere}/")
    page.get_by_role("link", name="look").click()
    if host == "localhost":  # the browser keeps the cookie back, until a click here
        page.get_by_role("link", name="go on").click()
    page.get_by_text("Signed in as").wait_for()
    assert page.url == f"{url}/?product=mug-red"
    context.close()
