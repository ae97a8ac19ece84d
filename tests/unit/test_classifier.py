"""What the classifier accepts, what it refuses, and the messages."""

import json
import math
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import FloatTensorType
from sklearn.datasets import load_iris, load_wine
from sklearn.linear_model import LinearRegression, LogisticRegression

from function.classifier import Classifier, load, load_bytes
from function.classifier.facts import FACTS_KEY, Feature
from function.classifier.inputs import NO_MISSING
from function.errors import ArtifactError, FeaturesError

NAMES = "sepal length (cm), sepal width (cm), petal length (cm), petal width (cm)"
ROW = (5.1, 3.5, 1.4, 0.2)
HALVES = (0.5, 0.25, 0.25)
ONE_INPUT = [("x", TensorProto.FLOAT, [None, 4])]


def convert(estimator: object, *, width: int = 4, name: str = "float_input", **options: Any) -> onnx.ModelProto:
    model: onnx.ModelProto = convert_sklearn(
        estimator, initial_types=[(name, FloatTensorType([None, width]))], options=options or None
    )
    return model


def with_facts(model: onnx.ModelProto, facts: object) -> bytes:
    copy = onnx.ModelProto.FromString(model.SerializeToString())
    helper.set_model_props(copy, {FACTS_KEY: facts if isinstance(facts, str) else json.dumps(facts)})
    return bytes(copy.SerializeToString())


@pytest.fixture(scope="module")
def logistic() -> LogisticRegression:
    return LogisticRegression(max_iter=1000).fit(*load_iris(return_X_y=True))


@pytest.fixture(scope="module")
def zipmap(logistic: LogisticRegression) -> onnx.ModelProto:
    """A model as the original pattern's: `float_input`, a list of dicts as output, no facts."""
    return convert(logistic)


@pytest.fixture(scope="module")
def tensor(logistic: LogisticRegression) -> onnx.ModelProto:
    """The same without ZipMap."""
    return convert(logistic, zipmap=False)


def constant(
    probabilities: Sequence[float],
    *,
    inputs: Sequence[tuple[str, int, Sequence[int | None]]] = ONE_INPUT,
    n_outputs: int = 1,
    operator: str = "Identity",
    zipmap: Sequence[str] | None = None,
    **attributes: Any,
) -> bytes:
    """Build by hand what no converter gives: the same probabilities for every row of 4."""
    values = [helper.make_tensor_value_info(name, type_, list(shape)) for name, type_, shape in inputs]
    width = inputs[0][2][-1]
    tensors = {"zeros": np.zeros((4 if width is None else width, len(probabilities))), "row": np.array([probabilities])}
    weights = [numpy_helper.from_array(value.astype(np.float32), name) for name, value in tensors.items()]
    nodes = [
        helper.make_node("MatMul", [inputs[0][0], "zeros"], ["nothing"]),
        helper.make_node("Add", ["nothing", "row"], ["rows"]),
    ]
    shape = [None, len(probabilities)]
    outputs = [helper.make_tensor_value_info(f"out{i}", TensorProto.FLOAT, shape) for i in range(n_outputs)]
    if zipmap:
        nodes.append(helper.make_node("ZipMap", ["rows"], ["out0"], domain="ai.onnx.ml", classlabels_strings=zipmap))
        of_strings = helper.make_map_type_proto(
            TensorProto.STRING, helper.make_tensor_type_proto(TensorProto.FLOAT, None)
        )
        outputs = [helper.make_value_info("out0", helper.make_sequence_type_proto(of_strings))]
    else:
        nodes += [helper.make_node(operator, ["rows"], [output.name], **attributes) for output in outputs]
    made = helper.make_graph(nodes, "g", values, outputs, weights)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 1)]
    return bytes(helper.make_model(made, opset_imports=opsets, ir_version=8).SerializeToString())


