"""Kinds of users' classifiers, with the answers of NumPy or their own framework to their rows."""

import tempfile
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
import onnxmltools
import pandas as pd
from catboost import CatBoostClassifier
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnxmltools.convert.common.data_types import FloatTensorType as ToolsFloatTensorType
from onnxruntime import quantization
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.compose import make_column_transformer
from sklearn.datasets import make_multilabel_classification
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import MultiOutputClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import SVC
from xgboost import XGBClassifier

from tests.support.models import SEED, breast_cancer, lightgbm_classifier, wine

Names = Sequence[str]
Described = tuple[str, int, list[Any] | None]  # a tensor
TYPES = {
    "bool": TensorProto.BOOL, "int8": TensorProto.INT8, "int16": TensorProto.INT16, "int32": TensorProto.INT32,
    "uint8": TensorProto.UINT8, "uint16": TensorProto.UINT16, "uint32": TensorProto.UINT32,
    "uint64": TensorProto.UINT64, "float16": TensorProto.FLOAT16,
}  # fmt: skip


class Kind(NamedTuple):
    """A model as ONNX; rows, and what each must be answered; None where no probabilities are known."""

    artifact: bytes
    rows: list[list[Any]]
    probabilities: NDArray[np.floating[Any]]
    labels: list[str]
    classes: Names
    rule: str = "MODEL"


# Models by hand: the logistic regression of two features behind whatever a test puts before and after it.
_ROWS = breast_cancer()[0][:200, [0, 1]].round()
_TARGETS = breast_cancer()[1][:200]
_WEIGHTS = np.array([[0.3, -0.3], [0.1, -0.1]], dtype=np.float32)
_BIAS = np.array([-7, 7], dtype=np.float32)
P = np.array(np.exp(_ROWS @ _WEIGHTS + _BIAS) / np.exp(_ROWS @ _WEIGHTS + _BIAS).sum(axis=1, keepdims=True))
ROWS: list[list[float]] = _ROWS.tolist()
node = helper.make_node


