"""The bins of a column's training data: tenths of its numbers, its texts, true and false."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from function.classifier.model import BOOL, TEXT
from model.table import Value

N_BINS = 10  # of numbers, if they differ enough


class Binned(NamedTuple):
    """The edges between the bins of numbers, and the rows in each bin; the last count is of missing values."""

    edges: tuple[float, ...] | None
    counts: tuple[int, ...] | None


def find_bins(values: Sequence[Value], type: str, choice: Sequence[str] | None) -> Binned:
    """Find the bins of a column; free texts have none."""
    present = [value for value in values if value is not None]
    n_missing = len(values) - len(present)
    if type in (TEXT, BOOL):
        known: Sequence[Value] = (choice or ()) if type == TEXT else (False, True)
        counts = Counter[Value](present)
        return Binned(None, (*(counts[value] for value in known), n_missing) if known else None)
    if not present:
        return Binned(None, None)
    numbers = np.array(present, dtype=np.float64).astype(type).astype(np.float64)  # in the model's type
    edges = _find_edges(numbers)
    counts_within = np.bincount(np.searchsorted(edges, numbers), minlength=len(edges) + 1)
    return Binned(tuple(edges), (*counts_within.tolist(), n_missing))


def _find_edges(numbers: np.ndarray) -> list[float]:
    """Find up to nine edges, between two different values, where the tenths of the rows end.

    An edge is halfway between the two values. If they are further apart than a standard deviation, it is half of one
    from the more frequent value, so that a shift by one standard deviation moves those rows over the edge.
    """
    values, counts = np.unique(numbers, return_counts=True)
    ends = np.cumsum(counts)[:-1] / len(numbers)
    if not len(ends):
        return []
    places = {int(np.abs(ends - tenth / N_BINS).argmin()) for tenth in range(1, N_BINS)}
    largest = float(np.abs(values).max())  # the square may overflow
    half = float(np.std(numbers / largest)) * (largest / 2)
    edges = []
    for place in sorted(places):
        low, high = float(values[place]), float(values[place + 1])
        margin = min(half, high / 2 - low / 2)
        edges.append(_shorten(low + margin if counts[place] >= counts[place + 1] else high - margin, margin / 2))
    return edges


def _shorten(number: float, tolerance: float) -> float:
    """Return the number with the fewest digits that is close enough."""
    shortened = (float(f"{number:.{n_digits}g}") for n_digits in range(1, 18))
    return next((found for found in shortened if abs(found - number) <= tolerance), number)
