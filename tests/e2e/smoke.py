"""The contract against any address: `make smoke URL=https://…`, with API_KEY where the service wants one."""

import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from typing import Any

import httpx2
import pytest
from starlette.testclient import TestClient

from function.api.app import create_app
from function.classifier import Classifier
from function.settings import Settings
from tests.support.calls import CALLS, GATEWAYS_OWN, SAM_LOCALS_OWN
from tests.support.entry_points import Call, http_entry_point
from tests.support.protocol import read_outputs

URL = os.environ["URL"].rstrip("/")
KEY = os.environ.get("API_KEY", "")
HEADERS = {"x-api-key": KEY} if KEY else {}
TABLE = [(call, status) for call, status in CALLS if call.name not in GATEWAYS_OWN]
TOLERANCE = 1e-5  # between probabilities: another processor rounds float32 differently


@pytest.fixture(scope="module")
def reference(classifier: Classifier) -> TestClient:
    """The same app with the same key, in this process."""
    environ = {"API_KEY_SHA256": hashlib.sha256(KEY.encode()).hexdigest()} if KEY else {}
    return TestClient(create_app(Settings.load(environ), classifier), headers=HEADERS)


@pytest.fixture(scope="module")
def service(classifier: Classifier) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=URL, headers=HEADERS, timeout=30) as client:
        if fault := find_fault(client, classifier):
            pytest.exit(f"smoke: {fault}", returncode=1)  # once, instead of in each test
        yield client


def find_fault(client: httpx2.Client, classifier: Classifier) -> str | None:
    """Say in one line why it makes no sense to go on."""
    try:
        health = client.get("/health")
        metadata = client.get("/metadata")
        stranger = httpx2.get(f"{URL}/metadata", timeout=30)
    except (httpx2.TransportError, httpx2.InvalidURL) as error:
        return f"expected a service at {URL}, got {type(error).__name__}: {error}"
    if health.status_code != 200 or health.content != b'{"health":"ok"}':
        return f"expected this service at {URL}, got status {health.status_code} and another body from /health"
    if metadata.status_code == 401:
        return f"the service {'takes another key' if KEY else 'wants a key'}: make smoke URL={URL} API_KEY=…"
    if KEY and stranger.status_code == 200:
        return "API_KEY is given, but the service answers without a key"
    if (sha256 := metadata.json()["model"]["sha256"]) != classifier.model.sha256:
        return f"it serves another model, SHA-256 {sha256}; the one here has {classifier.model.sha256}"
    return None


@pytest.mark.parametrize(("call", "status"), TABLE, ids=[call.name for call, _ in TABLE])
def test_it_answers_as_it_should(call: Call, status: int, service: httpx2.Client, reference: TestClient) -> None:
    """The same status, content type, Allow and body."""
    if call.name in SAM_LOCALS_OWN and "Werkzeug" in service.get("/health").headers.get("server", ""):
        pytest.skip("sam local takes each body for UTF-8")
    answer, expected = http_entry_point(service)(call), http_entry_point(reference)(call)

    assert (answer.status, answer.content_type, answer.allow) == (status, expected.content_type, expected.allow)
    if answer.status == 200 and call.path.endswith("/infer"):
        assert rounded(read_outputs(answer)) == rounded(read_outputs(expected))
    elif answer.content_type == "application/json":
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
            for path in ("/label", "/docs", "/no/such/path"):
                assert stranger.get(path).status_code == 401
            assert stranger.post("/predict", content=b"{}").status_code == 401


def rounded(value: Any) -> Any:
    """Let floats that differ by less than the tolerance be equal."""
    match value:
        case float():
            return pytest.approx(value, abs=TOLERANCE)
        case str() if ranked := re.fullmatch(r"([\d.e-]+)(:\d+:.*)", value):  # a class of the protocol, with its value
            return [rounded(float(ranked[1])), ranked[2]]
        case list() | tuple():
            return [rounded(one) for one in value]
        case Mapping():
            return {key: rounded(one) for key, one in value.items()}
    return value
