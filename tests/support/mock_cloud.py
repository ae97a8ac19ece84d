"""AWS without AWS: moto's server, taught those resources of template.yaml that its CloudFormation doesn't know."""

import contextlib
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import moto.cloudformation.parsing  # noqa: F401 - of two models for one type the later one counts
import pytest
from moto.core.common_models import CloudFormationModel
from moto.moto_api._internal.models import moto_api_backend
from moto.server import ThreadedMotoServer

Properties = dict[str, Any]
_taught: list[object] = []


def _teach(resource_type: str) -> Callable[[Callable[[Properties], str]], None]:
    """Let CloudFormation make a resource by a function from its properties to what `Ref` gives."""

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

            def get_cfn_attribute(self, name: str) -> str:
                assert name == "Version"  # the one that template.yaml asks of these types
                return self.physical_resource_id.rpartition(":")[2]

        _taught.append(Taught)  # moto finds it among the subclasses, as long as it is alive

    return teach


@_teach("AWS::Lambda::Version")  # moto knows it, but not its number
def _make_version(properties: Properties) -> str:
    arn: str = boto3.client("lambda").publish_version(**properties)["FunctionArn"]
    return arn


@_teach("AWS::Lambda::Alias")
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
    name = f"alarm-{uuid.uuid4()}"
    boto3.client("cloudwatch").put_metric_alarm(AlarmName=name, **properties)
    return name


@_teach("AWS::CloudWatch::Dashboard")
def _make_dashboard(properties: Properties) -> str:
    name = f"dashboard-{uuid.uuid4()}"
    boto3.client("cloudwatch").put_dashboard(DashboardName=name, **properties)
    return name


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
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        try:
            yield
        finally:
            moto_api_backend.reset()  # all servers of a process have the same resources
            server.stop()
