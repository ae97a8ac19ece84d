"""The commands of model/ with nothing installed but what ships."""

import re
import subprocess
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from function.classifier import Classifier, load
from function.settings import shipped_model
from tests.integration.test_check import check, lines
from tests.support.entry_points import ROOT
from tests.support.pythons import with_packages


def test_the_shipped_model(environments: Path, client: TestClient, classifier: Classifier) -> None:
    """All that there is to know, with nothing installed but what ships."""
    python = with_packages("python3.11", "function/requirements.txt", environments)
    path = shipped_model()

    found = lines(check(path, python=python))

    names = "sepal length (cm), sepal width (cm), petal length (cm), petal width (cm)"
    request = "curl -d '{\"data\": [[5.1, 3.5, 1.4, 0.2]]}' -H 'content-type: application/json' localhost:8000/predict"
    times = dict(found).pop("time")
    assert [line for line in found if line[0] != "time"] == [
        ("artifact", f"{path}, {path.stat().st_size:,} bytes, SHA-256 {classifier.model.sha256}"),
        ("name", "iris_svc, version 1, at /v2/models/iris_svc"),
        ("made by", "skl2onnx; opsets ai.onnx 22, ai.onnx.ml 1"),
        ("input", "features: float32 (None, 4)"),
        ("output", "probabilities: the probabilities of 3 classes, a tensor"),
        ("output", "label: the predicted class"),
        ("features", f"4: {names}"),
        ("missing", "null is refused in every feature"),
        ("labels", "setosa, versicolor, virginica (from a label file)"),
        ("rule", 'MODEL: the output "label" gives the label, which is the class with the highest probability'),
        ("parity", "not compared with the framework that trained it; `python -m model export` does that"),
        ("request", request),
        ("answer", client.get("/predict/test").text),
        ("limits", "10,000 rows and 1,000,000 bytes per request"),
        ("package", "zip: at most 95.0 MB unzipped with this model; Lambda takes 250 MB"),
    ]
    assert re.fullmatch(r"[\d,]+ µs per row, [\d,]+ µs per 1,000 rows", times)


NEEDED = [
    ("function/requirements.txt", "describe", "onnx"),
    ("function/requirements.txt", "export", "onnx"),
    ("function/requirements.txt", "evaluate", "pyarrow"),
    ("function/requirements.txt", "compare", "scipy"),
    ("function/requirements.txt", "score", "pyarrow"),
    ("model/requirements.txt", "describe", "pyarrow"),
    ("model/requirements.txt", "export", "pyarrow"),
]


@pytest.mark.parametrize(("lock", "command", "package"), NEEDED)
def test_a_command_says_what_it_lacks_and_how_to_get_it(
    lock: str, command: str, package: str, environments: Path, tmp_path: Path
) -> None:
    """In one line, where less is installed than `make model` does."""
    python = with_packages("python3.11", lock, environments)
    arguments = ["a.joblib", "b.csv", "--target", "c", "--output", "d.onnx"] if command == "export" else ["a", "b"]

    result = subprocess.run(
        [python, "-m", "model", command, *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )

    fix = f"model {command} needs the package {package}, which is missing: `make model` installs it"
    assert (result.returncode, result.stderr) == (1, f"{fix}\n")


EXPORT = """
import sys
from sklearn.linear_model import LogisticRegression
from model.export import export

export(LogisticRegression().fit([[0.0], [1.0]], ["no", "yes"]), [[0.0], [1.0]], ["no", "yes"], sys.argv[1])
"""


def test_a_notebook_exports_with_what_train_installs(environments: Path, tmp_path: Path) -> None:
    """Less than `make model`, which docs/models.md asks for."""
    python = with_packages("python3.11", "model/requirements.txt", environments)

    command = [str(python), "-c", EXPORT, str(tmp_path / "x.onnx")]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert (result.returncode, result.stderr) == (0, "")
    assert load(tmp_path / "x.onnx").model.labels == ("no", "yes")


def test_train_runs_with_what_train_installs(environments: Path, tmp_path: Path) -> None:
    """As `make train` does on a fresh clone."""
    python = with_packages("python3.11", "model/requirements.txt", environments)

    command = [str(python), "-m", "model.train", "--date", "2026-11-22", "--folder", str(tmp_path)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert (result.returncode, result.stderr) == (0, "")
    assert (tmp_path / shipped_model().name).read_bytes() == shipped_model().read_bytes()
