"""Prometheus' counters of all workers."""

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from function.api.responses import Body
from function.observability.recorder import ReadableRecorder


def create_router(recorder: ReadableRecorder, **options: Any) -> APIRouter:
    router = APIRouter(tags=["metrics"], **options)

    # Not in the OpenAPI document, because that is the same at every entry point.
    @router.get("/metrics", include_in_schema=False)
    async def metrics(request: Request) -> Response:
        """Return the counters in Prometheus' text format."""
        return Body(recorder.read(), "text/plain; version=0.0.4; charset=utf-8")

    return router
