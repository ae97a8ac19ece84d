"""CSV with a header, delimited by commas, semicolons or tabs; features are found by name."""

import csv
import io
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from typing import IO

from function.classifier import Model, Prediction
from function.classifier.model import Value, cut
from function.errors import ObjectError
from function.scoring.table import LONGEST, Batch, count_batch, name_answers, read_lines, write_digits
from function.scoring.values import read_cells

csv.field_size_limit(LONGEST)


class CsvTable:
    """A `Table` whose records are lists of cells."""

    def __init__(self, file: IO[bytes], name: str, model: Model) -> None:
        self._name, self._columns = name, model.columns
        lines = map(bytes.decode, read_lines(file, name))
        try:
            first = next(lines, "")
        except UnicodeDecodeError:
            raise ObjectError(f"{name}, line 1: expected UTF-8, got other bytes") from None
        self._delimiter = max(",;\t", key=lambda delimiter: len(next(csv.reader([first], delimiter=delimiter), [])))
        self._reader = csv.reader(chain([first], lines), delimiter=self._delimiter, strict=True)
        self._header = next(iter(self._take(1)), [])
        self._places = self._find_features()
        self._answers = name_answers(model, self._header)
        self._end = "\r\n" if first.endswith("\r\n") else "\n"

    def _find_features(self) -> list[int]:
        names = [feature.name for feature in self._columns.features]
        if missing := [name for name in names if name not in self._header]:
            found = f"missing: {cut(', '.join(missing), 200)}" if self._header else "the file is empty"
            expected = f"a header with the model's features, {self._columns.wanted}"
            raise ObjectError(f"{self._name}: expected {expected}; {found}")
        if twice := [name for name in names if self._header.count(name) > 1]:
            raise ObjectError(f"{self._name}: expected {cut(twice[0], 100)} once in its header, got it more often")
        return [self._header.index(name) for name in names]

    def _take(self, n: int) -> list[list[str]]:
        """Read `n` records, fewer at the end."""
        try:
            return list(islice(self._reader, n))
        except UnicodeDecodeError:
            raise ObjectError(
                f"{self._name}, line {self._reader.line_num + 1}: expected UTF-8, got other bytes"
            ) from None
        except csv.Error as error:
            raise ObjectError(f"{self._name}, line {self._reader.line_num}: expected CSV; {error}") from None

    def read(self) -> Iterator[Batch]:
        """Read records in batches, always the same ones for the same file."""
        n = count_batch(self._columns)
        start = self._reader.line_num + 1
        while records := self._take(n):
            lines: Sequence[int] = range(start, self._reader.line_num + 1)
            if len(lines) > len(records):
                lines = _number(start, records)
            start = self._reader.line_num + 1
            if [] in records:  # empty lines
                found = [(line, cells) for line, cells in zip(lines, records, strict=True) if cells]
                lines, records = [line for line, _ in found], [cells for _, cells in found]
            if records:
                yield self._read_batch(lines, records)

    def _read_batch(self, lines: Sequence[int], records: list[list[str]]) -> Batch:
        width = len(self._header)
        if set(map(len, records)) == {width}:
            return Batch(lines, records, self._read_rows(records), {})
        message = f"expected {width} cells, as the header has, got "
        faults = {index: f"{message}{len(cells)}" for index, cells in enumerate(records) if len(cells) != width}
        whole = [cells for cells in records if len(cells) == width]
        rows = iter(self._read_rows(whole) if whole else ())
        return Batch(lines, records, [() if index in faults else next(rows) for index in range(len(records))], faults)

    def _read_rows(self, records: list[list[str]]) -> list[Sequence[Value]]:
        cells = list(zip(*records, strict=True))
        known = self._columns
        columns = zip(self._places, known.types, known.fills, known.features, known.booleans, strict=True)
        values = [
            read_cells(
                cells[place],
                type,
                takes_missing=fill is not None,
                known=feature.values,
                takes_booleans=takes_booleans,
            )
            for place, type, fill, feature, takes_booleans in columns
        ]
        return list(zip(*values, strict=True))

    def write_head(self) -> bytes:
        """Write the header, with the answers' columns after its own."""
        return self._write([[*self._header, *self._answers]])

    def write(self, contents: Sequence[list[str]], labels: Sequence[str], prediction: Prediction) -> bytes:
        """Write records, each with its answer after it."""
        answers = zip(contents, labels, write_digits(prediction), strict=True)
        return self._write([[*cells, label, *digits.split(",")] for cells, label, digits in answers])

    def _write(self, records: list[list[str]]) -> bytes:
        text = io.StringIO(newline="")
        csv.writer(text, delimiter=self._delimiter, lineterminator=self._end).writerows(records)
        return text.getvalue().encode()


def _number(start: int, records: list[list[str]]) -> list[int]:
    """Return the line that each record starts on, if cells contain line breaks."""
    lines = [start]
    for cells in records[:-1]:
        lines.append(lines[-1] + 1 + sum(cell.count("\n") for cell in cells))
    return lines
