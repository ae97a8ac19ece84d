"""The shapes of the native routes' bodies, for the OpenAPI document alone."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from function.classifier import Model
from function.classifier.facts import Feature
from function.classifier.inputs import LARGEST
from function.classifier.model import TEXT, WHOLE

MOST_ERRORS = 5


class Health(BaseModel):
    health: str


class ModelName(BaseModel):
    name: str
    version: str


class Discovery(BaseModel):
    """Where everything is, relative to where this stands; `api_key` is the header that wants one, if any does."""

    model: ModelName
    health: str
    metadata: str
    label: str
    predict: str
    predict_label: str
    predict_batch: str
    open_inference_protocol: str
    docs: str
    openapi: str
    api_key: str | None


class ModelFacts(BaseModel):
    name: str
    version: str
    sha256: str
    producer: str
    training: Mapping[str, Any] | None


class Limits(BaseModel):
    max_rows: int
    max_body_bytes: int
    max_answer_bytes: int


class TypedFeature(Feature):
    """What its input takes: float32, float64, int64, int32 or string."""

    type: str


class Metadata(BaseModel):
    model_config = ConfigDict(protected_namespaces=())

    data_type: str
    data_structure: str
    data_sample: list[list[float | str]]
    prediction_type: str
    prediction_structure: str
    prediction_sample: list[float]
    model: ModelFacts
    features: list[TypedFeature]
    labels: list[str]
    limits: Limits


class Prediction(BaseModel):
    prediction: list[float]


class PredictionLabel(BaseModel):
    prediction: str


class PredictionBatch(BaseModel):
    prediction: list[list[float]]
    label: list[str]


class ErrorDetail(BaseModel):
    loc: list[str | int]
    msg: str
    type: str


class Errors(BaseModel):
    detail: Annotated[list[ErrorDetail], Field(max_length=MOST_ERRORS)]


class ProtocolError(BaseModel):
    """An error of the Open Inference Protocol."""

    error: str


_ERROR_STATUSES = {
    400: "Not a request that the protocol or the model takes",
    401: "No key, or none that is accepted",
    404: "Another model, or another version of it",
    413: "More bytes or rows than `limits` in /metadata",
    422: "Not JSON, or not rows that the model takes",
    500: "Unexpected failure; the log has its traceback under the request id",
}


def declare(*statuses: int, model: type[BaseModel] = Errors) -> dict[int | str, dict[str, Any]]:
    """Declare error statuses for the OpenAPI document; Python's own phrases for them differ between versions."""
    return {status: {"model": model, "description": _ERROR_STATUSES[status]} for status in statuses}


def declare_body(model: Model, max_rows: int) -> dict[str, Any]:
    """Declare the body of a POST route, and what it is answered when that is wrong: the endpoints read it themselves."""
    content = {"application/json": {"schema": body_schema(model, max_rows)}}
    return {
        "openapi_extra": {"requestBody": {"required": True, "content": content}},
        "responses": declare(413, 422),
    }


def body_schema(model: Model, max_rows: int) -> dict[str, Any]:
    """Declare the body of a POST route for the OpenAPI document: width, names, types and sample of the loaded model."""
    names = [feature.name for feature in model.features]
    values = [_value_schema(type) for type in model.columns.types]
    items = {"prefixItems": values} if len(set(model.columns.types)) > 1 else {"items": values[0]}
    row = {"type": "array", **items, "minItems": len(names), "maxItems": len(names)}
    by_name = {
        "type": "object",
        "properties": dict(zip(names, values, strict=True)),
        "required": names,
        "additionalProperties": False,
    }
    rows = [{"type": "array", "items": items, "minItems": 1, "maxItems": max_rows} for items in (row, by_name)]
    return {
        "title": "Rows",
        "description": "Rows of features: each a list in the order of /metadata, or all of them objects by name.",
        "type": "object",
        "properties": {"data": {"anyOf": rows}},
        "required": ["data"],
        "additionalProperties": False,
        "example": {"data": [list(model.sample)]},
    }


def _value_schema(type: str) -> dict[str, Any]:
    if type == TEXT:
        return {"type": "string"}
    largest = LARGEST[type]
    return {"type": "integer" if type in WHOLE else "number", "minimum": -largest, "maximum": largest}
