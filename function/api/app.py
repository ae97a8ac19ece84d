"""Builds the app from the routes and the entry; nothing happens at import."""

from collections.abc import Sequence
from typing import Any

from fastapi import Request
from fastapi.exception_handlers import http_exception_handler
from fastapi.exceptions import RequestValidationError
from fastapi.params import Depends
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.routing import BaseRoute

from function.api import responses
from function.api.api_key import LOCK
from function.api.entry import Service, answer_failure, answer_request_error, unwrap
from function.api.inference import Runner
from function.api.limits import find_limits
from function.api.routes import health, metadata, metrics, page, predict
from function.api.routing import DirectRoute, index_routes
from function.api.schemas import Errors, ProtocolError, declare
from function.api.v2 import routes as v2
from function.classifier import Classifier
from function.errors import BodyError, RequestError, SettingsError
from function.observability.access import AccessLog
from function.observability.inference import InferenceObserver
from function.observability.recorder import ReadableRecorder, Recorder, create_recorder
from function.settings import Settings

UNREADABLE = "There was an error parsing the body"  # FastAPI's words, in fastapi/routing.py


def create_app(settings: Settings, classifier: Classifier) -> Service:
    """Build the app that every entry point serves; add routes to it as FastAPI documents."""
    model, observer = classifier.model, InferenceObserver(classifier)
    recorder = create_recorder(
        settings.metrics, model, observer, folder=settings.metrics_folder, stack=settings.stack_name
    )
    routes = _create_routes(settings, classifier, recorder)
    service = Service(
        direct_routes=index_routes(routes, {"model": model.name, "version": model.version}),
        sha256=model.sha256,
        access_log=AccessLog(settings.log_format, observer if settings.log_labels else None),
        recorder=recorder,
        settings=settings,
        title=settings.api_title,
        description=settings.api_description,
        version=settings.api_version,
        telemetry={"metrics": False, "logs": False},  # nothing sends them, and FastAPI would check in each request
        # Relative to the document, so right behind any prefix: https://spec.openapis.org/oas/v3.1.1#server-object
        servers=[{"url": "."}],
        docs_url=None,  # FastAPI's page loads its scripts from the internet
        redoc_url=None,
        redirect_slashes=False,  # a redirect would name the host as the entry point sees it
        exception_handlers={
            RequestError: answer_request_error,
            HTTPException: _answer_http_error,
            RequestValidationError: _answer_validation_error,
            Exception: answer_failure,
        },
        routes=routes,
    )
    _check_base_path(settings.base_path, service.routes)
    return service


def _check_base_path(base_path: str, routes: Sequence[BaseRoute]) -> None:
    first = base_path.split("/")[1:2]
    if first in [getattr(route, "path", "/").split("/")[1:2] for route in routes]:
        message = "expected a prefix whose first part isn't the name of a route"
        raise SettingsError(f"BASE_PATH={base_path!r}: {message}")


def _create_routes(settings: Settings, classifier: Classifier, recorder: Recorder | None) -> list[BaseRoute]:
    model, limits = classifier.model, find_limits(classifier.model, settings)
    runner = Runner(classifier, limits)
    lock = [LOCK] if settings.api_key_sha256 else []
    routers = [
        health.create_router(**_options(Errors)),
        metadata.create_router(model, limits, **_options(Errors, lock)),
        predict.create_router(runner, **_options(Errors, lock)),
        v2.create_health_router(**_options(ProtocolError)),
        v2.create_router(settings, runner, **_options(ProtocolError, lock)),
        page.create_router(model, wants_key=bool(lock), **_options(Errors)),
    ]
    if isinstance(recorder, ReadableRecorder):
        routers.append(metrics.create_router(recorder, **_options(Errors, lock)))
    # include_router would rebuild each route at the first request, and search two levels in every request.
    return [route for router in routers for route in router.routes]


def _options(errors: type[BaseModel], lock: Sequence[Depends] = ()) -> dict[str, Any]:
    return {
        "route_class": DirectRoute,
        "generate_unique_id_function": lambda route: route.name,
        "dependencies": lock,
        "responses": declare(*([401, 500] if lock else [500]), model=errors),
    }


async def _answer_http_error(request: Request, error: Exception) -> Response:
    """Answer requests that no route takes; errors that a route raises are answered as FastAPI documents."""
    assert isinstance(error, HTTPException)
    if error.detail == UNREADABLE:
        return await _answer_unreadable(request, error.__cause__)
    path, allowed = request.scope["path"], (error.headers or {}).get("Allow")
    if error.status_code == 405 and allowed is not None:
        message, type = f"this path takes {allowed}", "method_not_allowed"
        return responses.error(path, 405, message, type=type, loc=["method"], headers=error.headers)
    if error.status_code == 404 and "route" not in request.scope:
        message = "no such path; GET /openapi.json lists them all"
        return responses.error(path, 404, message, type="not_found", loc=["path"], headers=error.headers)
    return await http_exception_handler(request, error)


async def _answer_unreadable(request: Request, cause: BaseException | None) -> Response:
    """Answer what FastAPI raises where reading a body fails."""
    error = unwrap(cause)
    if not isinstance(error, RequestError | ClientDisconnect):
        error = BodyError("expected a body that is what its content type says, got another", type="body_unreadable")
    return await answer_failure(request, error)


async def _answer_validation_error(request: Request, error: Exception) -> Response:
    """Answer what FastAPI refuses."""
    assert isinstance(error, RequestValidationError)
    return responses.validation_error(request.scope["path"], error.errors())
