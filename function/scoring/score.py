"""One object → one with the answers, and one with the errors; both are written completely or not at all."""

import gzip
import io
import tempfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from typing import IO, TYPE_CHECKING, NamedTuple, cast

import orjson

from function.classifier import Classifier
from function.errors import ObjectError, ServiceError
from function.scoring.answer import answer
from function.scoring.clock import Clock
from function.scoring.csv_table import CsvTable
from function.scoring.download import Download
from function.scoring.job import Form, Job, find_form, is_hidden
from function.scoring.json_table import JsonTable
from function.scoring.s3 import find_metadata, told
from function.scoring.table import Table
from function.scoring.upload import Upload

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

TABLES: dict[Form, Callable[..., Table]] = {"CSV": CsvTable, "JSON": JsonTable}
GZIP = b"\x1f\x8b"
MOST_ERROR_BYTES = 400_000_000  # Lambda's /tmp has 512 MB


class Counts(NamedTuple):
    """The numbers of an object's rows; `is_skipped` if there was nothing to do."""

    rows: int = 0
    answered: int = 0
    refused: int = 0
    is_skipped: bool = False


class Scorer:
    """One classifier and S3.

    Attributes:
        facts: what decides an answer besides the row; noted at each object.
    """

    def __init__(self, classifier: Classifier, client: "S3Client", facts: Mapping[str, str]) -> None:
        self._classifier, self._client = classifier, client
        self.facts = facts

    def score(self, job: Job, time_left: Callable[[], float]) -> Counts:
        """Score an object, unless its answers exist with the same facts, or it isn't data.

        Args:
            job: the object and its output.
            time_left: returns the seconds that are left.

        Raises:
            ObjectError: the object as a whole can't be scored; the reason is in its errors object.
            ThrottledError: S3 is busy.
        """
        if is_hidden(job.source.key):
            return Counts(is_skipped=True)
        noted = {"source-etag": ""}
        try:
            form = find_form(job.source)
            with closing(Download(self._client, job.source)) as source:
                noted = {**self.facts, "source-etag": source.etag}
                return self._find_done(job, noted) or self._score(job, form, source, noted, Clock(time_left, source))
        except ServiceError as error:
            with suppress(ServiceError):  # the first reason counts
                self._write_errors(job, _line(job, None, str(error)), {**noted, "failed": "true"})
            raise

    def _find_done(self, job: Job, noted: Mapping[str, str]) -> Counts | None:
        errors = find_metadata(self._client, job.errors)
        if "failed" in errors or not noted.items() <= errors.items():
            return None
        if not noted.items() <= find_metadata(self._client, job.output).items():
            return None
        rows, refused = int(errors["rows"]), int(errors["refused"])
        return Counts(rows, rows - refused, refused, is_skipped=True)

    def _score(self, job: Job, form: Form, source: Download, noted: Mapping[str, str], clock: Clock) -> Counts:
        with tempfile.TemporaryFile() as errors:
            with (
                Upload(self._client, job.output, noted) as upload,
                _compressed(job, upload) as output,
                _told(job),
                closing(_open(source)) as file,
            ):
                table = TABLES[form](file, str(job.source), self._classifier.model)
                counts = self._write(job, table, output, errors, clock)
            errors.seek(0)
            # Last: it confirms that both exist.
            self._write_errors(job, errors, {**noted, "rows": str(counts.rows), "refused": str(counts.refused)})
        return counts

    def _write(self, job: Job, table: Table, output: IO[bytes], errors: IO[bytes], clock: Clock) -> Counts:
        n_rows = n_refused = 0
        output.write(table.write_head())
        for lines, contents, rows, known in table.read():
            kept, prediction, faults = answer(self._classifier, rows, known)
            if prediction is not None:
                labels = self._classifier.name_classes(prediction)
                output.write(table.write([contents[index] for index in kept], labels, prediction))
            for index in sorted(faults):
                errors.write(_line(job, lines[index], faults[index]))
            n_rows, n_refused = n_rows + len(rows), n_refused + len(faults)
            if errors.tell() > MOST_ERROR_BYTES:
                raise ObjectError(
                    f"{job.source}: {n_refused:,} of its first {n_rows:,} rows are refused; are these the model's columns?"
                )
            clock.check(job.source, n_rows)
        return Counts(n_rows, n_rows - n_refused, n_refused)

    def _write_errors(self, job: Job, lines: bytes | IO[bytes], metadata: Mapping[str, str]) -> None:
        with told(job.errors, "written"):
            self._client.put_object(Bucket=job.errors.bucket, Key=job.errors.key, Body=lines, Metadata=metadata)


def _line(job: Job, line: int | None, reason: str) -> bytes:
    return orjson.dumps({"file": str(job.source), "line": line, "reason": reason}, option=orjson.OPT_APPEND_NEWLINE)


def _open(source: Download) -> IO[bytes]:
    """Decompress gzip, whatever the name says."""
    file = io.BufferedReader(source, 64 * 1024)
    return cast("IO[bytes]", gzip.GzipFile(fileobj=file)) if file.peek(2)[:2] == GZIP else file


@contextmanager
def _compressed(job: Job, upload: Upload) -> Iterator[IO[bytes]]:
    """Compress the output if its name says so, always to the same bytes."""
    if not job.output.key.lower().endswith(".gz"):
        yield cast("IO[bytes]", upload)
        return
    with gzip.GzipFile("", "wb", 1, cast("IO[bytes]", upload), mtime=0) as file:
        yield cast("IO[bytes]", file)


@contextmanager
def _told(job: Job) -> Iterator[None]:
    """Report what is wrong with a compressed object."""
    try:
        yield
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ObjectError(f"{job.source}: expected complete gzip; {error}") from None
