"""The routes of merchandising rules: edit the draft, preview, publish, take back, look at the log."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from vision_rec.errors import InputError
from vision_rec.merchandise import Change, Preview, Sample, plan_preview, preview, sample_queries
from vision_rec.service.auth import caller_of
from vision_rec.service.bodies import Asked, check_known, read_json
from vision_rec.service.catalogue import image_address
from vision_rec.service.core import Service, service_of
from vision_rec.service.openapi import answers, json_request
from vision_rec.service.problems import request_id_of
from vision_rec.service.rule_schemas import (
    ChangesOut,
    HistoryOut,
    PreviewBody,
    PreviewOut,
    PublishBody,
    RuleBody,
    RuleOut,
    RulesOut,
)
from vision_rec.service.search import json_response, open_query
from vision_rec.types import Recommendations

router = APIRouter(tags=["rules"])
MAX_PREVIEWED = 20  # queries of one preview
MAX_LOG = 500  # entries of one answer
_NO_STORE = {"Cache-Control": "no-store"}
_IF_MATCH = {
    "parameters": [
        {
            "name": "If-Match",
            "in": "header",
            "required": False,
            "description": "the ETag that was read; 412 where it was changed meanwhile",
            "schema": {"type": "string"},
        }
    ]
}
_TAG = re.compile(r'(?:W/)?"(\d{1,18})"')


def actor(request: Request) -> str:
    """Return who edits: the name of the key, or `local` where nobody had to say."""
    return caller_of(request).name or "local"


# ── the draft ─────────────────────────────────────────────────────────────────────────────────────────


@router.get("/v1/rules", responses=answers(RulesOut))
async def list_rules(request: Request) -> Response:
    """List the rules of the draft, with what is odd about them."""
    service = service_of(request)
    body = await service.file_thread(partial(service.rules.overview, service.state))
    return _answer(request, body, tag=body["draft"])


@router.post("/v1/rules", status_code=201, responses={201: answers(RuleOut)[200]},
             openapi_extra=json_request(RuleBody))  # fmt: skip
async def create_rule(request: Request) -> Response:
    """Add a rule to the draft; nothing changes for shoppers before it is published."""
    service, body = service_of(request), await read_json(request)
    rule = await service.file_thread(partial(service.rules.store.create, body, actor(request)))
    shown = await service.file_thread(partial(service.rules.one, rule.id, service.state))
    return _answer(request, shown, tag=rule.serial, status=201, Location=f"/v1/rules/{rule.id}")


@router.post("/v1/rules/publish", responses=answers(ChangesOut),
             openapi_extra=json_request(PublishBody) | _IF_MATCH)  # fmt: skip
async def publish(request: Request) -> Response:
    """Make the draft the rules that apply; with If-Match only the draft that was looked at."""
    service, body = service_of(request), await read_json(request) if await request.body() else {}
    check_known(body, PublishBody.model_fields)
    note = body.get("note") or ""
    if not isinstance(note, str):
        raise InputError("'note' must be a text")
    found = await service.file_thread(service.rules.diff)
    work = partial(service.rules.store.publish, actor(request), note=note, serial=if_match(request))
    version = await service.file_thread(work)
    await service.file_thread(service.refresh)
    number = version.number if version is not None else service.rules.number()
    return _answer(request, {"version": number, "published": version is not None, **_changes(found)})


@router.post("/v1/rules/discard", responses=answers(RulesOut), openapi_extra=_IF_MATCH)
async def discard(request: Request) -> Response:
    """Make the draft what is published again; with If-Match only the draft that was looked at."""
    service = service_of(request)
    work = partial(service.rules.store.discard, actor(request), serial=if_match(request))
    await service.file_thread(work)
    return await list_rules(request)


# ── history ───────────────────────────────────────────────────────────────────────────────────────────


@router.get("/v1/rules/versions", responses=answers(HistoryOut))
async def versions(request: Request, limit: int = 50) -> Response:
    """List the published versions, newest first."""
    service = service_of(request)
    _bounds("limit", limit, 1, MAX_LOG)
    found = await service.file_thread(partial(service.rules.versions, limit))
    return _answer(request, {"versions": found})


@router.post("/v1/rules/versions/{number}/restore", responses=answers(ChangesOut))
async def restore(request: Request, number: int) -> Response:
    """Publish an older version again, 0 for no rules: undo, in one call."""
    service = service_of(request)
    _bounds("the version", number, 0, 999_999)
    before = await service.file_thread(partial(service.rules.rules_of, "current"))
    version = await service.file_thread(partial(service.rules.store.restore, number, actor(request)))
    await service.file_thread(service.refresh)
    found = service.rules.compare(before, version.rules)
    return _answer(request, {"version": version.number, "restored_from": number, **_changes(found)})


@router.get("/v1/rules/diff", responses=answers(ChangesOut))
async def diff(request: Request, before: str = "current", after: str = "draft") -> Response:
    """Say what differs: `before` (current) against `after` (draft), or two numbers of versions."""
    service = service_of(request)
    found = await service.file_thread(partial(service.rules.diff, before, after))
    return _answer(request, {"before": before, "after": after, **_changes(found)})


@router.get("/v1/rules/audit", responses=answers(HistoryOut))
async def audit(request: Request, limit: int = 50, before: int | None = None) -> Response:
    """Say who changed what when, newest first; `next` is the `before` of the page after."""
    service = service_of(request)
    _bounds("limit", limit, 1, MAX_LOG)
    entries = await service.file_thread(partial(service.rules.store.log.entries, limit, before))
    following = entries[-1].seq if len(entries) == limit and entries[-1].seq > 1 else None
    return _answer(request, {"entries": [entry.to_json() for entry in entries], "next": following})


# ── what would be ─────────────────────────────────────────────────────────────────────────────────────


@router.post("/v1/rules/preview", responses=answers(PreviewOut), openapi_extra=json_request(PreviewBody))
async def show_preview(request: Request) -> Response:
    """Answer sample queries as they are and as they would be; saves nothing."""
    service, body = service_of(request), await read_json(request) if await request.body() else {}
    check_known(body, PreviewBody.model_fields)
    found, at = await previewed(request, service, body)
    shown = {
        "version": service.recommender.version_id,
        "at": at,
        "previews": [_preview(one) for one in found],
    }
    return _answer(request, shown)


async def previewed(request: Request, service: Service, body: Mapping[str, Any]) -> tuple[list[Preview], str]:
    """Do what a preview's body asks for; return the lists and the moment they are of."""
    recommender, k = service.recommender, body.get("k", 10)
    _bounds("k", k, 1, service.settings.search.max_k)
    plan = await service.file_thread(partial(plan_preview, service.rules, body))
    queries = body.get("queries")
    if queries is None:
        samples = sample_queries(recommender.state, plan.concerned, k=k)
    elif not isinstance(queries, list) or not 0 < len(queries) <= MAX_PREVIEWED:
        raise InputError(f"'queries' must be a list of 1 to {MAX_PREVIEWED} search bodies")
    else:
        samples = [await _sample(request, service, query, k) for query in queries]
    found = await service.search_thread(partial(preview, recommender, plan.before, plan.after, samples))
    return found, plan.at


