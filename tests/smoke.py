"""The contract against any address: `make smoke URL=https://…`, with API_KEY where the service wants one."""

import hashlib
import os
from collections.abc import Iterator, Mapping
from typing import Any

import httpx2
import pytest
from starlette.testclient import TestClient

from function.app import create_app
from function.classifier import Classifier
from function.settings import Settings
from tests.calls import CALLS, GATEWAYS_OWN
from tests.doors import Call, http_door

KEY = os.environ.get("API_KEY", "")
HEADERS = {"x-api-key": KEY} if KEY else {}
TABLE = [(call, status) for call, status in CALLS if call.name not in GATEWAYS_OWN]
TOLERANCE = 1e-5  # between probabilities: another processor rounds float32 differently


@pytest.fixture(scope="module")
def service() -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=os.environ["URL"], headers=HEADERS, timeout=30) as client:
        yield client


@pytest.fixture(scope="module")
def reference(classifier: Classifier) -> TestClient:
    """The same app with the same key, in this process."""
    environ = {"API_KEY_SHA256": hashlib.sha256(KEY.encode()).hexdigest()} if KEY else {}
    return TestClient(create_app(Settings.load(environ), classifier), headers=HEADERS)


def test_it_serves_the_model_that_is_here(service: httpx2.Client, reference: TestClient) -> None:
    """By its SHA-256."""
    assert service.get("/metadata").json()["model"] == reference.get("/metadata").json()["model"]


@pytest.mark.parametrize(("call", "status"), TABLE, ids=[call.name for call, _ in TABLE])
def test_it_answers_as_it_should(call: Call, status: int, service: httpx2.Client, reference: TestClient) -> None:
    """The same status, content type, Allow and body."""
    answer, expected = http_door(service)(call), http_door(reference)(call)

    assert (answer.status, answer.content_type, answer.allow) == (status, expected.content_type, expected.allow)
    if answer.content_type == "application/json":
        assert rounded(answer.json) == rounded(expected.json)
    else:
        assert answer.body == expected.body


def test_each_answer_has_its_own_id(service: httpx2.Client) -> None:
    """Or the caller's."""
    ids = {service.get("/health").headers["x-request-id"] for _ in range(3)}

    assert len(ids) == 3
    assert service.get("/health", headers={"x-request-id": "mine-1"}).headers["x-request-id"] == "mine-1"


@pytest.mark.skipif(not KEY, reason="the service wants no key, or API_KEY isn't given")
def test_without_the_key_nothing_but_health_is_answered(service: httpx2.Client) -> None:
    """401 for a wrong key and for none."""
    for headers in ({}, {"x-api-key": f"{KEY}x"}):
        with httpx2.Client(base_url=service.base_url, headers=headers, timeout=30) as stranger:
            assert stranger.get("/health").status_code == 200
            for path in ("/metadata", "/docs", "/no/such/path"):
                assert stranger.get(path).status_code == 401
            assert stranger.post("/predict", content=b"{}").status_code == 401


def rounded(value: Any) -> Any:
    """Let floats that differ by less than the tolerance be equal."""
    match value:
        case float():
            return pytest.approx(value, abs=TOLERANCE)
        case list():
            return [rounded(one) for one in value]
        case Mapping():
            return {key: rounded(one) for key, one in value.items()}
    return value
