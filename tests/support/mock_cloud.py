"""A mock of AWS: moto's server, with the resources of template.yaml that its CloudFormation doesn't know."""

import contextlib
import json
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import moto.cloudformation.parsing  # noqa: F401 - of two models for one type the later one counts
import pytest
from moto.codedeploy.responses import CodeDeployResponse
from moto.core.common_models import CloudFormationModel
from moto.moto_api._internal.models import moto_api_backend
from moto.server import ThreadedMotoServer

Properties = dict[str, Any]
_taught: list[object] = []


def _teach(
    resource_type: str,
    update: Callable[[Properties], object] = lambda _: None,
    delete: Callable[[str], object] = lambda _: None,
) -> Callable[[Callable[[Properties], str]], None]:
    """Let CloudFormation make a resource by a function from its properties to what `Ref` gives.

    Another changes it, and one deletes it by what `Ref` gives, unless the template says that it stays.
    """

    def teach(make: Callable[[Properties], str]) -> None:
        class Taught(CloudFormationModel):
            physical_resource_id = ""
            cloudformation_type = staticmethod(lambda: resource_type)

            @classmethod
            def create_from_cloudformation_json(
                cls, resource_name: str, cloudformation_json: Properties, account_id: str, region_name: str, **_: Any
            ) -> Any:
                made = cls()
                made.physical_resource_id = make(cloudformation_json["Properties"])
                return made

            @classmethod
            def update_from_cloudformation_json(
                cls,
                original_resource: Any,
                new_resource_name: str,
                cloudformation_json: Properties,
                account_id: str,
                region_name: str,
            ) -> Any:
                update(cloudformation_json["Properties"])
                return original_resource

            @classmethod
            def delete_from_cloudformation_json(
                cls, resource_name: str, cloudformation_json: Properties, account_id: str, region_name: str
            ) -> None:
                if cloudformation_json.get("DeletionPolicy") != "Retain":
                    delete(resource_name)

            def get_cfn_attribute(self, name: str) -> str:
                assert name == "Version"  # the one that template.yaml asks of these types
                return self.physical_resource_id.rpartition(":")[2]

        _taught.append(Taught)  # moto finds it among the subclasses, as long as it is alive

    return teach


def _delete_version(arn: str) -> None:
    boto3.client("lambda").delete_function(FunctionName=arn)


@_teach("AWS::Lambda::Version", delete=_delete_version)  # moto knows it, but not its number
def _make_version(properties: Properties) -> str:
    arn: str = boto3.client("lambda").publish_version(**properties)["FunctionArn"]
    return arn


def _update_alias(properties: Properties) -> None:
    boto3.client("lambda").update_alias(**properties)


@_teach("AWS::Lambda::Alias", update=_update_alias)
def _make_alias(properties: Properties) -> str:
    arn: str = boto3.client("lambda").create_alias(**properties)["AliasArn"]
    return arn


@_teach("AWS::ApiGatewayV2::Api")
def _make_api(properties: Properties) -> str:
    gateway = boto3.client("apigatewayv2")
    body = properties["Body"]
    api_id: str = gateway.create_api(Name=body["info"]["title"], ProtocolType="HTTP")["ApiId"]
    for key, route in body["paths"].items():
        integration = route["x-amazon-apigateway-any-method"]["x-amazon-apigateway-integration"]
        made = gateway.create_integration(
            ApiId=api_id,
            IntegrationType=integration["type"].upper(),
            IntegrationUri=integration["uri"],
            PayloadFormatVersion=integration["payloadFormatVersion"],
        )
        gateway.create_route(ApiId=api_id, RouteKey=key, Target=f"integrations/{made['IntegrationId']}")
    return api_id


@_teach("AWS::ApiGatewayV2::Stage")
def _make_stage(properties: Properties) -> str:
    route = {key: float(value) for key, value in properties["DefaultRouteSettings"].items()}
    route["ThrottlingBurstLimit"] = int(route["ThrottlingBurstLimit"])
    boto3.client("apigatewayv2").create_stage(**properties | {"DefaultRouteSettings": route})
    return str(properties["StageName"])


@_teach("AWS::CloudWatch::Alarm")
def _make_alarm(properties: Properties) -> str:
    boto3.client("cloudwatch").put_metric_alarm(**properties)
    return str(properties["AlarmName"])


@_teach("AWS::CloudWatch::Dashboard")
def _make_dashboard(properties: Properties) -> str:
    name = f"dashboard-{uuid.uuid4()}"
    boto3.client("cloudwatch").put_dashboard(DashboardName=name, **properties)
    return name


@_teach("AWS::CodeDeploy::Application")
def _make_application(properties: Properties) -> str:
    name = f"application-{uuid.uuid4()}"
    boto3.client("codedeploy").create_application(applicationName=name, computePlatform=properties["ComputePlatform"])
    return name


@_teach("AWS::CodeDeploy::DeploymentGroup")
def _make_group(properties: Properties) -> str:
    name = f"group-{uuid.uuid4()}"
    given = {key[0].lower() + key[1:]: value for key, value in properties.items()}
    given["alarmConfiguration"] = {
        "enabled": True, "alarms": [{"name": alarm["Name"]} for alarm in properties["AlarmConfiguration"]["Alarms"]]
    }  # fmt: skip
    for key in ("autoRollbackConfiguration", "deploymentStyle"):
        given[key] = {name[0].lower() + name[1:]: value for name, value in given[key].items()}
    boto3.client("codedeploy").create_deployment_group(deploymentGroupName=name, **given)
    return name


def _stop_deployment(response: CodeDeployResponse) -> str:
    """As CodeDeploy does, but for putting the alias back, which takes it a while."""
    asked = json.loads(response.body)
    assert asked["autoRollbackEnabled"] is True
    response.codedeploy_backend.deployments[asked["deploymentId"]].status = "Stopped"
    return json.dumps({"status": "Succeeded"})


@_teach("AWS::StepFunctions::StateMachine")  # moto makes it where no execution finds it
def _make_state_machine(properties: Properties) -> str:
    made = boto3.client("stepfunctions").create_state_machine(
        name=properties["StateMachineName"], definition=properties["DefinitionString"], roleArn=properties["RoleArn"]
    )
    return str(made["stateMachineArn"])


@contextlib.contextmanager
def mock_cloud() -> Iterator[None]:
    """Serve AWS's APIs on a free port, and have boto3 and sam call it."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "none")
        patch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
        patch.setattr(CodeDeployResponse, "stop_deployment", _stop_deployment, raising=False)
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        try:
            yield
        finally:
            moto_api_backend.reset()  # all servers of a process have the same resources
            server.stop()
