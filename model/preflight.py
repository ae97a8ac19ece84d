"""Checks what a deployment is given, before minutes of building: `make deploy`.

python -m model.preflight web-single "MemorySize=512 Rollout=AllAtOnce"
"""

import argparse
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError
from samtranslator.yaml_helper import yaml_parse

from function.api.app import create_app
from function.classifier.model import cut
from function.errors import ServiceError
from function.image import to_image
from function.observability import tracing
from function.settings import Settings
from model.served import load_served

TEMPLATE = Path(__file__).parents[1] / "template.yaml"
# Parameters that `make deploy` sets, and how to set them.
BY_MAKE = {
    "ApiKeySha256": "API_KEY_SHA256=…",
    "AllowAnonymous": "ALLOW_ANONYMOUS=true",
    "Architecture": "ARCHITECTURE=…",
    "ModelSha256": "MODEL_FILEPATH=…",
    "Revision": "nothing",
}


def check_stack(name: str) -> None:
    """Refuse a name that CloudFormation refuses.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_CreateStack.html

    Raises:
        SystemExit: what was expected.
    """
    if not re.fullmatch("[A-Za-z][A-Za-z0-9-]{0,127}", name):
        raise SystemExit(f"expected STACK to be a letter, then letters, digits and hyphens, got {name!r}")


def check_parameters(given: Sequence[str], parameters: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuse parameters that the template doesn't have, and values that CloudFormation refuses.

    Raises:
        SystemExit: which one, and what was expected.
    """
    known = [name for name in parameters if name not in BY_MAKE]
    for text in given:
        name, equals, value = text.partition("=")
        if name in BY_MAKE:
            raise SystemExit(f"expected {BY_MAKE[name]} in place of PARAMETERS={name}=…")
        if not equals or name not in known:
            raise SystemExit(
                f"expected PARAMETERS='NAME=value …' with the names {', '.join(known)}; got {cut(text, 100)}"
            )
        if sum(other.startswith(f"{name}=") for other in given) > 1:
            raise SystemExit(f"expected the parameter {name} once, got it more often")
        if (expected := _find_fault(value, parameters[name])) is not None:
            raise SystemExit(f"expected the parameter {name} to be {expected}, got {cut(value, 100) or 'nothing'}")


def _find_fault(value: str, parameter: Mapping[str, Any]) -> str | None:
    """Return what was expected instead of the value, None if it is accepted."""
    if (allowed := [str(one) for one in parameter.get("AllowedValues", ())]) and value not in allowed:
        return f"one of {', '.join(allowed)}"
    if parameter["Type"] == "Number":
        low, high = parameter.get("MinValue"), parameter.get("MaxValue")
        try:
            number = float(value)
        except ValueError:
            return "a number"
        if (low is not None and number < low) or (high is not None and number > high):
            return f"a number from {low}" + (f" to {high}" if high is not None else " on")
    values = value.split(",") if parameter["Type"] == "CommaDelimitedList" else [value]
    if (pattern := parameter.get("AllowedPattern")) and not all(re.fullmatch(pattern, one) for one in values):
        return str(parameter.get("ConstraintDescription", pattern))
    return None


def check_service(template: Mapping[str, Any], values: Mapping[str, Any], artifact: Path) -> None:
    """Make the app as the function will, with the variables that it gets.

    Raises:
        ServiceError: it wouldn't start.
    """
    variables = template["Resources"]["ClassifierFunction"]["Properties"]["Environment"]["Variables"]
    environ = {name: str(_evaluate(value, values)) for name, value in variables.items()}
    settings = Settings.load(environ | {"MODEL_FILEPATH": str(artifact), "MODEL_SHA256": ""})
    create_app(settings, load_served(settings))
    tracing.is_wanted(environ)


def check_rules(template: Mapping[str, Any], values: Mapping[str, Any]) -> None:
    """Evaluate the template's rules, as CloudFormation will after the upload.

    Raises:
        SystemExit: what the broken one says.
    """
    for rule in template["Rules"].values():
        for assertion in rule["Assertions"]:
            if not _evaluate(assertion["Assert"], values):
                raise SystemExit(assertion["AssertDescription"])


def _evaluate(value: Any, values: Mapping[str, Any]) -> Any:
    """Evaluate the functions of CloudFormation that the rules and the variables use."""
    if not isinstance(value, dict):
        return value
    ((function, given),) = value.items()
    if function == "Ref":
        return values[given]
    found = [_evaluate(one, values) for one in given]
    match function:
        case "Fn::Equals":
            return str(found[0]) == str(found[1])
        case "Fn::EachMemberEquals":
            return all(one == found[1] for one in found[0].split(","))
        case "Fn::Not":
            return not found[0]
        case "Fn::And":
            return all(found)
        case "Fn::Or":
            return any(found)
    raise NotImplementedError(function)


def read_kept(stack: str) -> dict[str, str]:
    """Read the parameters that a stack has, none if there is no such stack.

    Raises:
        SystemExit: AWS can't be asked.
    """
    try:
        boto3.client("sts").get_caller_identity()
        (found,) = boto3.client("cloudformation").describe_stacks(StackName=stack)["Stacks"]
    except (BotoCoreError, ClientError, ValueError) as error:  # ValueError: of an address, as of an empty region
        if "does not exist" in str(error):
            return {}
        raise SystemExit(f"expected AWS credentials and a region that work, got: {error}") from None
    return {one["ParameterKey"]: one["ParameterValue"] for one in found.get("Parameters", [])}


def main(given: Sequence[str] | None = None) -> None:
    """Check all of it, and end with one line if something is wrong."""
    parser = argparse.ArgumentParser(description="Check what a deployment is given.")
    parser.add_argument("stack")
    parser.add_argument("parameters", help="NAME=value, separated by spaces")
    parser.add_argument("artifact", type=Path)
    parser.add_argument("--package", choices=["zip", "image"], default="zip")
    arguments = parser.parse_args(given)
    try:
        template = yaml_parse(TEMPLATE.read_text())
        if arguments.package == "image":
            template = to_image(template, "")
        _check(template, arguments.stack, arguments.parameters.split(), arguments.artifact)
    except (ServiceError, SystemExit) as error:
        sys.exit(f"deploy: {error}")


def _check(template: Mapping[str, Any], stack: str, parameters: Sequence[str], artifact: Path) -> None:
    check_stack(stack)
    check_parameters(parameters, template["Parameters"])
    defaults = {name: parameter["Default"] for name, parameter in template["Parameters"].items()}
    given = dict(one.split("=", 1) for one in parameters)
    by_make = {"AWS::StackName": stack, "AllowAnonymous": "true"}  # a key or this: make has asked for one
    check_service(template, defaults | given | by_make, artifact)
    check_rules(template, defaults | read_kept(stack) | given | by_make)


if __name__ == "__main__":
    main()
