"""The catalogue screen: what reindex said, the health of the vectors, lists behind numbers, one product."""

from __future__ import annotations

from functools import partial
from typing import Any

from fastapi import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from vision_rec.errors import VisionRecError
from vision_rec.recommend.state import State
from vision_rec.service.catalogue import Catalogue
from vision_rec.service.console.assets import templates
from vision_rec.service.console.catalogue_lists import Listing, listing, to_csv
from vision_rec.service.console.catalogue_views import (
    health_view,
    inspect_address,
    inspection_view,
    list_view,
    report_view,
)
from vision_rec.service.console.frame import head_of, said_problem
from vision_rec.service.console.login import access_view
from vision_rec.service.core import Service, service_of
from vision_rec.service.health import health_of, inspection, report_of
from vision_rec.service.paths import product_id_of

_NO_STORE = {"Cache-Control": "no-store"}


async def overview(request: Request) -> Response:
    """Show the last report and the health of the version in use."""
    service = service_of(request)
    shown: dict[str, Any] = {"waiting": service.opening, "there": service.is_open}
    if service.is_open:
        state = service.recommender.state
        shown |= await service.file_thread(partial(_overview, service, state))
    return await _html(request, "catalogue.html", "Catalogue", shown)


async def health(request: Request) -> Response:
    """Show the health alone, for the page's script to put in place while a check runs."""
    service = service_of(request)
    shown = await service.file_thread(partial(_health, service, service.recommender.state))
    return await _html(request, "catalogue_health_alone.html", "Catalogue", shown)


async def check(request: Request) -> Response:
    """Start a check: the script gets the health alone, a plain form the screen."""
    service = service_of(request)
    await service.file_thread(partial(service.health.start, service.recommender))
    if request.headers.get("hx-request") == "true":
        return await health(request)
    return RedirectResponse("/catalogue#health", 303, _NO_STORE)


async def rows(request: Request) -> Response:
    """Show the rows behind a number, a page at a time."""
    service, given = service_of(request), dict(request.query_params)
    try:
        state = service.recommender.state
        listed = await service.file_thread(partial(_listing, service, state, given))
        shown = await service.file_thread(partial(list_view, Catalogue(state), listed, given))
    except VisionRecError as error:
        return await _trouble(request, error)
    return await _html(request, "catalogue_rows.html", listed.title, shown)


async def rows_csv(request: Request) -> Response:
    """Answer all listed rows behind a number as CSV."""
    service, given = service_of(request), dict(request.query_params)
    listed = await service.file_thread(partial(_listing, service, service.recommender.state, given))
    data = await service.file_thread(partial(to_csv, listed))
    headers = {**_NO_STORE, "Content-Disposition": 'attachment; filename="catalogue.csv"'}
    return Response(data, headers=headers, media_type="text/csv; charset=utf-8")


async def find(request: Request) -> Response:
    """Lead from a typed id to its product."""
    ident = request.query_params.get("id", "").strip()
    return RedirectResponse(inspect_address(ident[:512]) if ident else "/catalogue", 303, _NO_STORE)


async def inspect(request: Request) -> Response:
    """Show one product inside out."""
    service, ident = service_of(request), product_id_of(request)
    try:
        state = service.recommender.state
        body = await service.search_thread(partial(inspection, service, state, ident))
        shown = await service.file_thread(partial(inspection_view, Catalogue(state), body))
    except VisionRecError as error:
        return await _trouble(request, error, ident)
    return await _html(request, "product.html", shown["product"].title, shown)


ROUTES = (
    Route("/catalogue", overview, methods=["GET"]),
    Route("/catalogue/health", health, methods=["GET"]),
    Route("/catalogue/check", check, methods=["POST"]),
    Route("/catalogue/rows", rows, methods=["GET"]),
    Route("/catalogue/rows.csv", rows_csv, methods=["GET"]),
    Route("/catalogue/find", find, methods=["GET"]),
    Route("/catalogue/products/{product_id}", inspect, methods=["GET"]),
)


def _overview(service: Service, state: State) -> dict[str, Any]:
    return {**report_view(report_of(service, state)), **_health(service, state)}


def _health(service: Service, state: State) -> dict[str, Any]:
    found = service.health.report(state)
    return {"health": health_view(Catalogue(state), health_of(service, state), found)}


def _listing(service: Service, state: State, given: dict[str, str]) -> Listing:
    found = report_of(service, state)
    return listing(given.get("list", ""), given, found, service.health.report(state))


async def _trouble(request: Request, error: VisionRecError, ident: str = "") -> Response:
    status, problem = said_problem(request, error)
    shown = {"problem": problem, "ident": ident}
    return await _html(request, "catalogue_trouble.html", problem["title"], shown, status)


async def _html(
    request: Request, template: str, title: str, shown: dict[str, Any], status: int = 200
) -> Response:
    service = service_of(request)

    def render() -> str:
        frame = {"page": head_of(service, title), "access": access_view(request), "active": "/catalogue"}
        return templates().get_template(template).render(**shown, **frame)

    return Response(await service.file_thread(render), status, _NO_STORE, media_type="text/html")
