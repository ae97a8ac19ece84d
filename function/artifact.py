"""What an artifact's bytes, and the labels beside it, say of the model: no session is needed for it."""

import itertools
import json
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson
from pydantic import BaseModel, ConfigDict, FiniteFloat, TypeAdapter, ValidationError

from function.errors import ArtifactError

PACKED = {1: "f", 6: "i", 7: "q", 11: "d"}  # onnx.TensorProto's data types -> those of struct
FACTS_KEY = "classifier"  # the metadata_props entry of the artifact that holds its Facts as JSON


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Feature(_Frozen):
    """One column; `min` and `max`, or of texts the `values`, are those of the training data."""

    name: str
    min: FiniteFloat | None = None
    max: FiniteFloat | None = None
    values: tuple[str, ...] | None = None


class Sample(_Frozen):
    """One row and, if they are known, the probabilities that the model must give for it."""

    row: tuple[FiniteFloat | str, ...]
    probabilities: tuple[FiniteFloat, ...] | None = None


class Facts(_Frozen):
    """What an artifact says about itself, carried as JSON in its ONNX metadata_props."""

    features: tuple[Feature, ...] | None = None
    labels: tuple[str, ...] | None = None
    sample: Sample | None = None
    training: Mapping[str, Any] | None = None


def read_facts(metadata: Mapping[str, str]) -> Facts:
    """Read the facts out of an artifact's metadata_props; without any, they are all None."""
    try:
        return Facts.model_validate(orjson.loads(metadata.get(FACTS_KEY, "{}")))
    except orjson.JSONDecodeError as error:
        raise ArtifactError(f"its facts aren't JSON: {error}; write the facts anew") from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in (FACTS_KEY, *first["loc"]))
        raise ArtifactError(f"its facts are wrong at {place}: {first['msg']}; write the facts anew") from None


def read_labels(path: Path) -> list[str]:
    """Read a `label.json`, index -> label."""
    expected = 'expected a JSON object that gives each class index its label, {"0": "setosa", …}'
    try:
        labels = TypeAdapter(dict[int, str]).validate_json(path.read_bytes())
    except OSError as error:
        raise ArtifactError(f"{path}: can't be read ({error.strerror}); LABEL_FILEPATH names the labels") from None
    except ValidationError as error:
        raise ArtifactError(f"{path}: {expected}; {error.errors(include_url=False)[0]['msg']}") from None
    if sorted(labels) != list(range(len(labels))):
        raise ArtifactError(f"{path}: {expected}; got the indexes {json.dumps(sorted(labels))}")
    return [labels[index] for index in range(len(labels))]


def read_class_ids(artifact: bytes, output: str, n_classes: int) -> tuple[str, ...] | None:
    """Find the class ids, in the order of the probabilities' columns, in an artifact that onnxruntime has loaded.

    The session doesn't tell them, but whatever makes the label does: ONNX's classifiers by their attributes
    `classlabels_…` (https://onnx.ai/onnx/operators/index.html, ai.onnx.ml), and skl2onnx picks others out of a tensor.
    Field numbers are those of https://github.com/onnx/onnx/blob/main/onnx/onnx.proto.

    Args:
        artifact: its bytes.
        output: the name of the label's output, or where there is none, of the probabilities'.
        n_classes: columns of the probabilities.

    Returns:
        None where the output isn't made so, or of another number of classes.
    """
    for graph in _messages(artifact, 7):
        nodes = {name: node for node in _messages(graph, 1) for name in _strings(node, 2)}
        tensors = {name: tensor for tensor in _messages(graph, 5) for name in _strings(tensor, 8)}
        ids: tuple[str, ...] = ()
        while output in nodes and not ids:
            node, (output, *_) = nodes[output], _strings(nodes[output], 1)
            ids = _class_labels(node)
            if _operator(node) in ("ArrayFeatureExtractor", "Gather") and output in tensors:
                ids = _tensor_values(tensors[output])
            elif _operator(node) not in ("Cast", "Identity", "Reshape", "Flatten", "Squeeze", "Normalizer"):
                break
        return ids if len(set(ids)) == len(ids) == n_classes else None
    return None


