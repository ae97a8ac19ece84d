"""The same call gets the same status, content type and bytes at every entry point."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest
from jsonschema import Draft202012Validator
from numpy.typing import NDArray
from starlette.requests import Request
from starlette.testclient import TestClient

from function.api.app import create_app
from function.classifier import Classifier
from function.handler import handler
from function.settings import Settings
from tests.support.calls import CALLS, GET_ROUTES
from tests.support.entry_points import (
    EVENT_FORMS,
    Answer,
    Call,
    EntryPoint,
    LocalServer,
    http_entry_point,
    in_base64,
    lambda_entry_point,
)


@pytest.fixture
def in_process(client: TestClient) -> EntryPoint:
    return http_entry_point(client)


@pytest.fixture
def local(local_server: LocalServer) -> Iterator[EntryPoint]:
    with local_server.client() as client:
        yield http_entry_point(client)


@pytest.fixture(scope="module")
def by_fastapi(classifier: Classifier) -> EntryPoint:
    """The app with a middleware, so that FastAPI itself calls every route."""
    app = create_app(Settings(), classifier)

    @app.middleware("http")
    async def mark(request: Request, call_next: Any) -> Any:
        response = await call_next(request)
        response.headers["x-marked"] = "by a middleware"
        return response

    client = TestClient(app)
    assert client.get("/health").headers["x-marked"] == "by a middleware"
    return http_entry_point(client)


@pytest.fixture(scope="module")
def document(client: TestClient) -> Any:
    return client.get("/openapi.json").json()


@pytest.mark.parametrize(("call", "status"), CALLS, ids=[call.name for call, _ in CALLS])
def test_a_call_gets_the_same_answer_everywhere(
    call: Call, status: int, in_process: EntryPoint, by_fastapi: EntryPoint, local: EntryPoint, document: Any
) -> None:
    """From Gunicorn, from the handler by each form of event, and by FastAPI's own way; it is declared, errors are small."""
    expected = in_process(call)

    assert expected.status == status
    assert expected.caching == ("no-cache" if (expected.content_type or "").startswith("text/html") else "no-store")
    assert by_fastapi(call) == expected
    assert local(call) == expected
    for form in EVENT_FORMS.values():
        assert lambda_entry_point(handler, form)(call) == expected
        assert lambda_entry_point(handler, in_base64(form))(call) == expected
    if call.method == "HEAD":
        assert expected.body == b""
        return
    check_declared(document, call, expected)
    if status >= 400:
        check_error(call, expected)


@pytest.mark.parametrize("path", GET_ROUTES)
@pytest.mark.parametrize("accept", ["*/*", "text/html"])
def test_head_tells_what_get_would_give(path: str, accept: str, client: TestClient, local_server: LocalServer) -> None:
    """The same headers, the length of the body among them, at both entry points."""
    headers = {"accept": accept, "x-request-id": "mine"}
    with local_server.client() as local:
        for one in (client, local):
            got, told = (one.request(method, path, headers=headers) for method in ("GET", "HEAD"))
            assert (told.status_code, told.content) == (200, b"")
            assert without_date(told.headers) == without_date(got.headers)
            assert int(told.headers["content-length"]) > 0
    for form in EVENT_FORMS.values():
        get, head = (form(Call(path, method, path, headers=headers)) for method in ("GET", "HEAD"))
        without_body = {"body": "", "isBase64Encoded": False}
        assert handler(head, None) == handler(get, None) | without_body  # type: ignore[arg-type] # the context isn't used


def without_date(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name != "date"}


def check_declared(document: Mapping[str, Any], call: Call, answer: Answer) -> None:
    """Its status is declared at its route, and its body is of the declared shape."""
    operation = _find_operation(document["paths"], call.path.partition("?")[0], call.method.lower())
    if operation is None:  # no route: 404 and 405, or the document and its page themselves
        assert call.path in ("/docs", "/openapi.json", "/v2/") or answer.status in (404, 405)
        return
    declared, status = operation["responses"], str(answer.status)
    assert status in declared, f"{call.name}: add responses=declare({status}) to its route"
    content, content_type = declared[status].get("content", {}), (answer.content_type or "").partition(";")[0]
    if not answer.body and not content:
        return
    assert content_type in content, f"{call.name}: declare {content_type} by response_class or responses of its route"
    schema = content[content_type].get("schema", {}) | {"components": document["components"]}
    text = answer.body[: int(answer.json_length or len(answer.body))].decode()
    Draft202012Validator(schema).validate(json.loads(text) if content_type == "application/json" else text)


def _find_operation(routes: Mapping[str, Any], path: str, method: str) -> Any:
    for part in ("[^/]+", ".+"):  # the second for {name:path}
        found = [routes[route] for route in routes if re.fullmatch(re.sub(r"\{\w+\}", part, route), path)]
        if found:
            return next((operations[method] for operations in found if method in operations), None)
    return None


def check_error(call: Call, answer: Answer) -> None:
    """At most 5 entries of loc, msg and type, 4 KiB in all; under /v2 the protocol's own shape."""
    assert answer.content_type == "application/json"
    assert len(answer.body) <= 4096
    if call.path.startswith("/v2"):
        assert list(answer.json) == ["error"]
        assert answer.json["error"]
        return
    assert list(answer.json) == ["detail"]
    assert 1 <= len(answer.json["detail"]) <= 5
    for entry in answer.json["detail"]:
        assert list(entry) == ["loc", "msg", "type"]
        assert entry["msg"]
        assert entry["type"]


def label_one_by_one(entry_point: EntryPoint, iris: NDArray[np.float64]) -> list[str]:
    return [_predict(entry_point, "/predict/label", [row]).json["prediction"] for row in iris.tolist()]


def _predict(entry_point: EntryPoint, path: str, data: list[list[float]]) -> Answer:
    answer = entry_point(Call(path, "POST", path, json.dumps({"data": data}).encode()))
    assert answer.status == 200
    return answer


def test_all_of_iris_gets_scikit_learns_labels(
    iris: NDArray[np.float64], iris_labels: list[str], local: EntryPoint
) -> None:
    """Row by row and as one batch, through Gunicorn and through the handler."""
    by_lambda = lambda_entry_point(handler, EVENT_FORMS["HTTP API"])

    assert label_one_by_one(local, iris) == iris_labels
    assert label_one_by_one(by_lambda, iris) == iris_labels
    assert _predict(local, "/predict/batch", iris.tolist()).json["label"] == iris_labels
    assert _predict(by_lambda, "/predict/batch", iris.tolist()).json["label"] == iris_labels


def test_a_batch_gives_the_same_numbers_as_its_rows_alone(iris: NDArray[np.float64], in_process: EntryPoint) -> None:
    """To the bit."""
    batch = _predict(in_process, "/predict/batch", iris.tolist()).json["prediction"]

    assert batch == [_predict(in_process, "/predict", [row]).json["prediction"] for row in iris.tolist()]
