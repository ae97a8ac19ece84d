"""Clients of the Open Inference Protocol, unchanged, against Gunicorn."""

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from starlette.testclient import TestClient

from function.handler import handler
from tests.support.entry_points import (
    EVENT_FORMS,
    Call,
    LocalServer,
    in_base64,
    lambda_entry_point,
)
from tests.support.protocol import INFER, VALUES

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # gevent's, when it is imported
    import tritonclient.http as triton
    from tritonclient.utils import InferenceServerException

IRIS = [VALUES[:4], VALUES[4:]]


@pytest.fixture
def batch(client: TestClient) -> Any:
    """What /predict/batch answers to the same rows."""
    return client.post("/predict/batch", json={"data": IRIS}).json()


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
        output = triton.InferRequestedOutput("probabilities", binary_data=is_binary)

        result = server.infer("iris_svc", [tensor], model_version="1", outputs=[output])

        assert np.array_equal(result.as_numpy("probabilities"), np.array(batch["prediction"], dtype=np.float32))
        assert result.as_numpy("label") is None

    @pytest.mark.parametrize("is_binary", [True, False])
    def test_classification(
        self, server: triton.InferenceServerClient, tensor: triton.InferInput, *, is_binary: bool
    ) -> None:
        """The two best classes of each row."""
        output = triton.InferRequestedOutput("probabilities", binary_data=is_binary, class_count=2)

        found = server.infer("iris_svc", [tensor], outputs=[output]).as_numpy("probabilities")

        texts = [[text.decode() if is_binary else text for text in row] for row in found]
        assert texts == [
            ["0.974183:0:setosa", "0.024898142:1:versicolor"],
            ["0.96986526:2:virginica", "0.020459317:1:versicolor"],
        ]

    def test_errors(self, server: triton.InferenceServerClient, tensor: triton.InferInput) -> None:
        """Its exception has our status and our words."""
        another = triton.InferInput("x", [2, 4], "FP32").set_data_from_numpy(np.array(IRIS, dtype=np.float32))
        cases: list[tuple[Callable[[], object], str, str]] = [
            (lambda: server.infer("iris_svc", [another]), "400", "inputs: 1 of 1 have an unknown name"),
            (lambda: server.infer("another", [tensor]), "404", 'expected the model "iris_svc", version 1, got another'),
            (lambda: server.infer("iris_svc", [tensor], model_version="2"), "404", "expected the model "),
            (lambda: server.get_model_metadata("another"), "404", "expected the model "),
            (lambda: server.get_model_config("iris_svc"), "404", "no such path; "),
            (
                lambda: server.infer("iris_svc", [tensor], outputs=[triton.InferRequestedOutput("x")]),
                "400",
                'outputs: expected "probabilities" and "label", each at most once; got others',
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
        output = triton.InferRequestedOutput("probabilities", class_count=1)

        found = server.infer("iris_svc", [tensor], outputs=[output]).as_numpy("probabilities")

        assert [text.decode().split(":")[2] for (text,) in found] == iris_labels

    @pytest.mark.parametrize("form", EVENT_FORMS)
    def test_what_it_sends_survives_a_gateway(self, form: str, tensor: triton.InferInput, batch: Any) -> None:
        """Its bytes as base64 in an event, the answer's as base64 out of it."""
        body, length = triton.InferenceServerClient.generate_request_body([tensor])
        headers = {"inference-header-content-length": str(length)} if length else {}

        answer = lambda_entry_point(handler, in_base64(EVENT_FORMS[form]))(Call("triton", "POST", INFER, body, headers))

        parse = triton.InferenceServerClient.parse_response_body
        result = parse(answer.body, header_length=int(answer.json_length or 0))
        assert np.array_equal(result.as_numpy("probabilities"), np.array(batch["prediction"], dtype=np.float32))
