"""Rows whose labels are known, and classifiers' answers to them."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from function.classifier import Classifier, Model
from function.classifier.inputs import leave_row_out
from model.answers import answer
from model.columns import Choice, choose
from model.files import Block, Fault, FileError, RowFile, find_files, list_names, open_file
from model.pipeline import in_order
from model.table import EMPTY
from model.values import read_values

NO_LABEL = "it has no label"
UNKNOWN = "its label is none of the model's"


@dataclass(frozen=True)
class Reading:
    """Which files to read, and how.

    Attributes:
        files: names, globs and folders.
        target: the column of the true labels, if they are known.
        by_position: features are the columns in the file's order, whatever their names.
        has_header: the first line of a CSV names its columns.
        ignore: columns that aren't features.
        takes_target: the command has --target, for messages.
    """

    files: Sequence[str]
    target: str | None = None
    by_position: bool = False
    has_header: bool = True
    ignore: Sequence[str] = ()
    takes_target: bool = True

    def open(self, path: str, model: Model) -> tuple[RowFile, Choice]:
        """Open a file, and find its columns."""
        file = open_file(path, has_header=self.has_header, columns=model.columns)
        choice = choose(
            file,
            model.columns,
            self.target,
            by_position=self.by_position,
            ignore=self.ignore,
            takes_target=self.takes_target,
        )
        return file, choice


class Answered(NamedTuple):
    """The answers to rows of a block that every classifier answers and that have a label, if labels are requested.

    Attributes:
        file: its path.
        lines: of the rows, counted from 1.
        truth: the indexes of their labels in `find_labels`; empty if none are requested.
        probabilities: of each classifier, float32, shape (n_rows, n_classes).
        classes: of each classifier, label indexes.
        left_out: the other rows, and why.
        n_refused: the number of rows that only this classifier refuses, for each.
        n_known: the number of rows that have a model's label, answered or not.
        unknown: the labels that no model has, and how many rows have them.
    """

    file: str
    lines: NDArray[np.int64]
    truth: NDArray[np.intp]
    probabilities: list[NDArray[np.float32]]
    classes: list[NDArray[np.intp]]
    left_out: list[Fault]
    n_refused: list[int]
    n_known: int
    unknown: Counter[str]


def answer_files(classifiers: Sequence[Classifier], reading: Reading) -> Iterator[Answered]:
    """Answer the rows of files with all classifiers.

    Raises:
        FileError: a file can't be read.
    """
    for path in find_files(reading.files):
        opened = [reading.open(path, classifier.model) for classifier in classifiers]
        (file, _), choices = opened[0], [choice for _, choice in opened]
        yield from in_order(partial(_answer, classifiers, file, choices), file.read())


def _answer(classifiers: Sequence[Classifier], file: RowFile, choices: Sequence[Choice], block: Block) -> Answered:
    target = choices[0].target
    names = {name: None for choice in choices for name in choice.features} | ({target: None} if target else {})
    batch = block.parse(list(names))
    left_out = dict(enumerate(batch.faults, start=-len(batch.faults)))
    truth, without = None, dict[int, str | None]()
    if target:
        labels, class_ids = find_labels(classifiers), classifiers[0].model.class_ids or ()
        texts = read_labels(file.path, batch.table[target], (*labels, *class_ids))
        truth = find_truth(texts, labels, class_ids)
        without = {row: texts[row].as_py() for row in np.flatnonzero(truth < 0).tolist()}
    taken = np.ones(batch.table.num_rows, dtype=bool) if truth is None else truth >= 0
    left_out |= {row: Fault(batch.locate(row), _explain(label)) for row, label in without.items()}
    found = []
    for classifier, choice in zip(classifiers, choices, strict=True):
        values = read_values(classifier.model.columns, batch, choice.features)
        answers = answer(classifier, values, batch.table.num_rows)
        for row, error in answers.refused.items():
            left_out.setdefault(row, Fault(batch.locate(row), leave_row_out(error.message)))
            taken[row] = False
        found.append(answers)
    rows = np.flatnonzero(taken)
    return Answered(
        file.path,
        np.array([batch.locate(row) for row in rows.tolist()], dtype=np.int64),
        np.empty(0, dtype=np.intp) if truth is None else truth[rows],
        [answers.probabilities[taken[answers.rows]] for answers in found],
        [answers.classes[taken[answers.rows]] for answers in found],
        list(left_out.values()),
        count_alone([{row for row in answers.refused if truth is None or truth[row] >= 0} for answers in found]),
        0 if truth is None else int((truth >= 0).sum()),
        Counter(label for label in without.values() if label is not None),
    )


def _explain(label: str | None) -> str:
    return NO_LABEL if label is None else f"{UNKNOWN}: {list_names([label])}"


def count_alone(refused: Sequence[set[int]]) -> list[int]:
    """Count for each classifier the rows that it refuses and another one answers."""
    by_all = set.intersection(*refused)
    return [len(rows - by_all) for rows in refused]


def find_labels(classifiers: Sequence[Classifier]) -> tuple[str, ...]:
    """Return the labels of the first model, then those that only others have."""
    return tuple(dict.fromkeys(label for classifier in classifiers for label in classifier.model.labels))


def find_truth(texts: pa.Array, labels: Sequence[str], class_ids: Sequence[str]) -> NDArray[np.intp]:
    """Return the index of each row's label, -1 if it has none or an unknown one.

    The values are labels or, if more of them are, a model's class ids.
    """
    found = [
        np.asarray(pc.index_in(texts, pa.array(names, pa.string())).fill_null(-1)) for names in (labels, class_ids)
    ]
    return max(found, key=lambda places: int((places >= 0).sum())).astype(np.intp)


def check_labels(path: str, n_known: int, unknown: Counter[str], labels: Sequence[str]) -> None:
    """Refuse files of which fewer than half of the labels are the models'.

    Raises:
        FileError: names both.
    """
    if unknown.total() > n_known:
        message = f"expected the model's labels, {list_names(labels)}; got {list_names(sorted(unknown))}"
        raise FileError(f"{path}: {message}; --labels renames the model's classes")


def read_labels(path: str, column: pa.ChunkedArray, known: Sequence[str]) -> pa.Array:
    """Return labels as texts, integers without decimals, null if there is none.

    Raises:
        FileError: they are lists or objects.
    """
    whole = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
    if pa.types.is_dictionary(whole.type):
        whole = whole.dictionary_decode()
    if pa.types.is_floating(whole.type):
        values = [None if value is None or value != value else value for value in whole.to_pylist()]  # noqa: PLR0124
        return pa.array([None if v is None else str(int(v)) if v.is_integer() else str(v) for v in values], pa.string())
    if pa.types.is_boolean(whole.type):
        return pa.array([None if value is None else str(value) for value in whole.to_pylist()], pa.string())
    if pa.types.is_nested(whole.type):
        raise FileError(f"{path}: expected labels that are texts, numbers or booleans, got {whole.type}")
    texts = whole.cast(pa.string())
    return pc.if_else(pc.is_in(texts, pa.array([text for text in EMPTY if text not in known])), None, texts)


class Judged(NamedTuple):
    """The rows of all files; attributes as in `Answered`."""

    files: list[str]
    lines: NDArray[np.int64]
    truth: NDArray[np.intp]
    probabilities: list[NDArray[np.float32]]
    classes: list[NDArray[np.intp]]
    left_out: list[tuple[str, Fault]]
    n_refused: list[int]

    def count_reasons(self) -> list[tuple[str, int]]:
        """Count the reasons why rows are left out, the most common first."""
        return Counter(fault.reason for _, fault in self.left_out).most_common()

    def find_places(self, reason: str, n: int) -> list[str]:
        """Return the files and lines of the first rows that are left out for a reason."""
        found = ((file, fault.line) for file, fault in self.left_out if fault.reason == reason)
        return [f"{file}:{line}" for file, line in islice(found, n)]


def judge(classifiers: Sequence[Classifier], reading: Reading) -> Judged:
    """Answer the rows of files with all classifiers, and join the results.

    Raises:
        FileError: as `answer_files`, most labels aren't the models', or no row is left.
    """
    found = list(answer_files(classifiers, reading))
    n_known = sum(part.n_known for part in found)
    check_labels(
        ", ".join(reading.files), n_known, sum((part.unknown for part in found), Counter()), find_labels(classifiers)
    )
    left_out = [(part.file, fault) for part in found for fault in part.left_out]
    if not sum(len(part.lines) for part in found):
        message = (
            f"expected rows that can be answered, got none of {len(left_out):,}"
            if left_out
            else "expected rows, got none"
        )
        first = f"; {left_out[0][0]}, line {left_out[0][1].line}: {left_out[0][1].reason}" if left_out else ""
        raise FileError(f"{', '.join(reading.files)}: {message}{first}")
    numbers = range(len(classifiers))
    return Judged(
        [part.file for part in found for _ in part.lines.tolist()],
        np.concatenate([part.lines for part in found]),
        np.concatenate([part.truth for part in found]),
        [np.concatenate([part.probabilities[number] for part in found]) for number in numbers],
        [np.concatenate([part.classes[number] for part in found]) for number in numbers],
        left_out,
        [sum(part.n_refused[number] for part in found) for number in numbers],
    )
