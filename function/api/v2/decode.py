"""An inference request → arrays, from JSON or from binary tensors after it; the classifier checks the values."""

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, NamedTuple

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from function.api.limits import Limits, check_n_rows, label_bytes
from function.api.v2.encode import BINARY, DATATYPES, HEADER, WIDER, Output
from function.classifier import Model
from function.classifier.inputs import Arrays, Values, to_array
from function.classifier.model import BOOL, TEXT, Input, cut
from function.errors import BodyError, FeaturesError, TooLargeError, UnknownModelError


class _Part(BaseModel):
    # Other keys are checked later: pydantic would report each one as an error, 90,000 in 1 MB.
    model_config = ConfigDict(extra="allow", strict=True, protected_namespaces=())


class InputTensor(_Part):
    name: str
    shape: Annotated[list[int], Field(max_length=8)]
    datatype: str
    parameters: dict[str, Any] | None = None
    data: list[Any] | None = None


class RequestedOutput(_Part):
    name: str
    parameters: dict[str, Any] | None = None


class InferenceRequest(_Part):
    id: Annotated[str, Field(max_length=256)] | None = None
    model_name: str | None = None  # KServe's client sends it here too; the path counts
    parameters: dict[str, Any] | None = None
    inputs: Annotated[list[InputTensor], Field(fail_fast=True)]
    outputs: Annotated[list[RequestedOutput], Field(fail_fast=True)] | None = None


class Decoded(NamedTuple):
    """A request that the model can run."""

    id: str | None
    arrays: Arrays
    outputs: list[Output]


def check_model(model: Model, path: Mapping[str, str]) -> None:
    """Check that a path names the loaded model and, if it names a version, the loaded version.

    Raises:
        UnknownModelError: it names another.
    """
    if (path["model"], path.get("version", model.version)) != (model.name, model.version):
        message = f"expected the model {_quote(model.name)}, version {model.version}, got another"
        raise UnknownModelError(message, type="unknown_model")


def decode(body: bytes | bytearray, json_length: str | None, model: Model, limits: Limits) -> Decoded:
    """Read an inference request.

    Args:
        body: JSON, and after it the binary tensors, in the order of the inputs.
        json_length: the header `Inference-Header-Content-Length`; None if all of the body is JSON.
        model: the loaded model.
        limits: on rows.

    Raises:
        BodyError: not such a request, or not for this model.
        FeaturesError: a value that the model can't take.
        TooLargeError: more rows than `limits` allow, or a response that would be too large.
    """
    document, binary = _split(body, json_length)
    request = _validate(document)
    inputs = model.columns.inputs
    _check_names(request.inputs, [input.name for input in inputs])
    parts = zip(request.inputs, _cut_binary(request.inputs, binary), strict=True)
    by_name = {tensor.name: (tensor, part) for tensor, part in parts}
    shapes = [_check_shape(by_name[input.name][0], input) for input in inputs]
    n_rows = _count_rows(shapes, limits)
    outputs = _find_outputs(request, model, n_rows, limits)
    arrays, start = [], 0
    for input in inputs:
        arrays.append(to_array(model.columns, input, start, _read_values(*by_name[input.name], input)))
        start += input.width
    return Decoded(request.id, arrays, outputs)


def protocol_error(message: str) -> BodyError:
    return BodyError(message, type="protocol")


def _split(body: bytes | bytearray, json_length: str | None) -> tuple[bytes | bytearray, memoryview]:
    if json_length is None:
        return body, memoryview(b"")
    if not (
        json_length.isascii() and json_length.isdecimal() and len(json_length) < 12 and int(json_length) <= len(body)
    ):
        raise protocol_error(f"{HEADER}: expected the length of the JSON in bytes, at most the body's {len(body)}")
    return body[: int(json_length)], memoryview(body)[int(json_length) :]


