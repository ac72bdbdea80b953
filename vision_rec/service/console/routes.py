"""The routes of the page: the whole page, its results alone, an explanation, an export, its static files."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from fastapi import Request
from pydantic import ValidationError
from starlette.responses import Response
from starlette.routing import Route

from vision_rec.errors import InputError, VisionRecError
from vision_rec.filters import Filters
from vision_rec.service.bodies import Asked, media_type, read_upload
from vision_rec.service.catalogue import Catalogue
from vision_rec.service.console import views
from vision_rec.service.console.assets import static, templates
from vision_rec.service.console.calls import call_of
from vision_rec.service.console.export import to_csv
from vision_rec.service.console.facets import left_by
from vision_rec.service.console.form import PAGE, Form
from vision_rec.service.console.frame import explore_frame, said_degraded, said_problem
from vision_rec.service.console.login import access_view
from vision_rec.service.console.why import why_view
from vision_rec.service.core import Service, service_of
from vision_rec.service.explain import explained
from vision_rec.service.search import open_query

_NO_STORE = {"Cache-Control": "no-store"}
_NOTHING: Mapping[str, Any] = {
    "problem": None,
    "answer": None,
    "start": None,
    "wanted": False,
    "call": None,
    "relax": (),
    "csv": "",
}


async def page(request: Request) -> Response:
    """Answer the whole page, results included; POST brings a picture where scripts are off."""
    return await _render(request, "page.html")


async def results(request: Request) -> Response:
    """Answer the results alone, for the page's script to put in place; `part=more` is the next cards only."""
    more = request.query_params.get("part") == "more"
    return await _render(request, "more.html" if more else "results_alone.html")


async def why(request: Request) -> Response:
    """Answer why a product is where it is: a page, or what the page's script shows in its dialog."""
    service = service_of(request)
    form, status = Form(), 200
    shown: dict[str, Any] = {"problem": None, "why": None}
    try:
        form, picture = await _read(request, service)
        form = form.settled(service.recommender.default_weights, service.recommender.presets)
        shown["why"] = await _why(request, service, form, picture)
    except (VisionRecError, ValidationError) as error:
        status, shown["problem"] = said_problem(request, error)
    alone = request.headers.get("hx-request") == "true"
    return await _html(request, "why.html" if alone else "why_page.html", status, form, shown)


async def export(request: Request) -> Response:
    """Answer the search as CSV, from its first product on."""
    service = service_of(request)
    form, picture = await _read(request, service)
    form = form.settled(service.recommender.default_weights, service.recommender.presets)
    fields = {
        **form.asked(by_picture=picture is not None).fields,
        "k": service.settings.search.max_k,
        "offset": 0,
    }
    answer = await service.answer(await open_query(request, service, Asked(fields), picture))
    headers = {**_NO_STORE, "Content-Disposition": 'attachment; filename="similar.csv"'}
    data = await service.file_thread(partial(to_csv, answer))
    return Response(data, headers=headers, media_type="text/csv; charset=utf-8")


ROUTES = (
    Route("/", page, methods=["GET", "POST"]),
    Route("/results", results, methods=["GET", "POST"]),
    Route("/why", why, methods=["GET", "POST"]),
    Route("/export.csv", export, methods=["GET", "POST"]),
    Route("/static/{name}", static, methods=["GET"]),
)


async def _render(request: Request, template: str) -> Response:
    """Render a template with results, or with what went wrong in their place; input is never lost."""
    service = service_of(request)
    form, status = Form(), 200
    shown: dict[str, Any] = {**_NOTHING, "waiting": service.opening}
    try:
        form, picture = await _read(request, service)
        if service.is_open:
            form = form.settled(service.recommender.default_weights, service.recommender.presets)
            shown |= await _results(request, service, form, picture)
    except (VisionRecError, ValidationError) as error:
        status, shown["problem"] = said_problem(request, error)
        if form == Form():  # it could not be read
            form = _salvaged(request)
    return await _html(request, template, status, form, shown)


async def _html(
    request: Request, template: str, status: int, form: Form, shown: Mapping[str, Any]
) -> Response:
    service = service_of(request)

    def render() -> str:
        frame = {**explore_frame(service, form), "access": access_view(request)}
        return templates().get_template(template).render(**shown, **frame)

    return Response(await service.search_thread(render), status, _NO_STORE, media_type="text/html")


