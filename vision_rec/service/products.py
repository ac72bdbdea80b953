"""The routes that show products: the catalogue by pages, one product, its picture."""

from __future__ import annotations

import base64
import hashlib
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from vision_rec.errors import ImageError, InputError, NotFoundError
from vision_rec.pictures import Thumbnails, find_picture
from vision_rec.service.catalogue import Catalogue, product_fields
from vision_rec.service.core import service_of
from vision_rec.service.openapi import answers
from vision_rec.service.paths import ProductId, product_path
from vision_rec.service.problems import RequestError, request_id_of
from vision_rec.service.schemas import MAX_PAGE, ProductAnswer, ProductPage
from vision_rec.service.search import is_known, json_response

router = APIRouter(prefix="/v1/products", tags=["products"])
_FOREVER = "private, max-age=31536000, immutable"
_A_WHILE = "private, max-age=300"


@router.get("", responses=answers(ProductPage))
async def products(
    request: Request,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 50,
) -> Response:
    """List the catalogue page by page, in the order of the feed; retired products are left out."""
    service = service_of(request)
    catalogue = Catalogue.of(service.recommender)
    start = read_cursor(cursor, catalogue.version_id) if cursor else 0
    page = await service.file_thread(partial(catalogue.page, start, limit))
    body = {
        "request_id": request_id_of(request),
        "version": catalogue.version_id,
        "total": catalogue.live_count,
        "next_cursor": None if page.next is None else write_cursor(catalogue.version_id, page.next),
        "items": [product_fields(product) for product in page.products],
    }
    return json_response(body, {"Cache-Control": "no-store"})


@router.get("/{product_id}", responses=answers(ProductAnswer))
async def product(request: Request, product_id: ProductId) -> Response:
    """Show one product as the version in use holds it."""
    catalogue = Catalogue.of(service_of(request).recommender)
    body: dict[str, Any] = {
        "request_id": request_id_of(request),
        "version": catalogue.version_id,
        **catalogue.details(product_id),
    }
    return json_response(body, {"Cache-Control": "no-store"})


@router.get(
    "/{product_id}/image",
    response_class=Response,
    responses={
        200: {"description": "The thumbnail", "content": {"image/webp": {}}},
        304: {"description": "Not changed since the ETag in If-None-Match"},
    },
)
async def image(
    request: Request,
    product_id: ProductId,
    w: Annotated[int, Query(ge=16, le=2048, description="width; rounded up to a width that is made")] = 320,
    n: Annotated[int, Query(ge=0, le=100, description="which picture, the main one is 0")] = 0,
    v: Annotated[
        str | None, Query(max_length=64, description="a version: then it may be kept for ever")
    ] = None,
    version: Annotated[
        str | None, Query(max_length=64, description="the version on disk to look in [the one in use]")
    ] = None,
) -> Response:
    """Show a picture of a product as a small WebP without its metadata."""
    service = service_of(request)
    catalogue = Catalogue.of(service.recommender)
    if version is None or version == catalogue.version_id:
        refs, root = catalogue.product(product_id).image_refs, catalogue.pictures_root
    else:
        found = await service.file_thread(partial(service.versions.product, version, product_id))
        refs, root = found.image_refs, service.versions.pictures_root(version)
    if n >= len(refs):
        raise NotFoundError(f"product {product_id!r} has {len(refs)} pictures; there is no number {n}")
    fetched = service.settings.paths.data / "cache" / "images"
    known = request.headers.get("if-none-match", "")
    # Pages name the version in the address; without it a picture may change behind the same address.
    kept = _FOREVER if v is not None and v == catalogue.version_id else _A_WHILE
    try:
        # One hop for all: a page asks for dozens at once.
        tag, data = await service.file_thread(
            partial(_small, service.thumbnails, refs[n], root, fetched, w, known)
        )
    except ImageError as error:
        raise NotFoundError(f"picture {n} of product {product_id!r} cannot be shown: {error}") from error
    headers = {"ETag": f'"{tag}"', "Cache-Control": kept}
    if data is None:
        return Response(status_code=304, headers=headers)
    return Response(data, headers=headers, media_type="image/webp")


def _small(
    thumbnails: Thumbnails, ref: str, root: str | None, fetched: Path, width: int, known: str
) -> tuple[str, bytes | None]:
    """Return the tag of a small picture, and its bytes unless `known` names that tag."""
    path = find_picture(ref, root, fetched)
    tag = thumbnails.tag(path, width)
    if is_known(f'"{tag}"', known):
        return tag, None
    made = thumbnails.read(path, width)
    return made.tag, made.data


def write_cursor(version_id: str, row: int) -> str:
    """Name a place in a version's list, for no one to read."""
    return base64.urlsafe_b64encode(f"{_short(version_id)}:{row}".encode()).decode().rstrip("=")


def read_cursor(cursor: str, version_id: str) -> int:
    """Return the row of a cursor; raises InputError for garbage, RequestError (410) for another version's."""
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        text = base64.b64decode(padded, altchars=b"-_", validate=True).decode("ascii")
        short, _, row = text.partition(":")
        if len(short) != 8 or not row.isdigit():
            raise ValueError(text)
        place = int(row[:12])
    except ValueError as error:
        raise InputError(f"cursor {cursor[:50]!r} is none that this service gave; start without") from error
    if short != _short(version_id):
        raise RequestError(
            "cursor-expired",
            "the cursor belongs to another index version; start again at " + product_path("").rstrip("/"),
        )
    return place


def _short(version_id: str) -> str:
    return hashlib.sha256(version_id.encode()).hexdigest()[:8]
