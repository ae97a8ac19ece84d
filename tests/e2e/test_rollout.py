"""Version 2 and what comes after it, on a mock of AWS: rolled out, listed, rolled back, pruned."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from sklearn.datasets import load_iris
from sklearn.tree import DecisionTreeClassifier

from model.export import export
from tests.support.deployments import MODELS, deploy, make_bucket, translated
from tests.support.entry_points import ROOT, free_port
from tests.support.mock_cloud import mock_cloud


@pytest.fixture
def cloud() -> Iterator[None]:
    with mock_cloud():
        make_bucket()
        yield


@pytest.fixture
def stack(cloud: None) -> str:
    """Three deployments."""
    for number in (1, 2, 3):
        deploy("web-single", number)
    return "web-single"


def make(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run make; a time is a time."""
    command = ["make", "--silent", *arguments]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    result.stdout = re.sub(r"published \d{4}-\d\d-\d\dT\d\d:\d\d", "published …", result.stdout)
    return result


def told(*arguments: str) -> str:
    result = make(*arguments)
    assert result.returncode == 0, result.stderr
    return result.stdout


def refused(*arguments: str) -> str:
    """Give the one line that says why not."""
    result = make(*arguments)
    assert result.returncode != 0
    assert result.stdout == ""
    line, makes_own = result.stderr.splitlines()
    assert " *** [" in makes_own
    return line


def alias(stack: str) -> Any:
    function = boto3.client("cloudformation").describe_stack_resource(
        StackName=stack, LogicalResourceId="ClassifierFunction"
    )["StackResourceDetail"]["PhysicalResourceId"]
    found = boto3.client("lambda").get_alias(FunctionName=function, Name="live")
    return function, found["FunctionVersion"], found.get("RoutingConfig")


def split(function: str, weights: dict[str, float]) -> None:
    """Let version 2 answer what others don't."""
    boto3.client("lambda").update_alias(
        FunctionName=function,
        Name="live",
        FunctionVersion="2",
        RoutingConfig={"AdditionalVersionWeights": weights},
    )


def share_traffic(stack: str, weight: float) -> str:
    """Do what CodeDeploy does first, and give the deployment's id."""
    function, _, _ = alias(stack)
    split(function, {"3": weight})
    resources = boto3.client("cloudformation").describe_stack_resources(StackName=stack)["StackResources"]
    ids = {resource["LogicalResourceId"]: resource.get("PhysicalResourceId", "") for resource in resources}
    if "ServerlessDeploymentApplication" not in ids:
        return ""
    started = boto3.client("codedeploy").create_deployment(
        applicationName=ids["ServerlessDeploymentApplication"],
        deploymentGroupName=ids["ClassifierFunctionDeploymentGroup"],
    )
    return str(started["deploymentId"])


def test_versions_are_kept_and_listed(stack: str) -> None:
    """Each with its model, the newest first."""
    assert told("rollback", "VERSION=?") == (
        f"version 3, published …, model SHA-256 {MODELS[3]}, active\n"
        f"version 2, published …, model SHA-256 {MODELS[2]}\n"
        f"version 1, published …, model SHA-256 {MODELS[1]}\n"
    )


def test_a_deployment_ends_with_what_answers(stack: str) -> None:
    """And the way back."""
    dry = make("--dry-run", "deploy", "ALLOW_ANONYMOUS=true").stdout.splitlines()
    assert dry[-1] == ".venv/bin/python -m model.versions 'web-single' tell"

    result = subprocess.run(["bash", "-c", dry[-1]], cwd=ROOT, capture_output=True, text=True, check=True)

    assert re.sub(r"published \S+", "published …", result.stdout) == (
        f"version 3, published … model SHA-256 {MODELS[3]}, active\n"
        f"make rollback activates version 2, model SHA-256 {MODELS[2]}\n"
        "3 versions are kept: make prune KEEP=5 deletes all but the last 5\n"
    )


