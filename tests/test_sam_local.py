"""`sam local`: the built package in a container of Lambda's runtime, on a real Docker engine."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.calls import CALLS, EVENTS
from tests.doors import ROOT, LocalServer, answer_of, free_port, http_door
from tests.lambda_image import lambda_image
from tests.sam import ENVIRON, SAM, SamLocal, sam


@pytest.fixture(scope="module")
def options(runtime: Path, package: Path, sam_build: Path) -> list[str]:
    """The built package, in an image of Lambda's Python."""
    image = lambda_image(runtime, package)
    return ["--template", str(sam_build / "template.yaml"), "--invoke-image", image, "--skip-pull-image"]


@pytest.fixture(scope="module")
def api(options: list[str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[SamLocal]:
    """`sam local start-api` on a free port."""
    with SamLocal.start_api(options, tmp_path_factory.mktemp("sam_local") / "log") as api:
        yield api


@pytest.mark.parametrize("name", EVENTS)
def test_invoke_answers_every_event(name: str, options: list[str], local_server: LocalServer) -> None:
    """As Gunicorn answers the same call."""
    printed = sam("local", "invoke", "ClassifierFunction", "--event", str(ROOT / "events" / f"{name}.json"), *options)

    with local_server.client() as client:
        assert answer_of(json.loads(printed)) == http_door(client)(EVENTS[name])


# What `sam local start-api` itself refuses, before the function; API Gateway hands it on.
REFUSED = {
    "/predict: UTF-16": (502, "Internal server error"),  # it takes each JSON body for UTF-8
    "/predict/label: UTF-16": (502, "Internal server error"),
    "/predict/batch: UTF-16": (502, "Internal server error"),
    "/predict: broken UTF-8": (502, "Internal server error"),
    "/predict/label: broken UTF-8": (502, "Internal server error"),
    "/predict/batch: broken UTF-8": (502, "Internal server error"),
    "encoded line break": (403, "Missing Authentication Token"),  # its routes end at a line break
}


def test_start_api_answers_the_whole_table(api: SamLocal, local_server: LocalServer) -> None:
    """Over HTTP, byte for byte as Gunicorn."""
    n_refused = 0
    with api.client() as sam_client, local_server.client() as client:
        by_sam, by_gunicorn = http_door(sam_client), http_door(client)
        for call, status in CALLS:
            answer = by_sam(call)
            if call.name in REFUSED:
                assert (answer.status, answer.json["message"]) == REFUSED[call.name], call.name
                n_refused += 1
            else:
                assert answer.status == status, call.name
                assert answer == by_gunicorn(call), call.name
    assert n_refused == len(REFUSED)


def test_without_docker_it_says_so(sam_build: Path) -> None:
    """In one line, with a status that isn't 0."""
    command = [SAM, "local", "start-api", "--template", str(sam_build / "template.yaml"), "--port", str(free_port())]
    environ = ENVIRON | {"DOCKER_HOST": "unix:///nowhere.sock"}

    result = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False, timeout=60)

    assert result.returncode == 1
    print(result.stderr)
    assert 0
