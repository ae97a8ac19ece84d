"""Bytes → an S3 object that appears when it is complete; each part is sent while the next one is prepared."""

from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from botocore.exceptions import BotoCoreError, ClientError

from function.scoring.job import Place
from function.scoring.s3 import PART_BYTES, told

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef


class Upload:
    """An upload; a block that ends with an exception leaves nothing of it."""

    def __init__(self, client: "S3Client", place: Place, metadata: Mapping[str, str]) -> None:
        self._client, self._place, self._metadata = client, place, metadata
        self._where: dict[str, Any] = {"Bucket": place.bucket, "Key": place.key}
        self._buffer = bytearray()
        self._id = ""
        self._parts: list[Future[str]] = []
        self._pool = ThreadPoolExecutor(1, "upload")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self._finish()
        finally:
            self._pool.shutdown(cancel_futures=True)
            if self._id:
                with suppress(ClientError, BotoCoreError):  # the first error matters more
                    self._client.abort_multipart_upload(**self._where, UploadId=self._id)

    def write(self, content: bytes) -> int:
        """Add bytes to the object.

        Raises:
            ObjectError, ThrottledError: as `told`, for parts that were sent before.
        """
        self._buffer += content
        if len(self._buffer) >= PART_BYTES:
            self._send()
        return len(content)

    def flush(self) -> None:
        """Do nothing; gzip calls this."""

    def _send(self) -> None:
        with told(self._place, "written"):
            if not self._id:
                made = self._client.create_multipart_upload(**self._where, Metadata=self._metadata)
                self._id = made["UploadId"]
            if self._parts:
                self._parts[-1].result()  # no more than one part waits
        number, content, self._buffer = len(self._parts) + 1, bytes(self._buffer), bytearray()
        self._parts.append(self._pool.submit(self._send_part, number, content))

    def _send_part(self, number: int, content: bytes) -> str:
        sent = self._client.upload_part(**self._where, UploadId=self._id, PartNumber=number, Body=content)
        return sent["ETag"]

    def _finish(self) -> None:
        if self._id and self._buffer:
            self._send()
        with told(self._place, "written"):
            if not self._id:
                self._client.put_object(**self._where, Metadata=self._metadata, Body=bytes(self._buffer))
                return
            parts: list[CompletedPartTypeDef] = [
                {"PartNumber": number, "ETag": part.result()} for number, part in enumerate(self._parts, 1)
            ]
            self._client.complete_multipart_upload(**self._where, UploadId=self._id, MultipartUpload={"Parts": parts})
            self._id = ""
