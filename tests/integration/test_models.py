"""Users' classifiers: each answers as its own framework does, on all rows of a real data set."""

import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
import pytest
from mangum import Mangum
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import StringTensorType
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from starlette.testclient import TestClient

from function.api.app import create_app
from function.classifier import Classifier, load_bytes
from function.classifier.facts import FACTS_KEY
from function.classifier.inputs import NO_MISSING
from function.classifier.session import Session
from function.errors import ArtifactError, FeaturesError
from function.settings import Settings
from tests.support.entry_points import EVENT_FORMS, Call, EntryPoint, http_entry_point, lambda_entry_point
from tests.support.models import (
    MODELS,
    NUMPY,
    Brought,
    int32,
    penguins,
    sklearn,
    wine,
)

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # gevent's, when it is imported
    import tritonclient.http as triton

TOLERANCE = 5e-6  # between float64 there and float32 here, on features of up to 6,300


@pytest.fixture(scope="module", params=MODELS)
def brought(request: pytest.FixtureRequest) -> Brought:
    return MODELS[request.param]()


@pytest.fixture(scope="module")
def entry_points(brought: Brought) -> Sequence[EntryPoint]:
    app = create_app(Settings(), load_bytes(brought.artifact, name="brought"))
    return http_entry_point(TestClient(app)), lambda_entry_point(Mangum(app, lifespan="off"), EVENT_FORMS["HTTP API"])


def test_it_answers_as_its_own_framework_does(brought: Brought, entry_points: Sequence[EntryPoint]) -> None:
    """Every row's probabilities, and the label that goes with the highest."""
    body = json.dumps({"data": brought.rows}).encode()
    for entry_point in entry_points:
        answer = entry_point(Call("all rows", "POST", "/predict/batch", body)).json
        found = np.array(answer["prediction"])
        assert found.shape == brought.probabilities.shape
        np.testing.assert_allclose(found, brought.probabilities, rtol=0, atol=TOLERANCE)
        assert answer["label"] == [brought.labels[index] for index in found.argmax(axis=1)]


def test_a_row_alone_is_answered_as_in_its_batch(brought: Brought, entry_points: Sequence[EntryPoint]) -> None:
    """Even if the model changes the shape for one row."""
    rows = brought.rows[:5]
    for entry_point in entry_points:
        batch = entry_point(Call("rows", "POST", "/predict/batch", json.dumps({"data": rows}).encode())).json[
            "prediction"
        ]
        for row, expected in zip(rows, batch, strict=True):
            answer = entry_point(Call("row", "POST", "/predict", json.dumps({"data": [row]}).encode())).json
            np.testing.assert_allclose(answer["prediction"], expected, rtol=0, atol=TOLERANCE)
        sample = entry_point(Call("sample", "GET", "/predict/test")).json["prediction"]
        assert sample == entry_point(Call("metadata", "GET", "/metadata")).json["prediction_sample"]


def test_it_names_its_own_classes(brought: Brought, entry_points: Sequence[EntryPoint]) -> None:
    """Without a label.json: as its file has them."""
    for entry_point in entry_points:
        answer = entry_point(Call("labels", "GET", "/label")).json
        assert answer == {str(index): label for index, label in enumerate(brought.labels)}