def test_predict_gives_a_row_of_probabilities_for_each_row(classifier: Classifier) -> None:
    """As float32, from lists and from arrays alike."""
    from_lists = classifier.predict([ROW, (6.3, 3.3, 6.0, 2.5)])
    from_array = classifier.predict(np.array([ROW, (6.3, 3.3, 6.0, 2.5)], dtype=np.float32))

    assert from_lists.dtype == np.float32
    assert from_lists.shape == (2, 3)
    assert np.array_equal(from_lists, from_array)
    assert classifier.predict_label([ROW, (6.3, 3.3, 6.0, 2.5)]) == ["setosa", "virginica"]


REFUSED: dict[str, tuple[Any, str, str, tuple[int, ...]]] = {
    "no rows": ([], "no_rows", "expected at least 1 row, got none", ()),
    "empty row": ([[]], "row_width", f"row 0 has 0 features; the model takes 4: {NAMES}", (0,)),
    "three features": ([ROW, ROW[:3]], "row_width", f"row 1 has 3 features; the model takes 4: {NAMES}", (1,)),
    "one feature": ([[1.0]], "row_width", f"row 0 has 1 feature; the model takes 4: {NAMES}", (0,)),
    "five features": ([(*ROW, 1.0)], "row_width", f"row 0 has 5 features; the model takes 4: {NAMES}", (0,)),
    "ragged": ([ROW, ROW[:2], ROW], "row_width", f"row 1 has 2 features; the model takes 4: {NAMES}", (1,)),
    "one dimension": (list(ROW), "list_type", f"row 0: expected a list of numbers, got a number; the model takes 4: {NAMES}", (0,)),
    "three dimensions": ([[[1], [2], [3], [4]]], "float_type",
                         'row 0, "sepal length (cm)": expected a number, got a list', (0, 0)),
    "wide array": (np.zeros((2, 5), dtype=np.float32), "row_width",
                   f"row 0 has 5 features; the model takes 4: {NAMES}", (0,)),
    "NaN": ([ROW, (1, 2, math.nan, 4)], "finite_number",
            'row 1, "petal length (cm)": expected a finite number, got NaN', (1, 2)),
    "Infinity": ([(math.inf, 2, 3, 4)], "finite_number",
                 'row 0, "sepal length (cm)": expected a finite number, got Infinity', (0, 0)),
    "-Infinity": ([(1, 2, 3, -math.inf)], "finite_number",
                  'row 0, "petal width (cm)": expected a finite number, got -Infinity', (0, 3)),
    "1e39": ([(1, 1e39, 3, 4)], "finite_number",
             'row 0, "sepal width (cm)": expected a finite number, got one beyond float32\'s ±3.403e+38', (0, 1)),
}  # fmt: skip


@pytest.mark.parametrize(("rows", "type_", "message", "where"), REFUSED.values(), ids=REFUSED)
def test_rows_that_the_model_cannot_take_are_refused_by_name(
    classifier: Classifier, rows: Any, type_: str, message: str, where: tuple[int, ...]
) -> None:
    """Our own error says what was expected, what came and where; onnxruntime never sees the rows."""
    with pytest.raises(FeaturesError) as raised:
        classifier.predict(rows)

    assert (raised.value.type, raised.value.message, raised.value.where) == (type_, message, where)


def test_an_answer_that_is_not_finite_is_an_error(tensor: onnx.ModelProto) -> None:
    """A model may overflow on rows that are themselves finite."""
    largest = float(np.finfo(np.float32).max)
    classifier = load_bytes(tensor.SerializeToString(), name="logistic")

    with pytest.raises(FeaturesError, match=r"^row 1: the model's answer isn't finite") as raised:
        classifier.predict([ROW, (largest, largest, -largest, -largest)])

    assert (raised.value.type, raised.value.where) == ("no_answer", (1,))


