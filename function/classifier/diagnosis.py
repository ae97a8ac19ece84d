"""Finds the row, and the value in it, that a model failed on; runs only after a failure."""

from bisect import bisect_left
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from function.classifier.inputs import Arrays, to_arrays
from function.classifier.model import Model, Probabilities, cut
from function.classifier.session import RUN_ERRORS, Session
from function.errors import FeaturesError


def not_finite(probabilities: Probabilities) -> FeaturesError:
    """Name the first row whose answer isn't finite."""
    row = int(np.argwhere(~np.isfinite(probabilities))[0, 0])
    return _no_answer(row, "the model's answer isn't finite; are the values in the range it was trained on?")


def no_probabilities(row: int) -> FeaturesError:
    """Name a row whose answer isn't probabilities."""
    message = "the model's answer isn't probabilities that sum to 1; are the values in the range it was trained on?"
    return _no_answer(row, message)


def no_class(row: int) -> FeaturesError:
    """Name a row whose label is none of the classes."""
    return _no_answer(row, "the model's label is none of its classes")


def _no_answer(row: int, message: str) -> FeaturesError:
    return FeaturesError(f"row {row}: {message}", type="no_answer", where=(row,))


def find_refused(session: Session, model: Model, arrays: Arrays) -> FeaturesError | None:
    """Find the first row that a model fails on, and in it the first value that it also fails on in its sample.

    Returns:
        None if the model answers each row alone.
    """
    n_rows = len(arrays[0])
    output = model.signature.output_name
    row = _first(n_rows, lambda last: _is_refused(session, output, [array[: last + 1] for array in arrays]))
    if row == n_rows:
        return None
    values = [value for array in arrays for value in array[row].tolist()]
    column = _find_column(session, model, [None if value != value else value for value in values])  # noqa: PLR0124 - NaN
    if column is None:
        return _no_answer(row, "the model fails on its values; are they like the values that it was trained on?")
    known = model.features[column].values
    expected = f"one of {cut(', '.join(known), 400)}" if known else "one that the model was trained on"
    message = f"{model.columns.locate(row, column)}: expected {expected}, got another value"
    return FeaturesError(message, type="unknown_value", where=(row, column))


def _find_column(session: Session, model: Model, row: list[Any]) -> int | None:
    """Find the first value that alone makes the model fail when it replaces the sample's value."""
    sample = list(model.sample)

    def is_refused(first: int, last: int) -> bool:
        mixed = [*sample[:first], *row[first : last + 1], *sample[last + 1 :]]
        return _is_refused(session, model.signature.output_name, to_arrays(model.columns, [mixed]))

    column = _first(len(row), lambda last: is_refused(0, last))
    return column if column < len(row) and is_refused(column, column) else None


def _first(n: int, is_so: Callable[[int], bool]) -> int:
    """Return the first of n numbers from which on `is_so` is true, n if it never is."""
    return bisect_left(range(n), True, key=is_so)


def _is_refused(session: Session, output: str, arrays: list[NDArray[Any]]) -> bool:
    try:
        session.run([output], arrays)
    except RUN_ERRORS:
        return True
    return False
