"""A deployment to a mock of AWS: what is uploaded, what CloudFormation makes of it, and that it answers."""

import io
import json
import os
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from samtranslator.translator.managed_policy_translator import ManagedPolicyLoader
from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse
from starlette.testclient import TestClient

from tests.calls import EVENTS
from tests.doors import ROOT, Event, answer_of, http_door
from tests.emulator import Emulator
from tests.mock_cloud import mock_cloud
from tests.sam import ENVIRON, make_read_only, sam

BUCKET, STACK = "packages", "web-single"
KEY = "my key"
PARAMETERS = {"ApiKeySha256": "a0e12d601e10154fe5743fd6d2ba37492365077b485f06c131ef495420005253", "Revision": "1"}


@pytest.fixture(scope="module")
def cloud() -> Iterator[None]:
    with mock_cloud():
        boto3.client("s3").create_bucket(
            Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
        )
        yield


def translated(packaged: Path, **parameters: str) -> dict[str, Any]:
    """The template as AWS's own macro, Transform: AWS::Serverless-2016-10-31, hands it to CloudFormation."""
    loader = ManagedPolicyLoader(boto3.client("iam"))
    template: dict[str, Any] = transform(yaml_parse(packaged.read_text()), dict(parameters), loader)
    return template


@pytest.fixture(scope="module")
def packaged(cloud: None, sam_build: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`sam package`: the package goes to S3, and its place there into a template."""
    path = tmp_path_factory.mktemp("packaged") / "template.yaml"
    where = ["--template-file", str(sam_build / "template.yaml"), "--output-template-file", str(path)]
    credentials = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    sam("package", *where, "--s3-bucket", BUCKET, **credentials)
    return path


@pytest.fixture(scope="module")
def stack(packaged: Path) -> dict[str, str]:
    """Logical id -> physical id of all that was made."""
    boto3.client("cloudformation").create_stack(
        StackName=STACK,
        TemplateBody=json.dumps(translated(packaged, **PARAMETERS)),
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in PARAMETERS.items()],
        Capabilities=["CAPABILITY_IAM"],
    )
    made = boto3.client("cloudformation").describe_stack_resources(StackName=STACK)["StackResources"]
    return {resource["LogicalResourceId"]: resource.get("PhysicalResourceId", "") for resource in made}


@pytest.fixture(scope="module")
def function(stack: dict[str, str]) -> dict[str, Any]:
    found = boto3.client("lambda").get_function(FunctionName=stack["ClassifierFunction"])
    return dict(found["Configuration"])


@pytest.fixture(scope="module")
def deployed(
    packaged: Path, function: dict[str, Any], runtime: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Emulator]:
    """What was uploaded, taken from S3 and unzipped as Lambda does, under the emulator with the function's settings."""
    code = translated(packaged, **PARAMETERS)["Resources"]["ClassifierFunction"]["Properties"]["Code"]
    uploaded = boto3.client("s3").get_object(Bucket=code["S3Bucket"], Key=code["S3Key"])["Body"].read()
    folder = tmp_path_factory.mktemp("deployed")
    task = folder / "task"
    with zipfile.ZipFile(io.BytesIO(uploaded)) as archive:
        archive.extractall(task)
    make_read_only(task)
    settings = function["Environment"]["Variables"]
    with Emulator.start(runtime, task, folder / "log", handler=function["Handler"], **settings) as emulator:
        yield emulator


def test_all_resources_are_made(stack: dict[str, str]) -> None:
    """By their types; the version and what stands behind the API are SAM's."""
    made = boto3.client("cloudformation").describe_stack_resources(StackName=STACK)["StackResources"]

    assert {(resource["ResourceType"], resource["ResourceStatus"]) for resource in made} == {
        (kind, "CREATE_COMPLETE")
        for kind in (
            "AWS::ApiGatewayV2::Api",
            "AWS::ApiGatewayV2::Stage",
            "AWS::CloudWatch::Alarm",
            "AWS::IAM::Role",
            "AWS::Lambda::Alias",
            "AWS::Lambda::Function",
            "AWS::Lambda::Permission",
            "AWS::Lambda::Version",
            "AWS::Logs::LogGroup",
        )
    }


def test_the_function_is_the_package_with_its_settings(stack: dict[str, str], function: dict[str, Any]) -> None:
    """And with nothing that the parameters don't ask for."""
    assert (function["Handler"], function["Runtime"]) == ("function.handler.handler", "python3.13")
    assert (function["MemorySize"], function["Timeout"], function["Architectures"]) == (1024, 20, ["x86_64"])
    assert function["Role"].endswith(stack["FunctionRole"])
    assert function["Environment"]["Variables"]["API_KEY_SHA256"] == PARAMETERS["ApiKeySha256"]
    client = boto3.client("lambda")
    assert "Concurrency" not in client.get_function(FunctionName=function["FunctionName"])
    (alias,) = client.list_aliases(FunctionName=function["FunctionName"])["Aliases"]
    assert (alias["Name"], alias["FunctionVersion"]) == ("live", "1")
    policy = json.loads(client.get_policy(FunctionName=function["FunctionName"])["Policy"])
    (statement,) = policy["Statement"]
    assert statement["Principal"] == {"Service": "apigateway.amazonaws.com"}
    assert statement["Condition"]["ArnLike"]["AWS:SourceArn"].endswith(f":{stack['Api']}/*/*")


def test_the_api_hands_everything_to_the_alias(stack: dict[str, str]) -> None:
    """Throttled, with a log of its own, on the stage without a path."""
    gateway = boto3.client("apigatewayv2")

    (route,) = gateway.get_routes(ApiId=stack["Api"])["Items"]
    (integration,) = gateway.get_integrations(ApiId=stack["Api"])["Items"]
    (stage,) = gateway.get_stages(ApiId=stack["Api"])["Items"]

    assert route["RouteKey"] == "$default"
    assert integration["PayloadFormatVersion"] == "2.0"
    assert integration["IntegrationUri"].endswith(f"functions/{stack['ClassifierFunctionAliaslive']}/invocations")
    assert stage["StageName"] == "$default"
    assert stage["DefaultRouteSettings"] == {"ThrottlingBurstLimit": 100, "ThrottlingRateLimit": 100.0}
    assert stage["AccessLogSettings"]["DestinationArn"].endswith(f"log-group:{stack['ApiLogs']}")
    line = json.loads(stage["AccessLogSettings"]["Format"])
    assert {"status", "request", "milliseconds"} <= set(line)


def test_log_lines_end_and_an_alarm_hears_of_5xx(stack: dict[str, str]) -> None:
    """API Gateway's count of them, which has the app's own 500s too."""
    groups = boto3.client("logs").describe_log_groups()["logGroups"]
    (alarm,) = boto3.client("cloudwatch").describe_alarms()["MetricAlarms"]

    assert {group["logGroupName"]: group["retentionInDays"] for group in groups} == {
        stack["FunctionLogs"]: 30,
        stack["ApiLogs"]: 30,
    }
    assert (alarm["Namespace"], alarm["MetricName"], alarm["Statistic"]) == ("AWS/ApiGateway", "5xx", "Sum")
    dimensions = {dimension["Name"]: dimension["Value"] for dimension in alarm["Dimensions"]}
    assert dimensions == {"ApiId": stack["Api"], "Stage": "$default"}


def test_the_outputs_say_where_it_is(stack: dict[str, str]) -> None:
    """The address, a command to try, and the function's name."""
    (made,) = boto3.client("cloudformation").describe_stacks(StackName=STACK)["Stacks"]

    url = f"https://{stack['Api']}.execute-api.eu-central-1.amazonaws.com"
    assert {output["OutputKey"]: output["OutputValue"] for output in made["Outputs"]} == {
        "Url": url,
        "Curl": f"""curl -H 'X-API-Key: ' -d '{{"data": [[5.1, 3.5, 1.4, 0.2]]}}' {url}/predict""",
        "FunctionName": stack["ClassifierFunction"],
    }


def test_what_was_uploaded_answers(
    deployed: Emulator, event: Event, client: TestClient, function: dict[str, Any]
) -> None:
    """Taken from S3 again, read-only, with the function's own settings: 401 without the key, with it as everywhere."""
    for name, call in EVENTS.items():
        incoming = event(name)
        assert answer_of(deployed.invoke(incoming)).status == (200 if name == "health" else 401), name
        incoming.get("headers", {})["x-api-key"] = KEY
        if name not in ("docs", "openapi"):  # they describe the key
            assert answer_of(deployed.invoke(incoming)) == http_door(client)(call), name


@pytest.mark.parametrize(
    ("old", "new"),
    [({"Revision": "1"}, {"Revision": "2"}), ({}, {"Revision": "1"}), ({"Revision": "1"}, {"Revision": "1"})],
)
def test_another_revision_publishes_another_version(old: dict[str, str], new: dict[str, str], packaged: Path) -> None:
    """SAM doesn't by itself where a parameter alone changes, such as the key; then the alias would keep the old one."""
    before, after = translated(packaged, **old), translated(packaged, **new, ApiKeySha256="")

    versions = [[name for name in made["Resources"] if "Version" in name] for made in (before, after)]
    assert (versions[0] != versions[1]) is (old != new)


def test_without_credentials_nothing_is_built_or_sent(tmp_path: Path) -> None:
    """One line says what is missing."""
    environ = ENVIRON | {"HOME": str(tmp_path), "AWS_EC2_METADATA_DISABLED": "true"}
    deploy = ["make", "--silent", "deploy", "ALLOW_ANONYMOUS=true"]

    result = subprocess.run(deploy, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)

    assert result.returncode != 0
    line, made, *others = result.stderr.splitlines()
    assert line.startswith("deploy: expected AWS credentials, found none: https://docs.aws.amazon.com/")
    assert " *** [" in made
    assert (others, result.stdout) == ([], "")
