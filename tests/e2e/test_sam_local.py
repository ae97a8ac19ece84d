"""`sam local`: the built package in a container of Lambda's runtime, on a real Docker engine."""

import json
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from tests.support.calls import CALLS, EVENTS, SAM_LOCALS_OWN
from tests.support.entry_points import ROOT, LocalServer, answer_of, free_port, http_entry_point
from tests.support.models import words
from tests.support.pages import link_project
from tests.support.sam import ENVIRON, SAM, SamLocal, sam


@pytest.mark.parametrize("name", EVENTS)
def test_invoke_answers_every_event(name: str, sam_options: list[str], local_server: LocalServer) -> None:
    """As Gunicorn answers the same call."""
    printed = sam(
        "local", "invoke", "ClassifierFunction", "--event", str(ROOT / "events" / f"{name}.json"), *sam_options
    )

    with local_server.client() as client:
        assert answer_of(json.loads(printed)) == http_entry_point(client)(EVENTS[name])


def test_start_api_answers_the_whole_table(sam_local: SamLocal, local_server: LocalServer) -> None:
    """Over HTTP, byte for byte as Gunicorn."""
    with sam_local.client() as sam_client, local_server.client() as client:
        by_sam, by_gunicorn = http_entry_point(sam_client), http_entry_point(client)
        for call, status in CALLS:
            answer = by_sam(call)
            if call.name in SAM_LOCALS_OWN:
                # It takes each body for UTF-8, and its routes end at a line break; API Gateway hands both on.
                assert (answer.status, list(answer.json)) in [(502, ["message"]), (403, ["message"])], call.name
            else:
                assert answer.status == status, call.name
                assert answer == by_gunicorn(call), call.name


def test_without_docker_it_says_so(sam_build: Path) -> None:
    """At the end of what it says, with a status that isn't 0."""
    command = [SAM, "local", "start-api", "--template", str(sam_build / "template.yaml"), "--port", str(free_port())]
    environ = ENVIRON | {"DOCKER_HOST": "unix:///nowhere.sock"}

    result = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False, timeout=60)

    assert result.returncode == 1
    assert result.stderr.splitlines()[-1].startswith("Error: Running AWS SAM projects locally requires a container")


def test_make_invoke_runs_the_model_that_is_named(sam_options: list[str], tmp_path: Path) -> None:
    """By its path here, which isn't its path in the package; a function that fails is a failure."""
    link_project(tmp_path)
    (tmp_path / "template.yaml").unlink()  # sam looks for the Makefile beside the file that a link leads to
    shutil.copy(ROOT / "template.yaml", tmp_path)
    model = tmp_path / "mine.onnx"
    model.write_bytes(words().artifact)  # which needs a locale of the image
    image = sam_options[sam_options.index("--invoke-image") + 1]
    command = ["make", "--silent", "invoke", f"IMAGE={image}", f"MODEL_FILEPATH={model}"]

    named, failing = (
        subprocess.run(
            [*command, f"EVENT={event}"], cwd=tmp_path, env=ENVIRON | environ, capture_output=True, check=False
        )
        for event, environ in (("metadata", {}), ("predict", {"OTEL_EXPORTER_OTLP_ENDPOINT": "nowhere"}))
    )

    assert named.returncode == 0, named.stderr
    assert answer_of(json.loads(named.stdout.splitlines()[-1])).json["model"]["name"] == "mine"
    assert failing.returncode != 0
    message = json.loads(failing.stdout.splitlines()[-1])["errorMessage"]
    assert message.startswith("OTEL_EXPORTER_OTLP_ENDPOINT: expected an address")


def make(*options: str, **environ: str) -> str:
    """Give what is said in place of starting it."""
    command = ["make", "--silent", *options]
    result = subprocess.run(
        command, cwd=ROOT, env=ENVIRON | environ, capture_output=True, text=True, check=False, timeout=60
    )
    assert result.returncode
    assert "sam build" not in result.stdout
    return result.stderr


def test_make_names_the_way_out() -> None:
    """Where there is no Docker, and where no registry has AWS's image, before it builds anything."""
    without = make("start-api", DOCKER_HOST="unix:///nowhere.sock")
    assert without.splitlines()[0] == "expected a Docker engine that 'docker info' reaches, got none"

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        used = make("start-api", f"PORT={port}")
    assert used.splitlines()[0] == f"start-api: expected a free port, {port} isn't; PORT=… names another"

    alone = make("start-api", "AWS_IMAGE=127.0.0.1:1/none")
    assert alone.splitlines()[1] == (
        "expected AWS's image here or in a registry; 'make lambda-image' makes a stand-in: "
        "add IMAGE=web-single-lambda:3.13-x86_64"
    )

    unknown = make("invoke", "EVENT=nope").splitlines()[0]
    assert unknown.startswith("invoke: expected EVENT to be one of ")
    assert unknown.endswith(", got nope")
    assert set(EVENTS) <= set(unknown.replace(",", " ").split())
