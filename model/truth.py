"""Rows whose labels are known, and classifiers' answers to them."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import compress, islice
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
from model.table import DECIMALS, EMPTY
from model.values import count_new_texts, read_values

NO_LABEL = "it has no label"


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
        truth: for each classifier, the indexes of their labels in `Classes`; nothing if none are requested.
        probabilities: of each classifier, float32, shape (n_rows, n_classes).
        classes: of each classifier, label indexes.
        left_out: the other rows, and why.
        n_refused: the number of rows that only this classifier refuses, for each.
        n_known: for each classifier, the number of rows with a label of its own, answered or not.
        unknown: for each classifier, the labels that it doesn't have, and how many rows have them.
        new_texts: how many rows have a text that the first model wasn't trained on, by feature.
    """

    file: str
    lines: NDArray[np.int64]
    truth: list[NDArray[np.intp]]
    probabilities: list[NDArray[np.float32]]
    classes: list[NDArray[np.intp]]
    left_out: list[Fault]
    n_refused: list[int]
    n_known: list[int]
    unknown: list[Counter[str]]
    new_texts: Counter[str]


def answer_files(classifiers: Sequence[Classifier], reading: Reading) -> Iterator[Answered]:
    """Answer the rows of files with all classifiers.

    Raises:
        FileError: a file can't be read.
    """
    for path in find_files(reading.files):
        opened = _open(reading, path, [classifier.model for classifier in classifiers])
        (file, _), choices = opened[0], [choice for _, choice in opened]
        yield from in_order(partial(_answer, classifiers, file, choices), file.read())


def _open(reading: Reading, path: str, models: Sequence[Model]) -> list[tuple[RowFile, Choice]]:
    """Open a file for each model; if it suits only one of two, say which it doesn't suit."""
    opened, faults = list[tuple[RowFile, Choice]](), list[str]()
    for owner, model in zip(("the old model", "the new model"), models, strict=False):
        try:
            opened.append(reading.open(path, model))
        except FileError as error:
            faults += [str(error), owner]
    if faults:
        raise FileError(f"{faults[0]}; so {faults[1]} takes them" if opened else faults[0])
    return opened


def _answer(classifiers: Sequence[Classifier], file: RowFile, choices: Sequence[Choice], block: Block) -> Answered:
    target, models = choices[0].target, [classifier.model for classifier in classifiers]
    names = {name: None for choice in choices for name in choice.features} | ({target: None} if target else {})
    batch = block.parse(list(names))
    left_out = dict(enumerate(batch.faults, start=-len(batch.faults)))
    truth = None if target is None else read_truth(models, file.path, batch.table[target])
    taken: NDArray[np.bool_] = np.ones(batch.table.num_rows, dtype=bool)
    if truth is not None:
        taken = np.all(truth.places >= 0, axis=0)
        left_out |= {row: Fault(batch.locate(row), truth.explain(row)) for row in np.flatnonzero(~taken).tolist()}
    has_label, found = taken.copy(), []
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
        [] if truth is None else [places[rows] for places in truth.places],
        [answers.probabilities[taken[answers.rows]] for answers in found],
        [answers.classes[taken[answers.rows]] for answers in found],
        list(left_out.values()),
        count_alone([{row for row in answers.refused if has_label[row]} for answers in found]),
        [] if truth is None else (truth.places >= 0).sum(axis=1).tolist(),
        [] if truth is None else truth.count_unknown(),
        count_new_texts(models[0].columns, batch, choices[0].features, rows),
    )


def count_alone(refused: Sequence[set[int]]) -> list[int]:
    """Count for each classifier the rows that it refuses and another one answers."""
    by_all = set.intersection(*refused)
    return [len(rows - by_all) for rows in refused]


def find_labels(models: Sequence[Model]) -> tuple[str, ...]:
    """Return the labels of the first model, then those that only others have."""
    return tuple(dict.fromkeys(label for model in models for label in model.labels))


class Classes(NamedTuple):
    """The classes of all models, each once.

    Attributes:
        labels: the first model's, then those of the classes that only others have.
        places: for each model, its label indexes → indexes of these labels.
    """

    labels: tuple[str, ...]
    places: list[NDArray[np.intp]]


def join_classes(models: Sequence[Model]) -> Classes:
    """Find the classes that models share: by label or, if both have no such label, by class id."""
    first, labels, places = models[0], list(models[0].labels), []
    for model in models:
        ids = zip(first.class_ids or (), first.labels, strict=False)
        renamed = {class_id: label for class_id, label in ids if label not in model.labels}
        own = model.class_ids or model.labels
        names = [
            label if label in labels else renamed.get(class_id, label)
            for label, class_id in zip(model.labels, own, strict=True)
        ]
        labels += [name for name in names if name not in labels]
        places.append(np.array([labels.index(name) for name in names], dtype=np.intp))
    return Classes(tuple(labels), places)


