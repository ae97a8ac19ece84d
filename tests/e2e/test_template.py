"""template.yaml and the package that it names."""

import re
from pathlib import Path
from typing import Any

import pytest
from samtranslator.model.preferences.deployment_preference_collection import CODEDEPLOY_PREDEFINED_CONFIGURATIONS_LIST
from samtranslator.yaml_helper import yaml_parse

from function.package import PYTHON
from function.settings import Settings

DIGEST = "a0e12d601e10154fe5743fd6d2ba37492365077b485f06c131ef495420005253"


@pytest.fixture
def template() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml_parse(Path("template.yaml").read_text())
    return loaded


@pytest.fixture
def function(template: dict[str, Any]) -> dict[str, Any]:
    properties: dict[str, Any] = template["Resources"]["ClassifierFunction"]["Properties"]
    return properties


def test_one_function_behind_an_http_api(template: dict[str, Any], function: dict[str, Any]) -> None:
    """With the handler that exists and limits set, and what there is to see and to hear of it."""
    resources = {name: one["Type"] for name, one in template["Resources"].items() if one.get("Condition") != "HasBulk"}
    assert resources == {
        "ClassifierFunction": "AWS::Serverless::Function",
        "FunctionRole": "AWS::IAM::Role",
        "Api": "AWS::Serverless::HttpApi",
        "FunctionLogs": "AWS::Logs::LogGroup",
        "ApiLogs": "AWS::Logs::LogGroup",
        "ServerErrors": "AWS::CloudWatch::Alarm",
        "SlowAnswers": "AWS::CloudWatch::Alarm",
        "Drift": "AWS::CloudWatch::Alarm",
        "Dashboard": "AWS::CloudWatch::Dashboard",
    }
    assert (function["Handler"], function["Runtime"]) == ("function.handler.handler", f"python{PYTHON}")
    assert function["Timeout"] <= 29
    assert function["Architectures"] == [{"Ref": "Architecture"}]
    assert function["Events"] == {"Api": {"Type": "HttpApi", "Properties": {"ApiId": {"Ref": "Api"}}}}
    assert set(template["Outputs"]) == {"Url", "Curl", "FunctionName", "BulkStateMachine"}


def test_it_may_do_nothing_but_write_its_log(template: dict[str, Any]) -> None:
    """No action and no resource with an asterisk, and no policy of others."""
    role = template["Resources"]["FunctionRole"]["Properties"]
    (policy,) = role["Policies"]
    (statement,) = policy["PolicyDocument"]["Statement"]

    assert "ManagedPolicyArns" not in role
    assert statement == {
        "Effect": "Allow",
        "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
        "Resource": {"Fn::GetAtt": ["FunctionLogs", "Arn"]},
    }


def test_the_defaults_are_safe(template: dict[str, Any]) -> None:
    """Requests are throttled, logs end, and every parameter has a default and says what it is for."""
    defaults = {name: parameter["Default"] for name, parameter in template["Parameters"].items()}

    assert defaults == {
        "ApiKeySha256": "",
        "AllowAnonymous": "false",
        "CorsOrigins": "",
        "BasePath": "",
        "Architecture": "x86_64",
        "MemorySize": 1024,
        "ReservedConcurrency": -1,
        "ProvisionedConcurrency": 0,
        "SnapStart": "false",
        "RequestsPerSecond": 100,
        "LogRetentionDays": 30,
        "Metrics": "EMF",
        "Revision": "",
        "ModelSha256": "",
        "Rollout": "AllAtOnce",
        "AlarmTopicArn": "",
        "LatencyThreshold": 3000,
        "DriftThreshold": 0.25,
        "OtlpEndpoint": "",
        "Layers": "",
        "BulkInput": "",
        "BulkInputPrefix": "",
        "BulkOutput": "",
        "BulkOutputPrefix": "scored/",
        "BulkConcurrency": 100,
        "BulkToleratedFailures": "0",
    }
    assert all(parameter["Description"] for parameter in template["Parameters"].values())
    route = template["Resources"]["Api"]["Properties"]["DefaultRouteSettings"]
    limit = {"Ref": "RequestsPerSecond"}
    assert route == {"ThrottlingRateLimit": limit, "ThrottlingBurstLimit": limit}
    for logs in ("FunctionLogs", "ApiLogs"):
        assert template["Resources"][logs]["Properties"]["RetentionInDays"] == {"Ref": "LogRetentionDays"}


