"""Classifiers that users bring: each answers as its own framework does, on all rows of a real data set."""

import json
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
import pytest
from mangum import Mangum
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType, Int64TensorType
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_breast_cancer, load_digits, load_wine
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from starlette.testclient import TestClient

from function.app import create_app
from function.artifact import FACTS_KEY
from function.classifier import Classifier
from function.errors import ArtifactError, FeaturesError
from function.settings import Settings
from tests.doors import EVENT_FORMS, Call, Door, http_door, lambda_door

SEED = 0
TOLERANCE = 2e-5  # between float64 there and float32 here, on features of up to 2,500


class Brought(NamedTuple):
    """A model as ONNX, and what its own framework makes of the rows."""

    artifact: bytes
    rows: list[list[float]]
    probabilities: NDArray[np.float64]
    labels: list[str]


def wine(targets: str) -> tuple[NDArray[np.float64], NDArray[Any]]:
    """178 rows of 13 features; three classes: numbers from 0, numbers from 1, or names."""
    data = load_wine()
    classes = {"numbers": np.array([0, 1, 2]), "from 1": np.array([1, 2, 3]), "names": data.target_names}[targets]
    return data.data.astype(np.float32).astype(np.float64), classes[data.target]


def sklearn(
    estimator: Any, data: tuple[NDArray[np.float64], NDArray[Any]], kind: Any = FloatTensorType, n_rows: int | None = None,
    zipmap: bool = False,  # noqa: FBT001, FBT002
) -> Brought:  # fmt: skip
    """Train it, convert it, and have it answer all rows."""
    rows, targets = data
    estimator.fit(rows, targets)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # skl2onnx 1.20 reads what scikit-learn 1.9 deprecates
        initial_types = [("rows", kind([n_rows, rows.shape[1]]))]
        model = convert_sklearn(estimator, initial_types=initial_types, options={"zipmap": zipmap})
    labels = [str(class_id) for class_id in estimator.classes_]
    return Brought(model.SerializeToString(), rows.tolist(), estimator.predict_proba(rows), labels)


def scaled(estimator: Any) -> Any:
    return make_pipeline(StandardScaler(), estimator)


def digits() -> tuple[NDArray[np.float64], NDArray[Any]]:
    """1,797 rows of 64 whole numbers; ten classes."""
    return load_digits(return_X_y=True)  # type: ignore[no-any-return]


def breast_cancer() -> tuple[NDArray[np.float64], NDArray[Any]]:
    """569 rows of 30 features; two classes."""
    rows, targets = load_breast_cancer(return_X_y=True)
    return rows.astype(np.float32).astype(np.float64), targets


def sigmoid(rank: int) -> Brought:
    """By hand, as PyTorch and Keras export it: one column, or one dimension, and no word about classes."""
    rows, targets = breast_cancer()
    rows = (rows - rows.mean(axis=0)) / rows.std(axis=0)
    model = LogisticRegression().fit(rows, targets)
    weights = {"w": model.coef_.T.astype(np.float32), "b": model.intercept_.astype(np.float32)}
    nodes = [helper.make_node("Gemm", ["x", "w", "b"], ["logits"]), helper.make_node("Sigmoid", ["logits"], ["column"])]
    if rank == 1:
        weights["axis"] = np.array([1])
        nodes.append(helper.make_node("Squeeze", ["column", "axis"], ["line"]))
    shape: list[str | int | None] = ["batch", 1]
    graph = helper.make_graph(
        nodes,
        "sigmoid",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 30])],
        [helper.make_tensor_value_info(nodes[-1].output[0], TensorProto.FLOAT, shape[:rank])],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(proto)
    return Brought(proto.SerializeToString(), rows.tolist(), model.predict_proba(rows), ["0", "1"])


def int32() -> Brought:
    """By hand, for skl2onnx has no such input: digits, cast to what the model takes."""
    brought = sklearn(RandomForestClassifier(20, random_state=SEED), digits(), Int64TensorType)
    proto = onnx.ModelProto.FromString(brought.artifact)
    proto.graph.input[0].name = "small"
    proto.graph.input[0].type.tensor_type.elem_type = TensorProto.INT32
    proto.graph.node.insert(0, helper.make_node("Cast", ["small"], ["rows"], to=TensorProto.INT64))
    return brought._replace(artifact=proto.SerializeToString())


