"""Reads files of rows in blocks, by their names: CSV, JSON lines and Parquet, local or on S3."""

import glob
import json
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from fnmatch import fnmatch
from pathlib import PurePosixPath
from typing import Any, NamedTuple

import pyarrow as pa
from pyarrow import fs

from function.classifier.model import Columns, cut
from function.errors import ServiceError

SHEETS = (".xlsx", ".xlsm", ".xlsb", ".xls", ".ods", ".numbers")
COMPRESSIONS = (".gz", ".bz2", ".zst", ".lz4")
S3 = "s3://"


class FileError(ServiceError):
    """A file of rows can't be read or written, or doesn't have the expected columns."""


class Place(NamedTuple):
    """How far a file is read: bytes (for Parquet: rows), and the next line, counted from 1."""

    position: int
    line: int


class Fault(NamedTuple):
    """Why a row isn't answered, and its line (for Parquet: its row), counted from 1."""

    line: int
    reason: str


Record = dict[str, Any] | list[Any]


class Batch(NamedTuple):
    """Rows of a file.

    Attributes:
        table: the requested columns; texts if the file has no types.
        records: for JSON lines, each row's object, or its list of values in the order of the features.
        faults: rows that aren't in the table.
        locate: row of the table → line.
        is_text: all values are texts, even numbers.
        takes_comma: numbers may have a decimal comma.
        take_records: records → their table.
    """

    table: pa.Table
    records: Sequence[Record] | None
    faults: Sequence[Fault]
    locate: Callable[[int], int]
    is_text: bool = False
    takes_comma: bool = False
    take_records: Callable[[Sequence[int]], pa.Table] | None = None

    def take(self, rows: Sequence[int]) -> pa.Table:
        """Give some rows of the table; of JSON lines their columns have the types that these rows alone have."""
        return self.table.take(pa.array(rows, pa.int64())) if self.take_records is None else self.take_records(rows)


class Block(NamedTuple):
    """Some rows of a file, not parsed yet.

    Attributes:
        end: where the next block starts.
        n_bytes: the block's share of the file.
        parse: names of columns, the features first and in their order → rows; any thread may call it.
    """

    end: Place
    n_bytes: int
    parse: Callable[[Sequence[str]], Batch]


class RowFile(ABC):
    """A file of rows.

    Attributes:
        path: as given.
        names: of its columns, in order.
        types: of its columns, if the file has types.
        index: the columns that are an index of pandas, and so no features.
        n_bytes: its size.
        version: when it was written.
    """

    path: str
    names: Sequence[str]
    types: Mapping[str, pa.DataType]
    index: Sequence[str] = ()
    n_bytes: int
    version: str

    def __init__(self, place: "Located", types: Mapping[str, pa.DataType] | None = None) -> None:
        info = place.system.get_file_info(place.inner)
        self.path, self.n_bytes, self.version = place.path, info.size or 0, str(info.mtime_ns)
        self.types = types or {}

    @abstractmethod
    def read(self, start: Place | None = None) -> Iterator[Block]:
        """Yield the blocks from a place on.

        Raises:
            FileError: it can't be read.
        """


class Located(NamedTuple):
    """A path, its file system and the path there."""

    path: str
    system: fs.FileSystem
    inner: str


def locate(path: str) -> Located:
    """Find the file system of a path: S3 for s3://bucket/key, else the local one.

    AWS_ENDPOINT_URL names another S3 than AWS's: https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html

    Raises:
        FileError: the bucket can't be reached.
    """
    if not path.startswith(S3):
        return Located(path, fs.LocalFileSystem(), path)
    inner = path.removeprefix(S3)
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    try:
        if endpoint is None and region is None:
            region = fs.resolve_s3_region(inner.partition("/")[0])
        return Located(path, fs.S3FileSystem(endpoint_override=endpoint, region=region), inner)
    except OSError as error:
        raise FileError(f"{path}: {one_line(error)}") from None


def exists(path: str) -> bool:
    """Say whether there is a file or folder.

    Raises:
        FileError: the place can't be reached.
    """
    place = locate(path)
    try:
        return bool(place.system.get_file_info(place.inner).type != fs.FileType.NotFound)
    except OSError as error:
        raise FileError(f"{path}: can't be reached; {one_line(error)}") from None


