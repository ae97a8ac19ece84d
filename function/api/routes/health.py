"""Whether the service is up."""

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from function.api.responses import JSON
from function.api.schemas import Health


def create_router(**options: Any) -> APIRouter:
    router = APIRouter(tags=["health"], **options)

    @router.get("/health", response_model=Health)
    async def health(request: Request) -> Response:
        """Answer as long as the model is loaded."""
        return JSON({"health": "ok"})

    return router
