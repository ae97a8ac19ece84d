"""JSON bodies: the only place that knows the names on the wire."""

import gc
import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import numpy as np
import orjson
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, FailFast, Field, ValidationError
from starlette.responses import Response

from function.artifact import Feature
from function.classifier import Classifier
from function.columns import LARGEST, TEXT, WHOLE, Rows
from function.errors import ArtifactError, BodyError, FeaturesError, RequestError
from function.settings import LAMBDA_ANSWER_BYTES

MOST_ERRORS = 5


class JSON(Response):
    """A body of plain values and float32 arrays; a float32 gets the shortest digits that give it back."""

    media_type = "application/json"

    def render(self, content: object) -> bytes:
        return orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY)


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


class Body(BaseModel):
    """The body of every native POST route, with its rows as lists: `{"data": [[5.1, 3.5, 1.4, 0.2]]}`.

    Other keys are looked for afterwards: forbidden, each would be an error of its own, 166,000 in 1 MB.
    """

    model_config = ConfigDict(extra="allow", strict=True)

    # FailFast: without it 1 MB of `{},{},…` makes 333,334 errors.
    data: Annotated[list[Annotated[list[float], FailFast()]], FailFast()]


class MixedBody(BaseModel):
    """The same of a model that takes texts too."""

    model_config = ConfigDict(extra="allow", strict=True)

    data: Annotated[
        list[Annotated[list[Annotated[float | str, Field(union_mode="left_to_right")]], FailFast()]], FailFast()
    ]


Row = list[float] | list[float | str]


def body_schema(classifier: Classifier, max_rows: int) -> dict[str, Any]:
    """Declare the body of a POST route for the OpenAPI document: width, names, types and sample of the loaded model."""
    names = [feature.name for feature in classifier.features]
    values = [_value_schema(type) for type in classifier.columns.types]
    items = {"prefixItems": values} if len(set(classifier.columns.types)) > 1 else {"items": values[0]}
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
        "example": {"data": [list(classifier.sample)]},
    }


def _value_schema(type: str) -> dict[str, Any]:
    if type == TEXT:
        return {"type": "string"}
    largest = LARGEST[type]
    return {"type": "integer" if type in WHOLE else "number", "minimum": -largest, "maximum": largest}


_JSON_TYPES = {str: "a string", bool: "a boolean", dict: "an object", list: "a list", type(None): "null"}


def parse_rows(body: bytes, classifier: Classifier) -> Rows:
    """Read the rows out of a request's body; what each column takes is the classifier's to judge.

    Raises:
        BodyError: not JSON, or not of the shape `Body`, or `MixedBody` where the model takes texts.
    """
    if classifier.columns.is_matrix and (matrix := _matrix(body)) is not None:
        return matrix
    try:
        document = (MixedBody if classifier.columns.has_texts else Body).model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        if first["loc"] == ("data", 0) and isinstance(first["input"], dict):
            return _rows_of_objects(body, classifier)
        raise _body_error(error, classifier) from None
    if document.model_extra:
        raise _extra_keys()
    return document.data


def _matrix(body: bytes) -> NDArray[np.float64] | None:
    """Read lists of numbers at once, in half of the time; whatever else there is, pydantic says what and where."""
    # NumPy would take texts, booleans and nulls for numbers.
    if body.count(b'"') != 2 or b"true" in body or b"false" in body or b"null" in body:
        return None
    gc.disable()  # else it looks through the new lists again and again, a tenth of the time of a request
    try:
        matrix = np.array(orjson.loads(body)["data"], dtype=np.float64)
    except (ValueError, TypeError, KeyError, IndexError, OverflowError):
        return None
    finally:
        gc.enable()
    return matrix if matrix.ndim == 2 else None


