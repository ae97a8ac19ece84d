"""Arrays → probabilities and classes."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from function.classifier import diagnosis
from function.classifier.inputs import FEW, Arrays, Rows, find_row_fault, to_arrays, to_list
from function.classifier.model import TEXT, Model, Probabilities
from function.classifier.outputs import TOLERANCE, parse_class_id, to_probabilities
from function.classifier.session import RUN_ERRORS, Session
from function.errors import ArtifactError


class Prediction(NamedTuple):
    """Probabilities, float32, shape (n_rows, n_classes); and each row's class index, None if the highest decides."""

    probabilities: Probabilities
    classes: NDArray[np.intp] | None


class Classifier:
    """A session, and the model that it runs.

    Attributes:
        class_values: the class ids in the type of the session's output of labels, in the order of the probabilities.
    """

    def __init__(self, session: Session, model: Model) -> None:
        self.session = session
        self.model = model
        signature = model.signature
        self._outputs = [signature.output_name]
        if model.label_rule == "MODEL" and signature.label_name is not None and not model.is_argmax:
            self._outputs.append(signature.label_name)
        class_ids = model.class_ids or () if signature.label_name else ()
        values = [parse_class_id(name, signature.label_type) for name in class_ids]
        self.class_values = np.array(values, dtype=object if signature.label_type == TEXT else signature.label_type)
        self._classes = {value: index for index, value in enumerate(values)}

    def predict(self, rows: Rows) -> Probabilities:
        """Return each row's class probabilities.

        Args:
            rows: shape (n_rows, n_features), n_rows ≥ 1; numbers finite in the type of their input, texts as str,
                missing values as None, or in an array as NaN.

        Returns:
            float32, shape (n_rows, n_classes), columns in the order of the model's labels.

        Raises:
            FeaturesError: the rows aren't such a matrix, or the model has no finite answer for one.
        """
        return self.predict_rows(rows).probabilities

    def predict_label(self, rows: Rows) -> list[str]:
        """Return each row's label; arguments and errors as in `predict`."""
        return self.name_classes(self.predict_rows(rows))

    def predict_rows(self, rows: Rows) -> Prediction:
        """Return probabilities and classes; arguments and errors as in `predict`."""
        columns, values = self.model.columns, to_list(rows) if isinstance(rows, np.ndarray) else rows
        if (fault := find_row_fault(columns, values)) is not None:
            raise fault
        return self.predict_arrays(to_arrays(columns, values))

    def predict_arrays(self, arrays: Arrays) -> Prediction:
        """Return probabilities and classes for arrays from `inputs`, one per input."""
        try:
            return self.run(arrays)
        except RUN_ERRORS as error:
            raise diagnosis.find_refused(self.session, self.model, arrays) or error from None

    def run(self, arrays: Arrays) -> Prediction:
        """Return the same as `predict_arrays`, but don't search for the wrong row if the session fails.

        Raises:
            RUN_ERRORS: the session fails.
            FeaturesError: the model has no answer for a row.
        """
        answers = self.session.run(self._outputs, arrays)
        probabilities = to_probabilities(answers[0], len(arrays[0]))
        if probabilities.shape[1] != len(self.model.labels):
            raise ArtifactError(
                f"the model gives {probabilities.shape} for {len(arrays[0])} rows"
            )  # a bug in the model
        if not _are_probabilities(probabilities, self.model.signature.tolerance):
            probabilities = _clip(probabilities, self.model.signature.tolerance)
        return Prediction(probabilities, self._read_classes(answers[1]) if len(answers) > 1 else None)

    def _read_classes(self, labels: NDArray[Any]) -> NDArray[np.intp]:
        """Return the index of each row's class.

        Raises:
            FeaturesError: a label is none of the model's classes.
        """
        find = self._classes.get
        classes = [find(label, -1) for label in labels.ravel().tolist()]
        if -1 in classes:
            raise diagnosis.no_class(classes.index(-1))
        return np.array(classes)

    def name_classes(self, prediction: Prediction) -> list[str]:
        """Return each row's label."""
        return pick(self.model.labels, prediction)


def pick(of_classes: Sequence[str], prediction: Prediction) -> list[str]:
    """Return for each row what belongs to its class; the first of equals, as scikit-learn does."""
    if prediction.classes is None and prediction.probabilities.size <= FEW:
        return [of_classes[row.index(max(row))] for row in prediction.probabilities.tolist()]
    return np.array(of_classes, dtype=object)[find_classes(prediction)].tolist()  # type: ignore[no-any-return]


def find_classes(prediction: Prediction) -> NDArray[np.intp]:
    """Return the index of each row's class."""
    return prediction.probabilities.argmax(axis=1) if prediction.classes is None else prediction.classes


def _are_probabilities(probabilities: Probabilities, tolerance: float) -> bool:
    """Return whether all are from 0 to 1, which a NaN isn't, and each row's sum is 1."""
    low, high = 1 - tolerance, 1 + tolerance
    if probabilities.size > FEW:
        sums = probabilities @ np.ones(probabilities.shape[1], np.float32)  # a tenth of what sum(axis=1) takes
        least, most = probabilities.min(), probabilities.max()
        return bool(least >= 0 and most <= 1 and sums.min() >= low and sums.max() <= high)
    for row in probabilities.tolist():
        for value in row:
            if not 0 <= value <= 1:
                return False
        if not low <= sum(row) <= high:
            return False
    return True


def _clip(probabilities: Probabilities, tolerance: float) -> Probabilities:
    """Cut off what rounding has put beyond 0 and 1.

    Raises:
        FeaturesError: they aren't finite, or no probabilities.
    """
    if not np.isfinite(probabilities).all():
        raise diagnosis.not_finite(probabilities)
    clipped = np.clip(probabilities, 0, 1)
    are_off = (np.abs(probabilities - clipped) > TOLERANCE).any(axis=1)
    are_off |= np.abs(clipped.sum(axis=1) - 1) > tolerance + TOLERANCE
    if are_off.any():
        raise diagnosis.no_probabilities(int(are_off.argmax()))
    return clipped
