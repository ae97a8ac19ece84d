"""The protocol's routes, for its clients: tritonclient, KServe's, MLServer's."""

import re
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from function.api.inference import Runner
from function.api.responses import JSON
from function.api.schemas import ProtocolError, declare
from function.api.v2 import openapi
from function.api.v2.decode import check_model, decode
from function.api.v2.encode import HEADER, describe, encode
from function.observability.access import Record
from function.settings import Settings

EXTENSIONS = ("binary_tensor_data", "classification")


def create_health_router(**options: Any) -> APIRouter:
    router = APIRouter(tags=["Open Inference Protocol"], **options)

    @router.get("/v2/health/live", responses=openapi.response("Live"))
    async def server_live(request: Request) -> Response:
        """Answer as long as the model is loaded."""
        return JSON({"live": True})

    @router.get("/v2/health/ready", responses=openapi.response("Ready", 200, 503))
    async def server_ready(request: Request) -> Response:
        """Say whether the service is ready: from its start until it is told to stop."""
        return _answer_ready(request, live=True)

    return router


def _answer_ready(request: Request, **facts: Any) -> Response:
    """Answer 503 if the server has set `is_ending` in ASGI's state, because it is about to stop."""
    is_ready = not request.scope.get("state", {}).get("is_ending", False)
    return JSON({**facts, "ready": is_ready}, 200 if is_ready else 503)


def create_router(settings: Settings, runner: Runner, **options: Any) -> APIRouter:
    router = APIRouter(tags=["Open Inference Protocol"], **options)
    about = {"name": settings.api_title, "version": settings.api_version, "extensions": EXTENSIONS}

    @router.get("/v2", responses=openapi.response("ServerMetadata"))
    @router.get("/v2/", include_in_schema=False)
    async def server_metadata(request: Request) -> Response:
        """Name the service and the protocol's extensions that it supports."""
        return JSON(about)

    for path in ("/v2/models/{model}", "/v2/models/{model}/versions/{version}"):
        _add_model_routes(router, path, runner)
    return router


def _add_model_routes(router: APIRouter, path: str, runner: Runner) -> None:
    classifier, limits, model = runner.classifier, runner.limits, runner.classifier.model
    in_path = {"in": "path", "required": True, "schema": {"type": "string"}}
    parameters = [{"name": name, **in_path} for name in re.findall(r"{(\w+)}", path)]

    def describe_route(end: str, name: str, answer: str, *statuses: int, **more: Any) -> dict[str, Any]:
        return {
            "path": path + end,
            "name": f"{name}_of_version" if "{version}" in path else name,
            "responses": openapi.response(answer) | declare(*statuses, model=ProtocolError),
            "openapi_extra": {"parameters": parameters, **more},
        }

    @router.get(**describe_route("", "model_metadata", "ModelMetadata", 404))
    async def model_metadata(request: Request) -> Response:
        """Describe the loaded model's inputs and outputs."""
        check_model(model, request.path_params)
        return JSON(describe(model))

    ready = describe_route("/ready", "model_ready", "ModelReady", 404)
    ready["responses"] |= openapi.response("ModelReady", 503)

    @router.get(**ready)
    async def model_ready(request: Request) -> Response:
        """Say whether the model is ready: until the service is told to stop."""
        check_model(model, request.path_params)
        return _answer_ready(request, name=model.name)

    statuses, body = (400, 404, 413, 415), openapi.request_body(model)

    @router.post(**describe_route("/infer", "model_infer", "InferenceResponse", *statuses, requestBody=body))
    async def model_infer(request: Request) -> Response:
        """Return class probabilities for the rows of an inference request, and class ids if the model gives them."""
        check_model(model, request.path_params)
        body = await runner.read_body(request)
        decoded = decode(body, request.headers.get(HEADER), model, limits)
        record: Record = request.scope["record"]
        record.n_rows = n_rows = len(decoded.arrays[0])

        def answer() -> Response:
            return encode(decoded.outputs, classifier, runner.infer(record, decoded.arrays), decoded.id)

        return await runner.answer(n_rows, answer)