@pytest.mark.parametrize("is_binary", [True, False], ids=["binary", "JSON"])
def test_the_protocol_gives_the_same(brought: Brought, entry_points: Sequence[EntryPoint], *, is_binary: bool) -> None:
    """To the bit, from inputs of the names and datatypes that it tells."""
    body = json.dumps({"data": brought.rows}).encode()
    for entry_point in entry_points:
        expected = entry_point(Call("all rows", "POST", "/predict/batch", body)).json
        model = entry_point(Call("model", "GET", "/v2/models/brought")).json
        tensors = []
        start = 0
        for described in model["inputs"]:
            end = start + described["shape"][1]
            tensor = triton.InferInput(described["name"], [len(brought.rows), end - start], described["datatype"])
            values = np.array([row[start:end] for row in brought.rows])
            tensors.append(tensor.set_data_from_numpy(values.astype(NUMPY[described["datatype"]]), is_binary))
            start = end
        body_v2, length = triton.InferenceServerClient.generate_request_body(tensors)
        headers = {"inference-header-content-length": str(length)} if is_binary else {}

        answer = entry_point(Call("infer", "POST", "/v2/models/brought/infer", body_v2, headers))

        assert answer.status == 200, answer.body
        result = triton.InferenceServerClient.parse_response_body(
            answer.body, header_length=int(answer.json_length or 0)
        )
        for output in model["outputs"]:
            found = result.as_numpy(output["name"])
            if output["datatype"] == "FP32":
                assert np.array_equal(found, np.array(expected["prediction"], dtype=np.float32))
            else:
                labels = [value.decode() if isinstance(value, bytes) else str(value) for value in found]
                assert labels == expected["label"]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (0.5, "expected a whole number, got one with decimals"),
        (2.0**53, "expected a whole number, got one beyond ±9007199254740991"),  # which 2**53 + 1 is rounded to
        (-(2.0**60), "expected a whole number, got one beyond ±9007199254740991"),
        (float("nan"), "expected a whole number, got NaN"),
        (float("-inf"), "expected a whole number, got -Infinity"),
    ],
)
def test_a_model_of_whole_numbers_takes_no_others(value: float, message: str) -> None:
    """They would be rounded without a word."""
    classifier = load_bytes(MODELS["RandomForest, int64"]().artifact, name="digits")
    rows = [[0.0] * 64, [0.0] * 63 + [value]]

    with pytest.raises(FeaturesError) as raised:
        classifier.predict(rows)

    assert (raised.value.message, raised.value.type) == (f'row 1, "feature 63": {message}', "whole_number")
    assert raised.value.where == (1, 63)


def test_int32_has_its_own_limit() -> None:
    """One more would come out negative."""
    classifier = load_bytes(int32().artifact, name="digits")

    classifier.predict([[float(2**31 - 1)] * 64])
    with pytest.raises(FeaturesError, match="got one outside -2147483648 to 2147483647"):
        classifier.predict([[float(2**31)] * 64])


def test_two_features_of_one_name_are_refused(artifact: Path) -> None:
    """In a row that is an object they would get one value."""
    model = onnx.load(artifact)
    facts = json.loads(model.metadata_props[0].value)
    facts["features"][1]["name"] = facts["features"][0]["name"]
    helper.set_model_props(model, {FACTS_KEY: json.dumps(facts)})

    with pytest.raises(ArtifactError, match=r"^its facts give two features the same name; write the facts again"):
        load_bytes(model.SerializeToString(), name="twins")


PENGUIN = ["Torgersen", 39.1, 18.7, 181, 3750, "male", 2007]
PENGUIN_NAMES = "island, bill_length_mm, bill_depth_mm, flipper_length_mm, body_mass_g, sex, year"


@pytest.fixture(scope="module")
def penguin_client() -> TestClient:
    return TestClient(create_app(Settings(), load_bytes(penguins().artifact, name="penguins")))


def changed(column: int, value: Any) -> list[Any]:
    return [*PENGUIN[:column], value, *PENGUIN[column + 1 :]]


