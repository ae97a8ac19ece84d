"""Rows/s of the package's bulk entry point under AWS's runtime emulator, and what 100 million rows would cost: `make bench-bulk`."""

import gzip
import json
import logging
import math
import statistics
import sys
import tempfile
from pathlib import Path

import boto3
import numpy as np
from sklearn.datasets import load_iris

from tests.support.bulk import OUTPUT, Bulk, event, make_buckets, put
from tests.support.mock_cloud import mock_cloud
from tests.support.pythons import with_packages

PACKAGE = Path(".aws-sam/build/BulkFunction")
N_ROWS, N_ROUNDS = 1_000_000, 3
ROWS = 100_000_000
# us-east-1, x86_64, USD: https://aws.amazon.com/lambda/pricing/, https://aws.amazon.com/step-functions/pricing/,
# https://aws.amazon.com/s3/pricing/
GB_SECOND, INVOCATION, TRANSITION, S3_GET, S3_PUT = 0.0000166667, 0.20e-6, 0.025e-3, 0.0004e-3, 0.005e-3
GB = 1769 / 1024
PART_BYTES = 8 * 1024 * 1024


def make_objects() -> dict[str, bytes]:
    """The same rows in each form: Iris with noise, two decimals."""
    iris = load_iris()
    generator = np.random.default_rng(0)
    rows = iris.data[generator.integers(0, 150, N_ROWS)] + generator.normal(0, 0.1, (N_ROWS, 4))
    values = np.round(rows, 2).tolist()
    text = ",".join(iris.feature_names) + "\n" + "".join(f"{','.join(map(str, row))}\n" for row in values)
    lines = "".join(f"{json.dumps(dict(zip(iris.feature_names, row, strict=True)))}\n" for row in values)
    return {"CSV": text.encode(), "CSV, gzip": gzip.compress(text.encode(), 6), "JSON lines": lines.encode()}


NAMES = {"CSV": "rows/a.csv", "CSV, gzip": "rows/a.csv.gz", "JSON lines": "rows/a.jsonl"}


def measure(bulk: Bulk, kind: str, content: bytes) -> tuple[float, int]:
    """Return the median of rows per CPU second, and the bytes written."""
    put(NAMES[kind], content)
    key = NAMES[kind].replace("rows/", "scored/")
    size, rates = 0, []
    for _ in range(N_ROUNDS):
        before = bulk.emulator.processor_seconds
        answer = bulk.emulator.invoke(event(NAMES[kind]))
        assert answer["answered"] == N_ROWS, answer
        rates.append(N_ROWS / (bulk.emulator.processor_seconds - before))
        size = boto3.client("s3").head_object(Bucket=OUTPUT, Key=key)["ContentLength"]
        boto3.client("s3").delete_object(Bucket=OUTPUT, Key=key)
    return statistics.median(rates), size


def cost(rows_per_second: float, bytes_in: int, bytes_out: int) -> tuple[float, float]:
    """Give USD of compute, and of requests, for 100 million rows in objects of a million each."""
    n_objects = ROWS / N_ROWS
    compute = ROWS / rows_per_second * GB * GB_SECOND
    gets = 4 + math.ceil(bytes_in / PART_BYTES)
    puts = 3 + math.ceil(bytes_out / PART_BYTES)
    return compute, n_objects * (INVOCATION + 2 * TRANSITION + gets * S3_GET + puts * S3_PUT)


def main() -> None:
    if not PACKAGE.exists():
        sys.exit(f"expected the package at {PACKAGE}, which make build leaves")
    logging.getLogger("werkzeug").setLevel("ERROR")  # a line a request
    runtime = with_packages("python3.13", "tests/support/runtime.txt", Path(".pytest_cache/d/environments").absolute())
    with tempfile.TemporaryDirectory() as folder, mock_cloud():
        make_buckets()
        with Bulk.start(runtime, PACKAGE.absolute(), Path(folder) / "log") as bulk:
            bulk.emulator.invoke(event("rows/_"))  # the init phase
            print("| rows in | rows/s of a CPU | MB in | MB out | 100 million: CPU | compute | requests |")
            print("|---|---|---|---|---|---|---|")
            for kind, content in make_objects().items():
                rate, size = measure(bulk, kind, content)
                compute, requests = cost(rate, len(content), size)
                megabytes = f"{len(content) * ROWS / N_ROWS / 1e6:,.0f} | {size * ROWS / N_ROWS / 1e6:,.0f}"
                print(
                    f"| {kind} | {rate:,.0f} | {megabytes} | {ROWS / rate:,.0f} s | ${compute:.3f} | ${requests:.3f} |",
                    flush=True,
                )
            print(
                f"\nmost memory {bulk.emulator.peak_megabytes:.0f} MB, init {bulk.emulator.init_milliseconds:,.0f} ms"
            )


if __name__ == "__main__":
    main()
