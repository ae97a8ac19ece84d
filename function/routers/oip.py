"""The Open Inference Protocol v2, for clients that speak it: tritonclient, KServe's, MLServer's."""

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from function import oip
from function.classifier import Classifier
from function.routers.predict import Runner, read_body
from function.schemas import JSON, Limits, ProtocolError, declare
from function.settings import Settings


def create_health_router(**options: Any) -> APIRouter:
    router = APIRouter(tags=["Open Inference Protocol"], **options)

    @router.get("/v2/health/live", responses=oip.response("Live"))
    async def server_live(request: Request) -> Response:
        """Answer as long as the model is loaded."""
        return JSON({"live": True})

    @router.get("/v2/health/ready", responses=oip.response("Ready"))
    async def server_ready(request: Request) -> Response:
        """Answer as long as the model is loaded: without one the service doesn't start."""
        return JSON({"live": True, "ready": True})

    return router


def create_router(settings: Settings, runner: Runner, limits: Limits, **options: Any) -> APIRouter:
    classifier = runner.classifier
    router = APIRouter(tags=["Open Inference Protocol"], **options)

    @router.get("/v2", responses=oip.response("ServerMetadata"))
    @router.get("/v2/", include_in_schema=False)
    async def server_metadata(request: Request) -> Response:
        """Name the service and the extensions of the protocol that it speaks."""
        name, version = settings.api_title, settings.api_version
        return JSON({"name": name, "version": version, "extensions": oip.EXTENSIONS})

    async def model_metadata(request: Request) -> Response:
        """Describe the loaded model's inputs and outputs."""
        oip.check_model(classifier, request.path_params)
        return JSON(oip.describe(classifier))

    async def model_ready(request: Request) -> Response:
        """Answer as long as the model is loaded."""
        oip.check_model(classifier, request.path_params)
        return JSON({"name": classifier.name, "ready": True})

    async def model_infer(request: Request) -> Response:
        """Give class probabilities, and the class ids where the model gives them, for the rows of an inference request."""
        oip.check_model(classifier, request.path_params)
        body = await read_body(request, limits.max_body_bytes)
        wanted = oip.parse(body, request.headers.get(oip.HEADER), classifier, limits)
        request.state.n_rows = n_rows = len(wanted.arrays[0])
        return await runner.answer(n_rows, _infer, request, runner, wanted)

    for path, names in (
        ("/v2/models/{model}", ["model"]),
        ("/v2/models/{model}/versions/{version}", ["model", "version"]),
    ):
        suffix = "_of_version" if "version" in names else ""
        parameters = [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names]
        described: dict[str, Any] = {"openapi_extra": {"parameters": parameters}}
        for end, endpoint, name in (("", model_metadata, "ModelMetadata"), ("/ready", model_ready, "ModelReady")):
            responses = oip.response(name) | declare(404, model=ProtocolError)
            router.get(path + end, name=endpoint.__name__ + suffix, responses=responses, **described)(endpoint)
        described["openapi_extra"] = {"parameters": parameters, "requestBody": _request_body(classifier)}
        responses = oip.response("InferenceResponse") | declare(400, 404, 413, model=ProtocolError)
        responses[200]["content"] |= _BINARY
        router.post(f"{path}/infer", name=f"model_infer{suffix}", responses=responses, **described)(model_infer)
    return router


_BINARY: dict[str, Any] = {"application/octet-stream": {}}


def _request_body(classifier: Classifier) -> dict[str, Any]:
    content = {"application/json": {"schema": oip.request_schema(classifier)}} | _BINARY
    return {"required": True, "content": content}


def _infer(request: Request, runner: Runner, wanted: oip.Request) -> Response:
    return oip.answer(wanted, runner.classifier, runner.infer(request, wanted.arrays))
