"""The Open Inference Protocol v2: requests → arrays, probabilities → answers, as JSON or as binary tensors.

https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/inference_rest.md, and Triton's
https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_binary_data.md and
https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_classification.md.
"""

import itertools
import struct
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.responses import Response

from function.classifier import Classifier, Probabilities
from function.columns import TEXT, Arrays, Input, cut
from function.errors import BodyError, FeaturesError, TooLargeError, UnknownModelError
from function.schemas import JSON, Limits, label_bytes

HEADER = "Inference-Header-Content-Length"
EXTENSIONS = ("binary_tensor_data", "classification")
DATATYPES = {"float32": "FP32", "float64": "FP64", "int64": "INT64", "int32": "INT32", TEXT: "BYTES"}
BINARY = {"FP32": "<f4", "FP64": "<f8", "INT64": "<i8", "INT32": "<i4"}  # row-major, little-endian


class _Part(BaseModel):
    # Other keys are looked for afterwards: forbidden, each would be an error of its own, 90,000 in 1 MB.
    model_config = ConfigDict(extra="allow", strict=True, protected_namespaces=())


class InputTensor(_Part):
    name: str
    shape: Annotated[list[int], Field(max_length=8)]
    datatype: str
    parameters: dict[str, Any] | None = None
    data: list[Any] | None = None


class OutputWish(_Part):
    name: str
    parameters: dict[str, Any] | None = None


class InferenceRequest(_Part):
    id: Annotated[str, Field(max_length=256)] | None = None
    model_name: str | None = None  # KServe's client says it twice; the path counts
    parameters: dict[str, Any] | None = None
    inputs: Annotated[list[InputTensor], Field(fail_fast=True)]
    outputs: Annotated[list[OutputWish], Field(fail_fast=True)] | None = None


class Output(NamedTuple):
    """One output as the caller wants it; `n_classes` of the classification extension, 0 without."""

    name: str
    is_binary: bool
    n_classes: int


class Request(NamedTuple):
    """A request that the model can run."""

    id: str | None
    arrays: Arrays
    outputs: list[Output]


def describe(classifier: Classifier) -> dict[str, Any]:
    """Describe the loaded model, in the shape of `ModelMetadata`; a free dimension is -1."""
    return {
        "name": classifier.name,
        "versions": [classifier.version],
        "platform": "onnx_onnxv1",
        "inputs": [_tensor(input.name, DATATYPES[input.type], -1, input.width) for input in classifier.columns.inputs],
        "outputs": _outputs(classifier),
    }


def check_model(classifier: Classifier, path: Mapping[str, str]) -> None:
    """Hold the model, and the version where there is one, that a path names against the loaded one.

    Raises:
        UnknownModelError: it names another.
    """
    if (path["model"], path.get("version", classifier.version)) != (classifier.name, classifier.version):
        message = f"no such model; here is {_quote(classifier.name)}, version {classifier.version}"
        raise UnknownModelError(message, type="unknown_model")


def parse(body: bytes, json_length: str | None, classifier: Classifier, limits: Limits) -> Request:
    """Read an inference request.

    Args:
        body: JSON, and behind it the tensors that are binary, in the order of the inputs.
        json_length: the header `Inference-Header-Content-Length`; None if all of the body is JSON.
        classifier: the loaded model.
        limits: on rows.

    Raises:
        BodyError: not such a request, or not for this model.
        FeaturesError: a value that the model can't take.
        TooLargeError: more rows than `limits` allow, or an answer that would be too large.
    """
    document, tensors = _split(body, json_length)
    try:
        request = InferenceRequest.model_validate_json(document)
    except ValidationError as error:
        raise _body_error(error) from None
    for part in (request, *request.inputs, *(request.outputs or ())):
        if part.model_extra:
            raise _fault(
                f"{type(part).__name__}: a key that the protocol doesn't have; what is one's own goes into parameters"
            )
    _check_names(request.inputs, [input.name for input in classifier.columns.inputs])
    parts = zip(request.inputs, _parts(request, tensors), strict=True)
    by_name = {tensor.name: (tensor, part) for tensor, part in parts}
    shapes = [_shape(by_name[input.name][0], input) for input in classifier.columns.inputs]
    n_rows = _n_rows(shapes, limits)
    outputs = _wishes(request, classifier, n_rows, limits)
    arrays = [_array(*by_name[input.name], input) for input in classifier.columns.inputs]
    return Request(request.id, classifier.columns.check(arrays), outputs)


