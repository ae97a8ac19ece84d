"""Puts the routers together with one table from errors to statuses; nothing happens at import."""

from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI, Request, Security
from fastapi.params import Depends
from fastapi.security import APIKeyHeader
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response

from function import metrics, schemas
from function.classifier import Classifier
from function.errors import BodyError, FeaturesError, RequestError, TooLargeError, UnknownModelError
from function.middleware import ApiKey, LastResort, RequestLog, Shortcut
from function.oip import HEADER
from function.routers import health, metadata, oip, page, predict
from function.routers import metrics as prometheus
from function.schemas import Errors, ProtocolError
from function.settings import Settings

# Under /v2 a 422 is a 400, as its protocol has it.
STATUSES: dict[type[RequestError], int] = {
    BodyError: 422,
    FeaturesError: 422,
    TooLargeError: 413,
    UnknownModelError: 404,
}


def create_app(settings: Settings, classifier: Classifier) -> FastAPI:
    """Build the app that every door serves."""
    limits = schemas.limits(
        classifier,
        max_rows=settings.max_rows,
        max_body_bytes=settings.max_body_bytes,
        max_answer_bytes=settings.max_answer_bytes,
    )
    recorder = metrics.create(settings.metrics, classifier)
    gauge = metrics.Gauge(classifier) if recorder or settings.log_labels else None
    runner = predict.Runner(classifier, gauge)
    lock = [Security(APIKeyHeader(name="X-API-Key", auto_error=False))] if settings.api_key_sha256 else []
    routers = (
        health.create_router(**_options(Errors)),
        metadata.create_router(classifier, limits, **_options(Errors, lock)),
        predict.create_router(runner, limits, **_options(Errors, lock)),
        oip.create_health_router(**_options(ProtocolError)),
        oip.create_router(settings, runner, limits, **_options(ProtocolError, lock)),
        page.create_router(classifier, wants_key=bool(lock), **_options(Errors)),
        *(
            [prometheus.create_router(recorder, **_options(Errors, lock))]
            if isinstance(recorder, metrics.Prometheus)
            else ()
        ),
    )
    # include_router would build each route anew at the first request, and look through two levels in every one.
    routes = [route for router in routers for route in router.routes]
    known = {"model": classifier.name, "version": classifier.version}
    shortcut = Middleware(Shortcut, routes=routes, known=known, answer_error=_answer_request_error)
    return FastAPI(
        title=settings.api_title,
        description=settings.api_description,
        version=settings.api_version,
        telemetry={"metrics": False, "logs": False},  # nothing sends them, and FastAPI asks in each request
        docs_url=None,  # FastAPI's own takes its scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,  # a redirect would name the host that the door believes it has
        middleware=[*_middleware(settings, classifier, recorder), shortcut],
        exception_handlers={RequestError: _answer_request_error, HTTPException: _answer_http_error},
        routes=routes,
    )


def _options(errors: type[BaseModel], lock: Sequence[Depends] = ()) -> dict[str, Any]:
    # The lock is for the OpenAPI document; the check itself is middleware, which guards unknown paths too.
    return {
        "generate_unique_id_function": lambda route: route.name,
        "dependencies": lock,
        "responses": schemas.declare(*([401, 500] if lock else [500]), model=errors),
    }


def _middleware(settings: Settings, classifier: Classifier, recorder: metrics.Recorder | None) -> Sequence[Middleware]:
    layers = [Middleware(RequestLog, sha256=classifier.sha256, recorder=recorder, names_labels=settings.log_labels)]
    if settings.cors_origins:
        layers.append(
            Middleware(
                CORSMiddleware,
                allow_origins=settings.cors_origins,
                allow_methods=["GET", "POST"],
                allow_headers=["*"],
                expose_headers=["X-Request-ID", "X-Model-SHA256", HEADER],
            )
        )
    if settings.api_key_sha256:
        layers.append(Middleware(ApiKey, digests=settings.api_key_sha256))
    return [*layers, Middleware(LastResort)]


async def _answer_request_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestError)
    if isinstance(error, BodyError) and request.headers.get("content-encoding", "identity") != "identity":
        error = BodyError("expected a body as it is, got one with a Content-Encoding", type="content_encoding")
    return schemas.request_error(request.scope["path"], STATUSES[type(error)], error)


async def _answer_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    message, type, loc = error.detail, "http", "path"
    match error.status_code:
        case 404:
            message, type = "no such path; GET /openapi.json lists them all", "not_found"
        case 405:
            allowed = (error.headers or {}).get("Allow", "")
            message, type, loc = f"this path takes {allowed}", "method_not_allowed", "method"
    headers = error.headers
    return schemas.error(request.scope["path"], error.status_code, message, type=type, loc=[loc], headers=headers)
