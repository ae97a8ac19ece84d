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
from tests.calls import EVENTS
from tests.doors import ROOT, Event, answer_of, http_door
from tests.pythons import replay, with_packages


def test_every_event_has_its_call() -> None:
    """None of events/ is left out, and every route is there as an HTTP API event."""
    assert {path.stem for path in Path("events").glob("*.json")} == set(EVENTS)


@pytest.mark.parametrize("name", EVENTS)
def test_an_event_is_answered_as_over_http(name: str, event: Event, client: TestClient) -> None:
    """The same status, content type and bytes."""
    answer = answer_of(handler(event(name), None))  # type: ignore[arg-type] # the context isn't used

    assert answer.status == 200
    assert answer == http_door(client)(EVENTS[name])


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
def test_every_python_gives_the_same_answers(name: str, client: TestClient, environments: Path) -> None:
    """Warnings are errors from the first import on, and another event loop runs between all invocations."""
    answers = replay(with_packages(name, "function/requirements.txt", environments), ROOT)

    assert answers == {name: http_door(client)(call) for name, call in EVENTS.items()}


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
