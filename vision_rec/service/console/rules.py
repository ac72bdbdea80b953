"""The screens of merchandising rules; every step is a plain form, and the same as a call of /v1/rules."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from html import escape
from typing import Any
from urllib.parse import urlencode

from fastapi import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from vision_rec.errors import ChangedError, InputError, VisionRecError
from vision_rec.merchandise import Change
from vision_rec.service.bodies import media_type
from vision_rec.service.catalogue import Catalogue
from vision_rec.service.console.assets import templates
from vision_rec.service.console.frame import head_of, said_problem
from vision_rec.service.console.login import access_view, safe_target
from vision_rec.service.console.rule_form import RuleForm, differences
from vision_rec.service.console.rule_views import SAID, change_line, preview_view, rule_line
from vision_rec.service.core import Service, service_of
from vision_rec.service.problems import RequestError
from vision_rec.service.rules import actor, previewed

_NO_STORE = {"Cache-Control": "no-store"}
_SHOWN_VERSIONS, _SHOWN_ENTRIES = 30, 100
_NO_LIST = (
    "You come from a search by a picture, a colour or examples, which has no list of its own to write a rule "
    "for. Saved as it stands, this rule acts on all lists of the shop; choose others below to narrow it."
)
Pairs = list[tuple[str, str]]


# ── the list ──────────────────────────────────────────────────────────────────────────────────────────


async def overview(request: Request) -> Response:
    """Show the draft: every rule, what is odd, what publishing would change."""
    given = request.query_params
    return await _overview(request, said=SAID.get(given.get("said", ""), ""), back=_back(given.get("back")))


async def _overview(
    request: Request,
    *,
    said: str = "",
    back: str = "",
    note: str = "",
    problem: dict[str, str] | None = None,
    status: int = 200,
) -> Response:
    service = service_of(request)
    found = await service.file_thread(partial(service.rules.overview, service.state))
    changes = await service.file_thread(service.rules.diff)
    shown = {
        **found,
        "rules": [rule_line(rule) for rule in found["rules"]],
        "changes": [change_line(change) for change in changes],
        "said": said,
        "back": back,
        "note": note,
        "problem": problem,
    }
    return await _html(request, "rules.html", "Rules", shown, status)


async def publish(request: Request) -> Response:
    """Publish the draft that was shown; where it has changed since, show it instead."""
    service, given = service_of(request), dict(await _form(request))
    work = partial(
        service.rules.store.publish,
        actor(request),
        note=given.get("note", ""),
        serial=_number(given.get("serial")),
    )
    try:
        version = await service.file_thread(work)
    except VisionRecError as error:
        kept = {"back": _back(given.get("back")), "note": given.get("note", "")}
        return await _refused(request, error, **kept)
    await service.file_thread(service.refresh)
    return _on("published" if version is not None else "same", back=given.get("back"))


async def discard(request: Request) -> Response:
    """Make the draft that was shown what is published; where it has changed since, show it instead."""
    service, given = service_of(request), dict(await _form(request))
    work = partial(service.rules.store.discard, actor(request), serial=_number(given.get("serial")))
    try:
        await service.file_thread(work)
    except VisionRecError as error:
        kept = {"back": _back(given.get("back")), "note": given.get("note", "")}
        return await _refused(request, error, **kept)
    return _on("discarded", back=given.get("back"))


async def remove(request: Request) -> Response:
    """Take a rule out of the draft, as it was shown."""
    service, given = service_of(request), dict(await _form(request))
    rule_id, serial = given.get("id", ""), _number(given.get("serial"))
    try:
        await service.file_thread(partial(service.rules.store.remove, rule_id, actor(request), serial=serial))
    except VisionRecError as error:
        return await _refused(request, error)
    return _on("removed")


async def move(request: Request) -> Response:
    """Move a pin of the draft by one place; the page's script gets a sentence that says where it is."""
    service, given = service_of(request), dict(await _form(request))
    serial, by = _number(given.get("serial")), {"-1": -1, "1": 1}.get(given.get("by", ""), 0)
    alone = request.headers.get("hx-request") == "true"
    try:
        work = partial(service.rules.move, given.get("id", ""), by, actor(request), serial=serial)
        rule = await service.file_thread(work)
    except VisionRecError as error:
        if not alone:
            return await _refused(request, error)
        status, problem = said_problem(request, error)
        return Response(escape(problem["detail"]), status, _NO_STORE, media_type="text/html")
    if alone:
        said = f"“{rule.label}” is at place {rule.position} in the draft. Publish it under Rules."
        return Response(escape(said), 200, _NO_STORE, media_type="text/html")
    return _on("moved", f"#{rule.id}")


