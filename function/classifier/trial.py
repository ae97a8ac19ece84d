"""Tries a session at the start: its sample, alone and as a batch of two rows, and rows around it."""

import contextlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from function.classifier.inputs import RANGES, Arrays, to_arrays
from function.classifier.model import BOOL, TEXT, WHOLE, Columns, Value, cut
from function.classifier.session import RUN_ERRORS, TYPES, Session, one_line
from function.errors import ArtifactError

N_ROWS = 32  # beside the sample; fewer where a row has thousands of columns
MOST_VALUES = 50_000


class Trial(NamedTuple):
    """The session as it can be run, and what it shows.

    Attributes:
        session: one that runs each row alone where two at once fail.
        answers: what each output gives for each row, shape (n_rows, n), the sample first; outputs that don't give as much for
            each row as for the sample are left out.
        keys: of each ZipMap.
    """

    session: Session
    answers: dict[str, NDArray[Any]]
    keys: dict[str, tuple[str, ...]]


def try_session(session: Session, columns: Columns, sample: Sequence[Value]) -> Trial:
    """Run the rows.

    Raises:
        ArtifactError: the model fails on its sample.
    """
    outputs = [output.name for output in session.outputs if output.is_zipmap or output.type in TYPES]
    try:
        alone = to_arrays(columns, [list(sample)])
        one = session.run(outputs, alone)
    except Exception as error:  # noqa: BLE001 - onnxruntime's own errors share no narrower base
        message = f"the model fails on its sample {cut(str(list(sample)), 300)}: {one_line(error)}"
        raise ArtifactError(f"{message}; give it one with python -m model.describe") from None
    try:
        two = session.run(outputs, [np.repeat(array, 2, axis=0) for array in alone])
    except RUN_ERRORS:
        session = session.one_by_one()
        two = session.run(outputs, [np.repeat(array, 2, axis=0) for array in alone])
    around = _run(session, outputs, _vary(columns, alone))
    answers, keys = {}, {}
    for index, name in enumerate(outputs):
        if isinstance(one[index], list):
            keys[name] = tuple(str(class_id) for class_id in one[index][0])
        parts = [_to_lines(answer[index], n_rows) for answer, n_rows in ((one, 1), (two, 2), *around)]
        if len({part.shape[1] if part is not None else None for part in parts}) == 1 and parts[0] is not None:
            answers[name] = np.concatenate([parts[0], *parts[2:]])
    return Trial(session, answers, keys)


def _run(session: Session, outputs: Sequence[str], arrays: Arrays) -> list[tuple[list[Any], int]]:
    """Run rows all at once, or, where that fails, each alone: a model needn't know every row."""
    n_rows = len(arrays[0])
    with contextlib.suppress(*RUN_ERRORS):
        return [(session.run(outputs, arrays), n_rows)]
    answers = []
    for row in range(n_rows):
        with contextlib.suppress(*RUN_ERRORS):
            answers.append((session.run(outputs, [array[row : row + 1] for array in arrays]), 1))
    return answers


def _to_lines(answer: Any, n_rows: int) -> NDArray[Any] | None:
    """Give one line a row, or None where an output doesn't have one."""
    if isinstance(answer, list):
        answer = np.array([list(row.values()) for row in answer])
    return answer.reshape(n_rows, -1) if answer.size and answer.size % n_rows == 0 else None


def _vary(columns: Columns, alone: Arrays) -> Arrays:
    """Make rows around the sample: half of them by 0.01 to 1,000, half within the known ranges."""
    n_columns = len(columns.features)
    n_rows = max(8, min(N_ROWS, MOST_VALUES // n_columns))
    steps = np.arange(n_rows)[:, None]
    waves = np.sin((steps + 1) * (1 + 0.7548776662 * np.arange(n_columns)))  # no two columns rise and fall together
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
    """Run the sample with one value missing after the other.

    Returns:
        The columns that may be missing, but get no finite probabilities then.
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
    """Say of each row whether its answer is finite."""
    n_rows = len(arrays[0])
    try:
        (answer,) = session.run([output], arrays)
    except RUN_ERRORS:
        each = [[array[row : row + 1] for array in arrays] for row in range(n_rows)]
        return [n_rows > 1 and _are_finite(session, output, alone)[0] for alone in each]
    lines = _to_lines(answer, n_rows)
    return [False] * n_rows if lines is None else [bool(np.isfinite(line).all()) for line in lines.astype(np.float64)]
