"""What surrounds the results of Explore: title, sliders, presets, filters, examples; and what went wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import Request
from pydantic import ValidationError

from vision_rec.errors import VisionRecError
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


def head_of(service: Service, title: str) -> dict[str, Any]:
    """Return `page`, which every screen's frame needs."""
    if not service.is_open:
        return {"title": title, "count": None, "version": "", "version_time": ""}
    catalogue = Catalogue.of(service.recommender)
    return {
        "title": title,
        "count": f"{catalogue.live_count:,}",
        "version": catalogue.version_id,
        "version_time": views.version_time(catalogue.version_id),
    }


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
        "limits": (),
    }
    if not service.is_open:
        return frame
    recommender = service.recommender
    defaults = recommender.default_weights
    chosen = defaults if form.weights is None else form.weights
    top = max(3.0, *defaults.values(), *chosen.values())
    trouble = [service.trouble] if service.trouble else []
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
        "limits": [*recommender.state.degraded, *trouble],
    }


def said_problem(request: Request, error: Exception) -> tuple[int, dict[str, str]]:
    """Return the status of a problem, and its sentences: what happened, what to do, the request's id."""
    code = error.code if isinstance(error, VisionRecError) else "invalid-input"
    problem = PROBLEMS.get(code, PROBLEMS["internal"])
    detail = str(error)
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        detail = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return problem.status, {
        "title": problem.title,
        "detail": detail[:1].upper() + detail[1:],
        "next": _ADVICE.get(code, ""),
        "request_id": request_id_of(request),
    }


def weights_text(weights: Mapping[str, float]) -> str:
    """Write weights as the address has them."""
    return ",".join(f"{name}:{weight:g}" for name, weight in weights.items())


def _panel(service: Service, form: Form) -> FilterPanel:
    catalog = Catalogue.of(service.recommender).state.catalog
    try:
        return panel(catalog, form)
    except VisionRecError:  # the results say what is wrong with a filter
        return panel(catalog, form.bare())