MIXED_FAULTS: dict[str, tuple[Any, str, str, list[int]]] = {
    "unknown text": (
        changed(0, "Anticosti"),
        'row 1, "island": expected one of Biscoe, Dream, Torgersen, got another value',
        "unknown_value",
        [1, 0],
    ),
    "another unknown text": (
        changed(5, "Male"),
        'row 1, "sex": expected one of female, male, got another value',
        "unknown_value",
        [1, 5],
    ),
    "number for text": (changed(0, 1), 'row 1, "island": expected a string, got a number', "string_type", [1, 0]),
    "null for text": (
        changed(5, None),
        f'row 1, "sex": expected a string, got null; {NO_MISSING}',
        "string_type",
        [1, 5],
    ),
    "text for number": (
        changed(1, "39.1"),
        'row 1, "bill_length_mm": expected a number, got a string',
        "float_type",
        [1, 1],
    ),
    "boolean for number": (
        changed(4, True),
        'row 1, "body_mass_g": expected a number, got a boolean',
        "float_type",
        [1, 4],
    ),
    "decimals for a whole number": (
        changed(6, 2007.5),
        'row 1, "year": expected a whole number, got one with decimals',
        "whole_number",
        [1, 6],
    ),
    "beyond float32": (
        changed(2, 1e39),
        'row 1, "bill_depth_mm": expected a finite number, got one beyond float32\'s ±3.403e+38',
        "finite_number",
        [1, 2],
    ),
    "too narrow": (PENGUIN[:6], f"row 1 has 6 features; the model takes 7: {PENGUIN_NAMES}", "row_width", [1]),
    "too wide": ([*PENGUIN, 1], f"row 1 has 8 features; the model takes 7: {PENGUIN_NAMES}", "row_width", [1]),
    "no row": (
        "Torgersen",
        f"row 1: expected a list of numbers and strings, got a string; the model takes 7: {PENGUIN_NAMES}",
        "list_type",
        [1],
    ),
}


@pytest.mark.parametrize(("row", "message", "kind", "where"), MIXED_FAULTS.values(), ids=MIXED_FAULTS)
def test_a_column_takes_its_own_type(
    penguin_client: TestClient, row: Any, message: str, kind: str, where: list[int]
) -> None:
    """Numbers or texts; and texts that the model itself doesn't know are the caller's fault, by name."""
    response = penguin_client.post("/predict/batch", json={"data": [PENGUIN, row]})

    expected = {"detail": [{"loc": ["body", "data", *where], "msg": message, "type": kind}]}
    assert (response.status_code, response.json()) == (422, expected)


def test_mixed_rows_may_be_objects(penguin_client: TestClient) -> None:
    """As the input's names are the features'."""
    row = dict(zip(PENGUIN_NAMES.split(", "), PENGUIN, strict=True))
    reverse = dict(reversed(row.items()))

    answers = [penguin_client.post("/predict", json={"data": [form]}).json() for form in (PENGUIN, row, reverse)]

    assert answers[0] == answers[1] == answers[2]
    faulty = penguin_client.post("/predict", json={"data": [row | {"sex": 1}]}).json()["detail"]
    assert faulty[0]["msg"] == 'row 0, "sex": expected a string, got a number'


def test_metadata_tells_each_columns_type(penguin_client: TestClient) -> None:
    """And the texts that the model's encoders know, the first of which are the sample's."""
    metadata = penguin_client.get("/metadata").json()

    assert (metadata["data_type"], metadata["data_structure"]) == ("string, float32, int64", "(1,7)")
    assert metadata["data_sample"] == [["Biscoe", 0, 0, 0, 0, "female", 0]]
    assert metadata["features"][:2] == [
        {"name": "island", "type": "string", "values": ["Biscoe", "Dream", "Torgersen"]},
        {"name": "bill_length_mm", "type": "float32"},
    ]
    assert [feature["type"] for feature in metadata["features"][2:]] == [*["float32"] * 3, "string", "int64"]
    body = penguin_client.get("/openapi.json").json()["paths"]["/predict"]["post"]["requestBody"]["content"]
    rows = [form["items"] for form in body["application/json"]["schema"]["properties"]["data"]["anyOf"]]
    assert rows[0]["prefixItems"] == list(rows[1]["properties"].values())
    types = ["string", "number", "number", "number", "number", "string", "integer"]
    assert [value["type"] for value in rows[0]["prefixItems"]] == types
    assert rows[0]["prefixItems"][6] == {"type": "integer", "minimum": 1 - 2**53, "maximum": 2**53 - 1}


TEXTS = b"\x05\x00\x00\x00Dream"


