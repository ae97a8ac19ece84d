"""The values of a batch: a file's cells → one checked array per input of the model."""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from function.classifier.inputs import Arrays, to_array, to_arrays
from function.classifier.model import BOOL, TEXT, Columns
from function.errors import FeaturesError
from model.cells import parse_cell, parse_column, read_texts
from model.files import Batch, Record

Indexes = NDArray[np.intp]


class Values(ABC):
    """Rows for a model; any of them may be wrong."""

    @abstractmethod
    def to_arrays(self, rows: Indexes) -> Arrays:
        """Return the arrays of some rows.

        Raises:
            FeaturesError: a value doesn't fit its feature.
        """

    @abstractmethod
    def get_row(self, row: int) -> list[Any]:
        """Return a row's values as in JSON, to check it alone.

        Raises:
            FeaturesError: it has none for a feature.
        """

    def find_suspects(self, rows: Indexes) -> NDArray[np.bool_]:
        """Return the rows that are likely to be refused, to check them alone; others may be wrong too."""
        return np.zeros(len(rows), dtype=bool)


def read_values(columns: Columns, batch: Batch, names: Sequence[str]) -> Values:
    """Read the values of a batch, its columns in the order of the features."""
    if batch.records is not None:
        return RecordValues(columns, batch.records, names)
    return TableValues(columns, batch, names)


class RecordValues(Values):
    """JSON objects and lists, checked value by value as in the service; a list has the features' order."""

    def __init__(self, columns: Columns, records: Sequence[Record], names: Sequence[str]) -> None:
        self._columns, self._records, self._names = columns, records, names

    def to_arrays(self, rows: Indexes) -> Arrays:
        return to_arrays(self._columns, [self.get_row(row) for row in rows.tolist()])

    def get_row(self, row: int) -> list[Any]:
        record = self._records[row]
        if isinstance(record, list):
            return record
        for column, name in enumerate(self._names):
            if name not in record:
                message = f"{self._columns.locate(0, column)}: it is missing; the model takes {self._columns.wanted}"
                raise FeaturesError(message, type="missing", where=(0, column))
        return [record[name] for name in self._names]


class TableValues(Values):
    """Columns of CSV and Parquet, checked by column."""

    def __init__(self, columns: Columns, batch: Batch, names: Sequence[str]) -> None:
        n_rows = batch.table.num_rows
        self._columns = columns
        self._is_text = batch.is_text
        self._takes_comma, self._takes_booleans = batch.takes_comma, columns.booleans
        self._given = [self._combine(batch, place, name) for place, name in enumerate(names)]
        self._wrong = np.zeros(n_rows, dtype=bool)  # certainly refused
        self._unknown = np.zeros(n_rows, dtype=bool)  # a text that the training data didn't have
        read = [self._read(place) for place in range(len(names))]
        self._inputs, start = [], 0
        for input in columns.inputs:
            parts = read[start : start + input.width]
            self._inputs.append(parts[0][:, None] if input.width == 1 else np.stack(parts, axis=1))
            start += input.width

    def _combine(self, batch: Batch, place: int, name: str) -> pa.Array:
        column = _combine(batch.table[name])
        if not batch.is_text or self._columns.types[place] != TEXT:
            return column
        known, fill = self._columns.features[place].values, self._columns.fills[place]
        return read_texts(column, known, is_free=known is None and fill is None)

    def _read(self, place: int) -> NDArray[Any]:
        """Return a column's values, missing ones as NaN or a text; mark refused values and set them to anything."""
        given, type, fill = self._given[place], self._columns.types[place], self._columns.fills[place]
        is_wrong_type = False
        if self._is_text and type != TEXT:
            given, is_gap = parse_column(
                given, type, takes_comma=self._takes_comma, takes_booleans=self._takes_booleans[place]
            )
            self._wrong |= np.asarray(given.is_null()) & ~is_gap
        elif pa.types.is_boolean(given.type) and self._takes_booleans[place]:
            given = given.cast(pa.float64())
        elif (is_text(given.type), pa.types.is_boolean(given.type)) != (type == TEXT, type == BOOL):
            is_wrong_type = True
        gaps = np.asarray(given.is_null())
        if is_wrong_type:
            self._wrong |= ~gaps if fill is not None else True
            return np.full(len(given), fill if fill is not None else False, dtype=object if type == TEXT else None)
        if fill is None:
            self._wrong |= gaps
        if type == TEXT:
            known = self._columns.features[place].values
            if known:
                self._unknown |= ~(np.asarray(pc.is_in(given, pa.array(known, given.type))) | gaps)
            return np.array(given.fill_null(fill or "").to_pylist(), dtype=object)
        if fill is None and given.null_count:
            given = given.fill_null(pa.scalar(0).cast(given.type))
        return given.to_numpy(zero_copy_only=False)  # type: ignore[no-any-return]

    def to_arrays(self, rows: Indexes) -> Arrays:
        if self._wrong[rows].any():
            raise FeaturesError("some of the rows are refused", type="rows")  # checked alone, each row says why
        is_run = rows[-1] - rows[0] == len(rows) - 1
        arrays, start = [], 0
        for input, values in zip(self._columns.inputs, self._inputs, strict=True):
            taken = (values[rows[0] : rows[-1] + 1] if is_run else values[rows]).ravel()
            arrays.append(to_array(self._columns, input, start, taken.tolist() if input.type == TEXT else taken))
            start += input.width
        return arrays

    def get_row(self, row: int) -> list[Any]:
        return [self._get(place, given[row].as_py()) for place, given in enumerate(self._given)]

    def _get(self, place: int, value: Any) -> Any:
        type, fill = self._columns.types[place], self._columns.fills[place]
        if self._is_text and type != TEXT:
            return parse_cell(value, type, takes_comma=self._takes_comma, takes_booleans=self._takes_booleans[place])
        return None if isinstance(value, float) and np.isnan(value) and fill is not None else value

    def find_suspects(self, rows: Indexes) -> NDArray[np.bool_]:
        found = self._wrong[rows] | self._unknown[rows]
        for values in self._inputs:
            if values.dtype.kind == "f":
                found |= ~np.isfinite(values[rows]).all(axis=1)
        return found


def count_new_texts(columns: Columns, batch: Batch, names: Sequence[str], rows: Indexes) -> Counter[str]:
    """Count by feature the rows with a text that isn't one of the feature's values, if these are known."""
    found: Counter[str] = Counter()
    known = [(name, feature) for name, feature in zip(names, columns.features, strict=True) if feature.values]
    if not known:
        return found
    table = batch.take(rows.tolist())
    for name, feature in known:
        texts = _combine(table[name])
        texts = read_texts(texts, feature.values, is_free=False) if batch.is_text else texts
        found[feature.name] = sum(text is not None and text not in (feature.values or ()) for text in texts.to_pylist())
    return +found


def is_text(type: pa.DataType) -> bool:
    return bool(pa.types.is_string(type) or pa.types.is_large_string(type))


def _combine(column: pa.ChunkedArray) -> pa.Array:
    """Return a column in one piece, as texts, booleans, or one of NumPy's number types."""
    whole = column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
    if pa.types.is_dictionary(whole.type):
        whole = whole.dictionary_decode()
    if pa.types.is_string_view(whole.type):
        whole = whole.cast(pa.string())
    if pa.types.is_decimal(whole.type) or pa.types.is_null(whole.type):
        whole = whole.cast(pa.float64())
    return whole
