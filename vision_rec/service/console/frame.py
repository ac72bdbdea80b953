"""What surrounds the results of Explore: title, sliders, presets, filters, examples; and what went wrong."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import Request
from pydantic import ValidationError

from vision_rec.errors import VisionRecError
from vision_rec.recommend.query import HISTORY
from vision_rec.recommend.session_model import SESSION_MODEL
from vision_rec.service.catalogue import Catalogue
from vision_rec.service.console import views
from vision_rec.service.console.facets import FilterPanel, panel
from vision_rec.service.console.form import Form
from vision_rec.service.core import Service
from vision_rec.service.problems import PROBLEMS, request_id_of

_ADVICE = {
    "not-found": "Check the product id, or pick a product from the catalogue.",
    "unavailable": "Products are still found by product id.",
    "invalid-input": "Change what the sentence names, and search again; nothing you entered is lost.",
    "image-unreadable": "Choose another picture: JPEG, PNG, WebP, GIF, BMP, TIFF or AVIF.",
    "image-too-large": "Choose a smaller picture.",
}

_DIGEST = re.compile(r"\b([0-9a-f]{8})[0-9a-f]{24,}")  # its first digits tell one from another
_DEGRADED = {
    HISTORY: "What visitors did before cannot be read now; the list goes without it.",
    SESSION_MODEL: "The trained sequence model does not answer now; the mean of the recent views does.",
}


def head_of(service: Service, title: str) -> dict[str, Any]:
    """Return `page`, which every screen's frame needs."""
    limits = limits_of(service)
    if not service.is_open:
        return {"title": title, "count": None, "version": "", "version_time": "", "limits": limits}
    catalogue = Catalogue.of(service.recommender)
    return {
        "title": title,
        "limits": limits,
        "count": f"{catalogue.live_count:,}",
        "version": catalogue.version_id,
        "version_time": views.version_time(catalogue.version_id),
    }


def limits_of(service: Service) -> list[str]:
    """Say in sentences what does not work now, and what does all the same."""
    told = () if service.state is None else service.state.degraded
    out = [views.sentence(_DIGEST.sub(r"\1…", text)) for text in told]
    if service.trouble and service.is_open:
        out.append(
            f"The newest version cannot be opened ({service.trouble}); the one before goes on answering, "
            "with all that works in it."
        )
    if service.event_trouble:
        out.append(
            f"{views.sentence(service.event_trouble)} Searches and rules work; recommendations go on without "
            "what visitors did."
        )
    return out


def explore_frame(service: Service, form: Form) -> dict[str, Any]:
    """Return what the templates of Explore need beside their results."""
    page = head_of(service, form.text or form.product or "Explore")
    kept = {"like": form.like, "unlike": form.unlike}
    frame: dict[str, Any] = {
        "page": page,
        "form": form,
        "kept": kept,
        "crop": form.crop or (0.0, 0.0, 100.0, 100.0),
        "swatches": views.SWATCHES,
        "aspects": (),
        "presets": {},
        "filters": None,
    }
    if not service.is_open:
        return frame
    recommender = service.recommender
    defaults = recommender.default_weights
    chosen = defaults if form.weights is None else form.weights
    top = max(3.0, *defaults.values(), *chosen.values())
    return {
        **frame,
        "aspects": [
            {
                "name": name,
                "weight": f"{chosen.get(name, 0.0):g}",
                "default": f"{default:g}",
                "top": f"{top:g}",
            }
            for name, default in defaults.items()
        ],
        "presets": {name: weights_text(weights) for name, weights in recommender.presets.items()},
        "defaults": weights_text(defaults),
        "filters": _panel(service, form),
    }


def said_problem(request: Request, error: Exception) -> tuple[int, dict[str, str]]:
    """Return the status of a problem, and what is said of it: what happened, what to do, the request's id.

    `again` is where the same is asked once more; empty where that would not help.
    """
    code = error.code if isinstance(error, VisionRecError) else "invalid-input"
    problem = PROBLEMS.get(code, PROBLEMS["internal"])
    detail = str(error)
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        detail = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    again = request.method == "GET" and problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR
    return problem.status, {
        "title": problem.title,
        "detail": views.sentence(detail),
        "next": _ADVICE.get(code, ""),
        "again": _address(request) if again else "",
        "request_id": request_id_of(request),
    }


def _address(request: Request) -> str:
    """Return the address of the page that a request belongs to."""
    path = "/" if request.url.path == "/results" else request.url.path
    return f"{path}?{request.url.query}" if request.url.query else path


def said_degraded(service: Service, parts: Sequence[str]) -> list[str]:
    """Say in sentences what an answer goes without, and what still works; not what the bar on top says."""
    above = () if service.state is None else service.state.degraded
    return [_DEGRADED.get(part, f"Answered without this: {part}.") for part in parts if part not in above]


def weights_text(weights: Mapping[str, float]) -> str:
    """Write weights as the address has them."""
    return ",".join(f"{name}:{weight:g}" for name, weight in weights.items())


def _panel(service: Service, form: Form) -> FilterPanel:
    catalog = Catalogue.of(service.recommender).state.catalog
    try:
        return panel(catalog, form)
    except VisionRecError:  # the results say what is wrong with a filter
        return panel(catalog, form.bare())
