"""Rows of values → one checked array per input, or what is wrong with a value and where. Only this module decides."""

import math
import operator
import re
import sys
from array import array as buffer
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from function.classifier.model import BOOL, TEXT, WHOLE, Columns, Input, Value, cut
from function.errors import FeaturesError

Rows = Sequence[Sequence[Value]] | NDArray[np.floating[Any]]
Arrays = list[NDArray[Any]]
Values = list[Any] | NDArray[Any]

# The largest float64 that each float type can hold: half a step above its largest number, rounding gives infinity.
LARGEST = {
    "float16": math.nextafter(65520, 0),
    "float32": float.fromhex("0x1.fffffefffffffp+127"),
    "float64": sys.float_info.max,
}
# The range of each type. From 2**53 on, JSON's numbers (float64) may be rounded to another integer.
RANGES = {
    **{type: (-largest, largest) for type, largest in LARGEST.items()},
    **{f"int{bits}": (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) for bits in (8, 16, 32)},
    **{f"uint{bits}": (0, 2**bits - 1) for bits in (8, 16, 32)},
    "int64": (1 - 2**53, 2**53 - 1),
    "uint64": (0, 2**53 - 1),
}
NUMBERS = {int, float}
JSON_TYPES: dict[str, set[type]] = {TEXT: {str}, BOOL: {bool}}  # of values that aren't numbers
# So few values are checked one by one: straight after a run of the model, a NumPy call takes as long as 30 values.
FEW = 64
PASSES = (*WHOLE, BOOL)  # arrays of these types need no check
NO_MISSING = (
    "null is accepted if the model was trained with missing values: use python -m model describe, or ALLOW_MISSING=true"
)
SWAPPED = "; are rows and columns swapped?"
_ARRAY = re.compile(rb"\s*\[\s*([\[{])")
_NAMES = {str: "a string", bool: "a boolean", dict: "an object", list: "a list", tuple: "a list", type(None): "null"}


def to_arrays(columns: Columns, rows: Sequence[Sequence[Any]]) -> Arrays:
    """Return one array per input, of its type, shape (n_rows, width).

    Args:
        columns: what a row must hold.
        rows: lists of n_features values, at least one; numbers finite in the type of their input, texts as str,
            missing values as None.

    Raises:
        FeaturesError: says which row or value is wrong, and what was expected.
    """
    if set(map(len, rows)) != {len(columns.features)}:
        raise _find_type_fault(columns, rows) or _width_error(columns, rows)
    values, inputs = list(chain.from_iterable(rows)), columns.inputs
    try:
        if len(inputs) == 1:
            return [to_array(columns, inputs[0], 0, values)]
        arrays, start, n_columns = [], 0, len(columns.features)
        for input in inputs:
            parts = [values[column::n_columns] for column in range(start, start + input.width)]
            part = parts[0] if input.width == 1 else list(chain.from_iterable(zip(*parts, strict=True)))
            arrays.append(to_array(columns, input, start, part))
            start += input.width
    except FeaturesError as error:
        raise _find_type_fault(columns, rows) or error from None
    return arrays


def to_array(columns: Columns, input: Input, start: int, values: Values) -> NDArray[Any]:
    """Return the array of one input, shape (n_rows, width).

    Args:
        columns: what a row must hold.
        input: one of their inputs.
        start: its first column.
        values: the input's values, row by row: Python's from JSON, or an array of numbers.

    Raises:
        FeaturesError: says which value is wrong, and what was expected.
    """
    wanted = input.type
    array: NDArray[Any] | None = None
    if isinstance(values, np.ndarray):
        if values.dtype == wanted and wanted in PASSES:
            return values.reshape(-1, input.width)
        if columns.takes_missing and np.isnan(values).any():
            return _to_array_with_gaps(columns, input, start, to_list(values))
        values = values.tolist() if len(values) <= FEW else values
    if wanted in JSON_TYPES:
        kind = object if wanted == TEXT else bool
        array = np.array(values, dtype=kind) if set(map(type, values)) <= JSON_TYPES[wanted] else None
    elif len(values) > FEW:
        array = _cast(values, wanted)
    elif set(map(type, values)) <= NUMBERS and _are_in_range(values, wanted):
        array = np.array(values, dtype=wanted)
    if array is not None:
        return array.reshape(-1, input.width)
    if columns.takes_missing and isinstance(values, list) and None in values:
        return _to_array_with_gaps(columns, input, start, values)
    if isinstance(values, list) and (numbers := _read_booleans(columns, input, start, values)):
        return to_array(columns, input, start, numbers)
    raise _find_fault(columns, input, start, values if isinstance(values, list) else values.tolist())


