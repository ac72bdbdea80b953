"""`rules`: look at merchandising rules, edit the draft, publish it and take it back."""

from __future__ import annotations

import getpass
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vision_rec.cli.common import AsJson, Common
from vision_rec.cli.exits import OK, SOME_REJECTED
from vision_rec.cli.options import listed
from vision_rec.errors import InputError

if TYPE_CHECKING:
    from vision_rec.merchandise import Change, RuleDesk
    from vision_rec.recommend.state import State

RuleEffect = Annotated[str, typer.Argument(metavar="EFFECT", help="pin, hide, filter, boost or bury.")]
RuleId = Annotated[str, typer.Argument(metavar="RULE", help="As `rules list` shows it.")]
Products = Annotated[
    list[str] | None, typer.Option("--products", metavar="ID,…", help="What it acts on; may be repeated.")
]
Condition = Annotated[
    list[str] | None,
    typer.Option("--filter", metavar="CONDITION", help="Acts on what passes, as 'brand=Acme'; repeatable."),
]
Position = Annotated[int | None, typer.Option(metavar="N", help="Place of the first pinned product [1].")]
Strength = Annotated[
    float | None, typer.Option(metavar="S", help="What a boost adds or a bury takes, above 0, up to 1.")
]
Category = Annotated[
    str | None, typer.Option("--category", metavar="NAME", help="Only in lists of this category.")
]
OfProduct = Annotated[
    str | None, typer.Option("--product", metavar="ID", help="Only in this product's list.")
]
QueryText = Annotated[str | None, typer.Option("--query", metavar="TEXT", help="Only for these words.")]
Since = Annotated[str | None, typer.Option("--from", metavar="TIME", help="From this date or time on, UTC.")]
Until = Annotated[str | None, typer.Option("--until", metavar="TIME", help="Until before this, UTC.")]
Priority = Annotated[int, typer.Option(metavar="N", help="Of two rules of one scope the higher wins.")]
Name = Annotated[str | None, typer.Option(metavar="TEXT", help="What people call it.")]
Note = Annotated[str | None, typer.Option(metavar="TEXT", help="A word for the history.")]
Side = Annotated[str, typer.Argument(help="draft, current or a version's number.")]


def list_rules(common: Common, as_json: AsJson = False) -> None:
    """List the rules of the draft, as they act."""
    from vision_rec.cli.output import remark, write_json, write_table

    overview = _desk(common).overview(_catalogue(common))
    if as_json:
        write_json(overview)
        return
    for problem in overview["degraded"]:
        remark(common, f"degraded: {problem}")
    if not overview["rules"]:
        remark(common, "there is no rule; `vision-rec rules add` makes one")
        return
    rows = [
        (rule["id"], _state(rule), rule["name"], rule["sentence"], rule["author"])
        for rule in overview["rules"]
    ]
    write_table(("rule", "state", "name", "what it does", "by"), rows)
    if overview["changed"]:
        remark(common, "the draft differs from what is published; see `vision-rec rules diff`")


def add(
    common: Common,
    effect: RuleEffect,
    products: Products = None,
    filter: Condition = None,
    position: Position = None,
    strength: Strength = None,
    category: Category = None,
    product: OfProduct = None,
    query: QueryText = None,
    since: Since = None,
    until: Until = None,
    priority: Priority = 0,
    name: Name = None,
    as_json: AsJson = False,
) -> None:
    """Add a rule to the draft.

    Nothing changes for shoppers before `rules publish`.
    """
    from vision_rec.cli.output import write_json, write_line

    body = {
        "effect": effect,
        "name": name,
        "scope": _scope(category, product, query),
        "products": listed(products),
        "filters": filter or None,
        "position": position,
        "strength": strength,
        "starts_at": since,
        "ends_at": until,
        "priority": priority,
    }
    desk = _desk(common)
    rule = desk.store.create(body, _who())
    shown = desk.one(rule.id, _catalogue(common))
    if as_json:
        write_json(shown)
        return
    write_line(f"{rule.id}: {shown['sentence']}")
    _write_problems(common, shown)


def remove(common: Common, rule: RuleId, as_json: AsJson = False) -> None:
    """Take a rule out of the draft."""
    from vision_rec.cli.output import write_json, write_line
    from vision_rec.merchandise import says

    removed = _desk(common).store.remove(rule, _who())
    if as_json:
        write_json({"removed": removed.id})
    else:
        write_line(f"removed {removed.id}: {says(removed)}")


def publish(common: Common, note: Note = None, as_json: AsJson = False) -> None:
    """Make the draft the rules that apply."""
    from vision_rec.cli.output import remark, write_json

    desk = _desk(common)
    found = desk.diff()
    version = desk.store.publish(_who(), note=note or "")
    if as_json:
        number = desk.number() if version is None else version.number
        changes = [change.to_json() for change in found]
        write_json({"version": number, "published": version is not None, "changes": changes})
    elif version is None:
        remark(common, "nothing to publish: the draft is what applies already")
    else:
        _write_changes(found)
        remark(common, f"version {version.number} applies now; `vision-rec rules undo` takes it back")


