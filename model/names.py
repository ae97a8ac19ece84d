"""The names of columns, as data has them and as skl2onnx makes names of inputs of them."""

import re
from collections.abc import Mapping, Sequence


def match(inputs: Sequence[str], names: Sequence[str]) -> dict[str, str]:
    """Find the column of each input, by its name or by what skl2onnx makes of it; those that are clear.

    https://github.com/onnx/sklearn-onnx/blob/1.20.0/skl2onnx/common/_topology.py, _generate_unique_name
    """
    found = find_columns(inputs, names)
    return {input: columns[0] for input, columns in found.items() if len(columns) == 1}


def find_columns(inputs: Sequence[str], names: Sequence[str]) -> dict[str, list[str]]:
    """Find the columns that may be meant by each input."""
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
    """Find the columns of which one may be an input with a number behind it, which says that others have its name."""
    columns = mangled.get(input.rstrip("0123456789"), [])
    return columns if len(columns) > 1 else []
