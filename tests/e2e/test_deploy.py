"""A deployment to a mock of AWS: what is uploaded, what CloudFormation makes of it, and that it answers."""

import io
import json
import os
import re
import subprocess
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from samcli.cli.types import CfnParameterOverridesType
from samtranslator.translator.managed_policy_translator import ManagedPolicyLoader
from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse
from starlette.testclient import TestClient

from function.api.app import create_app
from function.classifier import Classifier
from function.settings import Settings
from model.preflight import main as preflight
from tests.support.calls import EVENTS
from tests.support.emulator import Emulator
from tests.support.entry_points import ROOT, Event, answer_of, http_entry_point
from tests.support.mock_cloud import mock_cloud
from tests.support.sam import ENVIRON, make_read_only, sam

BUCKET, STACK = "packages", "web-single"
KEY = "my key"
LAYER = "arn:aws:lambda:eu-central-1:123456789012:layer:spans:1"
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


def package(build: Path, template: Path, prefix: str) -> None:
    """`sam package`: the package goes to S3, and its place there into a template."""
    where = ["--template-file", str(build / "template.yaml"), "--output-template-file", str(template)]
    credentials = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    sam("package", *where, "--s3-bucket", BUCKET, "--s3-prefix", prefix, **credentials)


def uploaded(template: Path) -> bytes:
    code = translated(template)["Resources"]["ClassifierFunction"]["Properties"]["Code"]
    return boto3.client("s3").get_object(Bucket=code["S3Bucket"], Key=code["S3Key"])["Body"].read()


def create_stack(name: str, packaged: Path, parameters: dict[str, str]) -> dict[str, str]:
    """Let CloudFormation make a stack, and give logical id -> physical id of all that was made."""
    boto3.client("cloudformation").create_stack(
        StackName=name,
        TemplateBody=json.dumps(translated(packaged, **parameters)),
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
        Capabilities=["CAPABILITY_IAM"],
    )
    return {made["LogicalResourceId"]: made.get("PhysicalResourceId", "") for made in resources_of(name)}


def resources_of(stack: str) -> list[dict[str, Any]]:
    """What was made; moto names those too that a condition leaves out, by nothing."""
    made = boto3.client("cloudformation").describe_stack_resources(StackName=stack)["StackResources"]
    return [dict(resource) for resource in made if "LogicalResourceId" in resource]


