"""What has come of the objects of a prefix, by what each has left at its output; for `make score`, it isn't shipped."""

from collections.abc import Sequence
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


class Found(NamedTuple):
    """An object of a prefix, and which version of it."""

    key: str
    etag: str


def list_objects(client: "S3Client", source: Place) -> list[Found]:
    """List all objects of a prefix, those too that are no data.

    Raises:
        ObjectError, ThrottledError: as `told`.
    """
    with told(source, "found"):
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=source.bucket, Prefix=source.key)
        return [Found(one["Key"], one["ETag"].strip('"')) for page in pages for one in page.get("Contents", [])]


def read_outcomes(client: "S3Client", objects: Sequence[Found], source: Place, output: Place) -> list[Outcome]:
    """Ask for each object of a prefix that is data what a run has noted at its output.

    Raises:
        ObjectError, ThrottledError: as `told`.
    """
    data = [found for found in objects if not is_hidden(found.key)]
    with ThreadPoolExecutor(N_THREADS) as pool:
        return list(pool.map(lambda found: _read_outcome(client, source, output, *found), data))


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
