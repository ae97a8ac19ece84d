"""What has come of the objects of a prefix, by what each has left at its output; for `make score`, it isn't shipped."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

import orjson

from function.scoring.job import ERRORS, Place, is_hidden
from function.scoring.s3 import find_metadata, told

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

N_THREADS = 16


class Outcome(NamedTuple):
    """Of one object: why it has no answers; `is_left` where that isn't known."""

    source: Place
    errors: Place
    rows: int = 0
    refused: int = 0
    failure: str = ""
    is_left: bool = False


def read_outcomes(client: "S3Client", source: Place, output: Place) -> Iterator[Outcome]:
    """Ask for each object of a prefix what a run has noted at its output.

    Raises:
        ObjectError, ThrottledError: as `told`.
    """
    with ThreadPoolExecutor(N_THREADS) as pool:
        yield from pool.map(lambda found: _read_outcome(client, source, output, *found), _list(client, source))


def has_objects(client: "S3Client", source: Place) -> bool:
    """Say whether there is something to score."""
    return next(_list(client, source), None) is not None


def _list(client: "S3Client", source: Place) -> Iterator[tuple[str, str]]:
    """Give keys and ETags."""
    with told(source, "found"):
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=source.bucket, Prefix=source.key):
            for found in page.get("Contents", []):
                if not is_hidden(found["Key"]):
                    yield found["Key"], found["ETag"].strip('"')


def _read_outcome(client: "S3Client", source: Place, output: Place, key: str, etag: str) -> Outcome:
    here = Place(source.bucket, key)
    errors = Place(output.bucket, output.key + key.removeprefix(source.key) + ERRORS)
    noted = find_metadata(client, errors)
    if "failed" in noted:
        with told(errors, "found"):
            line = client.get_object(Bucket=errors.bucket, Key=errors.key)["Body"].read()
        return Outcome(here, errors, failure=orjson.loads(line)["reason"])
    if noted.get("source-etag") != etag:
        return Outcome(here, errors, failure=f"{here}: it wasn't scored", is_left=True)
    return Outcome(here, errors, int(noted["rows"]), int(noted["refused"]))
