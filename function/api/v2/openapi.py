"""The protocol's requests and responses for the OpenAPI document; pydantic models would add 4 ms to a cold start."""

import itertools
from collections.abc import Sequence
from typing import Any

from function.api.v2.encode import DATATYPES, WIDER, tensor
from function.classifier import Model
from function.classifier.model import BOOL, Value

_BINARY: dict[str, Any] = {"application/octet-stream": {}}


def request_schema(model: Model) -> dict[str, Any]:
    """Declare an inference request for the OpenAPI document: inputs, datatypes and sample of the loaded model."""
    sample = iter(model.sample)
    inputs = [
        tensor(input.name, DATATYPES[input.type], *([1] if input.is_flat else [1, input.width]))
        | {"data": [_to_datatype(value, input.type) for value in itertools.islice(sample, input.width)]}
        for input in model.columns.inputs
    ]
    names, datatypes = ([described[key] for described in inputs] for key in ("name", "datatype"))
    of_input = _object(
        ("name", "shape", "datatype"),
        name={"enum": names},
        shape=_INTEGERS,
        datatype={"enum": sorted({*datatypes, *(wider for name in datatypes for wider in WIDER.get(name, ()))})},
        parameters=_PARAMETERS,
        data={"type": ["array", "null"]},
    )
    of_output = _object(("name",), name=_STRING, parameters=_PARAMETERS)
    request = _object(
        ("inputs",),
        id={"type": ["string", "null"], "maxLength": 256},
        model_name={"type": ["string", "null"]},
        parameters=_PARAMETERS,
        inputs={"type": "array", "items": _closed(of_input), "minItems": len(inputs), "maxItems": len(inputs)},
        outputs={"type": ["array", "null"], "items": _closed(of_output)},
    )
    return _closed(request) | {"title": "InferenceRequest", "example": {"inputs": inputs}}


def _to_datatype(value: Value, type: str) -> Value:
    return float(value) if isinstance(value, bool) and type != BOOL else value


def request_body(model: Model) -> dict[str, Any]:
    """Declare the body of an inference request, as JSON or with binary tensors after it."""
    return {"required": True, "content": {"application/json": {"schema": request_schema(model)}} | _BINARY}


def response(name: str, *statuses: int) -> dict[int | str, dict[str, Any]]:
    """Declare a route's response for the OpenAPI document."""
    content: dict[str, Any] = {"application/json": {"schema": {"title": name} | _RESPONSES[name]}}
    content |= _BINARY if name == "InferenceResponse" else {}
    return {status: {"content": content} for status in statuses or (200,)}


def _object(required: Sequence[str] | None = None, /, **properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties if required is None else required)}


def _closed(schema: dict[str, Any]) -> dict[str, Any]:
    return schema | {"additionalProperties": False}


_STRING, _BOOLEAN, _PARAMETERS = {"type": "string"}, {"type": "boolean"}, {"type": ["object", "null"]}
_STRINGS, _INTEGERS = ({"type": "array", "items": items} for items in (_STRING, {"type": "integer"}))
_DESCRIBED = {"type": "array", "items": _object(name=_STRING, datatype=_STRING, shape=_INTEGERS)}
_ANSWERED = _object(
    ("name", "datatype", "shape"),
    name=_STRING,
    datatype=_STRING,
    shape=_INTEGERS,
    parameters=_object(binary_data_size={"type": "integer"}),
    data={"type": "array"},
)
_RESPONSES = {
    "Live": _object(live=_BOOLEAN),
    "Ready": _object(live=_BOOLEAN, ready=_BOOLEAN),
    "ModelReady": _object(name=_STRING, ready=_BOOLEAN),
    "ServerMetadata": _object(name=_STRING, version=_STRING, extensions=_STRINGS),
    "ModelMetadata": _object(name=_STRING, versions=_STRINGS, platform=_STRING, inputs=_DESCRIBED, outputs=_DESCRIBED),
    "InferenceResponse": _object(
        ("model_name", "model_version", "outputs"),
        model_name=_STRING,
        model_version=_STRING,
        id=_STRING,
        outputs={"type": "array", "items": _ANSWERED},
    ),
}
