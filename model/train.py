"""Trains the shipped classifier on Iris and writes it as an ONNX artifact with its facts.

python -m model.train --date 2026-11-22
"""

import argparse
import json
import warnings
from datetime import date
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import NamedTuple

import onnx
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import FloatTensorType
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_iris
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.utils import Bunch

from function.classifier import load_bytes
from function.classifier.facts import FACTS_KEY, Facts, Feature, Sample
from model.bins import find_bins

HERE = Path(__file__).parent
SAMPLE = (5.1, 3.5, 1.4, 0.2)
SEED = 0
LIBRARIES = ("scikit-learn", "skl2onnx", "onnx", "numpy")


class Trained(NamedTuple):
    """scikit-learn's classifier, the same model as an ONNX artifact, and its labels by index."""

    pipeline: Pipeline
    artifact: bytes
    labels: dict[str, str]


def make_classifier() -> Pipeline:
    """Create the untrained pipeline: standardised features, an RBF SVM, calibrated probabilities."""
    folds = StratifiedKFold(5, shuffle=True, random_state=SEED)
    return make_pipeline(StandardScaler(), CalibratedClassifierCV(SVC(), ensemble=False, cv=folds))


def train(day: date) -> Trained:
    """Train on the 150 rows of Iris.

    Args:
        day: the training date in the artifact; the same day gives the same bytes.
    """
    iris = load_iris()
    classifier = make_classifier()
    folds = StratifiedKFold(10, shuffle=True, random_state=SEED)
    accuracy = cross_val_score(classifier, iris.data, iris.target, cv=folds).mean()
    classifier.fit(iris.data, iris.target)
    model = _convert(classifier, n_features=iris.data.shape[1])
    facts = _facts(iris, accuracy, day, model)
    onnx.helper.set_model_props(model, {FACTS_KEY: facts.model_dump_json(exclude_none=True)})
    onnx.checker.check_model(model)
    labels = {str(index): str(name) for index, name in enumerate(iris.target_names)}
    return Trained(classifier, model.SerializeToString(deterministic=True), labels)


def _convert(classifier: Pipeline, n_features: int) -> onnx.ModelProto:
    with warnings.catch_warnings():
        # skl2onnx 1.20 checks whether there is an SVC.probA_, which scikit-learn 1.9 deprecates.
        warnings.filterwarnings("ignore", r"Attribute `prob[AB]_` was deprecated", FutureWarning)
        model: onnx.ModelProto = convert_sklearn(
            classifier,
            name="iris_svc",
            initial_types=[("features", FloatTensorType([None, n_features]))],
            options={"zipmap": False},
        )
    model.model_version = 1
    model.opset_import.sort(key=lambda opset: opset.domain)  # skl2onnx takes them from a set, in any order
    return model


def _facts(iris: Bunch, accuracy: float, day: date, model: onnx.ModelProto) -> Facts:
    columns = zip(iris.feature_names, iris.data.T.tolist(), strict=True)
    (probabilities,) = load_bytes(model.SerializeToString(), name="iris_svc").predict([SAMPLE])
    return Facts(
        features=tuple(
            Feature(
                name=name,
                min=min(values),
                max=max(values),
                median=median(values),
                **find_bins(values, "float32", None)._asdict(),
            )
            for name, values in columns
        ),
        labels=tuple(str(name) for name in iris.target_names),
        sample=Sample(row=SAMPLE, probabilities=tuple(probabilities.tolist())),
        training={
            "dataset": "Iris (R. A. Fisher, 1936; scikit-learn's copy)",
            "rows": len(iris.data),
            "target": "species",
            "estimator": "StandardScaler, SVC (RBF), sigmoid calibration",
            "accuracy": round(float(accuracy), 4),
            "accuracy_from": "10-fold stratified cross-validation",
            "date": day.isoformat(),
            "libraries": {name: version(name) for name in LIBRARIES},
        },
    )


def main() -> None:
    """Write the artifact and its labels."""
    parser = argparse.ArgumentParser(description="Train the shipped model and write it as ONNX.")
    parser.add_argument("--date", type=date.fromisoformat, required=True, help="training date in the artifact")
    parser.add_argument("--folder", type=Path, default=HERE, help="where to write iris_svc.onnx and label.json")
    arguments = parser.parse_args()
    _, artifact, labels = train(arguments.date)
    (arguments.folder / "iris_svc.onnx").write_bytes(artifact)
    (arguments.folder / "label.json").write_text(json.dumps(labels, indent=2) + "\n")
    print(f"{arguments.folder / 'iris_svc.onnx'}: {len(artifact)} bytes")


if __name__ == "__main__":
    main()