@pytest.mark.parametrize("kind", ["zipmap", "tensor"])
def test_an_artifact_without_facts_is_served(
    kind: str, request: pytest.FixtureRequest, logistic: LogisticRegression
) -> None:
    """With or without ZipMap: features named by position, the original's sample, class ids as labels."""
    iris: NDArray[np.float64] = load_iris().data
    classifier = load_bytes(request.getfixturevalue(kind).SerializeToString(), name="model")

    # float32 against scikit-learn's float64, through a softmax of sums of four products
    np.testing.assert_allclose(classifier.predict(iris), logistic.predict_proba(iris), rtol=0, atol=1e-5)
    assert classifier.model.features == tuple(Feature(name=f"feature {i}") for i in range(4))
    assert classifier.model.sample == ROW
    assert classifier.model.labels == ("0", "1", "2")
    assert classifier.model.training is None


def test_another_width_has_zeros_as_its_sample() -> None:
    """There is no better row to know of."""
    model = convert(LogisticRegression(max_iter=10_000).fit(*load_wine(return_X_y=True)), width=13)

    assert load_bytes(model.SerializeToString(), name="wine").model.sample == (0.0,) * 13


def test_zipmap_keys_are_the_labels_of_last_resort() -> None:
    """Text classes name themselves."""
    iris = load_iris()
    model = convert(LogisticRegression(max_iter=1000).fit(iris.data, iris.target_names[iris.target]))

    classifier = load_bytes(model.SerializeToString(), name="text")

    assert classifier.model.labels == ("setosa", "versicolor", "virginica")
    assert classifier.predict_label([ROW]) == ["setosa"]


class TestLabels:
    @pytest.mark.parametrize("by", ["label.json", "facts"])
    def test_zipmaps_names_stay_with_their_probabilities(self, by: str) -> None:
        """onnxruntime hands a map out sorted by key, so labels in the order of the columns would name others."""
        artifact = constant(HALVES, zipmap=["low", "mid", "high"])
        given = ["low", "mid", "high"]
        if by == "facts":
            artifact = with_facts(onnx.ModelProto.FromString(artifact), {"labels": given})

        classifier = load_bytes(artifact, name="model", labels=given if by == "label.json" else None)

        assert classifier.model.labels == ("high", "low", "mid")
        assert classifier.predict_label([ROW]) == ["low"]

    def test_labels_by_index_follow_class_ids_that_are_indexes(self) -> None:
        """As text, "10" comes before "2"."""
        ids = [str(index) for index in range(12)]
        probabilities = [0.5 if name == "10" else 0.5 / 11 for name in ids]
        names = [f"class {name}" for name in ids]

        classifier = load_bytes(constant(probabilities, zipmap=ids), name="model", labels=names)

        assert classifier.predict_label([ROW]) == ["class 10"]

    def test_the_file_beside_the_artifact_wins_over_its_facts(self, artifact: Path, tmp_path: Path) -> None:
        """As the original pattern has it."""
        shutil.copy(artifact, tmp_path / "model.onnx")
        (tmp_path / "label.json").write_text('{"0": "a", "1": "b", "2": "c"}')

        assert load(tmp_path / "model.onnx").model.labels == ("a", "b", "c")

    def test_a_file_that_is_named_wins_over_the_one_beside(self, artifact: Path, tmp_path: Path) -> None:
        """LABEL_FILEPATH."""
        (tmp_path / "other.json").write_text('{"2": "c", "0": "a", "1": "b"}')

        assert load(artifact, label_path=tmp_path / "other.json").model.labels == ("a", "b", "c")

    def test_an_artifact_elsewhere_never_gets_the_shipped_ones(self, tensor: onnx.ModelProto, tmp_path: Path) -> None:
        """Iris labels on another model would be wrong without a sign of it."""
        (tmp_path / "mine.onnx").write_bytes(tensor.SerializeToString())

        assert load(tmp_path / "mine.onnx").model.labels == ("0", "1", "2")

    def test_facts_come_before_class_ids(self, zipmap: onnx.ModelProto) -> None:
        """An artifact may name its classes itself."""
        artifact = with_facts(zipmap, {"labels": ["a", "b", "c"]})

        assert load_bytes(artifact, name="model").model.labels == ("a", "b", "c")

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ("{}", "model.onnx with {0}/label.json: expected 3 labels, one per class, got 0; fix them"),
            ('{"0": "a", "1": "b"}', "model.onnx with {0}/label.json: expected 3 labels, one per class, got 2; fix them"),
            ('{"0": "a", "1": "a", "2": "c"}', ("model.onnx with {0}/label.json: empty or repeated labels in ['a', 'a', 'c']; "
             "give each class its own label")),
            ('{"0": "a", "1": "", "2": "c"}', ("model.onnx with {0}/label.json: empty or repeated labels in ['a', '', 'c']; "
             "give each class its own label")),
            ('{"1": "a", "2": "b", "3": "c"}', ('label.json: expected a JSON object that gives each class index its '
             'label, {"0": "setosa", …}; got the indexes [1, 2, 3]')),
            ('{"0": "a", "1": 2, "2": "c"}', ('label.json: expected a JSON object that gives each class index its '
             'label, {"0": "setosa", …}; at "1": Input should be a valid string')),
            ('["a", "b", "c"]', ('label.json: expected a JSON object that gives each class index its label, '
             '{"0": "setosa", …}; Input should be an object')),
            ("", ('label.json: expected a JSON object that gives each class index its label, {"0": "setosa", …}; '
             "Invalid JSON: EOF while parsing a value at line 1 column 0")),
        ],
        ids=["none", "too few", "repeated", "empty", "index from 1", "no text", "list", "no JSON"],
    )  # fmt: skip
    def test_wrong_ones_are_refused(self, artifact: Path, tmp_path: Path, content: str, message: str) -> None:
        """One line names the file, the cause and the fix."""
        shutil.copy(artifact, tmp_path / "model.onnx")
        (tmp_path / "label.json").write_text(content)

        with pytest.raises(ArtifactError) as raised:
            load(tmp_path / "model.onnx")

        assert str(raised.value) == f"{tmp_path}/" + message.replace("{0}", str(tmp_path))

    def test_a_missing_file_is_refused(self, artifact: Path, tmp_path: Path) -> None:
        """A name that was given is meant."""
        message = f"{tmp_path}/no.json: can't be read (No such file or directory); LABEL_FILEPATH names the labels"

        with pytest.raises(ArtifactError, match=f"^{re.escape(message)}$"):
            load(artifact, label_path=tmp_path / "no.json")


