"""Scoring in bulk, deployed to a mock of AWS: a state machine that hands each object to the package, and make score."""

import ast
import gzip
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.e2e.test_deploy import BUCKET, PARAMETERS, create_stack, package
from tests.support.bulk import INPUT, OUTPUT, Bulk, executing_state_machines, get, invoking, keys, make_buckets, put
from tests.support.entry_points import ROOT
from tests.support.mock_cloud import mock_cloud
from tests.support.sam import ENVIRON

STACK = "bulk"
BULK = {
    "BulkInput": INPUT,
    "BulkInputPrefix": "rows/",
    "BulkOutput": OUTPUT,
    "BulkConcurrency": "3",
    "BulkToleratedFailures": "10",
    "AlarmTopicArn": "arn:aws:sns:eu-central-1:123456789012:alarms",
}
HEADER = "sepal length (cm),sepal width (cm),petal length (cm),petal width (cm)"
N_OBJECTS = 50
MACHINE = f"arn:aws:states:eu-central-1:123456789012:stateMachine:{STACK}-score"
BUSY = "rows/7.csv"  # the first time


@pytest.fixture(scope="module", autouse=True)
def cloud() -> Iterator[None]:
    with mock_cloud(), executing_state_machines():
        make_buckets()
        where: Any = {"LocationConstraint": "eu-central-1"}
        boto3.client("s3").create_bucket(Bucket=BUCKET, CreateBucketConfiguration=where)
        yield