def answer(request: Request, classifier: Classifier, probabilities: Probabilities) -> Response:
    """Write the outputs that the caller wants."""
    outputs, binary = [], b""
    for output in request.outputs:
        datatype, values = _values(output, classifier, probabilities)
        tensor: dict[str, Any] = _tensor(output.name, datatype, *values.shape)
        if output.is_binary:
            part = _pack(values) if datatype == "BYTES" else values.astype(BINARY[datatype], copy=False).tobytes()
            tensor["parameters"] = {"binary_data_size": len(part)}
            binary += part
        else:
            tensor["data"] = values.ravel() if datatype != "BYTES" else values.ravel().tolist()
        outputs.append(tensor)
    given = {} if request.id is None else {"id": request.id}
    head = {"model_name": classifier.name, "model_version": classifier.version} | given | {"outputs": outputs}
    response = JSON(head)
    if not any(output.is_binary for output in request.outputs):
        return response
    headers = {HEADER: str(len(response.body))}
    return Response(bytes(response.body) + binary, headers=headers, media_type="application/octet-stream")


def request_schema(classifier: Classifier) -> dict[str, Any]:
    """Declare an inference request for the OpenAPI document: inputs, datatypes and sample of the loaded model."""
    sample = iter(classifier.sample)
    inputs = [
        _tensor(input.name, DATATYPES[input.type], 1, input.width)
        | {"data": list(itertools.islice(sample, input.width))}
        for input in classifier.columns.inputs
    ]
    names, datatypes = ([tensor[key] for tensor in inputs] for key in ("name", "datatype"))
    tensor = _object(
        ("name", "shape", "datatype"),
        name={"enum": names},
        shape=_INTEGERS,
        datatype={"enum": sorted({"FP64", *datatypes})},
        parameters=_PARAMETERS,
        data={"type": ["array", "null"]},
    )
    wish = _object(("name",), name=_STRING, parameters=_PARAMETERS)
    request = _object(
        ("inputs",),
        id={"type": ["string", "null"], "maxLength": 256},
        model_name={"type": ["string", "null"]},
        parameters=_PARAMETERS,
        inputs={"type": "array", "items": _closed(tensor), "minItems": len(inputs), "maxItems": len(inputs)},
        outputs={"type": ["array", "null"], "items": _closed(wish)},
    )
    return _closed(request) | {"title": "InferenceRequest", "example": {"inputs": inputs}}


def response(name: str) -> dict[int | str, dict[str, Any]]:
    """Declare what a route answers for the OpenAPI document; models of pydantic would take a cold start 4 ms."""
    return {200: {"content": {"application/json": {"schema": {"title": name} | _RESPONSES[name]}}}}


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


def _tensor(name: str, datatype: str, *shape: int) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": shape}


def _outputs(classifier: Classifier) -> list[dict[str, Any]]:
    outputs = [_tensor(classifier.signature.output_name, "FP32", -1, len(classifier.labels))]
    if classifier.label_output is not None:
        outputs.append(_tensor(classifier.label_output, DATATYPES[classifier.signature.label_type], -1))
    return outputs


def _fault(message: str) -> BodyError:
    return BodyError(message, type="protocol")


def _split(body: bytes, json_length: str | None) -> tuple[bytes, memoryview]:
    if json_length is None:
        return body, memoryview(b"")
    if not (
        json_length.isascii() and json_length.isdecimal() and len(json_length) < 12 and int(json_length) <= len(body)
    ):
        raise _fault(f"{HEADER}: expected the length of the JSON in bytes, at most the body's {len(body)}")
    return body[: int(json_length)], memoryview(body)[int(json_length) :]


def _body_error(error: ValidationError) -> BodyError:
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    match first["type"]:
        case "json_invalid":
            return _fault(f"the body isn't valid JSON: {first['msg'].removeprefix('Invalid JSON: ')}")
        case "missing":
            return _fault(f"{place}: it is missing")
        case _:
            return _fault(f"{place or 'the request'}: {first['msg'][0].lower()}{first['msg'][1:]}")


