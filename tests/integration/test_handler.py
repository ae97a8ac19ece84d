"""The Lambda handler: real events in, on every Python that the project names."""

import asyncio
import json
import logging
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from function.handler import handler
from tests.support.calls import EVENTS
from tests.support.entry_points import EVENT_FORMS, AccessLines, Call, Event, answer_of, http_entry_point
from tests.support.pasted_secrets import KEY, WRONG_KEYS


def test_every_event_has_its_call() -> None:
    """None of events/ is left out, and every route is there as an HTTP API event."""
    files = {path.stem for path in Path("events").glob("*.json")}
    assert files == set(EVENTS), "events/ and EVENTS of tests/support/calls.py differ"


@pytest.mark.parametrize("name", EVENTS)
def test_an_event_is_answered_as_over_http(name: str, event: Event, client: TestClient) -> None:
    """The same status, content type and bytes."""
    answer = answer_of(handler(event(name), None))  # type: ignore[arg-type] # the context isn't used

    assert 200 <= answer.status < 300, "events/ holds requests that are answered"
    assert answer == http_entry_point(client)(EVENTS[name])


def test_it_answers_after_someone_has_run_another_event_loop(event: Event) -> None:
    """`asyncio.run` leaves the thread without a loop."""

    async def nothing() -> None:
        pass

    asyncio.run(nothing())

    assert handler(event("health"), None)["statusCode"] == 200  # type: ignore[arg-type] # the context isn't used


def test_an_invocation_is_logged_once(
    event: Event, caplog: pytest.LogCaptureFixture, access_lines: AccessLines
) -> None:
    """By our access line; Mangum's own would repeat the path as it came, line breaks and all."""
    caplog.set_level(logging.INFO)

    handler(event("health"), None)  # type: ignore[arg-type] # the context isn't used

    assert [line["path"] for line in access_lines()] == ["/health"]
    assert not caplog.records


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
    """Lambda logs the error of the import; it is the local server's line."""
    command = [sys.executable, "-c", "import function.handler"]

    result = subprocess.run(command, env=os.environ | environ, capture_output=True, text=True, check=False)

    assert result.returncode == 1
    assert result.stderr.splitlines()[-1] == line


BODIES = """
with {context}:
    from typing import Annotated, Literal
    from fastapi import Body, FastAPI, Query
    from pydantic import BaseModel, Field
    from starlette.testclient import TestClient

    class Size(BaseModel):
        length: float
        unit: Literal["cm", "in"] = "cm"

    class Flower(BaseModel):
        name: Annotated[str, Field(alias="called", max_length=5)]
        sizes: list[Size] = []
        seen: "Flower | None" = None

    class Filter(BaseModel):
        limit: Annotated[int, Field(gt=0)] = 3

    app = FastAPI()

    @app.post("/flowers", response_model=Flower, response_model_by_alias=False)
    def flowers(flower: Flower) -> Flower:
        return flower

    @app.post("/two")
    def two(flower: Flower, k: Annotated[int, Body()], q: Annotated[Filter, Query()]) -> list[int]:
        return [len(flower.sizes), k, q.limit]

client = TestClient(app)
flower = {{"called": "lily", "sizes": [{{"length": 1.5}}], "seen": {{"called": "rose"}}}}
for path, body in [("/flowers", flower), ("/flowers", {{"called": "too long"}}), ("/flowers", [1]),
                   ("/two?limit=5", {{"flower": flower, "k": 2}}), ("/two?limit=0", {{"flower": flower, "k": "x"}})]:
    answer = client.post(path, json=body)
    print(answer.status_code, answer.text)
print(client.get("/openapi.json").text)
"""


