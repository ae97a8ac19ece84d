"""The versions of a deployed stack: lists them, rolls back to an earlier one, and deletes old ones.

python -m model.versions web-single rollback --to 3
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

import boto3
from botocore.exceptions import BotoCoreError, ClientError

ALIAS, FUNCTION = "live", "ClassifierFunction"  # names in template.yaml, and those that SAM makes from them
APPLICATION, GROUP = "ServerlessDeploymentApplication", f"{FUNCTION}DeploymentGroup"
# https://docs.aws.amazon.com/codedeploy/latest/APIReference/API_ListDeployments.html
OPEN = ["Created", "Queued", "InProgress", "Baking", "Ready"]


class Version(NamedTuple):
    """A published version, and the SHA-256 that its model must have, None if it has none."""

    number: int
    sha256: str | None
    published: str  # as AWS writes it, such as 2026-11-26T01:17:54.000+0000

    @property
    def model(self) -> str:
        return f"model SHA-256 {self.sha256}" if self.sha256 else "a model without a known SHA-256"


@dataclass
class Stack:
    """A stack's function, its versions, the newest first, and version -> its share of the requests."""

    name: str
    function: str
    resources: Mapping[str, str]
    versions: Sequence[Version]
    main: int
    shares: Mapping[int, float]

    @classmethod
    def read(cls, name: str) -> Self:
        """Read the versions from AWS.

        Raises:
            SystemExit: there is no such stack, or AWS can't be reached.
        """
        try:
            found = boto3.client("cloudformation").describe_stack_resources(StackName=name)["StackResources"]
        except ClientError as error:
            if "does not exist" in str(error):
                region = boto3.session.Session().region_name
                raise SystemExit(
                    f"expected a stack called {name} in {region}, there is none; STACK=… names another"
                ) from None
            raise
        resources = {one["LogicalResourceId"]: one.get("PhysicalResourceId", "") for one in found}
        if FUNCTION not in resources:
            raise SystemExit(f"expected {name} to be a stack of template.yaml, it has no {FUNCTION}")
        function = resources[FUNCTION]
        alias = boto3.client("lambda").get_alias(FunctionName=function, Name=ALIAS)
        weights = (alias.get("RoutingConfig") or {}).get("AdditionalVersionWeights") or {}
        others = {int(number): float(weight) for number, weight in weights.items()}
        main = int(alias["FunctionVersion"])
        return cls(
            name, function, resources, _read_versions(function), main, {main: 1 - sum(others.values()), **others}
        )

    def find(self, number: int) -> Version:
        return next(version for version in self.versions if version.number == number)

    def find_before(self) -> Version | None:
        return next((version for version in self.versions if version.number < self.main), None)

    def find_rollouts(self) -> list[str]:
        """Find CodeDeploy's running deployments."""
        if not (group := self.resources.get(GROUP)):
            return []
        where = {"applicationName": self.resources[APPLICATION], "deploymentGroupName": group}
        found = boto3.client("codedeploy").list_deployments(**where, includeOnlyStatuses=OPEN)
        return list(found["deployments"])

    def point(self, number: int) -> None:
        """Send all requests to a version."""
        boto3.client("lambda").update_alias(
            FunctionName=self.function,
            Name=ALIAS,
            FunctionVersion=str(number),
            RoutingConfig={"AdditionalVersionWeights": {}},
        )


def _read_versions(function: str) -> list[Version]:
    pages = boto3.client("lambda").get_paginator("list_versions_by_function").paginate(FunctionName=function)
    found = [one for page in pages for one in page["Versions"] if one["Version"] != "$LATEST"]
    versions = [
        Version(
            int(one["Version"]),
            one.get("Environment", {}).get("Variables", {}).get("MODEL_SHA256") or None,
            one["LastModified"],
        )
        for one in found
    ]
    return sorted(versions, reverse=True)


def list_(stack: Stack) -> None:
    """Print the versions, and which one is active."""
    for version in stack.versions:
        print(_describe(stack, version))


