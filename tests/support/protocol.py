"""The calls of the Open Inference Protocol, good and bad, as the protocol's documents have them."""

import json
import struct
from codecs import BOM_UTF8
from typing import Any

import numpy as np

from tests.support.entry_points import Answer, Call

MODEL = "/v2/models/iris_svc"
INFER = f"{MODEL}/infer"
VALUES = [5.1, 3.5, 1.4, 0.2, 6.3, 3.3, 6.0, 2.5]
TENSOR: dict[str, Any] = {"name": "features", "shape": [2, 4], "datatype": "FP32"}
INPUT: dict[str, Any] = TENSOR | {"data": VALUES}
FP32 = struct.pack("<8f", *VALUES)
PROBABILITIES, LABEL = {"name": "probabilities"}, {"name": "label"}


def request(*inputs: dict[str, Any], **more: Any) -> bytes:
    return json.dumps({"inputs": inputs} | more).encode()


def one(**changes: Any) -> bytes:
    """A request of one input, changed."""
    return request(INPUT | changes)


def ask_for(*outputs: dict[str, Any], **parameters: Any) -> bytes:
    return request(INPUT, outputs=outputs, parameters=parameters)


def classes(count: Any) -> dict[str, Any]:
    return PROBABILITIES | {"parameters": {"classification": count}}


def binary(tensor: bytes = FP32, *, size: Any = None, header: int | str | None = None, **changes: Any) -> Call:
    """A request with its tensor after the JSON; `size` and `header` are right unless they are given."""
    parameters = {"binary_data_size": len(tensor) if size is None else size}
    document = request(TENSOR | {"parameters": parameters} | changes)
    length = {"inference-header-content-length": str(len(document) if header is None else header)}
    return Call("", "POST", INFER, document + tensor, {"content-type": "application/octet-stream"} | length)


