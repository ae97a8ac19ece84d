"""The interface of a file of rows in any form: records that are read in batches, and written with their answers."""

from codecs import BOM_UTF8
from collections.abc import Collection, Iterator, Sequence
from typing import IO, Any, NamedTuple, Protocol

import orjson

from function.classifier import Model, Prediction
from function.classifier.model import Columns
from function.errors import ObjectError

BATCH_ROWS = 2_000  # more rows per run save no time
BATCH_VALUES = 1_000_000  # limits a batch of wide rows to 200 MB
LONGEST = 1_000_000  # bytes of a line, as in /predict/batch


class Batch(NamedTuple):
    """Consecutive records of a file.

    Attributes:
        lines: the line that each record starts on, counted from 1.
        contents: each record as it was read.
        rows: the unchecked values of each record, in the order of the features.
        faults: why a record isn't a row, by its index.
    """

    lines: Sequence[int]
    contents: Sequence[Any]
    rows: Sequence[Sequence[Any]]
    faults: dict[int, str]


class Table(Protocol):
    """A file of rows; methods raise ObjectError if it isn't one."""

    def read(self) -> Iterator[Batch]:
        """Read records in batches, always the same ones for the same file."""

    def write_head(self) -> bytes:
        """Write the header, if the form has one."""

    def write(self, contents: Sequence[Any], labels: Sequence[str], prediction: Prediction) -> bytes:
        """Write records, each with its answer after it."""


def count_batch(columns: Columns) -> int:
    """Return the number of records in a batch."""
    return max(1, min(BATCH_ROWS, BATCH_VALUES // len(columns.features)))


def read_lines(file: IO[bytes], name: str) -> Iterator[bytes]:
    """Read lines with their line ends, without a byte order mark.

    Raises:
        ObjectError: one is too long.
    """
    number, mark = 0, BOM_UTF8
    while line := file.readline(LONGEST):
        number += 1
        if len(line) == LONGEST:
            raise ObjectError(f"{name}, line {number}: expected lines of less than {LONGEST:,} bytes, got a longer one")
        yield line.removeprefix(mark)
        mark = b""


def name_answers(model: Model, taken: Collection[str]) -> list[str]:
    """Name an answer's columns: its label and each class's probability, with a prefix if the input has such a name."""
    names = ["label", *(f"probability_{label}" for label in model.labels)]
    while not set(names).isdisjoint(taken):
        names = [f"predicted_{name}" for name in names]
    return names


def write_digits(prediction: Prediction) -> list[str]:
    """Write each row's probabilities, separated by commas, with the digits of /predict/batch."""
    text = orjson.dumps(prediction.probabilities, option=orjson.OPT_SERIALIZE_NUMPY).decode()
    return text[2:-2].split("],[")