def holds(condition: Any, parameters: dict[str, Any]) -> Any:
    """Evaluate a condition as CloudFormation does, which compares all as text."""
    match condition:
        case {"Ref": name}:
            return str(parameters[name])
        case {"Fn::Equals": [left, right]}:
            return holds(left, parameters) == holds(right, parameters)
        case {"Fn::Not": [inner]}:
            return not holds(inner, parameters)
        case {"Fn::And": [*inner]}:
            return all(holds(one, parameters) for one in inner)
        case {"Fn::Or": [*inner]}:
            return any(holds(one, parameters) for one in inner)
        case {"Fn::EachMemberEquals": [{"Ref": name}, text]}:
            return all(one == text for one in parameters[name].split(","))
        case str() | int():
            return str(condition)
    raise NotImplementedError(condition)


@pytest.mark.parametrize(
    ("given", "refusal"),
    [
        ({}, "Set ApiKeySha256, or AllowAnonymous=true for a service open to everyone."),
        ({"ApiKeySha256": DIGEST}, None),
        ({"ApiKeySha256": f"{DIGEST},{DIGEST}"}, None),
        ({"AllowAnonymous": "true"}, None),
        ({"ApiKeySha256": DIGEST, "AllowAnonymous": "true"}, None),
        ({"ApiKeySha256": DIGEST, "SnapStart": "true"}, None),
        ({"ApiKeySha256": DIGEST, "ProvisionedConcurrency": 2}, None),
        (
            {"ApiKeySha256": DIGEST, "SnapStart": "true", "ProvisionedConcurrency": 2},
            "Lambda allows SnapStart or ProvisionedConcurrency, not both.",
        ),
        ({"AllowAnonymous": "true", "OtlpEndpoint": "http://a", "Layers": "arn:1,arn:2"}, None),
        (
            {"AllowAnonymous": "true", "OtlpEndpoint": "http://a"},
            "OtlpEndpoint needs Layers=…, a layer with the content of make layer.",
        ),
        ({"AllowAnonymous": "true", "BulkInput": "rows", "BulkOutput": "scores"}, None),
        ({"AllowAnonymous": "true", "BulkInput": "rows", "BulkOutput": "rows", "BulkInputPrefix": "in/"}, None),
        ({"AllowAnonymous": "true", "BulkInput": "rows"}, "Scoring in bulk needs both BulkInput and BulkOutput."),
        ({"AllowAnonymous": "true", "BulkOutput": "rows"}, "Scoring in bulk needs both BulkInput and BulkOutput."),
        (
            {"AllowAnonymous": "true", "BulkInput": "rows", "BulkOutput": "rows", "BulkInputPrefix": "scored/"},
            "The answers can't go where the input is, or they would be scored too.",
        ),
    ],
)
def test_a_rule_refuses_to_deploy(given: dict[str, Any], refusal: str | None, template: dict[str, Any]) -> None:
    """Neither key nor an explicit yes to everyone; and what Lambda itself would refuse halfway."""
    parameters = {name: parameter["Default"] for name, parameter in template["Parameters"].items()} | given
    assertions = [assertion for rule in template["Rules"].values() for assertion in rule["Assertions"]]

    refusals = [a["AssertDescription"] for a in assertions if not holds(a["Assert"], parameters)]

    assert refusals == ([refusal] if refusal else [])


@pytest.mark.parametrize(
    ("parameter", "value", "name", "expected"),
    [
        ("ReservedConcurrency", 5, "ReservedConcurrentExecutions", {"Ref": "ReservedConcurrency"}),
        ("SnapStart", "true", "SnapStart", {"ApplyOn": "PublishedVersions"}),
        (
            "ProvisionedConcurrency",
            2,
            "ProvisionedConcurrencyConfig",
            {"ProvisionedConcurrentExecutions": {"Ref": "ProvisionedConcurrency"}},
        ),
    ],
)
def test_a_property_is_there_when_it_is_asked_for(
    parameter: str, value: Any, name: str, expected: Any, template: dict[str, Any], function: dict[str, Any]
) -> None:
    """And by default isn't."""
    defaults = {name: parameter["Default"] for name, parameter in template["Parameters"].items()}
    condition, there, otherwise = function[name]["Fn::If"]

    assert (there, otherwise) == (expected, {"Ref": "AWS::NoValue"})
    assert holds(template["Conditions"][condition], defaults | {parameter: value}) is True
    assert holds(template["Conditions"][condition], defaults) is False


def test_the_log_is_json_in_a_group_of_its_own(function: dict[str, Any]) -> None:
    """Lambda's lines too, its report of each invocation among them."""
    assert function["LoggingConfig"] == {
        "LogGroup": {"Ref": "FunctionLogs"},
        "LogFormat": "JSON",
        "SystemLogLevel": "INFO",
    }