def regressor() -> bytes:
    iris = load_iris()
    return bytes(convert(LinearRegression().fit(iris.data, iris.target)).SerializeToString())


def by_columns() -> bytes:
    """Give each class its own output, as skl2onnx does with zipmap="columns"."""
    iris = load_iris()
    model = LogisticRegression(max_iter=1000).fit(iris.data, iris.target > 0)
    return bytes(convert(model, zipmap="columns").SerializeToString())


def newer(path: Path, **versions: int) -> bytes:
    """The shipped model, stamped with versions that no runtime knows yet."""
    model = onnx.load(path)
    for opset in model.opset_import:
        opset.version = versions.get("opset", opset.version)
    model.ir_version = versions.get("ir_version", model.ir_version)
    return bytes(model.SerializeToString())


NEAR = (
    r"for its sample or a row near it; is it a regressor, or logits\? "
    r"export a classifier with predict_proba, softmax or sigmoid"
)
BROKEN: dict[str, tuple[Callable[[Path], bytes], str]] = {
    "empty": (lambda _: b"", r"the file is empty; export the model again"),
    "random": (lambda _: bytes(range(256)), r"not an ONNX model that onnxruntime can load, export it again: .*protobuf parsing failed.*"),
    "cut short": (lambda path: path.read_bytes()[:3000], r"not an ONNX model that onnxruntime can load, export it again: .*"),
    "pickle": (lambda _: b"\x80\x04N.", (r"not an ONNX model that onnxruntime can load, this is a Python pickle; export the model "
                                        r"to ONNX: .*")),
    "XGBoost's": (lambda _: b'{"learner": {}}', (r"not an ONNX model that onnxruntime can load, this is XGBoost's own format; export "
                                               r"the model to ONNX: .*")),
    "newer opset": (lambda path: newer(path, opset=99),
                    (r"not an ONNX model that onnxruntime can load, export it with an older target_opset: .* ONNX Runtime only "
                    r"\*guarantees\* support for models stamped with official released onnx opset versions\. Opset 99 .*")),
    "newer format": (lambda path: newer(path, ir_version=99),
                     (r"not an ONNX model that onnxruntime can load, export it with an older onnx: .* Unsupported model IR "
                     r"version: 99, max supported IR version: \d+.*")),
    "regressor": (lambda _: regressor(), rf"'variable' isn't probabilities, from 0 to 1: \[.*\] {NEAR}"),
    "logits": (lambda _: constant([2.5, 0.3, 0.26]), rf"'out0' isn't probabilities, from 0 to 1: \[2\.5, .*\] {NEAR}"),
    "negative": (lambda _: constant([1.5, -0.5, 0]), rf"'out0' isn't probabilities, from 0 to 1: \[1\.5, .*\] {NEAR}"),
    "multi-label": (lambda _: constant([0.9, 0.75, 0.25]),
                    (r"'out0' isn't probabilities that sum to 1: \[0\.8.*\], the sums are 1\.9 to 1\.9: multi-label, or not "
                    r"normalized; this service gives a row one class; export classes that exclude each other")),
    "rounded": (lambda _: constant([0.5, 0.25, 0.24]),
                (r"'out0' isn't probabilities that sum to 1: \[0\.5.*\], the sums are 0\.99 to 0\.99, as with rounding; "
                r"export them as float32, with the softmax not quantized")),
    "a column for each class": (lambda _: by_columns(), (r"expected one output of probabilities, .*, of which .* and .* fit; if "
                                r"each is the probability of one class, export them as one tensor: zipmap=False in skl2onnx")),
    "not finite": (lambda _: constant([math.nan, 0.5, 0.5]),
                   (r"'out0' isn't finite for its sample: \[nan, 0\.5, 0\.5\]; give it a sample that it answers, with "
                   r"python -m model describe")),
    "mean of the rows": (lambda _: constant(HALVES, operator="ReduceMean", axes=[0]),
                         (r"expected probabilities of shape \(n_rows, n_classes\), got another shape from 'out0'; "
                         r"export a classifier with a free number of rows")),
    "no features": (lambda _: constant(HALVES, inputs=[("x", TensorProto.FLOAT, [None, 0])]),
                    r".* got x tensor\(float\) \[None, 0\]; .*"),
    "bfloat16": (lambda _: constant(HALVES, inputs=[*ONE_INPUT, ("y", TensorProto.BFLOAT16, [None, 4])]),
                        (r"expected inputs of shape \(None, n_features\) and type tensor\(float\), .*, tensor\(string\); "
                        r"got y tensor\(bfloat16\) \[None, 4\]; export it from numbers, booleans or texts")),
    "texts in one matrix": (lambda _: constant(HALVES, inputs=[*ONE_INPUT, ("y", TensorProto.STRING, [None, 4])]),
                            r".* got y tensor\(string\) \[None, 4\]; export it with a named input for each column of texts"),
    "one row and any number": (lambda _: constant(HALVES, inputs=[*ONE_INPUT, ("y", TensorProto.FLOAT, [1, 1])]),
                               (r"expected inputs of the same number of rows, got x \[None, 4\], y \[1, 1\]; "
                               r"export it with a free number of rows")),
    "image": (lambda _: constant(HALVES, inputs=[("x", TensorProto.FLOAT, [None, 2, 4])]),
              (r"expected inputs of shape \(None, n_features\) and type .*; got x tensor\(float\) \[None, 2, 4\]; "
              r"export it with each row as a flat list of values, such as a flattened image")),
    "free width": (lambda _: constant(HALVES, inputs=[("x", TensorProto.FLOAT, [None, None])]),
                   r".* got x tensor\(float\) \[None, None\]; export it with a free number of rows and a fixed one of .*"),
}  # fmt: skip