def test_rollback_goes_to_the_version_before_and_on(stack: str) -> None:
    """One at a time; another deployment takes over again."""
    assert told("rollback") == f"version 2 is active, model SHA-256 {MODELS[2]}\n"
    assert alias(stack)[1] == "2"
    assert told("rollback") == f"version 1 is active, model SHA-256 {MODELS[1]}\n"
    assert alias(stack)[1] == "1"
    assert refused("rollback") == "rollback: expected a version before 1, there is none"
    assert told("rollback", "VERSION=3") == f"version 3 is active, model SHA-256 {MODELS[3]}\n"
    assert told("rollback", "VERSION=1") == f"version 1 is active, model SHA-256 {MODELS[1]}\n"

    deploy(stack, 4)

    assert alias(stack)[1] == "4"
    assert told("rollback", "VERSION=?").splitlines()[0] == (
        "version 4, published …, a model without a known SHA-256, active"
    )


def test_a_wrong_argument_is_refused_before_aws_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """So it is the first that is told."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")

    for version in ("$$LATEST", "-1", "latest"):
        line = refused("rollback", f"VERSION={version}")
        assert line == f"rollback: expected VERSION to be a number, or ?, got {version.removeprefix('$')}"
    for keep in ("0", "-1", "all"):
        assert refused("prune", f"KEEP={keep}") == "prune: expected KEEP to be a number of versions, at least 1"


def test_what_isnt_there_is_refused(stack: str) -> None:
    """And nothing changes."""
    before = alias(stack)

    for version in ("4", "0", "03"):
        line = refused("rollback", f"VERSION={version}")
        assert line == f"rollback: expected VERSION to be one of 1, 2, 3, or ?, got {version}"

    assert alias(stack) == before
    assert len(told("rollback", "VERSION=?").splitlines()) == 3


def test_another_stack_is_named_by_itself(cloud: None) -> None:
    """One that isn't there is refused."""
    deploy("iris-2", 1)
    for command in ("rollback", "prune"):
        assert refused(command) == (
            f"{command}: expected a stack called web-single in eu-central-1, there is none; STACK=… names another"
        )
    assert (
        told("rollback", "VERSION=?", "STACK=iris-2") == f"version 1, published …, model SHA-256 {MODELS[1]}, active\n"
    )


def test_without_credentials_it_says_so(stack: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In one line."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")

    assert refused("rollback") == (
        "rollback: expected valid AWS credentials, region and permissions, got: Unable to locate credentials"
    )


class TestGradually:
    """A rollout that is on: version 3 gets a part of the requests."""

    @pytest.fixture
    def stack(self, cloud: None) -> str:
        for number in (1, 2, 3):
            deploy("web-single", number, Rollout="Canary10Percent10Minutes")
        return "web-single"

    def test_the_shares_are_listed(self, stack: str) -> None:
        """Of the requests."""
        share_traffic(stack, 0.1)

        assert told("rollback", "VERSION=?").splitlines()[:2] == [
            f"version 3, published …, model SHA-256 {MODELS[3]}, active for 10% of the requests",
            f"version 2, published …, model SHA-256 {MODELS[2]}, active for 90% of the requests",
        ]

    def test_rollback_ends_it(self, stack: str) -> None:
        """By CodeDeploy, and no request goes to the new version any more."""
        deployment = share_traffic(stack, 0.1)
        codedeploy = boto3.client("codedeploy")
        codedeploy_status = codedeploy.get_deployment(deploymentId=deployment)["deploymentInfo"]["status"]
        assert codedeploy_status == "Created"

        assert told("rollback") == f"version 2 is active, model SHA-256 {MODELS[2]}\n"

        _, version, routing = alias(stack)
        assert version == "2"
        assert not (routing or {}).get("AdditionalVersionWeights")
        assert codedeploy.get_deployment(deploymentId=deployment)["deploymentInfo"]["status"] == "Stopped"

    def test_another_version_waits_for_its_end(self, stack: str) -> None:
        """Undoing the rollout would undo that too."""
        share_traffic(stack, 0.1)
        before = alias(stack)

        line = refused("rollback", "VERSION=1")

        assert line == "rollback: a rollout is running; `make rollback` stops it and keeps version 2, then ask for 1"
        assert alias(stack) == before

    def test_weights_of_ones_own_are_taken_back(self, stack: str) -> None:
        """Without a deployment of CodeDeploy's."""
        function, _, _ = alias(stack)
        split(function, {"1": 0.5})

        assert told("rollback", "VERSION=1") == f"version 1 is active, model SHA-256 {MODELS[1]}\n"

        assert not (alias(stack)[2] or {}).get("AdditionalVersionWeights")