def _describe(stack: Stack, version: Version) -> str:
    share = stack.shares.get(version.number, 0)
    answers = "" if not share else ", active" if share == 1 else f", active for {share:.0%} of the requests"
    return f"version {version.number}, published {version.published[:16]}, {version.model}{answers}"


def tell(stack: Stack) -> None:
    """Print the active version, and how to roll back and to delete old versions."""
    for number in sorted(stack.shares, reverse=True):
        print(_describe(stack, stack.find(number)))
    if (before := stack.find_before()) is not None:
        print(f"make rollback activates version {before.number}, {before.model}")
        print(f"{len(stack.versions)} versions are kept: make prune KEEP=5 deletes all but the last 5")


def roll_back(stack: Stack, to: str) -> None:
    """Activate the previous version, or the requested one.

    Raises:
        SystemExit: there is no such version, or a rollout is running.
    """
    target = _find_target(stack, to)
    rollouts = stack.find_rollouts()
    if rollouts and target != stack.main:
        message = (
            f"a rollout is running; `make rollback` stops it and keeps version {stack.main}, then ask for {target}"
        )
        raise SystemExit(message)
    for rollout in rollouts:  # CodeDeploy undoes it, and CloudFormation restores the stack
        boto3.client("codedeploy").stop_deployment(deploymentId=rollout, autoRollbackEnabled=True)
    stack.point(target)
    print(f"version {target} is active, {stack.find(target).model}")


def _find_target(stack: Stack, to: str) -> int:
    numbers = [version.number for version in stack.versions]
    if to:
        if to not in map(str, numbers):
            raise SystemExit(f"expected VERSION to be one of {', '.join(map(str, sorted(numbers)))}, or ?, got {to}")
        return int(to)
    if len(stack.shares) > 1:
        return stack.main  # the version before the rollout
    if (before := stack.find_before()) is None:
        raise SystemExit(f"expected a version before {stack.main}, there is none")
    return before.number


def prune(stack: Stack, keep: int) -> None:
    """Delete old versions, but keep the newest `keep` ones and the active ones."""
    old = [version.number for version in stack.versions[keep:] if version.number not in stack.shares]
    for number in sorted(old):
        boto3.client("lambda").delete_function(FunctionName=stack.function, Qualifier=str(number))
    kept = sorted(version.number for version in stack.versions if version.number not in old)
    print(f"deleted {', '.join(map(str, sorted(old))) or 'none'}; kept {', '.join(map(str, kept))}")


def main(given: Sequence[str] | None = None) -> None:
    """Run a command."""
    parser = argparse.ArgumentParser(description="List, choose and delete the versions of a deployed stack.")
    parser.add_argument("stack")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("tell", help="print the active version")
    commands.add_parser("rollback", help="activate another version").add_argument(
        "--to", default="", help="its number, or ? to list them; default: the previous version"
    )
    commands.add_parser("prune", help="delete old versions").add_argument("--keep", default="5")
    arguments = parser.parse_args(given)
    try:
        _run(arguments)
    except (BotoCoreError, ClientError, ValueError) as error:  # ValueError: of an address, as of an empty region
        sys.exit(f"{arguments.command}: expected valid AWS credentials, region and permissions, got: {error}")
    except SystemExit as error:
        sys.exit(f"{arguments.command}: {error}")


def _run(arguments: argparse.Namespace) -> None:
    if arguments.command == "prune" and not (arguments.keep.isdecimal() and int(arguments.keep)):
        raise SystemExit("expected KEEP to be a number of versions, at least 1")
    if arguments.command == "rollback" and not (arguments.to in ("", "?") or arguments.to.isdecimal()):
        raise SystemExit(f"expected VERSION to be a number, or ?, got {arguments.to}")
    stack = Stack.read(arguments.stack)
    if arguments.command == "tell":
        tell(stack)
    elif arguments.command == "prune":
        prune(stack, int(arguments.keep))
    elif arguments.to == "?":
        list_(stack)
    else:
        roll_back(stack, arguments.to)


if __name__ == "__main__":
    main()
