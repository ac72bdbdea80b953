"""The screen of journeys: what is recommended after each view, and what each view does to that."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from fastapi import Request
from starlette.responses import Response
from starlette.routing import Route

from vision_rec.errors import VisionRecError
from vision_rec.service.bodies import Asked
from vision_rec.service.catalogue import Catalogue
from vision_rec.service.console.assets import templates
from vision_rec.service.console.frame import head_of, said_degraded, said_problem
from vision_rec.service.console.journey_examples import examples
from vision_rec.service.console.journey_form import MODELS, JourneyForm
from vision_rec.service.console.journey_views import SHOWN, examples_view, found_view, steps_view
from vision_rec.service.console.login import access_view
from vision_rec.service.core import Service, service_of
from vision_rec.service.journeys import journeyed
from vision_rec.service.search import open_query
from vision_rec.types import Product

_NO_STORE = {"Cache-Control": "no-store"}
_FOUND = 6  # products that words find


async def journey(request: Request) -> Response:
    """Show a journey step by step; without one, products and examples to begin with."""
    service = service_of(request)
    form = JourneyForm.read(request.query_params.multi_items())
    shown: dict[str, Any] = {
        "form": form,
        "steps": [],
        "score": "",
        "unknown": [],
        "found": None,
        "examples": [],
        "sample": [],
        "models": [],
        "problem": None,
        "look_problem": None,
        "call": "",
        "degraded": [],
        "waiting": service.opening,
    }
    status = 200
    if service.is_open:
        catalogue = Catalogue.of(service.recommender)
        offered = await service.search_thread(lambda: service.recommender.session_models)  # loads the model
        shown["models"] = _models(offered, form)
        shown["unknown"] = [step.ident for step in form.steps if step.ident not in catalogue.state.catalog]
        try:
            shown |= await _steps(request, service, catalogue, form)
        except VisionRecError as error:
            status, shown["problem"] = said_problem(request, error)
        shown |= await _looked_up(request, service, catalogue, form)
        if not form.steps:
            found = await service.file_thread(partial(examples, catalogue))
            shown["examples"] = examples_view(found, catalogue.version_id)
    return await _html(request, shown, status)


ROUTES = (Route("/journeys", journey, methods=["GET"]),)


# ── steps ─────────────────────────────────────────────────────────────────────────────────────────────


async def _steps(
    request: Request, service: Service, catalogue: Catalogue, form: JourneyForm
) -> dict[str, Any]:
    """Follow the journey over the products that are in the catalogue."""
    offered = service.recommender.session_models
    known = tuple(step for step in form.steps if step.ident in catalogue.state.catalog)
    kept = replace(form, steps=known, model=form.model if form.model in offered[1:] else "")
    if not kept.steps:
        return {}
    body = kept.body(SHOWN)
    found = await journeyed(service, await open_query(request, service, Asked(body)))
    products = [catalogue.product(step.ident) for step in kept.steps]
    return {
        "steps": steps_view(found, kept, products),
        "score": f"{found.influences.score:.2f}",
        "degraded": said_degraded(service, found.steps[-1].degraded),
        "call": _call(request, service, body),
    }


async def _looked_up(
    request: Request, service: Service, catalogue: Catalogue, form: JourneyForm
) -> dict[str, Any]:
    """Find products to add."""
    if not form.q:
        return {}
    try:
        products = await looked_up(request, service, catalogue, form.q)
    except VisionRecError as error:
        return {"look_problem": said_problem(request, error)[1]}
    return {"found": found_view(products, form, catalogue.version_id)}


async def looked_up(request: Request, service: Service, catalogue: Catalogue, q: str) -> Sequence[Product]:
    """Find products by an id as it stands, else by words."""
    if q in catalogue.state.catalog:
        return [catalogue.product(q)]
    query = await open_query(request, service, Asked({"text": q, "k": _FOUND}))
    return [item.product for item in await service.answer(query)]


def _models(offered: Sequence[str], form: JourneyForm) -> list[dict[str, Any]]:
    """List the models that read a journey, of those that this service has; the first is what shoppers get."""
    chosen = form.model if form.model in offered else offered[0]
    return [
        {
            "name": MODELS.get(name, name),
            "href": JourneyForm(form.steps, "", "" if place == 0 else name).address(),
            "chosen": name == chosen,
        }
        for place, name in enumerate(offered)
    ]


def _call(request: Request, service: Service, body: dict[str, Any]) -> str:
    base = str(request.base_url).rstrip("/")
    key = [] if service.access.is_open else ['-H "Authorization: Bearer $VISION_REC_KEY"']
    data = shlex.quote(json.dumps(body, ensure_ascii=False))
    lines = [f"curl {shlex.quote(base + '/v1/journeys')}", *key, "-H 'Content-Type: application/json'"]
    return " \\\n  ".join([*lines, f"-d {data}"])


async def _html(request: Request, shown: dict[str, Any], status: int) -> Response:
    service = service_of(request)

    def render() -> str:
        frame = {
            "page": head_of(service, "Journeys"),
            "access": access_view(request),
            "active": "/journeys",
        }
        return templates().get_template("journeys.html").render(**shown, **frame)

    return Response(await service.file_thread(render), status, _NO_STORE, media_type="text/html")
