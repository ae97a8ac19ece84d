"""What every request passes: FastAPI's own routes beside the direct ones, failures, ids."""

import dataclasses
import gzip
import logging
import re
import uuid
from typing import Annotated, Any, Literal, NoReturn
from uuid import UUID

import pytest
from fastapi import APIRouter, Depends, FastAPI, Header, HTTPException, Query, Request, WebSocket
from fastapi.security import HTTPBasic, HTTPBasicCredentials
from pydantic import AfterValidator, BaseModel, Field
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from function.api.app import create_app
from function.api.entry import _find_request_id
from function.api.inference import Runner
from function.api.limits import find_limits
from function.api.responses import JSON
from function.api.routing import DirectRoute, index_routes
from function.api.schemas import declare
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


async def refuse() -> None:
    raise HTTPException(403, "not you")


def add_request_routes(app: FastAPI | APIRouter) -> None:
    """Add routes whose endpoints take the request."""

    @app.post("/bytes")
    async def count_bytes(request: Request, k: int = 3) -> Response:
        return JSONResponse({"k": k, "n_bytes": len(await request.body())})

    @app.get("/refused", dependencies=[Depends(refuse)])
    async def refused(request: Request) -> Response:
        return PlainTextResponse("never")

    @app.post("/limited", max_body_size=10)
    async def limited(request: Request) -> Response:
        return Response(await request.body())

    @app.get("/plain")
    async def plain(request: Request) -> dict[str, str]:
        return {"path": request.url.path}

    @app.get("/waiting")
    def waiting(request: Request) -> Response:
        return PlainTextResponse(request.url.path)

    @app.get("/items/{item}")
    async def item(request: Request) -> Response:
        return PlainTextResponse(request.path_params["item"])

    @app.get("/gone")
    async def gone(request: Request) -> Response:
        raise HTTPException(410, "it is gone", headers={"X-Why": "because"})

    @app.get("/failing/directly")
    async def failing_directly(request: Request) -> Response:
        raise ZeroDivisionError


def add_routes(app: FastAPI | APIRouter) -> None:
    """Add routes as FastAPI's documentation has them."""
    add_request_routes(app)

    @app.get("/top")
    async def predict_top(k: Annotated[int, Query(ge=1)] = 2) -> dict[str, int]:
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


@pytest.fixture(params=["added to the app", "in function/api/routes"])
def app(classifier: Classifier, request: pytest.FixtureRequest) -> FastAPI:
    app = create_app(Settings(), classifier)
    if request.param == "added to the app":
        add_routes(app)
        return app
    router = APIRouter(route_class=DirectRoute)
    add_routes(router)
    app.router.routes += router.routes
    app._direct_routes = index_routes(app.router.routes, {"model": "iris_svc", "version": "1"})  # noqa: SLF001 - as create_app does
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
        ("GET", "/top?k=0", {}),
        ("POST", "/bytes", {"content": b"abc"}),
        ("POST", "/bytes?k=1", {"content": b"abc"}),
        ("POST", "/bytes?k=x", {"content": b"abc"}),
        ("GET", "/refused", {}),
        ("POST", "/limited", {"content": b"123"}),
        ("POST", "/limited", {"content": b"12345678901"}),
        ("GET", "/plain", {}),
        ("GET", "/waiting", {}),
        ("GET", "/items/7", {}),
        ("GET", "/gone", {}),
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
    """As without us, with our headers more, and with fewer keys in an error of validation."""
    expected = plain.request(method, path, **options)

    answer = client.request(method, path, **options)

    assert answer.status_code == expected.status_code
    headers = dict(answer.headers)
    if answer.status_code == 422:
        keys = ("loc", "msg", "type")
        details = [{key: detail[key] for key in keys} for detail in expected.json()["detail"]]
        assert answer.json() == {"detail": details}
        del headers["content-length"], expected.headers["content-length"]
    else:
        assert answer.content == expected.content
    assert headers.pop("x-request-id")
    assert headers.pop("x-model-sha256")
    assert headers.pop("cache-control") == expected.headers.get("cache-control", "no-store")
    assert headers == {name: value for name, value in expected.headers.items() if name != "cache-control"}


class Tree(BaseModel):
    kind: Literal["tree"]


class Herb(BaseModel):
    kind: Literal["herb"]