@pytest.fixture(scope="module")
def packaged(cloud: None, sam_build: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("packaged") / "template.yaml"
    package(sam_build, path, prefix="first")
    return path


@pytest.fixture(scope="module")
def stack(packaged: Path) -> dict[str, str]:
    return create_stack(STACK, packaged, PARAMETERS)


@pytest.fixture(scope="module")
def function(stack: dict[str, str]) -> dict[str, Any]:
    found = boto3.client("lambda").get_function(FunctionName=stack["ClassifierFunction"])
    return dict(found["Configuration"])


@pytest.fixture(scope="module")
def deployed(
    packaged: Path, function: dict[str, Any], runtime: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Emulator]:
    """What was uploaded, taken from S3 and unzipped as Lambda does, under the emulator with the function's settings."""
    folder = tmp_path_factory.mktemp("deployed")
    task = folder / "task"
    with zipfile.ZipFile(io.BytesIO(uploaded(packaged))) as archive:
        archive.extractall(task)
    make_read_only(task)
    settings = function["Environment"]["Variables"]
    with Emulator.start(runtime, task, folder / "log", handler=function["Handler"], **settings) as emulator:
        yield emulator


def test_all_resources_are_made(stack: dict[str, str]) -> None:
    """By their types; the version and what stands behind the API are SAM's."""
    assert {(resource["ResourceType"], resource["ResourceStatus"]) for resource in resources_of(STACK)} == {
        (kind, "CREATE_COMPLETE")
        for kind in (
            "AWS::ApiGatewayV2::Api",
            "AWS::ApiGatewayV2::Stage",
            "AWS::CloudWatch::Alarm",
            "AWS::CloudWatch::Dashboard",
            "AWS::IAM::Role",
            "AWS::Lambda::Alias",
            "AWS::Lambda::Function",
            "AWS::Lambda::Permission",
            "AWS::Lambda::Version",
            "AWS::Logs::LogGroup",
        )
    }


def test_an_invocation_gives_metrics(deployed: Emulator, classifier: Classifier) -> None:
    """In its access line, in CloudWatch's embedded format, by stack and model, with the first one's cold start."""
    event = json.loads((ROOT / "events" / "predict_batch.json").read_text())
    event["headers"]["x-api-key"] = KEY
    for _ in range(2):
        assert deployed.invoke(event)["statusCode"] == 200

    lines = [json.loads(line) for line in deployed.log().splitlines() if '"_aws"' in line]
    assert [line["requests"] for line in lines] == [1] * len(lines)
    last = lines[-1]
    for directive in last["_aws"]["CloudWatchMetrics"]:
        assert (directive["Namespace"], directive["Dimensions"]) == ("web-single", [["stack", "model", "digest"]])
        assert all(isinstance(last[metric["Name"]], int | float) for metric in directive["Metrics"])
    assert (last["stack"], last["model"], last["digest"]) == (STACK, "iris_svc", classifier.model.sha256[:12])
    assert (last["rows"], last["predicted_setosa"], last["predicted_virginica"]) == (2, 1, 1)
    assert last["cold_start"] == 0
    assert sum(line["cold_start"] for line in lines) == 1
    assert last["aws_request_id"]


def test_the_dashboard_is_json(stack: dict[str, str]) -> None:
    """Six graphs of what the lines of this stack bring."""
    body = boto3.client("cloudwatch").get_dashboard(DashboardName=stack["Dashboard"])["DashboardBody"]

    widgets = [widget["properties"] for widget in json.loads(body)["widgets"]]
    titles = [widget["title"] for widget in widgets]
    assert len(titles) == len(set(titles)) == 6
    searches = [expression["expression"] for widget in widgets for (expression,) in widget["metrics"]]
    of_this_stack = f"""SEARCH('{{web-single,stack,model,digest}} stack="{STACK}" """
    assert all(search.startswith(of_this_stack) for search in searches)
    assert all(widget["properties"]["region"] == "eu-central-1" for widget in json.loads(body)["widgets"])


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
    assert list(line) == [
        "time", "request", "ip", "method", "path", "status", "milliseconds", "bytes", "invocation", "error"
    ]  # fmt: skip


def test_log_lines_end_and_an_alarm_hears_of_5xx(stack: dict[str, str]) -> None:
    """API Gateway's count of them, which has the app's own 500s too."""
    groups = boto3.client("logs").describe_log_groups(logGroupNamePrefix=f"/web-single/{STACK}/")["logGroups"]
    (alarm,) = boto3.client("cloudwatch").describe_alarms(AlarmNames=[stack["ServerErrors"]])["MetricAlarms"]

    assert {group["logGroupName"]: group["retentionInDays"] for group in groups} == {
        stack["FunctionLogs"]: 30,
        stack["ApiLogs"]: 30,
    }
    given = ("Namespace", "MetricName", "Dimensions", "Statistic", "Period", "EvaluationPeriods", "Threshold",
             "ComparisonOperator", "TreatMissingData", "AlarmActions")  # fmt: skip
    assert {name: alarm[name] for name in given} == {
        "Namespace": "AWS/ApiGateway",
        "MetricName": "5xx",
        "Dimensions": [{"Name": "ApiId", "Value": stack["Api"]}, {"Name": "Stage", "Value": "$default"}],
        "Statistic": "Sum",
        "Period": 60,
        "EvaluationPeriods": 1,
        "Threshold": 1.0,
        "ComparisonOperator": "GreaterThanOrEqualToThreshold",
        "TreatMissingData": "notBreaching",
        "AlarmActions": [],
    }


def test_alarms_hear_of_slow_answers_and_of_drift(stack: dict[str, str]) -> None:
    """API Gateway's 99th percentile; and the index of the feature that has drifted most, of this stack alone."""
    names = [stack["SlowAnswers"], stack["Drift"]]
    found = boto3.client("cloudwatch").describe_alarms(AlarmNames=names)["MetricAlarms"]
    drift, slow = sorted(found, key=lambda alarm: alarm["AlarmName"])

    assert (slow["AlarmName"], drift["AlarmName"]) == (f"{STACK}-latency", f"{STACK}-drift")
    assert (slow["Namespace"], slow["MetricName"], slow["ExtendedStatistic"]) == ("AWS/ApiGateway", "Latency", "p99")
    assert slow["Dimensions"] == [{"Name": "ApiId", "Value": stack["Api"]}, {"Name": "Stage", "Value": "$default"}]
    assert (slow["Period"], slow["EvaluationPeriods"], slow["DatapointsToAlarm"]) == (60, 3, 2)
    assert (slow["Threshold"], slow["ComparisonOperator"]) == (3000.0, "GreaterThanThreshold")
    assert (drift["Namespace"], drift["MetricName"], drift["Statistic"]) == ("web-single", "drift", "Average")
    assert drift["Dimensions"] == [{"Name": "stack", "Value": STACK}]
    assert (drift["Period"], drift["EvaluationPeriods"]) == (3600, 1)
    assert (drift["Threshold"], drift["ComparisonOperator"]) == (0.25, "GreaterThanOrEqualToThreshold")
    assert {alarm["TreatMissingData"] for alarm in found} == {"notBreaching"}


@pytest.mark.parametrize("given", [{"DriftThreshold": "0"}, {"Metrics": "NONE"}])
def test_no_alarm_hears_of_drift_where_it_isnt_wanted(given: dict[str, str], packaged: Path) -> None:
    """Or where nothing would tell it."""
    name = f"without-{next(iter(given))}"

    made = create_stack(name, packaged, PARAMETERS | given)

    assert "Drift" not in made
    assert {"ServerErrors", "SlowAnswers"} <= set(made)


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
    deployed: Emulator, event: Event, classifier: Classifier, function: dict[str, Any]
) -> None:
    """Taken from S3 again, read-only, with the function's own settings: 401 without the key, with it as everywhere."""
    settings = Settings.load({"API_KEY_SHA256": PARAMETERS["ApiKeySha256"]})
    client = TestClient(create_app(settings, classifier), headers={"x-api-key": KEY})
    for name, call in EVENTS.items():
        incoming = event(name)
        assert answer_of(deployed.invoke(incoming)).status == (
            200 if name in ("health", "discovery", "page") else 401
        ), name
        incoming.get("headers", {})["x-api-key"] = KEY
        assert answer_of(deployed.invoke(incoming)) == http_entry_point(client)(call), name


