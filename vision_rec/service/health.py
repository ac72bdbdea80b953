"""The routes of the catalogue screen: what reindex said, what the vectors say, one product inside out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from vision_rec.health import HealthReport, lacking, neighbours, run_reports
from vision_rec.merchandise import says
from vision_rec.merchandise.touching import rules_touching
from vision_rec.recommend.state import State
from vision_rec.records import product_to_record
from vision_rec.service.catalogue import Catalogue, product_fields
from vision_rec.service.core import Service, service_of
from vision_rec.service.health_schemas import HealthOut, InspectionOut, ReportOut
from vision_rec.service.openapi import answers
from vision_rec.service.paths import ProductId
from vision_rec.service.problems import request_id_of
from vision_rec.service.search import json_response

router = APIRouter(prefix="/v1/catalogue", tags=["catalogue"])
NEIGHBOURS = 8  # per aspect of an inspected product
MAX_SIBLINGS = 60
_NO_STORE = {"Cache-Control": "no-store"}
_FACTS = ("rating", "rating_count", "sentiment", "retired_at", "flags")


@router.get("/report", responses=answers(ReportOut))
async def report(request: Request) -> Response:
    """Show the report of the reindex that made the version in use, and of a failed run since."""
    service = service_of(request)
    state = service.recommender.state
    body = await service.file_thread(partial(report_of, service, state))
    return _answer(request, {"version": state.version_id, **body})


@router.get("/health", responses=answers(HealthOut))
async def health(request: Request) -> Response:
    """Show what the vectors of the version in use say is wrong with its products, or how far the check is."""
    service = service_of(request)
    body = await service.file_thread(partial(health_of, service, service.recommender.state))
    return _answer(request, body)


@router.post("/health", status_code=202, responses={202: answers(HealthOut)[200]})
async def check(request: Request) -> Response:
    """Start a check of the version in use, unless one runs; GET says how far it is."""
    service = service_of(request)
    recommender = service.recommender
    await service.file_thread(partial(service.health.start, recommender))
    body = await service.file_thread(partial(health_of, service, recommender.state))
    return _answer(request, body, 202)


@router.get("/products/{product_id}", responses=answers(InspectionOut))
async def inspect(request: Request, product_id: ProductId) -> Response:
    """Show a product inside out: record, flags, variants, neighbours by each aspect, rules, findings."""
    service = service_of(request)
    body = await service.search_thread(partial(inspection, service, service.recommender.state, product_id))
    return _answer(request, body)


# ── what they say ─────────────────────────────────────────────────────────────────────────────────────


def report_of(service: Service, state: State) -> dict[str, Any]:
    """Return the reports of reindex, and what products lack."""
    found = run_reports(state, service.settings.paths.data)
    lacks = {name: {"count": count, "products": list(ids)} for name, (count, ids) in lacking(state).items()}
    return {
        "report": dict(found.made) or None,
        "failed": dict(found.failed) or None,
        "damage": found.damage or None,
        "lacking": lacks,
    }


def health_of(service: Service, state: State) -> dict[str, Any]:
    """Return the state of the check of a version, and its report where there is one."""
    status, found = service.health.status(state), service.health.report(state)
    return {
        "version": state.version_id,
        "state": status.word,
        "progress": {"stage": status.stage, "done": status.done, "total": status.total}
        if status.word == "running"
        else None,
        "error": status.error or None,
        "health": None if found is None else found.to_dict(),
    }


def inspection(service: Service, state: State, product_id: str) -> dict[str, Any]:
    """Return all that is known of a product; raises NotFoundError."""
    catalogue = Catalogue(state)
    row = state.catalog.row_of(product_id)
    record = product_to_record(state.catalog.product(row))
    record.pop("reviews")  # the catalogue keeps their sums
    facts = state.catalog.cells(row, _FACTS)
    flags = facts.pop("flags") or []
    return {
        "version": state.version_id,
        **catalogue.details(product_id),
        "sentiment": facts["sentiment"],
        "retired_at": facts["retired_at"],
        "flags": flags,
        "record": record,
        "variants": [product_fields(state.catalog.product(other)) for other in _siblings(state, row)],
        "aspects": [_aspect(service, state, product_id, row, name) for name in state.layout.names],
        "rules": _rules(service, state, product_id),
        "findings": findings_of(service.health.report(state), product_id),
    }


def findings_of(report: HealthReport | None, product_id: str) -> list[dict[str, Any]]:
    """Return the listed findings that name a product."""
    return [
        {"kind": finding.kind, **asdict(row), "others": list(row.others)}
        for finding in (report.findings if report is not None else ())
        for row in finding.rows
        if product_id == row.product_id
        or (product_id in row.others and finding.kind in ("near_duplicates", "placeholder_pictures"))
    ]


def _aspect(service: Service, state: State, product_id: str, row: int, name: str) -> dict[str, Any]:
    has = bool(state.rows[row, state.layout.slice(name)].any())
    found = neighbours(service.recommender, product_id, name, NEIGHBOURS) if has else None
    return {
        "name": name,
        "missing": not has,
        "neighbours": [
            {**product_fields(item.product), "similarity": round(item.score, 5)} for item in found or ()
        ],
    }


def _siblings(state: State, row: int) -> list[int]:
    groups = state.catalog.groups
    if groups[row] < 0:
        return []
    return [int(other) for other in (groups == groups[row]).nonzero()[0] if other != row][:MAX_SIBLINGS]


def _rules(service: Service, state: State, product_id: str) -> list[dict[str, Any]]:
    """Return the rules of the draft that touch a product, and whether they act now."""
    now = service.rules.clock()
    found = rules_touching(state, service.rules.store.draft().rules, product_id)
    published = {rule.id for rule in service.rules.rules_of("current")}
    return [
        {
            "id": rule.id,
            "name": rule.name,
            "sentence": says(rule),
            "how": how,
            "state": rule.state(now),
            "published": rule.id in published,
        }
        for rule, how in found
    ]


def _answer(request: Request, body: Mapping[str, Any], status: int = 200) -> Response:
    return json_response({"request_id": request_id_of(request), **body}, _NO_STORE, status)
