"""Probabilities → the tensors that the caller asked for, as JSON or binary; and the loaded model in the protocol's words."""

import struct
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from starlette.responses import Response

from function.api.responses import JSON, Body, to_json
from function.classifier import Classifier, Model
from function.classifier.model import TEXT, Probabilities
from function.classifier.predictor import pick

HEADER = "Inference-Header-Content-Length"
DATATYPES = {"float32": "FP32", "float64": "FP64", "int64": "INT64", "int32": "INT32", TEXT: "BYTES"}
BINARY = {"FP32": "<f4", "FP64": "<f8", "INT64": "<i8", "INT32": "<i4"}  # row-major, little-endian


class Output(NamedTuple):
    """One output as the caller wants it; `n_classes` of the classification extension, 0 without."""

    name: str
    is_binary: bool
    n_classes: int


def tensor(name: str, datatype: str, *shape: int) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": shape}


def describe(model: Model) -> dict[str, Any]:
    """Describe the loaded model, in the shape of `ModelMetadata`; a free dimension is -1."""
    return {
        "name": model.name,
        "versions": [model.version],
        "platform": "onnx_onnxv1",
        "inputs": [tensor(input.name, DATATYPES[input.type], -1, input.width) for input in model.columns.inputs],
        "outputs": [
            tensor(model.signature.output_name, "FP32", -1, len(model.labels)),
            *([tensor(model.label_output, DATATYPES[model.signature.label_type], -1)] if model.label_output else []),
        ],
    }


def encode(
    outputs: Sequence[Output], classifier: Classifier, probabilities: Probabilities, request_id: str | None
) -> Response:
    """Write the outputs that the caller wants, with the id that the request had."""
    described, binary = [], b""
    for output in outputs:
        datatype, shape, values = _values(output, classifier, probabilities)
        found = tensor(output.name, datatype, *shape)
        if output.is_binary:
            part = _pack(values) if datatype == "BYTES" else np.asarray(values, BINARY[datatype]).tobytes()
            found["parameters"] = {"binary_data_size": len(part)}
            binary += part
        else:
            found["data"] = values
        described.append(found)
    head: dict[str, Any] = {"model_name": classifier.model.name, "model_version": classifier.model.version}
    if request_id is not None:
        head["id"] = request_id
    head["outputs"] = described
    if not any(output.is_binary for output in outputs):
        return JSON(head)
    document = to_json(head)
    return Body(document + binary, "application/octet-stream", headers={HEADER: str(len(document))})


def _values(output: Output, classifier: Classifier, probabilities: Probabilities) -> tuple[str, Sequence[int], Any]:
    """Give an output's datatype, its shape, and its values row by row."""
    model = classifier.model
    if output.name == model.label_output:
        datatype, class_ids = DATATYPES[model.signature.label_type], model.class_ids or ()
        if datatype == "BYTES":
            return datatype, (len(probabilities),), pick(class_ids, probabilities)
        return datatype, (len(probabilities),), np.array(class_ids, np.int64)[probabilities.argmax(axis=1)]
    if not output.n_classes:
        return "FP32", probabilities.shape, probabilities.ravel()
    order = np.argsort(-probabilities, axis=1, kind="stable")[:, : output.n_classes]
    ranked = [
        f"{row[index]!s}:{index}:{model.labels[index]}"  # str: the shortest digits
        for row, indexes in zip(probabilities, order, strict=True)
        for index in indexes
    ]
    return "BYTES", order.shape, ranked


def _pack(texts: Sequence[str]) -> bytes:
    encoded = [text.encode() for text in texts]
    return b"".join(struct.pack("<I", len(text)) + text for text in encoded)