def _validate(document: bytes | bytearray) -> InferenceRequest:
    try:
        request = InferenceRequest.model_validate_json(document)
    except ValidationError as error:
        raise _explain(error) from None
    for part in (request, *request.inputs, *(request.outputs or ())):
        if part.model_extra:
            what = type(part).__name__
            message = f"{what}: expected only the protocol's keys, got another; put your own into parameters"
            raise protocol_error(message)
    return request


def _explain(error: ValidationError) -> BodyError:
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    match first["type"]:
        case "json_invalid":
            return protocol_error(f"the body isn't valid JSON: {first['msg'].removeprefix('Invalid JSON: ')}")
        case "missing":
            return protocol_error(f"{place}: it is missing")
        case _:
            return protocol_error(f"{place or 'the request'}: {first['msg'][0].lower()}{first['msg'][1:]}")


def _cut_binary(tensors: Sequence[InputTensor], binary: memoryview) -> Iterator[memoryview | None]:
    """Cut the binary tensors apart, None for an input in JSON."""
    position = 0
    for index, tensor in enumerate(tensors):
        size = (tensor.parameters or {}).get("binary_data_size")
        if (size is None) is (tensor.data is None):
            raise protocol_error(f"inputs.{index}: expected either data or parameters.binary_data_size")
        if size is None:
            yield None
            continue
        left = len(binary) - position
        if type(size) is not int or not 0 <= size <= left:
            message = f"expected a binary_data_size of at most the {left} bytes after the JSON"
            raise protocol_error(f"inputs.{index}: {message}")
        yield binary[position : position + size]
        position += size
    if position < len(binary):
        message = f"expected binary_data_size to add up to the {len(binary)} bytes after the JSON, got {position}"
        raise protocol_error(message)


def _check_names(tensors: Sequence[InputTensor], known: Sequence[str]) -> None:
    names = [tensor.name for tensor in tensors]
    if sorted(names) == sorted(known):
        return
    counts = Counter(names)
    takes = f"the model takes {cut(', '.join(map(_quote, known)), 400)}"
    if n_others := len(tensors) - sum(counts[name] for name in known):
        raise protocol_error(f"inputs: {n_others} of {len(tensors)} have an unknown name; {takes}")
    name = next(name for name in known if counts[name] != 1)
    raise protocol_error(f"inputs: expected {_quote(name)} once, got it {counts[name]} times; {takes}")


def _quote(name: str) -> str:
    return f'"{cut(name, 100)}"'


def _check_shape(tensor: InputTensor, input: Input) -> list[int]:
    """Check datatype and shape."""
    wanted = DATATYPES[input.type]
    # Wider floats are coerced, as JSON's own numbers are.
    if tensor.datatype != wanted and tensor.datatype not in WIDER.get(wanted, ()):
        raise protocol_error(f"input {_quote(input.name)}: expected the datatype {wanted}, got another")
    expected = "[rows]" if input.is_flat else f"[rows, {input.width}]"
    if not tensor.shape or tensor.shape[0] < 0 or tensor.shape[1:] != ([] if input.is_flat else [input.width]):
        raise protocol_error(f"input {_quote(input.name)}: expected a shape of {expected}, got another")
    return tensor.shape


def _count_rows(shapes: Sequence[Sequence[int]], limits: Limits) -> int:
    n_rows = shapes[0][0]
    if any(shape[0] != n_rows for shape in shapes):
        raise protocol_error("expected the same number of rows in every input")
    if n_rows == 0:
        raise FeaturesError("expected at least 1 row, got none", type="no_rows")
    check_n_rows(n_rows, limits)
    return n_rows