@pytest.mark.parametrize(("make", "message"), BROKEN.values(), ids=BROKEN)
def test_what_is_no_classifier_is_refused(
    make: Callable[[Path], bytes], message: str, artifact: Path, tmp_path: Path
) -> None:
    """At start, in one line that names the file, the cause and the fix."""
    path = tmp_path / "model.onnx"
    path.write_bytes(make(artifact))

    with pytest.raises(ArtifactError) as raised:
        load(path)

    assert re.fullmatch(f"{re.escape(str(path))}: {message}", str(raised.value)), str(raised.value)


def test_external_data_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The artifact is one file; nothing it says can open another, not even in the working directory."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "model.onnx"
    model = onnx.ModelProto.FromString(constant(HALVES))
    onnx.save_model(model, path, save_as_external_data=True, size_threshold=0, location="weights.bin")
    assert (tmp_path / "weights.bin").exists()

    with pytest.raises(
        ArtifactError,
        match=r"not an ONNX model that onnxruntime can load, save it with its weights inside: .*External data",
    ):
        load(path)


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ("{", ("its facts aren't JSON: unexpected end of data: line 1 column 2 (char 1); "
         "write the facts again")),
        ({"labels": [1, 2, 3]}, ("its facts are wrong at classifier.labels.0: Input should be a valid string; "
         "write the facts again")),
        ({"sample": {"row": [1, 2, 3, 1e39], "probabilities": [1]}}, ("the model fails on its sample [1.0, 2.0, 3.0, 1e+39]: "
         "row 0, \"feature 3\": expected a finite number, got one beyond float32's ±3.403e+38; "
         "give it a sample with python -m model describe")),
        ({"lables": []}, "its facts are wrong at classifier.lables: Extra inputs are not permitted; write the facts again"),
        ({"features": [{"name": "a"}]}, "its facts have 1 features, its inputs take 4; write the facts again"),
        ({"sample": {"row": [1], "probabilities": [1]}}, ("its facts have 1 sample values, its inputs take 4; "
         "write the facts again")),
    ],
    ids=["no JSON", "types", "overflow", "unknown", "features", "sample"],
)  # fmt: skip
def test_wrong_facts_are_refused(zipmap: onnx.ModelProto, facts: object, message: str) -> None:
    """An artifact that contradicts itself isn't served."""
    with pytest.raises(ArtifactError, match=f"^{re.escape(message)}$"):
        load_bytes(with_facts(zipmap, facts), name="model")


