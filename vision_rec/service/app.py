"""The app: routes, layers and error handlers put together."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import Depends, FastAPI
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.routing import Route

from vision_rec.errors import VisionRecError
from vision_rec.recommend import Recommender
from vision_rec.service import (
    admin,
    audience,
    events,
    explain,
    health,
    journeys,
    openapi,
    products,
    rules,
    search,
    versions,
)
from vision_rec.service.auth import Guard
from vision_rec.service.bodies import known_parameters
from vision_rec.service.console import catalogue as catalogue_pages
from vision_rec.service.console import journeys as journey_pages
from vision_rec.service.console import login
from vision_rec.service.console import routes as console
from vision_rec.service.console import rules as rule_pages
from vision_rec.service.console import versions as version_pages
from vision_rec.service.console import visitor as visitor_pages
from vision_rec.service.core import Service
from vision_rec.service.limits import Limits
from vision_rec.service.linger import Linger
from vision_rec.service.outermost import Outermost
from vision_rec.service.paths import EncodedSlashes
from vision_rec.service.problems import http_error, known_error, validation_error
from vision_rec.settings import Settings

_ROUTERS = (
    search.router,
    explain.router,
    journeys.router,
    events.router,
    health.router,
    products.router,
    rules.router,
    audience.router,
    versions.router,
    admin.router,
)


def create_app(settings: Settings, recommender: Recommender | None = None) -> FastAPI:
    """Build the service; without a `recommender` it opens the indexes of `settings` once it runs."""
    service = Service(settings, recommender)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with service.running():
            yield

    similar = Route(search.SIMILAR_PATH, search.similar, methods=["GET"])
    plain = [
        similar,
        *console.ROUTES,
        *rule_pages.ROUTES,
        *journey_pages.ROUTES,
        *visitor_pages.ROUTES,
        *version_pages.ROUTES,
        *catalogue_pages.ROUTES,
        *login.ROUTES,
    ]
    templates = {route.endpoint: route.path for route in plain}
    app = FastAPI(
        lifespan=lifespan,
        docs_url=None,  # its page comes from a CDN
        redoc_url=None,
        redirect_slashes=False,
        middleware=[
            Middleware(Linger),
            Middleware(Outermost, metrics=service.metrics, templates=templates),
            Middleware(
                Limits,
                service=settings.service,
                images=settings.images,
                metrics=service.metrics,
                access=service.access,
            ),
            Middleware(EncodedSlashes),
            Middleware(Guard, service=service),
        ],
        exception_handlers={
            VisionRecError: known_error,
            ValidationError: validation_error,
            RequestValidationError: validation_error,
            HTTPException: http_error,
        },
    )
    app.state.service = service
    app.router.routes[0:0] = plain  # first: the one that is asked most
    for router in _ROUTERS:
        app.include_router(router, dependencies=[Depends(known_parameters)])
    openapi.install(app, service.search_body, search.SIMILAR_PATH, search.SIMILAR_FIELDS)
    return app