def _operator(node: memoryview) -> str:
    return "".join(_strings(node, 4))


def _class_labels(node: memoryview) -> tuple[str, ...]:
    for attribute in _messages(node, 5):
        # The first name alone: a forest's other attributes have millions of fields behind theirs.
        if bytes(next(_messages(attribute, 1), b"")).startswith(b"classlabels"):
            return _strings(attribute, 9) or _integers(attribute, 8)
    return ()


def _tensor_values(tensor: memoryview) -> tuple[str, ...]:
    """Read the values of a small tensor as text: strings or whole numbers."""
    ((_, data_type), *_) = [*(field for field in _fields(tensor) if field[0] == 2), (2, 0)]
    packed = next(itertools.chain(*(_messages(tensor, number) for number in (9, 4, 10))), None)
    if packed is not None and data_type in PACKED:
        return tuple(f"{value:.0f}" for (value,) in struct.iter_unpack(f"<{PACKED[data_type]}", packed))
    return _strings(tensor, 6) or _integers(tensor, 7) or _integers(tensor, 5)


def read_categories(artifact: bytes) -> dict[str, tuple[str, ...]]:
    """Find the texts that a model knows, by the name of the input: those of the encoders that read it, nothing between.

    https://onnx.ai/onnx/operators/onnx_aionnxml_OneHotEncoder.html and
    https://onnx.ai/onnx/operators/onnx_aionnxml_LabelEncoder.html name the attributes.
    """
    found: dict[str, tuple[str, ...]] = {}
    same: dict[str, str] = {}  # the output of a node that only hands its input on -> that input
    for graph in _messages(artifact, 7):
        for node in _messages(graph, 1):
            (source, *_), (output, *_) = (_strings(node, number) or ("",) for number in (1, 2))
            source = same.get(source, source)
            if _operator(node) in ("Identity", "Gather", "Reshape", "ArrayFeatureExtractor"):
                same[output] = source
            for attribute in _messages(node, 5):
                if bytes(next(_messages(attribute, 1), b"")) in (b"cats_strings", b"keys_strings"):
                    found[source] = _strings(attribute, 9)
    return found


def read_opsets(artifact: bytes) -> dict[str, int]:
    """Read the versions of the operator sets that an artifact is written in, domain -> version."""
    opsets: list[dict[int, Any]] = [dict(_fields(opset)) for opset in _messages(artifact, 8)]
    return {str(opset.get(1, b""), "utf-8") or "ai.onnx": opset[2] for opset in opsets}


def _strings(message: memoryview, number: int) -> tuple[str, ...]:
    return tuple(str(value, "utf-8") for value in _messages(message, number))


def _integers(message: memoryview, number: int) -> tuple[str, ...]:
    values: list[int] = []
    for field, value in _fields(message):
        if field == number:
            values += [value] if isinstance(value, int) else _packed(value)
    return tuple(str(value - 2**64 if value >= 2**63 else value) for value in values)


def _packed(values: memoryview) -> Iterator[int]:
    position = 0
    while position < len(values):
        value, position = _varint(values, position)
        yield value


def _messages(message: bytes | memoryview, number: int) -> Iterator[memoryview]:
    return (value for field, value in _fields(memoryview(message)) if field == number and not isinstance(value, int))


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Walk one protobuf message: https://protobuf.dev/programming-guides/encoding/."""
    position = 0
    while position < len(message):
        key, position = _varint(message, position)
        if key & 7 == 0:
            number, position = _varint(message, position)
            yield key >> 3, number
            continue
        size = {1: 8, 5: 4}.get(key & 7)
        if size is None:
            size, position = _varint(message, position)
        yield key >> 3, message[position : position + size]
        position += size


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[position]
        position += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, position
        shift += 7