def _read_values(tensor: InputTensor, part: memoryview | None, input: Input) -> Values:
    """Read the values, row by row, from JSON or binary."""
    where, size = f"input {_quote(input.name)}", tensor.shape[0] * input.width
    values: Values
    if part is None:
        values = _flatten(tensor, input, where)
    elif input.type == TEXT:
        values = list(_unpack(part, where))
    else:
        dtype = BINARY[tensor.datatype]
        if len(part) != size * dtype.itemsize:
            expected = f"{size * dtype.itemsize} bytes for shape {tensor.shape} of {tensor.datatype}"
            raise protocol_error(f"{where}: expected {expected}, got {len(part)}")
        if input.type == BOOL and not set(bytes(part)) <= {0, 1}:
            raise protocol_error(f"{where}: expected each boolean as a byte that is 0 or 1, got another")
        return np.frombuffer(bytes(part), dtype)  # a copy: the bytes needn't be aligned
    if len(values) != size:
        raise protocol_error(f"{where}: expected {size} values for shape {tensor.shape}, got {len(values)}")
    return values


def _flatten(tensor: InputTensor, input: Input, where: str) -> list[Any]:
    data = tensor.data or []
    if list not in set(map(type, data)):
        return data
    rows, width = tensor.shape[0], input.width
    if len(data) != rows or not all(isinstance(row, list) and len(row) == width for row in data):
        raise protocol_error(f"{where}: expected data of {rows} rows of {width}, or flat, got other lists")
    return list(itertools.chain.from_iterable(data))


def _unpack(part: memoryview, where: str) -> Iterator[str]:
    """Read texts, each a 4-byte length and its bytes."""
    position = 0
    while position < len(part):
        start = position + 4
        position = start + int.from_bytes(part[position:start], "little")
        if position > len(part):
            raise protocol_error(f"{where}: expected each text as a 4-byte length and its bytes, got fewer bytes")
        try:
            yield str(part[start:position], "utf-8")
        except UnicodeDecodeError:
            raise protocol_error(f"{where}: expected texts in UTF-8, got other bytes") from None


def _find_outputs(request: InferenceRequest, model: Model, n_rows: int, limits: Limits) -> list[Output]:
    known = [name for name in (model.signature.output_name, model.signature.label_name) if name is not None]
    is_binary = _read_flag(request.parameters, "binary_data_output", default=False)
    if not request.outputs:
        return [Output(name, is_binary, 0) for name in known]
    names = [output.name for output in request.outputs]
    if len(set(names)) < len(names) or not set(names) <= set(known):
        raise protocol_error(f"outputs: expected {' and '.join(map(_quote, known))}, each at most once; got others")
    return [_resolve(output, model, n_rows, limits, is_binary=is_binary) for output in request.outputs]


def _resolve(output: RequestedOutput, model: Model, n_rows: int, limits: Limits, *, is_binary: bool) -> Output:
    parameters = output.parameters or {}
    if "shared_memory_region" in parameters:
        raise protocol_error("outputs: shared memory isn't supported; the response holds the tensors")
    n_classes = 0
    if "classification" in parameters:
        n_classes = _count_classes(parameters["classification"], output.name, model, n_rows, limits)
    return Output(output.name, _read_flag(parameters, "binary_data", default=is_binary), n_classes)


def _count_classes(wanted: object, name: str, model: Model, n_rows: int, limits: Limits) -> int:
    if name != model.signature.output_name:
        raise protocol_error(f"outputs: expected classification only for {_quote(model.signature.output_name)}")
    if type(wanted) is not int or wanted < 1:
        raise protocol_error("outputs: expected classification to be a number of classes, 1 or more")
    n_classes = min(wanted, len(model.labels))  # as Triton has it
    # A probability, its index and the length of it all take at most 30 bytes; base64 makes 4 of 3.
    if n_rows * n_classes * (label_bytes(model) + 30) * 4 // 3 > limits.max_answer_bytes:
        message = (
            f"expected a response of at most {limits.max_answer_bytes} bytes; send fewer rows or ask for fewer classes"
        )
        raise TooLargeError(message, type="answer_too_large")
    return n_classes


def _read_flag(parameters: Mapping[str, Any] | None, name: str, *, default: bool) -> bool:
    value = (parameters or {}).get(name, default)
    if not isinstance(value, bool):
        raise protocol_error(f"parameters.{name}: expected true or false")
    return value