class Truth(NamedTuple):
    """The labels of rows.

    Attributes:
        texts: as each model reads them, null if a row has none.
        places: for each model, indexes in `Classes`, -1 for none or an unknown one; shape (n_models, n_rows).
    """

    texts: list[pa.Array]
    places: NDArray[np.intp]

    def explain(self, row: int) -> str:
        """Say why a row has no label of each model."""
        if label := next((texts[row].as_py() for texts in self.texts if texts[row].is_valid), None):
            return f"its label is none of {name_owners(self.places[:, row] < 0)}: {list_names([label])}"
        return NO_LABEL

    def count_unknown(self) -> list[Counter[str]]:
        """Count for each model the labels that it doesn't have."""
        rows = zip(self.texts, self.places, strict=True)
        return [Counter(texts.filter(pa.array(own < 0)).drop_null().to_pylist()) for texts, own in rows]


def name_owners(are_meant: Sequence[bool] | NDArray[np.bool_]) -> str:
    """Say whose labels are meant: those of all models, of the old one, or of the new one."""
    return "the model's" if all(are_meant) else f"the {'old' if are_meant[0] else 'new'} model's"


def read_truth(models: Sequence[Model], path: str, column: pa.ChunkedArray) -> Truth:
    """Read the labels of rows as each model does: as its labels or, if more of them are, as its class ids.

    A label that only another model has is a class that this one lacks, if the other has all of this one's as well.
    Otherwise it may be another name for one of them: it is unknown.

    Raises:
        FileError: they are lists or objects.
    """
    texts = [read_labels(path, column, (*model.labels, *(model.class_ids or ()))) for model in models]
    read = [_choose_names(own, model) for own, model in zip(texts, models, strict=True)]
    own = [
        np.where(found >= 0, places[found], -1)
        for (_, found), places in zip(read, join_classes(models).places, strict=True)
    ]
    filled = list(own)
    for model, (names, _) in enumerate(read):
        for other, (others, _) in enumerate(read):
            if set(names) < set(others):
                filled[model] = np.where(own[model] >= 0, own[model], own[other])
    return Truth(texts, np.array(filled, dtype=np.intp))


def _choose_names(texts: pa.Array, model: Model) -> tuple[Sequence[str], NDArray[np.intp]]:
    """Return the names of a model's classes that the texts are, and the index of each text's, -1 for others."""
    found = [
        (names, np.asarray(pc.index_in(texts, pa.array(names, pa.string())).fill_null(-1)).astype(np.intp))
        for names in (model.labels, model.class_ids or ())
    ]
    return max(found, key=lambda read: int((read[1] >= 0).sum()))


def check_labels(models: Sequence[Model], path: str, found: Sequence[Answered]) -> None:
    """Refuse files of which fewer than half of the labels are a model's.

    Raises:
        FileError: names both.
    """
    unknown = [sum((part.unknown[place] for part in found), Counter[str]()) for place in range(len(models))]
    n_known = [sum(part.n_known[place] for part in found) for place in range(len(models))]
    are_others = [others.total() > n for others, n in zip(unknown, n_known, strict=True)]
    if any(are_others):
        labels = list_names(find_labels(list(compress(models, are_others))))
        got = list_names(sorted(set().union(*compress(unknown, are_others))))
        message = f"expected {name_owners(are_others)} labels, {labels}; got {got}"
        raise FileError(f"{path}: {message}; --labels renames the model's classes")


def read_labels(path: str, column: pa.ChunkedArray, known: Sequence[str]) -> pa.Array:
    """Return labels as texts, integers without decimals (in texts: if so they are known), null if there is none.

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
    short, names = pc.replace_substring_regex(texts, DECIMALS, r"\1"), pa.array(known, pa.string())
    texts = pc.if_else(pc.and_not(pc.is_in(short, names), pc.is_in(texts, names)), short, texts)
    return pc.if_else(pc.is_in(texts, pa.array([text for text in EMPTY if text not in known])), None, texts)


class Judged(NamedTuple):
    """The rows of all files; attributes as in `Answered`."""

    files: list[str]
    lines: NDArray[np.int64]
    truth: list[NDArray[np.intp]]
    probabilities: list[NDArray[np.float32]]
    classes: list[NDArray[np.intp]]
    left_out: list[tuple[str, Fault]]
    n_refused: list[int]
    new_texts: Counter[str]

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
    if reading.target is not None:
        check_labels([classifier.model for classifier in classifiers], ", ".join(reading.files), found)
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
        []
        if reading.target is None
        else [np.concatenate([part.truth[number] for part in found]) for number in numbers],
        [np.concatenate([part.probabilities[number] for part in found]) for number in numbers],
        [np.concatenate([part.classes[number] for part in found]) for number in numbers],
        left_out,
        [sum(part.n_refused[number] for part in found) for number in numbers],
        sum((part.new_texts for part in found), Counter()),
    )
