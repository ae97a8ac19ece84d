"""Deployments of template.yaml to a mock of AWS, one version after the other, without a package."""

import json

import boto3
from samtranslator.translator.managed_policy_translator import ManagedPolicyLoader
from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse

from tests.support.entry_points import ROOT

KEY_DIGEST = "a0e12d601e10154fe5743fd6d2ba37492365077b485f06c131ef495420005253"
MODELS = {number: f"{number}" * 64 for number in (1, 2, 3)}  # version -> SHA-256 of its model


def make_bucket() -> None:
    """Give `sam package`'s result a place."""
    s3 = boto3.client("s3")
    s3.create_bucket(Bucket="packages", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    s3.put_object(Bucket="packages", Key="code", Body=b"")


def translated(**parameters: str) -> str:
    """Give the template as AWS's own macro hands it to CloudFormation."""
    template = yaml_parse((ROOT / "template.yaml").read_text())
    template["Resources"]["ClassifierFunction"]["Properties"]["CodeUri"] = "s3://packages/code"
    for part in ("Resources", "Outputs"):  # at an update, moto looks for what a condition has left out
        template[part] = {name: one for name, one in template[part].items() if one.get("Condition") != "HasBulk"}
    return json.dumps(transform(template, dict(parameters), ManagedPolicyLoader(boto3.client("iam"))))


def deploy(name: str, number: int, **more: str) -> None:
    """As `make deploy` does with a model of its own, and CloudFormation in the order of what wants what.

    That is the function before its new version: moto makes what is new before it changes what is there.
    """
    given = {"ApiKeySha256": KEY_DIGEST, "ModelSha256": MODELS.get(number, ""), **more}
    client = boto3.client("cloudformation")
    for revision in [number] if number == 1 else [number - 1, number]:
        parameters = {**given, "Revision": str(revision)}
        act = client.create_stack if number == 1 else client.update_stack
        act(
            StackName=name,
            TemplateBody=translated(**parameters),
            Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
            Capabilities=["CAPABILITY_IAM"],
        )