def _to_array_with_gaps(columns: Columns, input: Input, start: int, values: list[Any]) -> NDArray[Any]:
    """Return the array of values of which some are missing (None), if their columns accept that."""
    fills = columns.fills[start : start + input.width]
    gaps = [index for index, value in enumerate(values) if value is None]
    if any(fills[index % input.width] is None for index in gaps):
        raise _find_fault(columns, input, start, values)
    filled = list(values)
    for index in gaps:
        filled[index] = fills[index % input.width] if input.type == TEXT else 0.0
    try:
        array = to_array(columns, input, start, filled)
    except FeaturesError:
        raise _find_fault(columns, input, start, values) from None
    if input.type != TEXT:
        array.reshape(-1)[gaps] = np.nan
    return array


def _read_booleans(columns: Columns, input: Input, start: int, values: list[Any]) -> list[Any] | None:
    """Return the values with 1 and 0 for true and false in numeric columns that accept these; None if there are none."""
    places = [place for place, is_taken in enumerate(columns.booleans[start : start + input.width]) if is_taken]
    numbers = list(values)
    for place in places:
        column = values[place :: input.width]
        numbers[place :: input.width] = [float(value) if type(value) is bool else value for value in column]
    return None if all(map(operator.is_, numbers, values)) else numbers


def to_list(array: NDArray[Any]) -> list[Any]:
    """Return an array as lists, NaN as None."""
    values = array.astype(object)
    values[np.isnan(array)] = None
    return values.tolist()  # type: ignore[no-any-return]


def _are_in_range(values: Iterable[float], type: str) -> bool:
    (low, high), is_whole = RANGES[type], type in WHOLE
    for value in values:  # noqa: SIM110 - a generator takes twice as long
        if not low <= value <= high or (is_whole and value != math.floor(value)):  # false for NaN
            return False
    return True


def _cast(values: Values, type: str) -> NDArray[Any] | None:
    """Cast many numbers to a type; return None if one isn't a number, or is out of the type's range."""
    numbers = values if isinstance(values, np.ndarray) else _read_numbers(values)
    low, high = RANGES[type]
    # Comparisons with NaN are false.
    if numbers is None or not (float(numbers.min()) >= low and float(numbers.max()) <= high):
        return None
    if type in WHOLE and not (numbers == np.floor(numbers)).all():
        return None
    return numbers.astype(type, copy=False)


def _read_numbers(values: list[Any]) -> NDArray[np.float64] | None:
    """Read numbers, and nothing else: NumPy would accept texts and null too, and `array` accepts booleans."""
    try:
        numbers = np.frombuffer(buffer("d", values))
    except (TypeError, OverflowError):  # not a number, or one with hundreds of digits
        return None
    suspects = np.flatnonzero((numbers == 0) | (numbers == 1))  # booleans are read as these
    if len(suspects) < len(values) // 8:
        return None if any(type(values[index]) is bool for index in suspects.tolist()) else numbers
    return None if bool in map(type, values) else numbers


def find_row_fault(columns: Columns, rows: Sequence[Any]) -> FeaturesError | None:
    """Look for a row that isn't a list of values."""
    if set(map(type, rows)) <= {list, tuple}:
        return None
    index = next(index for index, row in enumerate(rows) if not isinstance(row, list | tuple))
    message = (
        f"row {index}: expected {columns.row_type}, got {name_type(rows[index])}; the model takes {columns.wanted}"
    )
    return FeaturesError(message, type="list_type", where=(index,))


def refuse_record(columns: Columns, record: object) -> str:
    """Say what is wrong with a line of JSON that is no row: neither a list nor an object with all features."""
    takes = f"the model takes {columns.wanted}"
    if not isinstance(record, dict):
        return f"expected an object of features or {columns.row_type}, got {name_type(record)}; {takes}"
    missing = next(feature.name for feature in columns.features if feature.name not in record)
    return f'"{cut(missing, 100)}": it is missing; {takes}'


def refuse_array(start: bytes) -> str | None:
    """Say what is wrong with JSON lines that are one list of all rows, by their first bytes."""
    if not (found := _ARRAY.match(start)):
        return None
    if found[1] == b"[":
        return "expected one row a line, got a list of lists"
    return "expected one object a line, got a list of objects; pandas writes one a line with lines=True"


