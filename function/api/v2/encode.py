"""Probabilities → the requested tensors, as JSON or binary; and the loaded model as the protocol describes it."""

import struct
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from starlette.responses import Response

from function.api.responses import JSON, Body, to_json
from function.classifier import Classifier, Model, Prediction
from function.classifier.model import BOOL, FLOATS, TEXT, WHOLE
from function.classifier.predictor import find_classes

HEADER = "Inference-Header-Content-Length"
DATATYPES = {
    **{type: type.replace("float", "fp").upper() for type in (*FLOATS, *WHOLE)},
    BOOL: "BOOL",
    TEXT: "BYTES",
}
WIDER = {"FP32": ("FP64",), "FP16": ("FP32", "FP64")}  # datatypes that are accepted too
BINARY = {DATATYPES[type]: np.dtype(type).newbyteorder("<") for type in (*FLOATS, *WHOLE, BOOL)}  # row-major


class Output(NamedTuple):
    """One requested output; `n_classes` is for the classification extension, 0 without it."""

    name: str
    is_binary: bool
    n_classes: int


def tensor(name: str, datatype: str, *shape: int) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": shape}


def describe(model: Model) -> dict[str, Any]:
    """Describe the loaded model, in the shape of `ModelMetadata`; a free dimension is -1."""
    signature = model.signature
    return {
        "name": model.name,
        "versions": [model.version],
        "platform": "onnx_onnxv1",
        "inputs": [
            tensor(input.name, DATATYPES[input.type], *([-1] if input.is_flat else [-1, input.width]))
            for input in model.columns.inputs
        ],
        "outputs": [
            tensor(signature.output_name, "FP32", -1, len(model.labels)),
            *([tensor(signature.label_name, DATATYPES[signature.label_type], -1)] if signature.label_name else []),
        ],
    }


def encode(
    outputs: Sequence[Output], classifier: Classifier, prediction: Prediction, request_id: str | None
) -> Response:
    """Write the requested outputs, with the request's id."""
    described, binary = [], b""
    for output in outputs:
        datatype, shape, values = _values(output, classifier, prediction)
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


def _values(output: Output, classifier: Classifier, prediction: Prediction) -> tuple[str, Sequence[int], Any]:
    """Return an output's datatype, its shape, and its values row by row."""
    model, probabilities = classifier.model, prediction.probabilities
    if output.name == model.signature.label_name:
        datatype, values = DATATYPES[model.signature.label_type], classifier.class_values[find_classes(prediction)]
        return datatype, (len(probabilities),), values.tolist() if datatype == "BYTES" else values
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