MODELS: dict[str, Callable[[], Brought]] = {
    "LogisticRegression, names": lambda: sklearn(scaled(LogisticRegression()), wine("names")),
    "LogisticRegression, names, ZipMap": lambda: sklearn(scaled(LogisticRegression()), wine("names"), zipmap=True),
    "LogisticRegression, float64": lambda: sklearn(scaled(LogisticRegression()), wine("from 1"), DoubleTensorType),
    "LogisticRegression, one row": lambda: sklearn(scaled(LogisticRegression()), wine("names"), n_rows=1),
    "LogisticRegression, one row, ZipMap": lambda: sklearn(
        scaled(LogisticRegression()), wine("from 1"), n_rows=1, zipmap=True
    ),
    "LogisticRegression, two classes": lambda: sklearn(scaled(LogisticRegression()), breast_cancer()),
    "RandomForest, from 1": lambda: sklearn(RandomForestClassifier(20, random_state=SEED), wine("from 1")),
    "RandomForest, int64": lambda: sklearn(RandomForestClassifier(20, random_state=SEED), digits(), Int64TensorType),
    "GradientBoosting": lambda: sklearn(
        GradientBoostingClassifier(n_estimators=20, random_state=SEED), wine("numbers")
    ),
    "GaussianNB, names": lambda: sklearn(scaled(GaussianNB()), wine("names")),
    "RandomForest, int32": int32,
    "MLP, from 1": lambda: sklearn(scaled(MLPClassifier(max_iter=1000, random_state=SEED)), wine("from 1")),
    "SVC, names": lambda: sklearn(scaled(CalibratedClassifierCV(SVC(), ensemble=False)), wine("names")),
    "sigmoid, one column": lambda: sigmoid(2),
    "sigmoid, one dimension": lambda: sigmoid(1),
}


@pytest.fixture(scope="module", params=MODELS)
def brought(request: pytest.FixtureRequest) -> Brought:
    return MODELS[request.param]()


@pytest.fixture(scope="module")
def doors(brought: Brought) -> Sequence[Door]:
    app = create_app(Settings(), Classifier(brought.artifact, name="brought"))
    return http_door(TestClient(app)), lambda_door(Mangum(app, lifespan="off"), EVENT_FORMS["HTTP API"])


def test_it_answers_as_its_own_framework_does(brought: Brought, doors: Sequence[Door]) -> None:
    """Every row's probabilities, and the label that goes with the highest."""
    body = f'{{"data": {brought.rows}}}'.encode()
    for door in doors:
        answer = door(Call("all rows", "POST", "/predict/batch", body)).json
        found = np.array(answer["prediction"])
        assert found.shape == brought.probabilities.shape
        np.testing.assert_allclose(found, brought.probabilities, rtol=0, atol=TOLERANCE)
        assert answer["label"] == [brought.labels[index] for index in found.argmax(axis=1)]


def test_it_names_its_own_classes(brought: Brought, doors: Sequence[Door]) -> None:
    """Without a label.json: as its file has them."""
    for door in doors:
        answer = door(Call("labels", "GET", "/label")).json
        assert answer == {str(index): label for index, label in enumerate(brought.labels)}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (0.5, "expected a whole number, got one with decimals"),
        (float(2**60), "expected a whole number, got one beyond ±9007199254740992"),
        (float("nan"), "expected a whole number, got NaN"),
        (float("-inf"), "expected a whole number, got -Infinity"),
    ],
)
def test_a_model_of_whole_numbers_takes_no_others(value: float, message: str) -> None:
    """They would be rounded without a word."""
    classifier = Classifier(MODELS["RandomForest, int64"]().artifact, name="digits")
    rows = [[0.0] * 64, [0.0] * 63 + [value]]

    with pytest.raises(FeaturesError) as raised:
        classifier.predict(rows)

    assert (raised.value.message, raised.value.type) == (f'row 1, "feature 63": {message}', "whole_number")
    assert raised.value.where == (1, 63)


def test_int32_has_its_own_limit() -> None:
    """One more would come out negative."""
    classifier = Classifier(int32().artifact, name="digits")

    classifier.predict([[float(2**31 - 1)] * 64])
    with pytest.raises(FeaturesError, match="got one beyond ±2147483647"):
        classifier.predict([[float(2**31)] * 64])


@pytest.mark.parametrize("targets", ["names", "from 1"])
def test_classes_that_the_file_doesnt_name_must_be_named(targets: str) -> None:
    """The model's own answer to its sample shows that they aren't 0, 1, 2."""
    proto = onnx.ModelProto.FromString(sklearn(scaled(GaussianNB()), wine(targets)).artifact)
    for tensor in proto.graph.initializer:
        tensor.name = tensor.name.replace("classes", "hidden")
    for node in proto.graph.node:
        node.input[:] = [name.replace("classes", "hidden") for name in node.input]
    artifact = proto.SerializeToString()

    with pytest.raises(
        ArtifactError, match=r"^'label' gives '.*' for the sample, and the file doesn't say which class "
    ):
        Classifier(artifact, name="wine")
    assert Classifier(artifact, name="wine", labels=["a", "b", "c"]).labels == ("a", "b", "c")


def test_two_features_of_one_name_are_refused(artifact: Path) -> None:
    """In a row that is an object they would get one value."""
    model = onnx.load(artifact)
    facts = json.loads(model.metadata_props[0].value)
    facts["features"][1]["name"] = facts["features"][0]["name"]
    helper.set_model_props(model, {FACTS_KEY: json.dumps(facts)})

    with pytest.raises(ArtifactError, match=r"^its facts give two features one name; write the facts anew"):
        Classifier(model.SerializeToString(), name="twins")