def leave_row_out(message: str) -> str:
    """Leave out of a refusal which row of a request it is, for whoever knows its line in a file."""
    rest = re.sub(r"^row \d+(, |: )?", "", message).removesuffix(SWAPPED)
    return f"it{rest}" if rest.startswith(" ") else rest


def _width_error(columns: Columns, rows: Sequence[Sequence[Any]]) -> FeaturesError:
    n_columns = len(columns.features)
    if not rows:
        return FeaturesError("expected at least 1 row, got none", type="no_rows")
    index = next(index for index, row in enumerate(rows) if len(row) != n_columns)
    count = f"{len(rows[index])} feature{'' if len(rows[index]) == 1 else 's'}"
    message = f"row {index} has {count}; the model takes {columns.wanted}"
    if len(rows) == n_columns > 1 and len({len(row) for row in rows}) == 1:
        message += SWAPPED
    return FeaturesError(message, type="row_width", where=(index,))


def _find_type_fault(columns: Columns, rows: Sequence[Sequence[Any]]) -> FeaturesError | None:
    """Find the first value of a wrong type; in a row of another width only what no row may hold."""
    for index, row in enumerate(rows):
        is_whole = len(row) == len(columns.features)
        for column, value in enumerate(row):
            if not _has_type(columns, column, value) and (is_whole or isinstance(value, dict | list | tuple)):
                return _type_error(columns, index, column, value)
    return None


def _has_type(columns: Columns, column: int, value: object) -> bool:
    if column >= len(columns.types):
        return not isinstance(value, dict | list | tuple)
    if value is None:
        return columns.fills[column] is not None
    if type(value) is bool and columns.booleans[column]:
        return True
    return type(value) in JSON_TYPES.get(columns.types[column], NUMBERS)


def _find_fault(columns: Columns, input: Input, start: int, values: Sequence[Any]) -> FeaturesError:
    """Find the first value that an input can't take: of a wrong type, else out of range."""
    for index, value in enumerate(values):
        row, column = divmod(index, input.width)
        if not _has_type(columns, start + column, value):
            return _type_error(columns, row, start + column, value)
    sizes = enumerate(values)
    wrong = next(index for index, value in sizes if value is not None and not _are_in_range([value], input.type))
    row, column = divmod(wrong, input.width)
    return _range_error(columns, row, start + column, values[wrong])


def _type_error(columns: Columns, row: int, column: int, value: object) -> FeaturesError:
    type = columns.types[column] if column < len(columns.types) else ""
    kinds = {TEXT: ("string_type", "a string"), BOOL: ("bool_type", "true or false")}
    kind, expected = kinds.get(type, ("float_type", "a number"))
    if column < len(columns.types) and columns.booleans[column]:
        expected = "a number, true or false"
    message = f"{columns.locate(row, column)}: expected {expected}, got {name_type(value)}"
    if value is None and column < len(columns.types):
        reason = f"{type} has no missing value" if type in (BOOL, *WHOLE) else columns.reasons.get(column, NO_MISSING)
        message = f"{message}; {reason}"
    return FeaturesError(message, type=kind, where=(row, column))


def _range_error(columns: Columns, row: int, column: int, value: float) -> FeaturesError:
    type = columns.types[column]
    kind, wanted = ("whole_number", "a whole number") if type in WHOLE else ("finite_number", "a finite number")
    message = f"{columns.locate(row, column)}: expected {wanted}, got {_describe(value, type)}"
    return FeaturesError(message, type=kind, where=(row, column))


def _describe(value: float, type: str) -> str:
    """Describe a number that is out of a type's range, without repeating it."""
    try:
        number = float(value)
    except OverflowError:  # an integer with hundreds of digits
        number = math.inf if value > 0 else -math.inf
    if math.isnan(number):
        return "NaN"
    if math.isinf(number):
        return "Infinity" if number > 0 else "-Infinity"
    if type not in WHOLE:
        return f"one beyond {type}'s ±{float(np.finfo(type).max):.4g}"
    if value != math.floor(value):
        return "one with decimals"
    low, high = RANGES[type]
    return f"one beyond ±{high}" if low == -high else f"one outside {low} to {high}"


def name_type(value: object) -> str:
    """Name the JSON type of a value, for messages: "a string"."""
    return _NAMES.get(type(value), "a number")