_GOOD: dict[str, bytes | Call] = {
    "flat data": request(INPUT),
    "nested data": one(data=[VALUES[:4], VALUES[4:]]),
    "whole numbers": one(data=[5, 3, 1, 0, 6, 3, 6, 2]),
    "FP64 for FP32": one(datatype="FP64"),
    "an id": request(INPUT, id="mine"),
    "nulls": request(INPUT | {"parameters": None}, id=None, parameters=None, outputs=None),
    "unknown parameters": request(INPUT | {"parameters": {"content_type": "np"}}, parameters={"priority": 1}),
    "the model's name again": request(INPUT, model_name="iris_svc"),
    "no outputs named": request(INPUT, outputs=[]),
    "one output": ask_for(PROBABILITIES),
    "outputs in another order": ask_for(LABEL, PROBABILITIES),
    "binary output": ask_for(PROBABILITIES | {"parameters": {"binary_data": True}}),
    "binary outputs": ask_for(binary_data_output=True),
    "the output's own setting wins": ask_for(
        PROBABILITIES | {"parameters": {"binary_data": False}}, binary_data_output=True
    ),
    "one output of two binary": ask_for(PROBABILITIES, LABEL | {"parameters": {"binary_data": True}}),
    "binary input": binary(),
    "binary FP64": binary(struct.pack("<8d", *VALUES), datatype="FP64"),
    "the best class": ask_for(classes(1)),
    "all classes": ask_for(classes(3)),
    "more classes than there are": ask_for(classes(99)),
    "classes, binary": ask_for(classes(2), binary_data_output=True),
}
# Name -> body or call, and what its error says.
BAD: dict[str, tuple[bytes | Call, str]] = {
    "another input's name": (one(name="x"), 'inputs: 1 of 1 have an unknown name; the model takes "features"'),
    "no name": (request({"shape": [2, 4], "datatype": "FP32", "data": VALUES}), "inputs.0.name: it is missing"),
    "another datatype": (one(datatype="INT64"), 'input "features": expected the datatype FP32, got another'),
    "no datatype": (request({"name": "features", "shape": [2, 4], "data": VALUES}), "inputs.0.datatype: it is missing"),
    "unknown datatype": (one(datatype="FLOAT"), 'input "features": expected the datatype FP32, got another'),
    "another width": (one(shape=[4, 2]), 'input "features": expected a shape of [rows, 4], got another'),
    "one dimension": (one(shape=[8]), 'input "features": expected a shape of [rows, 4], got another'),
    "negative rows": (one(shape=[-2, 4]), 'input "features": expected a shape of [rows, 4], got another'),
    "shape of text": (one(shape=["2", "4"]), "inputs.0.shape.0: input should be a valid integer"),
    "no shape": (request({"name": "features", "datatype": "FP32", "data": VALUES}), "inputs.0.shape: it is missing"),
    "fewer values": (one(data=VALUES[:7]), 'input "features": expected 8 values for shape [2, 4], got 7'),
    "more values": (one(data=[*VALUES, 1.0]), 'input "features": expected 8 values for shape [2, 4], got 9'),
    "ragged data": (
        one(data=[VALUES[:5], VALUES[5:]]),
        'input "features": expected data of 2 rows of 4, or flat, got other lists',
    ),
    "half nested": (
        one(data=[VALUES[:4], *VALUES[4:]]),
        'input "features": expected data of 2 rows of 4, or flat, got other lists',
    ),
    "no data": (request(TENSOR), "inputs.0: expected either data or parameters.binary_data_size"),
    "data twice": (
        one(parameters={"binary_data_size": 0}),
        "inputs.0: expected either data or parameters.binary_data_size",
    ),
    "no inputs": (b'{"id": "1"}', "inputs: it is missing"),
    "empty inputs": (request(), 'inputs: expected "features" once, got it 0 times; the model takes "features"'),
    "an input twice": (
        request(INPUT, INPUT),
        'inputs: expected "features" once, got it 2 times; the model takes "features"',
    ),
    "unknown output": (ask_for({"name": "x"}), 'outputs: expected "probabilities" and "label", each at most once; got others'),
    "an output twice": (
        ask_for(LABEL, LABEL),
        'outputs: expected "probabilities" and "label", each at most once; got others',
    ),
    "no rows": (one(shape=[0, 4], data=[]), "expected at least 1 row, got none"),
    "NaN": (
        one(data=[*VALUES[:6], float("nan"), 1.0]),
        'row 1, "petal length (cm)": expected a finite number, got NaN',
    ),
    "Infinity": (
        one(data=[*VALUES[:6], float("inf"), 1.0]),
        'row 1, "petal length (cm)": expected a finite number, got Infinity',
    ),
    "beyond float32": (
        one(data=[*VALUES[:6], 1e39, 1.0]),
        "row 1, \"petal length (cm)\": expected a finite number, got one beyond float32's ±3.403e+38",
    ),
    "10^400": (
        one(data=[*VALUES[:7], 10**400]),
        'row 1, "petal width (cm)": expected a finite number, got Infinity',
    ),
    "text": (one(data=["5.1", *VALUES[1:]]), 'row 0, "sepal length (cm)": expected a number, got a string'),
    "a boolean": (one(data=[*VALUES[:7], True]), 'row 1, "petal width (cm)": expected a number, got a boolean'),
    "no JSON": (b"sepal", "the body isn't valid JSON: expected value at line 1 column 1"),
    "no body": (b"", "the body isn't valid JSON: EOF while parsing a value at line 1 column 0"),
    "a list": (b"[]", "the request: input should be an object"),
    "deep": (b"[" * 100_000, "the body isn't valid JSON: recursion limit exceeded at line 1 column 202"),
    "90,000 keys": (
        b"{" + b",".join(b'"k%d":1' % number for number in range(90_000)) + b', "inputs": []}',
        "InferenceRequest: expected only the protocol's keys, got another; put your own into parameters",
    ),
    "100,000 digits": (
        b'{"inputs": [{"name": "features", "shape": [1, 4], "datatype": "FP32", "data": [' + b"9" * 100_000 + b"]}]}",
        "the body isn't valid JSON: number out of range at line 1 column 4381",
    ),
    "100,000 inputs": (b'{"inputs": [' + b"{}, " * 100_000 + b"{}]}", "inputs.0.name: it is missing"),
    "unknown key": (
        request(INPUT, input=1),
        "InferenceRequest: expected only the protocol's keys, got another; put your own into parameters",
    ),
    "unknown key of an input": (
        one(dtype="FP32"),
        "InputTensor: expected only the protocol's keys, got another; put your own into parameters",
    ),
    "an id of 257 characters": (request(INPUT, id="x" * 257), "id: string should have at most 256 characters"),
    "an id that is a number": (request(INPUT, id=1), "id: input should be a valid string"),
    "binary_data_output of text": (
        ask_for(binary_data_output="true"),
        "parameters.binary_data_output: expected true or false",
    ),
    "shared memory": (
        ask_for(LABEL | {"parameters": {"shared_memory_region": "r", "shared_memory_byte_size": 24}}),
        "outputs: shared memory isn't supported; the response holds the tensors",
    ),
    "no class": (ask_for(classes(0)), "outputs: expected classification to be a number of classes, 1 or more"),
    "classes of text": (ask_for(classes("1")), "outputs: expected classification to be a number of classes, 1 or more"),
    "classes of the label": (
        ask_for(LABEL | {"parameters": {"classification": 1}}),
        'outputs: expected classification only for "probabilities"',
    ),
    "a tensor cut short": (
        binary(FP32[:-1]),
        'input "features": expected 32 bytes for shape [2, 4] of FP32, got 31',
    ),
    "a size beyond the body": (
        binary(size=33),
        "inputs.0: expected a binary_data_size of at most the 32 bytes after the JSON",
    ),
    "a size that leaves bytes": (
        binary(size=28),
        "expected binary_data_size to add up to the 32 bytes after the JSON, got 28",
    ),
    "a negative size": (
        binary(size=-1),
        "inputs.0: expected a binary_data_size of at most the 32 bytes after the JSON",
    ),
    "a size of text": (
        binary(size="32"),
        "inputs.0: expected a binary_data_size of at most the 32 bytes after the JSON",
    ),
    "a header beyond the body": (
        binary(header=10_000),
        "Inference-Header-Content-Length: expected the length of the JSON in bytes, at most the body's 143",
    ),
    "a header of text": (
        binary(header="all"),
        "Inference-Header-Content-Length: expected the length of the JSON in bytes, at most the body's 143",
    ),
    "a header that cuts the JSON": (binary(header=10), "the body isn't valid JSON: EOF while parsing a value at line 1 column 10"),
    "binary NaN": (
        binary(struct.pack("<8f", *VALUES[:7], float("nan"))),
        'row 1, "petal width (cm)": expected a finite number, got NaN',
    ),
    "binary FP64 beyond FP32": (
        binary(struct.pack("<8d", *VALUES[:7], -1e39), datatype="FP64"),
        "row 1, \"petal width (cm)\": expected a finite number, got one beyond float32's ±3.403e+38",
    ),
}  # fmt: skip