def test_prune_deletes_old_versions(stack: str) -> None:
    """Never those that answer."""
    told("rollback", "VERSION=1")

    assert told("prune", "KEEP=1") == "deleted 2; kept 1, 3\n"
    assert told("prune") == "deleted none; kept 1, 3\n"
    assert refused("rollback", "VERSION=2") == "rollback: expected VERSION to be one of 1, 3, or ?, got 2"
    told("rollback", "VERSION=3")
    assert told("prune", "KEEP=1") == "deleted 1; kept 3\n"


@pytest.mark.parametrize("rollout", ["Canary10Percent5Minutes", "Linear10PercentEvery1Minute"])
def test_a_gradual_rollout_is_codedeploys(rollout: str, cloud: None) -> None:
    """Which goes back by itself when one of two alarms rings."""
    deploy("iris-2", 1, Rollout=rollout)

    resources = json.loads(translated(Rollout=rollout))["Resources"]
    group = resources["ClassifierFunctionDeploymentGroup"]["Properties"]
    assert group["DeploymentConfigName"] == {
        "Fn::Sub": ["CodeDeployDefault.Lambda${ConfigName}", {"ConfigName": rollout}]
    }
    alarms = [alarm["Name"]["Fn::Sub"] for alarm in group["AlarmConfiguration"]["Alarms"]]
    assert alarms == ["${AWS::StackName}-5xx", "${AWS::StackName}-latency"]
    known = boto3.client("cloudwatch").describe_alarms()["MetricAlarms"]
    assert {"iris-2-5xx", "iris-2-latency"} <= {alarm["AlarmName"] for alarm in known}
    assert group["AutoRollbackConfiguration"]["Enabled"] is True
    assert "DEPLOYMENT_STOP_ON_ALARM" in group["AutoRollbackConfiguration"]["Events"]
    assert resources["ClassifierFunctionAliaslive"]["UpdatePolicy"] == {
        "CodeDeployLambdaAliasUpdate": {
            "ApplicationName": {"Ref": "ServerlessDeploymentApplication"},
            "DeploymentGroupName": {"Ref": "ClassifierFunctionDeploymentGroup"},
        }
    }


def test_all_at_once_makes_nothing_of_codedeploys(cloud: None) -> None:
    """As it is by default."""
    for template in (translated(), translated(Rollout="AllAtOnce")):
        assert "CodeDeploy" not in template


def reach(resources: dict[str, Any], name: str, seen: tuple[str, ...] = ()) -> None:
    """Follow what a resource refers to, as CloudFormation does before it makes any; fail where it comes back."""
    assert name not in seen, f"{' wants '.join([*seen[seen.index(name) :], name])}"
    text = json.dumps(resources[name])
    wanted = re.findall(r'{"Ref": "(\w+)"}|{"Fn::GetAtt": \["(\w+)"', text)
    inside = re.findall(r"\${(\w+)", " ".join(re.findall(r'{"Fn::Sub": (".*?[^\\]"|\[.*?\])', text)))
    for found in {*filter(None, (one or other for one, other in wanted)), *inside}:
        if found in resources:
            reach(resources, found, (*seen, name))


@pytest.mark.parametrize("rollout", ["AllAtOnce", "Canary10Percent5Minutes"])
def test_nothing_wants_itself(rollout: str, cloud: None) -> None:
    """The API needs the alias, whose rollout needs the alarms, which need the API; they are referred to by name."""
    resources = json.loads(translated(Rollout=rollout))["Resources"]

    for name in resources:
        reach(resources, name)


