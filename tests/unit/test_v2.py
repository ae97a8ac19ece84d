"""The Open Inference Protocol v2, as in its documents and its clients."""

import dataclasses
import hashlib
import json
import warnings
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from function.api.app import create_app
from function.classifier import Classifier
from function.settings import Settings
from tests.support.entry_points import (
    AccessLines,
    Call,
    EntryPoint,
    http_entry_point,
)
from tests.support.protocol import INFER, INFERENCES, INPUT, MODEL, REFUSALS, VALUES, read_outputs, request

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # gevent's, when it is imported

IRIS = [VALUES[:4], VALUES[4:]]


@pytest.fixture
def entry_point(client: TestClient) -> EntryPoint:
    return http_entry_point(client)


@pytest.fixture
def batch(entry_point: EntryPoint) -> Any:
    """What /predict/batch answers to the same rows."""
    return entry_point(Call("batch", "POST", "/predict/batch", json.dumps({"data": IRIS}).encode())).json


class TestGets:
    @pytest.mark.parametrize(
        ("path", "body"),
        [
            ("/v2/health/live", {"live": True}),
            ("/v2/health/ready", {"live": True, "ready": True}),
            *((f"{model}/ready", {"name": "iris_svc", "ready": True}) for model in (MODEL, f"{MODEL}/versions/1")),
        ],
    )
    def test_health(self, client: TestClient, path: str, body: Any) -> None:
        """Of the server, of the model, of its version."""
        answer = client.get(path)

        assert (answer.status_code, answer.json()) == (200, body)

    @pytest.mark.parametrize("path", ["/v2", "/v2/"])
    def test_server_metadata(self, client: TestClient, path: str) -> None:
        """Without a redirect."""
        answer = client.get(path, follow_redirects=False)

        expected = {"name": "Web Single", "version": "0.1.0", "extensions": ["binary_tensor_data", "classification"]}
        assert (answer.status_code, answer.json()) == (200, expected)

    @pytest.mark.parametrize("path", [MODEL, f"{MODEL}/versions/1"])
    def test_model_metadata(self, client: TestClient, path: str) -> None:
        """Names and types from the session, a free dimension as -1."""
        assert client.get(path).json() == {
            "name": "iris_svc",
            "versions": ["1"],
            "platform": "onnx_onnxv1",
            "inputs": [{"name": "features", "datatype": "FP32", "shape": [-1, 4]}],
            "outputs": [
                {"name": "probabilities", "datatype": "FP32", "shape": [-1, 3]},
                {"name": "label", "datatype": "INT64", "shape": [-1]},
            ],
        }

    @pytest.mark.parametrize("end", ["", "/ready", "/infer"])
    @pytest.mark.parametrize("model", ["/v2/models/another", f"{MODEL}/versions/2"])
    def test_another_model(self, client: TestClient, model: str, end: str) -> None:
        """Or another version of it."""
        method = "POST" if end == "/infer" else "GET"
        answer = client.request(method, model + end, content=b"{}" if end == "/infer" else None)

        assert (answer.status_code, answer.json()) == (
            404,
            {"error": 'expected the model "iris_svc", version 1, got another'},
        )


