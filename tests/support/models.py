"""Users' classifiers, built on demand, with the answers of their own frameworks to their rows."""

import warnings
from collections.abc import Callable
from importlib.resources import files
from typing import Any, NamedTuple

import numpy as np
import onnx
import onnxmltools
import pandas as pd
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnxmltools.convert.common.data_types import FloatTensorType as ToolsFloatTensorType
from skl2onnx import convert_sklearn, to_onnx
from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType, Int64TensorType, StringTensorType
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_breast_cancer, load_digits, load_wine
from sklearn.ensemble import (
    BaggingClassifier,
    GradientBoostingClassifier,
    RandomForestClassifier,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import SVC
from xgboost import XGBClassifier

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # gevent's, when it is imported

SEED = 0
NUMPY: dict[str, Any] = {
    "FP16": np.float16, "FP32": np.float32, "FP64": np.float64, "INT8": np.int8, "INT16": np.int16, "INT32": np.int32,
    "INT64": np.int64, "UINT8": np.uint8, "UINT16": np.uint16, "UINT32": np.uint32, "UINT64": np.uint64,
    "BOOL": np.bool_, "BYTES": np.object_,
}  # fmt: skip


class Brought(NamedTuple):
    """A model as ONNX, and what its own framework makes of the rows."""

    artifact: bytes
    rows: list[list[Any]]
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


def sigmoid(rank: int, *, is_named: bool = True) -> Brought:
    """By hand, as PyTorch and Keras export it: one column, or one dimension, and no word about classes."""
    rows, targets = breast_cancer()
    rows = (rows - rows.mean(axis=0)) / rows.std(axis=0)
    model = LogisticRegression().fit(rows, targets)
    weights = {"w": model.coef_.T.astype(np.float32), "b": model.intercept_.astype(np.float32)}
    nodes = [helper.make_node("Gemm", ["x", "w", "b"], ["logits"]), helper.make_node("Sigmoid", ["logits"], ["column"])]
    if rank == 1:
        axis = ["axis"] if is_named else []  # without one, a batch of one row loses both dimensions
        weights |= {name: np.array([1]) for name in axis}
        nodes.append(helper.make_node("Squeeze", ["column", *axis], ["line"]))
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


def stacking() -> StackingClassifier:
    return StackingClassifier([("nb", GaussianNB()), ("lr", scaled(LogisticRegression()))], LogisticRegression())


def softmax(*, is_squeezed: bool = False) -> Brought:
    """By hand, as PyTorch exports it: layers and a softmax, names of its own, a free batch, no word about classes."""
    rows, targets = wine("numbers")
    rows = (rows - rows.mean(axis=0)) / rows.std(axis=0)
    model = MLPClassifier(max_iter=1000, random_state=SEED).fit(rows, targets)
    layers = zip(model.coefs_, model.intercepts_, strict=True)
    weights = {
        f"net.{index}.{name}": value.astype(np.float32)
        for index, layer in enumerate(layers)
        for name, value in zip(("weight", "bias"), layer, strict=True)
    }
    nodes = [
        helper.make_node("Gemm", ["input.1", "net.0.weight", "net.0.bias"], ["hidden"]),
        helper.make_node("Relu", ["hidden"], ["active"]),
        helper.make_node("Gemm", ["active", "net.1.weight", "net.1.bias"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["16" if is_squeezed else "17"], axis=1),
        *([helper.make_node("Squeeze", ["16"], ["17"])] if is_squeezed else []),
    ]
    graph = helper.make_graph(
        nodes,
        "main_graph",
        [helper.make_tensor_value_info("input.1", TensorProto.FLOAT, ["batch_size", 13])],
        [helper.make_tensor_value_info("17", TensorProto.FLOAT, ["batch_size", 3])],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(proto)
    return Brought(proto.SerializeToString(), rows.tolist(), model.predict_proba(rows), ["0", "1", "2"])


def xgboost(data: tuple[NDArray[np.float64], NDArray[Any]]) -> Brought:
    """Trained by XGBoost, converted by onnxmltools."""
    rows, targets = data
    model = XGBClassifier(n_estimators=20, max_depth=3, random_state=SEED).fit(rows, targets)
    artifact = onnxmltools.convert_xgboost(model, initial_types=[("rows", ToolsFloatTensorType([None, rows.shape[1]]))])
    labels = [str(class_id) for class_id in model.classes_]
    return Brought(artifact.SerializeToString(), rows.tolist(), model.predict_proba(rows), labels)


def lightgbm_classifier() -> Any:
    try:
        from lightgbm import LGBMClassifier  # noqa: PLC0415 - it wants a library of the system
    except OSError as error:
        pytest.skip(f"LightGBM can't be imported: {error}")
    return LGBMClassifier(n_estimators=20, verbose=-1, random_state=SEED)


def lightgbm(data: tuple[NDArray[np.float64], NDArray[Any]], **options: bool) -> Brought:
    """Trained by LightGBM, converted by onnxmltools."""
    rows, targets = data
    model = lightgbm_classifier().fit(rows, targets)
    initial_types = [("rows", ToolsFloatTensorType([None, rows.shape[1]]))]
    artifact = onnxmltools.convert_lightgbm(model, initial_types=initial_types, **options)
    labels = [str(class_id) for class_id in model.classes_]
    probabilities = np.asarray(model.predict_proba(rows))
    return Brought(artifact.SerializeToString(), rows.tolist(), probabilities, labels)


PENGUIN_NUMBERS = ["bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g", "year"]


def penguins(n_rows: int | None = None, *, zipmap: bool = False, handle_unknown: str = "error") -> Brought:
    """333 penguins: texts, decimals and whole numbers, each column an input of its own."""
    table = pd.read_csv(files("palmerpenguins") / "data" / "penguins.csv").dropna()
    columns, targets = table.drop(columns="species"), table["species"]
    encoder = OneHotEncoder(handle_unknown=handle_unknown)
    transformer = ColumnTransformer([("n", StandardScaler(), PENGUIN_NUMBERS), ("t", encoder, ["island", "sex"])])
    model = make_pipeline(transformer, LogisticRegression(max_iter=1000)).fit(columns, targets)
    kinds = {"f": FloatTensorType, "i": Int64TensorType}
    types = [(name, kinds.get(columns[name].dtype.kind, StringTensorType)([n_rows, 1])) for name in columns]
    artifact = convert_sklearn(model, initial_types=types, options={"zipmap": zipmap}).SerializeToString()
    return Brought(artifact, columns.to_numpy().tolist(), model.predict_proba(columns), list(model.classes_))


def texts() -> Brought:
    """One column of texts."""
    rows = [[text] for text in ("good", "very good", "bad", "not good, bad", "fine", "poor") * 5]
    targets = ["+", "+", "-", "-", "+", "-"] * 5
    model = make_pipeline(OneHotEncoder(), LogisticRegression()).fit(np.array(rows, dtype=object), targets)
    artifact = convert_sklearn(model, initial_types=[("text", StringTensorType([None, 1]))], options={"zipmap": False})
    probabilities = model.predict_proba(np.array(rows, dtype=object))
    return Brought(artifact.SerializeToString(), rows, probabilities, ["+", "-"])


def words() -> Brought:
    """One column of texts, by their words, as the README has it."""
    rows = ["ein SCHÖNER Tag", "sehr schön", "übel", "so übel", "καλή μέρα", "плохой день"] * 5
    model = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(rows, ["+", "+", "-", "-", "+", "-"] * 5)
    words = {"locale": "C.UTF-8", "tokenexp": r"[\p{L}\p{N}_]{2,}"}
    options = {TfidfVectorizer: words, LogisticRegression: {"zipmap": False}}
    artifact = to_onnx(model, np.array([["some text"]]), options=options)
    return Brought(artifact.SerializeToString(), [[row] for row in rows], model.predict_proba(rows), ["+", "-"])


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
    "KNeighbors, names": lambda: sklearn(KNeighborsClassifier(), wine("names")),
    "KNeighbors, from 1": lambda: sklearn(KNeighborsClassifier(), wine("from 1")),
    "Voting, names": lambda: sklearn(
        VotingClassifier(
            [("a", GaussianNB()), ("b", scaled(LogisticRegression()))], voting="soft", flatten_transform=False
        ),
        wine("names"),
    ),
    "Bagging, names": lambda: sklearn(BaggingClassifier(n_estimators=3, random_state=SEED), wine("names")),
    # Its last step has numbers from 0 for classes, whatever they are called.
    "Stacking, names": lambda: sklearn(stacking(), wine("names")),
    "Stacking, from 1": lambda: sklearn(stacking(), wine("from 1")),
    "sigmoid, one column": lambda: sigmoid(2),
    "sigmoid, one dimension": lambda: sigmoid(1),
    "sigmoid, squeezed": lambda: sigmoid(1, is_named=False),
    "softmax": softmax,
    "softmax, squeezed": lambda: softmax(is_squeezed=True),
    "XGBoost": lambda: xgboost(wine("numbers")),
    "XGBoost, two classes": lambda: xgboost(breast_cancer()),
    "LightGBM": lambda: lightgbm(wine("from 1"), zipmap=False),
    "LightGBM, ZipMap": lambda: lightgbm(wine("from 1")),
    "LightGBM, two classes": lambda: lightgbm(breast_cancer(), zipmap=False),
    "penguins": penguins,
    "penguins, ZipMap": lambda: penguins(zipmap=True),
    "penguins, one row": lambda: penguins(1),
    "texts": texts,
    "words": words,
}
