"""Matches the names of columns with the names of inputs that skl2onnx makes from them."""

import re
from collections.abc import Mapping, Sequence


def match(inputs: Sequence[str], names: Sequence[str]) -> dict[str, str]:
    """Find the column of each input, by its name or by the name that skl2onnx gives it, where that is clear.

    https://github.com/onnx/sklearn-onnx/blob/1.20.0/skl2onnx/common/_topology.py, _generate_unique_name
    """
    found = find_columns(inputs, names)
    return {input: columns[0] for input, columns in found.items() if len(columns) == 1}


def find_columns(inputs: Sequence[str], names: Sequence[str]) -> dict[str, list[str]]:
    """Find the possible columns of each input."""
    if set(inputs) <= set(names):
        return {input: [input] for input in inputs}
    mangled: dict[str, list[str]] = {}
    for name in names:
        mangled.setdefault(_mangle(name), []).append(name)
    return {input: mangled.get(input) or _find_numbered(input, mangled) for input in inputs}


def _mangle(name: str) -> str:
    mangled = re.sub(r"[^\w+]", "_", name)
    return f"_{mangled}" if re.match("[0-9]", mangled) else mangled


def _find_numbered(input: str, mangled: Mapping[str, list[str]]) -> list[str]:
    """Find the possible columns of an input with a number after its name, which skl2onnx adds to repeated names."""
    columns = mangled.get(input.rstrip("0123456789"), [])
    return columns if len(columns) > 1 else []
