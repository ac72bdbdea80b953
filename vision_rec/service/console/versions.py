"""The screens of index versions: the table, a comparison, the way back; all are calls of /v1/versions."""

from __future__ import annotations

from functools import partial
from typing import Any
from urllib.parse import urlencode

from fastapi import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from vision_rec.errors import InputError, NotFoundError, VisionRecError
from vision_rec.service.auth import caller_of
from vision_rec.service.bodies import media_type
from vision_rec.service.console.assets import templates
from vision_rec.service.console.frame import head_of, said_problem
from vision_rec.service.console.login import access_view
from vision_rec.service.console.version_views import LISTED, SAID, diff_view, said_encoders, version_row
from vision_rec.service.core import Service, service_of
from vision_rec.service.problems import RequestError
from vision_rec.service.scopes import ADMIN
from vision_rec.service.versions import PROBES, activated, compared
from vision_rec.versions import VersionEntry

_NO_STORE = {"Cache-Control": "no-store"}


async def overview(request: Request) -> Response:
    """Show every version: what is in it, what was measured, whether it is whole, what can be done."""
    return await _overview(request)


async def confirm(request: Request) -> Response:
    """Ask once more before another version becomes the current one."""
    service, wanted = service_of(request), request.query_params.get("id", "")
    try:
        shown = await service.file_thread(partial(_confirmed, service, wanted))
    except VisionRecError as error:
        status, problem = said_problem(request, error)
        return await _overview(request, problem=problem, status=status)
    title = "Roll back?" if shown["back"] else "Change the version?"
    return await _html(request, "version_confirm.html", title, shown, 200)


async def activate(request: Request) -> Response:
    """Make a version the current one."""
    wanted = (await _form(request)).get("id", "")
    try:
        await activated(service_of(request), wanted)
    except VisionRecError as error:
        status, problem = said_problem(request, error)
        return await _overview(request, problem=problem, status=status)
    return _on("activated", wanted)


async def verify(request: Request) -> Response:
    """Check every byte of a version."""
    service, wanted = service_of(request), (await _form(request)).get("id", "")
    try:
        found = await service.file_thread(partial(service.versions.verify, wanted))
    except VisionRecError as error:
        status, problem = said_problem(request, error)
        return await _overview(request, problem=problem, status=status)
    return _on("damaged" if found.problems else "good", wanted)


async def diff(request: Request) -> Response:
    """Show what changed from one version to another: by itself from the one before the current to that."""
    service, given = service_of(request), request.query_params
    before, after = given.get("before", ""), given.get("after", "")
    shown: dict[str, Any] = {"problem": None, "diff": None, "rows": [], "before": before, "after": after}
    status = 200
    try:
        entries = await service.file_thread(service.versions.entries)
        shown["rows"] = _rows(service, entries)
        good = [row["id"] for row in shown["rows"] if row["good"]]
        if not after:
            shown["after"] = after = next((row["id"] for row in shown["rows"] if row["current"]), "")
        if not before and after:
            back = await service.file_thread(partial(service.versions.before, after))
            before = back or next((name for name in good if name != after), "")
            shown["before"] = before
        if before and after:
            if before == after:
                raise InputError("these are the same version; choose two")
            found = await compared(service, before, after, probes=PROBES, limit=LISTED)
            shown["diff"] = diff_view(found)
    except VisionRecError as error:
        status, shown["problem"] = said_problem(request, error)
    return await _html(request, "versions_diff.html", "What changed", shown, status)


ROUTES = (
    Route("/versions", overview, methods=["GET"]),
    Route("/versions/diff", diff, methods=["GET"]),
    Route("/versions/activate", confirm, methods=["GET"]),
    Route("/versions/activate", activate, methods=["POST"]),
    Route("/versions/verify", verify, methods=["POST"]),
)


# ── steps ─────────────────────────────────────────────────────────────────────────────────────────────


async def _overview(
    request: Request, *, problem: dict[str, str] | None = None, status: int = 200
) -> Response:
    service, given = service_of(request), request.query_params
    entries = await service.file_thread(service.versions.entries)
    rows = _rows(service, entries)
    current = next((row for row in rows if row["current"]), None)
    back = None
    if current is not None:
        back = await service.file_thread(partial(service.versions.before, current["id"]))
    shown = {
        "rows": rows,
        "current": current,
        "back": next((row for row in rows if row["id"] == back), None),
        "keep": service.settings.index.keep_versions,
        "said": SAID.get(given.get("said", ""), ""),
        "said_bad": given.get("said") == "damaged",
        "said_of": given.get("id", ""),
        "problem": problem,
    }
    return await _html(request, "versions.html", "Versions", shown, status)


def _rows(service: Service, entries: tuple[VersionEntry, ...]) -> list[dict[str, Any]]:
    in_use = service.recommender.version_id if service.is_open else None
    below = (*entries[1:], None)
    return [version_row(entry, older, in_use) for entry, older in zip(entries, below, strict=False)]


def _confirmed(service: Service, wanted: str) -> dict[str, Any]:
    rows = _rows(service, service.versions.entries())
    then = next((row for row in rows if row["id"] == wanted), None)
    if then is None:
        have = ", ".join(row["id"] for row in rows) or "none"
        raise NotFoundError(f"there is no version {wanted[:80]!r}; there are: {have}")
    now = next((row for row in rows if row["current"]), None)
    before, after = (_marks(row) if row else {} for row in (now, then))
    changed = sorted(name for name in {*before, *after} if before.get(name) != after.get(name))
    back = now is not None and then["id"] < now["id"]
    return {"now": now, "then": then, "back": back, "encoders": said_encoders(changed if now else ())}


def _marks(row: dict[str, Any]) -> dict[str, str]:
    """Return the fingerprint of each encoder of a version."""
    return {one["name"]: one["whole"] for one in row["encoders"]}


async def _form(request: Request) -> dict[str, str]:
    """Read a plain form; the layers before have checked its size and where it comes from."""
    if media_type(request) not in ("application/x-www-form-urlencoded", ""):
        raise RequestError("unsupported-media-type", "send application/x-www-form-urlencoded")
    return {name: str(value) for name, value in (await request.form()).multi_items()}


def _on(said: str, wanted: str) -> Response:
    return RedirectResponse(f"/versions?{urlencode({'said': said, 'id': wanted})}", 303, _NO_STORE)


async def _html(request: Request, template: str, title: str, shown: dict[str, Any], status: int) -> Response:
    service = service_of(request)
    caller = caller_of(request)

    def render() -> str:
        frame = {
            "page": head_of(service, title),
            "access": access_view(request),
            "active": "/versions",
            "may_admin": caller.may(ADMIN),
        }
        return templates().get_template(template).render(**shown, **frame)

    return Response(await service.file_thread(render), status, _NO_STORE, media_type="text/html")
