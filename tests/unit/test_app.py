"""What the app adds to the classifier: messages, ids, log lines, keys, limits."""

import asyncio
import dataclasses
import gzip
import hashlib
import io
import json
import logging
import sys
import threading
import time
import uuid
from typing import Any

import httpx2
import jsonschema
import numpy as np
import pytest
from fastapi import FastAPI
from starlette.responses import Response
from starlette.testclient import TestClient

from function.api.api_key import is_open
from function.api.app import create_app
from function.api.inference import N_TIMED, Runner
from function.api.limits import Limits, find_limits
from function.api.responses import JSON
from function.classifier import Classifier, Prediction
from function.classifier.inputs import Arrays
from function.errors import ArtifactError
from function.settings import Settings
from tests.support.calls import CALLS, OBJECT, POST_ROUTES
from tests.support.entry_points import AccessLines, Call

NAMES = "sepal length (cm), sepal width (cm), petal length (cm), petal width (cm)"
ROW = [5.1, 3.5, 1.4, 0.2]
LONGEST = "0.0000016966386"  # no float32 between 0 and 1 has more characters


def error(message: str, type_: str, *loc: str | int) -> dict[str, Any]:
    return {"detail": [{"loc": list(loc), "msg": message, "type": type_}]}


def client_of(classifier: Classifier, **environ: str) -> TestClient:
    return TestClient(create_app(Settings.load(environ), classifier))


class Failing(Classifier):
    """A classifier with a bug."""

    def predict_arrays(self, arrays: Arrays) -> Prediction:
        raise ZeroDivisionError(arrays)


@pytest.fixture
def failing(classifier: Classifier) -> Classifier:
    return Failing(classifier.session, classifier.model)


class Slow(Classifier):
    """A classifier that takes a millisecond a row."""

    def predict_arrays(self, arrays: Arrays) -> Prediction:
        time.sleep(0.001 * len(arrays[0]))
        return super().predict_arrays(arrays)


def test_a_long_batch_holds_up_nobody(classifier: Classifier) -> None:
    """It runs beside the event loop."""
    slow = Slow(classifier.session, classifier.model)
    transport = httpx2.ASGITransport(create_app(Settings(), slow))

    async def ask() -> tuple[float, float]:
        started = time.monotonic()

        async def ask_for(n_rows: int) -> float:
            answer = await client.post("/predict/batch", json={"data": [[5.1, 3.5, 1.4, 0.2]] * n_rows})
            assert answer.status_code == 200
            return time.monotonic() - started

        async with httpx2.AsyncClient(transport=transport, base_url="http://test") as client:
            return await asyncio.gather(ask_for(500), ask_for(1))

    long, short = asyncio.run(ask())

    assert long > 0.5
    assert short < 0.4


def test_the_last_runs_tell_how_many_rows_the_event_loop_takes(classifier: Classifier) -> None:
    """A batch runs beside it until one has shown that so many take less than 10 ms."""
    runner, threads = Runner(classifier, Limits(10, 10, 10)), list[bool]()

    def make() -> Response:
        threads.append(threading.current_thread() is threading.main_thread())
        return JSON({})

    def make_slowly() -> Response:
        end = time.thread_time() + 0.05
        while time.thread_time() < end:
            pass
        return make()

    for n_rows, make_answer in ((N_TIMED, make), (1000, make), (1000, make_slowly), (1000, make), (1, make_slowly)):
        asyncio.run(runner.answer(n_rows, make_answer))

    assert threads == [False, True, True, False, True]