async def _read(request: Request, service: Service) -> tuple[Form, bytes | None]:
    """Read the form from the address, and in a POST from its body too, with the picture there."""
    pairs = request.query_params.multi_items()
    if request.method == "GET":
        return Form.read(pairs), None
    if media_type(request) != "multipart/form-data":
        sent = [(name, str(value)) for name, value in (await request.form()).multi_items()]
        return Form.read([*pairs, *sent]), None
    upload = await read_upload(request, service.settings.images.max_query_bytes)
    return Form.read([*pairs, *upload.fields]), upload.picture if upload.chosen else None


async def _results(request: Request, service: Service, form: Form, picture: bytes | None) -> dict[str, Any]:
    if form.picture and picture is None:  # the browser has it, or nobody
        return {"wanted": True}
    by_picture = picture is not None
    if not form.has_source and not by_picture:
        return {"start": await service.file_thread(partial(_start, service, form))}
    started = time.perf_counter()
    catalogue = Catalogue.of(service.recommender)
    subject = catalogue.product(form.product) if form.product else None
    asked = form.asked(by_picture=by_picture)
    answer = await service.answer(await open_query(request, service, asked, picture))
    took_ms = (time.perf_counter() - started) * 1000
    known = [ident for ident in (*form.like, *form.unlike) if ident in catalogue.state.catalog]
    view = views.answer_view(
        answer,
        form,
        subject,
        by_picture=by_picture,
        took_ms=took_ms,
        names=tuple(service.recommender.default_weights),
        examples={ident: catalogue.product(ident) for ident in known},
        degraded=said_degraded(service, answer.degraded),
    )
    relax: list[views.Relax] = []
    if not answer.items and form.conditions:
        relax = await service.file_thread(partial(_relaxations, catalogue, form))
    base_url, keyed = str(request.base_url).rstrip("/"), not service.access.is_open
    call = call_of(form, base_url, by_picture=by_picture, keyed=keyed)
    csv = replace(form, offset=0, view="").address("/export.csv")
    return {"answer": view, "relax": relax, "call": call, "csv": csv}


async def _why(request: Request, service: Service, form: Form, picture: bytes | None) -> Any:
    if form.picture and picture is None:
        raise InputError("this search began with a picture that only the browser that chose it has")
    item = next((value for name, value in request.query_params.multi_items() if name == "item"), "")
    if not item:
        raise InputError("the address names no product to explain: it ends with item=ID")
    catalogue = Catalogue.of(service.recommender)
    subject = catalogue.product(form.product) if form.product else None
    query = await open_query(request, service, form.asked(by_picture=picture is not None), picture)
    found = await explained(service, query, item)
    return why_view(found, form, subject, tuple(service.recommender.default_weights))


def _start(service: Service, form: Form) -> views.Start:
    catalogue, conditions = Catalogue.of(service.recommender), form.conditions
    filters = Filters.from_dict(conditions) if conditions else None
    rows, live = catalogue.rows(filters), catalogue.live_count
    count = len(rows)
    said = "1 product" if count == 1 else f"{count:,} products"
    return views.Start(
        cards=[views.card(p, catalogue.version_id, form) for p in catalogue.sample(PAGE, form.shift, rows)],
        more=replace(form, shift=form.shift + 1).address() if count > PAGE else None,
        count_text=f"{count:,} of {live:,} products" if conditions else said,
        tags=views.filter_tags(replace(form, shift=0)),
        relax=_relaxations(catalogue, form) if live and not count else (),
        relaxed=replace(form.bare(), shift=0).address(),
    )


def _relaxations(catalogue: Catalogue, form: Form) -> list[views.Relax]:
    """Offer to drop each filter of a search that nothing fits."""
    left = left_by(catalogue.state.catalog, form.conditions)
    return views.relaxations(replace(form, shift=0), left, catalogue.live_count)


def _salvaged(request: Request) -> Form:
    """Return the texts of a form whose numbers cannot be read, so that nothing typed is lost."""
    pairs = [
        (name, value)
        for name, value in request.query_params.multi_items()
        if name != "weights" and not name.startswith(("w.", "crop_"))
    ]
    return Form.read(pairs)
