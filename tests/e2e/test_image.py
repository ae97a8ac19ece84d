"""The container image: what is in it, and its answers as a server and as a Lambda function, on a real Docker engine."""

import hashlib
import io
import json
import os
import re
import socket
import tarfile
import time
from collections.abc import Callable, Iterator
from importlib.metadata import distributions
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from packaging.utils import canonicalize_name

from function import __version__
from function.image import MAX_MB
from function.package import PRUNED
from tests.integration.test_check import check, lines
from tests.integration.test_requirements import pins
from tests.support.base_image import base_image_for_arm64, build_image
from tests.support.calls import CALLS
from tests.support.container import Container
from tests.support.entry_points import (
    EVENT_FORMS,
    Call,
    Event,
    LocalServer,
    answer_of,
    http_entry_point,
    in_base64,
    lambda_entry_point,
)
from tests.support.lambda_image import docker
from tests.support.large import large_model

SETUP = ("--read-only", "--user", "1234", "--cap-drop", "ALL", "--memory", "256m")
HANDLER = ("python", "-m", "awslambdaric", "function.handler.handler")


def inspect(image: str) -> dict[str, Any]:
    (found,) = json.loads(docker("image", "inspect", image).stdout)
    return dict(found)


@pytest.fixture(scope="module")
def content(image: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The service's folder in a container."""
    folder = tmp_path_factory.mktemp("content") / "task"
    created = docker("create", image).stdout.decode().strip()
    docker("cp", f"{created}:/var/task", str(folder))
    docker("rm", created)
    return folder


@pytest.fixture(scope="module")
def container(image: str) -> Iterator[Container]:
    """The server, with as little as it may need."""
    with Container.serve(image, *SETUP) as container:
        yield container


def test_it_says_what_it_is_and_runs_as_nobody(image: str, base: str, artifact: Path) -> None:
    """Its labels name the model, whose digest every answer has; its user is a number, and no root."""
    configuration = inspect(image)["Config"]

    labels = configuration["Labels"].items() - inspect(base)["Config"]["Labels"].items()
    assert dict(labels) == {
        "org.opencontainers.image.title": "web-single",
        "org.opencontainers.image.version": __version__,
        "org.opencontainers.image.base.name": base,
        "web-single.model.name": "iris_svc",
        "web-single.model.sha256": hashlib.sha256(artifact.read_bytes()).hexdigest(),
    }
    assert configuration["User"] == "65532:65532"
    assert configuration["WorkingDir"] == "/var/task"
    assert configuration["ExposedPorts"] == {"8000/tcp": {}}


def test_it_holds_what_both_entry_points_need_and_nothing_else(content: Path) -> None:
    """The package's content and the server: no test, no training, nothing that builds; nobody but root may change it."""
    names = {str(path.relative_to(content)) for path in content.rglob("*")}

    assert {"local_server.py", "function/server/rules.py", "function/handler.py", "gunicorn", "awslambdaric"} <= names
    assert {name for name in names if name.startswith("model/")} == {
        "model/iris_svc.onnx",
        "model/iris_svc.onnx.sha256",
        "model/label.json",
    }
    assert not {"function/package.py", "function/image.py", "function/Dockerfile", "function/image.txt"} & names
    assert not {"tests", "pip", "sklearn", "onnx"} & names
    assert {pruned.pattern for pruned in PRUNED if list(content.glob(pruned.pattern))} == {"google", "packaging"}
    assert {path.stat().st_mode & 0o777 for path in content.rglob("*") if path.is_file()} == {0o644}
    assert {path.stat().st_mode & 0o777 for path in content.rglob("*") if path.is_dir()} == {0o755}
    for source in content.rglob("*.py"):
        assert (source.parent / "__pycache__" / f"{source.stem}.cpython-313.pyc").exists(), source


def test_its_bill_of_materials_is_in_it(content: Path) -> None:
    """Every distribution that is there, and no other."""
    components = json.loads((content / "sbom.json").read_text())["components"]

    listed = {f"{component['name']}=={component['version']}" for component in components}
    assert listed == pins("function/image.txt")
    assert listed == {
        f"{canonicalize_name(found.name)}=={found.version}" for found in distributions(path=[str(content)])
    }


def test_it_is_small(image: str, base: str) -> None:
    """Without its base."""
    assert 50 < (inspect(image)["Size"] - inspect(base)["Size"]) / 1e6 <= MAX_MB


def test_the_same_input_gives_the_same_layers(image: str, base: str, tmp_path: Path) -> None:
    """Whichever folder they are put together in."""
    docker("tag", image, f"{image}-first")
    built = build_image(tmp_path / "again", "--base", base, "--tag", f"{image}-again", PYTHONHASHSEED="1")

    assert built.returncode == 0, built.stderr
    assert inspect(f"{image}-again")["RootFS"] == inspect(image)["RootFS"]
    docker("rmi", f"{image}-again", f"{image}-first")


def test_the_server_answers_the_whole_table(container: Container, local_server: LocalServer) -> None:
    """Read-only, as somebody without rights, in 256 MB; byte for byte as without a container."""
    with local_server.client() as client:
        inside, outside = http_entry_point(container.client), http_entry_point(client)
        for call, status in CALLS:
            answer = inside(call)
            assert answer.status == status, call.name
            assert answer == outside(call), call.name


@pytest.fixture(scope="module")
def emulated(image: str) -> Iterator[Container]:
    """The same image as a function, read-only."""
    with Container.emulate(image, command=HANDLER) as container:
        yield container


@pytest.fixture(params=EVENT_FORMS)
def form(request: pytest.FixtureRequest) -> Callable[[Call], dict[str, Any]]:
    return EVENT_FORMS[request.param]


def test_lambda_answers_the_whole_table(
    form: Callable[[Call], dict[str, Any]], emulated: Container, local_server: LocalServer
) -> None:
    """Under the runtime emulator, plain and base64, whatever form of event brings the call."""
    plain, encoded = lambda_entry_point(emulated.invoke, form), lambda_entry_point(emulated.invoke, in_base64(form))
    with local_server.client() as client:
        over_http = http_entry_point(client)
        for call, _ in CALLS:
            expected = over_http(call)
            assert plain(call) == expected, call.name
            assert encoded(call) == expected, call.name


def test_under_lambda_it_needs_no_command(image: str, event: Event) -> None:
    """The image's command detects Lambda."""
    with Container.emulate(image, command=inspect(image)["Config"]["Cmd"]) as emulated:
        assert answer_of(emulated.invoke(event("predict_label"))).json == {"prediction": "setosa"}


def test_it_knows_whether_it_is_healthy(image: str) -> None:
    """On whatever port; where nothing answers, it isn't."""
    often = ("--health-interval", "1s", "--health-retries", "1", "--health-start-period", "0s")
    with (
        Container.run(image, *SETUP, *often, "--env", "PORT=9000") as served,
        Container.run(image, *often, command=("python", "-c", "import time; time.sleep(600)")) as idle,
    ):
        assert _wait_for_health(served) == "healthy"
        assert _wait_for_health(idle) == "unhealthy"


def _wait_for_health(container: Container) -> str:
    end = time.monotonic() + 120
    while (status := str(container.inspect(".State.Health.Status"))) == "starting":
        assert time.monotonic() < end, container.log()
        time.sleep(0.2)
    return status


def test_sigterm_reaches_it_and_open_requests_are_answered(image: str) -> None:
    """As process 1 it only gets signals that it handles; it needs no SIGKILL."""
    body = b'{"data": [[5.1, 3.5, 1.4, 0.2]]}'
    with Container.serve(image, *SETUP) as container:
        address = urlsplit(container.url)
        with socket.create_connection((address.hostname, address.port or 0), timeout=60) as client:
            client.sendall(b"POST /predict/label HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body))
            time.sleep(1)  # the head is read
            docker("kill", "--signal", "TERM", container.id)
            time.sleep(1)
            client.sendall(body)
            answer = client.recv(10_000)
        docker("wait", container.id)

        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        assert answer.endswith(b'{"prediction":"setosa"}')
        assert container.inspect(".State.ExitCode") == 0


def test_a_wrong_setting_is_one_line(image: str) -> None:
    """And the end, as without a container."""
    with Container.run(image, "--env", "MAX_ROWS=none") as container:
        docker("wait", container.id)

        assert container.inspect(".State.ExitCode") == 1
        (line,) = container.log().splitlines()
        assert line.startswith("SettingsError: MAX_ROWS")


def test_it_builds_for_the_other_architecture(base: str, tmp_path: Path) -> None:
    """With its wheels alone, on a base for it; without binfmt it can't be run here."""
    tag = f"web-single-test:arm64-{os.getpid()}"

    built = build_image(tmp_path / "content", "arm64", "--base", base_image_for_arm64(), "--tag", tag)

    assert built.returncode == 0, built.stderr
    assert (inspect(tag)["Architecture"], inspect(tag)["Os"]) == ("arm64", "linux")
    docker("rmi", tag)
    libraries = list((tmp_path / "content").rglob("*.so"))
    assert libraries
    for library in libraries:
        assert library.read_bytes()[18:20] == b"\xb7\x00", library  # ELF e_machine: EM_AARCH64


@pytest.mark.parametrize(
    ("arguments", "environ", "line"),
    [
        ([], {"PATH": "/nowhere"}, "image: expected Docker to build the image, found no docker command"),
        ([], {"DOCKER_HOST": "unix:///nowhere.sock"},
         "image: expected a running Docker engine, got: Cannot connect to the Docker daemon at unix:///nowhere.sock."),
        (["--base", "127.0.0.1:9/python:3.13-slim"], {},
         "image: the base 127.0.0.1:9/python:3.13-slim for linux/amd64 can't be pulled; `make base-image` makes a stand-in, BASE=… names another: Error response "),
        (["--tag", "Bad Tag"], {}, "image: expected TAG to be an image's name such as web-single:1, got 'Bad Tag'"),
        (["--base", "Python"], {},
         "image: the base Python for linux/amd64 can't be pulled; `make base-image` makes a stand-in, BASE=… names another: invalid reference format"),
    ],
    ids=["no docker", "no engine", "base out of reach", "no name for an image", "no name of an image"],
)  # fmt: skip
def test_an_image_that_cant_be_says_why(
    arguments: list[str], environ: dict[str, str], line: str, base: str, tmp_path: Path
) -> None:
    """In one line, before anything is put together."""
    tag = f"web-single-test:refused-{os.getpid()}"

    result = build_image(tmp_path / "content", "--tag", tag, *arguments, **environ)

    assert result.returncode == 1
    assert result.stderr.startswith(line)
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "content").exists()


def test_a_base_that_cant_run_it_is_refused(base: str, tmp_path: Path) -> None:
    """Such as one of another Python: the tag stays with what it was."""
    tag, wrong = f"web-single-test:wrong-{os.getpid()}", f"web-single-test:no-python-{os.getpid()}"
    empty = io.BytesIO()
    tarfile.open(fileobj=empty, mode="w").close()
    docker("import", "-", wrong, stdin=empty.getvalue())

    result = build_image(tmp_path / "content", "--base", wrong, "--tag", tag)

    docker("rmi", wrong)
    assert result.returncode == 1
    assert result.stderr.startswith(f"image: the base {wrong} can't run the service: ")
    assert "executable file not found" in result.stderr
    assert result.stderr.count("\n") == 1
    assert not docker("image", "ls", "--quiet", tag).stdout


def test_a_model_of_a_gigabyte_starts(base: str, event: Event, tmp_path: Path) -> None:
    """As a function, in the memory that `model.check` names, and as a server with two workers in the same."""
    tag = f"web-single-test:large-{os.getpid()}"
    model = large_model(tmp_path / "large.onnx", 1000)
    (megabytes,) = re.findall(r"MemorySize=(\d+)", dict(lines(check(model)))["package"])
    built = build_image(tmp_path / "content", "--base", base, "--tag", tag, MODEL_FILEPATH=str(model))
    assert built.returncode == 0, built.stderr
    memory = (f"--memory={megabytes}m", f"--memory-swap={megabytes}m")
    try:
        with Container.emulate(tag, *memory, command=HANDLER) as emulated:
            answer = answer_of(emulated.invoke(event("predict")))
            assert answer.status == 200
            assert 2000 < emulated.peak_megabytes < int(megabytes)  # the file and its session at the least
        with Container.serve(tag, *memory, "--env", "WORKERS=2") as served:
            call = Call("a row", "POST", "/predict", event("predict")["body"].encode())
            assert http_entry_point(served.client)(call) == answer
    finally:
        docker("rmi", tag)
