"""The Lambda door: real events in, on every Python that the project names."""

import asyncio
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from function.handler import handler
from tests.doors import ROOT, Call, Event, answer_of, http_door
from tests.pythons import interpreter, replay, with_the_package

GET_ROUTES = {
    "docs": "/docs",
    "health": "/health",
    "label": "/label",
    "metadata": "/metadata",
    "openapi": "/openapi.json",
    "predict_test": "/predict/test",
    "predict_test_label": "/predict/test/label",
}
ROW = b'{"data": [[5.1, 3.5, 1.4, 0.2]]}'
CALLS = {
    **{name: Call(name, "GET", path) for name, path in GET_ROUTES.items()},
    "predict": Call("predict", "POST", "/predict", ROW),
    "predict_base64": Call("predict", "POST", "/predict", ROW),
    "predict_rest_api": Call("predict", "POST", "/predict", ROW),
    "predict_function_url": Call("predict", "POST", "/predict", ROW),
    "predict_alb": Call("predict", "POST", "/predict", ROW),
    "predict_label": Call("predict_label", "POST", "/predict/label", ROW),
    "predict_batch": Call(
        "predict_batch", "POST", "/predict/batch", b'{"data": [[5.1, 3.5, 1.4, 0.2], [6.3, 3.3, 6.0, 2.5]]}'
    ),
}


@pytest.fixture
def cache(request: pytest.FixtureRequest) -> pytest.Cache:
    assert request.config.cache
    return request.config.cache


def test_every_event_has_its_call() -> None:
    """None of events/ is left out, and every route is there as an HTTP API event."""
    assert {path.stem for path in Path("events").glob("*.json")} == set(CALLS)


@pytest.mark.parametrize("name", CALLS)
def test_an_event_is_answered_as_over_http(name: str, event: Event, client: TestClient) -> None:
    """The same status, content type and bytes."""
    answer = answer_of(handler(event(name), None))  # type: ignore[arg-type] # the context isn't used

    assert answer.status == 200
    assert answer == http_door(client)(CALLS[name])


def test_it_answers_after_someone_has_run_another_event_loop(event: Event) -> None:
    """`asyncio.run` leaves the thread without a loop."""

    async def nothing() -> None:
        pass

    asyncio.run(nothing())

    assert handler(event("health"), None)["statusCode"] == 200  # type: ignore[arg-type] # the context isn't used


def test_an_invocation_is_logged_once(event: Event, caplog: pytest.LogCaptureFixture) -> None:
    """By our access line; Mangum's own would repeat the path as it came, line breaks and all."""
    caplog.set_level(logging.INFO)

    handler(event("health"), None)  # type: ignore[arg-type] # the context isn't used

    assert [record.name for record in caplog.records] == ["access"]


@pytest.mark.parametrize("name", ["python3.11", "python3.12", "python3.13"])
def test_every_python_gives_the_same_answers(name: str, client: TestClient, cache: pytest.Cache) -> None:
    """Warnings are errors from the first import on, and another event loop runs between all invocations."""
    answers = replay(with_the_package(name, cache), ROOT)

    assert answers == {name: http_door(client)(call) for name, call in CALLS.items()}


def test_the_package_that_sam_builds_gives_the_same_answers(client: TestClient, tmp_path: Path) -> None:
    """With nothing but itself on Lambda's Python, and nothing in it that Lambda has no use for."""
    python = interpreter("python3.13")
    build = [str(Path(sys.executable).with_name("sam")), "build", "--build-dir", str(tmp_path / "build")]

    subprocess.run(build, cwd=ROOT, env=os.environ | {"SAM_CLI_TELEMETRY": "0"}, check=True, capture_output=True)

    package = tmp_path / "build" / "ClassifierFunction"
    assert replay(python, package) == {name: http_door(client)(call) for name, call in CALLS.items()}
    packed = {path.name for path in package.iterdir()}
    assert not packed & {"gunicorn", "uvicorn", "sklearn", "pytest", "tests", "local_server.py", ".venv"}
    assert sorted(path.name for path in (package / "model").iterdir()) == ["iris_svc.onnx", "label.json"]


@pytest.mark.parametrize(
    ("environ", "line"),
    [
        ({"MAX_ROWS": "all"}, ("function.errors.SettingsError: MAX_ROWS='all': Input should be a valid integer, "
         "unable to parse string as an integer")),
        ({"MODEL_FILEPATH": "no.onnx"}, ("function.errors.ArtifactError: no.onnx: can't be read "
         "(No such file or directory); MODEL_FILEPATH names the model")),
    ],
    ids=["setting", "artifact"],
)  # fmt: skip
def test_a_refused_start_says_why(environ: dict[str, str], line: str) -> None:
    """Lambda logs the error of the import; it is the local door's line."""
    command = [sys.executable, "-c", "import function.handler"]

    result = subprocess.run(command, env=os.environ | environ, capture_output=True, text=True, check=False)

    assert result.returncode == 1
    assert result.stderr.splitlines()[-1] == line
