"""The body of the native routes, `{"data": [[5.1, 3.5, 1.4, 0.2]]}` → rows; the classifier checks the values."""

import json
from collections.abc import Sequence
from typing import Any

from function.api.body import decode_json
from function.classifier.inputs import find_row_fault, name_type
from function.classifier.model import Columns
from function.errors import BodyError, FeaturesError


def read_rows(body: bytearray, columns: Columns) -> list[Any]:
    """Read the rows from a body: all lists in the order of the features, or all objects by feature name.

    Raises:
        BodyError: not JSON, or not an object with only the key "data".
        FeaturesError: objects whose keys aren't the features.
    """
    document = decode_json(body)
    if not isinstance(document, dict):
        message = f'expected an object {{"data": [[…]]}}, got {name_type(document)}'
        raise BodyError(message, type="model_type")
    if "data" not in document:
        message = f'"data" is missing: expected a list of rows; the model takes {columns.wanted}'
        raise BodyError(message, type="missing", where=("data",))
    if len(document) > 1:
        # The keys are the caller's text: not repeated.
        raise BodyError('expected an object with the key "data" alone, got others', type="extra_forbidden")
    rows = document["data"]
    if not isinstance(rows, list):
        message = f'"data": expected a list of rows, got {name_type(rows)}; the model takes {columns.wanted}'
        raise BodyError(message, type="list_type", where=("data",))
    if rows and isinstance(rows[0], dict):
        return _order(rows, columns)
    if rows and type(rows[0]) in (int, float):
        message = f'row 0: expected {columns.row_type}, got a number; write one row as {{"data": [[…]]}}'
        raise FeaturesError(f"{message}; the model takes {columns.wanted}", type="list_type", where=(0,))
    if (fault := find_row_fault(columns, rows)) is not None:
        raise fault
    return rows


def _order(rows: Sequence[Any], columns: Columns) -> list[list[Any]]:
    """Convert rows that are objects, feature name → value, to lists in the order of the features."""
    names = [feature.name for feature in columns.features]
    known = set(names)
    for index, row in enumerate(rows):
        if not isinstance(row, dict) or row.keys() != known:
            raise _object_fault(index, row, names, columns)
    return [[row[name] for name in names] for row in rows]


def _object_fault(index: int, row: object, names: Sequence[str], columns: Columns) -> FeaturesError:
    takes = f"the model takes {columns.wanted}"
    if not isinstance(row, dict):
        message = f"row {index}: expected an object of features, as row 0 is, got {name_type(row)}; {takes}"
        return FeaturesError(message, type="dict_type", where=(index,))
    for column, name in enumerate(names):
        if name not in row:
            message = f"{columns.locate(index, column)}: it is missing; {takes}"
            return FeaturesError(message, type="missing", where=(index, column))
    unknown = json.dumps(next(name for name in row if name not in names)[:100])
    return FeaturesError(f"row {index}: {unknown} is not a feature; {takes}", type="extra_forbidden", where=(index,))
