"""What every request passes: FastAPI's own routes beside the direct ones, failures, ids."""

import dataclasses
import logging
import re
import uuid
from typing import Annotated, Any, NoReturn

import pytest
from fastapi import Depends, FastAPI, Header, HTTPException, Request
from fastapi.security import HTTPBasic, HTTPBasicCredentials
from pydantic import BaseModel
from starlette.responses import Response, StreamingResponse
from starlette.testclient import TestClient

from function.api.app import create_app
from function.api.entry import _find_request_id
from function.classifier import Classifier
from function.settings import Settings
from tests.support.entry_points import AccessLines

ROW = {"data": [[5.1, 3.5, 1.4, 0.2]]}


class Question(BaseModel):
    text: str
    n: int = 1


class Answer(BaseModel):
    text: str


async def find_tenant(x_tenant: Annotated[str, Header()] = "nobody") -> str:
    return x_tenant


def add_routes(app: FastAPI) -> None:
    """Add routes as FastAPI's documentation has them."""

    @app.get("/top")
    async def predict_top(k: int = 2) -> dict[str, int]:
        return {"k": k}

    @app.post("/questions/{number}", response_model=Answer, status_code=201)
    def ask(number: int, question: Question, tenant: Annotated[str, Depends(find_tenant)]) -> Any:
        return {"text": f"{number} {question.text * question.n} {tenant}", "hidden": True}

    @app.get("/kept")
    async def kept(response: Response) -> str:
        response.headers["Cache-Control"] = "max-age=60"
        return "for a minute"

    @app.get("/nobody")
    async def nobody() -> None:
        raise HTTPException(404, "nobody is here", headers={"X-Why": "because"})

    @app.get("/locked")
    async def locked(who: Annotated[HTTPBasicCredentials, Depends(HTTPBasic())]) -> str:
        return who.username

    @app.get("/failing")
    async def failing() -> None:
        raise ZeroDivisionError

    @app.get("/broken")
    async def broken() -> StreamingResponse:
        async def parts() -> Any:
            yield b"a"
            raise ZeroDivisionError

        return StreamingResponse(parts())


@pytest.fixture
def app(classifier: Classifier) -> FastAPI:
    app = create_app(Settings(), classifier)
    add_routes(app)
    return app


@pytest.fixture
def client(app: FastAPI) -> TestClient:
    return TestClient(app)


@pytest.fixture
def plain() -> TestClient:
    """The same routes without anything of ours."""
    app = FastAPI()
    add_routes(app)
    return TestClient(app)


@pytest.mark.parametrize(
    ("method", "path", "options"),
    [
        ("GET", "/top", {}),
        ("GET", "/top?k=3", {}),
        ("GET", "/top?k=many", {}),
        ("POST", "/questions/7", {"json": {"text": "why", "n": 2}, "headers": {"x-tenant": "me"}}),
        ("POST", "/questions/7", {"json": {"n": 2}}),
        ("POST", "/questions/x", {"json": {"text": "why"}}),
        ("GET", "/kept", {}),
        ("GET", "/nobody", {}),
        ("GET", "/locked", {}),
        ("GET", "/locked", {"auth": ("me", "secret")}),
    ],
)
def test_a_route_behaves_as_fastapi_documents(
    client: TestClient, plain: TestClient, method: str, path: str, options: dict[str, Any]
) -> None:
    """Query, path, body, header, dependency, response model, error, security: as without us, with our headers more."""
    expected = plain.request(method, path, **options)

    answer = client.request(method, path, **options)

    assert (answer.status_code, answer.content) == (expected.status_code, expected.content)
    headers = dict(answer.headers)
    assert headers.pop("x-request-id")
    assert headers.pop("x-model-sha256")
    assert headers.pop("cache-control") == expected.headers.get("cache-control", "no-store")
    assert headers == {name: value for name, value in expected.headers.items() if name != "cache-control"}


def test_a_route_may_take_head_itself(app: FastAPI) -> None:
    """Otherwise HEAD is answered like GET, for direct and other routes, and a stream has no body either."""

    @app.head("/top")
    async def head_of_top() -> Response:
        return Response(headers={"x-own": "yes"})

    @app.get("/stream")
    async def stream() -> StreamingResponse:
        return StreamingResponse(iter([b"a", b"b"]), headers={"x-own": "yes"})

    client = TestClient(app)

    for path, own in (("/top", "yes"), ("/stream", "yes"), ("/kept", None)):
        answer = client.head(path)
        assert (answer.status_code, answer.content, answer.headers.get("x-own")) == (200, b"", own)
    assert client.head("/questions/7").status_code == 405


