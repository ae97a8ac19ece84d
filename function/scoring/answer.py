"""Rows → predictions for the rows that the model takes, and reasons for the others."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from function.classifier import Classifier, Prediction
from function.classifier.inputs import leave_row_out, to_arrays
from function.errors import RequestError

Rows = list[Sequence[Any]]
BLOCK = 16  # the fastest of 16, 64 and 256, for 1 % and for 50 % bad rows


class Answer(NamedTuple):
    """The answered rows of a batch: their indexes and their prediction (None without any); the faults of the others."""

    kept: list[int]
    prediction: Prediction | None
    faults: dict[int, str]


def answer(classifier: Classifier, rows: Sequence[Sequence[Any]], faults: dict[int, str]) -> Answer:
    """Predict all rows without a fault in one run; some faults are known, others are found here.

    A fault is the message of /predict/batch for that row.
    """
    kept = [index for index in range(len(rows)) if index not in faults] if faults else list(range(len(rows)))
    found = dict(faults)
    columns = classifier.model.columns
    # Good rows take one run. Otherwise find the rows with wrong values, then the rows that the model refuses.
    for trial in (lambda some: to_arrays(columns, some), classifier.predict_rows):
        try:
            return Answer(kept, classifier.predict_rows([rows[index] for index in kept]) if kept else None, found)
        except RequestError:
            kept = _sift(trial, rows, kept, found)
    return Answer(kept, classifier.predict_rows([rows[index] for index in kept]) if kept else None, found)


def _sift(
    trial: Callable[[Rows], object], rows: Sequence[Sequence[Any]], some: list[int], faults: dict[int, str]
) -> list[int]:
    """Return the indexes of the rows that pass a trial, and record why others don't; try them in blocks."""
    kept: list[int] = []
    for start in range(0, len(some), BLOCK):
        block = some[start : start + BLOCK]
        while block:
            try:
                trial([rows[index] for index in block])
            except RequestError as error:
                place = int(error.where[0])
                faults[block.pop(place)] = leave_row_out(error.message)
            else:
                kept += block
                break
    return kept
