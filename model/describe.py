"""Writes into an artifact what a CSV of its training data says: names, ranges, labels, a sample, training facts.

python -m model.describe my.onnx training.csv --target species
"""

import argparse
import contextlib
import csv
import math
import re
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from function.classifier import Model, load_bytes
from function.classifier.facts import FACTS_KEY, Facts, Feature, Sample, read_facts, read_labels
from function.errors import ArtifactError, FeaturesError, ServiceError

try:
    import onnx
except ImportError:
    sys.exit("model.describe writes with the package onnx, which isn't here: `make .venv/train` installs it")

EMPTY = ("", "NA", "N/A", "NaN", "nan", "null", "None")  # as pandas reads and writes them
MOST_VALUES = 100  # of a column of texts: one with more, or whose texts hardly repeat, is no choice

Row = dict[str, str]


class Column(NamedTuple):
    """One feature, by its name in the CSV."""

    name: str
    is_text: bool


def _as_input(name: str) -> str:
    """Give a column the name that skl2onnx gives its input."""
    return re.sub(r"\W", "_", name)


def read_csv(path: Path) -> list[Row]:
    """Read a CSV with a header, delimited by commas, semicolons or tabs; what stands for no value becomes "".

    Raises:
        ArtifactError: says what is wrong with it, and in which line.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            header = file.readline()
            delimiter = max(",;\t", key=lambda delimiter: len(next(csv.reader([header], delimiter=delimiter), [])))
            file.seek(0)
            reader = csv.DictReader(file, delimiter=delimiter, strict=True)
            names = reader.fieldnames or []
            rows = []
            for row in reader:
                if None in row or None in row.values():
                    expected = f"{len(names)} cells, as the header has"
                    raise ArtifactError(f"{path}: expected {expected}, line {reader.line_num} has others")
                rows.append({name: "" if cell in EMPTY else cell for name, cell in row.items()})
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ArtifactError(f"{path}: expected a CSV in UTF-8 with a header; {error}") from None
    if len(set(names)) < len(names) or not rows:
        raise ArtifactError(f"{path}: expected a header of different names, and rows below it")
    return rows


def describe(model: onnx.ModelProto, rows: Sequence[Row], target: str | None, labels: Sequence[str] | None) -> Facts:
    """Find the facts of a model in the rows that it was trained on; those with an empty cell don't count.

    Args:
        model: the artifact.
        rows: column -> text.
        target: the column of the true labels, if there is one; else the labels and training facts stay as they are.
        labels: those of the classes, if they are known.

    Raises:
        ArtifactError: the columns aren't the model's, a cell isn't what its column takes, or the labels aren't clear.
    """
    before = read_facts({entry.key: entry.value for entry in model.metadata_props})
    columns = _columns(model, [name for name in rows[0] if name != target])
    wanted = [*(column.name for column in columns), *([target] if target else [])]
    whole = {number: row for number, row in enumerate(rows, 1) if all(row[name] for name in wanted)}
    if not whole:
        raise ArtifactError("expected at least one row without an empty cell")
    features = tuple(_feature(column, [row[column.name] for row in whole.values()]) for column in columns)
    values = [[row[name] if is_text else float(row[name]) for name, is_text in columns] for row in whole.values()]
    if labels is None and target is None:
        labels = before.labels
    classifier = load_bytes(write(model, Facts(sample=Sample(row=tuple(values[0])))), name="the model", labels=labels)
    loaded = classifier.model
    try:
        best = classifier.predict(values).argmax(axis=1).tolist()
    except FeaturesError as error:
        place = dict(zip(("row", "column"), map(int, error.where), strict=False))
        where = f"data row {list(whole)[place['row']]}"
        if "column" in place:
            where += f", column {columns[place['column']].name!r}"
        raise ArtifactError(f"{where}: the model fails on it; was it trained on these rows?") from None
    names, training = loaded.labels, before.training
    if target is not None:
        names, accuracy = _learn_labels(best, [row[target] for row in whole.values()], loaded)
        accuracy_from = "the rows that it is described by"
        training = {"rows": len(whole), "accuracy": round(accuracy, 4), "accuracy_from": accuracy_from}
        training |= {"described": datetime.now(UTC).date().isoformat()}
    sample = Sample(row=tuple(values[0]), probabilities=tuple(loaded.sample_probabilities.tolist()))
    return Facts(features=features, labels=_by_class_id(names, loaded.class_ids), sample=sample, training=training)


def _learn_labels(best: Sequence[int], truth: Sequence[str], model: Model) -> tuple[tuple[str, ...], float]:
    """Give the labels, and the share of rows that the model labels rightly."""
    names = model.labels
    called = names
    if not set(truth) <= set(names) or model.labels_from == "their positions":
        called = _vote(best, truth, len(names))
        if model.labels_from != "a label file":
            names = called
    right = sum(called[index] == label for index, label in zip(best, truth, strict=True))
    if right <= Counter(truth).most_common(1)[0][1]:
        message = f"it labels {right / len(truth):.2%} of the rows rightly, no more than by always saying the same"
        raise ArtifactError(f"{message}; are the columns, or the labels, in another order?")
    return names, right / len(truth)


def write(model: onnx.ModelProto, facts: Facts) -> bytes:
    """Put facts in place of those that an artifact has; what else it says of itself stays."""
    others = {entry.key: entry.value for entry in model.metadata_props if entry.key != FACTS_KEY}
    onnx.helper.set_model_props(model, others | {FACTS_KEY: facts.model_dump_json(exclude_none=True)})
    return bytes(model.SerializeToString(deterministic=True))


def _columns(model: onnx.ModelProto, names: Sequence[str]) -> list[Column]:
    """Find the model's columns in the CSV: by name where each has an input of its own, else in their order."""
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [
        (found.name, found.type.tensor_type.elem_type == onnx.TensorProto.STRING, _width(found))
        for found in model.graph.input
        if found.name not in weights
    ]
    if len(inputs) > 1 and all(width == 1 for _, _, width in inputs):
        known = {_as_input(name): name for name in names} | {name: name for name in names}
        if missing := [name for name, _, _ in inputs if name not in known]:
            message = f"expected a column for each input of the model, none is called {', '.join(missing)}"
            raise ArtifactError(f"{message}; the CSV has {_list(names)}")
        return [Column(known[name], is_text) for name, is_text, _ in inputs]
    takes = [is_text for _, is_text, width in inputs for _ in range(width)]
    if len(names) != len(takes):
        message = f"expected {len(takes)} columns, as the model takes, besides --target and --ignore"
        raise ArtifactError(f"{message}; got {len(names)}: {_list(names)}")
    return [Column(name, is_text) for name, is_text in zip(names, takes, strict=True)]


