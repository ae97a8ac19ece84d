"""docs/image.md: its commands give the output that it shows, and its manifest is one."""

import os
import re
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import kubernetes_validate
import pytest
import yaml
from starlette.testclient import TestClient

from local_server import END_SECONDS, ServerSettings
from tests.support.container import Container
from tests.support.entry_points import ROOT
from tests.support.pages import blocks

PAGE = Path("docs/image.md").read_text()
SERVED, INSPECTED, EMULATED = blocks(PAGE, "console")
STARTED = [command for block in blocks(PAGE, "sh") for command in block.replace("\\\n", " ").splitlines()]


def output(block: str, **instead: str) -> str:
    """Run the one command of a block with something else in place of what it names."""
    command = block.splitlines()[0].removeprefix("$ ").replace("curl ", "curl --silent ", 1)
    for name, value in instead.items():
        command = re.sub(rf"\b{name.replace('_', ':')}\b", value, command)
    result = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, check=True)
    return result.stdout.rstrip("\n") + "\n"


def shown(block: str) -> str:
    return block.partition("\n")[2]


def options(command: str, image: str) -> list[str]:
    """What a documented `docker run` gives before and behind the image's name, ports and removal aside."""
    words = subprocess.run(
        ["bash", "-c", f"printf '%s\\n' {command}"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    kept = words.stdout.splitlines()[2:]
    del kept[kept.index("-p") : kept.index("-p") + 2]
    kept.remove("--rm")
    return [image if word == "web-single" else word for word in kept]


def test_the_image_serves_with_as_little_as_is_shown(image: str) -> None:
    """The service's answer, and the digest of its model among the labels."""
    (hardened,) = (command for command in STARTED if "--cap-drop" in command)

    with Container.serve(image, *options(hardened, image)[:-1]) as container:
        assert output(SERVED, localhost_8000=urlsplit(container.url).netloc) == shown(SERVED)
    assert output(INSPECTED.replace("' web-single", f"' {image}")) == shown(INSPECTED)


def test_the_emulator_shows_it_as_lambda_has_it(image: str) -> None:
    """By the command that is shown, but for the image's name and the port."""
    (emulate,) = (command for command in STARTED if "--entrypoint" in command)
    given = options(emulate, image)
    place = given.index(image)

    with Container.run(image, *given[:place], command=given[place + 1 :], port=8080) as container:
        container.wait(lambda: bool(container.client.get("/").status_code))
        assert output(EMULATED, localhost_9000=urlsplit(container.url).netloc) == shown(EMULATED)


@pytest.fixture
def manifest() -> list[dict[str, Any]]:
    (block,) = blocks(PAGE, "yaml")
    return list(yaml.safe_load_all(block))


def test_the_manifest_is_one_to_kubernetes(manifest: list[dict[str, Any]]) -> None:
    """Strictly, by its own schemas: no field that it doesn't know; from 1.30 on, which has preStop's sleep."""
    assert [document["kind"] for document in manifest] == ["Deployment", "Service"]
    for document in manifest:
        for version in ("1.30", kubernetes_validate.latest_version()):
            kubernetes_validate.validate(document, version, strict=True)
    manifest[0]["spec"]["template"]["spec"]["containers"][0]["livenessprobe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(manifest[0], kubernetes_validate.latest_version(), strict=True)


def test_the_manifest_fits_the_service(manifest: list[dict[str, Any]], client: TestClient) -> None:
    """Probes ask routes that are there, ports and labels meet, and nobody is killed while open requests have time."""
    deployment, service = (document["spec"] for document in manifest)
    pod = deployment["template"]["spec"]
    (container,) = pod["containers"]
    (port,) = container["ports"]
    defaults = ServerSettings.load({})

    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert container[probe]["httpGet"]["port"] == port["name"]
        assert client.get(container[probe]["httpGet"]["path"]).status_code == 200
    assert port["containerPort"] == defaults.port
    assert [(one["targetPort"]) for one in service["ports"]] == [port["name"]]
    labels = deployment["template"]["metadata"]["labels"]
    assert deployment["selector"]["matchLabels"] == service["selector"] == labels
    delay = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert pod["terminationGracePeriodSeconds"] >= delay + defaults.graceful_timeout + END_SECONDS
    environ = {variable["name"]: variable["value"] for variable in container["env"]}
    assert str(ServerSettings.load(os.environ | environ).workers) == container["resources"]["limits"]["cpu"]
