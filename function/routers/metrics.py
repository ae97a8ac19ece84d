"""Counters for Prometheus, over all workers."""

from typing import Any

from fastapi import APIRouter
from starlette.responses import PlainTextResponse, Response

from function.metrics import Prometheus


def create_router(recorder: Prometheus, **options: Any) -> APIRouter:
    router = APIRouter(tags=["metrics"], **options)

    @router.get("/metrics", response_class=PlainTextResponse)
    async def metrics() -> Response:
        """Give the counters in Prometheus' text format."""
        return Response(recorder.read(), media_type="text/plain; version=0.0.4; charset=utf-8")

    return router
