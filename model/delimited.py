"""CSV in UTF-8, delimited by commas, semicolons or tabs; every cell is a text."""

import csv
import io
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
from pyarrow import csv as arrow_csv

from model import lines
from model.cells import parse_cell
from model.files import Batch, Block, Fault, FileError, Located, Place, RowFile
from model.lines import Chunk, read_chunks


class DelimitedFile(RowFile):
    """A CSV file."""

    def __init__(self, place: Located, *, has_header: bool) -> None:
        """Read the first row.

        Raises:
            FileError: there is none.
        """
        super().__init__(place)
        self._place = place
        first = next(read_chunks(place, None, has_quotes=True), None)
        if first is None or not first.content.strip():
            raise FileError(f"{self.path}: expected rows, got an empty file")
        row, self._start = _read_first(self.path, first)
        self.delimiter = _find_delimiter(row)
        cells = _split(row, self.delimiter)
        self.names = cells if has_header else [f"column {number}" for number in range(1, len(cells) + 1)]
        if not has_header:
            self._start = first.start

    def read(self, start: Place | None = None) -> Iterator[Block]:
        for chunk in read_chunks(self._place, start or self._start, has_quotes=True):
            yield Block(chunk.end, len(chunk.content), lambda names, chunk=chunk: self._parse(chunk, names))  # type: ignore[misc]

    def _parse(self, chunk: Chunk, names: Sequence[str]) -> Batch:
        """Read the cells of some columns; rows with another number of cells become faults."""
        wrong: dict[int, str] = {}  # number of a row, counted from 1 -> what is wrong with it

        def skip(row: Any) -> str:
            wrong[row.number] = f"expected {row.expected_columns} cells, as the header has, got {row.actual_columns}"
            return "skip"

        if not chunk.content.strip():
            return Batch(pa.table({name: pa.array([], pa.string()) for name in names}), None, [], lambda row: row)
        try:
            table = self._read(chunk, names, pa.string(), skip)
        except pa.ArrowInvalid:  # text that isn't UTF-8
            wrong.clear()
            table = _decode(self._read(chunk, names, pa.binary(), skip), wrong)
        places: list[int] = []  # computed on demand

        def locate(number: int) -> int:
            if not places:
                places.extend(lines.find_lines(chunk, has_quotes=True))
            return places[number]

        def locate_right(row: int) -> int:
            for number in sorted(wrong):
                row += number - 1 <= row
            return locate(row)

        faults = [Fault(locate(number - 1), reason) for number, reason in wrong.items()]
        return Batch(table, None, faults, locate_right, is_text=True, takes_comma=self.delimiter != ",")

    def _read(self, chunk: Chunk, names: Sequence[str], type: pa.DataType, skip: Any) -> pa.Table:
        return arrow_csv.read_csv(
            pa.BufferReader(chunk.content),
            arrow_csv.ReadOptions(
                column_names=list(self.names), use_threads=False, block_size=max(1, len(chunk.content))
            ),
            arrow_csv.ParseOptions(
                delimiter=self.delimiter, newlines_in_values=b'"' in chunk.content, invalid_row_handler=skip
            ),
            arrow_csv.ConvertOptions(
                column_types=dict.fromkeys(names, type), include_columns=list(names), strings_can_be_null=False
            ),
        )


def _read_first(path: str, chunk: Chunk) -> tuple[str, Place]:
    """Return the first row that isn't empty, and where the second starts."""
    hidden, start, line = lines.hide_quoted(chunk.content), 0, chunk.start.line
    while True:
        end = hidden.find(b"\n", start) + 1 or len(hidden)
        row = chunk.content[start:end]
        line += row.count(b"\n")
        if row.strip(b"\r\n"):
            break
        start = end
    try:
        return row.decode().rstrip("\r\n"), Place(chunk.start.position + end, line)
    except UnicodeDecodeError:
        raise FileError(f"{path}: expected a CSV in UTF-8, line {line - 1} isn't") from None


def _find_delimiter(row: str) -> str:
    """Choose the delimiter that gives the most cells, unless the commas are those of decimal numbers."""
    for delimiter in ";\t":
        cells = _split(row, delimiter)
        with_comma = [cell for cell in cells if "," in cell]
        if len(cells) > 1 and with_comma and all(_is_decimal(cell) for cell in with_comma):
            return delimiter
    return max(",;\t", key=lambda delimiter: len(_split(row, delimiter)))


def _is_decimal(cell: str) -> bool:
    return isinstance(parse_cell(cell, "float64", takes_comma=True), float)


def _split(row: str, delimiter: str) -> list[str]:
    return next(csv.reader(io.StringIO(row, newline=""), delimiter=delimiter), [])


def _decode(table: pa.Table, wrong: dict[int, str]) -> pa.Table:
    """Decode bytes to texts; a row in which that fails becomes a fault."""
    rows = table.to_pylist()
    numbers = [number for number in range(1, len(rows) + len(wrong) + 1) if number not in wrong]
    right = []
    for number, row in zip(numbers, rows, strict=True):
        try:
            right.append({name: value.decode() for name, value in row.items()})
        except UnicodeDecodeError:
            wrong[number] = "expected text in UTF-8"
    return pa.table({name: pa.array([row[name] for row in right], pa.string()) for name in table.column_names})