def test_routes_with_bodies_are_the_same_in_a_shortened_init_phase() -> None:
    """Also where warnings are errors: what pydantic builds later is built as at once."""
    told = [
        subprocess.run(
            [sys.executable, "-W", "error", "-c", f"import contextlib\nfrom function import init_phase\n{code}"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for code in (BODIES.format(context=name) for name in ("contextlib.nullcontext()", "init_phase.shortened()"))
    ]

    assert [line[:3] for line in told[0].splitlines()[:5]] == ["200", "422", "422", "200", "422"]
    assert told[0] == told[1]


@pytest.mark.parametrize("value", WRONG_KEYS.values(), ids=WRONG_KEYS)
def test_a_refused_start_tells_no_secret(value: str) -> None:
    """A key in place of its digest isn't in the traceback that CloudWatch keeps."""
    command = [sys.executable, "-c", "import function.main"]
    environ = {"API_KEY_SHA256": value}

    result = subprocess.run(command, env=os.environ | environ, capture_output=True, text=True, check=False)

    assert result.returncode == 1
    assert result.stderr.splitlines()[-1].startswith("function.errors.SettingsError: API_KEY_SHA256: expected ")
    assert KEY not in result.stdout + result.stderr


HOSTS = ["[2001:db8::1]", "[2001:db8::1]:8443", "a.example:8443", "a.example", "a.example:", "::1", ""]


@pytest.mark.parametrize("form", EVENT_FORMS)
@pytest.mark.parametrize("host", HOSTS)
def test_an_address_may_be_any_host(form: str, host: str, client: TestClient) -> None:
    """An IPv6 address too, as a balancer without a name has it."""
    for port in ("443", "none"):
        headers = {"Host": host, "X-Forwarded-Port": port}
        event = EVENT_FORMS[form](Call("label", "GET", "/label", headers=headers))

        answer = answer_of(handler(event, None))  # type: ignore[arg-type] # the context isn't used

        assert answer == http_entry_point(client)(Call("label", "GET", "/label"))


@pytest.mark.parametrize(
    ("path", "parameters"),
    [("/top", {"k": ["3"]}), ("/top", {"k": "3"}), ("/top?k=3", {"k": ["3"]}), ("/top?k=3", None)],
)
def test_a_query_of_vpc_lattice_arrives(path: str, parameters: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """In whichever of its forms."""
    app = FastAPI()
    app.get("/top")(lambda k: {"k": k})
    monkeypatch.setattr("function.handler.app", app)
    event = EVENT_FORMS["VPC Lattice"](Call("top", "GET", path)) | {"queryStringParameters": parameters}

    assert answer_of(handler(event, None)).json == {"k": "3"}  # type: ignore[arg-type] # the context isn't used


GONE = object()
STRANGE = [None, [], {}, "x", 7, True, ["x"], {"a": 1}, "\ud800", GONE]
FOREIGN: dict[str, Any] = {
    "null": None,
    "a list": [],
    "an empty object": {},
    "a string": "x",
    "a number": 7,
    "a boolean": True,
    "SQS": {"Records": [{"messageId": "1", "body": "{}", "eventSource": "aws:sqs", "awsRegion": "eu-central-1"}]},
    "S3": {"Records": [{"eventSource": "aws:s3", "s3": {"bucket": {"name": "b"}, "object": {"key": "k"}}}]},
    "CloudFront": {"Records": [{"cf": {"request": {"uri": "/health"}}}]},
    "a test of the console": {"key1": "value1", "key2": "value2"},
    "Cognito": {"version": "1", "triggerSource": "PreSignUp_SignUp", "request": {}, "response": {}},
    "WebSocket": {"requestContext": {"routeKey": "$connect", "connectionId": "c"}, "isBase64Encoded": False},
}


def strange_events(event: Any, path: tuple[str, ...] = ()) -> Iterator[Any]:
    """Put something strange in place of each field, down to the third level, or take it away."""
    fields: dict[str, Any] = event if isinstance(event, dict) else {}
    for key, value in fields.items():
        for strange in STRANGE:
            other = {name: inner for name, inner in fields.items() if name != key}
            yield other if strange is GONE else other | {key: strange}
        if len(path) < 2:
            yield from (fields | {key: inner} for inner in strange_events(value, (*path, key)))


@pytest.mark.parametrize("form", EVENT_FORMS)
def test_a_malformed_event_gets_an_answer(
    form: str, caplog: pytest.LogCaptureFixture, access_lines: AccessLines
) -> None:
    """Never an exception or a 5xx, and one log line, without the event in it."""
    caplog.set_level(logging.INFO)
    event = EVENT_FORMS[form](Call("predict", "POST", "/predict", b'{"data": [[5.1, 3.5, 1.4, 0.2]]}'))
    statuses = Counter[int]()

    for strange in strange_events(event):
        caplog.clear()
        answer = handler(strange, None)  # type: ignore[arg-type] # the context isn't used
        json.dumps(answer)
        statuses[answer["statusCode"]] += 1
        messages = [line["message"] for line in access_lines()]
        messages += [record.getMessage() for record in caplog.records if record.exc_info is None]
        assert [len(message) < 250 for message in messages] == [True]

    assert sum(statuses.values()) > 100
    assert set(statuses) <= {200, 400, 404, 405, 422}
    assert statuses[400] > 20


@pytest.mark.parametrize("event", FOREIGN.values(), ids=FOREIGN)
def test_a_foreign_event_is_refused(event: Any, caplog: pytest.LogCaptureFixture) -> None:
    """By the shape of every error, with one line in the log."""
    caplog.set_level(logging.INFO)

    answer = handler(event, None)  # type: ignore[arg-type] # the context isn't used

    detail = {"loc": [], "msg": "expected an HTTP request, got another event", "type": "event"}
    assert answer_of(answer).json == {"detail": [detail]}
    assert answer_of(answer).caching == "no-store"
    assert answer["statusCode"] == 400
    (record,) = caplog.records
    assert record.levelno == logging.WARNING


@pytest.mark.parametrize("method", ["get it", "GET\nforged", "", "G\x00T"])
def test_a_method_can_forge_no_line(method: str) -> None:
    """It stands in the access line."""
    event = EVENT_FORMS["HTTP API"](Call("health", method, "/health"))

    answer = answer_of(handler(event, None))  # type: ignore[arg-type] # the context isn't used

    assert (answer.status, answer.caching) == (400, "no-store")


@pytest.mark.parametrize(
    ("source", "arn", "detail"),
    [("aws.events", "events:eu-central-1:123456789012:rule/warm", {}),
     ("aws.scheduler", "scheduler:eu-central-1:123456789012:schedule/default/warm", "{}")],
)  # fmt: skip
def test_a_schedule_keeps_an_instance_warm(
    source: str, arn: str, detail: object, caplog: pytest.LogCaptureFixture
) -> None:
    """Quietly: a rule of EventBridge, and its Scheduler by what it sends where nothing else is asked for."""
    caplog.set_level(logging.INFO)
    event = {
        "version": "0",
        "id": "17793124-05d4-b198-2fde-7ededc63b103",
        "detail-type": "Scheduled Event",
        "source": source,
        "account": "123456789012",
        "time": "2026-11-25T10:00:00Z",
        "region": "eu-central-1",
        "resources": [f"arn:aws:{arn}"],
        "detail": detail,
    }

    assert handler(event, None) == {"statusCode": 204}  # type: ignore[arg-type] # the context isn't used
    assert caplog.records == []
