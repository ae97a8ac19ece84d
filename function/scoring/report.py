"""Reads the outcome of each object of a prefix from its output; for `make score`, it isn't shipped."""

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
    """The outcome of one object; `failure` says why it has no answers, `is_left` that it wasn't scored."""

    source: Place
    errors: Place
    rows: int = 0
    refused: int = 0
    failure: str = ""
    is_left: bool = False


class Found(NamedTuple):
    """An object of a prefix, and its version."""

    key: str
    etag: str


def list_objects(client: "S3Client", source: Place) -> list[Found]:
    """List all objects of a prefix, including those that aren't data.

    Raises:
        ObjectError, ThrottledError: as `told`.
    """
    with told(source, "found"):
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=source.bucket, Prefix=source.key)
        return [Found(one["Key"], one["ETag"].strip('"')) for page in pages for one in page.get("Contents", [])]


def read_outcomes(client: "S3Client", objects: Sequence[Found], source: Place, output: Place) -> list[Outcome]:
    """Read what a run has noted at the output of each object that is data.

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