def find_format(path: str) -> str:
    """Return the ending that names a file's format: .csv, .tsv, .jsonl, .ndjson or .parquet.

    Raises:
        FileError: the file has none of them.
    """
    name = PurePosixPath(path)
    suffix = PurePosixPath(name.stem).suffix if name.suffix in COMPRESSIONS else name.suffix
    if suffix.lower() not in FORMATS:
        expected = f"expected a name that ends in {', '.join(FORMATS)}, or that followed by {', '.join(COMPRESSIONS)}"
        fix = "; save the sheet as CSV" if suffix.lower() in SHEETS else ""
        raise FileError(f"{path}: {expected}{fix}")
    return suffix.lower()


FORMATS = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")


def find_files(given: Sequence[str]) -> list[str]:
    """Find the files of names, globs and folders, sorted by name within each.

    Raises:
        FileError: one has no file.
    """
    found = [path for each in given for path in _expand(each)]
    if repeated := sorted({path for path in found if found.count(path) > 1}):
        raise FileError(f"expected each file once, got {', '.join(repeated[:5])} more often")
    return found


def _expand(given: str) -> list[str]:
    place = locate(given)
    is_glob = any(character in given for character in "*?[")
    try:
        kind = place.system.get_file_info(place.inner).type
        if kind == fs.FileType.File:
            return [given]
        if is_glob and not given.startswith(S3):
            found = sorted(path for path in glob.glob(given, recursive=True) if os.path.isfile(path))  # noqa: PTH207, PTH113
        elif is_glob:
            start = given.removeprefix(S3).split("*")[0].split("?")[0].split("[")[0].rpartition("/")[0]
            found = [path for path in _list(place.system, start) if fnmatch(path, place.inner)]
            found = [S3 + path for path in found]
        elif kind == fs.FileType.Directory:
            prefix = S3 if given.startswith(S3) else ""
            found = [prefix + path for path in _list(place.system, place.inner) if _is_data(path)]
        else:
            found = []
    except OSError as error:
        raise FileError(f"{given}: can't be read; {one_line(error)}") from None
    if not found:
        what = "no such file" if not is_glob else "no file of such a name"
        what = what if kind != fs.FileType.Directory else f"no file in it that ends in {', '.join(FORMATS)}"
        raise FileError(f"{given}: there is {what}")
    return found


def _list(system: fs.FileSystem, folder: str) -> list[str]:
    found = system.get_file_info(fs.FileSelector(folder, recursive=True))
    return sorted(info.path for info in found if info.type == fs.FileType.File)


def _is_data(path: str) -> bool:
    """Return whether a file in a folder is data, not hidden or a writer's own."""
    name = PurePosixPath(path)
    suffix = PurePosixPath(name.stem).suffix if name.suffix in COMPRESSIONS else name.suffix
    return suffix.lower() in FORMATS and not name.name.startswith((".", "_"))


def open_file(path: str, *, has_header: bool = True, columns: Columns | None = None) -> RowFile:
    """Open a file in the format of its name.

    Args:
        path: of the file.
        has_header: the first line of a CSV names its columns.
        columns: of the model, for the order of JSON lists; without them a row must have names.

    Raises:
        FileError: it can't be read, or isn't a file of rows.
    """
    from model.delimited import DelimitedFile  # noqa: PLC0415 - these modules import this one
    from model.json_lines import JsonLinesFile  # noqa: PLC0415
    from model.parquet import ParquetFile  # noqa: PLC0415

    place, kind = locate(path), find_format(path)
    try:
        if kind == ".parquet":
            return ParquetFile(place)
        if kind in (".jsonl", ".ndjson"):
            return JsonLinesFile(place, columns)
        return DelimitedFile(place, has_header=has_header)
    except (OSError, pa.ArrowException) as error:
        raise FileError(f"{path}: can't be read; {one_line(error)}") from None


def find_repeated(names: Sequence[str]) -> list[str]:
    return sorted({name for name in names if names.count(name) > 1})


def check_names(path: str, names: Sequence[str]) -> None:
    """Refuse columns of the same name.

    Raises:
        FileError: names them.
    """
    if repeated := find_repeated(names):
        raise FileError(f"{path}: expected columns of different names, got {list_names(repeated)} more than once")


def list_names(names: Sequence[str]) -> str:
    """Quote names, for they may have blanks and commas, and cut the list."""
    return cut(", ".join(f'"{name}"' for name in names), 400)


def one_line(error: Exception) -> str:
    """Shorten an error of pyarrow to one line of a message."""
    text = " ".join(str(error).split())
    return json.dumps(text)[1:300].rstrip('"') if not text.isprintable() else text[:300]