@pytest.mark.parametrize("carried", [[0.2, 0.3, 0.5], [1.0], [0.25] * 4, []], ids=["others", "one", "four", "none"])
def test_carried_probabilities_that_differ_are_refused(artifact: Path, carried: list[float]) -> None:
    """The sample shows that the model computes here what it computed where it was trained."""
    model = onnx.ModelProto.FromString(artifact.read_bytes())
    facts = json.loads(next(entry.value for entry in model.metadata_props if entry.key == FACTS_KEY))
    facts["sample"]["probabilities"] = carried

    message = f"its facts say {carried}; the file was changed after training; train it again"
    with pytest.raises(ArtifactError, match=f"{re.escape(message)}$"):
        load_bytes(with_facts(model, facts), name="model")


def test_an_artifact_need_not_have_a_version(artifact: Path) -> None:
    """Most exporters write none."""
    model = onnx.ModelProto.FromString(artifact.read_bytes())
    model.ClearField("model_version")

    assert load_bytes(model.SerializeToString(), name="model").model.version == "0"


def test_numbers_in_facts_may_be_of_any_size(artifact: Path) -> None:
    """JSON sets no limit, the answers' writer does."""
    model = onnx.ModelProto.FromString(artifact.read_bytes())
    artifact_with_facts = with_facts(model, {"training": {"seed": 2**70}})

    assert load_bytes(artifact_with_facts, name="model").model.training == {"seed": float(2**70)}


def test_names_that_are_not_utf8_are_refused(artifact: Path, tmp_path: Path) -> None:
    """One line names the file, the cause and the fix."""
    path = tmp_path / "model.onnx"
    path.write_bytes(artifact.read_bytes().replace(b"skl2onnx", b"skl2onn\xff"))

    with pytest.raises(ArtifactError, match=f"^{re.escape(str(path))}: a name in it isn't UTF-8; export it again$"):
        load(path)


