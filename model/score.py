"""Writes the label and the probabilities of every row of files of any size into one file.

python -m model score my.onnx in.parquet out.parquet
"""

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import pyarrow as pa

from function.classifier import Classifier, Model
from function.classifier.inputs import leave_row_out
from function.classifier.model import BOOL, TEXT, WHOLE
from function.errors import ServiceError
from model.answers import answer
from model.cells import parse_column
from model.columns import Choice
from model.encode import Encoder, make_encoder, to_probability_columns
from model.files import Batch, Block, Fault, FileError, RowFile, find_files, find_format, list_names
from model.output import Output, Progress, name_errors
from model.parser import Parser
from model.pipeline import in_order
from model.progress import Meter
from model.reading import FILES, add_artifact, add_options, read_arguments
from model.served import load_served, read_settings
from model.truth import Reading
from model.values import read_values

REFUSED = 2  # the status if some rows weren't answered


class Task(NamedTuple):
    """A block of a file, and where the next one starts."""

    number: int
    block: Block


class Part(NamedTuple):
    """The result of a block."""

    task: Task
    content: bytes | memoryview
    foot: bytes
    n_rows: int
    faults: list[Fault]


@dataclass(frozen=True)
class Scoring:
    """Files, a model, and the columns of the output.

    Attributes:
        keep: the names of the files' columns that are kept.
        answers: the names of the columns for the label and each class's probability.
    """

    classifier: Classifier
    files: Sequence[tuple[RowFile, Choice]]
    keep: Sequence[str]
    answers: Sequence[str]
    encoder: Encoder

    def read(self, start: Progress) -> Iterator[Task]:
        """Yield the blocks of all files, from where an earlier run stopped."""
        for number, (file, _) in enumerate(self.files):
            if number >= start.file:
                for block in file.read(start.place if number == start.file else None):
                    yield Task(number, block)

    def score(self, task: Task) -> Part:
        """Answer a block, and encode it as a part of the output."""
        file, choice = self.files[task.number]
        batch = task.block.parse(list(dict.fromkeys([*choice.features, *self.keep])))
        columns = self.classifier.model.columns
        answers = answer(self.classifier, read_values(columns, batch, choice.features), batch.table.num_rows)
        faults = [Fault(batch.locate(row), leave_row_out(error.message)) for row, error in answers.refused.items()]
        kept = batch.take(answers.rows.tolist()) if faults else batch.table
        rows = self._keep(file, batch._replace(table=kept))
        labels = pa.array(self.classifier.model.labels, pa.string()).take(pa.array(answers.classes))
        written = [*rows, labels, *to_probability_columns(answers.probabilities)]
        content: bytes | memoryview = b""
        foot = b""
        if len(answers.rows):
            content, foot = self.encoder.encode(pa.Table.from_arrays(written, names=self.encoder.schema.names))
        return Part(task, content, foot, len(answers.rows), sorted([*batch.faults, *faults]))

    def _keep(self, file: RowFile, batch: Batch) -> list[pa.ChunkedArray]:
        if batch.records is not None and not self.encoder.is_typed:
            return [batch.table[name] for name in self.keep]
        types = dict(zip(self.encoder.schema.names, self.encoder.schema.types, strict=True))
        return [_cast(file, batch, name, types[name]) for name in self.keep]


def _cast(file: RowFile, batch: Batch, name: str, type: pa.DataType) -> pa.ChunkedArray:
    """Return a column in the output's type."""
    column = batch.table[name]
    if column.type == type:
        return column
    try:
        if batch.is_text and type != pa.string():
            whole = column.combine_chunks()
            kind = BOOL if type == pa.bool_() else "float64"
            found, _ = parse_column(whole, kind, takes_comma=batch.takes_comma, takes_booleans=True)
            column = pa.chunked_array([found])
        return column.cast(type)
    except pa.ArrowException:
        first = batch.locate(0)
        message = f"expected {type} in column {name}, as the rows before have, got {column.type} from line {first} on"
        raise FileError(f"{file.path}: {message}; --keep leaves the column out") from None


def name_answers(model: Model, taken: Sequence[str]) -> list[str]:
    """Name an answer's columns: its label and each class's probability, with a prefix if the input has such a name."""
    names = ["label", *(f"probability_{label}" for label in model.labels)]
    while not set(names).isdisjoint(taken):
        names = [f"predicted_{name}" for name in names]
    return names


def plan(classifier: Classifier, reading: Reading, output: str, keep: Sequence[str] | None) -> Scoring:
    """Open all files, and find the columns of the output.

    Raises:
        FileError: a file can't be read, or has other columns than the first.
    """
    files = [reading.open(path, classifier.model) for path in find_files(reading.files)]
    first, choice = files[0]
    kept = [name for name in first.names if not _is_unnamed_index(first, name)] if keep is None else list(keep)
    for file, _ in files:
        if missing := [name for name in kept if name not in file.names]:
            message = f"expected the columns of {first.path}" if keep is None else "expected the columns of --keep"
            raise FileError(f"{file.path}: {message}, it has none called {list_names(missing)}")
    answers = name_answers(classifier.model, kept)
    types = [_find_type(classifier.model, first, choice, name, output) for name in kept]
    fields = [
        *zip(kept, types, strict=True),
        (answers[0], pa.string()),
        *((name, pa.float32()) for name in answers[1:]),
    ]
    schema = pa.schema(fields)
    return Scoring(classifier, files, kept, answers, make_encoder(output, schema, answers))