class TestRoutes:
    def test_health(self, client: TestClient) -> None:
        """The original's body."""
        assert client.get("/health").json() == {"health": "ok"}

    def test_label(self, client: TestClient) -> None:
        """The original's body."""
        assert client.get("/label").json() == {"0": "setosa", "1": "versicolor", "2": "virginica"}

    def test_predict(self, client: TestClient, classifier: Classifier) -> None:
        """The float32 of the classifier, in the shortest digits that give it back."""
        answer = client.post("/predict", json={"data": [ROW]}).text

        assert answer == '{"prediction":[0.974183,0.024898142,0.00091884134]}'
        assert answer == client.get("/predict/test").text
        assert json.loads(answer)["prediction"] == pytest.approx(classifier.predict([ROW])[0], abs=1e-7)

    def test_predict_label(self, client: TestClient) -> None:
        """The label with the highest probability."""
        assert client.post("/predict/label", json={"data": [[6.3, 3.3, 6.0, 2.5]]}).json() == {
            "prediction": "virginica"
        }
        assert client.get("/predict/test/label").json() == {"prediction": "setosa"}

    def test_predict_batch(self, client: TestClient) -> None:
        """Every row in, one answer out, in order."""
        rows = [[6.3, 3.3, 6.0, 2.5], ROW]

        answer = client.post("/predict/batch", json={"data": rows}).json()

        assert answer["label"] == ["virginica", "setosa"]
        assert answer["prediction"] == [
            client.post("/predict", json={"data": [row]}).json()["prediction"] for row in rows
        ]

    def test_metadata(self, client: TestClient, classifier: Classifier) -> None:
        """The original's keys, and the facts that the artifact carries."""
        assert client.get("/metadata").json() == {
            "data_type": "float32",
            "data_structure": "(1,4)",
            "data_sample": [ROW],
            "prediction_type": "float32",
            "prediction_structure": "(1,3)",
            "prediction_sample": [0.974183, 0.024898142, 0.00091884134],
            "model": {
                "name": "iris_svc",
                "version": "1",
                "sha256": classifier.model.sha256,
                "producer": "skl2onnx",
                "training": classifier.model.training,
                "certificate": None,
            },
            "features": [
                {"name": "sepal length (cm)", "type": "float32", "min": 4.3, "max": 7.9, "median": 5.8},
                {"name": "sepal width (cm)", "type": "float32", "min": 2.0, "max": 4.4, "median": 3.0},
                {"name": "petal length (cm)", "type": "float32", "min": 1.0, "max": 6.9, "median": 4.35},
                {"name": "petal width (cm)", "type": "float32", "min": 0.1, "max": 2.5, "median": 1.3},
            ],
            "labels": ["setosa", "versicolor", "virginica"],
            "labels_from": "a label file",
            "label_rule": "MODEL",
            "limits": {"max_rows": 10_000, "max_body_bytes": 1_000_000, "max_answer_bytes": 6_225_920},
        }

    def test_the_openapi_document_has_the_titles_that_are_set(self, classifier: Classifier) -> None:
        """API_TITLE, API_DESCRIPTION, API_VERSION."""
        client = client_of(classifier, API_TITLE="T", API_DESCRIPTION="D", API_VERSION="V")

        assert client.get("/openapi.json").json()["info"] == {"title": "T", "description": "D", "version": "V"}