def test_every_parameter_arrives(packaged: Path) -> None:
    """In a second stack, with another value for each that moto has an eye for; tests/e2e/test_template.py has the others."""
    given = {
        "ApiKeySha256": PARAMETERS["ApiKeySha256"],
        "CorsOrigins": "https://example.org,https://example.com",
        "BasePath": "/iris",
        "MemorySize": "512",
        "ReservedConcurrency": "5",
        "RequestsPerSecond": "7",
        "LogRetentionDays": "90",
        "AlarmTopicArn": "arn:aws:sns:eu-central-1:123456789012:alarms",
        "LatencyThreshold": "500",
        "DriftThreshold": "0.5",
        "ModelSha256": "0" * 64,
        "Revision": "2",
    }
    made = create_stack("second", packaged, given)

    function = boto3.client("lambda").get_function(FunctionName=made["ClassifierFunction"])
    configuration = function["Configuration"]
    assert configuration["MemorySize"] == 512
    variables = configuration["Environment"]["Variables"]
    assert (variables["CORS_ORIGINS"], variables["BASE_PATH"]) == (given["CorsOrigins"], given["BasePath"])
    assert function["Concurrency"] == {"ReservedConcurrentExecutions": 5}
    (stage,) = boto3.client("apigatewayv2").get_stages(ApiId=made["Api"])["Items"]
    assert stage["DefaultRouteSettings"] == {"ThrottlingBurstLimit": 7, "ThrottlingRateLimit": 7.0}
    groups = boto3.client("logs").describe_log_groups(logGroupNamePrefix="/web-single/second/")["logGroups"]
    assert [group["retentionInDays"] for group in groups] == [90, 90]
    names = ("ServerErrors", "SlowAnswers", "Drift")
    alarms = boto3.client("cloudwatch").describe_alarms(AlarmNames=[made[name] for name in names])["MetricAlarms"]
    assert [alarm["AlarmActions"] for alarm in alarms] == [[given["AlarmTopicArn"]]] * 3
    assert {alarm["AlarmName"]: alarm["Threshold"] for alarm in alarms} == {
        "second-5xx": 1.0,
        "second-latency": 500.0,
        "second-drift": 0.5,
    }
    assert (variables["MODEL_SHA256"], variables["STACK_NAME"]) == (given["ModelSha256"], "second")