def test_head_is_logged_and_counted_as_what_it_was(client: TestClient, access_lines: AccessLines) -> None:
    """Under its route."""
    client.head("/kept")
    client.head("/health")

    assert [(line["method"], line["path"], line["status"]) for line in access_lines()] == [
        ("HEAD", "/kept", 200),
        ("HEAD", "/health", 200),
    ]


def test_its_openapi_is_fastapis_too(client: TestClient, plain: TestClient) -> None:
    """Beside that of our routes."""
    paths = client.get("/openapi.json").json()["paths"]

    for path, operations in plain.get("/openapi.json").json()["paths"].items():
        assert paths[path] == operations
    assert "/predict" in paths


def test_its_failures_are_answered_and_logged_once(client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    """As those of our routes, with the request's id."""
    answer = client.get("/failing", headers={"X-Request-ID": "mine"})

    detail = {"loc": [], "msg": "unexpected failure; its request id is mine", "type": "internal"}
    assert (answer.status_code, answer.json()) == (500, {"detail": [detail]})
    assert [record.exc_info is not None for record in caplog.records if record.levelno == logging.ERROR] == [True]


def test_an_answer_that_breaks_off_is_broken_off(client: TestClient) -> None:
    """So that the client sees that it isn't complete."""
    with pytest.raises(ZeroDivisionError):
        client.get("/broken")


def test_a_request_that_cant_be_counted_is_answered_and_logged(
    classifier: Classifier, access_lines: AccessLines, caplog: pytest.LogCaptureFixture
) -> None:
    """A recorder that fails costs its counts alone."""

    class FailingRecorder:
        def record(self, *_: object) -> NoReturn:
            raise OSError(28, "No space left on device")

    app = create_app(Settings(), classifier)
    app._recorder = FailingRecorder()  # noqa: SLF001 - the one that the app makes doesn't fail
    answer = TestClient(app).post("/predict/label", json=ROW)

    assert (answer.status_code, answer.json()) == (200, {"prediction": "setosa"})
    assert [(line["path"], line["status"]) for line in access_lines()] == [("/predict/label", 200)]
    assert [record.message for record in caplog.records if record.levelno == logging.ERROR] == [
        "the request can't be counted"
    ]


def test_a_middleware_stands_around_every_route(app: FastAPI) -> None:
    """Ours too."""

    @app.middleware("http")
    async def mark(request: Request, call_next: Any) -> Any:
        response: Response = await call_next(request)
        response.headers["x-marked"] = "yes"
        return response

    client = TestClient(app)

    assert client.post("/predict", json=ROW).headers["x-marked"] == "yes"
    assert client.get("/top").headers["x-marked"] == "yes"


def test_every_route_is_logged_by_its_path(client: TestClient, access_lines: AccessLines) -> None:
    """Whether the entry or FastAPI calls it."""
    client.post("/predict", json=ROW)
    client.get("/top?k=3")

    assert [(line["path"], line["status"]) for line in access_lines()] == [("/predict", 200), ("/top", 200)]


def test_ids_are_uuids_of_version_4() -> None:
    """Each another."""
    ids = [uuid.UUID(_find_request_id({"headers": []})) for _ in range(1000)]

    assert len(set(ids)) == 1000
    assert {(found.version, found.variant) for found in ids} == {(4, uuid.RFC_4122)}


def test_a_text_line_has_the_outputs_encoding(
    classifier: Classifier, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """LOG_FORMAT=TEXT, with labels as they are written."""
    caplog.set_level(logging.INFO, logger="access")
    labels = ("größe", "b", "c")
    named = Classifier(classifier.session, dataclasses.replace(classifier.model, labels=labels))
    client = TestClient(create_app(Settings.load({"LOG_FORMAT": "TEXT", "LOG_LABELS": "1"}), named))

    client.post("/predict", json=ROW, headers={"X-Request-ID": "mine"})

    (line,) = (line for line in capsys.readouterr().out.splitlines() if " access " in line)
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} INFO    access POST /predict 200 \d+\.\d ms größe mine", line
    )