class TestInfer:
    @pytest.mark.parametrize(
        "name",
        [
            *("flat data", "nested data", "FP64 for FP32", "an id", "nulls", "unknown parameters"),
            *("the model's name again", "no outputs named", "binary outputs", "binary input", "binary FP64"),
            *("outputs in another order", "one output of two binary"),
        ],
    )
    def test_every_form_gives_what_the_batch_gives(self, entry_point: EntryPoint, batch: Any, name: str) -> None:
        """To the bit: the probabilities, and the class ids of their labels."""
        found = read_outputs(entry_point(INFERENCES[name]))

        datatype, shape, probabilities = found["probabilities"]
        assert (datatype, shape) == ("FP32", [2, 3])
        expected = np.array(batch["prediction"], dtype=np.float32).ravel()
        assert np.array_equal(np.array(probabilities, dtype=np.float32), expected)
        assert found["label"] == ("INT64", [2], [0, 2])
        assert batch["label"] == ["setosa", "virginica"]

    @pytest.mark.parametrize("name", ["one output", "binary output", "the output's own setting wins"])
    def test_only_what_is_asked_for_is_answered(self, entry_point: EntryPoint, name: str) -> None:
        """One output, in JSON or binary."""
        answer = entry_point(INFERENCES[name])

        assert list(read_outputs(answer)) == ["probabilities"]
        assert (answer.json_length is not None) is (name == "binary output")

    def test_outputs_come_in_the_order_of_the_request(self, entry_point: EntryPoint) -> None:
        """As binary clients read them."""
        assert list(read_outputs(entry_point(INFERENCES["outputs in another order"]))) == ["label", "probabilities"]

    def test_the_id_comes_back(self, entry_point: EntryPoint) -> None:
        """If there is one."""
        assert entry_point(INFERENCES["an id"]).json["id"] == "mine"
        assert "id" not in entry_point(INFERENCES["flat data"]).json

    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            ("the best class", [["0.974183:0:setosa"], ["0.96986526:2:virginica"]]),
            ("classes, binary", [["0.974183:0:setosa", "0.024898142:1:versicolor"],
                                 ["0.96986526:2:virginica", "0.020459317:1:versicolor"]]),
            ("all classes", [["0.974183:0:setosa", "0.024898142:1:versicolor", "0.00091884134:2:virginica"],
                             ["0.96986526:2:virginica", "0.020459317:1:versicolor", "0.009675402:0:setosa"]]),
        ],
    )  # fmt: skip
    def test_classification(self, entry_point: EntryPoint, name: str, expected: list[list[str]]) -> None:
        """Value, index and label of the best classes, the best first."""
        found = read_outputs(entry_point(INFERENCES[name]))

        texts = [text for row in expected for text in row]
        assert found["probabilities"] == ("BYTES", [2, len(expected[0])], texts)

    def test_there_are_no_more_classes_than_there_are(self, entry_point: EntryPoint) -> None:
        """As Triton has it."""
        assert read_outputs(entry_point(INFERENCES["more classes than there are"])) == read_outputs(
            entry_point(INFERENCES["all classes"])
        )

    @pytest.mark.parametrize(("call", "message"), REFUSALS.values(), ids=REFUSALS)
    def test_what_is_refused(self, entry_point: EntryPoint, call: Call, message: str) -> None:
        """A 400 that says what was expected, in the protocol's own shape and nothing else."""
        answer = entry_point(call)

        assert (answer.status, answer.json) == (400, {"error": message})

    def test_rows_are_counted_in_the_access_line(self, client: TestClient, access_lines: AccessLines) -> None:
        """As for the other routes."""
        client.post(INFER, content=request(INPUT))

        (line,) = access_lines()
        assert line["rows"] == 2

    def test_too_many_classes_for_one_answer(self, classifier: Classifier) -> None:
        """Lambda answers at most 6 MB, so it is refused before it is made."""
        labels = tuple(label * 200 for label in classifier.model.labels)
        named = Classifier(classifier.session, dataclasses.replace(classifier.model, labels=labels))
        client = TestClient(create_app(Settings(), named))
        n_rows = 2_000
        data = {"name": "features", "shape": [n_rows, 4], "datatype": "FP32", "data": [1] * 4 * n_rows}
        output = {"name": "probabilities", "parameters": {"classification": 3}}

        answer = client.post(INFER, json={"inputs": [data], "outputs": [output]})

        message = "expected a response of at most 6225920 bytes; send fewer rows or ask for fewer classes"
        assert (answer.status_code, answer.json()) == (413, {"error": message})
        assert client.post(INFER, json={"inputs": [data]}).status_code == 200


class TestErrorsOfTheApp:
    """They have the protocol's shape under /v2 too."""

    def test_without_a_key(self, classifier: Classifier) -> None:
        """401, but for health."""
        settings = Settings.load({"API_KEY_SHA256": hashlib.sha256(b"key").hexdigest()})
        client = TestClient(create_app(settings, classifier))

        assert client.get("/v2/health/live").status_code == client.get("/v2/health/ready").status_code == 200
        for path in ("/v2", MODEL, f"{MODEL}/ready", "/v2/nothing"):
            answer = client.get(path)
            assert (answer.status_code, answer.json()) == (401, {"error": "expected an accepted key, got none"})
            assert client.get(path, headers={"x-api-key": "key"}).status_code in (200, 404)

    def test_an_unexpected_failure(self, classifier: Classifier) -> None:
        """500 with the request's id alone."""
        broken: Any = None
        client = TestClient(create_app(Settings(), Classifier(broken, classifier.model)))

        answer = client.post(INFER, content=request(INPUT), headers={"x-request-id": "mine"})

        expected = {"error": "unexpected failure; its request id is mine"}
        assert (answer.status_code, answer.json()) == (500, expected)
