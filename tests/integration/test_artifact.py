"""The shipped artifact is what `make train` makes, and answers as scikit-learn does."""

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from function.classifier import Classifier
from model.train import Trained

# The artifact computes in float32, scikit-learn in float64: 1e-6 is 16 steps of float32 at 1.
TOLERANCE = 1e-6


def test_training_gives_the_shipped_files(trained: Trained, artifact: Path) -> None:
    """To the byte, so that training again shows what is served."""
    _, onnx, labels = trained

    assert artifact.read_bytes() == onnx
    assert json.loads(artifact.with_name("label.json").read_text()) == labels


def test_all_of_iris_gets_scikit_learns_probabilities(
    trained: Trained, classifier: Classifier, iris: NDArray[np.float64], iris_labels: list[str]
) -> None:
    """And every label."""
    pipeline, _, _ = trained

    np.testing.assert_allclose(classifier.predict(iris), pipeline.predict_proba(iris), rtol=0, atol=TOLERANCE)
    assert classifier.predict_label(iris) == iris_labels


def test_random_rows_get_scikit_learns_probabilities(
    trained: Trained, classifier: Classifier, iris: NDArray[np.float64]
) -> None:
    """10,000 rows in range: labels may differ in 1 of 1,000, and only where the first two classes are level."""
    pipeline, _, labels = trained
    rows = np.random.default_rng(0).uniform(iris.min(axis=0), iris.max(axis=0), (10_000, 4)).astype(np.float32)
    expected = pipeline.predict_proba(rows)

    probabilities = classifier.predict(rows)

    np.testing.assert_allclose(probabilities, expected, rtol=0, atol=TOLERANCE)
    differ = probabilities.argmax(axis=1) != pipeline.predict(rows)
    second, first = np.sort(expected[differ], axis=1)[:, -2:].T
    assert differ.sum() <= 10
    assert (first - second < 1e-4).all()
    assert classifier.predict_label(rows) == [labels[str(index)] for index in probabilities.argmax(axis=1)]


def test_its_own_label_is_that_of_the_highest_probability(classifier: Classifier, iris: NDArray[np.float64]) -> None:
    """On all of Iris and 10,000 random rows, so the original pattern's rule changes nothing."""
    random = np.random.default_rng(1).uniform(iris.min(axis=0), iris.max(axis=0), (10_000, 4))
    rows = np.concatenate([iris, random]).astype(np.float32)

    labels, probabilities = classifier.session.run(["label", "probabilities"], [rows])

    assert (labels == probabilities.argmax(axis=1)).all()
    assert classifier.model.is_argmax


def test_probabilities_are_a_distribution_even_far_from_the_data(classifier: Classifier) -> None:
    """Not negative, and their sum is 1."""
    largest = float(np.finfo(np.float32).max)
    far = [[largest] * 4, [-largest] * 4, [1e-46] * 4, [-0.0] * 4, [largest, -largest, 0, 1e-38]]

    probabilities = classifier.predict(far)

    assert (probabilities >= 0).all()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=0, atol=1e-5)


def test_the_artifact_carries_its_facts(classifier: Classifier) -> None:
    """So one file is all there is to ship."""
    assert classifier.model.name == "iris_svc"
    assert classifier.model.version == "1"
    assert classifier.model.producer == "skl2onnx"
    assert [(feature.name, feature.min, feature.max, feature.median) for feature in classifier.model.features] == [
        ("sepal length (cm)", 4.3, 7.9, 5.8),
        ("sepal width (cm)", 2.0, 4.4, 3.0),
        ("petal length (cm)", 1.0, 6.9, 4.35),
        ("petal width (cm)", 0.1, 2.5, 1.3),
    ]
    assert classifier.model.features[3].edges == (0.15, 0.25, 0.45, 1.15, 1.35, 1.45, 1.75, 1.95, 2.25)
    assert classifier.model.features[3].counts == (5, 29, 14, 12, 18, 8, 18, 17, 15, 14, 0)
    assert classifier.model.labels == ("setosa", "versicolor", "virginica")
    assert classifier.model.sample == (5.1, 3.5, 1.4, 0.2)
    assert classifier.model.training is not None
    assert classifier.model.training["rows"] == 150
    assert classifier.model.training["target"] == "species"
    assert classifier.model.training["accuracy"] > 0.9
    assert classifier.model.training["date"] == "2026-11-22"
    assert set(classifier.model.training["libraries"]) == {"scikit-learn", "skl2onnx", "onnx", "numpy"}
