"""Iris as a CSV, in all forms that a CSV has."""

import csv
import io
from collections.abc import Callable

from sklearn.datasets import load_iris

SPECIES = ("setosa", "versicolor", "virginica")
FEATURES = ["sepal length (cm)", "sepal width (cm)", "petal length (cm)", "petal width (cm)"]


def iris_csv(
    separator: str = ",", *, has_header: bool = True, label: Callable[[int], str] = lambda index: SPECIES[index]
) -> str:
    """Write the 150 rows with their species."""
    rows, targets = load_iris(return_X_y=True)
    text = io.StringIO()
    writer = csv.writer(text, delimiter=separator)
    writer.writerows([[*FEATURES, "species"]] if has_header else [])
    writer.writerows([*row, label(target)] for row, target in zip(rows.tolist(), targets, strict=True))
    return text.getvalue()
