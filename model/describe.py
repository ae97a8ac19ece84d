"""Writes facts from a CSV of the training data into an artifact: names, ranges, labels, a sample, training facts.

python -m model.describe my.onnx training.csv --target species --in-place
"""

import argparse
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from function.classifier.onnx_file import Graph
from function.classifier.trace import find_categories
from function.errors import ArtifactError, ServiceError
from model.table import (
    Cells,
    Table,
    Value,
    count_rows,
    parse_booleans,
    parse_labels,
    parse_numbers,
    parse_texts,
    read_csv,
)

try:
    import onnx
except ImportError:
    sys.exit("model.describe writes with the package onnx, which is missing: `make .venv/train` installs it")
from model import artifact
from model.facts import find_facts
from model.names import find_columns


class Column(NamedTuple):
    """One feature of a model, by its name in the CSV."""

    name: str
    type: int  # TensorProto's
    known: tuple[str, ...]  # the texts that the model's encoder knows


def read_columns(model: onnx.ModelProto, names: Sequence[str]) -> list[Column]:
    """Find the model's columns in a CSV: by name if each column has its own input, else by position."""
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [found for found in model.graph.input if found.name not in weights]
    known = find_categories(Graph(model.SerializeToString()))
    if len(inputs) > 1 and all(_width(found) == 1 for found in inputs):
        columns = match([found.name for found in inputs], names)
    else:
        columns = list(names)
        inputs = [found for found in inputs for _ in range(_width(found))]
    if len(columns) != len(inputs):
        message = f"expected {len(inputs)} columns, as the model takes, besides --target and --ignore"
        raise ArtifactError(f"{message}; got {len(names)}: {_list(names)}")
    return [
        Column(name, found.type.tensor_type.elem_type, known.get(found.name, ()))
        for name, found in zip(columns, inputs, strict=True)
    ]


def match(inputs: Sequence[str], names: Sequence[str]) -> list[str]:
    """Find the column of each input, by its name or by the name that skl2onnx gives it.

    Raises:
        ArtifactError: an input has no column, or several possible ones.
    """
    found = find_columns(inputs, names)
    if missing := [input for input, columns in found.items() if not columns]:
        message = f"expected a column for each input of the model, none is called {', '.join(missing)}"
        raise ArtifactError(f"{message}; the CSV has {_list(names)}")
    if unclear := next((columns for columns in found.values() if len(columns) > 1), None):
        rivals = ", ".join(input for input, columns in found.items() if columns == unclear)
        message = f"expected one column for each input of the model, {rivals} may be {' or '.join(map(repr, unclear))}"
        raise ArtifactError(f"{message}; give the CSV's columns the names of the inputs")
    return [column for (column,) in found.values()]


def _list(names: Iterable[str]) -> str:
    return ", ".join(name or '""' for name in names)


def _width(found: onnx.ValueInfoProto) -> int:
    sizes = found.type.tensor_type.shape.dim
    return int(sizes[1].dim_value) if len(sizes) == 2 else int(len(sizes) == 1)


def read_table(cells: Cells, columns: Sequence[Column]) -> Table:
    """Read the cells of each column in the type of the model's input."""
    return {column.name: _read_cells(column, cells[column.name]) for column in columns}


def _read_cells(column: Column, cells: Sequence[str]) -> list[Value]:
    if column.type == onnx.TensorProto.STRING:
        return parse_texts(cells, column.known)
    if column.type == onnx.TensorProto.BOOL:
        return parse_booleans(column.name, cells)
    return parse_numbers(column.name, cells)


def main(given: Sequence[str] | None = None) -> None:
    """Write the facts into the artifact, or into another file."""
    parser = argparse.ArgumentParser(description="Write facts from a CSV of training data into an ONNX artifact.")
    parser.add_argument("artifact", type=Path)
    parser.add_argument("csv", type=Path, help="with a header; its columns in the order of the model's features")
    parser.add_argument("--target", help="the column of the true labels")
    parser.add_argument("--ignore", action="append", default=[], help="a column that is no feature; may be repeated")
    parser.add_argument(
        "--labels", type=Path, help="index -> label, JSON; default: label.json beside it, or the values of the target"
    )
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--output", type=Path, help="where to write")
    where.add_argument("--in-place", action="store_true", help="write into the artifact itself")
    arguments = parser.parse_args(given)
    if arguments.output is None and not arguments.in_place:
        sys.exit(f"expected --output FILE, or --in-place to write into {arguments.artifact} itself")
    try:
        _run(arguments, arguments.output or arguments.artifact)
    except ServiceError as error:
        sys.exit(f"{type(error).__name__}: {error}")


def _run(arguments: argparse.Namespace, output: Path) -> None:
    cells, target = read_csv(arguments.csv), arguments.target
    names = [name for name in cells if name not in arguments.ignore]
    if target is not None and target not in names:
        raise ArtifactError(f"{arguments.csv}: no column is called {target}; it has {_list(names)}")
    model, labels = artifact.read(arguments.artifact), artifact.read_labels(arguments.labels, arguments.artifact)
    table = read_table(cells, read_columns(model, [name for name in names if name != target]))
    truth = parse_labels(cells[target], labels or ()) if target is not None else None
    described = find_facts(model, table, truth, labels)
    artifact.save(output, model, described.name_target(target).facts)
    print(f"{output}: {described.summarize(count_rows(table))}")


if __name__ == "__main__":
    main()
