"""The routes of the page: the whole page, its results alone, its static files."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial
from typing import Any

from fastapi import Request
from pydantic import ValidationError
from starlette.responses import Response
from starlette.routing import Route

from vision_rec.errors import VisionRecError
from vision_rec.service.bodies import media_type, read_upload
from vision_rec.service.catalogue import Catalogue
from vision_rec.service.console import views
from vision_rec.service.console.assets import static, templates
from vision_rec.service.console.form import PAGE, Form
from vision_rec.service.core import Service, service_of
from vision_rec.service.problems import PROBLEMS, request_id_of
from vision_rec.service.search import open_query

_NO_STORE = {"Cache-Control": "no-store"}


async def page(request: Request) -> Response:
    """Answer the whole page, results included; POST brings a picture where scripts are off."""
    return await _render(request, "page.html")


async def results(request: Request) -> Response:
    """Answer the results alone, for the page's script to put in place."""
    return await _render(request, "results.html")


ROUTES = (
    Route("/", page, methods=["GET", "POST"]),
    Route("/results", results, methods=["GET", "POST"]),
    Route("/static/{name}", static, methods=["GET"]),
)


async def _render(request: Request, template: str) -> Response:
    """Render a template with results, or with what went wrong in their place; input is never lost."""
    service = service_of(request)
    form, status = Form(), 200
    shown: dict[str, Any] = {"problem": None, "answer": None, "start": None, "waiting": service.opening}
    try:
        form, picture = await _read(request, service)
        if service.is_open:
            form = form.settled(service.recommender.default_weights, service.recommender.presets)
            shown |= await _results(request, service, form, picture)
    except (VisionRecError, ValidationError) as error:
        status, shown["problem"] = _problem(request, error)
        if not form.has_source:
            form = _salvaged(request)
    html = await service.file_thread(
        partial(templates().get_template(template).render, **shown, **_frame(service, form))
    )
    return Response(html, status, _NO_STORE, media_type="text/html")


async def _read(request: Request, service: Service) -> tuple[Form, bytes | None]:
    if request.method == "GET":
        return Form.read(request.query_params.multi_items()), None
    if media_type(request) != "multipart/form-data":
        return Form.read([(name, str(value)) for name, value in (await request.form()).multi_items()]), None
    upload = await read_upload(request, service.settings.images.max_query_bytes)
    return Form.read(upload.fields), upload.picture


async def _results(request: Request, service: Service, form: Form, picture: bytes | None) -> dict[str, Any]:
    if not form.has_source and picture is None:
        return {"start": await service.file_thread(partial(_start, service, form))}
    started = time.perf_counter()
    catalogue = Catalogue.of(service.recommender)
    subject = catalogue.product(form.product) if form.product else None
    answer = await service.answer(await open_query(request, service, form.asked(), picture))
    took_ms = (time.perf_counter() - started) * 1000
    view = views.answer_view(answer, form, subject, by_picture=picture is not None, took_ms=took_ms)
    return {"answer": view}


def _start(service: Service, form: Form) -> views.Start:
    catalogue = Catalogue.of(service.recommender)
    count = catalogue.live_count
    return views.Start(
        cards=[views.card(p, catalogue.version_id, form) for p in catalogue.sample(PAGE, form.shift)],
        more=replace(form, shift=form.shift + 1).address() if count > PAGE else None,
        count_text="1 product" if count == 1 else f"{count:,} products",
    )


def _problem(request: Request, error: Exception) -> tuple[int, dict[str, str]]:
    code = error.code if isinstance(error, VisionRecError) else "invalid-input"
    problem = PROBLEMS.get(code, PROBLEMS["internal"])
    detail = str(error)
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        detail = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    advice = {
        "not-found": "Check the product id, or pick a product from the catalogue.",
        "unavailable": "Products are still found by product id.",
    }
    return problem.status, {
        "title": problem.title,
        "detail": detail[:1].upper() + detail[1:],
        "next": advice.get(code, ""),
        "request_id": request_id_of(request),
    }


def _salvaged(request: Request) -> Form:
    """Return the texts of a form whose numbers cannot be read, so that nothing typed is lost."""
    pairs = [
        (name, value)
        for name, value in request.query_params.multi_items()
        if name != "weights" and not name.startswith("w.")
    ]
    return Form.read(pairs)


def _frame(service: Service, form: Form) -> dict[str, Any]:
    """Return what surrounds the results: title, sliders, presets, filters."""
    if not service.is_open:
        head = {"title": "Explore", "count": None, "version": "", "version_time": ""}
        return {"page": head, "form": form, "swatches": views.SWATCHES, "aspects": (), "presets": {}}
    catalogue = Catalogue.of(service.recommender)
    defaults = service.recommender.default_weights
    chosen = defaults if form.weights is None else form.weights
    top = max(3.0, *defaults.values(), *chosen.values())
    return {
        "page": {
            "title": form.text or form.product or "Explore",
            "count": f"{catalogue.live_count:,}",
            "version": catalogue.version_id,
            "version_time": views.version_time(catalogue.version_id),
        },
        "form": form,
        "swatches": views.SWATCHES,
        "aspects": [
            {
                "name": name,
                "weight": f"{chosen.get(name, 0.0):g}",
                "default": f"{default:g}",
                "top": f"{top:g}",
            }
            for name, default in defaults.items()
        ],
        "presets": {name: _weights_text(weights) for name, weights in service.recommender.presets.items()},
        "defaults": _weights_text(defaults),
        "categories": catalogue.categories(),
    }


def _weights_text(weights: Any) -> str:
    return ",".join(f"{name}:{weight:g}" for name, weight in weights.items())
