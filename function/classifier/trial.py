"""Tries a session at start-up: runs its sample, alone and as a batch of two rows, and rows around it."""

import contextlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from function.classifier.inputs import RANGES, Arrays, to_arrays
from function.classifier.model import BOOL, TEXT, WHOLE, Columns, Value, cut
from function.classifier.outputs import to_probabilities
from function.classifier.session import RUN_ERRORS, TYPES, Session, one_line
from function.errors import ArtifactError

N_ROWS = 32  # around the sample
N_MORE = 500  # if those don't get every class
MOST_VALUES = 100_000  # in total, so that rows with thousands of columns don't take longer
N_HALVINGS = 10  # of the distance between two rows of different classes


class Trial:
    """Trial rows and a session's answers to them: the sample, rows around it, rows at the boundary of two classes.

    Attributes:
        session: runs each row alone if two at once fail.
        keys: the keys of each ZipMap.
    """

    def __init__(self, session: Session, columns: Columns, sample: Sequence[Value]) -> None:
        """Run the sample, alone and as a batch of two rows, and the rows around it.

        Raises:
            ArtifactError: the model fails on its sample.
        """
        self.session, self._columns = session, columns
        self._outputs = [output.name for output in session.outputs if output.is_zipmap or output.type in TYPES]
        self._rows: list[Arrays] = []
        self._answers: list[dict[str, NDArray[Any]]] = []
        try:
            self._alone = to_arrays(columns, [list(sample)])
            answers = session.run(self._outputs, self._alone)
        except Exception as error:  # noqa: BLE001 - onnxruntime's own errors share no narrower base
            message = f"the model fails on its sample {cut(str(list(sample)), 300)}: {one_line(error)}"
            raise ArtifactError(f"{message}; give it a sample with python -m model describe") from None
        zipmaps = ((name, maps) for name, maps in zip(self._outputs, answers, strict=True) if isinstance(maps, list))
        self.keys = {name: tuple(str(class_id) for class_id in maps[0]) for name, maps in zipmaps}
        self._add(self._alone, answers)
        two = [np.repeat(array, 2, axis=0) for array in self._alone]
        try:
            self._add(two, session.run(self._outputs, two))
        except RUN_ERRORS:
            self.session = session.one_by_one()
        self._run(_vary(columns, self._alone, N_ROWS))

    @property
    def answers(self) -> dict[str, NDArray[Any]]:
        """The values of each output for each row, shape (n_rows, n), the sample first.

        Outputs that don't give the same number of values for each row are left out.
        """
        found = {name: [answers.get(name) for answers in self._answers] for name in self._outputs}
        return {
            name: np.concatenate(parts)  # type: ignore[arg-type]
            for name, parts in found.items()
            if len({None if part is None else part.shape[1] for part in parts}) == 1 and parts[0] is not None
        }

    def find_meeting(self, output: str) -> None:
        """Approach the boundary between classes of the highest probability, because labels may differ from it there."""
        if len(set(self._classes(output))) < max(2, self._answers[0][output].shape[1]):
            self._run(_vary(self._columns, self._alone, N_MORE))
        classes = self._classes(output)
        pairs = [(row, row + 1) for row in range(len(classes) - 1) if classes[row] != classes[row + 1]][:N_ROWS]
        if not pairs:
            return
        rows = [np.concatenate(parts) for parts in zip(*self._rows, strict=True)]
        ends = [[array[list(side)] for array in rows] for side in zip(*pairs, strict=True)]
        of_first = [classes[first] for first, _ in pairs]
        for _ in range(N_HALVINGS):
            middle = [_halve(*parts) for parts in zip(*ends, strict=True)]
            if not self._run(middle):
                return
            are_first = np.array(self._classes(output)[-len(pairs) :]) == of_first
            for array, first, second in zip(middle, *ends, strict=True):
                first[are_first], second[~are_first] = array[are_first], array[~are_first]

    def _classes(self, output: str) -> list[int]:
        answers = np.concatenate([answers[output] for answers in self._answers])
        return to_probabilities(answers, len(answers)).argmax(axis=1).tolist()  # type: ignore[no-any-return]

    def _run(self, arrays: Arrays) -> bool:
        """Run rows all at once or, if that fails, each alone: a model may fail on some rows."""
        with contextlib.suppress(*RUN_ERRORS):
            self._add(arrays, self.session.run(self._outputs, arrays))
            return True
        for row in range(len(arrays[0])):
            alone = [array[row : row + 1] for array in arrays]
            with contextlib.suppress(*RUN_ERRORS):
                self._add(alone, self.session.run(self._outputs, alone))
        return False

    def _add(self, arrays: Arrays, answers: list[Any]) -> None:
        lines = ((name, _to_lines(answer, len(arrays[0]))) for name, answer in zip(self._outputs, answers, strict=True))
        self._rows.append(arrays)
        self._answers.append({name: line for name, line in lines if line is not None})


