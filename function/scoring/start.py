"""Starts the state machine of a deployed stack and watches it until it ends: `make score`. It isn't shipped."""

import argparse
import json
import re
import sys
import time
import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from function.errors import ServiceError
from function.scoring import s3
from function.scoring.job import Place, is_hidden
from function.scoring.report import Outcome, list_objects, read_outcomes

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions.client import SFNClient

POLL_SECONDS, LOG_SECONDS = 1, 10
BAR = 30  # characters
MOST_LINES = 20  # of failed objects, and of those with refused rows


def main() -> None:
    """Score a prefix; the status is 1 if an object failed, 2 if rows were refused."""
    parser = argparse.ArgumentParser(prog="make score", description="Score the objects of a prefix on AWS.")
    parser.add_argument("input", help="s3://bucket/folder/, the objects to score")
    parser.add_argument("output", help="s3://bucket/folder/, where the answers go")
    parser.add_argument("--stack", default="web-single", help="the deployed stack")
    given = parser.parse_args()
    try:
        source, output = _read_place("INPUT", given.input), _read_place("OUTPUT", given.output)
        machine = _find_machine(given.stack, source, output)
        client = s3.connect()
        objects = list_objects(client, source)
        if all(is_hidden(found.key) for found in objects):
            _fail(f"expected objects under {source}, there are none")
        execution = Execution(boto3.client("stepfunctions"), machine, source, output, len(objects))
        status = execution.follow()
        sys.exit(_report(read_outcomes(client, objects, source, output)) or status)
    except (ClientError, BotoCoreError) as error:
        _fail(f"expected valid AWS credentials, region and permissions, got: {error}")
    except ServiceError as error:
        _fail(str(error))
    except KeyboardInterrupt:
        _fail("stopped watching; the run goes on, and the same command later skips what is done")


def _fail(message: str) -> NoReturn:
    sys.exit(f"score: {message}")


def _read_place(name: str, text: str) -> Place:
    found = re.fullmatch(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/(.*))?", text)
    if not found:
        _fail(f"expected {name}=s3://bucket/folder/, the bucket's name of 3 to 63 characters; got {text or 'none'}")
    bucket, key = found[1], found[2] or ""
    return Place(bucket, key if key.endswith("/") or not key else f"{key}/")


def _find_machine(stack: str, source: Place, output: Place) -> str:
    """Find a stack's state machine, and check that it may read and write both places."""
    try:
        found = boto3.client("cloudformation").describe_stacks(StackName=stack)["Stacks"][0]
    except ClientError as error:
        if "does not exist" not in str(error):
            raise
        _fail(f"expected a stack called {stack}, there is none; STACK=… names another")
    except ValueError as error:  # of an address, as of an empty region
        _fail(f"expected valid AWS credentials, region and permissions, got: {error}")
    outputs = {one["OutputKey"]: one["OutputValue"] for one in found.get("Outputs", [])}
    given = {one["ParameterKey"]: one["ParameterValue"] for one in found.get("Parameters", [])}
    if "BulkStateMachine" not in outputs:
        wanted = "make deploy API_KEY_SHA256=… PARAMETERS='BulkInput=… BulkOutput=…'"
        _fail(f"expected the stack {stack} to score in bulk; use {wanted}")
    for name, place in (("Input", source), ("Output", output)):
        allowed = Place(given[f"Bulk{name}"], given[f"Bulk{name}Prefix"])
        if place.bucket != allowed.bucket or not place.key.startswith(allowed.key):
            _fail(f"expected {name.upper()} within {allowed}, which the stack {stack} may use, got {place}")
    if source.bucket == output.bucket and output.key.startswith(source.key):
        _fail(f"expected OUTPUT outside of INPUT, {source}, or the answers would be scored too; got {output}")
    return outputs["BulkStateMachine"]


class Execution:
    """A running execution over a number of objects."""

    def __init__(self, client: "SFNClient", machine: str, source: Place, output: Place, n_objects: int) -> None:
        self._client, self._n_objects = client, n_objects
        event = {
            "input": {"bucket": source.bucket, "prefix": source.key},
            "output": {"bucket": output.bucket, "prefix": output.key},
        }
        name, text = str(uuid.uuid4()), json.dumps(event)
        self._arn = client.start_execution(stateMachineArn=machine, name=name, input=text)["executionArn"]
        self._started = time.monotonic()

    def follow(self) -> int:
        """Show its progress until it ends; return 1 if it or an object fails."""
        print(f"score: {self._arn}", flush=True)
        told = self._started
        while (found := self._client.describe_execution(executionArn=self._arn))["status"] == "RUNNING":
            if sys.stdout.isatty():
                print(f"\r{self._describe(*self._count())}\x1b[K", end="", flush=True)
            elif time.monotonic() - told >= LOG_SECONDS:
                told = time.monotonic()
                print(self._describe(*self._count()), flush=True)
            time.sleep(POLL_SECONDS)
        n_done, n_failed = self._count()
        print(f"{chr(13) * sys.stdout.isatty()}{self._describe(n_done, n_failed)}", flush=True)
        if found["status"] == "SUCCEEDED":
            return int(n_failed > 0)
        print(" ".join(filter(None, (f"score: {found['status']}", found.get("error"), found.get("cause")))), flush=True)
        return 1

    def _count(self) -> tuple[int, int]:
        """Count the objects that are done, and the failed ones among them."""
        for run in self._client.list_map_runs(executionArn=self._arn)["mapRuns"]:
            counts = self._client.describe_map_run(mapRunArn=run["mapRunArn"])["itemCounts"]
            n_failed = counts["failed"] + counts["timedOut"] + counts["aborted"]
            return counts["succeeded"] + n_failed, n_failed
        return 0, 0  # it hasn't started

    def _describe(self, n_done: int, n_failed: int) -> str:
        seconds = time.monotonic() - self._started
        filled = BAR * n_done // self._n_objects
        n_left = max(self._n_objects - n_done, 0)
        left = f", {seconds / n_done * n_left:.0f} s left" if n_done and n_left else ""
        failed = f", {n_failed:,} failed" if n_failed else ""
        bar = "#" * filled + "-" * (BAR - filled)
        return f"[{bar}] {n_done:,} of {self._n_objects:,} objects{failed}, {seconds:.0f} s{left}"


def _report(outcomes: Sequence[Outcome]) -> int:
    """Print the outcome of all objects, and return the status."""
    failed = sorted((outcome for outcome in outcomes if outcome.failure), key=lambda outcome: outcome.is_left)
    partial = [outcome for outcome in outcomes if outcome.refused]
    _list_some([outcome.failure for outcome in failed], "failed")
    _list_some([f"{outcome.errors}: {outcome.refused:,} of {outcome.rows:,} rows" for outcome in partial], "refused")
    rows, refused = (sum(getattr(outcome, name) for outcome in outcomes) for name in ("rows", "refused"))
    n_done = len(outcomes) - len(failed)
    print(f"{n_done:,} of {len(outcomes):,} objects scored; {rows:,} rows, {refused:,} of them refused")
    return 1 if failed else 2 if partial else 0


def _list_some(lines: list[str], what: str) -> None:
    for line in lines[:MOST_LINES]:
        print(f"{what}: {line}")
    if len(lines) > MOST_LINES:
        print(f"{what}: {len(lines) - MOST_LINES:,} more")


if __name__ == "__main__":
    main()
