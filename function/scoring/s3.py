"""The S3 client, and its errors as ours."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from function.errors import ObjectError, ServiceError, ThrottledError
from function.scoring.job import Place

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

Use = Literal["found", "read", "written"]
PART_BYTES = 8 * 1024 * 1024  # in one request; each part of an upload but the last has at least 5 MiB
MISSING = ("404", "NoSuchKey", "NoSuchBucket")
CHANGED = ("412", "PreconditionFailed")
DENIED = ("403", "AccessDenied")
# https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
BUSY = ("500", "503", "InternalError", "RequestTimeout", "RequestLimitExceeded", "ServiceUnavailable", "SlowDown")


def connect() -> "S3Client":
    """Create a client that retries when S3 is busy."""
    config = Config(retries={"mode": "standard", "total_max_attempts": 6}, connect_timeout=5, read_timeout=20)
    return boto3.client("s3", config=config)


@contextmanager
def told(place: Place, use: Use) -> Iterator[None]:
    """Turn the errors of S3 in this block into one line.

    Raises:
        ObjectError: S3 doesn't have the object, has another version by now, or refuses it.
        ThrottledError: S3 is busy, or can't be reached, after all retries.
    """
    try:
        yield
    except ClientError as error:
        raise _tell(place, use, error.response.get("Error", {}).get("Code", "")) from error
    except (BotoCoreError, OSError) as error:
        raise ThrottledError(f"{place}: S3 can't be reached ({type(error).__name__})") from error


def _tell(place: Place, use: Use, code: str) -> ServiceError:
    if code in BUSY:
        return ThrottledError(f"{place}: S3 is busy ({code})")
    if code in MISSING and use == "read":
        return ObjectError(f"{place}: it was deleted while it was read ({code})")
    if code in MISSING:
        return ObjectError(f"{place}: expected {'an object' if use == 'found' else 'a bucket'}, there is none ({code})")
    if code in CHANGED:
        return ObjectError(f"{place}: it was changed while it was read ({code})")
    if code in DENIED:
        named = "BulkOutput and BulkOutputPrefix" if use == "written" else "BulkInput and BulkInputPrefix"
        return ObjectError(f"{place}: access denied, it can't be {use} ({code}); check {named}")
    return ObjectError(f"{place}: S3 refuses, it can't be {use} ({code})")


def find_metadata(client: "S3Client", place: Place) -> dict[str, str]:
    """Return the metadata that an object's writer has noted, empty if there is no such object.

    Raises:
        ObjectError, ThrottledError: as `told`.
    """
    with told(place, "written"):
        try:
            return client.head_object(Bucket=place.bucket, Key=place.key)["Metadata"]
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") in MISSING:
                return {}
            raise
