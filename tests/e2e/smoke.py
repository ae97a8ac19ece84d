"""Tests the contract at any address: `make smoke URL=https://…`, with API_KEY if the service requires one.

Any model is compared with its own /metadata; the shipped model also with every answer that it gives here.
"""

import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

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
def reference(classifier: Classifier, promised: dict[str, Any]) -> TestClient:
    """The same app with the same key, in this process."""
    if promised["model"]["sha256"] != classifier.model.sha256:
        pytest.skip("it serves another model than the shipped one, so it is only compared with its own /metadata")
    environ = {"API_KEY_SHA256": hashlib.sha256(KEY.encode()).hexdigest()} if KEY else {}
    return TestClient(create_app(Settings.load(environ), classifier), headers=HEADERS)


@pytest.fixture(scope="module")
def service() -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=URL, headers=HEADERS, timeout=30) as client:
        yield client


@pytest.fixture(scope="module")
def promised(service: httpx2.Client) -> dict[str, Any]:
    """What the service says of its model."""
    metadata: dict[str, Any] = service.get("/metadata").json()
    return metadata


def find_fault(client: httpx2.Client) -> str | None:
    """Return the reason why testing makes no sense, in one line."""
    try:
        health = client.get("/health")
        metadata = client.get("/metadata")
        stranger = httpx2.get(f"{URL}/metadata", timeout=30)
    except (httpx2.UnsupportedProtocol, httpx2.InvalidURL):
        return f"expected URL to be an address such as https://example.org, got {URL}"
    except httpx2.TransportError as error:
        return f"expected a service at {URL}, got {type(error).__name__}: {error}"
    if health.status_code != 200 or health.content != b'{"health":"ok"}':
        return f"expected this service at {URL}, without a route's path; {URL}/health got status {health.status_code}"
    if metadata.status_code == 401:
        return f"the service {'expects another key' if KEY else 'requires a key'}: make smoke URL={URL} API_KEY=…"
    if KEY and stranger.status_code == 200:
        return "API_KEY is given, but the service answers without a key"
    if metadata.status_code != 200:
        return f"expected /metadata to say what is served, got status {metadata.status_code}"
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
    """Or keeps the caller's id."""
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


