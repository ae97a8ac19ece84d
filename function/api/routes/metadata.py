"""The loaded model's inputs and outputs."""

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from function.api.limits import Limits
from function.api.responses import JSON
from function.api.schemas import Metadata
from function.classifier import Model
from function.classifier.model import BOOL

HIDDEN = {"boolean", "missing", "missing_text", "edges", "counts"}  # of a feature's facts
OF_NUMBERS = {"min", "max", "median"}


def create_router(model: Model, limits: Limits, **options: Any) -> APIRouter:
    router = APIRouter(tags=["metadata"], **options)

    @router.get("/metadata", response_model=Metadata)
    async def metadata(request: Request) -> Response:
        """Describe the loaded model: input, output, features, labels, limits."""
        return JSON(describe(model, limits))

    @router.get("/label", response_model=dict[str, str])
    async def label(request: Request) -> Response:
        """Map each index of a prediction to its label."""
        return JSON({str(index): label for index, label in enumerate(model.labels)})

    return router


def describe(model: Model, limits: Limits) -> dict[str, Any]:
    """Describe the loaded model, in the shape of `Metadata`."""
    probabilities, types = model.sample_probabilities, model.columns.types
    features = zip(model.features, types, model.columns.fills, model.columns.booleans, strict=True)
    return {
        "data_type": ", ".join(dict.fromkeys(types)),
        "data_structure": f"(1,{len(types)})",
        "data_sample": [model.sample],
        "prediction_type": probabilities.dtype.name,
        "prediction_structure": f"(1,{len(probabilities)})",
        "prediction_sample": probabilities,
        "model": {
            "name": model.name,
            "version": model.version,
            "sha256": model.sha256,
            "producer": model.producer,
            "training": model.training,
            "certificate": None if model.certificate is None else model.certificate.model_dump(),
        },
        "features": [
            {"name": feature.name, "type": BOOL if is_boolean else type}
            | feature.model_dump(exclude_none=True, exclude=HIDDEN | (OF_NUMBERS if is_boolean else set()))
            | ({} if fill is None else {"missing": True})
            for feature, type, fill, is_boolean in features
        ],
        "labels": model.labels,
        "labels_from": model.labels_from,
        "label_rule": model.label_rule,
        "limits": limits._asdict(),
    }