class TestSha256:
    def test_the_right_one_is_served(self, artifact: Path, classifier: Classifier) -> None:
        """MODEL_SHA256."""
        assert load(artifact, sha256=classifier.model.sha256).model.sha256 == classifier.model.sha256

    def test_what_the_package_was_built_with_is_held_to_it(
        self, artifact: Path, classifier: Classifier, tmp_path: Path
    ) -> None:
        """A file beside the artifact says it, as sha256sum writes it."""
        path = tmp_path / "model.onnx"
        path.write_bytes(artifact.read_bytes())
        beside = tmp_path / "model.onnx.sha256"
        beside.write_text(f"{classifier.model.sha256}  model.onnx\n")
        assert load(path).model.sha256 == classifier.model.sha256

        beside.write_text(f"{'0' * 64}  model.onnx\n")
        message = f"{path}: its SHA-256 is {classifier.model.sha256}, model.onnx.sha256 expects {'0' * 64}; deploy the right file"
        with pytest.raises(ArtifactError, match=f"^{re.escape(message)}$"):
            load(path)

    def test_another_is_refused(self, artifact: Path, classifier: Classifier) -> None:
        """Before the file is parsed at all."""
        message = f"{artifact}: its SHA-256 is {classifier.model.sha256}, MODEL_SHA256 expects {'0' * 64}; deploy the right file"

        with pytest.raises(ArtifactError, match=f"^{re.escape(message)}$"):
            load(artifact, sha256="0" * 64)


def test_a_missing_artifact_is_refused(tmp_path: Path) -> None:
    """One line names the file and the variable."""
    message = f"{tmp_path}/no.onnx: can't be read (No such file or directory); MODEL_FILEPATH names the model"

    with pytest.raises(ArtifactError, match=f"^{re.escape(message)}$"):
        load(tmp_path / "no.onnx")


@pytest.mark.skipif(sys.platform != "linux", reason="counts threads in /proc")
def test_loading_a_model_starts_no_thread() -> None:
    """Not onnxruntime's telemetry, which would report to its maker, nor a pool; Gunicorn may fork safely."""
    program = (
        "from function.classifier import load; from function.settings import shipped_model; import os;"
        "load(shipped_model()); print(len(os.listdir('/proc/self/task')))"
    )
    environ = os.environ | {"OPENBLAS_NUM_THREADS": "1"}  # NumPy's threads survive a fork

    result = subprocess.run([sys.executable, "-c", program], env=environ, capture_output=True, text=True, check=True)

    assert result.stdout == "1\n"


@pytest.mark.parametrize("value", [5.5, 1])
@pytest.mark.parametrize(
    ("fault", "got"),
    [
        (True, "a number, got a boolean"),
        (False, "a number, got a boolean"),
        (None, f"a number, got null; {NO_MISSING}"),
        ("1.5", "a number, got a string"),
        ([], "a number, got a list"),
        (math.nan, "a finite number, got NaN"),
        (10**400, "a finite number, got Infinity"),
        (1e39, "a finite number, got one beyond float32's ±3.403e+38"),
    ],
)
def test_one_wrong_value_among_many_is_found(classifier: Classifier, value: float, fault: Any, got: str) -> None:
    """Where many values are looked at together, whatever they are."""
    rows: list[list[Any]] = [[value] * 4 for _ in range(500)]
    assert len(classifier.predict(rows)) == 500
    rows[257][1] = fault

    with pytest.raises(FeaturesError) as raised:
        classifier.predict(rows)

    assert raised.value.message == f'row 257, "sepal width (cm)": expected {got}'


def test_what_columns_are_is_found_once(classifier: Classifier) -> None:
    """A wrong value of a wide row asks for it at each value before: made anew each time, 1 MB took 29 s."""
    columns = classifier.model.columns

    assert columns.types is columns.types
    assert columns.booleans is columns.booleans
