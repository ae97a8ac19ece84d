"""Kinds of classifiers that people have: each answers as NumPy or its own framework does, or says why it isn't served."""

import json
import re
import warnings
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from mangum import Mangum
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper
from starlette.testclient import TestClient

from function.api.app import create_app
from function.api.v2.openapi import request_schema
from function.classifier import Classifier, load_bytes
from function.classifier.facts import Facts, Feature
from function.classifier.inputs import LARGEST, NO_MISSING
from function.classifier.missing import MISSING_TEXT, NO_ANSWER, UNCLEAR
from function.errors import ArtifactError, FeaturesError
from function.settings import Settings
from model import artifact
from model.compatibility import find_breaks
from tests.support.entry_points import EVENT_FORMS, Call, EntryPoint, http_entry_point, lambda_entry_point
from tests.support.kinds import (
    GAPS,
    KINDS,
    REFUSED,
    Gaps,
    Kind,
    by_hand,
    node,
    quantized,
    threshold,
    two_labels_that_differ,
)
from tests.support.models import NUMPY

TOLERANCE = 5e-6  # between float64 there and float32 here


def entry_points_of(artifact: bytes, **options: Any) -> Sequence[EntryPoint]:
    app = create_app(Settings(), load_bytes(artifact, name="brought", **options))
    return http_entry_point(TestClient(app)), lambda_entry_point(Mangum(app, lifespan="off"), EVENT_FORMS["HTTP API"])


def post(entry_point: EntryPoint, path: str, rows: Sequence[Any]) -> Any:
    return entry_point(Call("rows", "POST", path, json.dumps({"data": rows}).encode()))