async def _sample(request: Request, service: Service, body: object, k: int) -> Sample:
    if not isinstance(body, dict):
        raise InputError("a query of the preview must be an object, the body of a search")
    query = await open_query(request, service, Asked({"k": k, **body}))
    said = [body[name] for name in ("product_id", "text", "colour") if body.get(name)]
    return Sample(" · ".join(map(str, said)) or "a search", query)


def _preview(one: Preview) -> dict[str, Any]:
    return {
        "label": one.sample.label,
        "error": one.error or None,
        "before": _items(one.before),
        "after": _items(one.after),
        "moves": one.moves,
    }


def _items(answer: Recommendations | None) -> list[dict[str, Any]]:
    names = ("id", "title", "score", "boost", "pinned", "rules", "effects", "rank_without_rules")
    out = []
    for item in answer or ():
        fields = item.to_dict()
        out.append({**{name: fields[name] for name in names}, "image": image_address(item.product)})
    return out


# ── one rule; last, for its path takes any word ───────────────────────────────────────────────────────


@router.get("/v1/rules/{rule_id}", responses=answers(RuleOut))
async def one_rule(request: Request, rule_id: str) -> Response:
    """Answer one rule of the draft."""
    service = service_of(request)
    rule = await service.file_thread(partial(service.rules.one, rule_id, service.state))
    return _answer(request, rule, tag=rule["serial"])


@router.put("/v1/rules/{rule_id}", responses=answers(RuleOut),
            openapi_extra=json_request(RuleBody) | _IF_MATCH)  # fmt: skip
async def change_rule(request: Request, rule_id: str) -> Response:
    """Replace a rule of the draft; with If-Match only if nobody changed it meanwhile."""
    service, body = service_of(request), await read_json(request)
    work = partial(service.rules.store.change, rule_id, body, actor(request), serial=if_match(request))
    rule = await service.file_thread(work)
    shown = await service.file_thread(partial(service.rules.one, rule_id, service.state))
    return _answer(request, shown, tag=rule.serial)


@router.delete("/v1/rules/{rule_id}", responses=answers(HistoryOut), openapi_extra=_IF_MATCH)
async def remove_rule(request: Request, rule_id: str) -> Response:
    """Take a rule out of the draft; with If-Match only if nobody changed it meanwhile."""
    service = service_of(request)
    work = partial(service.rules.store.remove, rule_id, actor(request), serial=if_match(request))
    rule = await service.file_thread(work)
    return _answer(request, {"removed": rule.id})


# ── steps ─────────────────────────────────────────────────────────────────────────────────────────────


def if_match(request: Request) -> int | None:
    """Return the number in If-Match, None where any will do; one that is none of ours matches nothing."""
    text = request.headers.get("if-match", "*").strip()
    match = _TAG.fullmatch(text)
    return None if text == "*" else -1 if match is None else int(match[1])


def _answer(
    request: Request, body: Mapping[str, Any], *, tag: int | None = None, status: int = 200, **headers: str
) -> Response:
    tags = {} if tag is None else {"ETag": f'"{tag}"'}
    shown = {"request_id": request_id_of(request), **body}
    return json_response(shown, {**_NO_STORE, **tags, **headers}, status)


def _changes(found: list[Change]) -> dict[str, Any]:
    return {"changes": [change.to_json() for change in found]}


def _bounds(name: str, value: object, low: int, high: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise InputError(f"{name} is {str(value)[:30]!r}; allowed is a whole number from {low} to {high}")
