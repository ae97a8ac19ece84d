"""What the loaded model takes and gives."""

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from function import schemas
from function.classifier import Classifier
from function.schemas import JSON, Limits, Metadata


def create_router(classifier: Classifier, limits: Limits, **options: Any) -> APIRouter:
    router = APIRouter(tags=["metadata"], **options)

    @router.get("/metadata", response_model=Metadata)
    async def metadata(request: Request) -> Response:
        """Describe the loaded model: input, output, features, labels, limits."""
        return JSON(schemas.metadata(classifier, limits))

    @router.get("/label", response_model=dict[str, str])
    async def label(request: Request) -> Response:
        """Map each index of a prediction to its label."""
        return JSON({str(index): label for index, label in enumerate(classifier.labels)})

    return router
