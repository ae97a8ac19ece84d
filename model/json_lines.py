"""JSON lines: one object per row, with JSON's types."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson
import pyarrow as pa
from pydantic_core import from_json

from function.classifier.inputs import name_type
from model.files import Batch, Block, Fault, FileError, Located, Place, RowFile
from model.lines import Chunk, read_chunks


class JsonLinesFile(RowFile):
    """A file of JSON lines; its columns are the keys of its first rows."""

    def __init__(self, place: Located) -> None:
        """Read the first rows.

        Raises:
            FileError: none of them is an object.
        """
        super().__init__(place)
        self._place = place
        first = next(read_chunks(place, None, has_quotes=False), None)
        found: dict[str, None] = {}
        for row in _parse_rows(first, []) if first else ():
            found |= dict.fromkeys(row[1])
        self.names = list(found)
        if not found:
            raise FileError(f"{self.path}: expected a JSON object in each line, got none")

    def read(self, start: Place | None = None) -> Iterator[Block]:
        for chunk in read_chunks(self._place, start, has_quotes=False):
            yield Block(chunk.end, len(chunk.content), lambda names, chunk=chunk: self._parse(chunk, names))  # type: ignore[misc]

    def _parse(self, chunk: Chunk, names: Sequence[str]) -> Batch:
        faults: list[Fault] = []
        rows = _parse_rows(chunk, faults)
        records = [record for _, record in rows]
        table = pa.table({name: _to_array([record.get(name) for record in records]) for name in names})
        return Batch(table, records, faults, lambda row: rows[row][0])


def _parse_rows(chunk: Chunk, faults: list[Fault]) -> list[tuple[int, Mapping[str, Any]]]:
    """Yield the line and the object of each row."""
    rows: list[tuple[int, Mapping[str, Any]]] = []
    for number, line in enumerate(chunk.content.split(b"\n"), start=chunk.start.line):
        if not line.strip():
            continue
        try:
            record = _decode(line)
        except ValueError as error:
            faults.append(Fault(number, f"the line isn't valid JSON: {error}"))
            continue
        if isinstance(record, dict):
            rows.append((number, record))
        else:
            faults.append(Fault(number, f"expected an object of features, got {name_type(record)}"))
    return rows


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
    except pa.ArrowException:
        return pa.array([None if value is None else orjson.dumps(value).decode() for value in values])