def diff(common: Common, before: Side = "current", after: Side = "draft", as_json: AsJson = False) -> None:
    """Show what differs between two sets of rules.

    By default, what publishing the draft would change.
    """
    from vision_rec.cli.output import remark, write_json

    found = _desk(common).diff(before, after)
    if as_json:
        write_json({"before": before, "after": after, "changes": [change.to_json() for change in found]})
    elif not found:
        remark(common, f"{before} and {after} are the same")
    else:
        _write_changes(found)


def undo(
    common: Common,
    version: Annotated[
        int | None, typer.Argument(metavar="[VERSION]", help="Back to this one, 0 for no rules [the last].")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Take the last publish back.

    An older version is published once more; edits that are not published yet stay in the draft.
    """
    from vision_rec.cli.output import write_json, write_line

    desk = _desk(common)
    who = _who()
    made = desk.undo(who) if version is None else desk.store.restore(version, who)
    if as_json:
        write_json({"version": made.number, "restored_from": made.restored_from, "rules": len(made.rules)})
    else:
        write_line(f"version {made.number} applies now, with the {len(made.rules)} rules of {made.note[8:]}")


def history(
    common: Common,
    audit: Annotated[bool, typer.Option("--audit", help="Every change, with who and when.")] = False,
    limit: Annotated[int, typer.Option(metavar="N", help="The newest so many.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List what was published, newest first."""
    from vision_rec.cli.output import write_json, write_table

    if limit < 1:
        raise InputError(f"--limit is {limit}; allowed is 1 or more")
    desk = _desk(common)
    columns: tuple[str, ...]
    if audit:
        entries = [entry.to_json() for entry in desk.store.log.entries(limit)]
        columns = ("seq", "at", "who", "what", "rule", "version", "before", "after")
    else:
        entries = desk.versions(limit)
        columns = ("number", "published_at", "author", "count", "note", "state")
    if as_json:
        write_json({"entries" if audit else "versions": entries})
        return
    write_table(columns, [[_cell(entry.get(column)) for column in columns] for entry in entries])


def check(common: Common, as_json: AsJson = False) -> int:
    """Look for rules that do not do what they say.

    Pins of products that are gone, places taken twice, rules against rules, damaged files. Exit code 3 where
    there is any.
    """
    from vision_rec.cli.output import write_json, write_line

    desk = _desk(common)
    state = _catalogue(common)
    damage, odd = desk.store.problems(), desk.odd(state) if state is not None else {}
    if as_json:
        document = {"ok": not (damage or odd), "checked": state is not None, "damage": list(damage)}
        write_json({**document, "rules": {rule_id: list(said) for rule_id, said in odd.items()}})
    else:
        for problem in damage:
            write_line(problem)
        for rule_id, said in odd.items():
            for problem in said:
                write_line(f"{rule_id}: {problem}")
        if not (damage or odd):
            write_line("good" if state is not None else "good, but there is no catalogue to look into")
    return SOME_REJECTED if damage or odd else OK


# ── steps ─────────────────────────────────────────────────────────────────────────────────────────────


def _desk(common: Common) -> RuleDesk:
    from vision_rec.merchandise import RuleDesk

    return RuleDesk(common.settings())


def _catalogue(common: Common) -> State | None:
    """Return the version that answers, None where there is none: rules can be written before."""
    from vision_rec.errors import UnavailableError

    try:
        return common.recommender().state
    except UnavailableError:
        return None


def _who() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # no name for this user id, as in containers
        return "local"


def _scope(category: str | None, product: str | None, query: str | None) -> dict[str, Any]:
    given = {
        kind: value
        for kind, value in (("category", category), ("product", product), ("query", query))
        if value is not None
    }
    if len(given) > 1:
        raise InputError(f"--{' and --'.join(given)} are given; a rule is for one kind of list")
    return next(({"kind": kind, "value": value} for kind, value in given.items()), {"kind": "all"})


def _state(rule: dict[str, Any]) -> str:
    words = [rule["state"], *(["unpublished"] if rule["unpublished"] else [])]
    return ", ".join([*words, *(["conflict"] if rule["problems"] else [])])


def _write_problems(common: Common, rule: dict[str, Any]) -> None:
    from vision_rec.cli.output import remark

    for problem in rule["problems"]:
        remark(common, f"{rule['id']}: {problem}")


def _write_changes(found: Sequence[Change]) -> None:
    from vision_rec.cli.output import write_line

    for change in found:
        form = change.to_json()
        if form["was"]:
            write_line(f"- {change.rule.id}: {form['was']}")
        if form["is"]:
            write_line(f"+ {change.rule.id}: {form['is']}")


def _cell(value: object) -> str:
    return "" if value is None else str(value)