def _parts(request: InferenceRequest, tensors: memoryview) -> Iterator[memoryview | None]:
    """Cut the binary tensors apart, None for an input in JSON."""
    position = 0
    for index, tensor in enumerate(request.inputs):
        size = (tensor.parameters or {}).get("binary_data_size")
        if (size is None) is (tensor.data is None):
            raise _fault(f"inputs.{index}: expected either data or parameters.binary_data_size")
        if size is None:
            yield None
            continue
        if type(size) is not int or not 0 <= size <= len(tensors) - position:
            left = len(tensors) - position
            raise _fault(f"inputs.{index}: expected a binary_data_size of at most the {left} bytes behind the JSON")
        yield tensors[position : position + size]
        position += size
    if position < len(tensors):
        raise _fault(f"expected binary_data_size to add up to the {len(tensors)} bytes behind the JSON, got {position}")


def _check_names(tensors: Sequence[InputTensor], known: Sequence[str]) -> None:
    counts = Counter(tensor.name for tensor in tensors)
    takes = f"the model takes {cut(', '.join(map(_quote, known)), 400)}"
    if n_others := len(tensors) - sum(counts[name] for name in known):
        raise _fault(f"inputs: {n_others} of {len(tensors)} have a name that isn't an input's; {takes}")
    for name in known:
        if counts[name] != 1:
            raise _fault(f"inputs: expected {_quote(name)} once, got it {counts[name]} times; {takes}")


def _quote(name: str) -> str:
    return f'"{cut(name, 100)}"'


def _shape(tensor: InputTensor, input: Input) -> list[int]:
    """Check datatype and shape."""
    wanted = DATATYPES[input.type]
    # FP64 is coerced, as JSON's own numbers are.
    if tensor.datatype != wanted and (tensor.datatype, wanted) != ("FP64", "FP32"):
        raise _fault(f"input {_quote(input.name)}: expected the datatype {wanted}, got another")
    if len(tensor.shape) != 2 or tensor.shape[1] != input.width or tensor.shape[0] < 0:
        raise _fault(f"input {_quote(input.name)}: expected a shape of [rows, {input.width}], got another")
    return tensor.shape


def _n_rows(shapes: Sequence[Sequence[int]], limits: Limits) -> int:
    n_rows = shapes[0][0]
    if any(shape[0] != n_rows for shape in shapes):
        raise _fault("expected the same number of rows in every input")
    if n_rows == 0:
        raise FeaturesError("expected at least 1 row, got none", type="no_rows")
    if n_rows > limits.max_rows:
        message = f"expected at most {limits.max_rows} rows, got more; send them in several requests"
        raise TooLargeError(message, type="too_many_rows")
    return n_rows


def _array(tensor: InputTensor, part: memoryview | None, input: Input) -> NDArray[Any]:
    """Read the values, as JSON or binary; numbers as float64 or as they came, their range is the classifier's to judge."""
    where, size = f"input {_quote(input.name)}", tensor.shape[0] * tensor.shape[1]
    if part is None:
        values = _flatten(tensor, where)
        kinds: tuple[type, ...] = (str,) if input.type == TEXT else (int, float)
        wrong = next((index for index, value in enumerate(values) if type(value) not in kinds), None)
        if wrong is not None:
            expected = "a string" if input.type == TEXT else "a number"
            raise _fault(f"{where}: expected {expected} at {divmod(wrong, input.width)}, got another type")
        try:
            flat = np.array(values, dtype=object if input.type == TEXT else np.float64)
        except OverflowError:
            raise _fault(f"{where}: expected numbers in the range of FP64, got one beyond it") from None
    elif input.type == TEXT:
        flat = np.array(list(_unpack(part, where)), dtype=object)
    else:
        dtype = np.dtype(BINARY[tensor.datatype])
        if len(part) != size * dtype.itemsize:
            expected = f"{size * dtype.itemsize} bytes for shape {tensor.shape} of {tensor.datatype}"
            raise _fault(f"{where}: expected {expected}, got {len(part)}")
        flat = np.frombuffer(part, dtype).astype(dtype.newbyteorder("="))  # a copy: the bytes needn't be aligned
    if len(flat) != size:
        raise _fault(f"{where}: expected {size} values for shape {tensor.shape}, got {len(flat)}")
    return flat.reshape(tensor.shape)