@pytest.fixture(scope="module")
def packaged(cloud: None, sam_build: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("packaged") / "template.yaml"
    package(sam_build, path, prefix="bulk")
    return path


@pytest.fixture(scope="module")
def stack(packaged: Path) -> dict[str, str]:
    return create_stack(STACK, packaged, PARAMETERS | BULK)


@pytest.fixture(scope="module")
def invoked(
    stack: dict[str, str], sam_build: Path, runtime: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[str]]:
    """The keys that were handed to the package, run with the settings that the function was deployed with."""
    handed: list[str] = []
    found = boto3.client("lambda").get_function(FunctionName=stack["BulkFunction"])["Configuration"]
    log_path = tmp_path_factory.mktemp("bulk") / "log"
    settings = found["Environment"]["Variables"]
    with Bulk.start(runtime, sam_build / "BulkFunction", log_path, **settings) as bulk:

        def invoke(event: dict[str, Any]) -> dict[str, Any]:
            handed.append(event["key"])
            if event["key"] == BUSY and handed.count(BUSY) == 1:
                return {"errorType": "ThrottledError", "errorMessage": "S3 is busy"}
            return bulk.emulator.invoke(event)

        with invoking(invoke):
            yield handed


def score(*arguments: str, stack: str = STACK) -> subprocess.CompletedProcess[str]:
    """What make score runs."""
    command = [sys.executable, "-m", "function.scoring.start", *arguments, "--stack", stack]
    environ = ENVIRON | {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    return subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)


def told(text: str) -> list[str]:
    """Lines, without what differs from run to run: ids, seconds, and on a busy machine the progress before the end."""
    lines = re.sub(r":[0-9a-f-]{36}$", ":…", re.sub(r", \d+ s$", ", … s", text, flags=re.MULTILINE), flags=re.MULTILINE)
    return [
        line
        for line in lines.splitlines()
        if not re.fullmatch(r"\[#*-*\] .* s( left)?", line) or f"[{'#' * 30}]" in line
    ]


def test_nothing_of_it_exists_unless_it_is_asked_for(packaged: Path) -> None:
    """The parameters are empty by default."""
    made = create_stack("without", packaged, PARAMETERS)

    assert not [name for name in made if "Bulk" in name]
    assert "ClassifierFunction" in made


def test_it_is_a_function_of_its_own_on_the_same_package(stack: dict[str, str]) -> None:
    """With 900 seconds and a whole processor; the service's is as it was."""
    client = boto3.client("lambda")
    bulk, service = (
        client.get_function(FunctionName=stack[name])["Configuration"]
        for name in ("BulkFunction", "ClassifierFunction")
    )

    assert (bulk["Handler"], bulk["Runtime"], bulk["Timeout"], bulk["MemorySize"]) == (
        "function.bulk.handler", "python3.13", 900, 1769
    )  # fmt: skip
    assert bulk["CodeSha256"] == service["CodeSha256"]
    assert (service["Handler"], service["Timeout"], service["MemorySize"]) == ("function.handler.handler", 20, 1024)
    assert bulk["Role"].endswith(stack["BulkFunctionRole"])
    (group,) = boto3.client("logs").describe_log_groups(logGroupNamePrefix=f"/web-single/{STACK}/bulk")["logGroups"]
    assert (group["logGroupName"], group["retentionInDays"]) == (stack["BulkLogs"], 30)


def test_an_alarm_hears_of_failed_executions(stack: dict[str, str]) -> None:
    """And notifies the same topic as the other alarm."""
    (alarm,) = boto3.client("cloudwatch").describe_alarms(AlarmNames=[stack["BulkFailures"]])["MetricAlarms"]

    assert (alarm["Namespace"], alarm["MetricName"], alarm["Threshold"]) == ("AWS/States", "ExecutionsFailed", 1.0)
    assert alarm["Dimensions"] == [{"Name": "StateMachineArn", "Value": MACHINE}]
    assert alarm["AlarmActions"] == [BULK["AlarmTopicArn"]]


def policy_of(role: str) -> list[tuple[list[str], str, dict[str, Any]]]:
    """Actions, resource, condition."""
    client = boto3.client("iam")
    (name,) = client.list_role_policies(RoleName=role)["PolicyNames"]
    document: Any = client.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
    document = ast.literal_eval(document)  # as moto writes it
    return [
        ([statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"],
         statement["Resource"], statement.get("Condition", {}))
        for statement in document["Statement"]
    ]  # fmt: skip


def test_its_roles_may_read_the_one_prefix_and_write_the_other(stack: dict[str, str]) -> None:
    """And what a Distributed Map needs of its own state machine; nothing of another's."""
    s3 = "arn:aws:s3:::"
    states = "arn:aws:states:eu-central-1:123456789012"

    log, *function = policy_of(stack["BulkFunctionRole"])
    machine = policy_of(stack["BulkStateMachineRole"])

    assert log[0] == ["logs:CreateLogStream", "logs:PutLogEvents"]
    assert function == [
        (["s3:GetObject"], f"{s3}{INPUT}/rows/*", {}),
        (["s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload"], f"{s3}{OUTPUT}/scored/*", {}),
        (["s3:ListBucket"], f"{s3}{INPUT}", {"StringLike": {"s3:prefix": "rows/*"}}),
        (["s3:ListBucket"], f"{s3}{OUTPUT}", {"StringLike": {"s3:prefix": "scored/*"}}),
    ]
    assert [(actions, condition) for actions, _, condition in machine] == [
        (["s3:ListBucket"], {"StringLike": {"s3:prefix": "rows/*"}}),
        (["lambda:InvokeFunction"], {}),
        (["states:StartExecution"], {}),
        (["states:DescribeExecution", "states:StopExecution"], {}),
    ]
    resources = [resource for _, resource, _ in machine]
    assert resources[0] == f"{s3}{INPUT}"
    assert resources[1].endswith(f":function:{stack['BulkFunction']}")
    assert resources[2:] == [MACHINE, f"{states}:execution:{STACK}-score*"]


def put_objects() -> None:
    """50 of them, each of 10 rows; the third is cut off, a row of the fifth is none."""
    rows = "5.1,3.5,1.4,0.2\n" * 9
    for index in range(N_OBJECTS):
        content = f"{HEADER}\n{rows}{'x' if index == 5 else '5.1'},3.5,1.4,0.2\n".encode()
        name = f"rows/{index}.csv"
        put(f"{name}.gz" if index == 3 else name, gzip.compress(content)[:-20] if index == 3 else content)
    put("rows/", "")  # as the console makes a folder
    put("elsewhere/1.csv", "")


def test_make_score_scores_a_folder(stack: dict[str, str], invoked: list[str]) -> None:
    """49 of 50 objects: what failed is listed with its reason, so is what was refused; a busy S3 is tried again."""
    put_objects()

    result = score(f"s3://{INPUT}/rows", f"s3://{OUTPUT}/scored/july/")

    cut = f"s3://{INPUT}/rows/3.csv.gz"
    reason = "expected complete gzip; Compressed file ended before the end-of-stream marker was reached"
    assert result.stderr == ""
    assert told(result.stdout) == [
        f"score: {MACHINE.replace('stateMachine', 'execution')}:…",
        "[##############################] 51 of 51 objects, 1 failed, … s",
        f"failed: {cut}: {reason}",
        f"refused: s3://{OUTPUT}/scored/july/5.csv.errors.jsonl: 1 of 10 rows",
        "49 of 50 objects scored; 490 rows, 1 of them refused",
    ]
    page = (ROOT / "docs" / "bulk.md").read_text()
    assert "".join(f"{line}\n" for line in told(result.stdout)) in page
    (shown,) = re.findall(r"^```json\n(.*)\n```$", page, re.MULTILINE)
    assert json.loads(shown) == json.loads(get("scored/july/5.csv.errors.jsonl"))
    assert result.returncode == 1
    assert sorted(set(invoked)) == sorted(key for key in keys(INPUT, "rows/"))
    assert (invoked.count(BUSY), len(invoked)) == (2, 52)
    arn = result.stdout.splitlines()[0].removeprefix("score: ")
    (run,) = boto3.client("stepfunctions").list_map_runs(executionArn=arn)["mapRuns"]
    found = boto3.client("stepfunctions").describe_map_run(mapRunArn=run["mapRunArn"])
    assert (found["itemCounts"]["succeeded"], found["itemCounts"]["failed"]) == (50, 1)
    assert (found["maxConcurrency"], found["toleratedFailurePercentage"]) == (3, 10.0)
    names = {key.removeprefix("scored/july/") for key in keys(prefix="scored/july/")}
    scored = {f"{index}.csv" for index in range(N_OBJECTS) if index != 3}
    assert names == scored | {f"{name}.errors.jsonl" for name in (*scored, "3.csv.gz")}
    assert (
        get("scored/july/0.csv").decode().splitlines()[1:]
        == ["5.1,3.5,1.4,0.2,setosa,0.974183,0.024898142,0.00091884134"] * 10
    )


def test_make_score_again_scores_what_is_left(stack: dict[str, str], invoked: list[str]) -> None:
    """Once the object is fixed; the status says that rows were refused."""
    put("rows/3.csv.gz", gzip.compress(f"{HEADER}\n5.1,3.5,1.4,0.2\n".encode()))
    before = boto3.client("s3").head_object(Bucket=OUTPUT, Key="scored/july/0.csv")["LastModified"]

    result = score(f"s3://{INPUT}/rows/", f"s3://{OUTPUT}/scored/july/")

    assert told(result.stdout)[1:] == [
        "[##############################] 51 of 51 objects, … s",
        f"refused: s3://{OUTPUT}/scored/july/5.csv.errors.jsonl: 1 of 10 rows",
        "50 of 50 objects scored; 491 rows, 1 of them refused",
    ]
    assert result.returncode == 2
    assert boto3.client("s3").head_object(Bucket=OUTPUT, Key="scored/july/0.csv")["LastModified"] == before


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (
            ["", f"s3://{OUTPUT}/scored/"],
            "expected INPUT=s3://bucket/folder/, the bucket's name of 3 to 63 characters; got none",
        ),
        (
            [f"s3://{INPUT}/rows/", "scored/"],
            "expected OUTPUT=s3://bucket/folder/, the bucket's name of 3 to 63 characters; got scored/",
        ),
        (
            [f"s3://{INPUT}/row/", f"s3://{OUTPUT}/scored/"],
            f"expected INPUT within s3://{INPUT}/rows/, which the stack {STACK} may use, got s3://{INPUT}/row/",
        ),
        (
            [f"s3://{INPUT}/rows/", f"s3://{INPUT}/scored/"],
            f"expected OUTPUT within s3://{OUTPUT}/scored/, which the stack {STACK} may use, got s3://{INPUT}/scored/",
        ),
        (
            [f"s3://{INPUT}/rows/august/", f"s3://{OUTPUT}/scored/"],
            f"expected objects under s3://{INPUT}/rows/august/, there are none",
        ),
    ],
)
def test_make_score_says_what_is_wrong_before_it_starts(
    arguments: list[str], line: str, stack: dict[str, str], invoked: list[str]
) -> None:
    """In one line."""
    before = len(invoked)

    result = score(*arguments)

    assert (result.returncode, result.stdout, result.stderr) == (1, "", f"score: {line}\n")
    assert len(invoked) == before


