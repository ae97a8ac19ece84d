"""Arrays → probabilities and labels."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from function.classifier import diagnosis
from function.classifier.inputs import FEW, Arrays, Rows, find_row_fault, to_arrays
from function.classifier.model import Model, Probabilities
from function.classifier.session import RUN_ERRORS, Session
from function.errors import ArtifactError


@dataclass(frozen=True)
class Classifier:
    """A session, and the model that it runs."""

    session: Session
    model: Model

    def predict(self, rows: Rows) -> Probabilities:
        """Give each row's class probabilities.

        Args:
            rows: shape (n_rows, n_features), n_rows ≥ 1; numbers finite in the type of their input, texts as str.

        Returns:
            float32, shape (n_rows, n_classes), columns in the order of the model's labels.

        Raises:
            FeaturesError: the rows aren't such a matrix, or the model has no finite answer for one.
        """
        columns, values = self.model.columns, rows.tolist() if isinstance(rows, np.ndarray) else rows
        if (fault := find_row_fault(columns, values)) is not None:
            raise fault
        return self.predict_arrays(to_arrays(columns, values))

    def predict_arrays(self, arrays: Arrays) -> Probabilities:
        """Give the same for arrays that `inputs` has made, one for each input."""
        try:
            probabilities = self.session.predict(arrays)
        except RUN_ERRORS as error:
            raise diagnosis.find_refused(self.session, self.model, arrays) or error from None
        if probabilities.shape[1] != len(self.model.labels):
            raise ArtifactError(f"the model gives {probabilities.shape} for {len(arrays[0])} rows")  # a bug of its own
        if not _are_finite(probabilities):
            raise diagnosis.not_finite(probabilities)
        return probabilities

    def name_classes(self, probabilities: Probabilities) -> list[str]:
        """Give each row's label, that of the class with the highest probability."""
        return pick(self.model.labels, probabilities)

    def predict_label(self, rows: Rows) -> list[str]:
        """Give each row's label; arguments and errors as in `predict`."""
        return self.name_classes(self.predict(rows))


def pick(of_classes: Sequence[str], probabilities: Probabilities) -> list[str]:
    """Give for each row what belongs to its class; the first of equals, as scikit-learn does."""
    if probabilities.size <= FEW:
        return [of_classes[row.index(max(row))] for row in probabilities.tolist()]
    return np.array(of_classes, dtype=object)[probabilities.argmax(axis=1)].tolist()  # type: ignore[no-any-return]


def _are_finite(probabilities: Probabilities) -> bool:
    if probabilities.size <= FEW:
        return math.isfinite(sum(map(sum, probabilities.tolist())))  # a NaN and an infinity stay in a sum
    return bool(np.isfinite(probabilities).all())
