"""Reads an artifact as ONNX, sets its facts, and writes it in one step."""

import contextlib
import re
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto, helper

from function.classifier import facts, load_bytes
from function.classifier.facts import FACTS_KEY, Facts
from function.classifier.session import NO_VERSION
from function.errors import ArtifactError


def read(path: Path) -> onnx.ModelProto:
    """Read an artifact.

    Raises:
        ArtifactError: it can't be read, or isn't ONNX.
    """
    try:
        model = onnx.load_from_string(path.read_bytes())
    except OSError as error:
        raise ArtifactError(f"{path}: can't be read ({error.strerror})") from None
    except Exception as error:  # noqa: BLE001 - protobuf's own error, which no package here exports
        raise ArtifactError(f"{path}: not an ONNX model; {error}") from None
    if not model.HasField("graph"):  # protobuf takes an empty file too
        raise ArtifactError(
            f"{path}: not an ONNX model; {'it has no graph' if model.ByteSize() else 'the file is empty'}"
        )
    return model


def read_facts(model: onnx.ModelProto) -> Facts:
    return facts.read_facts({entry.key: entry.value for entry in model.metadata_props})


def write(model: onnx.ModelProto, described: Facts) -> bytes:
    """Replace an artifact's facts; its other metadata stays."""
    others = {entry.key: entry.value for entry in model.metadata_props if entry.key != FACTS_KEY}
    helper.set_model_props(model, others | {FACTS_KEY: described.model_dump_json(exclude_none=True)})
    return bytes(model.SerializeToString(deterministic=True))


def check_version(version: int | None) -> None:
    """Refuse what can't be a model's version; 0 means that there is none.

    Raises:
        ArtifactError: it isn't a whole number from 1 on, or is too large for ONNX.
    """
    if version is not None and not (type(version) is int and 0 < version < NO_VERSION):
        raise ArtifactError(f"expected the version to be a whole number from 1 on, got {version!r}")


def check_output(path: Path) -> None:
    """Refuse to write a model into a file of another kind.

    Raises:
        ArtifactError: its name doesn't end in .onnx.
    """
    if not path.name:
        raise ArtifactError("expected the name of a file to write, got none")
    if path.suffix.lower() != ".onnx":
        raise ArtifactError(f"{path}: expected a name that ends in .onnx, for the model is written there")


def save(path: Path, model: onnx.ModelProto, described: Facts, version: int | None = None) -> None:
    """Write an artifact with its facts, if the service would accept it.

    Args:
        path: where to.
        model: the artifact.
        described: its facts.
        version: of the model; None leaves it.

    Raises:
        ArtifactError: it wouldn't, or the file can't be written.
    """
    if version is not None:
        model.model_version = version
    content = write(model, described)
    load_bytes(content, name=path.stem, labels=read_labels(None, path))
    _replace(path, content)


def read_labels(path: Path | None, artifact: Path) -> Sequence[str] | None:
    """Read the given labels, else those beside the artifact, as the service does."""
    beside = artifact.with_name("label.json")
    return facts.read_labels(path or beside) if path or beside.exists() else None


def _replace(path: Path, content: bytes) -> None:
    """Write a file completely or not at all."""
    partial = path.with_name(f"{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(content)
        partial.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            partial.unlink()
        raise ArtifactError(f"{path}: can't be written ({error.strerror}); name another file") from None


def name_inputs(columns: Sequence[str]) -> list[str]:
    """Give each column a unique name that ONNX accepts for an input, a C identifier."""
    names: list[str] = []
    for column in columns:
        safe = re.sub(r"\W", "_", column, flags=re.ASCII)
        name = safe = safe if re.match("[A-Za-z]", safe) else f"column_{safe}"
        number = 1
        while name in names:
            number += 1
            name = f"{safe}_{number}"
        names.append(name)
    return names


def drop_unused_inputs(model: onnx.ModelProto) -> None:
    """Remove inputs that nothing uses."""
    used = {name for node in model.graph.node for name in node.input}
    for input in [input for input in model.graph.input if input.name not in used]:
        model.graph.input.remove(input)


def drop_zipmap(model: onnx.ModelProto) -> None:
    """Output probabilities as a tensor, instead of the maps of a last ZipMap."""
    zipmap = model.graph.node[-1]
    if zipmap.op_type == "ZipMap":
        output = next(output for output in model.graph.output if output.name == zipmap.output[0])
        probabilities = helper.make_tensor_value_info(zipmap.input[0], TensorProto.FLOAT, [None, None])
        output.CopyFrom(probabilities)
        model.graph.node.remove(zipmap)


def take_booleans(model: onnx.ModelProto, names: Collection[str]) -> None:
    """Accept booleans where the model takes 1 and 0."""
    for input in model.graph.input:
        if input.name in names:
            for node in model.graph.node:
                node.input[:] = [f"{name}_as_float" if name == input.name else name for name in node.input]
            type, input.type.tensor_type.elem_type = input.type.tensor_type.elem_type, TensorProto.BOOL
            cast = helper.make_node("Cast", [input.name], [f"{input.name}_as_float"], to=type)
            model.graph.node.insert(0, cast)


def label_by_threshold(model: onnx.ModelProto, classes: Sequence[Any], threshold: float, column: int) -> None:
    """Choose between two classes by a threshold for the probability of one."""
    label, probabilities = model.graph.output
    for node in model.graph.node:
        node.output[:] = ["likeliest" if name == label.name else name for name in node.output]
    type = label.type.tensor_type.elem_type
    ids = [name.encode() if type == TensorProto.STRING else int(name) for name in classes]
    model.graph.initializer.extend(
        [
            helper.make_tensor("threshold", probabilities.type.tensor_type.elem_type, [1], [threshold]),
            helper.make_tensor("threshold_column", TensorProto.INT64, [1], [column]),
            helper.make_tensor("threshold_shape", TensorProto.INT64, [1], [-1]),
            helper.make_tensor("threshold_classes", type, [2], ids),
        ]
    )
    is_second = "GreaterOrEqual" if column else "Less"
    model.graph.node.extend(
        [
            helper.make_node("Gather", [probabilities.name, "threshold_column"], ["of_one"], axis=1),
            helper.make_node("Reshape", ["of_one", "threshold_shape"], ["of_one_flat"]),
            helper.make_node(is_second, ["of_one_flat", "threshold"], ["is_second"]),
            helper.make_node("Cast", ["is_second"], ["which"], to=TensorProto.INT64),
            helper.make_node("Gather", ["threshold_classes", "which"], [label.name]),
        ]
    )