def _list(names: Iterable[str]) -> str:
    return ", ".join(name or '""' for name in names)


def _width(found: onnx.ValueInfoProto) -> int:
    sizes = found.type.tensor_type.shape.dim
    return int(sizes[1].dim_value) if len(sizes) == 2 else 0


def _feature(column: Column, cells: Sequence[str]) -> Feature:
    if column.is_text:
        values = sorted(set(cells))
        is_choice = len(values) <= min(MOST_VALUES, len(cells) / 2)
        return Feature(name=column.name, values=tuple(values) if is_choice else None)
    try:
        numbers = [float(cell) for cell in cells]
    except ValueError as error:
        raise ArtifactError(f"column {column.name!r}: expected numbers; {error}") from None
    if not all(map(math.isfinite, numbers)):
        raise ArtifactError(f"column {column.name!r}: expected finite numbers")
    return Feature(name=column.name, min=min(numbers, default=None), max=max(numbers, default=None))


def _vote(best: Sequence[int], truth: Sequence[str], n_classes: int) -> tuple[str, ...]:
    """Name each class as most of the rows are called that the model puts there."""
    calls = Counter(zip(best, truth, strict=True))
    names = tuple(max(sorted(set(truth)), key=lambda name: calls[index, name]) for index in range(n_classes))
    if len(set(names)) < n_classes or not all(calls[index, name] for index, name in enumerate(names)):
        raise ArtifactError("the rows don't show which class has which label; name them in a file for --labels")
    return names


def _by_class_id(names: Sequence[str], class_ids: Sequence[str] | None) -> tuple[str, ...]:
    """Put labels into the order in which a label.json has them."""
    if class_ids is None or set(class_ids) != {str(index) for index in range(len(names))}:
        return tuple(names)
    return tuple(name for _, name in sorted(zip(map(int, class_ids), names, strict=True)))


def main(given: Sequence[str] | None = None) -> None:
    """Write the facts into the artifact, or into another file."""
    parser = argparse.ArgumentParser(description="Write what a CSV of training data says into an ONNX artifact.")
    parser.add_argument("artifact", type=Path)
    parser.add_argument("csv", type=Path, help="with a header; its columns in the order of the model's features")
    parser.add_argument("--target", help="the column of the true labels")
    parser.add_argument("--ignore", action="append", default=[], help="a column that is no feature; may be repeated")
    parser.add_argument(
        "--labels", type=Path, help="index -> label, JSON; default: label.json beside it, or as the target says"
    )
    parser.add_argument("--output", type=Path, help="where to write; default: the artifact itself")
    arguments = parser.parse_args(given)
    output = arguments.output or arguments.artifact
    try:
        rows = [
            {name: cell for name, cell in row.items() if name not in arguments.ignore}
            for row in read_csv(arguments.csv)
        ]
        if arguments.target is not None and arguments.target not in rows[0]:
            raise ArtifactError(f"{arguments.csv}: no column is called {arguments.target}; it has {_list(rows[0])}")
        model = _load(arguments.artifact)
        facts = describe(model, rows, arguments.target, _read_labels(arguments.labels, arguments.artifact))
        artifact = write(model, facts)
        load_bytes(artifact, name=output.stem, labels=_read_labels(None, output))  # as it will be served
        _replace(output, artifact)
    except ServiceError as error:
        sys.exit(f"{type(error).__name__}: {error}")
    print(f"{output}: {_summarize(facts, len(rows))}")


def _read_labels(path: Path | None, artifact: Path) -> Sequence[str] | None:
    """Read the labels that are given, else those beside the artifact, as the service does."""
    beside = artifact.with_name("label.json")
    return read_labels(path or beside) if path or beside.exists() else None


def _replace(path: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    partial = path.with_name(f"{path.name}.partial")
    try:
        partial.write_bytes(content)
        partial.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            partial.unlink()
        raise ArtifactError(f"{path}: can't be written ({error.strerror}); --output names another") from None


def _summarize(facts: Facts, n_rows: int) -> str:
    features, labels, training = facts.features or (), facts.labels or (), facts.training or {}
    text = f"described {len(features)} feature{'s' if len(features) > 1 else ''} and the labels {', '.join(labels)}"
    if "described" in training:
        text += f" by {training['rows']} whole rows of {n_rows}, {training['accuracy']:.2%} of which it labels rightly"
    return text


def _load(path: Path) -> onnx.ModelProto:
    try:
        return onnx.load_from_string(path.read_bytes())
    except OSError as error:
        raise ArtifactError(f"{path}: can't be read ({error.strerror})") from None
    except Exception as error:  # noqa: BLE001 - protobuf's own error, which no package here names
        raise ArtifactError(f"{path}: no ONNX model; {error}") from None


if __name__ == "__main__":
    main()