async def quick(request: Request) -> Response:
    """Put a pin or a hide into the draft from a card, and go back to where the card was."""
    service, given = service_of(request), await _form(request)
    form = RuleForm.read([*given, ("sent", "1"), ("enabled", "1")])
    try:
        if form.effect not in ("pin", "hide"):
            raise InputError("a card can pin or hide its product; everything else is said in the editor")
        rule = await service.file_thread(partial(service.rules.store.create, form.body(), actor(request)))
    except VisionRecError as error:
        return await _refused(request, error)
    back = safe_target(dict(given).get("back", ""))
    return RedirectResponse(back if back != "/" else f"/rules?said=created#{rule.id}", 303, _NO_STORE)


# ── the editor ────────────────────────────────────────────────────────────────────────────────────────


async def edit(request: Request) -> Response:
    """Show the editor: empty, filled from the address, or with a rule of the draft."""
    service = service_of(request)
    rule_id = request.path_params.get("rule_id")
    if rule_id is None:
        given = request.query_params
        no_list = _NO_LIST if _back(given.get("back")) and "scope" not in given else ""
        return await _editor(request, RuleForm.read(given.multi_items()), no_list=no_list)
    try:
        rule = await service.file_thread(partial(service.rules.one, rule_id, service.state))
        conditions = await service.file_thread(partial(service.rules.conditions, rule_id))
    except VisionRecError as error:  # a colleague removed it while this list was open
        return await _refused(request, error)
    return await _editor(request, RuleForm.of({**rule, "conditions": conditions}), odd=rule["problems"])


async def save(request: Request) -> Response:
    """Save the editor's rule to the draft; what cannot be saved comes back with everything typed."""
    service, form = service_of(request), RuleForm.read(await _form(request))
    try:
        body = form.body()
        if form.id:
            serial = _number(form.serial)
            work = partial(service.rules.store.change, form.id, body, actor(request), serial=serial)
        else:
            work = partial(service.rules.store.create, body, actor(request))
        rule = await service.file_thread(work)
    except ChangedError as error:
        status, problem = said_problem(request, error)
        theirs = await service.file_thread(partial(service.rules.one, form.id, service.state))
        return await _editor(request, form, problem=problem, status=status, theirs=theirs)
    except VisionRecError as error:
        status, problem = said_problem(request, error)
        if (
            form.id and error.code == "not-found"
        ):  # somebody removed it; what was typed is a rule all the same
            form, problem["next"] = (
                replace(form, id="", serial=""),
                "Saving makes a new rule of what is below.",
            )
        return await _editor(request, form, problem=problem, status=status)
    return _on("changed" if form.id else "created", f"#{rule.id}", form.back)


async def preview(request: Request) -> Response:
    """Show what the editor's rule would change: alone for the page's script, else below the editor."""
    service, form = service_of(request), RuleForm.read(await _form(request))
    shown: dict[str, Any] = {"hint": "", "lists": None, "at": ""}
    try:
        rule = form.body() | ({"id": form.id} if form.id else {})
        found, at = await previewed(request, service, {"rule": rule, "k": 24})
        shown |= {"lists": preview_view(found), "at": at[:16].replace("T", " ")}
    except VisionRecError as error:
        shown["hint"] = str(error)[:1].upper() + str(error)[1:]
    if request.headers.get("hx-request") == "true":
        text = templates().get_template("rule_preview.html").render(**shown)
        return Response(text, 200, _NO_STORE, media_type="text/html")
    return await _editor(request, form, preview=shown)


async def _editor(
    request: Request,
    form: RuleForm,
    *,
    status: int = 200,
    problem: dict[str, str] | None = None,
    theirs: dict[str, Any] | None = None,
    odd: list[str] | None = None,
    preview: dict[str, Any] | None = None,
    no_list: str = "",
) -> Response:
    service = service_of(request)
    catalogue = Catalogue.of(service.recommender) if service.is_open else None
    mine = form
    if theirs is not None:
        conditions = await service.file_thread(partial(service.rules.conditions, form.id))
        mine = RuleForm.of({**theirs, "conditions": conditions})
    shown = {
        "form": form,
        "back": _back(form.back),
        "differences": differences(form, mine),
        "problem": problem,
        "theirs": theirs,
        "odd": odd or [],
        "preview": preview,
        "no_list": no_list,
        "categories": [name for name, _ in catalogue.categories()] if catalogue else [],
    }
    title = "Edit a rule" if form.id else "New rule"
    return await _html(request, "rule_edit.html", title, shown, status)


# ── history ───────────────────────────────────────────────────────────────────────────────────────────