def _call(name: str, what: bytes | Call) -> Call:
    if isinstance(what, bytes):
        return Call(f"v2, {name}", "POST", INFER, what)
    return Call(f"v2, {name}", what.method, what.path, what.body, what.headers)


INFERENCES = {name: _call(name, what) for name, what in _GOOD.items()}
REFUSALS = {name: (_call(name, what), message) for name, (what, message) in BAD.items()}
GETS = {
    "/v2": 200,
    "/v2/": 200,
    "/v2/health/live": 200,
    "/v2/health/ready": 200,
    MODEL: 200,
    f"{MODEL}/ready": 200,
    f"{MODEL}/versions/1": 200,
    f"{MODEL}/versions/1/ready": 200,
    f"{MODEL}/versions/2": 404,
    f"{MODEL}/versions/2/ready": 404,
    "/v2/models/another": 404,
    "/v2/models/another/ready": 404,
    "/v2/models/an%22other/ready": 404,
    f"{MODEL}/": 404,
    f"{MODEL}/config": 404,
    "/v2/repository/index": 404,
    INFER: 405,
}
PROTOCOL_CALLS = [
    *((Call(path, "GET", path), status) for path, status in GETS.items()),
    *((call, 200) for call in INFERENCES.values()),
    *((call, 400) for call, _ in REFUSALS.values()),
    (Call("v2, a version", "POST", f"{MODEL}/versions/1/infer", request(INPUT)), 200),
    (Call("v2, another version", "POST", f"{MODEL}/versions/2/infer", request(INPUT)), 404),
    (Call("v2, another model", "POST", "/v2/models/another/infer", request(INPUT)), 404),
    (_call("most rows", one(shape=[10_000, 4], data=[1] * 40_000)), 200),
    (_call("too many rows", one(shape=[10_001, 4], data=[1] * 40_004)), 413),
    (_call("a byte order mark", BOM_UTF8 + request(INPUT)), 200),
    (_call("body too large", b" " * 1_000_001), 413),
    (Call("v2, POST to metadata", "POST", MODEL, b"{}"), 405),
]


def read_outputs(answer: Answer) -> dict[str, tuple[str, list[int], list[Any]]]:
    """Read an answer as the protocol's documents say: name -> datatype, shape, values as Python's own."""
    assert answer.content_type == ("application/octet-stream" if answer.json_length else "application/json")
    length = int(answer.json_length or len(answer.body))
    document, rest = json.loads(answer.body[:length]), answer.body[length:]
    assert (document["model_name"], document["model_version"]) == ("iris_svc", "1")
    found = {}
    for output in document["outputs"]:
        if (parameters := output.get("parameters")) is None:
            data = output["data"]
        else:
            part, rest = rest[: parameters["binary_data_size"]], rest[parameters["binary_data_size"] :]
            data = _unpack(output["datatype"], part)
        found[output["name"]] = (output["datatype"], output["shape"], data)
    assert rest == b""
    return found


def _unpack(datatype: str, part: bytes) -> list[Any]:
    if datatype != "BYTES":
        values: list[Any] = np.frombuffer(part, {"FP32": "<f4", "INT64": "<i8"}[datatype]).tolist()
        return values
    texts = []
    while part:
        (length,) = struct.unpack_from("<I", part)
        texts.append(part[4 : 4 + length].decode())
        part = part[4 + length :]
    return texts
