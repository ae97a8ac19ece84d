"""The Open Inference Protocol v2, as its documents have it and as its clients speak it."""

import hashlib
import json
import subprocess
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from starlette.testclient import TestClient

from function.app import create_app
from function.classifier import Classifier
from function.handler import handler
from function.settings import Settings
from tests.doors import EVENT_FORMS, Call, Door, LocalServer, http_door, in_base64, lambda_door
from tests.protocol import INFER, INFERENCES, INPUT, MODEL, REFUSALS, VALUES, read_outputs, request
from tests.pythons import with_packages

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # gevent's, when it is imported
    import tritonclient.http as triton
    from tritonclient.utils import InferenceServerException

IRIS = [VALUES[:4], VALUES[4:]]


@pytest.fixture
def door(client: TestClient) -> Door:
    return http_door(client)


@pytest.fixture
def batch(door: Door) -> Any:
    """What /predict/batch answers to the same rows."""
    return door(Call("batch", "POST", "/predict/batch", json.dumps({"data": IRIS}).encode())).json


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

        assert (answer.status_code, answer.json()) == (404, {"error": 'no such model; here is "iris_svc", version 1'})


class TestInfer:
    @pytest.mark.parametrize(
        "name",
        [
            *("flat data", "nested data", "FP64 for FP32", "an id", "nulls", "unknown parameters"),
            *("the model's name again", "no outputs named", "binary outputs", "binary input", "binary FP64"),
            *("outputs in another order", "one output of two binary"),
        ],
    )
    def test_every_form_gives_what_the_batch_gives(self, door: Door, batch: Any, name: str) -> None:
        """To the bit: the probabilities, and the class ids of their labels."""
        found = read_outputs(door(INFERENCES[name]))

        datatype, shape, probabilities = found["probabilities"]
        assert (datatype, shape) == ("FP32", [2, 3])
        expected = np.array(batch["prediction"], dtype=np.float32).ravel()
        assert np.array_equal(np.array(probabilities, dtype=np.float32), expected)
        assert found["label"] == ("INT64", [2], [0, 2])
        assert batch["label"] == ["setosa", "virginica"]

    @pytest.mark.parametrize("name", ["one output", "binary output", "the output's own setting wins"])
    def test_only_what_is_asked_for_is_answered(self, door: Door, name: str) -> None:
        """One output, in JSON or binary."""
        answer = door(INFERENCES[name])

        assert list(read_outputs(answer)) == ["probabilities"]
        assert (answer.json_length is not None) is (name == "binary output")

    def test_outputs_come_in_the_order_of_the_request(self, door: Door) -> None:
        """As binary clients read them."""
        assert list(read_outputs(door(INFERENCES["outputs in another order"]))) == ["label", "probabilities"]

    def test_the_id_comes_back(self, door: Door) -> None:
        """If there is one."""
        assert door(INFERENCES["an id"]).json["id"] == "mine"
        assert "id" not in door(INFERENCES["flat data"]).json

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
    def test_classification(self, door: Door, name: str, expected: list[list[str]]) -> None:
        """Value, index and label of the best classes, the best first."""
        found = read_outputs(door(INFERENCES[name]))

        texts = [text for row in expected for text in row]
        assert found["probabilities"] == ("BYTES", [2, len(expected[0])], texts)

    def test_there_are_no_more_classes_than_there_are(self, door: Door) -> None:
        """As Triton has it."""
        assert read_outputs(door(INFERENCES["more classes than there are"])) == read_outputs(
            door(INFERENCES["all classes"])
        )

    @pytest.mark.parametrize(("call", "message"), REFUSALS.values(), ids=REFUSALS)
    def test_what_is_refused(self, door: Door, call: Call, message: str) -> None:
        """A 400 that says what was expected, in the protocol's own shape and nothing else."""
        answer = door(call)

        assert (answer.status, answer.json) == (400, {"error": message})

    def test_rows_are_counted_in_the_access_line(self, client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
        """As for the other routes."""
        caplog.set_level("INFO")

        client.post(INFER, content=request(INPUT))

        (record,) = (record for record in caplog.records if record.name == "access")
        assert record.__dict__["rows"] == 2

    def test_too_many_classes_for_one_answer(self, classifier: Classifier) -> None:
        """Lambda answers at most 6 MB, so it is refused before it is made."""
        labels = [label * 200 for label in classifier.labels]
        client = TestClient(create_app(Settings(), with_labels(classifier, labels)))
        n_rows = 2_000
        data = {"name": "features", "shape": [n_rows, 4], "datatype": "FP32", "data": [1] * 4 * n_rows}
        wish = {"name": "probabilities", "parameters": {"classification": 3}}

        answer = client.post(INFER, json={"inputs": [data], "outputs": [wish]})

        message = "expected an answer of at most 6225920 bytes; send fewer rows or ask for fewer classes"
        assert (answer.status_code, answer.json()) == (413, {"error": message})
        assert client.post(INFER, json={"inputs": [data]}).status_code == 200


def with_labels(classifier: Classifier, labels: list[str]) -> Classifier:
    copy = object.__new__(Classifier)
    copy.__dict__ |= classifier.__dict__ | {"labels": tuple(labels)}
    return copy


class TestErrorsOfTheApp:
    """They have the protocol's shape under /v2 too."""

    def test_without_a_key(self, classifier: Classifier) -> None:
        """401, but for health."""
        settings = Settings.load({"API_KEY_SHA256": hashlib.sha256(b"key").hexdigest()})
        client = TestClient(create_app(settings, classifier))

        assert client.get("/v2/health/live").status_code == client.get("/v2/health/ready").status_code == 200
        for path in ("/v2", MODEL, f"{MODEL}/ready", "/v2/nothing"):
            answer = client.get(path)
            assert (answer.status_code, answer.json()) == (401, {"error": "expected a key that is accepted, got none"})
            assert client.get(path, headers={"x-api-key": "key"}).status_code in (200, 404)

    def test_an_unexpected_failure(self, classifier: Classifier) -> None:
        """500 with the request's id alone."""
        broken = object.__new__(Classifier)
        broken.__dict__ |= classifier.__dict__ | {"_session": None}
        client = TestClient(create_app(Settings(), broken))

        answer = client.post(INFER, content=request(INPUT), headers={"x-request-id": "mine"})

        expected = {"error": "unexpected failure; its request id is mine"}
        assert (answer.status_code, answer.json()) == (500, expected)


class TestTritonClient:
    """tritonclient[http], unchanged, against Gunicorn."""

    @pytest.fixture
    def server(self, local_server: LocalServer) -> Iterator[triton.InferenceServerClient]:
        with triton.InferenceServerClient(local_server.url.removeprefix("http://")) as server:
            yield server

    @pytest.fixture(params=[True, False], ids=["binary", "JSON"])
    def tensor(self, request: pytest.FixtureRequest) -> triton.InferInput:
        tensor = triton.InferInput("features", [2, 4], "FP32")
        tensor.set_data_from_numpy(np.array(IRIS, dtype=np.float32), binary_data=request.param)
        return tensor

    def test_health_and_metadata(self, server: triton.InferenceServerClient) -> None:
        """All that it asks a server that has one model."""
        assert server.is_server_live()
        assert server.is_server_ready()
        assert server.is_model_ready("iris_svc")
        assert server.is_model_ready("iris_svc", "1")
        assert not server.is_model_ready("another")
        assert server.get_server_metadata()["extensions"] == ["binary_tensor_data", "classification"]
        assert server.get_model_metadata("iris_svc", "1")["inputs"][0]["shape"] == [-1, 4]

    def test_its_defaults(self, server: triton.InferenceServerClient, tensor: triton.InferInput, batch: Any) -> None:
        """No outputs named, which it wants binary."""
        result = server.infer("iris_svc", [tensor], request_id="mine")

        assert result.get_response()["id"] == "mine"
        assert np.array_equal(result.as_numpy("probabilities"), np.array(batch["prediction"], dtype=np.float32))
        assert result.as_numpy("label").tolist() == [0, 2]

    @pytest.mark.parametrize("is_binary", [True, False])
    def test_outputs_by_name(
        self, server: triton.InferenceServerClient, tensor: triton.InferInput, batch: Any, *, is_binary: bool
    ) -> None:
        """Binary or JSON."""
        wish = triton.InferRequestedOutput("probabilities", binary_data=is_binary)

        result = server.infer("iris_svc", [tensor], model_version="1", outputs=[wish])

        assert np.array_equal(result.as_numpy("probabilities"), np.array(batch["prediction"], dtype=np.float32))
        assert result.as_numpy("label") is None

    @pytest.mark.parametrize("is_binary", [True, False])
    def test_classification(
        self, server: triton.InferenceServerClient, tensor: triton.InferInput, *, is_binary: bool
    ) -> None:
        """The two best classes of each row."""
        wish = triton.InferRequestedOutput("probabilities", binary_data=is_binary, class_count=2)

        found = server.infer("iris_svc", [tensor], outputs=[wish]).as_numpy("probabilities")

        texts = [[text.decode() if is_binary else text for text in row] for row in found]
        assert texts == [
            ["0.974183:0:setosa", "0.024898142:1:versicolor"],
            ["0.96986526:2:virginica", "0.020459317:1:versicolor"],
        ]

    def test_errors(self, server: triton.InferenceServerClient, tensor: triton.InferInput) -> None:
        """Its exception has our status and our words."""
        another = triton.InferInput("x", [2, 4], "FP32").set_data_from_numpy(np.array(IRIS, dtype=np.float32))
        cases: list[tuple[Callable[[], object], str, str]] = [
            (lambda: server.infer("iris_svc", [another]), "400", "inputs: 1 of 1 have a name that isn't an input's"),
            (lambda: server.infer("another", [tensor]), "404", 'no such model; here is "iris_svc", version 1'),
            (lambda: server.infer("iris_svc", [tensor], model_version="2"), "404", "no such model; "),
            (lambda: server.get_model_metadata("another"), "404", "no such model; "),
            (lambda: server.get_model_config("iris_svc"), "404", "no such path; "),
            (
                lambda: server.infer("iris_svc", [tensor], outputs=[triton.InferRequestedOutput("x")]),
                "400",
                'outputs: expected each at most once of "probabilities", "label"; got others',
            ),
        ]
        for do, status, message in cases:
            with pytest.raises(InferenceServerException) as raised:
                do()
            assert raised.value.status() == status
            assert raised.value.message().startswith(message)

    def test_all_of_iris(
        self, server: triton.InferenceServerClient, iris: NDArray[np.float64], iris_labels: list[str]
    ) -> None:
        """The best class of each row is scikit-learn's."""
        tensor = triton.InferInput("features", list(iris.shape), "FP64").set_data_from_numpy(iris)
        wish = triton.InferRequestedOutput("probabilities", class_count=1)

        found = server.infer("iris_svc", [tensor], outputs=[wish]).as_numpy("probabilities")

        assert [text.decode().split(":")[2] for (text,) in found] == iris_labels

    @pytest.mark.parametrize("form", EVENT_FORMS)
    def test_what_it_sends_survives_a_gateway(self, form: str, tensor: triton.InferInput, batch: Any) -> None:
        """Its bytes as base64 in an event, the answer's as base64 out of it."""
        body, length = triton.InferenceServerClient.generate_request_body([tensor])
        headers = {"inference-header-content-length": str(length)} if length else {}

        answer = lambda_door(handler, in_base64(EVENT_FORMS[form]))(Call("triton", "POST", INFER, body, headers))

        parse = triton.InferenceServerClient.parse_response_body
        result = parse(answer.body, header_length=int(answer.json_length or 0))
        assert np.array_equal(result.as_numpy("probabilities"), np.array(batch["prediction"], dtype=np.float32))


KSERVE = """
import asyncio, json, sys
import numpy as np
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig

async def main(url):
    async with InferenceRESTClient(RESTConfig(protocol="v2")) as client:
        asked = [await client.is_server_live(url), await client.is_server_ready(url)]
        asked += [await client.is_model_ready(url, model) for model in ("iris_svc", "another")]
        answers = []
        for is_binary in (False, True):
            tensor = InferInput("features", [2, 4], "FP32")
            tensor.set_data_from_numpy(np.array([[5.1, 3.5, 1.4, 0.2], [6.3, 3.3, 6.0, 2.5]], dtype=np.float32), is_binary)
            request = InferRequest("iris_svc", [tensor], parameters={"binary_data_output": is_binary})
            answer = await client.infer(url, request, "iris_svc")
            answers.append({output.name: output.as_numpy().tolist() for output in answer.outputs})
        try:
            await client.infer(url, {"inputs": []}, "iris_svc")
        except Exception as error:
            asked.append(str(error))
    print(json.dumps([asked, answers]))

asyncio.run(main(sys.argv[1]))
"""


def test_kserves_client(local_server: LocalServer, environments: Path, batch: Any) -> None:
    """InferenceRESTClient of kserve, unchanged, in JSON and binary, against Gunicorn."""
    python = with_packages("python3.11", "tests/kserve.txt", environments)

    result = subprocess.run([python, "-c", KSERVE, local_server.url], capture_output=True, text=True, check=False)

    assert result.returncode == 0, result.stderr
    asked, answers = json.loads(result.stdout)
    assert asked[:4] == [True, True, True, False]
    assert 'inputs: expected "features" once, got it 0 times' in asked[4]
    for answer in answers:
        expected = np.array(batch["prediction"], dtype=np.float32)
        assert np.array_equal(np.array(answer["probabilities"], dtype=np.float32), expected)
        assert answer["label"] == [0, 2]