@pytest.mark.parametrize(
    ("value", "is_allowed"),
    [("", True), (DIGEST, True), (f"{DIGEST},{DIGEST.upper()}", True), ("my key", False), (f"{DIGEST},", False)],
)
def test_a_key_itself_is_no_digest(value: str, is_allowed: bool, template: dict[str, Any]) -> None:  # noqa: FBT001
    """CloudFormation refuses it."""
    pattern = template["Parameters"]["ApiKeySha256"]["AllowedPattern"]

    assert bool(re.fullmatch(pattern, value)) is is_allowed


def test_its_environment_is_the_settings(function: dict[str, Any]) -> None:
    """All that the app reads, with the app's own defaults; one process shares its counters with no other."""
    variables = function["Environment"]["Variables"]
    plain = {name: value for name, value in variables.items() if isinstance(value, str)}

    telemetry = {
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "OTEL_EXPORTER_OTLP_TIMEOUT",
        "OTEL_SERVICE_NAME",
    }  # OpenTelemetry reads them
    expected = {name.upper() for name in Settings.model_fields} - {"METRICS_FOLDER"} | telemetry
    assert set(variables) == expected, "template.yaml's variables of ClassifierFunction aren't the settings"
    assert Settings.load(plain) == Settings.load({})


def test_every_rollout_is_gradual_or_not(template: dict[str, Any], function: dict[str, Any]) -> None:
    """CodeDeploy is asked for all but the one that is none."""
    allowed = template["Parameters"]["Rollout"]["AllowedValues"]
    mapping = template["Mappings"]["IsGradual"]

    assert set(allowed) == set(CODEDEPLOY_PREDEFINED_CONFIGURATIONS_LIST) == set(mapping)
    assert {name for name in allowed if mapping[name]["Value"] == "false"} == {"AllAtOnce"}
    assert function["DeploymentPreference"]["Type"] == {"Ref": "Rollout"}
    assert function["VersionDeletionPolicy"] == "Retain"


def test_the_makefile_builds_it() -> None:
    """`sam build` calls a target by the function's name."""
    assert re.search(r"^build-ClassifierFunction build-BulkFunction:", Path("Makefile").read_text(), re.MULTILINE)


def test_nothing_of_scoring_in_bulk_exists_without_its_parameters(template: dict[str, Any]) -> None:
    """And all of it with them."""
    defaults = {name: parameter["Default"] for name, parameter in template["Parameters"].items()}
    condition = template["Conditions"]["HasBulk"]

    assert {name for name, one in template["Resources"].items() if one.get("Condition") == "HasBulk"} == {
        "BulkFunction",
        "BulkFunctionRole",
        "BulkLogs",
        "BulkStateMachine",
        "BulkStateMachineRole",
        "BulkFailures",
    }
    assert template["Outputs"]["BulkStateMachine"]["Condition"] == "HasBulk"
    assert holds(condition, defaults) is False
    assert holds(condition, defaults | {"BulkInput": "rows", "BulkOutput": "scores"}) is True


def test_scoring_in_bulk_answers_as_the_service_does(template: dict[str, Any], function: dict[str, Any]) -> None:
    """The settings that decide an answer are the service's."""
    bulk = template["Resources"]["BulkFunction"]["Properties"]

    variables = bulk["Environment"]["Variables"]
    assert set(variables) == {
        "ALLOW_MISSING", "LABEL_FILEPATH", "LABEL_RULE", "LOG_FORMAT", "LOG_LEVEL", "MODEL_FILEPATH", "MODEL_SHA256"
    }  # fmt: skip
    assert variables == {name: function["Environment"]["Variables"][name] for name in variables}
    assert (bulk["Handler"], bulk["Runtime"]) == ("function.bulk.handler", f"python{PYTHON}")
    assert (bulk["Timeout"], bulk["MemorySize"]) == (900, 1769)


@pytest.mark.parametrize(
    ("parameter", "value", "is_allowed"),
    [
        ("BulkInput", "my-rows", True),
        ("BulkInput", "s3://my-rows/", False),
        ("BulkInputPrefix", "rows/2026/", True),
        ("BulkInputPrefix", "rows", False),
        ("BulkInputPrefix", "*/", False),
        ("BulkOutputPrefix", "/", False),
        ("BulkToleratedFailures", "100", True),
        ("BulkToleratedFailures", "2.5", False),
        ("BulkToleratedFailures", "101", False),
    ],
)
def test_a_place_is_a_bucket_and_folders(
    parameter: str,
    value: str,
    is_allowed: bool,  # noqa: FBT001
    template: dict[str, Any],
) -> None:
    """Without what IAM would read as any."""
    pattern = template["Parameters"][parameter]["AllowedPattern"]

    assert bool(re.fullmatch(pattern, value)) is is_allowed