class Plant(BaseModel, extra="forbid"):
    id: UUID | None = None
    of: Annotated[Tree | Herb, Field(discriminator="kind")] | None = None


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b'{"id": "<secret>"}', (["id"], "Input should be a valid UUID", "uuid_parsing")),
        (
            b'{"of": {"kind": "<secret>"}}',
            (
                ["of"],
                "Input tag found using 'kind' does not match any of the expected tags: 'tree', 'herb'",
                "union_tag_invalid",
            ),
        ),
        (b'{"of": 1, "<secret>"}', ([20], "JSON decode error", "json_invalid")),
        (b'{"%b": 1}' % (b"k" * 9000), (["k" * 99 + "…"], "Extra inputs are not permitted", "extra_forbidden")),
    ],
)
@pytest.mark.parametrize("prefix", ["", "/v2"])
def test_an_error_of_validation_repeats_no_value(
    prefix: str, body: bytes, detail: tuple[list[str | int], str, str], classifier: Classifier
) -> None:
    """Neither beside the message nor in it; under /v2 it has the protocol's shape."""
    app = create_app(Settings(), classifier)

    @app.post(f"{prefix}/plants")
    async def plant(plant: Plant) -> None:
        pass

    answer = TestClient(app).post(f"{prefix}/plants", content=body, headers={"content-type": "application/json"})

    loc, message, type_ = ["body", *detail[0]], detail[1], detail[2]
    if prefix:
        expected: dict[str, Any] = {"error": f"{'.'.join(map(str, loc))}: {message}"}
    else:
        expected = {"detail": [{"loc": loc, "msg": message, "type": type_}]}
    assert (answer.status_code, answer.json()) == (400 if prefix else 422, expected)


def test_a_validator_of_ones_own_says_its_own_words(app: FastAPI) -> None:
    """Without pydantic's before them."""

    def check(name: str) -> str:
        raise ValueError("expected the name of a feature")

    @app.get("/range")
    async def range_(name: Annotated[str, AfterValidator(check)]) -> None:
        pass

    expected = {"loc": ["query", "name"], "msg": "expected the name of a feature", "type": "value_error"}
    assert TestClient(app).get("/range?name=x").json() == {"detail": [expected]}


def test_an_answer_has_at_most_five_errors_of_validation(app: FastAPI) -> None:
    """As of our own routes."""

    @app.post("/numbers")
    async def numbers(values: list[int]) -> None:
        pass

    answer = TestClient(app).post("/numbers", json=["x"] * 100)

    assert [detail["loc"] for detail in answer.json()["detail"]] == [["body", index] for index in range(5)]


@pytest.mark.parametrize("is_declared", [True, False], ids=["declared", "chunked"])
@pytest.mark.parametrize("has_middleware", [True, False], ids=["with a middleware", "without one"])
@pytest.mark.parametrize("prefix", ["", "/v2"])
def test_the_largest_body_is_the_same_for_every_route(
    classifier: Classifier, prefix: str, *, is_declared: bool, has_middleware: bool
) -> None:
    """MAX_BODY_BYTES, for FastAPI's own routes too: 413 in the shape of all errors, or of the protocol's."""
    app = create_app(Settings.load({"MAX_BODY_BYTES": "40"}), classifier)

    @app.post(f"{prefix}/numbers")
    async def numbers(values: list[int]) -> int:
        return len(values)

    @app.post(f"{prefix}/bytes")
    async def count_bytes(request: Request, k: int = 0) -> int:
        return len(await request.body()) + k

    if has_middleware:

        @app.middleware("http")
        async def pass_on(request: Request, call_next: Any) -> Any:
            return await call_next(request)

    client, body = TestClient(app), b"[1,2]".ljust(40)

    def send(path: str, body: bytes) -> tuple[int, Any]:
        content = body if is_declared else iter([body[:30], body[30:]])
        answer = client.post(f"{prefix}{path}", content=content, headers={"content-type": "application/json"})
        return answer.status_code, answer.json()

    message = "expected a body of at most 40 bytes, got more"
    detail = [{"loc": ["body"], "msg": message, "type": "body_too_large"}]
    refused = (413, {"error": message} if prefix else {"detail": detail})
    assert [send("/numbers", body), send("/numbers", body + b" ")] == [(200, 2), refused]
    assert [send("/bytes", body), send("/bytes", body + b" ")] == [(200, 40), refused]


UNREADABLE = (422, "expected a body that is what its content type says, got another", "body_unreadable")
COMPRESSED = (
    415,
    "expected a body without Content-Encoding, got one with it; send it uncompressed",
    "content_encoding",
)


