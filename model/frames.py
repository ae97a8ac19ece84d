"""Files of rows → the DataFrame that a framework takes, and a pickle → its model."""

import contextlib
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import joblib
import pyarrow as pa
import pyarrow.compute as pc

from function.classifier.model import BOOL
from function.errors import ArtifactError
from model.cells import parse_column, read_texts
from model.files import FileError, find_files, one_line, open_file
from model.rows import read_batches


def read_frame(given: Sequence[str], target: str, ignore: Collection[str]) -> tuple[Any, Any]:
    """Read the rows of files, and their labels, as pandas would have them.

    Raises:
        FileError: a file can't be read, or has no such column.
    """
    tables = [_read(path) for path in find_files(given)]
    try:
        frame = pa.concat_tables(tables, promote_options="permissive").to_pandas()
    except pa.ArrowException as error:
        raise FileError(f"{', '.join(given)}: expected files of the same columns; {one_line(error)}") from None
    if missing := [name for name in (target, *ignore) if name not in frame]:
        raise FileError(f"{given[0]}: no column is called {missing[0]}; it has {', '.join(map(str, frame))}")
    return frame.drop(columns=[target, *ignore]), frame[target]


def _read(path: str) -> pa.Table:
    file = open_file(path)
    batches = list(read_batches(file, file.names))
    if not sum(batch.table.num_rows for batch in batches):
        raise FileError(f"{path}: expected rows, got none")
    table = pa.concat_tables([batch.table for batch in batches], promote_options="permissive")
    if not batches[0].is_text:
        return table
    takes_comma = batches[0].takes_comma
    return pa.table({name: _infer(table[name].combine_chunks(), takes_comma=takes_comma) for name in file.names})


def _infer(cells: pa.Array, *, takes_comma: bool) -> pa.Array:
    """Give a column of a CSV as whole numbers, numbers, booleans or else texts: the first that all cells are."""
    trimmed = pc.utf8_trim_whitespace(cells)
    with contextlib.suppress(pa.ArrowInvalid):
        return read_texts(trimmed, None, is_free=False).cast(pa.int64())
    for type in ("float64", BOOL):
        found, is_gap = parse_column(cells, type, takes_comma=takes_comma)
        if found.null_count == is_gap.sum():
            return found
    return read_texts(cells, None, is_free=False)


def read_pickle(path: Path) -> Any:
    """Load what joblib or pickle wrote, which runs what is in it.

    Raises:
        ArtifactError: it can't be loaded.
    """
    try:
        return joblib.load(path)
    except Exception as error:  # noqa: BLE001 - a pickle may raise any
        raise ArtifactError(f"{path}: no model that can be loaded here; {type(error).__name__}: {error}") from None
