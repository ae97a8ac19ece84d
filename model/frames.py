"""Files of rows → a DataFrame for a framework; a pickle → its model."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import joblib
import pyarrow as pa
from pyarrow import csv, json, parquet

from function.errors import ArtifactError
from model.files import FileError, find_files, find_format, locate, one_line
from model.table import EMPTY


def read_frame(given: Sequence[str], target: str, ignore: Collection[str]) -> tuple[Any, Any]:
    """Read the rows of files, and their labels, as pandas would.

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
    place, kind = locate(path), find_format(path)
    try:
        if kind == ".parquet":
            return parquet.read_table(place.inner, filesystem=place.system)
        with place.system.open_input_stream(place.inner, compression="detect") as stream:
            if kind in (".jsonl", ".ndjson"):
                return json.read_json(stream)
            options = csv.ConvertOptions(null_values=EMPTY, strings_can_be_null=True)
            parsing = csv.ParseOptions(delimiter="\t" if kind == ".tsv" else ",", newlines_in_values=True)
            return csv.read_csv(stream, parse_options=parsing, convert_options=options)
    except (OSError, pa.ArrowException) as error:
        raise FileError(f"{path}: can't be read; {one_line(error)}") from None


def read_pickle(path: Path) -> Any:
    """Load a file of joblib or pickle, which runs the code in it.

    Raises:
        ArtifactError: it can't be loaded.
    """
    try:
        return joblib.load(path)
    except Exception as error:  # noqa: BLE001 - a pickle may raise any
        raise ArtifactError(f"{path}: not a model that can be loaded here; {type(error).__name__}: {error}") from None