def hold(kind: Kind, entry_points: Sequence[EntryPoint]) -> None:
    """Check every row's probabilities and label, at each route."""
    for entry_point in entry_points:
        answer = post(entry_point, "/predict/batch", kind.rows).json
        np.testing.assert_allclose(np.array(answer["prediction"]), kind.probabilities, rtol=0, atol=TOLERANCE)
        assert answer["label"] == kind.labels
        assert list(entry_point(Call("labels", "GET", "/label")).json.values()) == list(kind.classes)
        for index in range(0, len(kind.rows), len(kind.rows) // 5):
            row = [kind.rows[index]]
            assert post(entry_point, "/predict/label", row).json == {"prediction": kind.labels[index]}
            found = post(entry_point, "/predict", row).json["prediction"]
            np.testing.assert_allclose(found, kind.probabilities[index], rtol=0, atol=TOLERANCE)
        hold_protocol(kind, entry_point)


def hold_protocol(kind: Kind, entry_point: EntryPoint) -> None:
    """Check the Open Inference Protocol's tensors, also in binary unless a text may be missing."""
    model = entry_point(Call("model", "GET", "/v2/models/brought")).json
    probabilities, *label = model["outputs"]
    for is_binary in (False, True):
        body, headers = inference_request(model["inputs"], kind.rows, is_binary=is_binary)
        answer = entry_point(Call("infer", "POST", "/v2/models/brought/infer", body, headers))
        assert answer.status == 200, answer.body
        outputs = {output["name"]: output for output in answer.json["outputs"]}
        found = np.array(outputs[probabilities["name"]]["data"]).reshape(-1, len(kind.classes))
        np.testing.assert_allclose(found, kind.probabilities, rtol=0, atol=TOLERANCE)
        assert (len(label) == 1) is (kind.rule == "MODEL")
        for output in label:
            data = [
                str(int(value)) if type(value) is float else str(value) for value in outputs[output["name"]]["data"]
            ]
            assert (data, outputs[output["name"]]["datatype"]) == (kind.labels, output["datatype"])


def inference_request(
    inputs: Sequence[Any], rows: Sequence[Sequence[Any]], *, is_binary: bool
) -> tuple[bytes, dict[str, str]]:
    tensors, parts, start = [], b"", 0
    for described in inputs:
        shape = [len(rows), *described["shape"][1:]]
        width = [*shape, 1][1]
        values = [value for row in rows for value in row[start : start + width]]
        start += width
        tensor: dict[str, Any] = {"name": described["name"], "datatype": described["datatype"], "shape": shape}
        if is_binary and described["datatype"] != "BYTES":
            part = np.array(
                [np.nan if value is None else value for value in values], NUMPY[described["datatype"]]
            ).tobytes()
            tensor["parameters"], parts = {"binary_data_size": len(part)}, parts + part
        else:
            tensor["data"] = values
        tensors.append(tensor)
    document = json.dumps({"inputs": tensors}).encode()
    return document + parts, {"inference-header-content-length": str(len(document))}


@pytest.mark.parametrize("name", KINDS)
def test_its_own_label_and_probabilities_are_answered(name: str) -> None:
    """At every route, whatever the label's rule and the types of inputs and outputs are."""
    kind = KINDS[name]()
    entry_points = entry_points_of(kind.artifact)

    hold(kind, entry_points)
    for entry_point in entry_points:
        assert entry_point(Call("metadata", "GET", "/metadata")).json["label_rule"] == kind.rule


def test_a_quantized_softmax_is_served(tmp_path: Path) -> None:
    """Its sums are multiples of 1/256."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        kind = quantized(tmp_path)
    assert np.abs(kind.probabilities.sum(axis=1) - 1).max() > 1e-3

    hold(kind, entry_points_of(kind.artifact))


def test_no_answer_holds_a_negative_probability() -> None:
    """A forest that is certain gives -1.19e-07 and 1.0000001."""
    kind = KINDS["certain forest of 20"]()
    classifier = load_bytes(kind.artifact, name="forest")
    (raw,) = classifier.session.run(["probabilities"], [np.array(kind.rows, np.float32)])
    assert raw.min() < 0
    assert raw.max() > 1

    found = classifier.predict(kind.rows)

    assert (found.min(), found.max()) == (0, 1)


@pytest.mark.parametrize("name", KINDS)
def test_the_highest_probability_may_be_asked_for(name: str) -> None:
    """As the original pattern had it: LABEL_RULE=HIGHEST, at every route."""
    kind = KINDS[name]()
    highest = [kind.classes[place] for place in kind.probabilities.argmax(axis=1)]
    entry_points = entry_points_of(kind.artifact, label_rule="HIGHEST")

    for entry_point in entry_points:
        assert post(entry_point, "/predict/batch", kind.rows).json["label"] == highest
        assert entry_point(Call("metadata", "GET", "/metadata")).json["label_rule"] == "HIGHEST"


@pytest.mark.parametrize(("make", "message"), REFUSED.values(), ids=REFUSED)
def test_what_cant_be_answered_rightly_is_refused(make: Any, message: str) -> None:
    """With the reason, whatever labels are given to it."""
    artifact = make()

    for labels in (None, ["a", "b", "c", "d"]):
        with pytest.raises(ArtifactError) as raised:
            load_bytes(artifact, name="refused", labels=labels)
        assert re.fullmatch(message, str(raised.value)), raised.value


def test_probabilities_that_float32_cant_tell_apart_leave_the_label_to_the_model() -> None:
    """Its argmax is of float64, in which the second is a little more."""
    nodes = [
        helper.make_node("Cast", ["p"], ["p64"], to=TensorProto.DOUBLE),
        helper.make_node("Add", ["p64", "little"], ["precise"]),
        helper.make_node("ArgMax", ["precise"], ["label"], axis=1, keepdims=0),
    ]
    artifact = by_hand(
        nodes,
        [("label", TensorProto.INT64, [None])],
        probabilities=("precise", TensorProto.DOUBLE, [None, 2]),
        little=np.array([0, 1e-12]),
    )
    classifier = load_bytes(artifact, name="precise")
    level = [[0.0, 70.0]]  # 0.1 * 70 is 7

    assert classifier.predict(level).tolist() == [[0.5, 0.5]]
    assert classifier.predict_label(level) == ["1"]


def test_a_graph_that_picks_what_isnt_there_takes_no_missing_values() -> None:
    """It is read with care: onnxruntime finds such a thing when it runs it."""
    pick = helper.make_node("Gather", ["given", "far"], ["x"], axis=1)
    artifact = by_hand(inputs=[("given", TensorProto.FLOAT, [None, 2])], before=[pick], far=np.array([0, 5]))

    with pytest.raises(ArtifactError, match=r"^the model fails on its sample "):
        load_bytes(artifact, name="far")


def test_an_unclear_label_can_be_left_alone() -> None:
    """LABEL_RULE=HIGHEST needs none."""
    classifier = load_bytes(two_labels_that_differ(), name="two", label_rule="HIGHEST")

    assert (classifier.model.label_rule, classifier.model.signature.label_name) == ("HIGHEST", None)


def test_labels_in_a_file_order_a_label_that_the_trial_leaves_open() -> None:
    """It never gives one of its two texts; without them it is refused, for the other may belong to either column."""
    texts = {"yes": np.array(["fraud"], dtype=object), "no": np.array(["ok"], dtype=object)}
    where = helper.make_node("Where", ["is_second", "yes", "no"], ["label"])
    kind = threshold(2, [where], ("label", TensorProto.STRING, [None, 1]), ["ok", "fraud"], **texts)

    with pytest.raises(
        ArtifactError, match=r"^'label' gives ok, and the file doesn't say which class has which column; "
    ):
        load_bytes(kind.artifact, name="fraud")
    classifier = load_bytes(kind.artifact, name="fraud", labels=["ok", "fraud"])
    assert classifier.predict_label(kind.rows) == kind.labels == ["ok"] * len(kind.rows)


@pytest.mark.parametrize("name", GAPS)
def test_missing_values_are_answered_as_the_framework_does(name: str) -> None:
    """In the columns that were trained so; in the others null is refused, and NaN in binary tensors."""
    gaps = GAPS[name]()
    entry_points = entry_points_of(gaps.kind.artifact)

    assert any(None in row for row in gaps.kind.rows)
    hold(gaps.kind, entry_points)
    hold_refusing(gaps, entry_points)


def hold_refusing(gaps: Gaps, entry_points: Sequence[EntryPoint]) -> None:
    whole = next(row for row in gaps.kind.rows if None not in row)
    for entry_point in entry_points:
        features = entry_point(Call("metadata", "GET", "/metadata")).json["features"]
        assert [index for index, feature in enumerate(features) if "missing" not in feature] == gaps.refusing
        for column in gaps.refusing:
            row = [*whole[:column], None, *whole[column + 1 :]]
            answer = post(entry_point, "/predict", [row])
            (fault,) = answer.json["detail"]
            expected = "a string" if features[column]["type"] == "string" else "a number"
            message = f'row 0, "{features[column]["name"]}": expected {expected}, got null; {NO_MISSING}'
            assert (answer.status, fault["msg"], fault["loc"]) == (422, message, ["body", "data", 0, column])


def test_nothing_is_missing_where_it_isnt_known() -> None:
    """Unless ALLOW_MISSING=true says so; then the model's answer counts."""
    kind = KINDS["certain forest of 20"]()
    rows = [[None, *kind.rows[0][1:]]]

    assert [post(point, "/predict", rows).status for point in entry_points_of(kind.artifact)] == [422, 422]
    allowed = entry_points_of(kind.artifact, allow_missing=True)
    assert [post(point, "/predict", rows).status for point in allowed] == [200, 200]


def test_a_model_without_an_answer_to_a_missing_value_takes_none() -> None:
    """It is tried at the start, and said in one line."""
    classifier = load_bytes(by_hand(), name="plain", allow_missing=True)

    assert classifier.model.columns.fills == (None, None)
    assert classifier.model.notes == (
        (
            "missing values aren't accepted in feature 0, feature 1: the model's answer to its sample without a value "
            "isn't finite"
        ),
    )


def test_a_gap_that_no_setting_helps_is_refused_with_the_reason() -> None:
    """Not with the setting that was already set."""
    plain = load_bytes(by_hand(), name="plain", allow_missing=True)

    with pytest.raises(FeaturesError) as refused:
        plain.predict([[None, 0.0]])

    assert str(refused.value) == f'row 0, "feature 0": expected a number, got null; {NO_ANSWER}'


def branching(read: Sequence[str], then: Sequence[NodeProto] = ()) -> bytes:
    """A model of a text, which it encodes, and of a number; a branch, perhaps inside another one, reads tensors."""
    size = partial(node, "Size")
    body = helper.make_graph(
        [*then, *(size([name], [f"n_{place}"]) for place, name in enumerate(read)), size(["yes"], ["n"])],
        "body",
        [],
        [helper.make_tensor_value_info("n", TensorProto.INT64, [])],
    )
    inner = [node("If", ["yes"], ["n_inner"], then_branch=body, else_branch=body)]
    outer = helper.make_graph(inner, "outer", [], [helper.make_tensor_value_info("n_inner", TensorProto.INT64, [])])
    before = [
        node("OneHotEncoder", ["pay"], ["hot"], domain="ai.onnx.ml", cats_strings=["cash", MISSING_TEXT], zeros=1),
        node("Reshape", ["hot", "shape"], ["flat"]),
        node(
            "Imputer", ["age"], ["filled"], domain="ai.onnx.ml", imputed_value_floats=[1.5], replaced_value_float=np.nan
        ),
        node("If", ["yes"], ["n_outer"], then_branch=outer, else_branch=outer),
        node("Gather", ["flat", "zero"], ["first"], axis=1),
        node("Concat", ["first", "filled"], ["x"], axis=1),
    ]
    inputs = [("pay", TensorProto.STRING, [None, 1]), ("age", TensorProto.FLOAT, [None, 1])]
    return by_hand(before=before, inputs=inputs, yes=np.array(True), no=np.array(False), shape=np.array([-1, 2]))


def test_a_subgraph_that_reads_no_column_changes_nothing() -> None:
    """Nor does a loop that calls its own count like a column."""
    count, last = (helper.make_tensor_value_info(name, TensorProto.INT64, []) for name in ("pay", "last"))
    goes_on, more = (helper.make_tensor_value_info(name, TensorProto.BOOL, []) for name in ("goes_on", "more"))
    nodes = [node("Identity", ["goes_on"], ["more"]), node("Identity", ["pay"], ["last"])]
    body = helper.make_graph(nodes, "loop", [count, goes_on], [more, last])
    loop = node("Loop", ["", "no"], ["counts"], body=body)

    for then in ([], [loop]):
        gaps = load_bytes(branching(["filled"], then), name="gaps")
        assert gaps.model.columns.fills == pytest.approx((MISSING_TEXT, np.nan), nan_ok=True)


@pytest.mark.parametrize("allow_missing", [False, True])
def test_what_a_subgraph_makes_of_a_missing_text_isnt_known(*, allow_missing: bool) -> None:
    """So null is refused, whatever ALLOW_MISSING says; NaN has no other name, so it may be allowed."""
    gaps = load_bytes(branching(["pay", "age"]), name="gaps", allow_missing=allow_missing)

    with pytest.raises(FeaturesError) as refused:
        gaps.predict([[None, 1.5]])

    assert str(refused.value) == f'row 0, "pay": expected a string, got null; {UNCLEAR}'
    assert [fill is not None for fill in gaps.model.columns.fills] == [False, allow_missing]


def test_the_graph_shows_what_replaces_a_missing_text() -> None:
    """The facts of a file may be older."""
    features = (Feature(name="pay", missing=True, missing_text=""), Feature(name="age"))
    described = artifact.write(onnx.load_from_string(branching(["filled"])), Facts(features=features))

    assert load_bytes(described, name="gaps").model.columns.fills[0] == MISSING_TEXT


@pytest.mark.parametrize(("known", "expected"), [(["cash"], MISSING_TEXT), (["cash", "nan"], None)])
def test_one_encoder_of_two_knows_a_missing_text(known: Sequence[str], expected: str | None) -> None:
    """For the other it is one that it doesn't know, if ALLOW_MISSING says so; if both know one, it must be the same."""
    encode = partial(node, "OneHotEncoder", ["pay"], domain="ai.onnx.ml", zeros=1)
    before = [
        encode(outputs=["hot_1"], cats_strings=["cash", MISSING_TEXT]),
        encode(outputs=["hot_2"], cats_strings=known),
        node("Concat", ["hot_1", "hot_2"], ["hot"], axis=2),
        node("Reshape", ["hot", "shape"], ["flat"]),
        node("Gather", ["flat", "last"], ["x"], axis=1),
    ]
    shape, last = np.array([-1, 2 + len(known)]), np.array([1, 1 + len(known)])
    made = by_hand(before=before, inputs=[("pay", TensorProto.STRING, [None, 1])], shape=shape, last=last)

    assert load_bytes(made, name="two").model.columns.fills == (None,)
    assert load_bytes(made, name="two", allow_missing=True).model.columns.fills == (expected,)


def test_nan_isnt_json() -> None:
    """Where null is taken, too."""
    gaps = GAPS["imputer"]()
    body = b'{"data": [[NaN, 0, 0, 0, 0, 0]]}'
    for entry_point in entry_points_of(gaps.kind.artifact):
        answer = entry_point(Call("NaN", "POST", "/predict", body))
        message = 'row 0, "feature 0": expected a finite number, got NaN'
        assert (answer.status, answer.json["detail"][0]["msg"]) == (422, message)


def test_a_key_that_is_absent_isnt_null() -> None:
    """Rows that are objects name every feature."""
    gaps = GAPS["imputer"]()
    row: dict[str, Any] = {f"feature {index}": None for index in range(6)}
    for entry_point in entry_points_of(gaps.kind.artifact):
        assert post(entry_point, "/predict", [row]).status == 200
        absent = post(entry_point, "/predict", [{name: row[name] for name in list(row)[1:]}])
        assert (absent.status, absent.json["detail"][0]["type"]) == (422, "missing")


def test_openapi_tells_where_null_is_taken() -> None:
    """And where true and false are."""
    half, flags = GAPS["half of the columns"](), KINDS["input of bool"]()
    app = create_app(Settings(), load_bytes(half.kind.artifact, name="half"))
    flagged = create_app(Settings(), load_bytes(flags.artifact, name="flags"))

    def values_of(app: Any) -> Any:
        body = app.openapi()["paths"]["/predict"]["post"]["requestBody"]["content"]["application/json"]["schema"]
        return list(body["properties"]["data"]["anyOf"][1]["items"]["properties"].values())

    assert [value["type"] for value in values_of(app)] == [["number", "null"]] * 3 + ["number"] * 3
    assert values_of(flagged) == [{"type": "boolean"}] * 2
    model = flagged_numbers().model
    takes_both = {"type": ["number", "boolean", "null"], "minimum": -LARGEST["float32"], "maximum": LARGEST["float32"]}
    assert values_of(create_app(Settings(), flagged_numbers()))[0] == takes_both
    assert request_schema(model)["example"]["inputs"][0]["data"][0] == 1.0
    assert type(request_schema(model)["example"]["inputs"][0]["data"][0]) is float


def flagged_numbers() -> Classifier:
    """A model of numbers of which the first was true or false."""
    classifier = load_bytes(GAPS["half of the columns"]().kind.artifact, name="flags")
    columns, sample = classifier.model.columns, (True, *classifier.model.sample[1:])
    features = (columns.features[0].model_copy(update={"boolean": True}), *columns.features[1:])
    return Classifier(
        classifier.session, replace(classifier.model, columns=replace(columns, features=features), sample=sample)
    )


def test_a_client_of_true_and_false_breaks_where_these_are_refused() -> None:
    """Numbers are accepted by both."""
    plain, flagged = (
        load_bytes(GAPS["half of the columns"]().kind.artifact, name="flags").model,
        flagged_numbers().model,
    )

    assert find_breaks(flagged, plain) == [
        "feature feature 0: true and false were accepted before, and are refused now"
    ]
    assert find_breaks(plain, flagged) == []


RANGE_FAULTS: list[tuple[str, Any, str]] = [
    ("uint8", -1, "expected a whole number, got one outside 0 to 255"),
    ("uint8", 256, "expected a whole number, got one outside 0 to 255"),
    ("uint8", 0.5, "expected a whole number, got one with decimals"),
    ("uint8", None, "expected a number, got null; uint8 has no missing value"),
    ("uint8", True, "expected a number, got a boolean"),
    ("int16", 32768, "expected a whole number, got one outside -32768 to 32767"),
    ("uint64", -1, "expected a whole number, got one outside 0 to 9007199254740991"),
    ("bool", 1, "expected true or false, got a number"),
    ("bool", "true", "expected true or false, got a string"),
    ("bool", None, "expected true or false, got null; bool has no missing value"),
]


@pytest.mark.parametrize(("kind", "value", "message"), RANGE_FAULTS)
@pytest.mark.parametrize("n_rows", [1, 100])
def test_a_type_has_its_own_values(kind: str, value: Any, message: str, n_rows: int) -> None:
    """And no others, alone or among many."""
    brought = KINDS[f"input of {kind}"]()
    rows = [*brought.rows[: n_rows - 1], [brought.rows[0][0], value]]
    for entry_point in entry_points_of(brought.artifact):
        answer = post(entry_point, "/predict/batch", rows)
        expected = f'row {n_rows - 1}, "feature 1": {message}'
        assert (answer.status, answer.json["detail"][0]["msg"]) == (422, expected)


def test_a_binary_boolean_is_0_or_1() -> None:
    """Other bytes would be true without a word."""
    kind = KINDS["input of bool"]()
    head = json.dumps(
        {"inputs": [{"name": "given", "datatype": "BOOL", "shape": [1, 2], "parameters": {"binary_data_size": 2}}]}
    ).encode()
    for entry_point in entry_points_of(kind.artifact):
        call = Call(
            "infer", "POST", "/v2/models/brought/infer", head + b"\x01\x02",
            {"inference-header-content-length": str(len(head))},
        )  # fmt: skip
        message = 'input "given": expected each boolean as a byte that is 0 or 1, got another'
        assert (entry_point(call).status, entry_point(call).json) == (400, {"error": message})


def test_half_floats_are_taken_as_far_as_they_reach() -> None:
    """In binary, and as JSON's numbers."""
    cast = helper.make_node("Cast", ["given"], ["x"], to=TensorProto.FLOAT)
    artifact = by_hand(inputs=[("given", TensorProto.FLOAT16, [None, 2])], before=[cast])
    classifier = load_bytes(artifact, name="half")
    app = create_app(Settings(), classifier)
    rows: NDArray[np.float16] = np.array([[1.5, -2.25]], dtype=np.float16)
    expected = TestClient(app).post("/predict", json={"data": rows.tolist()}).json()["prediction"]
    inputs = TestClient(app).get("/v2/models/half").json()["inputs"]
    body, headers = inference_request(inputs, rows.tolist(), is_binary=True)

    answer = TestClient(app).post("/v2/models/half/infer", content=body, headers=headers).json()

    assert inputs == [{"name": "given", "datatype": "FP16", "shape": [-1, 2]}]
    assert answer["outputs"][0]["data"] == expected
    fault = TestClient(app).post("/predict", json={"data": [[0, 65520]]}).json()["detail"][0]
    assert fault["msg"] == 'row 0, "feature 1": expected a finite number, got one beyond float16\'s ±6.55e+04'
