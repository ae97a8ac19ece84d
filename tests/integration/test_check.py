"""`python -m model.check`: what the service will make of a file, before it ships."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from skl2onnx import to_onnx
from sklearn.ensemble import RandomForestRegressor
from starlette.testclient import TestClient

from function.api.app import create_app
from function.classifier import load
from function.settings import Settings, shipped_model
from model.check import describe
from tests.support.entry_points import ROOT
from tests.support.kinds import GAPS, KINDS, by_hand
from tests.support.models import MODELS, penguins


def check(*arguments: str | Path, python: Path | str = sys.executable) -> subprocess.CompletedProcess[str]:
    command = [python, "-m", "model.check", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def lines(result: subprocess.CompletedProcess[str]) -> list[tuple[str, str]]:
    assert result.returncode == 0, result.stderr
    return [(line[:9].strip(), line[10:]) for line in result.stdout.splitlines()]


@pytest.mark.parametrize("name", ["penguins", "LogisticRegression, one row, ZipMap", "sigmoid, one dimension"])
def test_the_request_that_it_prints_gets_the_answer_that_it_prints(name: str, tmp_path: Path) -> None:
    """From the service."""
    path = tmp_path / "model.onnx"
    path.write_bytes(MODELS[name]().artifact)
    found = dict(lines(check(path)))
    app = create_app(Settings(), load(path))

    arguments = shlex.split(found["request"])

    answer = TestClient(app).post("/predict", content=arguments[arguments.index("-d") + 1])
    assert (answer.status_code, answer.text) == (200, found["answer"])


NO_VERSION = "the file has no version: `python -m model describe … --version 1` writes one into it, and so does version=1 of export"


def test_it_hints_at_what_is_slow_or_unclear(tmp_path: Path) -> None:
    """A ZipMap, a fixed batch of one row, classes without names; a file without a version."""
    hints = {
        "LogisticRegression, one row, ZipMap": [
            "a ZipMap is slower than a tensor; with skl2onnx, export with options={'zipmap': False}",
            "the rows of a batch run one by one; export with a free number of rows",
        ],
        "sigmoid, one column": ["the file doesn't name its classes: are the labels in the order of the probabilities?"],
        "LogisticRegression, float64": [
            "the model, above all with trees, may round float64 inputs; a float32 sample exports float32 inputs"
        ],
        "penguins": [],
    }
    for name, expected in hints.items():
        path = tmp_path / "model.onnx"
        path.write_bytes(MODELS[name]().artifact)
        assert [line for heading, line in lines(check(path)) if heading == "hint"] == [*expected, NO_VERSION]


@pytest.mark.parametrize(
    ("words", "is_ascii"), [("[a-zA-Z0-9_]+", True), (r"\w+", True), (r"[\p{L}\p{N}_]{2,}", False), ("[a-z]+", False)]
)
def test_it_hints_at_words_of_ascii_only(words: str, *, is_ascii: bool, tmp_path: Path) -> None:
    """They are skl2onnx's default, or RE2's \\w."""
    proto = onnx.ModelProto.FromString(MODELS["words"]().artifact)
    (node,) = (node for node in proto.graph.node if node.op_type == "Tokenizer")
    (expression,) = (attribute for attribute in node.attribute if attribute.name == "tokenexp")
    expression.s = words.encode()

    hints = [line for heading, line in found_of(proto.SerializeToString(), tmp_path) if heading == "hint"]

    hint = (
        f"texts are split by {words}, in which only ASCII has letters; with skl2onnx, the option tokenexp sets another, "
        r"such as r'[\p{L}\p{N}_]{2,}'"
    )
    assert hints == [hint] * is_ascii + [NO_VERSION]


def tree_of_opset_5() -> onnx.ModelProto:
    """One split: 0.25 up to 0, 0.75 above."""
    values: dict[str, Any] = {
        "nodes_splits": np.zeros(1, np.float32),
        "leaf_weights": np.array([0.25, 0.75], np.float32),
        "nodes_modes": np.zeros(1, np.uint8),
    }
    places: dict[str, Any] = {
        "tree_roots": [0],
        "nodes_featureids": [0],
        "nodes_truenodeids": [0],
        "nodes_trueleafs": [1],
    }
    places |= {"nodes_falsenodeids": [1], "nodes_falseleafs": [1], "leaf_targetids": [0, 0]}
    tensors: dict[str, Any] = {name: numpy_helper.from_array(array, name) for name, array in values.items()}
    node = helper.make_node("TreeEnsemble", ["x"], ["y"], domain="ai.onnx.ml", n_targets=1, **places, **tensors)
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 1]) for name in "xy"]
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("ai.onnx.ml", 5)]
    return helper.make_model(helper.make_graph([node], "tree", ends[:1], ends[1:]), opset_imports=opsets, ir_version=10)


def regressor(model: Any) -> onnx.ModelProto:
    X = np.arange(20, dtype=np.float32)[:, None]
    proto: onnx.ModelProto = to_onnx(model.fit(X, X[:, 0] > 10), X[:1])
    return proto


def test_it_hints_at_a_regressor(tmp_path: Path) -> None:
    """It passes for a classifier of two classes if its numbers are from 0 to 1."""
    operators = {
        "TreeEnsembleRegressor": regressor(RandomForestRegressor(3, random_state=0)),
        "TreeEnsemble": tree_of_opset_5(),
    }
    for operator, model in operators.items():
        hints = [line for heading, line in found_of(model.SerializeToString(), tmp_path) if heading == "hint"]
        assert (
            f"the file has no output of labels, and {operator}: if it is a regressor, its numbers aren't probabilities, "
            "though they are from 0 to 1"
        ) in hints


def found_of(artifact: bytes, folder: Path, **environ: str) -> list[tuple[str, str]]:
    path = folder / "model.onnx"
    path.write_bytes(artifact)
    settings = Settings.load({"MODEL_FILEPATH": str(path), **environ})
    return [line for line in describe(settings) if line[0] not in ("artifact", "time")]


def test_it_says_what_makes_the_label(tmp_path: Path) -> None:
    """The model's own label or the highest probability, and how often they differ where it tried."""
    gives, highest = 'MODEL: the output "label" gives the label', "the class with the highest probability"
    rules = {
        "threshold 0.1, int64": rf"{gives}; {highest} is another one in [1-9]\d* of \d+ trial rows",
        "GaussianNB and its class labels": rf"{gives}; {highest} is another one in 0 of \d+ trial rows",
        "row number beside the label": f"{gives}, which is {highest}",
        "batch of 3": f"HIGHEST: the label is {highest}, because the model has no output of labels",
    }
    for name, expected in rules.items():
        assert re.fullmatch(expected, dict(found_of(KINDS[name]().artifact, tmp_path))["rule"])
    found = found_of(KINDS["threshold 0.1, int64"]().artifact, tmp_path, LABEL_RULE="HIGHEST")
    expected = rf'HIGHEST: the label is {highest}; the output "label" gives another one in [1-9]\d* of \d+ trial rows'
    assert re.fullmatch(expected, dict(found)["rule"])


