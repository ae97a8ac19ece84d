"""Starts the state machine of a deployed stack and follows it to its end: `make score`. It isn't shipped."""

import argparse
import json
import re
import sys
import time
import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NoReturn

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from function.errors import ServiceError
from function.scoring import s3
from function.scoring.job import Place
from function.scoring.report import Outcome, has_objects, read_outcomes

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client
    from mypy_boto3_stepfunctions.client import SFNClient

POLL_SECONDS, LOG_SECONDS = 1, 10
BAR = 30  # characters
MOST_LINES = 20  # of failed objects, and of those with refused rows


def main() -> None:
    """Score a prefix; status 1 where an object has failed, 2 where rows were refused."""
    parser = argparse.ArgumentParser(prog="make score", description="Score the objects of a prefix on AWS.")
    parser.add_argument("input", help="s3://bucket/folder/, the objects to score")
    parser.add_argument("output", help="s3://bucket/folder/, where the answers go")
    parser.add_argument("--stack", default="web-single", help="the deployed stack")
    given = parser.parse_args()
    try:
        source, output = _read_place("INPUT", given.input), _read_place("OUTPUT", given.output)
        machine = _find_machine(given.stack, source, output)
        client = s3.connect()
        if not has_objects(client, source):
            _fail(f"expected objects under {source}, there are none")
        status = _run(boto3.client("stepfunctions"), machine, source, output)
        sys.exit(_report(client, source, output) or status)
    except (ServiceError, ClientError, BotoCoreError) as error:
        _fail(str(error))
    except KeyboardInterrupt:
        _fail("no longer followed; it goes on, and the same command later skips what is done")


def _fail(message: str) -> NoReturn:
    sys.exit(f"score: {message}")


def _read_place(name: str, text: str) -> Place:
    found = re.fullmatch(r"s3://([a-z0-9][a-z0-9.-]+)(?:/(.*))?", text)
    if not found:
        _fail(f"expected {name}=s3://bucket/folder/, got {text or 'none'}")
    bucket, key = found[1], found[2] or ""
    return Place(bucket, key if key.endswith("/") or not key else f"{key}/")


def _find_machine(stack: str, source: Place, output: Place) -> str:
    """Find what a stack scores with, and hold both places against what it may read and write."""
    found = boto3.client("cloudformation").describe_stacks(StackName=stack)["Stacks"][0]
    outputs = {one["OutputKey"]: one["OutputValue"] for one in found.get("Outputs", [])}
    given = {one["ParameterKey"]: one["ParameterValue"] for one in found.get("Parameters", [])}
    if "BulkStateMachine" not in outputs:
        wanted = "make deploy PARAMETERS='BulkInput=… BulkOutput=…'"
        _fail(f"expected the stack {stack} to score in bulk; deploy it so: {wanted}")
    for name, place in (("Input", source), ("Output", output)):
        allowed = Place(given[f"Bulk{name}"], given[f"Bulk{name}Prefix"])
        if place.bucket != allowed.bucket or not place.key.startswith(allowed.key):
            _fail(f"expected {name.upper()} within {allowed}, which the stack {stack} may use, got {place}")
    if source.bucket == output.bucket and output.key.startswith(source.key):
        _fail(f"expected OUTPUT outside of INPUT, {source}, or the answers would be scored themselves; got {output}")
    return outputs["BulkStateMachine"]


def _run(client: "SFNClient", machine: str, source: Place, output: Place) -> int:
    """Start an execution and show its progress until it ends; give 1 where it doesn't succeed."""
    event = {
        "input": {"bucket": source.bucket, "prefix": source.key},
        "output": {"bucket": output.bucket, "prefix": output.key},
    }
    arn = client.start_execution(stateMachineArn=machine, name=str(uuid.uuid4()), input=json.dumps(event))[
        "executionArn"
    ]
    print(f"score: {arn}", flush=True)
    started = told = time.monotonic()
    while (execution := client.describe_execution(executionArn=arn))["status"] == "RUNNING":
        seconds = time.monotonic() - started
        if sys.stdout.isatty():
            print(f"\r{_describe(_count(client, arn), seconds)}\x1b[K", end="", flush=True)
        elif time.monotonic() - told >= LOG_SECONDS:
            told = time.monotonic()
            print(_describe(_count(client, arn), seconds), flush=True)
        time.sleep(POLL_SECONDS)
    counts = _count(client, arn)
    print(f"{chr(13) * sys.stdout.isatty()}{_describe(counts, time.monotonic() - started)}", flush=True)
    if execution["status"] != "SUCCEEDED":
        print(f"score: {execution['status']}: {execution.get('error', '')} {execution.get('cause', '')}".rstrip(": "))
    return int(execution["status"] != "SUCCEEDED" or counts["failed"] > 0)


def _count(client: "SFNClient", arn: str) -> Mapping[str, int]:
    """Count an execution's objects by what has become of them."""
    for run in client.list_map_runs(executionArn=arn)["mapRuns"]:
        counts: Any = client.describe_map_run(mapRunArn=run["mapRunArn"])["itemCounts"]
        lost = counts["failed"] + counts["timedOut"] + counts["aborted"]
        return {"total": counts["total"], "succeeded": counts["succeeded"], "failed": lost}
    return {"total": 0, "succeeded": 0, "failed": 0}


def _describe(counts: Mapping[str, int], seconds: float) -> str:
    done = counts["succeeded"] + counts["failed"]
    filled = BAR * done // max(counts["total"], 1)
    rest = seconds / done * (counts["total"] - done) if done else 0
    left = f", {rest:.0f} s left" if rest else ""
    failed = f", {counts['failed']:,} failed" if counts["failed"] else ""
    bar = "#" * filled + "-" * (BAR - filled)
    return f"[{bar}] {done:,} of {counts['total']:,} objects{failed}, {seconds:.0f} s{left}"


def _report(client: "S3Client", source: Place, output: Place) -> int:
    """Print what has come of all objects, and give the status."""
    outcomes = list(read_outcomes(client, source, output))
    failed = sorted((outcome for outcome in outcomes if outcome.failure), key=lambda outcome: outcome.is_left)
    partial = [outcome for outcome in outcomes if outcome.refused]
    _list_some([outcome.failure for outcome in failed], "failed")
    _list_some([f"{outcome.errors}: {outcome.refused:,} of {outcome.rows:,} rows" for outcome in partial], "refused")
    rows, refused = _sum(outcomes)
    n_done = len(outcomes) - len(failed)
    print(f"{n_done:,} of {len(outcomes):,} objects scored; {rows:,} rows, {refused:,} of them refused")
    return 1 if failed else 2 if partial else 0


def _sum(outcomes: list[Outcome]) -> tuple[int, int]:
    return sum(outcome.rows for outcome in outcomes), sum(outcome.refused for outcome in outcomes)


def _list_some(lines: list[str], what: str) -> None:
    for line in lines[:MOST_LINES]:
        print(f"{what}: {line}")
    if len(lines) > MOST_LINES:
        print(f"{what}: {len(lines) - MOST_LINES:,} more")


if __name__ == "__main__":
    main()