def _halve(first: NDArray[Any], second: NDArray[Any]) -> NDArray[Any]:
    """Return the rows halfway between two; texts and booleans are those of the first."""
    if first.dtype.kind not in "fiu":
        return first.copy()
    middle: NDArray[Any] = (first + (second.astype(np.float64) - first) / 2).astype(first.dtype)
    return middle


def _to_lines(answer: Any, n_rows: int) -> NDArray[Any] | None:
    """Return the values of each row, or None if an output doesn't have the same number for each."""
    if isinstance(answer, list):
        answer = np.array([list(row.values()) for row in answer])
    return answer.reshape(n_rows, -1) if answer.size and answer.size % n_rows == 0 else None


def _vary(columns: Columns, alone: Arrays, n_rows: int) -> Arrays:
    """Create rows around the sample: half of them at a distance of 0.01 to 1,000, half within the known ranges."""
    n_columns = len(columns.features)
    n_rows = max(8, min(n_rows, MOST_VALUES // n_columns))
    steps = np.arange(n_rows)[:, None]
    waves = np.sin((steps + 1) * (2.399963 + 0.754878 * np.arange(n_columns)))  # no two columns change alike
    arrays, start = [], 0
    for input, array in zip(columns.inputs, alone, strict=True):
        place = slice(start, start + input.width)
        start += input.width
        arrays.append(_vary_input(columns, input.type, place, array, steps, waves[:, place]))
    return arrays


def _vary_input(
    columns: Columns, type: str, place: slice, array: NDArray[Any], steps: NDArray[Any], waves: NDArray[Any]
) -> NDArray[Any]:
    features = columns.features[place]
    if type == TEXT:
        known = features[0].values or tuple(array.ravel().tolist())
        return np.array([[known[int(step) % len(known)]] for step in steps.ravel()], dtype=object)
    if type == BOOL:
        return waves > 0
    sample = np.nan_to_num(array.astype(np.float64))
    near = sample + 10.0 ** (steps % 6 - 2) * waves
    span = np.abs(sample[0]) + 1
    low = _known([feature.min for feature in features], sample[0] - span)
    high = _known([feature.max for feature in features], sample[0] + 2 * span)
    rows = np.where(steps % 2, near, low + (high - low) * (0.5 + 0.5 * waves))
    if type in WHOLE:
        rows = np.floor(rows)
    limited: NDArray[Any] = np.clip(rows, *RANGES[type]).astype(type)
    return limited


def _known(ends: Sequence[float | None], otherwise: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.array([other if end is None else end for end, other in zip(ends, otherwise.tolist(), strict=True)])


def try_missing(session: Session, columns: Columns, sample: Sequence[Value], output: str) -> tuple[int, ...]:
    """Run the sample with one value missing at a time.

    Returns:
        The columns that may have missing values, but get no finite probabilities with one.
    """
    tried = [column for column, fill in enumerate(columns.fills) if fill is not None]
    failed: list[int] = []
    for start in range(0, len(tried), N_ROWS):
        part = tried[start : start + N_ROWS]
        arrays = to_arrays(columns, [[*sample[:column], None, *sample[column + 1 :]] for column in part])
        lines = _are_finite(session, output, arrays)
        failed += [column for column, is_finite in zip(part, lines, strict=True) if not is_finite]
    return tuple(failed)


def _are_finite(session: Session, output: str, arrays: Arrays) -> list[bool]:
    """Return for each row whether its answer is finite."""
    n_rows = len(arrays[0])
    try:
        (answer,) = session.run([output], arrays)
    except RUN_ERRORS:
        each = [[array[row : row + 1] for array in arrays] for row in range(n_rows)]
        return [n_rows > 1 and _are_finite(session, output, alone)[0] for alone in each]
    lines = _to_lines(answer, n_rows)
    return [False] * n_rows if lines is None else [bool(np.isfinite(line).all()) for line in lines.astype(np.float64)]