def _is_unnamed_index(file: RowFile, name: str) -> bool:
    """Return whether a column is an index of pandas that has no name, `__index_level_0__`."""
    return name in file.index and name.startswith("__index_level_")


def _find_type(model: Model, file: RowFile, choice: Choice, name: str, output: str) -> pa.DataType:
    """Return a column's type in the output: the file's own; for texts from a CSV, the type of the model's input."""
    if name in file.types:
        type = file.types[name]
        return type.value_type if pa.types.is_dictionary(type) else type
    if name not in choice.features and find_format(file.path) in (".jsonl", ".ndjson"):
        taken = list(dict.fromkeys([*choice.features, name]))
        found = next((block.parse(taken).table[name].type for block in file.read()), pa.string())
        return pa.string() if pa.types.is_null(found) else found
    if name not in choice.features or find_format(output) in (".csv", ".tsv"):
        return pa.string()
    wanted = model.columns.types[choice.features.index(name)]
    if wanted in (TEXT, BOOL):
        return pa.string() if wanted == TEXT else pa.bool_()
    return pa.int64() if wanted in WHOLE else pa.float64()


def score(scoring: Scoring, output: Output, *, is_strict: bool = False) -> Progress:
    """Answer all rows; write the parts in order.

    Raises:
        FileError: a file can't be read or written, or a row is refused with `--strict`.
    """
    sizes = [file.n_bytes for file, _ in scoring.files]
    start = output.progress
    meter = Meter(sum(sizes), sum(sizes[: start.file]))
    try:
        for part in in_order(scoring.score, scoring.read(start)):
            path = scoring.files[part.task.number][0].path
            if is_strict and part.faults:
                raise FileError(f"{path}, line {part.faults[0].line}: {part.faults[0].reason}")
            before = output.progress
            n_rows, n_refused = before.n_rows + part.n_rows, before.n_refused + len(part.faults)
            reached = Progress(part.task.number, part.task.block.end, n_rows, n_refused)
            output.add(part.content, part.foot, [(path, fault) for fault in part.faults], reached)
            meter.add(part.n_rows + len(part.faults), part.task.block.n_bytes)
    finally:
        meter.close()
    return output.progress


def _identify(scoring: Scoring, reading: Reading, output: str) -> dict[str, Any]:
    """Return what identifies the output: a run can only be resumed with the same."""
    model = scoring.classifier.model
    return {
        "model": model.sha256,
        "labels": list(model.labels),
        "rule": model.label_rule,
        "fills": [str(fill) for fill in model.columns.fills],
        "files": [[file.path, file.n_bytes, file.version] for file, _ in scoring.files],
        "features": [list(choice.features) for _, choice in scoring.files],
        "columns": [[field.name, str(field.type)] for field in scoring.encoder.schema],
        "has_header": reading.has_header,
        "output": output,
    }


def main(given: Sequence[str] | None = None) -> None:
    """Score files, and print how many rows were answered."""
    parser = Parser(description="Write the label and the probabilities of every row of files.")
    add_artifact(parser)
    parser.add_argument("files", nargs="+", help=FILES)
    parser.add_argument("output", help="the last name: CSV, JSON lines or Parquet, by its name, here or s3://…")
    parser.add_argument("--keep", help="the columns to keep, comma-separated, '' for none (default: all)")
    parser.add_argument("--strict", action="store_true", help="stop at the first row that can't be answered")
    parser.add_argument("--overwrite", action="store_true", help="replace an output that exists")
    parser.add_argument("--resume", action="store_true", help="continue a run that was killed")
    add_options(parser)
    arguments = parser.parse_args(given)
    try:
        done = _run(arguments)
    except ServiceError as error:
        sys.exit(f"{type(error).__name__}: {error}")
    if done.n_refused:
        sys.exit(REFUSED)


def _run(arguments: argparse.Namespace) -> Progress:
    started = time.monotonic()
    path, reading = arguments.output, read_arguments(arguments)
    keep = None if arguments.keep is None else [name for name in arguments.keep.split(",") if name]
    classifier = load_served(read_settings(arguments.artifact, arguments.labels))
    scoring = plan(classifier, reading, path, keep)
    if path in (file.path for file, _ in scoring.files):
        raise FileError(f"{path}: expected another file for the output than the inputs")
    output = Output(path, scoring.encoder, _identify(scoring, reading, path))
    output.open(resumes=arguments.resume, overwrites=arguments.overwrite)
    before = output.progress
    try:
        done = score(scoring, output, is_strict=arguments.strict)
        output.publish()
    except FileError:
        if arguments.strict:
            output.discard()
        raise
    finally:
        output.close()
    print(describe(path, before, done, time.monotonic() - started), flush=True)
    return done


def describe(path: str, before: Progress, done: Progress, seconds: float) -> str:
    """Summarize the run in a line."""
    n_all, n_before = done.n_rows + done.n_refused, before.n_rows + before.n_refused
    text = f"{path}: {done.n_rows:,} of {n_all:,} rows answered in {seconds:,.1f} s, {(n_all - n_before) / seconds:,.0f} rows/s"
    if before.place is not None:
        text += f", {before.n_rows:,} of them by the run before"
    return f"{text}; {name_errors(path)} says why not the other {done.n_refused:,}" if done.n_refused else text


if __name__ == "__main__":
    main()