MESSAGES: dict[str, tuple[str, dict[str, Any]]] = {
    "no JSON": ("sepal", error("the body isn't valid JSON: expected value at line 1 column 1", "json_invalid", "body")),
    "list": ("[]", error('expected an object {"data": [[…]]}, got a list', "model_type", "body")),
    "no data": (
        "{}",
        error(f'"data" is missing: expected a list of rows; the model takes 4: {NAMES}', "missing", "body", "data"),
    ),
    "unknown key": (
        '{"data": [], "secret": 1}',
        error('expected an object with the key "data" alone, got others', "extra_forbidden", "body"),
    ),
    "data text": (
        '{"data": "secret"}',
        error(
            f'"data": expected a list of rows, got a string; the model takes 4: {NAMES}', "list_type", "body", "data"
        ),
    ),
    "columns as rows": (
        '{"data": [[5.1, 6.3], [3.5, 3.3], [1.4, 6.0], [0.2, 2.5]]}',
        error(
            f"row 0 has 2 features; the model takes 4: {NAMES}; are rows and columns swapped?",
            "row_width",
            "body",
            "data",
            0,
        ),
    ),
    "object without a feature": (
        '{"data": [{"sepal length (cm)": 5.1, "sepal width (cm)": 3.5, "petal width (cm)": 0.2}]}',
        error(
            f'row 0, "petal length (cm)": it is missing; the model takes 4: {NAMES}', "missing", "body", "data", 0, 2
        ),
    ),
    "object with another name": (
        f'{{"data": [{OBJECT}, {OBJECT[:-1]}, "stem": 1}}]}}',
        error(f'row 1: "stem" is not a feature; the model takes 4: {NAMES}', "extra_forbidden", "body", "data", 1),
    ),
    "object with text": (
        f'{{"data": [{OBJECT.replace("1.4", "[]")}]}}',
        error('row 0, "petal length (cm)": expected a number, got a list', "float_type", "body", "data", 0, 2),
    ),
    "object, then a list": (
        f'{{"data": [{OBJECT}, [5.1, 3.5, 1.4, 0.2]]}}',
        error(
            f"row 1: expected an object of features, as row 0 is, got a list; the model takes 4: {NAMES}",
            "dict_type",
            "body",
            "data",
            1,
        ),
    ),
    "row number": (
        '{"data": [5.1]}',
        error(
            f'row 0: expected a list of numbers, got a number; write one row as {{"data": [[…]]}}; '
            f"the model takes 4: {NAMES}",
            "list_type",
            "body",
            "data",
            0,
        ),
    ),
    "text": (
        '{"data": [[1, 2, 3, 4], [1, 2, "secret", 4]]}',
        error('row 1, "petal length (cm)": expected a number, got a string', "float_type", "body", "data", 1, 2),
    ),
    "boolean beyond the last": (
        '{"data": [[1, 2, 3, 4, true]]}',
        error(f"row 0 has 5 features; the model takes 4: {NAMES}", "row_width", "body", "data", 0),
    ),
    "a row with its label": (
        '{"data": [[1, 2, 3, 4, "setosa"]]}',
        error(f"row 0 has 5 features; the model takes 4: {NAMES}", "row_width", "body", "data", 0),
    ),
    "an id before the row": (
        '{"data": [["secret", 1, 2, 3, 4]]}',
        error(f"row 0 has 5 features; the model takes 4: {NAMES}", "row_width", "body", "data", 0),
    ),
    "NaN": (
        '{"data": [[1, 2, 3, 4], [NaN, 2, 3, 4]]}',
        error('row 1, "sepal length (cm)": expected a finite number, got NaN', "finite_number", "body", "data", 1, 0),
    ),
    "narrow": (
        '{"data": [[1, 2, 3, 4], [1, 2, 3]]}',
        error(f"row 1 has 3 features; the model takes 4: {NAMES}", "row_width", "body", "data", 1),
    ),
    "none": ('{"data": []}', error("expected at least 1 row, got none", "no_rows", "body", "data")),
}


