"""The routes of index versions: list, verify, activate, compare."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from functools import partial
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from vision_rec.compare import VersionDiff
from vision_rec.service.catalogue import product_fields
from vision_rec.service.core import Service, service_of
from vision_rec.service.openapi import answers
from vision_rec.service.paths import product_path
from vision_rec.service.problems import request_id_of
from vision_rec.service.search import json_response
from vision_rec.service.version_schemas import DiffAnswer, VerifyAnswer, Versions
from vision_rec.types import Product
from vision_rec.versions import Measures, Verified, VersionEntry

router = APIRouter(prefix="/v1/versions", tags=["versions"])
MAX_PROBES, MAX_LISTED = 500, 500
PROBES, LISTED = 100, 50
_NO_STORE = {"Cache-Control": "no-store"}


@dataclass(frozen=True, slots=True)
class Compared:
    """Two versions compared, and the products that a page of it names: of `after` where that has them."""

    diff: VersionDiff
    before: dict[str, Product]
    after: dict[str, Product]


@router.get("", responses=answers(Versions))
async def versions(request: Request) -> Response:
    """List the index versions on disk, newest first, with what was measured and when they were verified."""
    return json_response(await _listed(request), _NO_STORE)


@router.post("/{version_id}/activate", responses=answers(Versions))
async def activate(request: Request, version_id: str) -> Response:
    """Verify a version and make it the current one: rollback and roll forward alike."""
    await activated(service_of(request), version_id)
    return json_response(await _listed(request), _NO_STORE)


@router.post("/{version_id}/verify", responses=answers(VerifyAnswer))
async def verify(request: Request, version_id: str) -> Response:
    """Check every byte of a version; what is wrong with it is in the answer, which is 200 all the same."""
    service = service_of(request)
    found = await service.file_thread(partial(service.versions.verify, version_id))
    body = {"request_id": request_id_of(request), "id": version_id, **verified_fields(found)}
    return json_response(body, _NO_STORE)


@router.get("/{before}/diff/{after}", responses=answers(DiffAnswer))
async def diff(
    request: Request,
    before: str,
    after: str,
    probes: Annotated[
        int, Query(ge=0, le=MAX_PROBES, description="products whose lists are compared")
    ] = PROBES,
    limit: Annotated[int, Query(ge=0, le=MAX_LISTED, description="entries of each list")] = LISTED,
) -> Response:
    """Compare two versions: products in, out and changed, and how much of the top 10 stays the same."""
    found = await compared(service_of(request), before, after, probes=probes, limit=limit)
    return json_response({"request_id": request_id_of(request), **_diff_fields(found, limit)}, _NO_STORE)


# ── shared with the console ───────────────────────────────────────────────────────────────────────────


async def activated(service: Service, version_id: str) -> None:
    """Make a version the current one, and answer from it."""
    await service.file_thread(partial(service.versions.activate, version_id))
    await service.file_thread(service.refresh)


async def compared(service: Service, before: str, after: str, *, probes: int, limit: int) -> Compared:
    """Compare two versions in a thread, and read the products that `limit` entries of each list name."""
    desk = service.versions

    def work() -> Compared:
        found = desk.diff(before, after, probes=probes)
        named = [*found.added[:limit], *(entry.product_id for entry in found.changed[:limit])]
        for entry in found.moved[:limit]:
            named += [entry.product_id, *entry.gone, *entry.come]
        named += found.removed[:limit]
        return Compared(found, desk.products(before, named), desk.products(after, named))

    return await service.file_thread(work)


def picture_address(product: Product | None, version_id: str, width: int) -> str | None:
    """Return where a picture of a product is, as a version has it; None where it has none."""
    if product is None or not product.image_refs:
        return None
    return f"{product_path(product.id, 'image')}?{urlencode({'version': version_id, 'w': width})}"


def verified_fields(found: Verified) -> dict[str, Any]:
    """Return what came of a check as JSON types."""
    problems = [asdict(problem) for problem in found.problems]
    return {"at": found.at, "ok": not problems, "problems": problems}


# ── steps ─────────────────────────────────────────────────────────────────────────────────────────────


async def _listed(request: Request) -> dict[str, Any]:
    service = service_of(request)
    entries = await service.file_thread(service.versions.entries)
    return {
        "request_id": request_id_of(request),
        "current": next((entry.info.id for entry in entries if entry.info.state == "current"), None),
        "in_use": service.recommender.version_id if service.is_open else None,
        "versions": [_entry_fields(entry) for entry in entries],
    }


def _entry_fields(entry: VersionEntry) -> dict[str, Any]:
    info = entry.info
    return {
        "id": info.id,
        "current": info.state == "current",
        "state": info.state,
        "created_at": info.created_at,
        "count": info.count,
        "bytes": info.size,
        "fingerprints": dict(entry.fingerprints),
        "index_kind": entry.index_kind,
        "parent": entry.parent,
        "stays": entry.stays,
        "verified": None if entry.verified is None else verified_fields(entry.verified),
        "measures": None if entry.measures is None else _measure_fields(entry.measures),
    }


def _measure_fields(measures: Measures) -> dict[str, Any]:
    checks = [{"name": name, "passed": passed, "detail": detail} for name, passed, detail in measures.checks]
    return {**asdict(measures), "checks": checks}


def _diff_fields(found: Compared, limit: int) -> dict[str, Any]:
    diff = found.diff
    products = {**found.before, **found.after}
    named = {
        *diff.added[:limit],
        *diff.removed[:limit],
        *(entry.product_id for entry in diff.changed[:limit]),
    }
    for entry in diff.moved[:limit]:
        named |= {entry.product_id, *entry.gone, *entry.come}
    return {
        "before": diff.before,
        "after": diff.after,
        "count_before": diff.count_before,
        "count_after": diff.count_after,
        "added": diff.added[:limit],
        "added_count": len(diff.added),
        "removed": diff.removed[:limit],
        "removed_count": len(diff.removed),
        "changed": [
            {
                "id": entry.product_id,
                "facts": entry.facts,
                "was": product_fields(found.before[entry.product_id]),
            }
            for entry in diff.changed[:limit]
        ],
        "changed_count": len(diff.changed),
        "changed_facts": Counter(fact for entry in diff.changed for fact in entry.facts),
        "encoders_changed": diff.encoders_changed,
        "probes": diff.probes,
        "k": diff.k,
        "overlap": diff.overlap,
        "moved": [
            {"id": entry.product_id, "overlap": entry.overlap, "gone": entry.gone, "come": entry.come}
            for entry in diff.moved[:limit]
        ],
        "products": {
            ident: {
                **product_fields(products[ident]),
                "image": picture_address(
                    products[ident], diff.after if ident in found.after else diff.before, 320
                ),
            }
            for ident in sorted(named)
            if ident in products
        },
    }
