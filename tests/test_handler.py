"""The Lambda door: real events in, on every Python that the project names."""

import asyncio
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from function.handler import handler
from tests.doors import ROOT, Call, Event, answer_of, http_door

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


def interpreter(name: str) -> str:
    """Find a Python by running it: pyenv has shims for Pythons that aren't chosen."""
    try:
        command = [name, "-c", "import sys; print(sys.executable)"]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        pytest.skip(f"no {name} that runs")


def with_the_package(name: str, cache: pytest.Cache) -> Path:
    """Make a virtual environment with just what ships in the Lambda package, once for each lock file."""
    lock = ROOT / "function" / "requirements.txt"
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()[:12]
    folder = cache.mkdir(f"{name}-{digest}")
    uv = [sys.executable, "-m", "uv", "--quiet"]
    subprocess.run([*uv, "venv", "--allow-existing", "--python", interpreter(name), str(folder)], check=True)
    python = folder / "bin" / "python"
    install = ["pip", "install", "--python", str(python), "--require-hashes", "--requirement", str(lock)]
    subprocess.run([*uv, *install], check=True)
    return python


@pytest.mark.parametrize("name", ["python3.11", "python3.12", "python3.13"])
def test_every_python_gives_the_same_answers(
    name: str, event: Event, client: TestClient, request: pytest.FixtureRequest
) -> None:
    """Warnings are errors from the first import on, and another event loop runs between all invocations."""
    assert request.config.cache
    python = with_the_package(name, request.config.cache)
    environ = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    command = [str(python), "-W", "error", "-m", "tests.replay"]

    result = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)

    assert result.returncode == 0, result.stderr
    answers = {name: answer_of(answer) for name, answer in json.loads(result.stdout).items()}
    assert answers == {name: http_door(client)(call) for name, call in CALLS.items()}


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