class TestItsOwnPromises:
    """What holds for any model."""

    def test_its_description_fits_together(self, promised: dict[str, Any], service: httpx2.Client) -> None:
        """Shapes, sample, labels; the header of each answer names the model."""
        n_features, n_labels = len(promised["features"]), len(promised["labels"])

        assert promised["data_structure"] == f"(1,{n_features})"
        assert promised["prediction_structure"] == f"(1,{n_labels})"
        assert [len(row) for row in promised["data_sample"]] == [n_features]
        assert len(promised["prediction_sample"]) == n_labels == len(set(promised["labels"]))
        assert sum(promised["prediction_sample"]) == pytest.approx(1, abs=TOLERANCE)
        assert service.get("/label").json() == {str(i): label for i, label in enumerate(promised["labels"])}
        assert promised["model"]["sha256"].startswith(service.get("/health").headers["x-model-sha256"])

    def test_its_sample_gets_the_promised_answer(self, promised: dict[str, Any], service: httpx2.Client) -> None:
        """On every route, by order and by name."""
        (row,) = promised["data_sample"]
        names = [feature["name"] for feature in promised["features"]]
        expected = rounded({"prediction": promised["prediction_sample"]})
        label = service.get("/predict/test/label").json()

        assert label["prediction"] in promised["labels"]
        assert service.get("/predict/test").json() == expected
        for data in ([row], [dict(zip(names, row, strict=True))]):
            assert service.post("/predict", json={"data": data}).json() == expected
            assert service.post("/predict/label", json={"data": data}).json() == label
            batch = service.post("/predict/batch", json={"data": data}).json()
            assert (batch["prediction"], batch["label"]) == ([expected["prediction"]], [label["prediction"]])

    def test_rows_get_the_same_answers_together_as_alone(
        self, promised: dict[str, Any], service: httpx2.Client
    ) -> None:
        """In order; each row's probabilities are a distribution over the labels."""
        rows = vary(promised)[: promised["limits"]["max_rows"]]

        together = service.post("/predict/batch", json={"data": rows}).json()

        assert len(together["prediction"]) == len(together["label"]) == len(rows)
        assert set(together["label"]) <= set(promised["labels"])
        for row, probabilities, label in zip(rows, together["prediction"], together["label"], strict=True):
            assert all(-TOLERANCE <= value <= 1 + TOLERANCE for value in probabilities)
            assert sum(probabilities) == pytest.approx(1, abs=TOLERANCE)
            alone = service.post("/predict/batch", json={"data": [row]}).json()
            assert alone == {"prediction": [rounded(probabilities)], "label": [label]}

    def test_null_is_taken_where_it_says_so(self, promised: dict[str, Any], service: httpx2.Client) -> None:
        """In other columns it is a 422 that names the feature."""
        (row,) = promised["data_sample"]
        for index, feature in enumerate(promised["features"]):
            answer = service.post("/predict", json={"data": [[*row[:index], None, *row[index + 1 :]]]})
            assert answer.status_code == (200 if feature.get("missing") else 422), feature["name"]
            if answer.status_code == 422:
                assert answer.json()["detail"][0]["loc"] == ["body", "data", 0, index]

    def test_wrong_rows_are_refused(self, promised: dict[str, Any], service: httpx2.Client) -> None:
        """One value too many, too few, of another kind; no row at all."""
        (row,) = promised["data_sample"]
        for data in ([[*row, 1]], [row[:-1]], [], [[{}, *row[1:]]], [[[1], *row[1:]]]):
            assert service.post("/predict/batch", json={"data": data}).status_code == 422
        for index, feature in enumerate(promised["features"]):
            wrong = 1 if feature["type"] in ("string", "bool") else "1"
            answer = service.post("/predict", json={"data": [[*row[:index], wrong, *row[index + 1 :]]]})
            assert (answer.status_code, feature["name"]) == (422, feature["name"])

    def test_its_limits_hold(self, promised: dict[str, Any], service: httpx2.Client) -> None:
        """A row or a byte more is a 413."""
        limits = promised["limits"]
        row = json.dumps(promised["data_sample"][0], separators=(",", ":"))
        body = f'{{"data":[{",".join([row] * (limits["max_rows"] + 1))}]}}'
        if len(body.encode()) <= limits["max_body_bytes"]:
            assert service.post("/predict/batch", content=body).status_code == 413
        spaces = " " * (limits["max_body_bytes"] + 1)
        assert service.post("/predict", content=f'{{"data":[{row}]}}{spaces}').status_code == 413

    def test_the_protocol_gives_the_same(self, promised: dict[str, Any], service: httpx2.Client) -> None:
        """Its own description says which inputs it wants."""
        (row,) = promised["data_sample"]
        if None in row:
            pytest.skip("its sample has a missing value, which JSON tensors have no word for")
        path = f"/v2/models/{quote(promised['model']['name'])}"
        described = service.get(path).json()
        inputs, start = [], 0
        for one in described["inputs"]:
            width = one["shape"][1] if len(one["shape"]) > 1 else 1
            shape = [1, width] if len(one["shape"]) > 1 else [1]
            inputs.append(
                {"name": one["name"], "datatype": one["datatype"], "shape": shape, "data": row[start : start + width]}
            )
            start += width

        answer = service.post(f"{path}/infer", json={"inputs": inputs}).json()

        assert start == len(row)
        assert answer["outputs"][0]["data"] == rounded(promised["prediction_sample"])

    def test_head_is_answered_as_get(self, promised: dict[str, Any], service: httpx2.Client) -> None:
        """Without the body, as uptime monitors expect."""
        name = quote(promised["model"]["name"])
        for path in (
            "/",
            "/health",
            "/metadata",
            "/label",
            "/predict/test",
            "/docs",
            "/openapi.json",
            "/v2",
            f"/v2/models/{name}",
        ):
            answer = service.head(path)
            assert (path, answer.status_code, answer.content) == (path, 200, b"")


def vary(promised: dict[str, Any]) -> list[list[Any]]:
    """Give the sample, and with each of its features in turn at each end of what it was trained on."""
    (row,) = promised["data_sample"]
    rows = [row]
    for index, feature in enumerate(promised["features"][:20]):
        ends = [feature[name] for name in ("min", "max", "median", "commonest") if name in feature]
        rows += [[*row[:index], value, *row[index + 1 :]] for value in [*ends, *feature.get("values", ())[:3]]]
    return rows


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


if __name__ == "__main__":
    with httpx2.Client(base_url=URL, headers=HEADERS, timeout=30) as once:
        if fault := find_fault(once):  # told once, instead of in each test
            sys.exit(f"smoke: {fault}")
    sys.exit(subprocess.run([sys.executable, "-m", "pytest", "--quiet", __file__], check=False).returncode)