def test_it_says_what_is_ignored_and_how_rows_are_run(tmp_path: Path) -> None:
    """By name."""
    scores = found_of(KINDS["scores beside the probabilities"]().artifact, tmp_path)
    assert ("output", "scores: ignored") in scores
    batch = found_of(KINDS["batch of 3"]().artifact, tmp_path)
    assert ("input", "x: float32 (3, 2)") in batch
    hint = "rows run in groups of 3, the last is filled up; export with a free number of rows"
    assert ("hint", hint) in batch
    assert ("input", "in_a: float32 (None,)") in found_of(KINDS["inputs of rank 1"]().artifact, tmp_path)


def test_it_says_where_values_may_be_missing(tmp_path: Path) -> None:
    """And where the model has no answer then, though that was asked for."""
    half = found_of(GAPS["half of the columns"]().kind.artifact, tmp_path)
    assert ("missing", "null is accepted in feature 0, feature 1, feature 2") in half
    plain = found_of(by_hand(), tmp_path, ALLOW_MISSING="true")
    assert ("missing", "null is refused in every feature") in plain
    warning = (
        "missing values aren't accepted in feature 0, feature 1: the model's answer to its sample without a value isn't "
        "finite"
    )
    assert ("warning", warning) in plain


def test_labels_may_be_given(tmp_path: Path) -> None:
    """As LABEL_FILEPATH gives them to the service."""
    (tmp_path / "penguins.onnx").write_bytes(penguins().artifact)
    (tmp_path / "names.json").write_text(json.dumps({"0": "a", "1": "b", "2": "c"}))

    found = lines(check(tmp_path / "penguins.onnx", "--labels", tmp_path / "names.json"))

    assert dict(found)["labels"] == "a, b, c (from a label file)"
    assert ("hint", "the label file renames the model's own classes Adelie, Chinstrap, Gentoo") in found


def test_what_is_refused_is_told_in_one_line(tmp_path: Path) -> None:
    """The service's own line."""
    path = tmp_path / "model.onnx"
    path.write_bytes(b"no model")

    result = check(path)

    assert (result.returncode, result.stdout) == (1, "")
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"ArtifactError: {path}: not an ONNX model that onnxruntime can load, export it again: ")


def test_a_model_that_a_zip_has_no_room_for_wants_an_image(tmp_path: Path) -> None:
    """Known before a build is tried."""
    model = onnx.load(shipped_model())
    model.graph.initializer.append(numpy_helper.from_array(np.zeros(39_000_000, dtype=np.float32), "ballast"))
    path = tmp_path / "large.onnx"
    path.write_bytes(model.SerializeToString())

    found = lines(check(path))

    assert dict(found)["package"] == (
        "image: a zip has room for 155 MB, this model has 156; make deploy PACKAGE=image PARAMETERS='MemorySize=669'"
    )
