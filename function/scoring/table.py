"""What a file of rows is, in whichever form: records that are read in batches, and written with their answers."""

from codecs import BOM_UTF8
from collections.abc import Collection, Iterator, Sequence
from typing import IO, Any, NamedTuple, Protocol

import orjson

from function.classifier import Model, Prediction
from function.classifier.model import Columns
from function.errors import ObjectError

BATCH_ROWS = 2_000  # more in one run of the model save no time a row
BATCH_VALUES = 1_000_000  # of wide rows: so that a batch takes 200 MB at most
LONGEST = 1_000_000  # bytes of a line: as many as /predict/batch takes


class Batch(NamedTuple):
    """Records of a file, one after the other.

    Attributes:
        lines: that each starts on, the first is 1.
        contents: each as it was read.
        rows: the values of each, in the order of the features, as they came: `inputs` judges them.
        faults: why a record is no row, by its index.
    """

    lines: Sequence[int]
    contents: Sequence[Any]
    rows: Sequence[Sequence[Any]]
    faults: dict[int, str]


class Table(Protocol):
    """A file of rows; an ObjectError says where it is none."""

    def read(self) -> Iterator[Batch]:
        """Read records in batches, the same ones for the same file."""

    def write_head(self) -> bytes:
        """Write what stands before all records."""

    def write(self, contents: Sequence[Any], labels: Sequence[str], prediction: Prediction) -> bytes:
        """Write records, each with its answer behind it."""


def count_batch(columns: Columns) -> int:
    """Say how many records a batch has."""
    return max(1, min(BATCH_ROWS, BATCH_VALUES // len(columns.features)))


def read_lines(file: IO[bytes], name: str) -> Iterator[bytes]:
    """Read lines with their ends, the first without a byte order mark.

    Raises:
        ObjectError: one is longer than a row can be.
    """
    number, mark = 0, BOM_UTF8
    while line := file.readline(LONGEST):
        number += 1
        if len(line) == LONGEST:
            raise ObjectError(f"{name}, line {number}: expected lines of less than {LONGEST:,} bytes, got a longer one")
        yield line.removeprefix(mark)
        mark = b""


def name_answers(model: Model, taken: Collection[str]) -> list[str]:
    """Name an answer's columns, its label and each class's probability: with a prefix where the input has one of them."""
    names = ["label", *(f"probability_{label}" for label in model.labels)]
    while not set(names).isdisjoint(taken):
        names = [f"predicted_{name}" for name in names]
    return names


def write_digits(prediction: Prediction) -> list[str]:
    """Write each row's probabilities with commas between them, in the digits of /predict/batch."""
    text = orjson.dumps(prediction.probabilities, option=orjson.OPT_SERIALIZE_NUMPY).decode()
    return text[2:-2].split("],[")
