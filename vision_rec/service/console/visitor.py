"""The screen of one visitor: nothing known, views, recommendations with reasons, erased again.

Each step is a plain form, and the same as a call of /v1/recommendations, /v1/journeys, /v1/events, /v1/users.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from fastapi import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from vision_rec.errors import InputError, VisionRecError
from vision_rec.service.auth import caller_of
from vision_rec.service.bodies import Asked, media_type
from vision_rec.service.catalogue import Catalogue
from vision_rec.service.console.assets import templates
from vision_rec.service.console.frame import head_of, said_degraded, said_problem
from vision_rec.service.console.journeys import looked_up
from vision_rec.service.console.login import access_view
from vision_rec.service.console.visitor_form import PAGE, VisitorForm, new_visitor
from vision_rec.service.console.visitor_views import SHOWN, acts_view, calls, offers_view, products_view
from vision_rec.service.core import Service, service_of
from vision_rec.service.events import erased, recorded
from vision_rec.service.journeys import journeyed
from vision_rec.service.problems import RequestError
from vision_rec.service.scopes import ADMIN, EVENTS
from vision_rec.service.search import open_query

_NO_STORE = {"Cache-Control": "no-store"}


async def show(request: Request) -> Response:
    """Show what is known of a visitor and what is recommended; without one, how to begin."""
    return await _show(request, VisitorForm.read(request.query_params.multi_items()))


async def record(request: Request) -> Response:
    """Record a view of the form's product, as POST /v1/events does, and show the visitor again."""
    service, form = service_of(request), VisitorForm.read(await _form(request))
    try:
        if not form.user:
            raise InputError("name the visitor who views the product")
        receipt = await recorded(service, [form.event()])
        if receipt.rejected:
            raise InputError(receipt.rejected[0].reason)
    except VisionRecError as error:
        return await _show(request, form, error)
    return RedirectResponse(form.after_view(), 303, _NO_STORE)


async def confirm(request: Request) -> Response:
    """Ask once more before a visitor is erased."""
    form = VisitorForm.read(request.query_params.multi_items())
    if not form.user:
        return RedirectResponse(PAGE, 303, _NO_STORE)
    return await _html(request, "visitor_erase.html", "Erase a visitor?", {"form": form}, 200)


async def erase(request: Request) -> Response:
    """Erase a visitor, as DELETE /v1/users does, and show what is left: nothing."""
    service, form = service_of(request), VisitorForm.read(await _form(request))
    try:
        if not form.user:
            raise InputError("name the visitor to erase")
        count = await erased(service, form.user)
    except VisionRecError as error:
        return await _show(request, form, error)
    return RedirectResponse(form.after_erasure(count), 303, _NO_STORE)


ROUTES = (
    Route(PAGE, show, methods=["GET"]),
    Route(f"{PAGE}/view", record, methods=["POST"]),
    Route(f"{PAGE}/erase", confirm, methods=["GET"]),
    Route(f"{PAGE}/erase", erase, methods=["POST"]),
)


# ── steps ─────────────────────────────────────────────────────────────────────────────────────────────


async def _show(request: Request, form: VisitorForm, error: Exception | None = None) -> Response:
    """Show a visitor, with what went wrong if something did."""
    service, status = service_of(request), 200
    shown: dict[str, Any] = {
        "form": form,
        "fresh": new_visitor(),
        "token": new_visitor().removeprefix("test-"),
        "problem": None,
        "look_problem": None,
        "found": None,
        "visitor": None,
        "waiting": service.opening,
    }
    if error is not None:
        status, shown["problem"] = said_problem(request, error)
    if service.is_open and form.user:
        try:
            shown["visitor"] = await _visitor(request, service, form)
            shown |= await _found(request, service, form)
        except VisionRecError as trouble:
            status, shown["problem"] = said_problem(request, error or trouble)
    return await _html(request, "visitor.html", "Journeys", shown, status)


async def _visitor(request: Request, service: Service, form: VisitorForm) -> dict[str, Any]:
    """Ask what is known and what is recommended, as callers of the API do."""
    catalogue = Catalogue.of(service.recommender)
    query = await open_query(request, service, Asked({"user_id": form.user, "k": SHOWN}))
    answer = await service.answer(query)
    found = await journeyed(service, query)
    shown = {item.product.id for item in answer}
    gone = [ident for ident in form.was if ident not in shown and ident in catalogue.state.catalog]
    begin = () if answer.items else await service.file_thread(partial(catalogue.sample, SHOWN))
    return {
        "acts": acts_view(found.influences, catalogue),
        "is_stranger": not found.influences.visits and all(item.score == 0 for item in answer),
        "offers": offers_view(answer, form.was),
        "ids": "\n".join(item.product.id for item in answer),
        "fresh_count": sum(1 for ident in shown if ident not in form.was) if form.was else 0,
        "left": products_view([catalogue.product(ident) for ident in gone], catalogue.version_id),
        "begin": products_view(begin, catalogue.version_id),
        "degraded": said_degraded(service, answer.degraded),
        "viewed": _title(catalogue, form.viewed),
        "calls": calls(str(request.base_url).rstrip("/"), form.user, keyed=not service.access.is_open),
    }


async def _found(request: Request, service: Service, form: VisitorForm) -> dict[str, Any]:
    """Find products that the visitor may view."""
    if not form.q:
        return {}
    try:
        catalogue = Catalogue.of(service.recommender)
        products = await looked_up(request, service, catalogue, form.q)
        return {"found": products_view(products, catalogue.version_id)}
    except VisionRecError as error:
        return {"look_problem": said_problem(request, error)[1]}


def _title(catalogue: Catalogue, ident: str) -> str:
    return (catalogue.product(ident).title or ident) if ident in catalogue.state.catalog else ident


async def _form(request: Request) -> list[tuple[str, str]]:
    """Read a plain form; the layers before have checked its size and where it comes from."""
    if media_type(request) not in ("application/x-www-form-urlencoded", ""):
        raise RequestError("unsupported-media-type", "send application/x-www-form-urlencoded")
    return [(name, str(value)) for name, value in (await request.form()).multi_items()]


async def _html(request: Request, template: str, title: str, shown: dict[str, Any], status: int) -> Response:
    service, caller = service_of(request), caller_of(request)

    def render() -> str:
        frame = {
            "page": head_of(service, title),
            "access": access_view(request),
            "active": "/journeys",
            "may_record": caller.may(EVENTS),
            "may_erase": caller.may(ADMIN),
        }
        return templates().get_template(template).render(**shown, **frame)

    return Response(await service.file_thread(render), status, _NO_STORE, media_type="text/html")
