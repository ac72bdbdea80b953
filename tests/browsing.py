"""Helpers of the browser tests."""

from __future__ import annotations

from contextlib import contextmanager


def cards(page):
    """Return the ids of the products shown, in order."""
    return page.evaluate(
        "() => [...document.querySelectorAll('.face')]"
        ".map(face => new URL(face.href).searchParams.get('product'))"
    )


def expect(page, selector):
    """Wait for what a selector finds."""
    from playwright.sync_api import expect as wait

    return wait(page.locator(selector))


def tab_to(page, selector, key="Tab"):
    """Press a key until the focus is on what `selector` names."""
    for _ in range(150):
        if page.evaluate("s => document.activeElement.matches(s)", selector):
            return
        page.keyboard.press(key)
    raise AssertionError(f"{key} does not reach {selector}")


@contextmanager
def searched(page):
    """Leave only when the results of what was done inside are in place."""
    page.evaluate(
        "() => { window.placed = false; document.addEventListener("
        "'htmx:after:swap', () => { window.placed = true }, {once: true}) }"
    )
    yield
    page.wait_for_function("() => window.placed && !document.querySelector('[aria-busy]')")
