"""KServe's own client, unchanged, against Gunicorn."""

import json
import subprocess
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from tests.support.entry_points import (
    LocalServer,
)
from tests.support.protocol import VALUES
from tests.support.pythons import with_packages

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # gevent's, when it is imported

IRIS = [VALUES[:4], VALUES[4:]]


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


@pytest.fixture
def batch(client: TestClient) -> Any:
    """What /predict/batch answers to the same rows."""
    return client.post("/predict/batch", json={"data": IRIS}).json()


def test_kserves_client(local_server: LocalServer, environments: Path, batch: Any) -> None:
    """InferenceRESTClient of kserve, unchanged, in JSON and binary, against Gunicorn."""
    python = with_packages("python3.11", "tests/support/kserve.txt", environments)

    result = subprocess.run([python, "-c", KSERVE, local_server.url], capture_output=True, text=True, check=False)

    assert result.returncode == 0, result.stderr
    asked, answers = json.loads(result.stdout)
    assert asked[:4] == [True, True, True, False]
    assert 'inputs: expected "features" once, got it 0 times' in asked[4]
    for answer in answers:
        expected = np.array(batch["prediction"], dtype=np.float32)
        assert np.array_equal(np.array(answer["probabilities"], dtype=np.float32), expected)
        assert answer["label"] == [0, 2]
