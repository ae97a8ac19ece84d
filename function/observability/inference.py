"""Measures runs of the model: rows, labels, values outside the training data's ranges."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from function.classifier import Classifier, Prediction
from function.classifier.inputs import FEW, Arrays
from function.classifier.model import BOOL, TEXT
from function.observability.bins import Watch

MOST_LABELS = 50  # with their own metrics: CloudWatch takes 100 metrics per line


class Run(NamedTuple):
    """One run of the model."""

    arrays: Arrays
    prediction: Prediction
    seconds: float


class Inference(NamedTuple):
    """Counts of one run, or of several together.

    `n_missing` counts values, predictions are label → rows, places are `Watch`'s place → rows.
    """

    n_rows: int
    seconds: float
    n_rows_outside: int
    n_missing: int
    predictions: Mapping[str, int]
    places: Mapping[int, int]


class _Range(NamedTuple):
    """The training data's minimum and maximum in the columns of one input."""

    input: int
    low: NDArray[Any]
    high: NDArray[Any]

    def are_outside(self, array: NDArray[Any]) -> NDArray[np.bool_]:
        """Return for each row whether it has a value outside."""
        mask = (array < self.low) | (array > self.high)
        return np.asarray(np.ascontiguousarray(mask.T).any(axis=0))  # any(axis=1) takes 10 times as long

    def are_few_outside(self, array: NDArray[Any]) -> list[bool]:
        """Return the same, checking one value after the other."""
        ends = list(zip(self.low.tolist(), self.high.tolist(), strict=True))
        return [
            any(value < low or value > high for value, (low, high) in zip(row, ends, strict=True))
            for row in array.tolist()
        ]


class InferenceObserver:
    """Measures runs of one model."""

    def __init__(self, classifier: Classifier) -> None:
        self.watch = Watch(classifier.model)
        self._classifier = classifier
        self._ranges = list(_read_ranges(classifier))
        self._fills = list(_read_fills(classifier))

    def measure(self, runs: Sequence[Run]) -> Inference:
        """Count over some runs: few values one by one, many in one pass of NumPy."""
        arrays, prediction = runs[0].arrays, runs[0].prediction
        if len(runs) > 1:
            arrays = [np.concatenate(parts) for parts in zip(*(run.arrays for run in runs), strict=True)]
            prediction = _join([run.prediction for run in runs])
        counts = Counter(self._classifier.name_classes(prediction))
        return Inference(
            n_rows=len(prediction.probabilities),
            seconds=sum(run.seconds for run in runs),
            n_rows_outside=self._count_outside(arrays),
            n_missing=self._count_missing(arrays),
            predictions={label: counts[label] for label in self._classifier.model.labels if label in counts},
            places=self.watch.count(arrays),
        )

    def _count_missing(self, arrays: Arrays) -> int:
        found = ((arrays[index], fill) for index, fill in self._fills)
        are_missing = (array == fill if isinstance(fill, str) else np.isnan(array) for array, fill in found)
        return sum(int(np.count_nonzero(mask)) for mask in are_missing)

    def _count_outside(self, arrays: Arrays) -> int:
        if sum(array.size for array in arrays) <= FEW:
            few = (range_.are_few_outside(arrays[range_.input]) for range_ in self._ranges)
            return sum(map(any, zip(*few, strict=True)))
        many = [range_.are_outside(arrays[range_.input]) for range_ in self._ranges]
        return int(np.count_nonzero(np.logical_or.reduce(many))) if many else 0


def _join(predictions: Sequence[Prediction]) -> Prediction:
    probabilities = np.concatenate([prediction.probabilities for prediction in predictions])
    classes = [prediction.classes for prediction in predictions if prediction.classes is not None]
    return Prediction(probabilities, np.concatenate(classes) if classes else None)


def _read_fills(classifier: Classifier) -> Iterator[tuple[int, float | str]]:
    """Yield the inputs whose values may be missing, and what replaces a missing one."""
    columns, start = classifier.model.columns, 0
    for index, input in enumerate(columns.inputs):
        fills = columns.fills[start : start + input.width]
        start += input.width
        if (fill := next((fill for fill in fills if fill is not None), None)) is not None:
            yield index, fill


def _read_ranges(classifier: Classifier) -> Iterator[_Range]:
    start = 0
    for index, input in enumerate(classifier.model.columns.inputs):
        features = classifier.model.features[start : start + input.width]
        start += input.width
        if input.type not in (TEXT, BOOL) and any(
            feature.min is not None or feature.max is not None for feature in features
        ):
            low = np.array([-np.inf if feature.min is None else feature.min for feature in features])
            high = np.array([np.inf if feature.max is None else feature.max for feature in features])
            if input.type in ("float16", "float32"):  # round the ends like the values
                low, high = low.astype(input.type), high.astype(input.type)
            yield _Range(index, low, high)