def test_make_score_wants_a_stack_that_scores_in_bulk(packaged: Path) -> None:
    """Where there is none, or one without it."""
    create_stack("plain", packaged, PARAMETERS)

    here = [f"s3://{INPUT}/rows/", f"s3://{OUTPUT}/scored/"]
    plain, none = (score(*here, stack=name) for name in ("plain", "none"))

    wanted = "make deploy API_KEY_SHA256=… PARAMETERS='BulkInput=… BulkOutput=…'"
    assert plain.stderr == f"score: expected the stack plain to score in bulk; use {wanted}\n"
    assert none.stderr == "score: expected a stack called none, there is none; STACK=… names another\n"
    assert (plain.returncode, none.returncode) == (1, 1)


def test_the_answers_cant_go_where_they_would_be_scored(packaged: Path, invoked: list[str]) -> None:
    """A bucket that is both: OUTPUT within INPUT."""
    both = {"BulkInput": INPUT, "BulkOutput": INPUT, "BulkInputPrefix": "rows/", "BulkOutputPrefix": "rows/scored/"}
    create_stack("both", packaged, PARAMETERS | both)

    result = score(f"s3://{INPUT}/rows/", f"s3://{INPUT}/rows/scored/", stack="both")

    line = f"expected OUTPUT outside of INPUT, s3://{INPUT}/rows/, or the answers would be scored too"
    assert result.stderr == f"score: {line}; got s3://{INPUT}/rows/scored/\n"


