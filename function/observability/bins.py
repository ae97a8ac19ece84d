"""Counts a model's rows in the bins of its training data, and measures how far they have drifted.

The population stability index of a feature is the sum over its bins of (a - e) * ln(a / e), where a is the bin's share
of the rows, and e its share of the training data: https://scholarworks.wmich.edu/dissertations/3208.
"""

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from function.classifier import Model
from function.classifier.facts import Feature
from function.classifier.inputs import Arrays
from function.classifier.model import BOOL, TEXT, Input, Value

MOST_FEATURES = 50  # only the first ones are counted
MOST_TEXTS = 10  # the most common texts of a feature have their own bins
FLOOR = 0.001  # the least share of a bin in an index
WINDOW = 250  # rows per index; with fewer, chance alone sometimes gives 0.25
FEW = 400  # so few values are counted one by one; NumPy's pass takes as long
ANOTHER, MISSING = "another", "missing"


@dataclass(frozen=True)
class Bins:
    """A feature's bins.

    Attributes:
        feature: its name.
        input: the index of its array.
        column: in that array.
        names: of each bin: "<= 5.1", "= red", another, missing.
        expected: each bin's share of the training data.
        edges: for numbers, the upper ends of the bins.
        places: for texts and booleans, value -> bin.
    """

    feature: str
    input: int
    column: int
    names: tuple[str, ...]
    expected: tuple[float, ...]
    edges: tuple[float, ...] = ()
    places: Mapping[Value, int] | None = None

    def find(self, value: Any) -> int:
        """Find the bin of a value."""
        if self.places is not None:
            return self.places.get(value, len(self.names) - 2)
        return bisect_left(self.edges, value) if value == value else len(self.names) - 1  # noqa: PLR0124 - NaN


class Drift(NamedTuple):
    """For the rows of a window: each feature's population stability index, and feature -> bin -> rows."""

    indexes: Mapping[str, float]
    rows: Mapping[str, Mapping[str, int]]


class Watch:
    """The bins of all features that have such facts, side by side; a place is the index of one of these bins."""

    def __init__(self, model: Model) -> None:
        self.bins = tuple(_read_bins(model))[:MOST_FEATURES]
        self.starts = np.cumsum([0, *(len(bins.names) for bins in self.bins)])[:-1].tolist()
        self.names = [(bins.feature, name) for bins in self.bins for name in bins.names]
        self._expected = np.maximum([share for bins in self.bins for share in bins.expected], FLOOR)
        watched = list(zip(self.bins, self.starts, strict=True))
        self._choices = [(bins, start) for bins, start in watched if bins.places is not None]
        self._numbers = [(bins, start) for bins, start in watched if bins.places is None]
        most = max((len(bins.edges) for bins, _ in self._numbers), default=0)
        rows = [[*bins.edges, *[math.inf] * (most - len(bins.edges))] for bins, _ in self._numbers]
        self._edges = np.array(rows, dtype=np.float64).reshape(len(rows), most).T[:, :, np.newaxis]

    def count(self, arrays: Arrays) -> dict[int, int]:
        """Count the rows by place: few values one by one, many in one pass of NumPy."""
        if len(arrays[0]) * len(self.bins) > FEW:
            return dict(self._count_many(arrays))
        counts: dict[int, int] = {}
        lists = [array.tolist() for array in arrays] if self.bins else []
        for bins, start in zip(self.bins, self.starts, strict=True):
            for row in lists[bins.input]:
                place = start + bins.find(row[bins.column])
                counts[place] = counts.get(place, 0) + 1
        return counts

    def _count_many(self, arrays: Arrays) -> Iterator[tuple[int, int]]:
        for bins, start in self._choices:
            found = Counter(arrays[bins.input][:, bins.column].tolist())
            counts = Counter[int]()
            for value, n_rows in found.items():
                counts[start + bins.find(value)] += n_rows
            yield from counts.items()
        if self._numbers:
            columns = [arrays[bins.input][:, bins.column] for bins, _ in self._numbers]
            in_bins, n_missing = _count_numbers(np.array(columns, dtype=np.float64), self._edges)
            for (bins, start), of_feature, missing in zip(self._numbers, in_bins, n_missing, strict=True):
                numbers = [*of_feature[: len(bins.edges) + 1], missing]
                yield from ((start + place, n_rows) for place, n_rows in enumerate(numbers) if n_rows)

    def measure(self, counts: Sequence[int]) -> list[float]:
        """Return the population stability index of each feature for the rows in each place."""
        if not self.bins:
            return []
        found = np.array(counts, dtype=np.float64)
        found = np.maximum(found / np.add.reduceat(found, self.starts)[0], FLOOR)
        parts = (found - self._expected) * np.log(found / self._expected)
        return np.add.reduceat(parts, self.starts).tolist()  # type: ignore[no-any-return]

    def describe(self, counts: Sequence[int]) -> dict[str, dict[str, int]]:
        """Return the number of rows by feature and bin, without empty bins."""
        found: dict[str, dict[str, int]] = {bins.feature: {} for bins in self.bins}
        for (feature, name), n_rows in zip(self.names, counts, strict=True):
            if n_rows:
                found[feature][name] = n_rows
        return found


