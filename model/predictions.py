"""What a classifier makes of many rows that are all right, as it will serve them; needs nothing that reads files."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from function.classifier import Classifier, Prediction
from function.classifier.predictor import find_classes
from function.errors import FeaturesError
from model.table import Row

CHUNK = 1_000  # rows at once


def predict(classifier: Classifier, rows: Sequence[Row]) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
    """Give each row's probabilities, shape (n_rows, n_classes), and the place of its label among the model's.

    Raises:
        FeaturesError: the model doesn't answer a row; `where` is its place in all of them.
    """
    found = [_predict(classifier, rows, start) for start in range(0, len(rows), CHUNK)]
    probabilities = np.concatenate([prediction.probabilities for prediction in found])
    return probabilities, np.concatenate([find_classes(prediction) for prediction in found])


def _predict(classifier: Classifier, rows: Sequence[Row], start: int) -> Prediction:
    try:
        return classifier.predict_rows(rows[start : start + CHUNK])
    except FeaturesError as error:
        row, *column = map(int, error.where)
        raise FeaturesError(error.message, type=error.type, where=(start + row, *column)) from None