class TestErrors:
    @pytest.mark.parametrize(("body", "expected"), MESSAGES.values(), ids=MESSAGES)
    def test_a_wrong_body_is_told_what_and_where(self, client: TestClient, body: str, expected: dict[str, Any]) -> None:
        """By row and feature name, without repeating what came."""
        response = client.post("/predict/batch", content=body)

        assert (response.status_code, response.json()) == (422, expected)

    def test_more_than_one_row_is_sent_to_the_batch(self, client: TestClient) -> None:
        """The original answered the first and dropped the rest."""
        response = client.post("/predict", json={"data": [ROW, ROW]})

        message = "expected 1 row, got 2; POST /predict/batch takes up to 10000"
        assert (response.status_code, response.json()) == (422, error(message, "one_row", "body", "data"))

    def test_too_many_rows(self, classifier: Classifier) -> None:
        """MAX_ROWS."""
        response = client_of(classifier, MAX_ROWS="2").post("/predict/batch", json={"data": [ROW] * 3})

        message = "expected at most 2 rows, got 3; send them in several requests"
        assert (response.status_code, response.json()) == (413, error(message, "too_many_rows", "body", "data"))

    @pytest.mark.parametrize("is_declared", [True, False], ids=["declared", "chunked"])
    def test_too_many_bytes(self, classifier: Classifier, *, is_declared: bool) -> None:
        """MAX_BODY_BYTES, whether the length is declared or not; exactly so many are taken."""
        client = client_of(classifier, MAX_BODY_BYTES="40")
        body = json.dumps({"data": [ROW]}).ljust(40).encode()

        def send(body: bytes) -> tuple[int, Any]:
            content = body if is_declared else iter([body[:30], body[30:]])
            response = client.post("/predict/label", content=content)
            return response.status_code, response.json()

        assert send(body) == (200, {"prediction": "setosa"})
        assert send(body + b" ") == (
            413, error("expected a body of at most 40 bytes, got more", "body_too_large", "body")
        )  # fmt: skip

    def test_a_compressed_body_is_told_so(self, client: TestClient) -> None:
        """It is read as it comes."""
        body, headers = gzip.compress(json.dumps({"data": [ROW]}).encode()), {"content-encoding": "gzip"}

        response = client.post("/predict", content=body, headers=headers)

        message = "expected a body without Content-Encoding, got one with it; send it uncompressed"
        assert (response.status_code, response.json()) == (415, error(message, "content_encoding", "body"))
        assert response.headers["accept-encoding"] == "identity"
        answer = client.post("/v2/models/iris_svc/infer", content=body, headers=headers)
        assert (answer.status_code, answer.json()) == (415, {"error": message})

    @pytest.mark.parametrize("encoding", ["identity", "utf-8"])
    def test_an_encoding_that_changes_nothing_is_taken(self, client: TestClient, encoding: str) -> None:
        """Some clients name the text's encoding there."""
        response = client.post("/predict/label", json={"data": [ROW]}, headers={"content-encoding": encoding})

        assert response.json() == {"prediction": "setosa"}

    def test_a_length_of_thousands_of_digits(self, client: TestClient) -> None:
        """An event can bring what no HTTP server lets through."""
        response = client.post("/predict", content=b"{}", headers={"content-length": "9" * 5000})

        assert response.status_code == 413

    def test_unknown_paths_and_wrong_methods(self, client: TestClient) -> None:
        """The path is not repeated; the methods that are taken are named."""
        message = "no such path; GET /openapi.json lists them all"
        assert client.get("/secret").json() == error(message, "not_found", "path")
        response = client.get("/predict")
        assert response.json() == error("this path takes POST", "method_not_allowed", "method")
        assert response.headers["allow"] == "POST"

    def test_an_unexpected_failure_tells_its_request_id_alone(
        self, failing: Classifier, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The traceback goes to the log."""
        response = client_of(failing).post("/predict", json={"data": [ROW]}, headers={"X-Request-ID": "mine"})

        assert response.json() == error("unexpected failure; its request id is mine", "internal")
        assert (response.status_code, response.headers["x-request-id"]) == (500, "mine")
        (failure,) = (record for record in caplog.records if record.levelno == logging.ERROR)
        assert failure.exc_info
        assert failure.exc_info[0] is ZeroDivisionError


class TestRequestId:
    @pytest.mark.parametrize("given", ["a", "A-1_b.2", "x" * 64])
    def test_a_good_one_is_kept(self, client: TestClient, given: str) -> None:
        """Letters, digits, dot, underscore and hyphen, up to 64."""
        assert client.get("/health", headers={"X-Request-ID": given}).headers["x-request-id"] == given

    @pytest.mark.parametrize("given", [None, "", "x" * 65, "a b", "a\tb", "é".encode(), "a;b", "x" * 10_000])
    def test_any_other_is_replaced(self, client: TestClient, given: str | None) -> None:
        """By a new one for each request."""
        headers = {} if given is None else {"X-Request-ID": given}

        answers = [client.get("/health", headers=headers).headers["x-request-id"] for _ in range(2)]

        assert [str(uuid.UUID(answer)) for answer in answers] == answers
        assert answers[0] != answers[1]


class TestAccessLine:
    def test_each_request_has_one(self, client: TestClient, access_lines: AccessLines) -> None:
        """With id, method, path, status, milliseconds and rows."""
        client.post("/predict/batch", json={"data": [ROW] * 3}, headers={"X-Request-ID": "mine"})

        (line,) = access_lines()
        assert 0 < line.pop("milliseconds") < 10_000
        assert line.pop("message").startswith("POST /predict/batch 200 ")
        assert line.pop("timestamp").endswith("+00:00")
        assert line == {
            "level": "INFO",
            "logger": "access",
            "method": "POST",
            "path": "/predict/batch",
            "status": 200,
            "rows": 3,
            "request_id": "mine",
        }

    def test_a_path_can_forge_no_line(self, client: TestClient, access_lines: AccessLines) -> None:
        """It is logged encoded, and cut."""
        client.get("/a%0aforged" + "x" * 1000)

        (line,) = access_lines()
        assert line["message"].startswith("GET /a%0Aforgedxxx")
        assert len(line["message"]) < 250

    def test_none_is_written_above_info(self, client: TestClient, capsys: pytest.CaptureFixture[str]) -> None:
        """LOG_LEVEL."""
        logging.getLogger("access").setLevel(logging.WARNING)
        try:
            client.get("/health")
        finally:
            logging.getLogger("access").setLevel(logging.NOTSET)

        assert capsys.readouterr().out == ""

    def test_a_closed_output_loses_lines_and_no_request(
        self, client: TestClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As a full disk does."""
        logging.getLogger("access").setLevel(logging.INFO)
        closed = io.TextIOWrapper(io.BytesIO())
        closed.close()
        for output in (closed, None):
            monkeypatch.setattr(sys, "stdout", output)
            assert client.get("/health").status_code == 200


class TestApiKey:
    KEYS = ("first key", "second key")

    @pytest.fixture
    def locked(self, classifier: Classifier) -> TestClient:
        digests = ",".join(hashlib.sha256(key.encode()).hexdigest() for key in self.KEYS)
        return client_of(classifier, API_KEY_SHA256=digests)

    @pytest.mark.parametrize(
        "path", ["/metadata", "/label", "/predict/test", "/docs", "/openapi.json", "/nothing", "/healthy", "/health/"]
    )
    def test_every_path_wants_one(self, locked: TestClient, path: str) -> None:
        """Unknown paths too, so that nobody can look around."""
        headers: dict[str, str]
        for headers, got in (
            ({}, "none"),
            ({"X-API-Key": ""}, "another"),
            ({"X-API-Key": "a"}, "another"),
        ):
            response = locked.get(path, headers=headers)
            message = f"expected an accepted key, got {got}"
            assert (response.status_code, response.json()) == (401, error(message, "api_key", "header", "X-API-Key"))
            assert response.headers["www-authenticate"] == "ApiKey"
            assert "x-request-id" in response.headers

    @pytest.mark.parametrize("key", KEYS)
    def test_each_of_several_opens(self, locked: TestClient, key: str) -> None:
        """So that keys can be renewed one after the other."""
        assert locked.post("/predict", json={"data": [ROW]}, headers={"X-API-Key": key}).status_code == 200

    def test_no_key_is_none_even_if_its_digest_is_listed(self, classifier: Classifier) -> None:
        """The digest of nothing is what a shell gives for a variable that isn't set."""
        client = client_of(classifier, API_KEY_SHA256=hashlib.sha256(b"").hexdigest())

        assert client.get("/metadata").status_code == 401
        assert client.get("/metadata", headers={"X-API-Key": ""}).status_code == 401

    def test_a_key_may_have_any_bytes(self, classifier: Classifier) -> None:
        """They are hashed as they come."""
        key = "clé".encode()
        client = client_of(classifier, API_KEY_SHA256=hashlib.sha256(key).hexdigest())

        assert client.get("/metadata", headers={b"X-API-Key": key}).status_code == 200

    @pytest.mark.parametrize(("path", "status"), [("/health", 200), ("/", 200), ("/v2/health/live", 200)])
    def test_some_paths_are_open(self, locked: TestClient, path: str, status: int) -> None:
        """A load balancer has no key."""
        assert locked.get(path).status_code == status

    def test_the_openapi_document_says_so(self, locked: TestClient) -> None:
        """The scheme, and 401 at every route behind it."""
        document = locked.get("/openapi.json", headers={"X-API-Key": self.KEYS[0]}).json()

        scheme = {"type": "apiKey", "in": "header", "name": "X-API-Key"}
        assert document["components"]["securitySchemes"] == {"APIKeyHeader": scheme}
        locked_routes = {
            path
            for path, operations in document["paths"].items()
            for operation in operations.values()
            if "401" in operation["responses"] and operation["security"] == [{"APIKeyHeader": []}]
        }
        assert locked_routes == {path for path in document["paths"] if not is_open(path)}

    def test_no_key_is_wanted_unless_set(self, client: TestClient) -> None:
        """And none is declared."""
        assert "securitySchemes" not in client.get("/openapi.json").json()["components"]


class TestCors:
    def test_a_browser_of_a_listed_origin_may_ask(self, classifier: Classifier, access_lines: AccessLines) -> None:
        """CORS_ORIGINS, also when keys are wanted: a preflight request has none."""
        client = client_of(classifier, CORS_ORIGINS="https://a.example", API_KEY_SHA256="0" * 64)
        ask = {"Origin": "https://a.example", "Access-Control-Request-Method": "POST"}

        preflight = client.options("/predict", headers=ask)
        refused = client.options("/predict", headers=ask | {"Origin": "https://b.example"})

        assert preflight.status_code == 200
        assert [line["status"] for line in access_lines()] == [200, 400]
        assert {"x-request-id", "x-model-sha256"} <= set(preflight.headers)
        assert [one.headers.get_list("cache-control") for one in (preflight, refused)] == [["no-store"]] * 2
        assert preflight.headers["access-control-allow-origin"] == "https://a.example"
        answer = client.get("/health", headers={"Origin": "https://a.example"})
        assert len(answer.headers.get_list("x-request-id")) == 1
        assert answer.headers.get_list("cache-control") == ["no-store"]
        assert answer.headers["access-control-expose-headers"] == (
            "X-Request-ID, X-Model-SHA256, Inference-Header-Content-Length"
        )
        assert "access-control-allow-origin" not in refused.headers

    @pytest.mark.parametrize("method", ["DELETE", "PATCH", "PUT"])
    def test_a_route_of_ones_own_may_be_asked_by_any_method(self, classifier: Classifier, method: str) -> None:
        """Which method a path takes, the path itself says."""
        app = create_app(Settings.load({"CORS_ORIGINS": "https://a.example"}), classifier)
        app.add_api_route("/notes", lambda: "noted", methods=[method])
        client, headers = TestClient(app), {"Origin": "https://a.example"}

        preflight = client.options("/notes", headers=headers | {"Access-Control-Request-Method": method})
        answer = client.request(method, "/notes", headers=headers)

        assert (preflight.status_code, answer.status_code, answer.json()) == (200, 200, "noted")
        assert method in preflight.headers["access-control-allow-methods"]
        assert client.request(method, "/health", headers=headers).status_code == 405

    def test_errors_can_be_read_there_too(self, failing: Classifier) -> None:
        """Even a 500."""
        client = client_of(failing, CORS_ORIGINS="https://a.example")

        response = client.post("/predict", json={"data": [ROW]}, headers={"Origin": "https://a.example"})

        assert response.status_code == 500
        assert response.headers["access-control-allow-origin"] == "https://a.example"

    def test_nothing_is_sent_unless_set(self, client: TestClient) -> None:
        """No header, no preflight."""
        response = client.get("/health", headers={"Origin": "https://a.example"})

        assert "access-control-allow-origin" not in response.headers


class TestLimits:
    @pytest.mark.parametrize(
        "labels", [('é"' * 200, "b", "c"), tuple(str(i) for i in range(2000))], ids=["long labels", "many classes"]
    )
    def test_max_rows_is_lowered_to_what_lambda_can_answer(
        self, classifier: Classifier, labels: tuple[str, ...]
    ) -> None:
        """The worst answer of so many rows, as Lambda sends it, stays within 6 MB, and isn't far below."""
        named = dataclasses.replace(classifier.model, labels=labels)

        max_rows = find_limits(named, Settings.load({"MAX_ROWS": "1000000"})).max_rows

        worst = np.full((max_rows, len(labels)), LONGEST, dtype=np.float32)
        body = bytes(JSON({"prediction": worst, "label": [max(labels, key=len)] * max_rows}).body).decode()
        assert LONGEST in body
        assert 5 * 1024 * 1024 < len(json.dumps({"statusCode": 200, "body": body})) <= 6 * 1024 * 1024

    def test_a_row_too_large_for_lambda_is_refused(self, classifier: Classifier) -> None:
        """At the start, not at every batch."""
        named = dataclasses.replace(classifier.model, labels=("x" * 7_000_000, "b", "c"))

        with pytest.raises(
            ArtifactError,
            match=r"at most 6225920 bytes for one row, got 70000\d\d; give the 3 classes shorter labels$",
        ):
            find_limits(named, Settings.load({"MAX_ROWS": "1"}))

    def test_a_lower_setting_stands(self, classifier: Classifier) -> None:
        """Nobody needs to allow as much."""
        assert find_limits(classifier.model, Settings.load({"MAX_ROWS": "7"})).max_rows == 7

    def test_a_load_balancer_wants_less(self, classifier: Classifier) -> None:
        """1 MB; then fewer rows, and the protocol's longer answers are refused earlier."""
        client = client_of(classifier, MAX_ANSWER_BYTES="100000")

        max_rows = client.get("/metadata").json()["limits"]["max_rows"]

        assert 1_000 < max_rows < 2_000
        answer = client.post("/predict/batch", json={"data": [[5.1, 3.5, 1.4, 0.2]] * max_rows})
        assert (answer.status_code, len(answer.content) < 100_000) == (200, True)
        assert client.post("/predict/batch", json={"data": [[0, 0, 0, 0]] * (max_rows + 1)}).status_code == 413
        classes = {"name": "probabilities", "parameters": {"classification": 3}}
        tensor = {"name": "features", "shape": [max_rows, 4], "datatype": "FP32", "data": [1] * max_rows * 4}
        refused = client.post("/v2/models/iris_svc/infer", json={"inputs": [tensor], "outputs": [classes]})
        assert refused.status_code == 413
        assert refused.json()["error"].startswith("expected a response of at most 100000 bytes; ")


def test_creating_an_app_touches_nothing_of_another(classifier: Classifier, app: FastAPI) -> None:
    """Two apps with other settings stand side by side."""
    small = client_of(classifier, MAX_ROWS="1")

    assert small.get("/metadata").json()["limits"]["max_rows"] == 1
    assert TestClient(app).get("/metadata").json()["limits"]["max_rows"] == 10_000


@pytest.mark.parametrize("path", ["/health", "/label", "/no/such/path"])
def test_every_answer_says_which_model_gave_it(path: str, client: TestClient, classifier: Classifier) -> None:
    """By the start of the artifact's SHA-256."""
    assert client.get(path).headers["x-model-sha256"] == classifier.model.sha256[:12]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/health", 200),
        ("GET", "/", 200),
        ("GET", "/openapi.json", 200),
        ("GET", "/no/such/path", 404),
        ("PUT", "/predict", 405),
        ("POST", "/predict", 500),
        ("POST", "/predict/batch", 422),
        ("POST", "/v2/models/iris_svc/infer", 400),
    ],
)
@pytest.mark.parametrize("origins", ["", "https://a.example"], ids=["", "CORS"])
def test_no_cache_keeps_an_answer(method: str, path: str, status: int, origins: str, failing: Classifier) -> None:
    """Of whatever kind, without a key and with one, also where CORS stands around it."""
    body = {"data": [ROW]} if path == "/predict" else {"data": []}
    for key, expected in (("mine", status), ("another", 401)):
        digest = hashlib.sha256(b"mine").hexdigest()
        client = client_of(failing, CORS_ORIGINS=origins, API_KEY_SHA256=digest)
        answer = client.request(method, path, json=body, headers={"x-api-key": key, "Origin": "https://a.example"})

        assert answer.status_code == (200 if path in ("/", "/health") else expected)
        assert answer.headers.get_list("cache-control") == ["no-store"]


