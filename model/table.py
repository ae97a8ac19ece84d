"""Rows by column: a DataFrame or an array → one list of values per column."""

import math
import re
from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np

from function.errors import ArtifactError

Value = float | str | bool | None  # None is a missing value
Row = tuple[Value, ...]
Table = dict[str, list[Value]]

EMPTY = ("", "NA", "N/A", "NaN", "nan", "null", "None")  # as pandas reads and writes them
DECIMALS = r"^([+-]?[0-9]+)(?:\.0+|,0)$"  # of an integer: as pandas writes a column of integers that has a gap


def count_rows(table: Table) -> int:
    return len(next(iter(table.values())))


def is_gap(value: Any) -> bool:
    """Return whether a value is None or NaN."""
    return value is None or value != value  # noqa: PLR0124


def is_text(values: Sequence[Value]) -> bool:
    return any(isinstance(value, str) for value in values)


def is_boolean(values: Sequence[Value]) -> bool:
    """Return whether all values are booleans; some may be missing."""
    return {type(value) for value in values if value is not None} == {bool}


def drop_decimals(labels: Sequence[str | None], known: Collection[str]) -> list[str | None]:
    """Return labels that are all whole numbers without decimals, unless these are known."""
    found = {label for label in labels if label is not None}
    if found <= set(known) or not all(re.fullmatch(r"[+-]?[0-9]+", re.sub(DECIMALS, r"\1", label)) for label in found):
        return list(labels)
    return [None if label is None else re.sub(DECIMALS, r"\1", label) for label in labels]


def to_numbers(values: Sequence[Value]) -> list[Value]:
    """Return numbers, with 1 and 0 for booleans."""
    return [float(value) if isinstance(value, bool) else value for value in values]


def read_rows(table: Table) -> list[Row]:
    return list(zip(*table.values(), strict=True))


def read_features(X: Any) -> Table:
    """Return the values of a DataFrame, an array of shape (n_rows, n_features), or a series of texts.

    None, NaN, NA and NaT become None; numbers are finite.

    Raises:
        ArtifactError: says what is wrong, and in which column.
    """
    if hasattr(X, "columns"):
        table = _read_frame(X)
    else:
        array = np.asarray(X)
        if array.ndim == 1 and {type(value) for value in array.tolist()} == {str}:
            table = {str(getattr(X, "name", None) or "text"): array.tolist()}
        elif array.ndim == 2:
            table = {f"feature {place}": _read_column(f"feature {place}", array[:, place].tolist())
                     for place in range(array.shape[1])}  # fmt: skip
        else:
            expected = "a DataFrame, or an array of shape (n_rows, n_features)"
            raise ArtifactError(f"expected X to be {expected}, got {type(X).__name__} of shape {array.shape}")
    if not table or not count_rows(table):
        raise ArtifactError("expected X to have columns and rows, got none")
    return table


def _read_frame(X: Any) -> Table:
    names = [str(name) for name in X.columns]
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise ArtifactError(f"expected columns of different names, got {', '.join(repeated)} more than once")
    columns = (X.iloc[:, place] for place in range(len(names)))
    return {
        name: _read_column(
            name,
            [None if is_gap else value for is_gap, value in zip(column.isna().tolist(), column.tolist(), strict=True)],
        )
        for name, column in zip(names, columns, strict=True)
    }


def _read_column(name: str, values: list[Any]) -> list[Value]:
    """Convert the values of a column to one type: booleans, texts, or else numbers."""
    values = [None if is_gap(value) else value for value in values]
    kinds = {type(value) for value in values if value is not None}
    if kinds <= {bool, np.bool_}:
        return _map(bool, values)
    if all(issubclass(kind, str) for kind in kinds):
        return _map(str, values)
    if all(issubclass(kind, int | float | np.number | np.bool_) for kind in kinds):
        return _check_finite(name, _map(float, values))
    found = ", ".join(sorted(kind.__name__ for kind in kinds))
    raise ArtifactError(f"column {name!r}: expected numbers, texts or booleans, got {found}")


def _map(kind: Callable[[Any], Value], values: Sequence[Any]) -> list[Value]:
    return [None if value is None else kind(value) for value in values]


def _check_finite(name: str, numbers: list[Value] | list[float | None]) -> list[Value]:
    if any(math.isinf(number) for number in numbers if isinstance(number, float)):
        raise ArtifactError(f"column {name!r}: expected finite numbers")
    return list(numbers)
