"""Writes facts from the training data into an artifact: names, ranges, labels, a sample, training facts.

python -m model describe my.onnx training.csv --target species --in-place
"""

import argparse
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from function.classifier.model import BOOL, TEXT
from function.classifier.onnx_file import Graph
from function.classifier.trace import find_categories
from function.errors import ArtifactError, ServiceError

try:
    import onnx
    import pyarrow as pa  # noqa: F401 - reads the files
except ImportError as error:
    sys.exit(f"model describe needs the package {error.name}, which is missing: `make model` installs it")
from model import artifact
from model.columns import Choice, check_header, check_repeated, check_types, name_features
from model.facts import LabelError, find_facts
from model.files import FileError, RowFile, find_files, open_file
from model.names import find_columns
from model.parser import Parser
from model.reading import FILES, add_artifact
from model.rows import locate, read_batches, read_values
from model.table import Table, count_rows, is_boolean, to_numbers
from model.truth import read_labels

TYPES = {onnx.TensorProto.STRING: TEXT, onnx.TensorProto.BOOL: BOOL}


class Column(NamedTuple):
    """One feature of a model, by its name in the files."""

    name: str
    type: str  # TEXT, BOOL, or float64 for any number
    known: tuple[str, ...]  # the texts that the model's encoder knows


def read_columns(model: onnx.ModelProto, names: Sequence[str]) -> list[Column]:
    """Find the model's columns in those of a file: by name if each column has its own input, else by position."""
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
        Column(name, TYPES.get(found.type.tensor_type.elem_type, "float64"), known.get(found.name, ()))
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
        raise ArtifactError(f"{message}; the file has {_list(names)}")
    if unclear := next((columns for columns in found.values() if len(columns) > 1), None):
        rivals = ", ".join(input for input, columns in found.items() if columns == unclear)
        message = f"expected one column for each input of the model, {rivals} may be {' or '.join(map(repr, unclear))}"
        raise ArtifactError(f"{message}; give the columns the names of the inputs")
    return [column for (column,) in found.values()]


def _list(names: Iterable[str]) -> str:
    return ", ".join(name or '""' for name in names)


def _width(found: onnx.ValueInfoProto) -> int:
    sizes = found.type.tensor_type.shape.dim
    return int(sizes[1].dim_value) if len(sizes) == 2 else int(len(sizes) == 1)


def read_table(
    files: Sequence[RowFile], columns: Sequence[Column], target: str | None, labels: Sequence[str]
) -> tuple[Table, list[str | None] | None]:
    """Read all rows of files, each column in the type of the model's input, and their labels if there are any.

    Raises:
        FileError: a row can't be read; names it.
    """
    table: Table = {column.name: [] for column in columns}
    truth: list[str | None] = []
    for file in files:
        for batch in read_batches(file, [*table, *([] if target is None else [target])]):
            for column in columns:
                table[column.name] += read_values(file, batch, column.name, column.type, column.known)
            if target is not None:
                truth += read_labels(file.path, batch.table[target], labels).to_pylist()
    for name, values in table.items():
        table[name] = values if is_boolean(values) else to_numbers(values)
    if not count_rows(table):
        raise FileError(f"{files[0].path}: expected rows, got none")
    return table, None if target is None else truth


def main(given: Sequence[str] | None = None) -> None:
    """Write the facts into the artifact, or into another file."""
    parser = Parser(description="Write facts from training data into an ONNX artifact.")
    add_artifact(parser)
    parser.add_argument("files", nargs="+", help=f"the training data: {FILES}")
    parser.add_argument("--target", help="the column of the true labels")
    parser.add_argument("--ignore", action="append", default=[], help="a column that is no feature; may be repeated")
    parser.add_argument(
        "--labels", type=Path, help="index -> label, JSON; default: label.json beside it, or the values of the target"
    )
    parser.add_argument("--version", type=int, metavar="N", help="the version that the service shows, from 1 on")
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
    artifact.check_version(arguments.version)
    if arguments.output is not None:
        artifact.check_output(output)
    model, labels = artifact.read(arguments.artifact), artifact.read_labels(arguments.labels, arguments.artifact)
    files, target = [open_file(path) for path in find_files(arguments.files)], arguments.target
    for file in files:
        check_repeated(file)
    inputs = [found.name for found in model.graph.input]
    columns = read_columns(model, name_features(files[0], target, arguments.ignore, inputs))
    names = [column.name for column in columns]
    for file in files:
        check_header(file, names)
        check_types(file, Choice(names, target))
    table, truth = read_table(files, columns, target, labels or ())
    try:
        described = find_facts(model, table, truth, labels)
    except LabelError as error:
        raise FileError(f"{locate(files, str(target), error.row)}: {error.message}") from None
    artifact.save(output, model, described.name_target(target).facts, arguments.version)
    print(f"{output}: {described.summarize(count_rows(table))}", flush=True)
    if warning := described.warn():
        print(warning, file=sys.stderr)


if __name__ == "__main__":
    main()
