"""An S3 object as a file that is read sequentially; the next part is downloaded while the current one is used."""

import io
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

from botocore.exceptions import HTTPClientError, IncompleteReadError

from function.scoring.job import Place
from function.scoring.s3 import PART_BYTES, told

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer
    from mypy_boto3_s3.client import S3Client

N_TRIES = 4  # to read a part if the connection breaks; botocore doesn't retry this


class Download(io.RawIOBase):
    """One version of an object; if it is deleted or changed meanwhile, reading fails.

    Attributes:
        etag: of that version, without quotes.
        size: bytes.
        n_read: bytes that were read.
    """

    def __init__(self, client: "S3Client", place: Place) -> None:
        super().__init__()
        self._client, self._place = client, place
        with told(place, "found"):
            head = client.head_object(Bucket=place.bucket, Key=place.key)
        self.etag, self.size = head["ETag"].strip('"'), head["ContentLength"]
        self.n_read = self._n_asked = 0
        self._part = memoryview(b"")
        self._pool = ThreadPoolExecutor(1, "download")
        self._next: Future[bytes] | None = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        """Read the next bytes into a buffer; return 0 at the end.

        Raises:
            ObjectError, ThrottledError: as `told`.
        """
        if not self._part and self.n_read < self.size:
            part = self._next or self._ask()
            self._next = self._ask() if self._n_asked < self.size else None
            with told(self._place, "read"):
                self._part = memoryview(part.result())
        view = memoryview(buffer).cast("B")
        n = min(len(view), len(self._part))
        view[:n], self._part = self._part[:n], self._part[n:]
        self.n_read += n
        return n

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)
        super().close()

    def _ask(self) -> Future[bytes]:
        start, self._n_asked = self._n_asked, min(self._n_asked + PART_BYTES, self.size)
        return self._pool.submit(self._read_part, f"bytes={start}-{self._n_asked - 1}")

    def _read_part(self, bytes_: str) -> bytes:
        for is_last in (*[False] * (N_TRIES - 1), True):
            answer = self._client.get_object(
                Bucket=self._place.bucket, Key=self._place.key, Range=bytes_, IfMatch=self.etag
            )
            try:
                return answer["Body"].read()
            except (HTTPClientError, IncompleteReadError):
                if is_last:
                    raise
        raise AssertionError
