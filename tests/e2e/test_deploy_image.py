"""The image as the function, deployed to a mock of AWS: what is pushed, what CloudFormation makes of it, that it answers."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from samtranslator.yaml_helper import yaml_parse

from tests.e2e.test_deploy import KEY, PARAMETERS, create_stack, make, translated
from tests.support.container import Container
from tests.support.entry_points import ROOT, Event, answer_of
from tests.support.lambda_image import docker
from tests.support.mock_cloud import mock_cloud
from tests.support.registry import as_ecr, registry
from tests.support.sam import sam

OF_A_PACKAGE = {"CodeUri", "Handler", "Runtime", "Layers"}


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory, image: str) -> Path:
    """What `make deploy PACKAGE=image` hands to sam."""
    folder = tmp_path_factory.mktemp("template") / "image"
    command = [sys.executable, "-m", "function.image", "--template-only", "--folder", str(folder), "--tag", image]
    subprocess.run(command, cwd=ROOT, check=True)
    return folder.with_suffix(".json")


@pytest.fixture(scope="module")
def packaged(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """`sam package`: the image goes to a registry, and its place there into a template."""
    folder = tmp_path_factory.mktemp("registry")
    with registry(folder) as address, mock_cloud(), as_ecr(address):
        path = folder / "template.yaml"
        credentials = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
        where = ["--template-file", str(template), "--output-template-file", str(path)]
        sam("package", *where, "--image-repository", f"{address}/web-single", **credentials)
        yield path


@pytest.fixture(scope="module")
def stack(packaged: Path) -> dict[str, str]:
    return create_stack("image", packaged, PARAMETERS)


@pytest.fixture(scope="module")
def function(stack: dict[str, str]) -> dict[str, Any]:
    return dict(boto3.client("lambda").get_function(FunctionName=stack["ClassifierFunction"]))


def test_it_is_the_same_template(template: Path, image: str) -> None:
    """Parameters, resources and outputs, with an image in place of the package; Layers, which no image has, are gone."""
    package, made = yaml_parse((ROOT / "template.yaml").read_text()), json.loads(template.read_text())

    assert package["Parameters"].keys() - made["Parameters"].keys() == {"Layers"}
    assert package["Conditions"].keys() - made["Conditions"].keys() == {"HasLayers"}
    assert package["Rules"].keys() - made["Rules"].keys() == {"SpansNeedALayer"}
    assert made["Rules"].items() <= package["Rules"].items()
    for section in ("Outputs", "Transform"):
        assert made[section] == package[section]
    assert made["Resources"].keys() == package["Resources"].keys()
    for name, resource in package["Resources"].items():
        if resource["Type"] != "AWS::Serverless::Function":
            assert made["Resources"][name] == resource
            continue
        properties = made["Resources"][name]["Properties"]
        assert properties.pop("PackageType") == "Image"
        assert properties.pop("ImageUri") == image
        command = properties.pop("ImageConfig")["Command"]
        assert command == ["python", "-m", "awslambdaric", resource["Properties"]["Handler"]]
        assert properties == {key: it for key, it in resource["Properties"].items() if key not in OF_A_PACKAGE}


def test_sam_takes_it(template: Path) -> None:
    """With its linter."""
    assert "is a valid SAM Template" in sam("validate", "--lint", "--template-file", str(template))


def test_the_function_is_the_image_with_its_settings(
    packaged: Path, stack: dict[str, str], function: dict[str, Any]
) -> None:
    """Behind the same alias, with the same parameters as the package."""
    configuration = function["Configuration"]

    asked = translated(packaged)["Resources"]["ClassifierFunction"]["Properties"]
    assert asked["PackageType"] == "Image"  # moto's CloudFormation doesn't hand it on
    assert not {"Handler", "Runtime", "Layers"} & asked.keys()
    assert function["Code"]["RepositoryType"] == "ECR"
    assert function["Code"]["ImageUri"] == asked["Code"]["ImageUri"]
    assert (configuration["MemorySize"], configuration["Timeout"]) == (1024, 20)
    assert configuration["Architectures"] == ["x86_64"]
    assert configuration["Environment"]["Variables"]["API_KEY_SHA256"] == PARAMETERS["ApiKeySha256"]
    (alias,) = boto3.client("lambda").list_aliases(FunctionName=stack["ClassifierFunction"])["Aliases"]
    assert (alias["Name"], alias["FunctionVersion"]) == ("live", "1")


def test_what_was_pushed_answers(packaged: Path, function: dict[str, Any], image: str, event: Event) -> None:
    """Pulled from the registry again, by the function's own command and settings: 401 without the key, 200 with it."""
    pushed = function["Code"]["ImageUri"]
    built = docker("image", "inspect", "--format={{.Id}}", image).stdout
    docker("rmi", pushed)
    docker("pull", "--quiet", pushed)
    properties = translated(packaged)["Resources"]["ClassifierFunction"]["Properties"]
    variables = function["Configuration"]["Environment"]["Variables"]
    settings = [part for name, value in variables.items() for part in ("--env", f"{name}={value}")]

    with Container.emulate(pushed, *settings, command=properties["ImageConfig"]["Command"]) as deployed:
        incoming = event("predict_label")
        refused = answer_of(deployed.invoke(incoming))
        incoming["headers"]["x-api-key"] = KEY
        answer = answer_of(deployed.invoke(incoming))

    assert docker("image", "inspect", "--format={{.Id}}", pushed).stdout == built
    docker("rmi", pushed)
    assert (refused.status, answer.status, answer.json) == (401, 200, {"prediction": "setosa"})


@pytest.mark.parametrize(
    ("given", "options"),
    [
        ((), "--template-file .aws-sam/image.json --resolve-image-repos"),
        (("REPOSITORY=1.dkr.ecr.eu-central-1.amazonaws.com/a",),
         "--template-file .aws-sam/image.json --image-repository 1.dkr.ecr.eu-central-1.amazonaws.com/a"),
    ],
    ids=["sam's own repository", "one's own"],
)  # fmt: skip
def test_make_deploy_builds_and_deploys_an_image(given: tuple[str, ...], options: str, tmp_path: Path) -> None:
    """With the same parameters as a package."""
    arguments = ("ALLOW_ANONYMOUS=true", "PARAMETERS=MemorySize=3200", "PACKAGE=image", "ARCHITECTURE=arm64", *given)
    result = make("--dry-run", "deploy", *arguments, home=tmp_path)

    commands = " ".join(result.stdout.replace("\\\n", "").split())
    assert "-m function.image arm64 --base 'python:3.13-slim' --tag 'web-single'" in commands
    assert f"AllowAnonymous=true MemorySize=3200 {options}" in commands
    assert "sam build" not in commands


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["deploy", "PACKAGE=tar"], "expected PACKAGE to be zip or image, got tar."),
        (["deploy", "PACKAGE=image", "PARAMETERS=MemorySize=512 Layers=arn:1"],
         "expected no Layers=… with PACKAGE=image: an image takes no layers, and has what sends spans."),
        (["start-api", "PACKAGE=image"],
         "expected `make image` and `docker run`, for PACKAGE=image has no `make start-api`."),
    ],
)  # fmt: skip
def test_what_an_image_cant_be_is_told(arguments: list[str], line: str, tmp_path: Path) -> None:
    """In one line, before anything is done."""
    result = make(*arguments, home=tmp_path)

    assert result.returncode == 2
    (told,) = result.stderr.splitlines()
    assert told.endswith(f"*** {line}  Stop.")
    assert result.stdout == ""
