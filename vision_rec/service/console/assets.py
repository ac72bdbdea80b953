"""Templates and static files of the page, read once from the package; nothing else can be asked for."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import Response

from vision_rec.errors import NotFoundError

_FOLDER = Path(__file__).parent
_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_FOREVER = "public, max-age=31536000, immutable"
SCREENS = [  # the menu: name and address
    ("Explore", "/"),
    ("Rules", "/rules"),
    ("Journeys", "/journeys"),
    ("Catalogue", "/catalogue"),
    ("Versions", "/versions"),
]


@dataclass(frozen=True, slots=True)
class Asset:
    """One static file."""

    data: bytes
    media_type: str


@cache
def assets() -> Mapping[str, Asset]:
    """Return the static files by their public names, which hold a hash of their content."""
    found = {}
    for path in sorted((_FOLDER / "static").iterdir()):
        if path.suffix in _TYPES:
            data = path.read_bytes()
            digest = hashlib.sha256(data).hexdigest()[:10]
            found[f"{path.stem}.{digest}{path.suffix}"] = Asset(data, _TYPES[path.suffix])
    return found


def asset_url(name: str) -> str:
    """Return the address of a static file, for templates."""
    stem, _, suffix = name.rpartition(".")
    for public in assets():
        if public.startswith(f"{stem}.") and public.endswith(f".{suffix}"):
            return f"/static/{public}"
    raise NotFoundError(f"the page has no static file {name!r}")


@cache
def templates() -> Environment:
    """Return the templates; everything put into them is escaped."""
    environment = Environment(
        loader=FileSystemLoader(_FOLDER / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.globals["asset"] = asset_url
    environment.globals["screens"] = SCREENS
    return environment


async def static(request: Request) -> Response:
    """Answer a static file by its public name."""
    asset = assets().get(request.path_params["name"])
    if asset is None:
        raise NotFoundError("there is no such file")
    return Response(asset.data, media_type=asset.media_type, headers={"Cache-Control": _FOREVER})
