"""Generated requests: for any input, the response is documented and small, and repeats nothing of the input."""

import json
import os
import re
import struct
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance
from starlette.testclient import TestClient

from function.api.app import create_app
from function.api.v2.encode import DATATYPES
from function.classifier import load, load_bytes
from function.settings import Settings, shipped_model
from tests.support.calls import POST_ROUTES, ROW
from tests.support.kinds import every_type
from tests.support.models import NUMPY, penguins
from tests.support.protocol import INFER, TENSOR, request

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # gevent's, when it is imported
    import tritonclient.http as triton

FUZZ_RUNS = int(os.environ.get("FUZZ_RUNS", "20000"))
N_EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "300"))  # B1 of the battery: 10,000
SECRET = "s3cr3t"  # noqa: S105 - nobody's
app = create_app(Settings(), load(shipped_model()))
client = TestClient(app, raise_server_exceptions=True)
mixed = TestClient(create_app(Settings(), load_bytes(penguins().artifact, name="iris_svc")))
every = create_app(Settings(), load_bytes(every_type().artifact, name="every"))
every_client = TestClient(every)
fuzz = settings(max_examples=N_EXAMPLES, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))

texts = st.text() | st.just(SECRET) | st.text(st.characters(min_codepoint=0, max_codepoint=0x10FFFF), max_size=5)
numbers = st.integers() | st.floats() | st.sampled_from([1e39, -1e39, 3.4028235e38, 2**53, 2**63, 1e-320, -0.0])
scalars = st.none() | st.booleans() | numbers | texts
values = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(texts, inner), max_leaves=20)
near_rows = st.lists(st.lists(numbers | scalars, min_size=3, max_size=5) | values, max_size=4)
near = st.fixed_dictionaries({"data": near_rows | values}, optional={SECRET: values})
documents = (near | values).map(lambda value: json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass"))
cut = st.tuples(documents, st.integers(0, 200)).map(lambda pair: pair[0][: pair[1]])
bodies = st.binary() | documents | cut

tensors = st.fixed_dictionaries(
    {"name": st.just("features") | texts, "shape": st.lists(st.integers(-1, 5) | st.integers(), max_size=3) | values},
    optional={
        "datatype": st.sampled_from(["FP32", "FP64", "INT64", "BYTES", "FP16"]) | texts,
        "data": st.lists(numbers, min_size=4, max_size=8) | near_rows | values,
        "parameters": st.dictionaries(st.sampled_from(["binary_data_size", SECRET]), st.integers(-1, 40) | values),
    },
)
requested_outputs = st.fixed_dictionaries(
    {"name": st.sampled_from(["probabilities", "label"]) | texts},
    optional={
        "parameters": st.dictionaries(st.sampled_from(["binary_data", "classification"]), st.integers(-1, 5) | values)
    },
)
inferences = st.fixed_dictionaries(
    {"inputs": st.lists(tensors, max_size=2) | values},
    optional={
        "id": texts | values,
        "outputs": st.lists(requested_outputs, max_size=3) | values,
        "parameters": values,
        SECRET: values,
    },
).map(lambda value: json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass"))


def check(response: Any, body: bytes) -> None:
    """Check what holds for every response."""
    assert response.status_code in (200, 400, 404, 413, 422), body
    if response.status_code == 200:
        assert b"NaN" not in response.content
        assert b"Infinity" not in response.content
        return
    assert len(response.content) <= 4096
    assert SECRET not in response.text.replace(json.dumps(SECRET) + " is not a feature", "")  # named on purpose
    found = response.json()
    assert list(found) in (["detail"], ["error"])


@fuzz
@given(body=bodies, route=st.sampled_from(POST_ROUTES))
def test_native_routes(body: bytes, route: str) -> None:
    """Binary, JSON of any form, near to what is wanted, cut short."""
    check(client.post(route, content=body), body)


@fuzz
@given(body=bodies)
def test_a_model_of_numbers_and_texts(body: bytes) -> None:
    """Whose values are checked in another place."""
    check(mixed.post("/predict/batch", content=body), body)


every_row = st.tuples(
    st.booleans() | values, st.integers(-1, 256) | values, numbers | scalars, numbers | scalars, numbers | st.none(), texts | st.none()
)  # fmt: skip
every_body = st.lists(every_row | values, max_size=3).map(lambda rows: {"data": rows})


@fuzz
@given(body=every_body.map(lambda value: json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")))
def test_a_model_of_every_type(body: bytes) -> None:
    """Booleans, small and half numbers, and values that may be missing."""
    check(every_client.post("/predict/batch", content=body), body)


@fuzz
@given(body=bodies | inferences)
def test_the_protocol(body: bytes) -> None:
    """JSON of any form, and near to an inference request."""
    check(client.post(INFER, content=body), body)


@fuzz
@given(
    tail=st.binary(max_size=64)
    | st.lists(st.floats(width=32), max_size=8).map(lambda row: struct.pack(f"<{len(row)}f", *row)),
    size=st.integers(-1, 70) | values,
    length=st.integers(0, 300).map(str) | st.text(st.characters(codec="ascii", categories=["L", "N", "P"]), max_size=5),
    is_right=st.booleans(),
    rows=st.integers(0, 3),
)
def test_binary_tensors(tail: bytes, size: Any, length: str, rows: int, *, is_right: bool) -> None:
    """Of any bytes and any size, behind JSON that may end anywhere."""
    tensor = TENSOR | {"shape": [rows, 4], "parameters": {"binary_data_size": len(tail) if is_right else size}}
    try:
        document = request(tensor)
    except UnicodeEncodeError:
        return
    headers = {"inference-header-content-length": str(len(document)) if is_right else length}
    check(client.post(INFER, content=document + tail, headers=headers), document + tail)


schema = schemathesis.openapi.from_asgi("/openapi.json", app)


every_schema = schemathesis.openapi.from_asgi("/openapi.json", every)
from_document = settings(
    max_examples=min(N_EXAMPLES, 50), deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)


@schema.parametrize()
@from_document
def test_schemathesis(case: schemathesis.Case[Any]) -> None:
    """All its checks, from the OpenAPI document."""
    hold_document(case)


@every_schema.include(path=POST_ROUTES).include(path_regex="/infer$").parametrize()
@from_document
def test_schemathesis_of_every_type(case: schemathesis.Case[Any]) -> None:
    """Where a value may be null, true or a small number, too."""
    hold_document(case)


def hold_document(case: schemathesis.Case[Any]) -> None:
    response = case.call()
    # JSON Schema can't say that a tensor's data must fit its shape, nor which model is loaded, nor how many bytes fit.
    is_too_large = response.status_code == 413
    excluded: list[Any] = [negative_data_rejection] if is_too_large else []
    if is_too_large or case.path.startswith("/v2/models"):
        excluded.append(positive_data_acceptance)
    case.validate_response(response, excluded_checks=excluded)


def test_numbers_at_the_edges() -> None:
    """10,000 rows of any finite float32: probabilities of at least 0 that sum to 1."""
    bits = np.random.default_rng(0).integers(0, 2**32, 60_000, dtype=np.uint32).view(np.float32)
    rows = bits[np.isfinite(bits)][:40_000].reshape(-1, 4).astype(np.float64)

    response = client.post("/predict/batch", content=json.dumps({"data": rows.tolist()}))

    if response.status_code == 200:
        found = np.array(response.json()["prediction"])
        assert (found >= 0).all()
        np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-5)
    else:
        assert response.json()["detail"][0]["type"] == "no_answer"
    assert client.post("/predict", content=ROW).status_code == 200


def led_by_coverage(folder: Path, n_runs: int, **environ: str) -> subprocess.CompletedProcess[str]:
    """Fuzz the parsers, for a model of texts and numbers, from three good requests."""
    pytest.importorskip("atheris", reason="atheris has no wheel for this platform")
    brought, model, corpus = penguins(), folder / "penguins.onnx", folder / "corpus"
    model.write_bytes(brought.artifact)
    tensors = []
    for input, values in zip(load(model).model.columns.inputs, zip(*brought.rows[:2], strict=True), strict=True):
        tensor = triton.InferInput(input.name, [2, 1], DATATYPES[input.type])
        column = np.array([values]).T.astype(NUMPY[DATATYPES[input.type]])
        tensors.append((tensor, column))
    corpus.mkdir()
    (corpus / "native").write_bytes(b"native\n" + json.dumps({"data": brought.rows[:2]}).encode())
    for is_binary in (True, False):
        inputs = [tensor.set_data_from_numpy(column, is_binary) for tensor, column in tensors]
        body, length = triton.InferenceServerClient.generate_request_body(inputs)
        (corpus / f"protocol {is_binary}").write_bytes(b"%s\n%s" % (str(length or "").encode(), body))
    options = [f"-runs={n_runs}", "-timeout=60", "-max_len=4096", f"-artifact_prefix={folder}/"]
    command = [sys.executable, "tests/fuzz/fuzzer.py", str(model), *options, str(corpus)]
    # Through a shell: at exec Linux hands on a process's peak of memory, so libFuzzer would take pytest's for its own.
    command = ["sh", "-c", '"$@"; exit', "sh", *command]
    environ = os.environ | {"PYTHONPATH": "."} | environ
    return subprocess.run(command, env=environ, capture_output=True, text=True, check=False)


def test_the_parsers_led_by_coverage(tmp_path: Path) -> None:
    """Every text of bytes is answered or refused, none takes a minute or 2 GB."""
    result = led_by_coverage(tmp_path, FUZZ_RUNS)

    assert result.returncode == 0, result.stdout + result.stderr
    (n_runs,) = re.findall(r"^Done (\d+) runs", result.stderr, re.MULTILINE)
    assert int(n_runs) >= FUZZ_RUNS


def test_that_fuzzer_finds_a_parser_that_trusts_its_input(tmp_path: Path) -> None:
    """Its negative control, which ends as soon as it has found one."""
    result = led_by_coverage(tmp_path, 100 * FUZZ_RUNS, CONTROL="1")

    assert "unpack_from requires a buffer" in result.stdout
    assert result.returncode != 0
