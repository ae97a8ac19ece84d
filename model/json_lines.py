"""JSON lines: one row per line, an object by column names or a list in the features' order, with JSON's types."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

import orjson
import pyarrow as pa
from pydantic_core import from_json

from function.classifier.inputs import name_type, refuse_array, refuse_record
from function.classifier.model import Columns
from model.files import Batch, Block, Fault, FileError, Located, Place, Record, RowFile
from model.lines import BOM, Chunk, read_chunks


class JsonLinesFile(RowFile):
    """A file of JSON lines; its columns are the keys of its first rows, or the features if all are lists."""

    def __init__(self, place: Located, columns: Columns | None) -> None:
        """Read the first rows.

        Raises:
            FileError: none of them is a row, or all rows are one list.
        """
        super().__init__(place)
        self._place, self._columns = place, columns
        with place.system.open_input_stream(place.inner, compression="detect") as stream:
            start = stream.read(1000).removeprefix(BOM)
        if fault := refuse_array(start):
            raise FileError(f"{self.path}, line 1: {fault}")
        first, faults = next(read_chunks(place, None, has_quotes=False), None), list[Fault]()
        records = [record for _, record in self._parse_rows(first, faults)] if first else []
        if not records:
            got = f"line {faults[0].line}: {faults[0].reason}" if faults else "got an empty file"
            raise FileError(f"{self.path}: expected a row of JSON in each line; {got}")
        self.names = list(dict.fromkeys(name for record in records if isinstance(record, dict) for name in record))
        if columns and not self.names:
            self.names = [feature.name for feature in columns.features]

    def read(self, start: Place | None = None) -> Iterator[Block]:
        for chunk in read_chunks(self._place, start, has_quotes=False):
            yield Block(chunk.end, len(chunk.content), lambda names, chunk=chunk: self._parse(chunk, names))  # type: ignore[misc]

    def _parse(self, chunk: Chunk, names: Sequence[str]) -> Batch:
        faults: list[Fault] = []
        rows = self._parse_rows(chunk, faults)
        records = [record for _, record in rows]

        def take(rows: Sequence[int]) -> pa.Table:
            return self._to_table([records[row] for row in rows], names)

        table = self._to_table(records, names)
        return Batch(table, records, faults, lambda row: rows[row][0], take_records=take)

    def _to_table(self, records: Sequence[Record], names: Sequence[str]) -> pa.Table:
        return pa.table({name: _to_array(self._read_column(records, place, name)) for place, name in enumerate(names)})

    def _read_column(self, records: Sequence[Record], place: int, name: str) -> list[Any]:
        """Return a column's values, null if a row has none; a list has only the features."""
        n_features = len(self._columns.features) if self._columns else 0

        def read(record: Record) -> Any:
            if isinstance(record, dict):
                return record.get(name)
            return record[place] if place < min(n_features, len(record)) else None

        return [read(record) for record in records]

    def _parse_rows(self, chunk: Chunk, faults: list[Fault]) -> list[tuple[int, Record]]:
        """Return the line and the object or list of each row."""
        rows: list[tuple[int, Record]] = []
        for number, line in enumerate(chunk.content.split(b"\n"), start=chunk.start.line):
            if not (stripped := line.strip()):
                continue
            try:
                record = _decode(stripped)
            except ValueError as error:
                faults.append(Fault(number, f"the line isn't valid JSON: {error}"))
                continue
            if isinstance(record, dict) or (self._columns and isinstance(record, list)):
                rows.append((number, record))
            else:
                faults.append(Fault(number, _refuse(record, self._columns)))
        return rows


def _refuse(record: object, columns: Columns | None) -> str:
    if columns is None:
        return f"expected an object of names and values, got {name_type(record)}"
    return refuse_record(columns, record)


def _decode(line: bytes) -> Any:
    """Decode a line; accept NaN and Infinity, because values are checked elsewhere."""
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError:
        return from_json(line)


def _to_array(values: list[Any]) -> pa.Array:
    """Return a column's values unchanged, or as JSON if they have no common type."""
    try:
        return pa.array(values)
    except (pa.ArrowException, OverflowError):
        return pa.array([None if value is None else _to_json(value) for value in values])


def _to_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))  # orjson takes no number of hundreds of digits