def test_make_score_hands_its_words_on() -> None:
    """As the command takes them."""
    dry = subprocess.run(
        ["make", "--dry-run", "score", "INPUT=s3://a/b c/", "OUTPUT=s3://d/"],
        cwd=ROOT, env=ENVIRON, capture_output=True, text=True, check=True,
    )  # fmt: skip

    command = dry.stdout.splitlines()[-1]
    assert command == ".venv/bin/python -m function.scoring.start 's3://a/b c/' 's3://d/' --stack 'web-single'"


def definition() -> dict[str, Any]:
    """As the stack has it."""
    found = boto3.client("stepfunctions").describe_state_machine(stateMachineArn=MACHINE)
    return dict(json.loads(found["definition"]))


def test_linting_the_definition_finds_nothing(stack: dict[str, str], tmp_path: Path) -> None:
    """By cfn-lint's own schema of Amazon's States Language, which only reads one that isn't a text; it finds a fault."""

    def lint(states: dict[str, Any]) -> subprocess.CompletedProcess[str]:
        role = "arn:aws:iam::123456789012:role/states"
        machine = {
            "Type": "AWS::StepFunctions::StateMachine",
            "Properties": {"RoleArn": role, "Definition": states},
        }
        path = tmp_path / "template.json"
        path.write_text(json.dumps({"Resources": {"Machine": machine}}))
        command = [str(Path(sys.executable).with_name("cfn-lint")), str(path)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    good, bad = definition(), definition()
    bad["States"]["Objects"]["ItemProcessor"]["States"]["Score"]["Retry"] = "always"

    assert (lint(good).returncode, lint(good).stdout) == (0, "")
    assert "E3601" in lint(bad).stdout
