"""The commands of model/ with nothing installed but what ships."""

import re
import subprocess
from pathlib import Path

from starlette.testclient import TestClient

from function.classifier import Classifier
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
        ("output", "label: the class id"),
        ("features", f"4: {names}"),
        ("missing", "null is refused in every feature"),
        ("labels", "setosa, versicolor, virginica (from a label file)"),
        ("rule", "MODEL: the label comes from label; by the graph it is the class with the highest probability"),
        ("parity", "not compared with the framework that trained it; model.export does that"),
        ("request", request),
        ("answer", client.get("/predict/test").text),
        ("limits", "10,000 rows and 1,000,000 bytes per request"),
        ("package", "zip: at most 95.0 MB unzipped with this model; Lambda takes 250 MB"),
    ]
    assert re.fullmatch(r"[\d,]+ µs per row, [\d,]+ µs per 1,000 rows", times)


def test_without_onnx_it_says_how_to_get_it(environments: Path) -> None:
    """`make run` doesn't install it."""
    python = with_packages("python3.11", "function/requirements.txt", environments)

    result = subprocess.run(
        [python, "-m", "model.describe", "a", "b"], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert result.returncode == 1
    assert "`make .venv/train` installs it" in result.stderr