@pytest.mark.parametrize(
    ("part", "message"),
    [
        (TEXTS[:-1], 'input "island": expected each text as a 4-byte length and its bytes, got fewer bytes'),
        (TEXTS[:3], 'input "island": expected each text as a 4-byte length and its bytes, got fewer bytes'),
        (TEXTS * 2, 'input "island": expected 1 values for shape [1, 1], got 2'),
        (b"\x01\x00\x00\x00\xff", 'input "island": expected texts in UTF-8, got other bytes'),
        (b"\x03\x00\x00\x00Rum", 'row 0, "island": expected one of Biscoe, Dream, Torgersen, got another value'),
    ],
    ids=["cut", "cut in the length", "two", "not UTF-8", "unknown"],
)
def test_binary_texts_that_are_refused(penguin_client: TestClient, part: bytes, message: str) -> None:
    """Each a length and UTF-8."""
    model = penguin_client.get("/v2/models/penguins").json()
    inputs = [{"name": i["name"], "datatype": i["datatype"], "shape": [1, 1], "data": [1]} for i in model["inputs"]]
    inputs[5]["data"] = ["male"]
    del inputs[0]["data"]

    def infer(part: bytes) -> Any:
        inputs[0]["parameters"] = {"binary_data_size": len(part)}
        document = json.dumps({"inputs": inputs}).encode()
        headers = {"inference-header-content-length": str(len(document))}
        return penguin_client.post("/v2/models/penguins/infer", content=document + part, headers=headers)

    assert infer(TEXTS).status_code == 200
    answer = infer(part)
    assert (answer.status_code, answer.json()) == (400, {"error": message})


def test_inputs_of_different_length_are_refused(penguin_client: TestClient) -> None:
    """A row has a value of each."""
    model = penguin_client.get("/v2/models/penguins").json()
    inputs = [
        {"name": i["name"], "datatype": i["datatype"], "shape": [2 if i["name"] == "sex" else 1, 1], "data": [1]}
        for i in model["inputs"]
    ]

    answer = penguin_client.post("/v2/models/penguins/infer", json={"inputs": inputs})

    message = "expected the same number of rows in every input"
    assert (answer.status_code, answer.json()) == (400, {"error": message})


def test_a_text_that_the_model_can_ignore_is_taken() -> None:
    """As its encoder was told: handle_unknown="ignore"."""
    classifier = load_bytes(penguins(handle_unknown="ignore").artifact, name="penguins")

    assert classifier.predict_label([changed(0, "Anticosti")]) == ["Adelie"]


def test_a_row_that_the_model_fails_on_for_no_single_value_is_named() -> None:
    """It looks its answer up by the sum of two whole numbers, which is there up to 2."""
    nodes = [
        helper.make_node("ReduceSum", ["x", "axis"], ["sum"], keepdims=0),
        helper.make_node("Gather", ["table", "sum"], ["probabilities"]),
    ]
    table = np.array([[0.5, 0.5], [0.25, 0.75], [1, 0]], dtype=np.float32)
    graph = helper.make_graph(
        nodes,
        "look_up",
        [helper.make_tensor_value_info("x", TensorProto.INT64, [None, 2])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [None, 2])],
        [numpy_helper.from_array(table, "table"), numpy_helper.from_array(np.array([1]), "axis")],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    classifier = load_bytes(proto.SerializeToString(), name="look_up")

    assert classifier.predict([[1, 0], [1, 1]]).tolist() == [[0.25, 0.75], [1, 0]]
    with pytest.raises(FeaturesError) as raised:
        classifier.predict([[1, 0], [2, 2]])
    assert (
        raised.value.message == "row 1: the model fails on its values; are they like the values that it was trained on?"
    )
    assert (raised.value.type, raised.value.where) == ("no_answer", (1,))
    with pytest.raises(FeaturesError, match=r'^row 1, "feature 1": expected one that the model was trained on, got '):
        classifier.predict([[1, 0], [0, 9]])


def test_labels_in_an_order_that_the_model_contradicts_change_nothing() -> None:
    """What its classes are called is in the file."""
    artifact = sklearn(KNeighborsClassifier(), wine("names")).artifact

    classifier = load_bytes(artifact, name="wine", labels=["class_1", "class_0", "class_2"])

    assert classifier.model.labels == ("class_0", "class_1", "class_2")