class Window:
    """Adds up rows until there are enough for an index, then starts again."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._counts = [0] * len(watch.names)
        self._n_rows = 0

    def add(self, places: Mapping[int, int], n_rows: int) -> Drift | None:
        """Add the counts of some rows; if the window is complete, return its drift."""
        for place, count in places.items():
            self._counts[place] += count
        self._n_rows += n_rows
        if self._n_rows < WINDOW or not self._counts:
            return None
        counts, self._counts, self._n_rows = self._counts, [0] * len(self._counts), 0
        names = (bins.feature for bins in self._watch.bins)
        return Drift(dict(zip(names, self._watch.measure(counts), strict=True)), self._watch.describe(counts))


def _count_numbers(values: NDArray[np.float64], edges: NDArray[np.float64]) -> tuple[list[list[int]], list[int]]:
    """Count the rows of each feature by bin, and the missing values; shapes (n_features, n_rows) and `_edges`."""
    n_missing = np.count_nonzero(np.isnan(values), axis=1)
    n_above = [np.count_nonzero(values > edge, axis=1) for edge in edges]
    n_rows = np.full_like(n_missing, values.shape[1]) - n_missing
    in_bins = -np.diff([n_rows, *n_above, np.zeros_like(n_missing)], axis=0)
    return in_bins.T.tolist(), n_missing.tolist()


def _read_bins(model: Model) -> Iterator[Bins]:
    places = (
        (index, column, input) for index, input in enumerate(model.columns.inputs) for column in range(input.width)
    )
    columns = zip(places, model.features, model.columns.fills, strict=True)
    for (index, column, input), feature, fill in columns:
        if feature.counts is None:
            continue
        if input.type in (TEXT, BOOL):
            values: Iterable[Value] = (feature.values or ()) if input.type == TEXT else (False, True)
            yield _of_choices(feature, (index, column), dict(zip(values, feature.counts, strict=False)), fill)
        else:
            yield _of_numbers(feature, (index, column), input)


def _of_choices(feature: Feature, where: tuple[int, int], known: Mapping[Value, int], fill: Value) -> Bins:
    *_, n_missing = counts = feature.counts or ()
    common = sorted(known, key=lambda value: -known[value])[:MOST_TEXTS]
    n_others = sum(counts) - n_missing - sum(known[value] for value in common)
    places: dict[Value, int] = {value: place for place, value in enumerate(common)}
    if isinstance(fill, str):
        places[fill] = len(common) + 1
    names = (*(f"= {str(value).lower() if isinstance(value, bool) else value}" for value in common), ANOTHER, MISSING)
    shares = [n_rows / sum(counts) for n_rows in (*(known[value] for value in common), n_others, n_missing)]
    return Bins(feature.name, *where, names, tuple(shares), places=places)


def _of_numbers(feature: Feature, where: tuple[int, int], input: Input) -> Bins:
    """Read the bins of numbers, and add one bin below and one above the training data's range."""
    *within, n_missing = counts = feature.counts or ()
    low, high = (float(np.array(end).astype(input.type)) for end in (feature.min, feature.max))  # rounded alike
    inner = feature.edges or ()
    least, *most = map(_name, (feature.min, *inner, feature.max))
    names = (f"< {least}", *(f"<= {edge}" for edge in most), f"> {most[-1]}", MISSING)
    shares = [n_rows / sum(counts) for n_rows in (0, *within, 0, n_missing)]
    return Bins(feature.name, *where, names, tuple(shares), edges=(math.nextafter(low, -math.inf), *inner, high))


def _name(number: float | None) -> str:
    return repr(number).removesuffix(".0")