def by_hand(
    nodes: Sequence[onnx.NodeProto] = (),
    outputs: Sequence[Described] = (),
    inputs: Sequence[tuple[str, int, list[Any]]] = (("x", TensorProto.FLOAT, [None, 2]),),
    *,
    before: Sequence[onnx.NodeProto] = (),
    opset: int = 17,
    probabilities: Described = ("p", TensorProto.FLOAT, [None, 2]),
    **constants: Any,
) -> bytes:
    """Make x → scores → p, and outputs beside p; `before` make x of other inputs."""
    constants |= {"w": _WEIGHTS, "b": _BIAS, "one": np.array([1]), "zero": np.array([0])}
    graph = helper.make_graph(
        [*before, node("Gemm", ["x", "w", "b"], ["scores"]), node("Softmax", ["scores"], ["p"], axis=1), *nodes],
        "by_hand",
        [helper.make_tensor_value_info(*found) for found in inputs],
        [helper.make_tensor_value_info(*found) for found in (probabilities, *outputs)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("ai.onnx.ml", 3)]
    return bytes(helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString())


def threshold(value: float, nodes: Sequence[onnx.NodeProto], output: Described, names: Names,
              **constants: Any) -> Kind:  # fmt: skip
    """Tune it: the second class from a probability on."""
    cut = [
        node("Gather", ["p", "one"], ["second"], axis=1),
        node("Greater", ["second", "threshold"], ["is_second"]),
    ]
    artifact = by_hand([*cut, *nodes], [output], threshold=np.float32(value), **constants)
    labels = [names[int(probability > np.float32(value))] for probability in P[:, 1].astype(np.float32)]
    return Kind(artifact, ROWS, P, labels, names)


def label_of_type(kind: int) -> Kind:
    """Number the classes from 1, as ML.NET's keys are, in a type of its own."""
    nodes = [
        node("ArgMax", ["p"], ["place"], axis=1, keepdims=0),
        node("Add", ["place", "one"], ["number"]),
        node("Cast", ["number"], ["label"], to=kind),
    ]
    labels = [str(place + 1) for place in P.argmax(axis=1)]
    return Kind(by_hand(nodes, [("label", kind, [None])]), ROWS, P, labels, ["1", "2"])


def argmax(outputs: Sequence[Described] = (), nodes: Sequence[onnx.NodeProto] = (),
           **constants: Any) -> Kind:  # fmt: skip
    """Beside others, a label that is the place of the highest probability."""
    label = node("ArgMax", ["p"], ["label"], axis=1, keepdims=0)
    artifact = by_hand([label, *nodes], [*outputs, ("label", TensorProto.INT64, [None])], **constants)
    return Kind(artifact, ROWS, P, [str(place) for place in P.argmax(axis=1)], ["0", "1"])


def zipmap(names: Names) -> Kind:
    """Class ids that aren't in their alphabet's order, which onnxruntime gives a ZipMap's keys."""
    nodes = [
        node("ArgMax", ["p"], ["place"], axis=1, keepdims=0),
        node("Gather", ["names", "place"], ["label"]),
        node("ZipMap", ["p"], ["maps"], domain="ai.onnx.ml", classlabels_strings=names),
    ]
    outputs: list[Described] = [("label", TensorProto.STRING, [None])]
    model = onnx.ModelProto.FromString(by_hand(nodes, outputs, names=np.array(names, dtype=object)))
    one = helper.make_map_type_proto(TensorProto.STRING, helper.make_tensor_type_proto(TensorProto.FLOAT, []))
    model.graph.output[0].CopyFrom(helper.make_value_info("maps", helper.make_sequence_type_proto(one)))
    order = [list(names).index(name) for name in sorted(names)]
    clear = np.flatnonzero(np.abs(P[:, 0] - 0.5) > 1e-6)  # of equals the first counts, which here is the other
    labels = [names[place] for place in P[clear].argmax(axis=1)]
    return Kind(model.SerializeToString(), _ROWS[clear].tolist(), P[clear][:, order], labels, sorted(names))


def picked_in_reverse() -> Kind:
    """The names are listed from the second class to the first, for the place says whether it is the first."""
    nodes = [
        node("Gather", ["p", "one"], ["second"], axis=1),
        node("Less", ["second", "threshold"], ["is_first"]),
        node("Cast", ["is_first"], ["place"], to=TensorProto.INT64),
        node("Gather", ["listed", "place"], ["label"]),
    ]
    listed = np.array(["fraud", "ok"], dtype=object)
    artifact = by_hand(nodes, [("label", TensorProto.STRING, _COLUMN)], threshold=np.float32(0.3), listed=listed)
    labels = [["fraud", "ok"][int(second < np.float32(0.3))] for second in P[:, 1].astype(np.float32)]
    return Kind(artifact, ROWS, P, labels, ["ok", "fraud"])


def no_label(artifact: bytes, rows: list[list[Any]] | None = None) -> Kind:
    return Kind(artifact, rows or ROWS, P, [str(place) for place in P.argmax(axis=1)], ["0", "1"], "HIGHEST")


def typed(name: str) -> Kind:
    """An input of another type, cast to what the model takes."""
    rows = np.clip(_ROWS, 0, 1).astype(bool) if name == "bool" else np.clip(_ROWS, 0, 127) if name == "int8" else _ROWS
    cast = node("Cast", ["given"], ["x"], to=TensorProto.FLOAT)
    artifact = by_hand(inputs=[("given", TYPES[name], [None, 2])], before=[cast])
    scores = rows @ _WEIGHTS + _BIAS
    found = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    return Kind(artifact, rows.tolist(), found, [str(place) for place in found.argmax(axis=1)], ["0", "1"], "HIGHEST")


def flat(kind: int = TensorProto.FLOAT) -> Kind:
    """Each column an input of rank 1."""
    before = [node("Unsqueeze", [f"in_{name}", "one"], [f"{name}_column"]) for name in "ab"]
    before.append(node("Concat", ["a_column", "b_column"], ["x"], axis=1))
    return no_label(by_hand(inputs=[(f"in_{name}", kind, [None]) for name in "ab"], before=before))


def batch_of(n_rows: int) -> Kind:
    return no_label(
        by_hand(inputs=[("x", TensorProto.FLOAT, [n_rows, 2])], probabilities=("p", TensorProto.FLOAT, [n_rows, 2]))
    )


def one_row_behind_its_back() -> Kind:
    """ML.NET's export: one input a column, the label's too, all of them outputs as well; it fails on two rows."""
    inputs = [("Label", TensorProto.UINT32, [-1, 1]), *((name, TensorProto.FLOAT, [-1, 1]) for name in ("Size", "Age"))]
    nodes = [
        node("ArgMax", ["p"], ["place"], axis=1, keepdims=1),
        node("Add", ["place", "one"], ["number"]),
        node("Cast", ["number"], ["key"], to=TensorProto.UINT32),
        node("Reshape", ["key", "shape"], ["PredictedLabel.output"]),
        node("Identity", ["p"], ["Score.output"]),
        *(node("Identity", [name], [f"{name}.output"]) for name in ("Label", "Size", "Age")),
        node("Identity", ["x"], ["Features.output"]),
    ]
    artifact = by_hand(
        nodes,
        [
            ("Label.output", TensorProto.UINT32, [-1, 1]),
            *((f"{name}.output", TensorProto.FLOAT, [-1, 1]) for name in ("Size", "Age")),
            ("Features.output", TensorProto.FLOAT, [-1, 2]),
            ("PredictedLabel.output", TensorProto.UINT32, [-1, 1]),
        ],
        inputs,
        before=[node("Concat", ["Size", "Age"], ["x"], axis=1)],
        probabilities=("Score.output", TensorProto.FLOAT, [-1, 2]),
        shape=np.array([1, 1]),
    )
    rows = [[0, *row] for row in ROWS]
    return Kind(artifact, rows, P, [str(place + 1) for place in P.argmax(axis=1)], ["1", "2"])


def svc(data: tuple[NDArray[Any], NDArray[Any]]) -> Kind:
    """Its probabilities are fitted after its labels, and may say another class."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # deprecated in scikit-learn 1.9, and in files that exist
        kind = trained(SVC(probability=True, random_state=SEED), data, near(data))
    assert kind.labels != [kind.classes[place] for place in kind.probabilities.argmax(axis=1)]
    return kind


def trained(
    estimator: Any, data: tuple[NDArray[Any], NDArray[Any]], rows: NDArray[Any] | None = None, **options: Any
) -> Kind:
    """Train scikit-learn's, convert it, and have it answer rows: the training data's unless others are given."""
    features, targets = data
    estimator.fit(features, targets)
    last = estimator[-1] if hasattr(estimator, "steps") else estimator
    model = convert_sklearn(
        estimator,
        initial_types=[("rows", FloatTensorType([None, features.shape[1]]))],
        options={id(last): {"zipmap": False} | options},
    )
    return answered(estimator, model.SerializeToString(), features if rows is None else rows)


def answered(estimator: Any, artifact: bytes, rows: Any) -> Kind:
    """Have it answer rows, NaN as None."""
    listed = [[None if pd.isna(value) else value for value in row] for row in np.asarray(rows, dtype=object).tolist()]
    labels = [str(label) for label in np.asarray(estimator.predict(rows)).ravel()]
    return Kind(artifact, listed, estimator.predict_proba(rows), labels, [str(name) for name in estimator.classes_])


def near(data: tuple[NDArray[Any], NDArray[Any]]) -> Any:
    """600 rows between those of the training data, where classes are close."""
    rows, _ = data
    first, second = np.random.default_rng(SEED).integers(len(rows), size=(2, 600))
    return ((rows[first] + rows[second]) / 2).astype(np.float32).astype(np.float64)


def scaled_wine(targets: str) -> tuple[NDArray[np.float64], NDArray[Any]]:
    rows, found = wine(targets)
    return StandardScaler().fit_transform(rows).astype(np.float32).astype(np.float64), found


def tens() -> tuple[NDArray[np.float64], NDArray[Any]]:
    rows, targets = scaled_wine("numbers")
    return rows, (targets + 1) * 10


def certain_forest(n_trees: int) -> Kind:
    """n_trees * float32(1 / n_trees) is more than 1."""
    return trained(RandomForestClassifier(n_trees, random_state=SEED), breast_cancer())


class _Calibration(quantization.CalibrationDataReader):  # type: ignore[misc]
    def __init__(self) -> None:
        self._rows = iter([{"x": _ROWS.astype(np.float32)}])

    def get_next(self) -> Any:
        return next(self._rows, None)


def quantized(folder: Any) -> Kind:
    """Eight bits for everything, the softmax too: sums of 0.996."""
    source, target = folder / "whole.onnx", folder / "quantized.onnx"
    source.write_bytes(by_hand())
    quantization.quantize_static(source, target, _Calibration(), op_types_to_quantize=["Softmax"])
    import onnxruntime  # noqa: PLC0415

    (found,) = onnxruntime.InferenceSession(target).run(["p"], {"x": _ROWS.astype(np.float32)})
    return Kind(target.read_bytes(), ROWS, found, [str(place) for place in found.argmax(axis=1)], ["0", "1"], "HIGHEST")


_COLUMN = [None, 1]
_IS_SECOND = node("Cast", ["is_second"], ["label"], to=TensorProto.INT64)
KINDS: dict[str, Callable[[], Kind]] = {
    "threshold 0.1, int64": lambda: threshold(0.1, [_IS_SECOND], ("label", TensorProto.INT64, _COLUMN), ["0", "1"]),
    "threshold 0.3, bool": lambda: threshold(0.3, [], ("is_second", TensorProto.BOOL, _COLUMN), ["False", "True"]),
    "threshold 0.9, texts": lambda: threshold(
        0.9, [node("Where", ["is_second", "yes", "no"], ["label"])], ("label", TensorProto.STRING, _COLUMN),
        ["ok", "fraud"], yes=np.array(["fraud"], dtype=object), no=np.array(["ok"], dtype=object)),
    "threshold 0.3, picked": lambda: threshold(
        0.3, [_IS_SECOND, node("Gather", ["listed", "label"], ["named"])], ("named", TensorProto.STRING, _COLUMN),
        ["b", "a"], listed=np.array(["b", "a"], dtype=object)),
    "threshold 0.3, float": lambda: threshold(
        0.3, [node("Cast", ["is_second"], ["label"], to=TensorProto.FLOAT)], ("label", TensorProto.FLOAT, _COLUMN),
        ["0", "1"]),
    **{f"label of {name}, from 1": partial(label_of_type, kind) for name, kind in TYPES.items()
       if name not in ("bool", "float16")},
    "ZipMap, not sorted": lambda: zipmap(["ok", "fraud"]),
    "picked in reverse": picked_in_reverse,
    "SVC": lambda: svc(scaled_wine("names")),
    "GaussianNB and its class labels": lambda: trained(GaussianNB(), tens(), output_class_labels=True),
    "row number beside the label": lambda: argmax(
        [("row", TensorProto.INT64, [None])],
        [node("Cast", ["x"], ["whole"], to=TensorProto.INT64), node("Gather", ["whole", "first"], ["row"], axis=1)],
        first=np.array(0)),
    "cluster beside the label": lambda: argmax(
        [("cluster", TensorProto.INT64, [None])],
        [node("ArgMax", ["x"], ["cluster"], axis=1, keepdims=0)]),
    "scores beside the probabilities": lambda: argmax([("scores", TensorProto.FLOAT, [None, 2])]),
    "the same probabilities twice": lambda: argmax(
        [("again", TensorProto.FLOAT, [None, 2])], [node("Identity", ["p"], ["again"])]),
    "ML.NET": one_row_behind_its_back,
    **{f"input of {name}": partial(typed, name) for name in TYPES if name != "float16"},
    "inputs of rank 1": flat,
    "output of no shape": lambda: no_label(by_hand(probabilities=("p", TensorProto.FLOAT, None))),
    "batch of 3": lambda: batch_of(3),
    "batch of 32": lambda: batch_of(32),
    **{f"certain forest of {n_trees}": partial(certain_forest, n_trees) for n_trees in (20, 55, 77)},
}  # fmt: skip


EVERY_TYPE: list[tuple[str, int, list[Any]]] = [
    ("flag", TensorProto.BOOL, [None]),
    ("small", TensorProto.UINT8, [None, 1]),
    ("half", TensorProto.FLOAT16, [None, 1]),
    ("large", TensorProto.INT64, [None, 1]),
    ("amount", TensorProto.FLOAT, [None, 1]),
    ("color", TensorProto.STRING, [None, 1]),
]
_COLORS = ["blue", "red", ""]


def every_type() -> Kind:
    """Booleans, whole and other numbers and texts, each an input; the last two may be missing; a threshold behind."""
    weights = np.array([2, 0.1, 0.5, 0.001, 1, 0, 1, -1], dtype=np.float32)
    before = [
        node("Unsqueeze", ["flag", "one"], ["flag_column"]),
        *(node("Cast", [name], [f"{name}_float"], to=TensorProto.FLOAT) for name in ("flag_column", "small", "half", "large")),
        node("IsNaN", ["amount"], ["is_gap"]),
        node("Where", ["is_gap", "fill", "amount"], ["amount_float"]),
        node("OneHotEncoder", ["color"], ["color_cube"], domain="ai.onnx.ml", cats_strings=_COLORS, zeros=1),
        node("Squeeze", ["color_cube", "one"], ["color_float"]),
        node("Concat", [f"{name}_float" for name in ("flag_column", "small", "half", "large", "amount", "color")], ["all"], axis=1),
        node("MatMul", ["all", "weights"], ["score"]),
        node("Neg", ["score"], ["opposite"]),
        node("Concat", ["score", "opposite"], ["x"], axis=1),
    ]  # fmt: skip
    tuned = [
        node("Gather", ["p", "one"], ["second"], axis=1),
        node("Greater", ["second", "threshold"], ["is_second"]),
    ]
    artifact = by_hand(
        tuned, [("is_second", TensorProto.BOOL, [None, 1])], EVERY_TYPE, before=before, weights=weights[:, None],
        fill=np.float32(1), threshold=np.float32(0.9),
    )  # fmt: skip
    random = np.random.default_rng(SEED)
    rows = [
        [bool(random.integers(2)), int(random.integers(256)), float(np.float16(random.normal(0, 5))), int(random.integers(-5000, 5000)),
         None if random.random() < 0.3 else float(np.float32(random.normal(20, 9))), [*_COLORS[:2], None][random.integers(3)]]
        for _ in range(100)
    ]  # fmt: skip
    whole = [[flag, small, half, large, 1 if amount is None else amount, *(color == name for name in ("blue", "red", None))]
             for flag, small, half, large, amount, color in rows]  # fmt: skip
    score = np.array(whole, dtype=np.float64) @ weights
    scores = np.stack([score, -score], axis=1) @ _WEIGHTS + _BIAS
    found = 1 / (1 + np.exp(scores[:, ::-1] - scores))
    return Kind(artifact, rows, found, [str(bool(second > 0.9)) for second in found[:, 1]], ["False", "True"])


KINDS["every type"] = every_type


def multi_label(estimator: Any) -> bytes:
    rows, targets = make_multilabel_classification(n_samples=200, n_features=8, n_classes=4, random_state=SEED)
    estimator.fit(rows, targets)
    return bytes(
        convert_sklearn(
            estimator, initial_types=[("rows", FloatTensorType([None, 8]))], options={id(estimator): {"zipmap": False}}
        ).SerializeToString()
    )


def two_labels_that_differ() -> bytes:
    """The highest, and one with a threshold."""
    nodes = [
        node("ArgMax", ["p"], ["highest"], axis=1, keepdims=0),
        node("Gather", ["p", "one"], ["second"], axis=1),
        node("Greater", ["second", "threshold"], ["is_second"]),
        node("Cast", ["is_second"], ["tuned"], to=TensorProto.INT64),
    ]
    outputs: list[Described] = [("highest", TensorProto.INT64, [None]), ("tuned", TensorProto.INT64, _COLUMN)]
    return by_hand(nodes, outputs, threshold=np.float32(0.1))


def abstaining() -> bytes:
    """No class below 0.9."""
    nodes = [
        node("ArgMax", ["p"], ["place"], axis=1, keepdims=1),
        node("ReduceMax", ["p"], ["most"], axes=[1]),
        node("Less", ["most", "threshold"], ["is_unsure"]),
        node("Where", ["is_unsure", "unsure", "place"], ["label"]),
    ]
    outputs = [("label", TensorProto.INT64, _COLUMN)]
    return by_hand(nodes, outputs, threshold=np.float32(0.9), unsure=np.array([-1]))


_ONE_CLASS = "this service gives a row one class; export classes that exclude each other"
_HIGHEST = "LABEL_RULE=HIGHEST"
REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    "multi-label, KNeighbors": (lambda: multi_label(KNeighborsClassifier()), rf".*multi-label.*; {_ONE_CLASS}"),
    "multi-label, one against the rest": (lambda: multi_label(OneVsRestClassifier(LogisticRegression())),
                                          rf"'probabilities' isn't probabilities that sum to 1: .*: multi-label, .*; {_ONE_CLASS}"),
    "multi-label, forest": (lambda: multi_label(RandomForestClassifier(5, random_state=SEED)),
                            rf"'probabilities' isn't probabilities that sum to 1: .*: multi-label, .*; {_ONE_CLASS}"),
    "multi-label, one model a label": (lambda: multi_label(MultiOutputClassifier(LogisticRegression())),
                                       rf"'label' gives each class its own label: multi-label; {_ONE_CLASS}"),
    "two labels that differ": (two_labels_that_differ,
                               rf"expected one output of labels, highest and tuned differ; .*{_HIGHEST}"),
    "a label that abstains": (abstaining, (r"'label' gives -1, 0, 1, and the file doesn't say which class has which column; "
                                           rf"name the classes the same in a label\.json beside it, or set {_HIGHEST}")),
}  # fmt: skip


# Models that take missing values, and which columns of theirs don't.
class Gaps(NamedTuple):
    kind: Kind
    refusing: list[int]


def with_gaps(data: tuple[NDArray[np.float64], NDArray[Any]], columns: slice = slice(None)) -> Any:
    rows, targets = data
    rows = rows[:, :6].copy()
    rows[:, columns][np.random.default_rng(SEED).random(rows[:, columns].shape) < 0.2] = np.nan
    return rows, targets


def half_imputed(last: Any) -> Gaps:
    """Of six columns, the first three are imputed."""
    transformer = make_column_transformer((SimpleImputer(), [0, 1, 2]), ("passthrough", [3, 4, 5]))
    return Gaps(trained(make_pipeline(transformer, last), with_gaps(scaled_wine("names"), slice(3))), [3, 4, 5])


def boosted(model: Any, convert: Callable[..., Any], **options: Any) -> Gaps:
    rows, targets = with_gaps(scaled_wine("numbers"))
    model.fit(rows, targets)
    artifact = convert(model, initial_types=[("rows", ToolsFloatTensorType([None, 6]))], **options)
    return Gaps(answered(model, artifact.SerializeToString(), rows), [])


def catboost() -> Gaps:
    """Its own export; its trees send missing values where they aren't more than any number."""
    rows, targets = with_gaps(scaled_wine("names"))
    model = CatBoostClassifier(iterations=10, verbose=False, allow_writing_files=False, random_seed=SEED)
    model.fit(rows, targets)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "wine.onnx")
        model.save_model(str(path), format="onnx")
        return Gaps(answered(model, path.read_bytes(), rows), [])


