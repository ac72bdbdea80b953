"""axe-core on a page: which rules of WCAG it breaks, and where."""

from __future__ import annotations

import pytest

RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}


def violations(page):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-core is not installed")
    found = axe.Axe().run(page, options=RULES).response["violations"]
    return [(rule["id"], [node["html"][:160] for node in rule["nodes"]][:5]) for rule in found]


def broken_widths(page):
    """Say at which widths a page breaks a rule or is wider than its window."""
    found = {}
    for width in (360, 900, 1400):
        page.set_viewport_size({"width": width, "height": 900})
        wide = page.evaluate("document.documentElement.scrollWidth > innerWidth")
        if wide or (rules := violations(page)):
            found[width] = "wider than its window" if wide else rules
    return found
