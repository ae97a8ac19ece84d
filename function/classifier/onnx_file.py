"""What an ONNX file says that its session doesn't tell: class ids, an encoder's texts, operator sets.

Protobuf is read by hand, for `onnx` and `protobuf` would be 20 MB of the Lambda package. Field numbers are those of
https://github.com/onnx/onnx/blob/main/onnx/onnx.proto, the encoding https://protobuf.dev/programming-guides/encoding/.
"""

import struct
from collections.abc import Iterator, Mapping
from typing import NamedTuple

MODEL = {"graph": 7, "opset_import": 8}
OPERATOR_SET = {"domain": 1, "version": 2}
GRAPH = {"node": 1, "initializer": 5}
NODE = {"input": 1, "output": 2, "op_type": 4, "attribute": 5}
ATTRIBUTE = {"name": 1, "ints": 8, "strings": 9}
TENSOR = {
    "data_type": 2, "float_data": 4, "int32_data": 5, "string_data": 6, "int64_data": 7, "name": 8, "raw_data": 9,
    "double_data": 10,
}  # fmt: skip
PACKED = {1: "f", 6: "i", 7: "q", 11: "d"}  # TensorProto's data types -> those of struct

# They hand the class ids on as they are.
PASSES_CLASSES_ON = ("Cast", "Identity", "Reshape", "Flatten", "Squeeze", "Normalizer")
PICKS_CLASSES = ("ArrayFeatureExtractor", "Gather")
PASSES_TEXTS_ON = ("Identity", "Gather", "Reshape", "ArrayFeatureExtractor")


class Message(NamedTuple):
    """One protobuf message, its fields by their names."""

    content: memoryview
    numbers: Mapping[str, int]

    def values(self, name: str) -> Iterator[int | memoryview]:
        """Give what stands in a field, once for each time that it is there: a number, or bytes."""
        number = self.numbers[name]
        return (value for field, value in _fields(self.content) if field == number)

    def messages(self, name: str, numbers: Mapping[str, int]) -> "Iterator[Message]":
        return (Message(value, numbers) for value in self.values(name) if not isinstance(value, int))

    def texts(self, name: str) -> tuple[str, ...]:
        return tuple(str(value, "utf-8") for value in self.values(name) if not isinstance(value, int))

    def text(self, name: str) -> str:
        """Give the first of a field's texts, "" without one; what stands behind it isn't read."""
        return next((str(value, "utf-8") for value in self.values(name) if not isinstance(value, int)), "")

    def integers(self, name: str) -> tuple[int, ...]:
        """Give whole numbers, packed into one field or each in its own."""
        found: list[int] = []
        for value in self.values(name):
            found += [value] if isinstance(value, int) else _packed(value)
        return tuple(value - 2**64 if value >= 2**63 else value for value in found)


def read_class_ids(artifact: bytes, output: str, n_classes: int) -> tuple[str, ...] | None:
    """Find the class ids, in the order of the probabilities' columns, in an artifact that onnxruntime has loaded.

    Whatever makes the label tells them: ONNX's classifiers by their attributes `classlabels_…`
    (https://onnx.ai/onnx/operators/index.html, ai.onnx.ml), and skl2onnx picks others out of a tensor.

    Args:
        artifact: its bytes.
        output: the name of the label's output, or where there is none, of the probabilities'.
        n_classes: columns of the probabilities.

    Returns:
        None where the output isn't made so, or of another number of classes.
    """
    for graph in _graphs(artifact):
        ids = _trace_class_ids(graph, output)
        return ids if len(set(ids)) == len(ids) == n_classes else None
    return None


def read_categories(artifact: bytes) -> dict[str, tuple[str, ...]]:
    """Find the texts that a model knows, by the name of the input: those of the encoders that read it, nothing between.

    https://onnx.ai/onnx/operators/onnx_aionnxml_OneHotEncoder.html and
    https://onnx.ai/onnx/operators/onnx_aionnxml_LabelEncoder.html name the attributes.
    """
    found: dict[str, tuple[str, ...]] = {}
    same: dict[str, str] = {}  # the output of a node that only hands its input on -> that input
    for graph in _graphs(artifact):
        for node in graph.messages("node", NODE):
            source = same.get(node.text("input"), node.text("input"))
            if node.text("op_type") in PASSES_TEXTS_ON:
                same[node.text("output")] = source
            for attribute in node.messages("attribute", ATTRIBUTE):
                if attribute.text("name") in ("cats_strings", "keys_strings"):
                    found[source] = attribute.texts("strings")
    return found


def read_opsets(artifact: bytes) -> dict[str, int]:
    """Read the versions of the operator sets that an artifact is written in, domain -> version."""
    opsets = Message(memoryview(artifact), MODEL).messages("opset_import", OPERATOR_SET)
    return {opset.text("domain") or "ai.onnx": opset.integers("version")[0] for opset in opsets}


def _graphs(artifact: bytes) -> Iterator[Message]:
    return Message(memoryview(artifact), MODEL).messages("graph", GRAPH)


def _trace_class_ids(graph: Message, output: str) -> tuple[str, ...]:
    """Go back from an output to the node that has the class ids, through those that hand them on."""
    nodes = {name: node for node in graph.messages("node", NODE) for name in node.texts("output")}
    tensors = {name: tensor for tensor in graph.messages("initializer", TENSOR) for name in tensor.texts("name")}
    while output in nodes:
        node = nodes[output]
        operator, output = node.text("op_type"), node.text("input")
        if ids := _class_labels(node):
            return ids
        if operator in PICKS_CLASSES and output in tensors:
            return _tensor_values(tensors[output])
        if operator not in PASSES_CLASSES_ON:
            break
    return ()


def _class_labels(node: Message) -> tuple[str, ...]:
    for attribute in node.messages("attribute", ATTRIBUTE):
        # The name alone: a forest's other attributes have millions of fields behind theirs.
        if attribute.text("name").startswith("classlabels"):
            return attribute.texts("strings") or tuple(map(str, attribute.integers("ints")))
    return ()


def _tensor_values(tensor: Message) -> tuple[str, ...]:
    """Read the values of a small tensor as text: strings or whole numbers."""
    (data_type, *_) = (*tensor.integers("data_type"), 0)
    packed = next((part for name in ("raw_data", "float_data", "double_data") for part in tensor.values(name)), None)
    if isinstance(packed, memoryview) and data_type in PACKED:
        return tuple(f"{value:.0f}" for (value,) in struct.iter_unpack(f"<{PACKED[data_type]}", packed))
    if texts := tensor.texts("string_data"):
        return texts
    return tuple(map(str, tensor.integers("int64_data") or tensor.integers("int32_data")))


def _packed(values: memoryview) -> Iterator[int]:
    position = 0
    while position < len(values):
        value, position = _varint(values, position)
        yield value


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Walk one message: the number of each field, and what stands in it."""
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
