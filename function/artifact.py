"""What an artifact's bytes, and the labels beside it, say of the model: no session is needed for it."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson
from pydantic import BaseModel, ConfigDict, FiniteFloat, TypeAdapter, ValidationError

from function.errors import ArtifactError

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


def read_class_ids(artifact: bytes, n_classes: int) -> tuple[str, ...] | None:
    """Find the class ids, in the order of the probabilities' columns, in an artifact that onnxruntime has loaded.

    The session doesn't tell them, but ONNX's classifiers carry them as attributes `classlabels_…`
    (https://onnx.ai/onnx/operators/index.html, ai.onnx.ml), and skl2onnx gives the others an initializer `classes`.
    Field numbers are those of https://github.com/onnx/onnx/blob/main/onnx/onnx.proto.

    Returns:
        None where there are none for this number of classes, or several that differ.
    """
    found = set()
    for graph in _messages(artifact, 7):
        for node in _messages(graph, 1):
            for attribute in _messages(node, 5):
                # The first name alone: a forest's other attributes have millions of fields behind theirs.
                if bytes(next(_messages(attribute, 1), b"")).startswith(b"classlabels"):
                    found.add(_strings(attribute, 9) or _integers(attribute, 8))
        for tensor in _messages(graph, 5):
            if bytes(next(_messages(tensor, 8), b"")) == b"classes":
                found.add(_strings(tensor, 6) or _integers(tensor, 7) or _integers(tensor, 5))
    fitting = [ids for ids in found if len(ids) == n_classes]
    return fitting[0] if len(fitting) == 1 else None


def read_categories(artifact: bytes) -> dict[str, tuple[str, ...]]:
    """Find the texts that a model knows, by the name of the input: those of the encoders that read it, nothing between.

    https://onnx.ai/onnx/operators/onnx_aionnxml_OneHotEncoder.html and
    https://onnx.ai/onnx/operators/onnx_aionnxml_LabelEncoder.html name the attributes.
    """
    found: dict[str, tuple[str, ...]] = {}
    same: dict[str, str] = {}  # the output of a node that only hands its input on -> that input
    for graph in _messages(artifact, 7):
        for node in _messages(graph, 1):
            (source, *_), (output, *_), (operator, *_) = (_strings(node, number) or ("",) for number in (1, 2, 4))
            source = same.get(source, source)
            if operator in ("Identity", "Gather", "Reshape", "ArrayFeatureExtractor"):
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
