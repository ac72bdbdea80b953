"""Which scope each route needs: one table, and what is not in it nobody but `admin` reaches.

`tests/test_service_auth.py` compares the table with the routes of the app.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

SEARCH, EVENTS, MERCH, ADMIN = "search", "events", "merch", "admin"


@dataclass(frozen=True, slots=True)
class Need:
    """What a caller must have: one of `scopes`, or nothing where there are none."""

    scopes: tuple[str, ...]
    page: bool = False  # answered to people: without a login they are led to one
    cost: float = 1.0  # of the rate of a key
    local: bool = False  # or ask from this machine itself


@dataclass(frozen=True, slots=True)
class Found:
    """The entries that a request falls under; `methods` are those that its path has."""

    needs: tuple[Need, ...]
    template: str | None
    methods: frozenset[str]


PUBLIC = Need(())
_LOOK = Need((SEARCH,), page=True)  # whoever edits has this too: a login needs it
_EDIT = Need((MERCH,), page=True)

TABLE: Mapping[tuple[str, str], Need] = {
    ("GET", "/healthz"): PUBLIC,
    ("GET", "/readyz"): PUBLIC,
    ("GET", "/openapi.json"): PUBLIC,
    ("GET", "/metrics"): Need((ADMIN,), local=True),
    # the API
    ("GET", "/v1/products/{product_id}/similar"): Need((SEARCH,)),
    ("GET", "/v1/products/{product_id}/image"): Need((SEARCH,), cost=0.1),
    ("GET", "/v1/products/{product_id}"): Need((SEARCH,)),
    ("GET", "/v1/products"): Need((SEARCH,)),
    ("GET", "/v1/aspects"): Need((SEARCH,)),
    ("POST", "/v1/search"): Need((SEARCH,)),
    ("POST", "/v1/search/image"): Need((SEARCH,), cost=5.0),
    ("POST", "/v1/recommendations"): Need((SEARCH,)),
    ("POST", "/v1/explain"): Need((SEARCH,)),
    ("POST", "/v1/journeys"): Need((SEARCH,), cost=5.0),
    ("POST", "/v1/events"): Need((EVENTS,)),
    ("GET", "/v1/audience"): Need((MERCH,)),
    ("GET", "/v1/versions"): Need((SEARCH,)),
    ("POST", "/v1/versions/{version_id}/activate"): Need((ADMIN,)),
    ("POST", "/v1/versions/{version_id}/verify"): Need((ADMIN,)),
    ("GET", "/v1/versions/{before}/diff/{after}"): Need((SEARCH,), cost=20.0),
    # the console
    ("GET", "/static/{name}"): PUBLIC,
    ("GET", "/login"): PUBLIC,
    ("POST", "/login"): PUBLIC,
    ("POST", "/logout"): PUBLIC,
    ("GET", "/"): _LOOK,
    ("POST", "/"): _LOOK,
    ("GET", "/results"): _LOOK,
    ("POST", "/results"): _LOOK,
    ("GET", "/why"): _LOOK,
    ("POST", "/why"): _LOOK,
    ("GET", "/export.csv"): _LOOK,
    ("POST", "/export.csv"): _LOOK,
    ("GET", "/rules"): _LOOK,
    ("GET", "/rules/history"): _LOOK,
    ("GET", "/journeys"): _LOOK,
    ("GET", "/journeys/visitor"): _LOOK,
    ("POST", "/journeys/visitor/view"): Need((EVENTS,), page=True),
    ("GET", "/journeys/visitor/erase"): Need((ADMIN,), page=True),
    ("POST", "/journeys/visitor/erase"): Need((ADMIN,), page=True),
    ("GET", "/versions"): _LOOK,
    ("GET", "/versions/diff"): Need((SEARCH,), page=True, cost=20.0),
    ("GET", "/catalogue"): _LOOK,
    ("GET", "/catalogue/health"): _LOOK,
    ("GET", "/catalogue/rows"): _LOOK,
    ("GET", "/catalogue/rows.csv"): _LOOK,
    ("GET", "/catalogue/find"): _LOOK,
    ("GET", "/catalogue/products/{product_id}"): _LOOK,
}
# Whole branches: the path itself and all below it, with every method, but for what the table names.
BRANCHES: Mapping[str, Need] = {
    "/v1/rules": Need((MERCH,)),
    "/v1/catalogue": Need((MERCH,)),
    "/v1/users": Need((ADMIN,)),
    "/rules": _EDIT,
    "/versions": Need((ADMIN,), page=True),
    "/catalogue": _EDIT,
}


def find(method: str, path: str) -> Found:
    """Find the entries of a request; where several fit, all must be met, whichever the router picks.

    Branches count where no entry of the table fits.
    """
    method = "GET" if method == "HEAD" else method
    segments = path.split("/")
    fitting = [entry for entry in _BY_LENGTH.get(len(segments), ()) if _fits(entry[1], segments)]
    needs = [(need, template) for wanted, _, template, need in fitting if wanted == method]
    if not needs:
        needs = [(need, top) for top, need in BRANCHES.items() if path == top or path.startswith(f"{top}/")]
    return Found(
        tuple(need for need, _ in needs),
        needs[0][1] if needs else None,
        frozenset(wanted for wanted, *_ in fitting),
    )


def is_listed(method: str, template: str) -> bool:
    """Say whether a route of the app, by its template, is in the table."""
    below = any(template == top or template.startswith(f"{top}/") for top in BRANCHES)
    return below or ("GET" if method == "HEAD" else method, template) in TABLE


def declare(document: dict[str, Any]) -> None:
    """Write into an OpenAPI document how keys are sent, and which scopes each operation needs."""
    schemes = document.setdefault("components", {}).setdefault("securitySchemes", {})
    schemes["bearer"] = {"type": "http", "scheme": "bearer", "description": "an API key: vrk_…"}
    schemes["header"] = {"type": "apiKey", "in": "header", "name": "X-API-Key"}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            needs = find(method.upper(), path).needs
            scopes = sorted({scope for need in needs for scope in need.scopes})
            operation["security"] = [{name: scopes} for name in ("bearer", "header")] if scopes else []


def _fits(template: tuple[str, ...], segments: Iterable[str]) -> bool:
    return all(
        bool(segment) if wanted.startswith("{") else wanted == segment
        for wanted, segment in zip(template, segments, strict=True)
    )


_BY_LENGTH: dict[int, list[tuple[str, tuple[str, ...], str, Need]]] = {}
for (_method, _template), _need in TABLE.items():
    _parts = tuple(_template.split("/"))
    _BY_LENGTH.setdefault(len(_parts), []).append((_method, _parts, _template, _need))
