"""`keys`: make, list, rotate and revoke API keys."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vision_rec.cli.common import AsJson, Common

if TYPE_CHECKING:
    from vision_rec.access import ApiKey


def create(
    common: Common,
    name: Annotated[str, typer.Option("--name", metavar="NAME", help="Who will use the key.")],
    scope: Annotated[
        str, typer.Option("--scope", metavar="SCOPE,…", help="Of search, events, merch, admin.")
    ],
    expires: Annotated[
        str | None,
        typer.Option("--expires", metavar="WHEN", help="12h, 90d, 8w, or a date in UTC [never]."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make an API key and print it, this once.

    Only its hash is stored. Running services know it within service.poll_seconds.
    """
    from vision_rec.access import create_key, parse_expiry, parse_scopes
    from vision_rec.cli.output import remark, write_json, write_line

    scopes = parse_scopes(scope)
    until = None if expires is None else parse_expiry(expires)
    made = create_key(common.settings().paths.data, name, scopes, expires_at=until)
    if as_json:
        write_json({**_fields(made.key), "key": made.token})
        return
    write_line(made.token)
    remark(common, f"key {made.key.id} for {made.key.name}; it is not shown again, so store it now")


def list_all(common: Common, as_json: AsJson = False) -> None:
    """List the keys, oldest first, without secrets."""
    from vision_rec.access import list_keys
    from vision_rec.cli.output import remark, write_json, write_table

    folder = common.settings().paths.data
    keys = list_keys(folder)
    if as_json:
        write_json({"keys": [_fields(key) for key in keys]})
        return
    if not keys:
        remark(common, f"there are no keys in {folder}: a service there is open, on this machine only")
        return
    columns = ("id", "name", "scopes", "state", "created", "expires")
    write_table(columns, [[_text(_fields(key)[name]) for name in _SHOWN] for key in keys])


def rotate(
    common: Common,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Of the key, or its id.")],
    grace: Annotated[
        float, typer.Option(metavar="HOURS", min=0, max=8760, help="How long the old one stays valid [24].")
    ] = 24.0,
    as_json: AsJson = False,
) -> None:
    """Replace a key by a new one and print that, once.

    It has the name, scopes and expiry of the old one, which stays valid for the grace. 0 ends it at once.
    """
    from vision_rec.access import rotate_key
    from vision_rec.cli.output import remark, write_json, write_line

    done = rotate_key(common.settings().paths.data, name, grace=timedelta(hours=grace))
    if as_json:
        write_json({**_fields(done.new.key), "key": done.new.token, "replaces": _fields(done.old)})
        return
    write_line(done.new.token)
    remark(common, f"key {done.new.key.id} for {done.new.key.name}; it is not shown again, so store it now")
    remark(common, f"the old key {done.old.id} is valid until {_time(done.old.expires_at)}")


def revoke(
    common: Common,
    key_id: Annotated[str, typer.Argument(metavar="ID", help="As `keys list` shows it.")],
    as_json: AsJson = False,
) -> None:
    """Revoke a key for good.

    Running services refuse it within service.poll_seconds, its logins too.
    """
    from vision_rec.access import revoke_key
    from vision_rec.cli.output import write_json, write_line

    key = revoke_key(common.settings().paths.data, key_id)
    if as_json:
        write_json(_fields(key))
    else:
        write_line(f"{key.id} ({key.name}) is revoked since {_time(key.revoked_at)}")


_SHOWN = ("id", "name", "scopes", "state", "created_at", "expires_at")


def _fields(key: ApiKey) -> dict[str, Any]:
    return {
        "id": key.id,
        "name": key.name,
        "scopes": list(key.scopes),
        "state": key.state(datetime.now(UTC)),
        "created_at": _time(key.created_at),
        "expires_at": _time(key.expires_at),
        "revoked_at": _time(key.revoked_at),
    }


def _time(time: datetime | None) -> str | None:
    return None if time is None else time.isoformat().replace("+00:00", "Z")


def _text(value: Any) -> str:
    if value is None:
        return "never"
    return ",".join(value) if isinstance(value, list) else str(value)
