"""What a model takes: rows of values in, one checked array for each of its inputs out, or what is wrong and where."""

import math
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from function.artifact import Feature
from function.errors import FeaturesError

Rows = Sequence[Sequence[float | str]] | NDArray[np.floating[Any]]
Arrays = list[NDArray[Any]]

TEXT = "string"
WHOLE = ("int64", "int32")
# The largest float64 that each type has room for. A float32 is rounded up to infinity from half a step beyond its own
# largest; and from 2**53 on JSON's numbers, which are float64, may stand for a neighbour.
LARGEST = {
    "float32": float.fromhex("0x1.fffffefffffffp+127"),
    "float64": sys.float_info.max,
    "int64": 2**53 - 1,
    "int32": 2**31 - 1,
}


class Input(NamedTuple):
    """One input of the session, of shape (None, width); its type is NumPy's name for numbers, or TEXT."""

    name: str
    type: str
    width: int


class Columns:
    """The inputs of a model side by side.

    Attributes:
        inputs: in the order of the session.
        features: one `Feature` a column.
        types: "float32", "float64", "int64", "int32" or "string", one a column.
        has_texts: some of them are "string".
        is_matrix: they are one input of numbers.
        wanted: what a row must hold, for messages: "4: sepal length (cm), …".
    """

    def __init__(self, inputs: Sequence[Input], features: Sequence[Feature]) -> None:
        self.inputs = tuple(inputs)
        self.features = tuple(features)
        self.types = tuple(input.type for input in inputs for _ in range(input.width))
        self.wanted = f"{len(self.features)}: {cut(', '.join(feature.name for feature in self.features), 400)}"
        self.has_texts = TEXT in self.types
        self.is_matrix = len(self.inputs) == 1 and not self.has_texts

    def arrays(self, rows: Rows) -> Arrays:
        """Give one array for each input, of its type, shape (n_rows, width).

        Raises:
            FeaturesError: says which row or value is at fault, and what was expected.
        """
        if self.is_matrix:
            return [self._cast(self._matrix(rows), self.inputs[0].type, 0)]
        if error := self._shape_error(rows):
            raise error
        self._check_types(rows)
        return self.check(self.split(np.array([[*row] for row in rows], dtype=object)))

    def split(self, matrix: NDArray[np.object_]) -> Arrays:
        """Cut a matrix of values into those of each input; numbers become float64."""
        ends = np.cumsum([input.width for input in self.inputs])
        parts = zip(self.inputs, np.split(matrix, ends[:-1], axis=1), strict=True)
        return [part if input.type == TEXT else part.astype(np.float64) for input, part in parts]

    def check(self, parts: Arrays) -> Arrays:
        """Cast each input's values to its type; raises as `arrays` does where a number has no place in it."""
        arrays, start = [], 0
        for input, values in zip(self.inputs, parts, strict=True):
            arrays.append(values if input.type == TEXT else self._cast(values, input.type, start))
            start += input.width
        return arrays

    def locate(self, row: int, column: int) -> str:
        """Say where a value stands, with its feature's name: 'row 3, "petal length (cm)"'."""
        if column < len(self.features):
            return f'row {row}, "{cut(self.features[column].name, 100)}"'
        return f"row {row}, column {column}"

    def _matrix(self, rows: Rows) -> NDArray[Any]:
        try:
            matrix = np.asarray(rows, dtype=None if isinstance(rows, np.ndarray) else np.float64)
        except (ValueError, OverflowError):
            matrix = None
        if matrix is None or matrix.ndim != 2 or 0 in matrix.shape or matrix.shape[1] != len(self.features):
            message = f"expected rows of numbers; the model takes {self.wanted}"
            raise self._shape_error(rows) or FeaturesError(message, type="not_a_matrix")
        return matrix

    def _shape_error(self, rows: Rows) -> FeaturesError | None:
        if len(rows) == 0:
            return FeaturesError("expected at least 1 row, got none", type="no_rows")
        for index, row in enumerate(rows):
            if isinstance(row, str) or not isinstance(row, Sequence | np.ndarray):
                message = f"row {index} isn't a row; the model takes rows of {self.wanted}"
                return FeaturesError(message, type="row_type", where=(index,))
            if len(row) != len(self.features):
                count = f"{len(row)} feature{'' if len(row) == 1 else 's'}"
                message = f"row {index} has {count}; the model takes {self.wanted}"
                if (
                    len(rows) == len(self.features) > 1
                    and len({len(row) for row in rows if hasattr(row, "__len__")}) == 1
                ):
                    message += "; are rows and columns swapped?"
                return FeaturesError(message, type="row_width", where=(index,))
        return None

    def _check_types(self, rows: Rows) -> None:
        is_text = [type == TEXT for type in self.types]
        for index, row in enumerate(rows):
            for column, value in enumerate(row):
                if isinstance(value, str) is not is_text[column]:
                    expected, got = ("a string", "a number") if is_text[column] else ("a number", "a string")
                    message = f"{self.locate(index, column)}: expected {expected}, got {got}"
                    kind = "string_type" if is_text[column] else "float_type"
                    raise FeaturesError(message, type=kind, where=(index, column))

    def _cast(self, values: NDArray[Any], type: str, start: int) -> NDArray[Any]:
        if values.dtype == type and type in WHOLE:
            return values
        # Neither a NaN nor an infinity is at most anything.
        if np.abs(values).max() <= LARGEST[type] and (type not in WHOLE or (values == np.floor(values)).all()):
            return values.astype(type, copy=False)
        is_right = np.abs(values) <= LARGEST[type]
        if type in WHOLE:
            is_right &= values == np.floor(values)
        row, column = (int(index) for index in np.argwhere(~is_right)[0])
        raise self._value_error(row, start + column, float(values[row, column]))

    def _value_error(self, row: int, column: int, value: float) -> FeaturesError:
        type = self.types[column]
        wanted = "a whole number" if type in WHOLE else "a finite number"
        if math.isnan(value):
            got = "NaN"
        elif math.isinf(value):
            got = "Infinity" if value > 0 else "-Infinity"
        elif type not in WHOLE:
            got = f"one beyond {type}'s ±{float(np.finfo(type).max):.4g}"
        elif value == math.floor(value):
            got = f"one beyond ±{LARGEST[type]}"
        else:
            got = "one with decimals"
        kind = wanted.removeprefix("a ").replace(" ", "_")
        return FeaturesError(
            f"{self.locate(row, column)}: expected {wanted}, got {got}", type=kind, where=(row, column)
        )


def cut(text: str, length: int) -> str:
    """Shorten a text for a message."""
    return text if len(text) <= length else f"{text[: length - 1]}…"
