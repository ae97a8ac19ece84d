"""Rows with their answers → the bytes of a part of a file, in the format of the file's name."""

import contextlib
import io
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence

import numpy as np
import orjson
import pyarrow as pa
from pyarrow import csv as arrow_csv
from pyarrow import parquet

from model import footer
from model.files import FileError, find_format


class Encoder(ABC):
    """One format; several threads may call `encode` at once.

    Attributes:
        schema: of the rows; the answers' columns come last.
        head: the bytes before all parts.
        is_typed: all parts must have the same types.
    """

    head = b""
    is_typed = False

    def __init__(self, schema: pa.Schema, answers: Sequence[str]) -> None:
        self.schema = schema
        self._answers = answers

    @abstractmethod
    def encode(self, rows: pa.Table) -> tuple[bytes | memoryview, bytes]:
        """Return a part's bytes, and the footer of a file with this part only, if the format has footers."""

    def move(self, foot: bytes, by: int) -> bytes:
        """Return a part's footer for a position in the file."""
        return foot

    def finish(self, feet: Iterable[bytes]) -> bytes:
        """Return the bytes after all parts."""
        return b""


class CsvEncoder(Encoder):
    """CSV with a header; if one text of a part needs quotes, all get them."""

    def __init__(self, schema: pa.Schema, answers: Sequence[str], delimiter: str) -> None:
        super().__init__(schema, answers)
        self._delimiter = delimiter
        self.head = self._write(schema.empty_table(), has_header=True)

    def encode(self, rows: pa.Table) -> tuple[bytes | memoryview, bytes]:
        return self._write(rows, has_header=False), b""

    def _write(self, rows: pa.Table, *, has_header: bool) -> bytes:
        for style in ("none", "needed"):
            with contextlib.suppress(pa.ArrowException):  # a text contains the delimiter or a quote
                written = io.BytesIO()
                options = arrow_csv.WriteOptions(
                    include_header=has_header, delimiter=self._delimiter, quoting_style=style, quoting_header=style
                )
                arrow_csv.write_csv(rows, written, options)
                return written.getvalue()
        kinds = ", ".join(sorted({str(field.type) for field in rows.schema if pa.types.is_nested(field.type)}))
        raise FileError(f"expected columns of single values to write as CSV, got {kinds}; --keep leaves others out")


class JsonLinesEncoder(Encoder):
    """JSON lines, with the digits of /predict/batch for probabilities."""

    def encode(self, rows: pa.Table) -> tuple[bytes | memoryview, bytes]:
        columns = [
            list(column.to_numpy()) if name in self._answers[1:] else column.to_pylist()  # else float32 as float64
            for name, column in zip(rows.column_names, rows.columns, strict=True)
        ]
        options = orjson.OPT_APPEND_NEWLINE | orjson.OPT_SERIALIZE_NUMPY
        lines = (dict(zip(rows.column_names, row, strict=True)) for row in zip(*columns, strict=True))
        return b"".join(orjson.dumps(line, default=str, option=options) for line in lines), b""


class ParquetEncoder(Encoder):
    """Parquet; a part is a row group."""

    head = footer.MAGIC
    is_typed = True

    def encode(self, rows: pa.Table) -> tuple[bytes | memoryview, bytes]:
        written = pa.BufferOutputStream()
        kept = [name for name in rows.column_names if name not in self._answers[1:]]  # probabilities hardly repeat
        parquet.write_table(rows, written, use_dictionary=kept)
        return footer.split(memoryview(written.getvalue()))

    def move(self, foot: bytes, by: int) -> bytes:
        return footer.move(foot, by - len(footer.MAGIC))

    def finish(self, feet: Iterable[bytes]) -> bytes:
        return footer.join(feet or [self.encode(self.schema.empty_table())[1]])


def make_encoder(path: str, schema: pa.Schema, answers: Sequence[str]) -> Encoder:
    """Create the encoder for a file's name; `answers` are the columns of label and probabilities."""
    kind = find_format(path)
    if kind == ".parquet":
        return ParquetEncoder(schema, answers)
    if kind in (".jsonl", ".ndjson"):
        return JsonLinesEncoder(schema, answers)
    return CsvEncoder(schema, answers, "\t" if kind == ".tsv" else ",")


def to_probability_columns(probabilities: np.ndarray) -> list[pa.Array]:
    """Return one column of float32 per class."""
    return [pa.array(np.ascontiguousarray(column)) for column in probabilities.T]
