"""All rows of files, column by column, as what a model was trained on; unlike when scoring, a bad row is an error."""

import math
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

from function.classifier.inputs import name_type
from function.classifier.model import BOOL, TEXT
from model.cells import parse_all, parse_cell, read_texts
from model.files import Batch, FileError, RowFile, list_names
from model.table import Value, is_gap


def read_batches(file: RowFile, names: Sequence[str]) -> Iterator[Batch]:
    """Read all rows of a file.

    Raises:
        FileError: it lacks a column, or a row can't be read.
    """
    if missing := [name for name in names if name not in file.names]:
        raise FileError(
            f"{file.path}: expected the columns of the first file, it has none called {list_names(missing)}"
        )
    for block in file.read():
        batch = block.parse(names)
        for line, reason in sorted(batch.faults)[:1]:
            raise FileError(f"{file.path}, line {line}: {reason}")
        yield batch


def locate(files: Sequence[RowFile], name: str, row: int) -> str:
    """Say in which file and line a row of all files is, by a column that they have."""
    before = 0
    for file in files:
        for batch in read_batches(file, [name]):
            if row < before + batch.table.num_rows:
                return f"{file.path}, line {batch.locate(row - before)}"
            before += batch.table.num_rows
    raise IndexError(row)


def read_values(file: RowFile, batch: Batch, name: str, type: str, known: tuple[str, ...] = ()) -> list[Value]:
    """Read a column's values as those of an input's type, gaps as None; booleans stay such where numbers are taken.

    Args:
        file: for messages.
        batch: of its rows.
        name: the column's.
        type: TEXT, BOOL, or else a number's.
        known: the texts that are no gap, whatever others write for one.

    Raises:
        FileError: names the line of a value that is something else.
    """
    values = []
    for row, given in enumerate(_read(batch, name, type, known)):
        try:
            values.append(None if is_gap(given) else _convert(given, type))
        except ValueError as error:
            raise FileError(f'{file.path}, line {batch.locate(row)}: "{name}": {error}') from None
    return values


def _read(batch: Batch, name: str, type: str, known: tuple[str, ...]) -> list[Any]:
    """Give values as the file has them, of texts the numbers and booleans that they are."""
    if not batch.is_text:
        if batch.records is None:
            return batch.table[name].to_pylist()  # type: ignore[no-any-return]
        return [record.get(name) for record in batch.records if isinstance(record, dict)]  # of any types
    cells = batch.table[name]
    if type == TEXT:
        texts = tuple(text for text in known if text)  # an empty one is what stands for a gap
        return read_texts(cells, texts, is_free=False).to_pylist()  # type: ignore[no-any-return]
    for kind in (type, BOOL):
        if (found := parse_all(cells.combine_chunks(), kind, takes_comma=batch.takes_comma)) is not None:
            return found.to_pylist()  # type: ignore[no-any-return]
    return [parse_cell(cell, type, takes_comma=batch.takes_comma) for cell in cells.to_pylist()]


def _convert(value: Any, type: str) -> Value:
    """Bring a value to a type.

    Raises:
        ValueError: it isn't of that type; says what was expected, and what came.
    """
    if isinstance(value, str) and type == TEXT:
        return value
    if type == BOOL and (isinstance(value, bool) or value in (0, 1)):
        return bool(value)
    if type in (TEXT, BOOL) or not isinstance(value, bool | int | float | Decimal):
        expected = {TEXT: "a string", BOOL: "true or false"}.get(type, "a number")
        raise ValueError(f"expected {expected}, got {name_type(value)}")
    if isinstance(value, bool):
        return value
    number = _to_float(value)
    if math.isinf(number):
        raise ValueError("expected a finite number, got an infinite one")
    return number


def _to_float(value: float | Decimal) -> float:
    try:
        return float(value)
    except OverflowError:  # a whole number of hundreds of digits
        return math.inf
