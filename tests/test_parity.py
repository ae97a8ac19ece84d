"""The same call gets the same status, content type and bytes at every door."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest
from jsonschema import Draft202012Validator
from numpy.typing import NDArray
from starlette.testclient import TestClient

from function.app import create_app
from function.classifier import Classifier
from function.handler import handler
from function.middleware import Shortcut
from function.settings import Settings
from tests.calls import CALLS
from tests.doors import EVENT_FORMS, Answer, Call, Door, LocalServer, http_door, in_base64, lambda_door


@pytest.fixture
def in_process(client: TestClient) -> Door:
    return http_door(client)


@pytest.fixture
def over_http(local_server: LocalServer) -> Iterator[Door]:
    with local_server.client() as client:
        yield http_door(client)


@pytest.mark.parametrize(("call", "status"), CALLS, ids=[call.name for call, _ in CALLS])
def test_every_door_gives_the_same_answer(call: Call, status: int, in_process: Door, over_http: Door) -> None:
    """Gunicorn, and the handler by each form of event, answer what the app in this process answers."""
    expected = in_process(call)

    assert expected.status == status
    assert over_http(call) == expected
    for form in EVENT_FORMS.values():
        assert lambda_door(handler, form)(call) == expected
        assert lambda_door(handler, in_base64(form))(call) == expected


@pytest.fixture(scope="module")
def long_way(classifier: Classifier) -> Door:
    """FastAPI's own way to every endpoint."""
    app = create_app(Settings(), classifier)
    last: Any = app.user_middleware.pop()
    assert last.cls is Shortcut
    return http_door(TestClient(app))


@pytest.mark.parametrize("call", [call for call, _ in CALLS], ids=[call.name for call, _ in CALLS])
def test_the_shortcut_changes_nothing(call: Call, in_process: Door, long_way: Door) -> None:
    """What a traced request gets is what any other gets."""
    assert long_way(call) == in_process(call)


@pytest.mark.parametrize("call", [call for call, _ in CALLS], ids=[call.name for call, _ in CALLS])
def test_the_openapi_document_declares_every_answer(call: Call, client: TestClient, in_process: Door) -> None:
    """Each status that a route gives is declared, and its body is of the declared shape."""
    document = client.get("/openapi.json").json()
    operation = _find_route(document["paths"], call.path.partition("?")[0]).get(call.method.lower())
    if operation is None:  # no route: 404 and 405, or the document and its page themselves
        assert call.path in ("/docs", "/openapi.json", "/v2/") or in_process(call).status in (404, 405)
        return

    answer = in_process(call)

    content = operation["responses"][str(answer.status)]["content"]
    content_type = (answer.content_type or "").partition(";")[0]
    assert content_type in content
    schema = content[content_type].get("schema", {}) | {"components": document["components"]}
    text = answer.body[: int(answer.json_length or len(answer.body))].decode()
    Draft202012Validator(schema).validate(text if content_type == "text/html" else json.loads(text))


def _find_route(routes: Mapping[str, Any], path: str) -> Mapping[str, Any]:
    patterns = {route: re.sub(r"\{\w+\}", "[^/]+", route) for route in routes}
    found = [route for route in routes if re.fullmatch(patterns[route], path)]
    return routes[found[0]] if found else {}


@pytest.mark.parametrize("call", [call for call, status in CALLS if status >= 400], ids=lambda call: call.name)
def test_every_error_has_one_small_shape(call: Call, in_process: Door) -> None:
    """At most 5 entries of loc, msg and type, 4 KiB in all; under /v2 the protocol's own shape."""
    answer = in_process(call)

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


def label_one_by_one(door: Door, iris: NDArray[np.float64]) -> list[str]:
    return [_predict(door, "/predict/label", [row]).json["prediction"] for row in iris.tolist()]


def _predict(door: Door, path: str, data: list[list[float]]) -> Answer:
    answer = door(Call(path, "POST", path, json.dumps({"data": data}).encode()))
    assert answer.status == 200
    return answer


def test_all_of_iris_gets_scikit_learns_labels(
    iris: NDArray[np.float64], iris_labels: list[str], over_http: Door
) -> None:
    """Row by row and as one batch, through Gunicorn and through the handler."""
    by_lambda = lambda_door(handler, EVENT_FORMS["HTTP API"])

    assert label_one_by_one(over_http, iris) == iris_labels
    assert label_one_by_one(by_lambda, iris) == iris_labels
    assert _predict(over_http, "/predict/batch", iris.tolist()).json["label"] == iris_labels
    assert _predict(by_lambda, "/predict/batch", iris.tolist()).json["label"] == iris_labels


def test_a_batch_gives_the_same_numbers_as_its_rows_alone(iris: NDArray[np.float64], in_process: Door) -> None:
    """To the bit."""
    batch = _predict(in_process, "/predict/batch", iris.tolist()).json["prediction"]

    assert batch == [_predict(in_process, "/predict", [row]).json["prediction"] for row in iris.tolist()]
