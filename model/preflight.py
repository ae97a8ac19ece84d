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

from function.classifier.model import cut
from function.errors import ServiceError
from model.served import load_served, read_settings

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
    if (pattern := parameter.get("AllowedPattern")) and not re.fullmatch(pattern, value):
        return str(parameter.get("ConstraintDescription", pattern))
    return None


def check_aws() -> None:
    """Ask AWS who is calling.

    Raises:
        SystemExit: it can't be asked.
    """
    try:
        boto3.client("sts").get_caller_identity()
    except (BotoCoreError, ClientError) as error:
        raise SystemExit(f"expected AWS credentials and a region that work, got: {error}") from None


def main(given: Sequence[str] | None = None) -> None:
    """Check all of it, and end with one line if something is wrong."""
    parser = argparse.ArgumentParser(description="Check what a deployment is given.")
    parser.add_argument("stack")
    parser.add_argument("parameters", help="NAME=value, separated by spaces")
    parser.add_argument("artifact", type=Path)
    arguments = parser.parse_args(given)
    try:
        check_stack(arguments.stack)
        check_parameters(arguments.parameters.split(), yaml_parse(TEMPLATE.read_text())["Parameters"])
        load_served(read_settings(arguments.artifact, None))
        check_aws()
    except (ServiceError, SystemExit) as error:
        sys.exit(f"deploy: {error}")


if __name__ == "__main__":
    main()
