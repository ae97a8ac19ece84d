"""JSON lines: objects by feature name, with any other keys, or lists in the order of the features."""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import IO, Any

import orjson
from pydantic_core import from_json

from function.classifier import Model, Prediction
from function.classifier.inputs import refuse_array, refuse_record
from function.classifier.model import cut
from function.errors import ObjectError
from function.scoring.table import Batch, count_batch, name_answers, read_lines, write_digits


class JsonTable:
    """A `Table` whose records are lines; an answer becomes keys after a line's own keys."""

    def __init__(self, file: IO[bytes], name: str, model: Model) -> None:
        self._model, self._columns = model, model.columns
        self._lines, self._name = read_lines(file, name), name
        self._names = [feature.name for feature in model.features]
        self._answers: list[str] = []  # until the first object

    def read(self) -> Iterator[Batch]:
        """Read records in batches, always the same ones for the same file."""
        n, start = count_batch(self._columns), 1
        while lines := list(islice(self._lines, n)):
            found = [(number, stripped) for number, line in enumerate(lines, start) if (stripped := line.strip())]
            start += len(lines)
            if not self._answers and found and (fault := refuse_array(b"".join(line for _, line in found[:2]))):
                raise ObjectError(f"{self._name}, line {found[0][0]}: {fault}")
            if found:
                yield self._read_batch([number for number, _ in found], [line for _, line in found])

    def _read_batch(self, numbers: list[int], lines: list[bytes]) -> Batch:
        faults: dict[int, str] = {}
        try:
            documents = list(map(orjson.loads, lines))
        except orjson.JSONDecodeError:
            documents = [_decode(index, line, faults) for index, line in enumerate(lines)]
        if not self._answers:
            first = next((document for document in documents if isinstance(document, dict)), {})
            self._answers = name_answers(self._model, first.keys())
        answers = set(self._answers)
        rows: list[Sequence[Any]] = []
        for index, document in enumerate(documents):
            row: Sequence[Any] = ()
            try:
                row = [document[name] for name in self._names]
                if not answers.isdisjoint(document):
                    faults[index] = f"expected no keys with the answer's names, {cut(', '.join(self._answers), 200)}"
            except (KeyError, TypeError):
                if isinstance(document, list):
                    row = document
                elif index not in faults:
                    faults[index] = refuse_record(self._columns, document)
            rows.append(row)
        return Batch(numbers, lines, rows, faults)

    def write_head(self) -> bytes:
        """Write nothing: JSON lines have no header."""
        return b""

    def write(self, contents: Sequence[bytes], labels: Sequence[str], prediction: Prediction) -> bytes:
        """Write lines, each with its answer after it; a list becomes an object."""
        keys = [orjson.dumps(name).decode() for name in self._answers]
        template = ",".join(f"{key}:%s" for key in (key.replace("%", "%%") for key in keys))
        quoted = {label: orjson.dumps(label).decode() for label in set(labels)}
        written = []
        for line, label, digits in zip(contents, labels, write_digits(prediction), strict=True):
            answer = template % (quoted[label], *digits.split(","))
            written.append(b"%b,%b}\n" % (self._open(line), answer.encode()))
        return b"".join(written)

    def _open(self, line: bytes) -> bytes:
        """Return a line as an object, without the closing brace."""
        if line.startswith(b"["):
            row = from_json(line)
            line = orjson.dumps(dict(zip(self._names, row, strict=True)))
        return line[:-1]


def _decode(index: int, line: bytes, faults: dict[int, str]) -> Any:
    """Decode a line; accept NaN and Infinity, because values are checked elsewhere."""
    try:
        return from_json(line)
    except ValueError as error:
        faults[index] = f"the line isn't valid JSON: {error}"
        return None