def test_a_revision_decides_what_the_alias_serves(packaged: Path, tmp_path: Path) -> None:
    """Another one publishes a version; the same one doesn't, not even of other code. So `make deploy` gives the time."""
    other_code = tmp_path / "template.yaml"
    template = yaml_parse(packaged.read_text())
    template["Resources"]["ClassifierFunction"]["Properties"]["CodeUri"] += "x"
    other_code.write_text(json.dumps(template))

    def version(path: Path, **parameters: str) -> list[str]:
        return [name for name in translated(path, **parameters)["Resources"] if "Version" in name]

    assert version(packaged, Revision="1") != version(packaged, Revision="2")
    assert version(packaged, Revision="1") == version(other_code, Revision="1")
    assert version(packaged) != version(other_code)


def test_the_same_files_are_the_same_upload(packaged: Path, tmp_path: Path) -> None:
    """Built and packaged again, the zip has the same bytes."""
    sam("build", "--build-dir", str(tmp_path / "build"))
    make_read_only(tmp_path / "build" / "ClassifierFunction")  # as the first is
    package(tmp_path / "build", tmp_path / "template.yaml", prefix="again")

    assert uploaded(tmp_path / "template.yaml") == uploaded(packaged)


def make(*arguments: str, home: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    base = ENVIRON | {"HOME": str(home), "AWS_EC2_METADATA_DISABLED": "true", "AWS_MAX_ATTEMPTS": "1"} | environ
    command = ["make", "--silent", *arguments]
    return subprocess.run(command, cwd=ROOT, env=base, capture_output=True, text=True, check=False)


def test_make_deploy_hands_on_what_it_is_given(tmp_path: Path) -> None:
    """Key digests, architecture, a revision of its own, and any parameter."""
    digests = f"{PARAMETERS['ApiKeySha256']},{PARAMETERS['ApiKeySha256']}"
    given = (f"API_KEY_SHA256={digests}", "ARCHITECTURE=arm64", "PARAMETERS=MemorySize=512 CorsOrigins=https://a.b")

    result = make("--dry-run", "deploy", *given, home=tmp_path)

    commands = result.stdout.replace("\\\n", "")
    assert re.search(
        r"\.venv/bin/sam deploy --stack-name 'web-single'\s+"
        r"--parameter-overrides Revision=\$\(date \+%s\) Architecture=arm64 ModelSha256=\$\(sha256sum '\S+' \| cut -c 1-64\)\s+"
        rf"""ApiKeySha256='"{digests}"' AllowAnonymous=false MemorySize=512 CorsOrigins=https://a\.b""",
        commands,
    )
    assert ".venv/bin/sam build --parameter-overrides Architecture=arm64" in commands


@pytest.mark.parametrize(
    ("given", "arrives"),
    [
        ("AlarmTopicArn=", {"AlarmTopicArn": ""}),
        ("AlarmTopicArn= MemorySize=512 CorsOrigins=", {"AlarmTopicArn": "", "MemorySize": "512", "CorsOrigins": ""}),
        ("OtlpEndpoint=https://a.example/?key=", {"OtlpEndpoint": "https://a.example/?key="}),
        (f"Layers={LAYER},{LAYER}0 BasePath=/iris", {"Layers": f"{LAYER},{LAYER}0", "BasePath": "/iris"}),
        ("", {}),
    ],
)
def test_make_deploy_takes_a_parameter_back(given: str, arrives: dict[str, str], tmp_path: Path) -> None:
    """An empty one reaches sam as one that sam reads."""
    dry = make("--dry-run", "deploy", "ALLOW_ANONYMOUS=true", f"PARAMETERS={given}", home=tmp_path)
    deploy = dry.stdout.replace("\\\n", "").partition(".venv/bin/sam deploy ")[2].splitlines()[0]
    command = deploy.partition("--parameter-overrides ")[2]
    words = subprocess.run(["bash", "-c", f"printf '%s\\0' {command}"], capture_output=True, text=True, check=True)

    read = CfnParameterOverridesType().convert(tuple(words.stdout.split("\0")[:-1]), None, None)

    always = {"Revision", "Architecture", "ModelSha256", "ApiKeySha256", "AllowAnonymous"}
    assert {name: value for name, value in read.items() if name not in always} == arrives


@pytest.mark.parametrize(
    ("arguments", "environ", "line"),
    [
        ([], {}, "deploy: expected API_KEY_SHA256=…, digests of the accepted keys, or ALLOW_ANONYMOUS=true"),
        (["API_KEY_SHA256=my key"], {}, "deploy: expected API_KEY_SHA256 to be digests of 64 hexadecimal digits, "),
        (["ALLOW_ANONYMOUS=true"], {}, "deploy: expected AWS credentials and a region that work, got: Unable to locate"),
        (["ALLOW_ANONYMOUS=yes"], {},
         "deploy: expected API_KEY_SHA256=…, digests of the accepted keys, or ALLOW_ANONYMOUS=true, got yes"),
        (["ALLOW_ANONYMOUS=true"], {"AWS_DEFAULT_REGION": "", "AWS_ACCESS_KEY_ID": "none", "AWS_SECRET_ACCESS_KEY": "none"},
         "deploy: expected AWS credentials and a region that work, got: Invalid endpoint: https://"),
        (["ALLOW_ANONYMOUS=true"], {"AWS_PROFILE": "nobody"},
         "deploy: expected AWS credentials and a region that work, got: The config profile (nobody) could not be found"),
        (["ALLOW_ANONYMOUS=true", "PARAMETERS=Architecture=arm64"], {},
         "Makefile:11: *** expected ARCHITECTURE=… in place of PARAMETERS=Architecture=…"),
        (["ALLOW_ANONYMOUS=true", "Rollout=Canary10Percent10Minutes"], {},
         "Makefile:11: *** expected PARAMETERS='Rollout=…' in place of Rollout=….  Stop."),
        (["ALLOW_ANONYMOUS=true", "PARAMETERS=Rollout=Fast"], {},
         "deploy: expected the parameter Rollout to be one of AllAtOnce, Canary10Percent5Minutes, "),
        (["ALLOW_ANONYMOUS=true", "PARAMETERS=MemorySize=64"], {},
         "deploy: expected the parameter MemorySize to be a number from 256 to 10240, got 64"),
        (["ALLOW_ANONYMOUS=true", "PARAMETERS=MemorySize="], {},
         "deploy: expected the parameter MemorySize to be a number, got nothing"),
        (["ALLOW_ANONYMOUS=true", "PARAMETERS=BasePath=iris"], {},
         "deploy: expected the parameter BasePath to be a path such as /iris, with a slash before each part and none "),
        (["ALLOW_ANONYMOUS=true", "PARAMETERS=Memory=1769"], {},
         "deploy: expected PARAMETERS='NAME=value …' with the names CorsOrigins, BasePath, MemorySize, "),
        (["ALLOW_ANONYMOUS=true", "PARAMETERS=MemorySize"], {}, "deploy: expected PARAMETERS='NAME=value …' with the "),
        (["ALLOW_ANONYMOUS=true", "PARAMETERS=Revision=1"], {}, "deploy: expected nothing in place of PARAMETERS=Revision"),
        (["ALLOW_ANONYMOUS=true", "STACK=my_stack"], {},
         "deploy: expected STACK to be a letter, then letters, digits and hyphens, got 'my_stack'"),
        (["ALLOW_ANONYMOUS=true", "PARAMETERS=CorsOrigins=example.org"], {},
         "deploy: CORS_ORIGINS='example.org': expected "),
        (["ALLOW_ANONYMOUS=true", "PARAMETERS=BasePath=/predict"], {}, "deploy: BASE_PATH='/predict': expected a prefix "),
        (["ALLOW_ANONYMOUS=true", "PARAMETERS=AlarmTopicArn=x"], {},
         "deploy: expected the parameter AlarmTopicArn to be the ARN of an SNS topic, got x"),
        (["ALLOW_ANONYMOUS=true", "PARAMETERS=OtlpEndpoint=localhost:4318"], {},
         "deploy: OTEL_EXPORTER_OTLP_ENDPOINT: expected an address such as http://localhost:4318, got another text"),
        (["ALLOW_ANONYMOUS=true", f"PARAMETERS=Layers={LAYER},foo"], {},
         "deploy: expected the parameter Layers to be ARNs of layers' versions, comma-separated, got arn:aws:"),
        (["ALLOW_ANONYMOUS=true", "PARAMETERS=MemorySize=512 MemorySize=1024"], {},
         "deploy: expected the parameter MemorySize once, got it more often"),
        (["ALLOW_ANONYMOUS=true", "REPOSITORY=foo"], {},
         "Makefile:11: *** expected no REPOSITORY=… without PACKAGE=image.  Stop."),
        (["ALLOW_ANONYMOUS=true"], {"MODEL_FILEPATH": "nope.onnx"}, "deploy: nope.onnx: can't be read (No such file"),
        (["ALLOW_ANONYMOUS=true"], {"MODEL_FILEPATH": "README.md"}, "deploy: README.md: "),
    ],
    ids=["nobody may call", "a key itself", "no credentials", "neither true nor false", "an empty region", "no such profile", "two architectures",
         "a parameter of the template's", "no such value", "too small a number", "no number", "no such form",
         "no such parameter", "no value", "what make gives", "no such name of a stack", "no origin", "a route as prefix",
         "no topic", "no address", "no layer", "a parameter twice", "a repository for a zip", "no model", "no ONNX"],
)  # fmt: skip
def test_a_deployment_that_cant_be_says_why(
    arguments: list[str], environ: dict[str, str], line: str, tmp_path: Path
) -> None:
    """In one line, before anything is built or sent."""
    result = make("deploy", *arguments, home=tmp_path, **environ)

    assert result.returncode != 0
    told, *makes_own = result.stderr.splitlines()
    assert re.sub(r"Makefile:\d+", "Makefile:11", told).startswith(line)
    assert all(" *** [" in text for text in makes_own)
    assert len(makes_own) <= 1
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("parameters", "line"),
    [
        ("SnapStart=true ProvisionedConcurrency=2", "Lambda allows SnapStart or ProvisionedConcurrency, not both."),
        ("BulkInput=my-rows", "Scoring in bulk needs both BulkInput and BulkOutput."),
        (
            "OtlpEndpoint=http://localhost:4318",
            "OtlpEndpoint needs Layers=…, a layer with the content of make layer.",
        ),
        (
            "BulkInput=rows BulkOutput=rows BulkInputPrefix=a/ BulkOutputPrefix=a/",
            "The answers can't go where the input is, or they would be scored too.",
        ),
    ],
)
def test_the_rules_are_checked_before_the_build(parameters: str, line: str, cloud: None, artifact: Path) -> None:
    """Those of the template, with the parameters that the stack has kept."""
    with pytest.raises(SystemExit) as caught:
        preflight(["rules", parameters, str(artifact)])
    assert caught.value.code == f"deploy: {line}"

    kept = {"BulkOutput": "answers", "SnapStart": "false"}
    template: dict[str, Any] = {"Parameters": {name: {"Type": "String"} for name in kept}}
    template["Resources"] = {"Topic": {"Type": "AWS::SNS::Topic"}}
    name = f"kept-{len(line)}"
    boto3.client("cloudformation").create_stack(
        StackName=name,
        TemplateBody=json.dumps(template),
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in kept.items()],
    )
    preflight([name, "BulkInput=my-rows", str(artifact)])
    preflight([name, f"BulkInput=my-rows OtlpEndpoint=http://localhost:4318 Layers={LAYER}", str(artifact)])
    preflight([name, "BulkInput=my-rows OtlpEndpoint=http://localhost:4318", str(artifact), "--package=image"])


def test_a_deployment_finds_where_to_go() -> None:
    """A bucket of sam's own, the right to make a role, and nothing left of a first one that fails."""
    with (ROOT / "samconfig.toml").open("rb") as file:
        options = tomllib.load(file)["default"]["deploy"]["parameters"]

    assert options == {
        "stack_name": "web-single",
        "resolve_s3": True,
        "capabilities": "CAPABILITY_IAM",
        "on_failure": "DELETE",
    }
