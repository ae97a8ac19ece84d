"""The shapes of the native routes' bodies, only for the OpenAPI document."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from function.api.responses import MOST_ERRORS
from function.classifier import Model
from function.classifier.facts import Certificate
from function.classifier.inputs import RANGES
from function.classifier.model import BOOL, TEXT, WHOLE


class Health(BaseModel):
    health: str


class ModelName(BaseModel):
    name: str
    version: str


class Discovery(BaseModel):
    """Where everything is, relative to this route; `api_key` is the header for the key, null if none is required."""

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
    certificate: Certificate | None


class Limits(BaseModel):
    max_rows: int
    max_body_bytes: int
    max_answer_bytes: int


class TypedFeature(BaseModel):
    """One column: its type (NumPy's name of a number's type, bool or string), and whether it accepts null.

    A column of numbers that was trained on booleans is bool too. The rest describes the training data, if the artifact
    carries it.
    """

    name: str
    type: str
    min: float | None = None
    max: float | None = None
    values: list[str] | None = None
    median: float | None = None
    commonest: bool | str | None = None
    missing: bool = False


class Metadata(BaseModel):
    model_config = ConfigDict(protected_namespaces=())

    data_type: str
    data_structure: str
    data_sample: list[list[bool | float | str | None]]
    prediction_type: str
    prediction_structure: str
    prediction_sample: list[float]
    model: ModelFacts
    features: list[TypedFeature]
    labels: list[str]
    labels_from: Annotated[
        str, Field(description="where the labels come from: a label file, its facts, its class ids or their positions")
    ]
    label_rule: Annotated[
        str, Field(description="MODEL: the model's own label; HIGHEST: the class with the highest probability")
    ]
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
    401: "No key, or one that isn't accepted",
    404: "Nothing of this name, such as another model or version",
    413: "More bytes or rows than `limits` in /metadata",
    415: "A body with a Content-Encoding, such as a compressed one",
    422: "Wrong input, such as no JSON, or rows that the model doesn't take",
    500: "Unexpected failure; the log has its traceback under the request id",
}


def declare(*statuses: int, model: type[BaseModel] = Errors) -> dict[int | str, dict[str, Any]]:
    """Declare error statuses for the OpenAPI document; Python's own phrases differ between versions."""
    return {
        status: {"model": model, "description": _ERROR_STATUSES.get(status) or _name(status)} for status in statuses
    }


def _name(status: int) -> str:
    return HTTPStatus(status).name.replace("_", " ").capitalize()


def declare_body(model: Model, max_rows: int) -> dict[str, Any]:
    """Declare the body of a POST route and the errors for a wrong one; the endpoints read it themselves."""
    content = {"application/json": {"schema": body_schema(model, max_rows)}}
    return {
        "openapi_extra": {"requestBody": {"required": True, "content": content}},
        "responses": declare(413, 415, 422),
    }


def body_schema(model: Model, max_rows: int) -> dict[str, Any]:
    """Declare the body of a POST route for the OpenAPI document: width, names, types and sample of the loaded model."""
    names = [feature.name for feature in model.features]
    columns = zip(model.columns.types, model.columns.fills, model.columns.booleans, strict=True)
    kinds = [(type, fill is not None, takes_booleans) for type, fill, takes_booleans in columns]
    values = [
        _value_schema(type, takes_null=takes_null, takes_booleans=takes_booleans)
        for type, takes_null, takes_booleans in kinds
    ]
    items = {"prefixItems": values} if len(set(kinds)) > 1 else {"items": values[0]}
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
        "description": "Rows of features: all lists in the order of /metadata, or all objects by name.",
        "type": "object",
        "properties": {"data": {"anyOf": rows}},
        "required": ["data"],
        "additionalProperties": False,
        "example": {"data": [list(model.sample)]},
    }


def _value_schema(type: str, *, takes_null: bool, takes_booleans: bool) -> dict[str, Any]:
    names = {TEXT: "string", BOOL: "boolean"}
    name = names.get(type, "integer" if type in WHOLE else "number")
    found = [name, *(["boolean"] if takes_booleans else []), *(["null"] if takes_null else [])]
    schema: dict[str, Any] = {"type": found if len(found) > 1 else name}
    if type not in names:
        schema["minimum"], schema["maximum"] = RANGES[type]
    return schema
