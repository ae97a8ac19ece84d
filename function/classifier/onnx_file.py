"""Reads from an ONNX file what its session doesn't show: nodes, their constants, operator sets.

Protobuf is parsed here, because `onnx` and `protobuf` would add 20 MB to the Lambda package. The field numbers are in
https://github.com/onnx/onnx/blob/main/onnx/onnx.proto, the encoding in
https://protobuf.dev/programming-guides/encoding/.
"""

import struct
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import NamedTuple

MODEL = {"graph": 7, "opset_import": 8}
OPERATOR_SET = {"domain": 1, "version": 2}
GRAPH = {"node": 1, "initializer": 5, "input": 11, "output": 12}
NODE = {"input": 1, "output": 2, "op_type": 4, "attribute": 5}
VALUE = {"name": 1}
ATTRIBUTE = {"name": 1, "f": 2, "i": 3, "s": 4, "t": 5, "g": 6, "floats": 7, "ints": 8, "strings": 9}
TENSOR = {
    "data_type": 2, "float_data": 4, "int32_data": 5, "string_data": 6, "int64_data": 7, "name": 8, "raw_data": 9,
    "double_data": 10,
}  # fmt: skip
SUBGRAPHS = ("body", "then_branch", "else_branch")  # attributes of Loop, Scan, SequenceMap and If
MOST_BYTES = 1_000_000  # of a constant that is read; weights are larger
PACKED = {1: "f", 6: "i", 7: "q", 9: "?", 11: "d"}  # TensorProto's data types -> struct's


class Message(NamedTuple):
    """One protobuf message; fields are read by name."""

    content: memoryview
    numbers: Mapping[str, int]

    def values(self, name: str) -> Iterator[int | memoryview]:
        """Yield a field's values, numbers or bytes; a field may occur several times."""
        number = self.numbers[name]
        return (value for field, value in _fields(self.content) if field == number)

    def messages(self, name: str, numbers: Mapping[str, int]) -> "Iterator[Message]":
        return (Message(value, numbers) for value in self.values(name) if not isinstance(value, int))

    def texts(self, name: str) -> tuple[str, ...]:
        return tuple(str(value, "utf-8") for value in self.values(name) if not isinstance(value, int))

    def text(self, name: str) -> str:
        """Return the first of a field's texts, "" if there is none; the rest isn't read."""
        return next((str(value, "utf-8") for value in self.values(name) if not isinstance(value, int)), "")

    def integers(self, name: str) -> tuple[int, ...]:
        """Return integers, packed into one field or each in its own."""
        found: list[int] = []
        for value in self.values(name):
            found += [value] if isinstance(value, int) else _packed(value)
        return tuple(value - 2**64 if value >= 2**63 else value for value in found)

    def floats(self, name: str) -> tuple[float, ...]:
        """Return float32 numbers, packed into one field or each in its own."""
        parts = (value for value in self.values(name) if not isinstance(value, int))
        return tuple(number for part in parts for (number,) in struct.iter_unpack("<f", part))


class Node(NamedTuple):
    """One operator, the names of its input and output tensors, and its message."""

    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    message: Message

    def attributes(self) -> Iterator[tuple[str, Message]]:
        """Yield each attribute by its name, without reading its value: a forest's values have millions of fields."""
        return ((found.text("name"), found) for found in self.message.messages("attribute", ATTRIBUTE))

    def attribute(self, name: str) -> Message | None:
        return next((found for called, found in self.attributes() if called == name), None)

    @property
    def reads(self) -> tuple[str, ...]:
        """The tensors that it reads: its inputs, and those that its subgraphs read, from outer graphs too."""
        bodies = (body for name, found in self.attributes() if name in SUBGRAPHS for body in found.messages("g", GRAPH))
        return (*self.inputs, *(name for body in bodies for name in _find_captured(body)))


class Graph:
    """The main graph of an artifact that onnxruntime has loaded; its nodes are in execution order."""

    def __init__(self, artifact: bytes) -> None:
        self._message = next(Message(memoryview(artifact), MODEL).messages("graph", GRAPH))

    @cached_property
    def nodes(self) -> tuple[Node, ...]:
        return _read_nodes(self._message)

    @cached_property
    def producers(self) -> dict[str, Node]:
        """The node that produces each tensor."""
        return {name: node for node in self.nodes for name in node.outputs}

    @cached_property
    def _tensors(self) -> dict[str, Message]:
        return {tensor.text("name"): tensor for tensor in self._message.messages("initializer", TENSOR)}

    def constants(self, name: str) -> tuple[str, ...] | None:
        """Return the values of a small constant tensor of integers or texts, as texts; None if it isn't a constant."""
        if (tensor := self._tensors.get(name)) is not None:
            return _read_tensor(tensor)
        node = self.producers.get(name)
        if node is None or node.operator != "Constant":
            return None
        for called, attribute in node.attributes():
            if called == "value":
                return _read_tensor(next(attribute.messages("t", TENSOR)))
            if called in ("value_strings", "value_ints"):
                return attribute.texts("strings") or tuple(map(str, attribute.integers("ints")))
        return None


def read_opsets(artifact: bytes) -> dict[str, int]:
    """Read the versions of an artifact's operator sets, domain -> version."""
    opsets = Message(memoryview(artifact), MODEL).messages("opset_import", OPERATOR_SET)
    return {opset.text("domain") or "ai.onnx": opset.integers("version")[0] for opset in opsets}


def _read_nodes(graph: Message) -> tuple[Node, ...]:
    return tuple(
        Node(node.text("op_type"), node.texts("input"), node.texts("output"), node)
        for node in graph.messages("node", NODE)
    )


def _find_captured(subgraph: Message) -> set[str]:
    """Find the tensors that a subgraph reads, but for its inputs, which alone may have the name of an outer tensor."""
    read = {name for node in _read_nodes(subgraph) for name in node.reads}
    read |= {value.text("name") for value in subgraph.messages("output", VALUE)}
    return read - {value.text("name") for value in subgraph.messages("input", VALUE)}


def _read_tensor(tensor: Message) -> tuple[str, ...]:
    if len(tensor.content) > MOST_BYTES:
        return ()
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
    """Walk through one message: yield the number of each field and its value."""
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