def _flatten(tensor: InputTensor, where: str) -> list[Any]:
    data = tensor.data or []
    if not any(isinstance(row, list) for row in data):
        return data
    rows, width = tensor.shape
    if len(data) != rows or not all(isinstance(row, list) and len(row) == width for row in data):
        raise _fault(f"{where}: expected data of {rows} rows of {width}, or flat, got other lists")
    return list(itertools.chain.from_iterable(data))


def _unpack(part: memoryview, where: str) -> Iterator[str]:
    """Read texts, each a 4-byte length and its bytes."""
    position = 0
    while position < len(part):
        start = position + 4
        position = start + int.from_bytes(part[position:start], "little")
        if position > len(part):
            raise _fault(f"{where}: expected each text as a 4-byte length and its bytes, got fewer bytes")
        try:
            yield str(part[start:position], "utf-8")
        except UnicodeDecodeError:
            raise _fault(f"{where}: expected texts in UTF-8, got other bytes") from None


def _pack(values: NDArray[Any]) -> bytes:
    texts = [text.encode() for text in values.ravel()]
    return b"".join(struct.pack("<I", len(text)) + text for text in texts)


def _wishes(request: InferenceRequest, classifier: Classifier, n_rows: int, limits: Limits) -> list[Output]:
    known = [output["name"] for output in _outputs(classifier)]
    wishes = request.outputs or [OutputWish(name=name) for name in known]
    names = [wish.name for wish in wishes]
    if len(set(names)) < len(names) or not set(names) <= set(known):
        raise _fault(f"outputs: expected each at most once of {', '.join(map(_quote, known))}; got others")
    is_binary = _flag(request.parameters, "binary_data_output", default=False)
    outputs = []
    for wish in wishes:
        parameters = wish.parameters or {}
        if "shared_memory_region" in parameters:
            raise _fault("outputs: shared memory isn't served; the answer holds its tensors")
        n_classes = (
            _n_classes(parameters["classification"], wish.name, classifier, n_rows, limits)
            if "classification" in parameters
            else 0
        )
        outputs.append(Output(wish.name, _flag(wish.parameters, "binary_data", default=is_binary), n_classes))
    return outputs


def _n_classes(wanted: object, name: str, classifier: Classifier, n_rows: int, limits: Limits) -> int:
    if name != classifier.signature.output_name:
        raise _fault(f"outputs: classification is for {_quote(classifier.signature.output_name)} alone")
    if type(wanted) is not int or wanted < 1:
        raise _fault("outputs: expected classification to be a number of classes, 1 or more")
    n_classes = min(wanted, len(classifier.labels))  # as Triton has it
    # A probability, its index and the length of it all take at most 30 bytes; base64 makes 4 of 3.
    if n_rows * n_classes * (label_bytes(classifier) + 30) * 4 // 3 > limits.max_answer_bytes:
        message = (
            f"expected an answer of at most {limits.max_answer_bytes} bytes; send fewer rows or ask for fewer classes"
        )
        raise TooLargeError(message, type="answer_too_large")
    return n_classes


def _flag(parameters: Mapping[str, Any] | None, name: str, *, default: bool) -> bool:
    value = (parameters or {}).get(name, default)
    if not isinstance(value, bool):
        raise _fault(f"parameters.{name}: expected true or false")
    return value


def _values(output: Output, classifier: Classifier, probabilities: Probabilities) -> tuple[str, NDArray[Any]]:
    if output.name == classifier.label_output:
        datatype = DATATYPES[classifier.signature.label_type]
        class_ids = np.array(classifier.class_ids, dtype=object if datatype == "BYTES" else np.int64)
        return datatype, class_ids[probabilities.argmax(axis=1)]
    if not output.n_classes:
        return "FP32", probabilities
    order = np.argsort(-probabilities, axis=1, kind="stable")[:, : output.n_classes]
    ranked = [
        [f"{row[index]!s}:{index}:{classifier.labels[index]}" for index in indexes]  # str: the shortest digits
        for row, indexes in zip(probabilities, order, strict=True)
    ]
    return "BYTES", np.array(ranked, dtype=object)
