"""Rows → the predictions of those that the model takes, and why it doesn't take the others."""

import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from function.classifier import Classifier, Prediction
from function.classifier.inputs import SWAPPED, to_arrays
from function.errors import RequestError

Rows = list[Sequence[Any]]
BLOCK = 16  # of 16, 64 and 256 what takes least time, for one bad row in a hundred as for every second


class Answer(NamedTuple):
    """Of some rows of a batch: their indexes, their prediction (None of none); and the faults of the others."""

    kept: list[int]
    prediction: Prediction | None
    faults: dict[int, str]


def answer(classifier: Classifier, rows: Sequence[Sequence[Any]], faults: dict[int, str]) -> Answer:
    """Predict all rows in one run but those with faults, which are known or found here.

    A fault is what /predict/batch says of that row.
    """
    kept = [index for index in range(len(rows)) if index not in faults] if faults else list(range(len(rows)))
    found = dict(faults)
    columns = classifier.model.columns
    # Where all is well it's one run; else those rows are looked for that can't be values, then those the model refuses.
    for trial in (lambda some: to_arrays(columns, some), classifier.predict_rows):
        try:
            return Answer(kept, classifier.predict_rows([rows[index] for index in kept]) if kept else None, found)
        except RequestError:
            kept = _sift(trial, rows, kept, found)
    return Answer(kept, classifier.predict_rows([rows[index] for index in kept]) if kept else None, found)


def _sift(
    trial: Callable[[Rows], object], rows: Sequence[Sequence[Any]], some: list[int], faults: dict[int, str]
) -> list[int]:
    """Return the indexes of those rows that pass a trial, and note why others don't: one after the other, in blocks."""
    kept: list[int] = []
    for start in range(0, len(some), BLOCK):
        block = some[start : start + BLOCK]
        while block:
            try:
                trial([rows[index] for index in block])
            except RequestError as error:
                place = int(error.where[0])
                faults[block.pop(place)] = _leave_row_out(error.message)
            else:
                kept += block
                break
    return kept


def _leave_row_out(message: str) -> str:
    """Leave out which row of the block it was: its line in the file is known."""
    rest = re.sub(r"^row \d+(, |: )?", "", message).removesuffix(SWAPPED)
    return f"it{rest}" if rest.startswith(" ") else rest