async def history(request: Request) -> Response:
    """Show what was published and who changed what; one version with what it changed."""
    service = service_of(request)
    versions = await service.file_thread(partial(service.rules.versions, _SHOWN_VERSIONS))
    entries = await service.file_thread(partial(service.rules.store.log.entries, _SHOWN_ENTRIES))
    chosen, changes = request.query_params.get("version", ""), None
    if chosen.isascii() and chosen.isdigit() and 0 < int(chosen[:7]) < 1_000_000:
        try:
            found = await service.file_thread(partial(_changed_by, service, int(chosen)))
        except VisionRecError as error:
            return await _refused(request, error)
        changes = [change_line(change) for change in found]
    shown = {
        "versions": versions,
        "entries": [entry.to_json() for entry in entries],
        "chosen": int(chosen) if changes is not None else None,
        "changes": changes,
    }
    return await _html(request, "rules_history.html", "History of the rules", shown, 200)


async def restore(request: Request) -> Response:
    """Publish an older version again."""
    service, given = service_of(request), dict(await _form(request))
    number = given.get("version", "")
    try:
        if not (number.isascii() and number.isdigit() and len(number) <= 6):
            raise InputError(f"the version is {number[:20]!r}; give its number")
        await service.file_thread(partial(service.rules.store.restore, int(number), actor(request)))
    except VisionRecError as error:
        return await _refused(request, error)
    await service.file_thread(service.refresh)
    return _on("restored")


async def undo(request: Request) -> Response:
    """Take back the version that was shown; where another one applies by now, show that instead."""
    service, given = service_of(request), dict(await _form(request))
    work = partial(service.rules.undo, actor(request), expected=_number(given.get("version")))
    try:
        await service.file_thread(work)
    except VisionRecError as error:
        return await _refused(request, error, back=_back(given.get("back")))
    await service.file_thread(service.refresh)
    return _on("restored", back=given.get("back"))


ROUTES = (
    Route("/rules", overview, methods=["GET"]),
    Route("/rules/new", edit, methods=["GET"]),
    Route("/rules/edit/{rule_id}", edit, methods=["GET"]),
    Route("/rules/save", save, methods=["POST"]),
    Route("/rules/preview", preview, methods=["POST"]),
    Route("/rules/remove", remove, methods=["POST"]),
    Route("/rules/move", move, methods=["POST"]),
    Route("/rules/quick", quick, methods=["POST"]),
    Route("/rules/publish", publish, methods=["POST"]),
    Route("/rules/discard", discard, methods=["POST"]),
    Route("/rules/undo", undo, methods=["POST"]),
    Route("/rules/history", history, methods=["GET"]),
    Route("/rules/restore", restore, methods=["POST"]),
)


# ── steps ─────────────────────────────────────────────────────────────────────────────────────────────


async def _form(request: Request) -> Pairs:
    """Read a plain form; the layers before have checked its size and where it comes from."""
    kind = media_type(request)
    if kind not in ("application/x-www-form-urlencoded", ""):
        raise RequestError("unsupported-media-type", "send application/x-www-form-urlencoded")
    return [(name, str(value)) for name, value in (await request.form()).multi_items()]


async def _refused(request: Request, error: VisionRecError, *, back: str = "", note: str = "") -> Response:
    """Show the list as it is now, and above it why a step was not done."""
    status, problem = said_problem(request, error)
    if error.code == "not-found":  # its usual advice is on product ids
        problem["next"] = "Below is what there is now; somebody may have changed it meanwhile."
    return await _overview(request, problem=problem, status=status, back=back, note=note)


def _changed_by(service: Service, number: int) -> list[Change]:
    """Return what a published version changed; a missing one is named before the one it followed."""
    service.rules.rules_of(str(number))
    return service.rules.diff(str(number - 1), str(number))


def _number(text: str | None) -> int | None:
    """Return the whole number of a field, None where it holds none."""
    return int(text) if text and text.isascii() and text.isdigit() and len(text) <= 18 else None


def _on(said: str, anchor: str = "", back: str | None = None) -> Response:
    kept = {"back": found} if (found := _back(back)) else {}
    return RedirectResponse(f"/rules?{urlencode({'said': said, **kept})}{anchor}", 303, _NO_STORE)


def _back(text: str | None) -> str:
    """Return the search to go back to, empty where the address is none of Explore."""
    target = safe_target(text or "")
    return target if target.startswith("/?") else ""


async def _html(request: Request, template: str, title: str, shown: dict[str, Any], status: int) -> Response:
    service: Service = service_of(request)

    def render() -> str:
        frame = {"page": head_of(service, title), "access": access_view(request), "active": "/rules"}
        return templates().get_template(template).render(**shown, **frame)

    return Response(await service.file_thread(render), status, _NO_STORE, media_type="text/html")