def _rows_of_objects(body: bytes, classifier: Classifier) -> list[Row]:
    """Read rows that come as objects, feature name -> value, into the order of the features."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:  # pydantic takes NaN, which is no JSON
        raise BodyError(f"the body isn't valid JSON: {error.msg}", type="json_invalid") from None
    if len(document) > 1:
        raise _extra_keys()
    names = [feature.name for feature in classifier.features]
    rows = document["data"]
    for index, row in enumerate(rows):
        _check_object(index, row, names, classifier)
    return [[row[name] for name in names] for row in rows]


def _check_object(index: int, row: object, names: Sequence[str], classifier: Classifier) -> None:
    takes, where = f"the model takes {classifier.columns.wanted}", ("data", index)
    if not isinstance(row, dict):
        message = f"row {index}: expected an object of features, as row 0 is, got {_name_type(row)}; {takes}"
        raise BodyError(message, type="dict_type", where=where)
    for column, name in enumerate(names):
        if name not in row:
            message = f"{classifier.columns.locate(index, column)}: it is missing; {takes}"
            raise BodyError(message, type="missing", where=(*where, column))
        is_text = classifier.columns.types[column] == TEXT
        if type(row[name]) not in ((str,) if is_text else (int, float)):
            expected = "a string" if is_text else "a number"
            message = f"{classifier.columns.locate(index, column)}: expected {expected}, got {_name_type(row[name])}"
            raise BodyError(message, type="string_type" if is_text else "float_type", where=(*where, column))
    if len(row) > len(names):
        unknown = json.dumps(next(name for name in row if name not in names)[:100])
        message = f"row {index}: {unknown} is no feature; {takes}"
        raise BodyError(message, type="extra_forbidden", where=where)


def _extra_keys() -> BodyError:
    message = 'expected an object with the key "data" alone, got others'  # they are the caller's text: not repeated
    return BodyError(message, type="extra_forbidden")


def _name_type(value: object) -> str:
    return _JSON_TYPES.get(type(value), "a number")


def _body_error(error: ValidationError, classifier: Classifier) -> BodyError:
    first = error.errors(include_url=False, include_context=False)[0]
    kind, where = first["type"], first["loc"]
    got = _name_type(first["input"])
    takes = f"the model takes {classifier.columns.wanted}"
    a_list = "a list of numbers and strings" if classifier.columns.has_texts else "a list of numbers"
    match kind, where:
        case "json_invalid", _:
            return BodyError(f"the body isn't valid JSON: {first['msg'].removeprefix('Invalid JSON: ')}", type=kind)
        case "missing", _:
            return BodyError(f'"data" is missing: expected a list of rows; {takes}', type=kind, where=where)
        case _, ("data", int(row), int(column), *_):
            where = where[:3]  # a column of texts or numbers adds which of the two was tried
            is_text = column < len(classifier.features) and classifier.columns.types[column] == TEXT
            kind, expected = ("string_type", "a string") if is_text else ("float_type", "a number")
            message = f"{classifier.columns.locate(row, column)}: expected {expected}, got {got}"
        case _, ("data", 0) if got == "a number":
            message = f'row 0: expected {a_list}, got a number; write one row as {{"data": [[…]]}}; {takes}'
        case _, ("data", int(row)):
            message = f"row {row}: expected {a_list}, got {got}; {takes}"
        case _, ("data",):
            message = f'"data": expected a list of rows, got {got}; {takes}'
        case _:
            message = f'expected an object {{"data": [[…]]}}, got {got}'
    return BodyError(message, type=kind, where=where)


def error(
    path: str,
    status: int,
    message: str,
    *,
    type: str,
    loc: Sequence[str | int] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Answer an error in the one shape that they all have, or under /v2 in that of the Open Inference Protocol."""
    if path == "/v2" or path.startswith("/v2/"):
        return JSON({"error": message}, 400 if status == 422 else status, headers=headers)
    return JSON({"detail": [{"loc": loc, "msg": message, "type": type}]}, status, headers=headers)


def request_error(path: str, status: int, error_: RequestError) -> Response:
    """Answer a request's error, and say where in the body it stands in the names on the wire."""
    place = ("data", *error_.where) if isinstance(error_, FeaturesError) else error_.where
    return error(path, status, error_.message, type=error_.type, loc=("body", *place))


def label_bytes(classifier: Classifier) -> int:
    """Measure the longest label in Lambda's own JSON, where it is escaped twice, or class id in a base64 tensor."""
    escaped = [len(json.dumps(json.dumps(label))) for label in classifier.labels]
    return max(*escaped, *((len(class_id.encode()) + 4) * 4 // 3 for class_id in classifier.class_ids or ()))


def limits(
    classifier: Classifier, *, max_rows: int, max_body_bytes: int, max_answer_bytes: int = LAMBDA_ANSWER_BYTES
) -> Limits:
    """Lower `max_rows` to what one answer can hold with this model's classes and labels.

    Raises:
        ArtifactError: it can't hold a single row.
    """
    # A probability takes at most 15 characters and a comma ("0.0000016966386,").
    row_bytes = 16 * len(classifier.labels) + len("[],") + label_bytes(classifier)
    if row_bytes > max_answer_bytes:
        message = f"{classifier.name}: expected rows that take at most {max_answer_bytes} bytes of an answer"
        raise ArtifactError(f"{message}, got {row_bytes}; give the {len(classifier.labels)} classes shorter labels")
    max_rows = min(max_rows, max_answer_bytes // row_bytes)
    return Limits(max_rows=max_rows, max_body_bytes=max_body_bytes, max_answer_bytes=max_answer_bytes)


def metadata(classifier: Classifier, limits: Limits) -> dict[str, Any]:
    """Describe the loaded model, in the shape of `Metadata`."""
    probabilities, columns = (
        classifier.sample_probabilities,
        zip(classifier.features, classifier.columns.types, strict=True),
    )
    return {
        "data_type": ", ".join(dict.fromkeys(classifier.columns.types)),
        "data_structure": f"(1,{len(classifier.features)})",
        "data_sample": [classifier.sample],
        "prediction_type": probabilities.dtype.name,
        "prediction_structure": f"(1,{len(probabilities)})",
        "prediction_sample": probabilities,
        "model": {
            "name": classifier.name,
            "version": classifier.version,
            "sha256": classifier.sha256,
            "producer": classifier.producer,
            "training": classifier.training,
        },
        "features": [
            {"name": feature.name, "type": type} | feature.model_dump(exclude_none=True) for feature, type in columns
        ],
        "labels": classifier.labels,
        "limits": limits.model_dump(),
    }


def discovery(classifier: Classifier, *, wants_key: bool) -> dict[str, Any]:
    """Say where everything is, in the shape of `Discovery`: a stage or a proxy may put a prefix before it."""
    return {
        "model": {"name": classifier.name, "version": classifier.version},
        "health": "./health",
        "metadata": "./metadata",
        "label": "./label",
        "predict": "./predict",
        "predict_label": "./predict/label",
        "predict_batch": "./predict/batch",
        "open_inference_protocol": "./v2",
        "docs": "./docs",
        "openapi": "./openapi.json",
        "api_key": "X-API-Key" if wants_key else None,
    }
