"""A classifier's answers to the rows of a file, the same as the service gives; it may refuse any row."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from function.classifier import Classifier, Prediction
from function.classifier.predictor import find_classes
from function.classifier.session import RUN_ERRORS
from function.errors import FeaturesError
from model.lines import GROUP
from model.values import Indexes, Values


@dataclass
class Answers:
    """The answers to the rows that a model answers, in order, and why it refuses the others.

    Attributes:
        rows: the indexes of the answered rows.
        probabilities: float32, shape (n_rows, n_classes).
        classes: the indexes of their labels.
        refused: row index → what is wrong with the row.
    """

    rows: Indexes
    probabilities: NDArray[np.float32]
    classes: NDArray[np.intp]
    refused: dict[int, FeaturesError] = field(default_factory=dict)


def answer(classifier: Classifier, values: Values, n_rows: int) -> Answers:
    """Answer all rows that the model answers, and find out what is wrong with the others."""
    asked = _Asked(classifier, values)
    for start in range(0, n_rows, GROUP):
        asked.ask(np.arange(start, min(n_rows, start + GROUP)))
    return asked.collect()


class _Asked:
    """The results so far."""

    def __init__(self, classifier: Classifier, values: Values) -> None:
        self._classifier, self._values = classifier, values
        self._found: list[tuple[Indexes, Prediction]] = []
        self._refused: dict[int, FeaturesError] = {}

    def ask(self, rows: Indexes) -> None:
        """Answer rows in one run; if that fails, find the rows that can be answered, one by one or by halving."""
        n_before = len(self._found)
        self._ask(rows)
        if len(self._found) > n_before + 1:  # a model's float32 may depend on the number of rows in a run
            pieces = self._found[n_before:]
            del self._found[n_before:]
            if not self._is_answered(np.sort(np.concatenate([rows for rows, _ in pieces]))):
                self._found += pieces

    def _ask(self, rows: Indexes) -> None:
        if self._is_answered(rows):
            return
        is_suspect = self._values.find_suspects(rows)
        for row in rows[is_suspect]:
            self._ask_alone(int(row))
        others = rows[~is_suspect]
        if len(others) and not (is_suspect.any() and self._is_answered(others)):
            self._halve(others)

    def _is_answered(self, rows: Indexes) -> bool:
        try:
            self._found.append((rows, self._classifier.run(self._values.to_arrays(rows))))
        except (FeaturesError, *RUN_ERRORS):
            return False
        return True

    def _halve(self, rows: Indexes) -> None:
        if len(rows) == 1:
            self._ask_alone(int(rows[0]))
            return
        for half in np.array_split(rows, 2):
            if not self._is_answered(half):
                self._halve(half)

    def _ask_alone(self, row: int) -> None:
        try:
            self._found.append((np.array([row]), self._classifier.predict_rows([self._values.get_row(row)])))
        except FeaturesError as error:
            self._refused[row] = error

    def collect(self) -> Answers:
        """Sort the answers into the order of the rows."""
        if not self._found:
            n_classes = len(self._classifier.model.labels)
            nothing = np.empty(0, dtype=np.intp)
            return Answers(nothing, np.empty((0, n_classes), np.float32), nothing, self._refused)
        rows = np.concatenate([rows for rows, _ in self._found])
        probabilities = np.concatenate([prediction.probabilities for _, prediction in self._found])
        classes = np.concatenate([find_classes(prediction) for _, prediction in self._found])
        if (np.diff(rows) < 0).any():
            order = rows.argsort()
            rows, probabilities, classes = rows[order], probabilities[order], classes[order]
        return Answers(rows, probabilities, classes, dict(sorted(self._refused.items())))
