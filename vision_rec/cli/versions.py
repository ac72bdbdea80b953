"""`versions`: list, verify, compare, change to and remove index versions."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from vision_rec.cli.common import AsJson, Common
from vision_rec.cli.exits import BY_ERROR, OK
from vision_rec.errors import InputError, NotFoundError, UnavailableError

if TYPE_CHECKING:
    from vision_rec.compare import VersionDiff
    from vision_rec.index.version import VersionStore

VersionId = Annotated[str, typer.Argument(metavar="VERSION", help="As `versions list` shows it.")]
_SHOWN = 10


def list_versions(common: Common, as_json: AsJson = False) -> None:
    """List the versions, newest first."""
    from vision_rec.cli.output import remark, write_json, write_table

    store = _store(common)
    listed = tuple(reversed(store.list()))
    current = next((info.id for info in listed if info.state == "current"), None)
    if as_json:
        entries = [
            {
                "id": info.id,
                "current": info.state == "current",
                "state": info.state,
                "created_at": info.created_at,
                "count": info.count,
                "bytes": info.size,
            }
            for info in listed
        ]
        write_json({"current": current, "versions": entries})
        return
    if not listed:
        remark(common, f"there is no version in {store.root}; `vision-rec reindex FEED` makes one")
        return
    rows = [
        (info.id, info.state, info.created_at, str(info.count), f"{info.size / 1e6:.1f}") for info in listed
    ]
    write_table(("version", "state", "created", "products", "MB"), rows, right=("products", "MB"))


def verify(
    common: Common,
    version: Annotated[
        str | None, typer.Argument(metavar="[VERSION]", help="Only this one [all of them].")
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Check every byte of the versions.

    Exit code 5 where a file is not what its manifest says.
    """
    from vision_rec.cli.output import write_json, write_line

    store = _store(common)
    store.current_id()  # raises where CURRENT holds garbage
    names = [_version(store, version)] if version is not None else list(store.ids())
    if not names:
        raise UnavailableError(f"there is no version in {store.root}; `vision-rec reindex FEED` makes one")
    found = {name: store.verify(name) for name in names}
    good = not any(found.values())
    if as_json:
        entries = [
            {"id": name, "ok": not problems, "problems": [asdict(problem) for problem in problems]}
            for name, problems in found.items()
        ]
        write_json({"ok": good, "versions": entries})
    else:
        for name, problems in found.items():
            write_line(f"{name}: {'damaged' if problems else 'good'}")
            for problem in problems:
                write_line(f"  {problem}")
    return OK if good else BY_ERROR["integrity"]


def diff(
    common: Common,
    before: VersionId,
    after: VersionId,
    probes: Annotated[int, typer.Option(metavar="N", help="Products whose lists are compared.")] = 100,
    as_json: AsJson = False,
) -> None:
    """Compare two versions.

    Products in and out, those that changed, and how much of the top 10 stays the same.
    """
    from vision_rec.cli.output import write_json
    from vision_rec.compare import compare_versions

    if probes < 0:
        raise InputError(f"--probes is {probes}; allowed is 0 or more")
    store = _store(common)
    found = compare_versions(store, _version(store, before), _version(store, after), probes=probes)
    if as_json:
        write_json(asdict(found))
    else:
        _write_diff(found)


def _write_diff(found: VersionDiff) -> None:
    from vision_rec.cli.output import write_line

    write_line(f"{found.before}: {found.count_before} products")
    write_line(f"{found.after}: {found.count_after} products")
    for name, ids in (("in", found.added), ("out", found.removed)):
        more = f" and {len(ids) - _SHOWN} more" if len(ids) > _SHOWN else ""
        write_line(f"{name}: {len(ids)} {', '.join(ids[:_SHOWN])}{more}")
    facts = Counter(fact for entry in found.changed for fact in entry.facts)
    told = ", ".join(f"{fact} {count}" for fact, count in facts.most_common())
    write_line(f"changed: {len(found.changed)}{f' ({told})' if told else ''}")
    if found.encoders_changed:
        write_line(f"encoders changed: {', '.join(found.encoders_changed)}")
    if found.overlap is None:
        write_line("no product of both has a list to compare")
        return
    write_line(f"top {found.k} the same: {found.overlap:.1%}, over {found.probes} products")
    for entry in found.moved:
        write_line(f"  {entry.product_id}: {entry.overlap:.0%}")


def activate(common: Common, version: VersionId, as_json: AsJson = False) -> None:
    """Make a version the current one.

    The way back after a bad feed, and forward again.
    """
    from vision_rec.cli.output import write_json, write_line

    store = _store(common)
    name = _version(store, version)
    before = store.current_id()
    store.activate(name)
    if as_json:
        write_json({"current": name, "before": before})
    else:
        write_line(f"{name} is the current version now, {before or 'none'} was before")


def prune(
    common: Common,
    keep: Annotated[int | None, typer.Option(metavar="N", help="Newest versions to keep [3].")] = None,
    as_json: AsJson = False,
) -> None:
    """Remove old versions.

    The current one and those in use stay.
    """
    from vision_rec.cli.output import write_json, write_line

    settings = common.settings()
    wanted = settings.index.keep_versions if keep is None else keep
    store = _store(common)
    if wanted < 1:
        raise InputError(f"--keep is {wanted}; allowed is 1 or more")
    removed = store.prune(wanted) if store.root.is_dir() else ()
    if as_json:
        write_json({"removed": list(removed), "kept": list(store.ids())})
    else:
        write_line(f"removed {len(removed)} versions, {len(store.ids())} stay")


def _store(common: Common) -> VersionStore:
    from vision_rec.index.version import VersionStore

    return VersionStore(common.settings().paths.indexes)


def _version(store: VersionStore, given: str) -> str:
    """Return the id of a version that is there: `given` itself, `current`, or the one that so begins."""
    if given == "current":
        current = store.current_id()
        if current is None:
            raise UnavailableError(f"no version of {store.root} is current; run `vision-rec reindex FEED`")
        return current
    ids = store.ids()
    if given in ids:
        return given
    fitting = [name for name in ids if given and name.startswith(given)]
    if len(fitting) == 1:
        return fitting[0]
    have = ", ".join(fitting or ids) or "none"
    what = "several versions begin with" if fitting else "there is no version"
    raise NotFoundError(f"{what} {given!r} in {store.root}; there are: {have}")