def small(
    nodes: list[onnx.NodeProto], weights: dict[str, NDArray[Any]], kind: int, width: int, shape: list[Any]
) -> bytes:
    """A graph by hand, from x to probabilities."""
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("x", kind, [None, width])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    artifact: bytes = proto.SerializeToString()
    return artifact


def test_a_model_that_knows_few_values_is_served() -> None:
    """An embedding: it fails on most of the rows that it is probed with."""
    nodes = [
        helper.make_node("Gather", ["table", "x"], ["rows"]),
        helper.make_node("Squeeze", ["rows", "axis"], ["logits"]),
        helper.make_node("Sigmoid", ["logits"], ["probabilities"]),
    ]
    weights = {"table": np.array([[-1], [0], [1]], dtype=np.float32), "axis": np.array([1])}
    classifier = load_bytes(small(nodes, weights, TensorProto.INT64, 1, [None, 1]), name="embedding")

    assert classifier.predict([[0], [2]]) == pytest.approx(np.array([[0.731, 0.269], [0.269, 0.731]]), abs=1e-3)
    with pytest.raises(FeaturesError, match=r'^row 1, "feature 0": expected one that the model was trained on'):
        classifier.predict([[1], [3]])


def test_logits_that_happen_to_sum_to_1_are_refused() -> None:
    """At the sample, which is zeros; not at the rows around it."""
    weights = {"w": np.array([[1], [2], [3]], dtype=np.float32).T, "b": np.array([0.2, 0.3, 0.5], dtype=np.float32)}
    nodes = [helper.make_node("Gemm", ["x", "w", "b"], ["probabilities"])]

    with pytest.raises(
        ArtifactError, match=r"^'probabilities' isn't probabilities, from 0 to 1: \[.*; is it a regressor"
    ):
        load_bytes(small(nodes, weights, TensorProto.FLOAT, 1, [None, 3]), name="logits")


def test_an_answer_that_isnt_one_for_each_row_is_refused() -> None:
    """As many as there are in the file, whatever comes."""
    nodes = [
        helper.make_node("Mul", ["x", "zero"], ["nothing"]),
        helper.make_node("ReduceSum", ["nothing"], ["sum"], keepdims=0),
        helper.make_node("Add", ["sum", "table"], ["probabilities"]),
    ]
    weights = {"zero": np.array(0, dtype=np.float32), "table": np.full((2, 2), 0.5, dtype=np.float32)}

    with pytest.raises(
        ArtifactError,
        match=r"^expected probabilities of shape .*, got another shape from 'probabilities'; ",
    ):
        load_bytes(small(nodes, weights, TensorProto.FLOAT, 1, [None, 2]), name="table")


def test_a_model_of_many_columns_is_searched_for_its_fault_in_few_steps() -> None:
    """By halves: 300 inputs of texts, the last of them unknown, cost some twenty runs."""
    names = [f"t{index}" for index in range(300)]
    rows = pd.DataFrame([["a"] * 300, ["b"] * 300], columns=names)
    model = make_pipeline(OneHotEncoder(), LogisticRegression()).fit(rows, [0, 1])
    types = [(name, StringTensorType([None, 1])) for name in names]
    artifact = convert_sklearn(model, initial_types=types, options={"zipmap": False}).SerializeToString()
    classifier = load_bytes(artifact, name="wide")
    n_runs = 0

    class Counting(Session):
        def run(self, outputs: Sequence[str], arrays: Any) -> Any:
            nonlocal n_runs
            n_runs += 1
            return super().run(outputs, arrays)

    counting = Classifier(Counting(artifact), classifier.model)
    with pytest.raises(FeaturesError, match=r'^row 99, "t299": expected one of a, b, got another value$'):
        counting.predict([["a"] * 300] * 99 + [["a"] * 299 + ["c"]])
    assert n_runs < 25