class TestGate:
    """`make gate`, and `make deploy` before it builds anything."""

    @pytest.fixture
    def holdout(self, tmp_path: Path) -> Path:
        """Each third row of Iris, one of them with a wrong label."""
        iris = load_iris()
        names = [str(iris.target_names[target]) for target in iris.target[::3]]
        names[0] = "virginica"
        lines = [
            [*iris.feature_names, "species"],
            *([*row, name] for row, name in zip(iris.data[::3].tolist(), names, strict=True)),
        ]
        path = tmp_path / "holdout.csv"
        path.write_text("".join(",".join(map(str, line)) + "\n" for line in lines))
        return path

    @pytest.fixture
    def worse(self, tmp_path: Path) -> Path:
        """A model that knows two of the three species."""
        iris = load_iris(as_frame=True)
        model = DecisionTreeClassifier(max_depth=1).fit(iris.data, iris.target_names[iris.target])
        export(model, iris.data, iris.target_names[iris.target], tmp_path / "worse.onnx")
        return tmp_path / "worse.onnx"

    def test_a_model_that_is_good_enough_passes(self, holdout: Path, worse: Path) -> None:
        """And is no worse than the one before."""
        given = (f"HOLDOUT={holdout}", "TARGET=species", "FAIL_UNDER=accuracy=0.9", f"MODEL_BEFORE={worse}")

        lines = told("gate", *given).splitlines()

        assert "accuracy           0.9800, 95 % interval 0.8950 to 0.9965" in lines
        assert lines[-1].startswith(
            "only the old model is right in 0 rows, only the new one in 16; that is more than chance ("
        )

    def test_one_that_isnt_is_not_deployed(self, holdout: Path, cloud: None) -> None:
        """Nothing is built, and nothing sent."""
        given = ("ALLOW_ANONYMOUS=true", f"HOLDOUT={holdout}", "TARGET=species", "FAIL_UNDER=accuracy=0.99")

        result = make("deploy", *given)

        assert result.returncode != 0
        assert [line for line in result.stderr.splitlines() if "***" not in line] == [
            "accuracy is 0.98, expected at least 0.99"
        ]
        assert "sam" not in result.stdout
        assert boto3.client("cloudformation").describe_stacks()["Stacks"] == []

    def test_one_that_is_worse_than_the_one_before_is_refused(self, holdout: Path, worse: Path) -> None:
        """By more than chance explains."""
        given = (f"HOLDOUT={holdout}", "TARGET=species", "MODEL_BEFORE=model/iris_svc.onnx", f"MODEL_FILEPATH={worse}")

        result = make("gate", *given)

        assert result.returncode != 0
        (line,) = [line for line in result.stderr.splitlines() if "***" not in line]
        assert line.startswith("worse: ")

    @pytest.mark.parametrize(
        "given",
        [
            ["FAIL_UNDER=accuracy=0.9"],
            ["MODEL_BEFORE=old.onnx"],
            ["HOLDOUT=holdout.csv"],
            ["TARGET=species"],
            ["FAIL_IF=worse"],
        ],
    )
    def test_half_of_what_it_needs_is_refused(self, given: list[str], cloud: None) -> None:
        """Rather than deployed without it."""
        for command in (["gate"], ["deploy", "ALLOW_ANONYMOUS=true"]):
            result = make(*command, *given)
            assert result.returncode != 0
            assert result.stdout == ""
            line, *makes_own = result.stderr.splitlines()
            assert line == "gate: expected HOLDOUT=…, rows whose labels are known, and TARGET=…, their column"
            assert all(" *** [" in text for text in makes_own)

    @pytest.mark.parametrize(
        ("given", "line"),
        [
            ([], "gate: expected FAIL_UNDER=…, FAIL_OVER=… or MODEL_BEFORE=…, what the model must reach"),
            (
                ["FAIL_UNDER=accuracy=0.9", "FAIL_IF=slower"],
                "gate: expected FAIL_IF to be worse, incompatible, changed, or several of them with commas, got slower",
            ),
            (
                ["FAIL_UNDER=accuracy=0.9", "FAIL_IF=worse"],
                "gate: expected MODEL_BEFORE=…, the model that FAIL_IF compares with",
            ),
            (["MODEL_BEFORE=no.onnx"], "gate: expected MODEL_BEFORE to be the file of a model, there is no no.onnx"),
        ],
    )
    def test_one_that_lets_every_model_through_is_refused(self, given: list[str], line: str, holdout: Path) -> None:
        """And one that can't compare."""
        result = make("gate", f"HOLDOUT={holdout}", "TARGET=species", *given)

        assert result.returncode != 0
        assert (result.stdout, result.stderr.splitlines()[0]) == ("", line)