def encoded(*, handle_unknown: str = "error") -> Gaps:
    """A column of texts whose encoder was trained with NaN, beside one that wasn't."""
    table = pd.DataFrame(
        {"color": ["red", "blue", np.nan, "green"] * 10, "size": ["s", "m", "l", "m"] * 10}, dtype=object
    )
    model = make_pipeline(OneHotEncoder(handle_unknown=handle_unknown), LogisticRegression())
    model.fit(table, [0, 1, 1, 0] * 10)
    types = [(name, StringTensorType([None, 1])) for name in table]
    artifact = convert_sklearn(model, initial_types=types, options={"zipmap": False}).SerializeToString()
    return Gaps(answered(model, artifact, table), [1])


GAPS: dict[str, Callable[[], Gaps]] = {
    "imputer": lambda: Gaps(
        trained(make_pipeline(SimpleImputer(), LogisticRegression()), with_gaps(scaled_wine("names"))), []),
    "imputer behind a scaler": lambda: Gaps(
        trained(make_pipeline(StandardScaler(), SimpleImputer(), LogisticRegression()), with_gaps(wine("from 1"))), []),
    "half of the columns": lambda: half_imputed(LogisticRegression()),
    "half of the columns, and a forest": lambda: half_imputed(RandomForestClassifier(10, random_state=SEED)),
    "XGBoost": lambda: boosted(XGBClassifier(n_estimators=10, random_state=SEED), onnxmltools.convert_xgboost),
    "LightGBM": lambda: boosted(lightgbm_classifier(), onnxmltools.convert_lightgbm, zipmap=False),
    "CatBoost": catboost,
    "texts": encoded,
    "texts, unknown ones ignored": lambda: encoded(handle_unknown="ignore"),
}  # fmt: skip
