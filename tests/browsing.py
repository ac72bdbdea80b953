"""Helpers of the browser tests."""

from __future__ import annotations

from contextlib import contextmanager


def cards(page):
    """Return the ids of the products shown, in order."""
    return page.evaluate(
        "() => [...document.querySelectorAll('.face')]"
        ".map(face => new URL(face.href).searchParams.get('product'))"
    )


@contextmanager
def searched(page):
    """Leave only when the results of what was done inside are in place."""
    page.evaluate(
        "() => { window.placed = false; document.addEventListener("
        "'htmx:after:swap', () => { window.placed = true }, {once: true}) }"
    )
    yield
    page.wait_for_function("() => window.placed && !document.querySelector('[aria-busy]')")