def test_every_422_is_declared_in_our_shape(client: TestClient) -> None:
    """Not as FastAPI's own errors of validation."""
    schemas = client.get("/openapi.json").json()["components"]["schemas"]

    assert "HTTPValidationError" not in schemas, "a route with parameters needs responses=declare(422)"


class TestBodySchema:
    """What /openapi.json says of a POST route's body is what the loaded model takes."""

    @pytest.fixture
    def schemas(self, client: TestClient) -> dict[str, Any]:
        document = client.get("/openapi.json").json()
        bodies = {
            path: operations["post"]["requestBody"]["content"]
            for path, operations in document["paths"].items()
            if "requestBody" in operations.get("post", {})
        }
        known = {"components": document["components"]}
        return {
            path: body["application/json"]["schema"] | known
            for path, body in bodies.items()
            if "application/json" in body
        }

    def test_its_example_is_the_models_sample(self, schemas: dict[str, Any], client: TestClient) -> None:
        """And every route answers it."""
        for path in (*POST_ROUTES, "/v2/models/{model}/infer", "/v2/models/{model}/versions/{version}/infer"):
            schema = schemas[path]
            (row,) = schema["example"].get("data") or [schema["example"]["inputs"][0]["data"]]
            assert row == [5.1, 3.5, 1.4, 0.2]
            here = path.format(model="iris_svc", version=1)
            assert client.post(here, json=schema["example"]).status_code == 200

    @pytest.mark.parametrize(
        "call",
        [call for call, status in CALLS if (call.method, status) == ("POST", 200)],
        ids=lambda call: call.name,
    )
    def test_what_is_answered_is_declared(self, call: Call, schemas: dict[str, Any]) -> None:
        """No body gets a 200 that the schema wouldn't let through."""
        route = call.path.partition("?")[0].replace("iris_svc", "{model}").replace("versions/1", "versions/{version}")
        length = int(call.headers.get("inference-header-content-length", len(call.body)))
        if route in schemas:  # else FastAPI's own route, without a body of JSON
            jsonschema.validate(json.loads(call.body[:length]), schemas[route])

    @pytest.mark.parametrize(
        "row",
        [[5.1, 3.5, 1.4], [5.1, 3.5, 1.4, "0.2"], {"sepal length (cm)": 5.1}, json.loads(OBJECT) | {"stem": 1}],
        ids=["too narrow", "text", "a feature is missing", "another name"],
    )
    def test_what_is_refused_isnt_declared(self, row: Any, schemas: dict[str, Any]) -> None:
        """Width, types and names are the model's."""
        for route in POST_ROUTES:
            with pytest.raises(jsonschema.ValidationError):
                jsonschema.validate({"data": [row]}, schemas[route])
