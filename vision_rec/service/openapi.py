"""The OpenAPI document: what FastAPI cannot see, because bodies are read strictly and by hand."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from vision_rec import __version__
from vision_rec.service.problems import MEDIA_TYPE, PROBLEMS
from vision_rec.service.rule_schemas import PreviewBody, PublishBody, RuleBody
from vision_rec.service.schemas import Answer, EventsBody, ExplainBody, ProblemBody, SearchBody
from vision_rec.service.scopes import declare

_OF_RULES = (PreviewBody, PublishBody, RuleBody)
_REF = "#/components/schemas/{model}"
_QUERY_TEXTS = {
    "weights": "aspects and weights, such as colour:2,shape:1; aspects not named weigh 0",
    "exclude": "comma-separated ids",
    "facets": "comma-separated names",
    "recent": "comma-separated ids, oldest first",
    "recent_types": "comma-separated: view, click, add_to_cart or purchase, for each of recent",
    "filters": "the filters of a search body, as JSON",
}


def _ref(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": _REF.format(model=model.__name__)}


def answers(model: type[BaseModel]) -> dict[int | str, dict[str, Any]]:
    """Declare that a route answers `model`, or a problem."""
    return {200: {"model": model, "description": "The answer"}}


def json_request(model: type[BaseModel]) -> dict[str, Any]:
    """Declare that a route reads `model` as JSON."""
    content = {"application/json": {"schema": _ref(model)}}
    return {"requestBody": {"required": True, "content": content}}


def upload_request(model: type[BaseModel]) -> dict[str, Any]:
    """Declare that a route reads a form with a picture and the fields of `model`."""
    picture = {"type": "string", "contentMediaType": "application/octet-stream"}
    rest = {
        name: {"type": "string"}
        for name in ("filter", *model.model_fields)
        if name not in ("image", "image_url")
    }
    schema = {"type": "object", "required": ["image"], "properties": {"image": picture, **rest}}
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}}}


def install(app: FastAPI, body: type[SearchBody], similar_path: str, similar_fields: tuple[str, ...]) -> None:
    """Make `app`, which reads `body`, answer /openapi.json; the document is made at the first request."""

    def openapi() -> dict[str, Any]:
        if not app.openapi_schema:
            app.openapi_schema = _document(app, body, similar_path, similar_fields)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _document(
    app: FastAPI, body: type[SearchBody], similar_path: str, similar_fields: tuple[str, ...]
) -> dict[str, Any]:
    document = get_openapi(
        title="vision-rec",
        version=__version__,
        openapi_version="3.1.0",
        description="Products that are similar in colour, shape, style and words. "
        "Errors are RFC 9457 problem documents with the types " + ", ".join(sorted(PROBLEMS)) + ".",
        routes=app.routes,
    )
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    own = models_json_schema(
        [(model, "validation") for model in (body, Answer, EventsBody, ExplainBody, ProblemBody, *_OF_RULES)],
        ref_template=_REF,
    )[1]
    schemas.update(own["$defs"])
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    document["paths"][similar_path] = {"get": _similar(body, similar_fields)}
    for operations in document["paths"].values():
        for operation in operations.values():
            operation["responses"].pop("422", None)
            operation["responses"]["default"] = {
                "description": "A problem",
                "content": {MEDIA_TYPE: {"schema": _ref(ProblemBody)}},
            }
    declare(document)
    return document


def _similar(body: type[SearchBody], fields: tuple[str, ...]) -> dict[str, Any]:
    properties = body.model_json_schema(ref_template=_REF)["properties"]
    parameters: list[dict[str, Any]] = [
        {
            "name": "product_id",
            "in": "path",
            "required": True,
            "description": "URL-encoded, slashes too",
            "schema": {"type": "string"},
        },
        {
            "name": "filter",
            "in": "query",
            "description": "a condition such as price<=50 or category=Shoes|Bags; may repeat, all must hold",
            "schema": {"type": "array", "items": {"type": "string"}},
        },
    ]
    for name in fields:
        text = _QUERY_TEXTS.get(name)
        schema = {"type": "string"} if text else properties[name]
        parameters.append(
            {"name": name, "in": "query", "schema": schema} | ({"description": text} if text else {})
        )
    return {
        "tags": ["search"],
        "summary": "Similar",
        "description": "Products similar to one product, best first.",
        "operationId": "similar",
        "parameters": parameters,
        "responses": {
            "200": {
                "description": "The answer",
                "headers": {"ETag": {"schema": {"type": "string"}}},
                "content": {"application/json": {"schema": _ref(Answer)}},
            },
            "304": {"description": "Not changed since the ETag in If-None-Match"},
        },
    }
