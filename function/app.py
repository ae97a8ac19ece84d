"""Puts the routers together with one table from errors to statuses; nothing happens at import."""

from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI, Request, Security
from fastapi.security import APIKeyHeader
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response

from function import schemas
from function.classifier import Classifier
from function.errors import BodyError, FeaturesError, RequestError, TooLargeError
from function.middleware import ApiKey, LastResort, RequestLog
from function.routers import health, metadata, predict
from function.settings import Settings

STATUSES: dict[type[RequestError], int] = {BodyError: 422, FeaturesError: 422, TooLargeError: 413}


def create_app(settings: Settings, classifier: Classifier) -> FastAPI:
    """Build the app that every door serves."""
    limits = schemas.limits(classifier, max_rows=settings.max_rows, max_body_bytes=settings.max_body_bytes)
    options: dict[str, Any] = {"generate_unique_id_function": lambda route: route.name}
    unlocked = options | {"responses": schemas.declare(500)}
    locked = options | _locked() if settings.api_key_sha256 else unlocked
    routers = (
        health.create_router(**unlocked),
        metadata.create_router(classifier, limits, **locked),
        predict.create_router(classifier, limits, **locked),
    )
    return FastAPI(
        title=settings.api_title,
        description=settings.api_description,
        version=settings.api_version,
        redoc_url=None,
        swagger_ui_oauth2_redirect_url=None,
        redirect_slashes=False,  # a redirect would name the host that the door believes it has
        middleware=_middleware(settings, classifier),
        exception_handlers={RequestError: _answer_request_error, HTTPException: _answer_http_error},
        # include_router would build each route anew at the first request, and look through two levels in every one.
        routes=[route for router in routers for route in router.routes],
    )


def _locked() -> dict[str, Any]:
    # For the OpenAPI document; the check itself is middleware, which guards unknown paths too.
    scheme = APIKeyHeader(name="X-API-Key", auto_error=False)
    return {"dependencies": [Security(scheme)], "responses": schemas.declare(401, 500)}


def _middleware(settings: Settings, classifier: Classifier) -> Sequence[Middleware]:
    layers = [Middleware(RequestLog, sha256=classifier.sha256)]
    if settings.cors_origins:
        layers.append(
            Middleware(
                CORSMiddleware,
                allow_origins=settings.cors_origins,
                allow_methods=["GET", "POST"],
                allow_headers=["*"],
                expose_headers=["X-Request-ID", "X-Model-SHA256"],
            )
        )
    if settings.api_key_sha256:
        layers.append(Middleware(ApiKey, digests=settings.api_key_sha256))
    return [*layers, Middleware(LastResort)]


async def _answer_request_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestError)
    return schemas.JSON(schemas.errors(error), STATUSES[type(error)])


async def _answer_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    match error.status_code:
        case 404:
            body = schemas.detail("no such path; GET /openapi.json lists them all", type="not_found", loc=("path",))
        case 405:
            allowed = (error.headers or {}).get("Allow", "")
            body = schemas.detail(f"this path takes {allowed}", type="method_not_allowed", loc=("method",))
        case _:
            body = schemas.detail(error.detail, type="http")
    return schemas.JSON(body, error.status_code, headers=error.headers)
