"""`config show`: every setting in force, and where it comes from."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import typer

from vision_rec.cli.common import AsJson, Common

_PASSWORD = re.compile(r"^(\w+://)[^@/]*@")  # in a URL, with the user's name


def show(
    common: Common,
    origin: Annotated[bool, typer.Option("--origin", help="Say where each value comes from.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show every setting in force.

    Options come before the environment, the settings file and the defaults.
    """
    from vision_rec.cli.output import write_json, write_line, write_table
    from vision_rec.settings import origins

    values = common.settings().model_dump(mode="json")
    values["events"]["url"] = _PASSWORD.sub(r"\1***@", values["events"]["url"])
    given = {
        "paths": {
            name: value for name, value in (("indexes", common.indexes), ("data", common.data)) if value
        }
    }
    sources = origins(common.config, given) if origin else {}
    if as_json:
        write_json({"settings": values, "origins": sources} if origin else values)
    elif origin:
        rows = [(name, json.dumps(value), sources[name]) for name, value in _flat(values)]
        write_table(("setting", "value", "from"), rows)
    else:
        for name, value in _flat(values):
            write_line(f"{name} = {json.dumps(value, ensure_ascii=False)}")


def _flat(values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for section, fields in values.items():
        for name, value in fields.items():
            yield f"{section}.{name}", value