@pytest.mark.parametrize("prefix", ["", "/v2"])
@pytest.mark.parametrize(
    ("body", "refused"),
    [(b'["\xff"]', UNREADABLE), (b"[" * 100_000, UNREADABLE), (gzip.compress(b"[1]"), COMPRESSED)],
    ids=["not UTF-8", "too deep", "compressed"],
)
def test_a_body_that_cant_be_read_gets_the_shape_of_all_errors(
    body: bytes, refused: tuple[int, str, str], prefix: str, classifier: Classifier
) -> None:
    """Behind a route with a body model too."""
    status, message, type_ = refused
    app = create_app(Settings(), classifier)

    @app.post(f"{prefix}/numbers")
    async def numbers(values: list[int]) -> None:
        pass

    encoding = "gzip" if refused is COMPRESSED else "identity"
    headers = {"content-type": "application/json", "content-encoding": encoding}
    answer = TestClient(app).post(f"{prefix}/numbers", content=body, headers=headers)

    detail: dict[str, Any] = {"error": message} if prefix else {}
    detail = detail or {"detail": [{"loc": ["body"], "msg": message, "type": type_}]}
    assert (answer.status_code, answer.json()) == (400 if prefix and status == 422 else status, detail)


def test_a_websocket_is_refused(app: FastAPI) -> None:
    """As at the entry points, which take none, so nobody counts on one without a key, an id and an access line."""

    @app.websocket("/ws")
    async def talk(websocket: WebSocket) -> None:
        await websocket.accept()

    with pytest.raises(WebSocketDisconnect), TestClient(app).websocket_connect("/ws"):
        pass


def test_any_status_can_be_declared(app: FastAPI) -> None:
    """In the shape of all errors, with HTTP's own word where there is no other."""
    app.get("/busy", responses=declare(409, 422))(lambda: None)

    responses = TestClient(app).get("/openapi.json").json()["paths"]["/busy"]["get"]["responses"]

    schema = {"application/json": {"schema": {"$ref": "#/components/schemas/Errors"}}}
    assert responses["409"] == {"description": "Conflict", "content": schema}
    assert responses["422"]["content"] == schema


def test_a_handler_of_errors_is_for_every_route(app: FastAPI) -> None:
    """Direct ones too."""

    @app.exception_handler(ZeroDivisionError)
    async def explain(request: Request, error: Exception) -> Response:
        return PlainTextResponse("by zero", 418)

    client = TestClient(app)

    assert [client.get(path).text for path in ("/failing", "/failing/directly")] == ["by zero"] * 2


@pytest.mark.parametrize("environ", [{}, {"API_KEY_SHA256": "0" * 64}], ids=["open", "locked"])
def test_the_hot_path_is_direct(environ: dict[str, str], classifier: Classifier) -> None:
    """FastAPI calls none of these routes, also if a key is required."""
    routes = create_app(Settings.load(environ), classifier).routes

    found = index_routes(routes, {"model": "iris_svc", "version": "1"})

    paths = ("/predict", "/predict/label", "/predict/batch", "/v2/models/iris_svc/infer")
    assert {("POST", path) for path in paths} <= found.keys()
    assert ("GET", "/health") in found


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


def test_a_route_of_ones_own_runs_the_model(classifier: Classifier, access_lines: AccessLines) -> None:
    """By `infer_rows`, which counts the rows; what the model refuses is a 422 at the body."""
    app, runner = create_app(Settings(), classifier), Runner(classifier, find_limits(classifier.model, Settings()))

    @app.post("/lengths")
    async def lengths(values: list[float], request: Request) -> Response:
        prediction = runner.infer_rows(request.scope["record"], [[5.1, 3.5, value, 0.2] for value in values])
        return JSON({"label": classifier.name_classes(prediction)})

    client = TestClient(app)
    answer, refused = (client.post("/lengths", json=lengths) for lengths in ([1.4, 5.5], [1.4, 1e39]))

    message = 'row 1, "petal length (cm)": expected a finite number, got one beyond float32\'s ±3.403e+38'
    assert answer.json() == {"label": classifier.predict_label([[5.1, 3.5, 1.4, 0.2], [5.1, 3.5, 5.5, 0.2]])}
    assert (refused.status_code, refused.json()) == (
        422, {"detail": [{"loc": ["body"], "msg": message, "type": "finite_number"}]}
    )  # fmt: skip
    assert [line["rows"] for line in access_lines()] == [2, 2]
