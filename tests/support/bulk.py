"""The package's bulk entry point under the runtime emulator, and the mock's S3 that it reads and writes."""

import contextlib
import gzip
import json
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import boto3
import pytest
from moto.awslambda_simple.models import LambdaSimpleBackend
from moto.core.config import default_user_config

from tests.support.emulator import Emulator

INPUT, OUTPUT = "my-rows", "my-answers"
HANDLER = "function.bulk.handler"


def make_buckets() -> None:
    for name in (INPUT, OUTPUT):
        where: Any = {"LocationConstraint": "eu-central-1"}
        boto3.client("s3").create_bucket(Bucket=name, CreateBucketConfiguration=where)


def put(key: str, content: bytes | str) -> None:
    boto3.client("s3").put_object(Bucket=INPUT, Key=key, Body=content)


def get(key: str) -> bytes:
    """Give what was written, without its compression."""
    content = boto3.client("s3").get_object(Bucket=OUTPUT, Key=key)["Body"].read()
    return gzip.decompress(content) if key.endswith(".gz") else content


def keys(bucket: str = OUTPUT, prefix: str = "") -> list[str]:
    found = boto3.client("s3").list_objects_v2(Bucket=bucket, Prefix=prefix)
    return [one["Key"] for one in found.get("Contents", [])]


def event(key: str) -> dict[str, Any]:
    """What the state machine hands on for an object of rows/."""
    return {
        "input": {"bucket": INPUT, "prefix": "rows/"},
        "output": {"bucket": OUTPUT, "prefix": "scored/"},
        "key": key,
    }


@dataclass
class Bulk:
    """The entry point, invoked."""

    emulator: Emulator

    @classmethod
    @contextlib.contextmanager
    def start(cls, runtime: Path, package: Path, log_path: Path, **environ: str) -> Iterator[Self]:
        """Run it with what boto3 has been told of the mock."""
        told = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
        given = {"AWS_LAMBDA_FUNCTION_TIMEOUT": "900", **told, **environ}
        with Emulator.start(runtime, package, log_path, handler=HANDLER, **given) as emulator:
            yield cls(emulator)

    def score(self, name: str, content: bytes | str) -> dict[str, Any]:
        """Put an object and have it scored."""
        put(f"rows/{name}", content)
        return self.emulator.invoke(event(f"rows/{name}"))


@contextlib.contextmanager
def executing_state_machines() -> Iterator[None]:
    """Have the mock execute state machines that are made in this block, by calling itself."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(default_user_config["stepfunctions"], "execute_state_machine", True)
        patch.setenv("MOTO_PORT", os.environ["AWS_ENDPOINT_URL"].rpartition(":")[2])
        yield


@contextlib.contextmanager
def invoking(invoke: Callable[[dict[str, Any]], dict[str, Any]]) -> Iterator[None]:
    """Hand the mock's invocations of any function to one that takes and gives what the handler does, one by one."""
    lock = threading.Lock()

    def answer(self: object, name: str, qualifier: str | None, body: str, headers: Any, told: dict[str, str]) -> bytes:
        with lock:
            result = invoke(json.loads(body))
        if "errorType" in result:
            told["x-amz-function-error"] = "Unhandled"
        return json.dumps(result).encode()

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(default_user_config["lambda"], "use_docker", False)
        patch.setattr(LambdaSimpleBackend, "invoke", answer)
        yield
