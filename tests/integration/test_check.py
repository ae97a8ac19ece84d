"""`python -m model.check`: what the service will make of a file, before it ships."""

import json
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from starlette.testclient import TestClient

from function.api.app import create_app
from function.classifier import load
from function.settings import Settings, shipped_model
from tests.support.entry_points import ROOT
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


def test_it_hints_at_what_is_slow_or_unclear(tmp_path: Path) -> None:
    """A ZipMap, a fixed batch of one row, classes without names."""
    hints = {
        "LogisticRegression, one row, ZipMap": [
            "a ZipMap is slower than a tensor: with skl2onnx, export with options={'zipmap': False}",
            "the rows of a batch run one by one: export with a free number of rows",
        ],
        "sigmoid, one column": ["the file doesn't name its classes: are the labels in the order of the probabilities?"],
        "LogisticRegression, float64": [
            "float64 inputs may be rounded inside, by trees above all: a float32 sample exports float32 inputs"
        ],
        "penguins": [],
    }
    for name, expected in hints.items():
        path = tmp_path / "model.onnx"
        path.write_bytes(MODELS[name]().artifact)
        assert [line for heading, line in lines(check(path)) if heading == "hint"] == expected


def test_labels_may_be_given(tmp_path: Path) -> None:
    """As LABEL_FILEPATH gives them to the service."""
    (tmp_path / "penguins.onnx").write_bytes(penguins().artifact)
    (tmp_path / "names.json").write_text(json.dumps({"0": "a", "1": "b", "2": "c"}))

    found = dict(lines(check(tmp_path / "penguins.onnx", "--labels", tmp_path / "names.json")))

    assert found["labels"] == "a, b, c (from a label file)"
    assert found["hint"] == "the label file renames the model's own classes Adelie, Chinstrap, Gentoo"


def test_what_is_refused_is_told_in_one_line(tmp_path: Path) -> None:
    """The service's own line."""
    path = tmp_path / "model.onnx"
    path.write_bytes(b"no model")

    result = check(path)

    assert (result.returncode, result.stdout) == (1, "")
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"ArtifactError: {path}: no ONNX model that onnxruntime can load, export it again: ")


def test_a_model_that_lambda_has_no_room_for_is_served_elsewhere(tmp_path: Path) -> None:
    """Known before a build is tried."""
    model = onnx.load(shipped_model())
    model.graph.initializer.append(numpy_helper.from_array(np.zeros(39_000_000, dtype=np.float32), "ballast"))
    path = tmp_path / "large.onnx"
    path.write_bytes(model.SerializeToString())

    found = lines(check(path))

    message = (
        "too large for Lambda's package, which has room for a model of 155 MB, this has 156: "
        "serve it with local_server.py, or make it smaller (fewer trees, float16, int8)"
    )
    assert [line for heading, line in found if heading == "warning"] == [message]
    assert "package" not in dict(found)
