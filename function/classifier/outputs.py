"""A session's outputs → probabilities and classes; finds out from the graph and a trial which outputs these are."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from function.classifier import trace
from function.classifier.model import BOOL, FLOATS, TEXT, WHOLE, Probabilities, cut
from function.classifier.onnx_file import Graph
from function.classifier.session import TYPES, Output
from function.errors import ArtifactError

TOLERANCE = 1e-4  # of probabilities and their sum: CPUs round float32 differently
FLOAT16_TOLERANCE = 2e-3  # float16's steps below 1 are 2**-11
ROUNDING = 0.05  # a larger difference from 1 isn't rounding
EXPORT = "export a classifier with predict_proba, softmax or sigmoid"

ONE_CLASS = "this service gives a row one class; export classes that exclude each other"
MULTI_LABEL = f"gives each class its own label: multi-label; {ONE_CLASS}"

Answers = Mapping[str, NDArray[Any]]  # output -> its values for each row of a trial, shape (n_rows, n)


class UnclearLabelError(ArtifactError):
    """It is unclear which output is the label, or which class it means."""


class Labels(NamedTuple):
    """The output of labels: its name and type, the class ids in the order of the probabilities, the trial's classes.

    `is_traced`: the order comes from the file, not from the trial.
    """

    name: str
    type: str
    ids: tuple[str, ...]
    classes: NDArray[np.intp]
    is_traced: bool


def to_probabilities(output: Any, n_rows: int) -> Probabilities:
    """Convert probabilities, also a ZipMap's, to float32 of shape (n_rows, n_classes)."""
    if isinstance(output, list):
        return np.array([list(row.values()) for row in output], dtype=np.float32)
    if output.ndim != 2 or len(output) != n_rows:
        output = output.reshape(n_rows, -1)  # a squeeze may have removed either dimension
    if output.shape[1] == 1:  # a sigmoid: the probability of the second of two classes
        output = np.hstack([1 - output, output])
    return output.astype(np.float32, copy=False)  # type: ignore[no-any-return]


def to_class_ids(values: NDArray[Any]) -> list[str]:
    """Return labels as class ids: texts, integers without decimals."""
    listed = values.ravel().tolist()
    return [str(int(value)) if isinstance(value, float) and value.is_integer() else str(value) for value in listed]


def parse_class_id(class_id: str, type: str) -> str | int:
    """Return a class id in the type of the output of labels; an int equals any number type."""
    if type == TEXT:
        return class_id
    return class_id == "True" if type == BOOL else int(class_id)


def find_probabilities(outputs: Sequence[Output], answers: Answers, graph: Graph) -> Output:
    """Choose the output of probabilities: the only float output, or of several the only one that fits.

    Raises:
        ArtifactError: none fits, or several do.
    """
    found = [output for output in outputs if output.is_zipmap or TYPES.get(output.type) in FLOATS]
    faults = {output: _find_fault(output, answers.get(output.name), graph) for output in found}
    if len(found) == 1 and (fault := faults[found[0]]):
        raise ArtifactError(fault)
    fit = [output for output, fault in faults.items() if fault is None]
    fit = [output for output in fit if answers[output.name].shape[1] > 1] or fit
    # A single column that is always 0 or 1 is a label.
    fit = [output for output in fit if not np.isin(answers[output.name], (0, 1)).all()] or fit
    if fit and all(np.array_equal(answers[fit[0].name], answers[output.name], equal_nan=True) for output in fit):
        return fit[0]
    if not fit and (others := [output for output in outputs if _is_multi_label(output, answers.get(output.name))]):
        raise ArtifactError(f"{others[0].name!r} {MULTI_LABEL}")
    names = [output.name for output in fit]
    got = ", ".join(f"{output.name} {output.type} {output.shape}" for output in outputs)
    message = f"expected one output of probabilities, tensor(float) (None, n_classes) or ZipMap, got {cut(got, 400)}"
    if names:
        fix = "export it with one of them"
        if len(names) > 1 and all(answers[name].shape[1] == 1 for name in names):
            fix = "if each is the probability of one class, export them as one tensor: zipmap=False in skl2onnx"
        raise ArtifactError(f"{message}, of which {' and '.join(names)} fit; {fix}")
    reasons = "; ".join(fault for fault in faults.values() if fault)
    raise ArtifactError(f"{message}; {cut(reasons, 600) or 'export it with that one'}")


def _is_multi_label(output: Output, values: NDArray[Any] | None) -> bool:
    if output.type.startswith("seq(tensor"):  # as in scikit-learn's MultiOutputClassifier
        return True
    if values is None or TYPES.get(output.type) not in (*WHOLE, BOOL):
        return False
    return values.shape[1] > 1 and bool(np.isin(values, (0, 1)).all())


def _find_fault(output: Output, answers: NDArray[Any] | None, graph: Graph) -> str | None:
    """Say why an output isn't probabilities, and how to fix it."""
    if answers is None:
        message = f"expected probabilities of shape (n_rows, n_classes), got another shape from {output.name!r}"
        return f"{message}; export a classifier with a free number of rows"
    if not np.isfinite(answers[0]).all():
        message = f"{output.name!r} isn't finite for its sample: {_show(answers[0])}"
        return f"{message}; give it a sample that it answers, with python -m model describe"
    known = answers[np.isfinite(answers).all(axis=1)].astype(np.float64)
    wrong = known[((known < -TOLERANCE) | (known > 1 + TOLERANCE)).any(axis=1)]
    if len(wrong):
        message = f"{output.name!r} isn't probabilities, from 0 to 1: {_show(wrong[0])} for its sample or a row near it"
        return f"{message}; is it a regressor, or logits? {EXPORT}"
    return _find_sum_fault(output, known, graph) if known.shape[1] > 1 else None


def find_tolerance(output: Output, n_classes: int, graph: Graph) -> float:
    """Return how far a sum may be from 1, for the output's rounding."""
    tolerance = FLOAT16_TOLERANCE if TYPES.get(output.type) == "float16" else TOLERANCE
    return tolerance + n_classes / 256 if trace.is_quantized(graph, output.name) else tolerance


def _find_sum_fault(output: Output, known: NDArray[np.float64], graph: Graph) -> str | None:
    sums = known.sum(axis=1)
    sums = sums[sums != 0]  # far from the training data, one-against-the-rest models may give all classes 0
    off = np.abs(sums - 1).max(initial=0)
    if off <= find_tolerance(output, known.shape[1], graph):
        return None
    got = (
        f"{output.name!r} isn't probabilities that sum to 1: {_show(known[0])}, "
        f"the sums are {sums.min():.6g} to {sums.max():.6g}"
    )
    if off <= ROUNDING:
        return f"{got}, as with rounding; export them as float32, with the softmax not quantized"
    return f"{got}: multi-label, or not normalized; {ONE_CLASS}"


def find_labels(
    outputs: Sequence[Output],
    answers: Answers,
    graph: Graph,
    probabilities: Output,
    keys: tuple[str, ...] | None,
    names: Sequence[str] | None,
) -> Labels | None:
    """Choose the output of labels, preferably among those that come from the scores.

    Args:
        outputs: the session's.
        answers: their values in a trial.
        graph: the artifact's.
        probabilities: the output of probabilities.
        keys: the keys of the ZipMap, if the probabilities are one; onnxruntime sorts them.
        names: known labels, in the order of the probabilities; they may be the model's class ids.

    Returns:
        None if there is none.

    Raises:
        ArtifactError: it isn't clear which output it is, or which class it means.
    """
    found = to_probabilities(answers[probabilities.name], len(answers[probabilities.name]))
    fits, unclear = list[Labels](), list[str]()
    for output, ids in _find_candidates(outputs, answers, graph, probabilities):
        known = keys or trace.find_class_ids(graph, output.name, found.shape[1])
        if (order := _match(ids, found, known, names)) is not None:
            classes = np.array([order.index(class_id) if class_id in order else -1 for class_id in ids])
            fits.append(Labels(output.name, TYPES[output.type], order, classes, known is not None))
        else:
            unclear.append(f"{output.name!r} gives {cut(', '.join(sorted(set(ids))), 100)}")
    if any(not np.array_equal(fits[0].classes, other.classes) for other in fits):
        message = f"expected one output of labels, {' and '.join(labels.name for labels in fits)} differ"
        raise UnclearLabelError(f"{message}; export it with one of them, or set LABEL_RULE=HIGHEST")
    if unclear and not fits:
        message = f"{' and '.join(unclear)}, and the file doesn't say which class has which column"
        raise UnclearLabelError(
            f"{message}; name the classes the same in a label.json beside it, or set LABEL_RULE=HIGHEST"
        )
    return fits[0] if fits else None


def _find_candidates(
    outputs: Sequence[Output], answers: Answers, graph: Graph, probabilities: Output
) -> list[tuple[Output, list[str]]]:
    """Find outputs that may be labels, with their values: those that come from the scores, else all."""
    nodes = trace.find_score_nodes(graph, probabilities.name)
    found = list(_find_few_valued(outputs, answers, graph, probabilities))
    return [candidate for candidate in found if trace.comes_from(graph, candidate[0].name, nodes)] or found


def _find_few_valued(
    outputs: Sequence[Output], answers: Answers, graph: Graph, probabilities: Output
) -> Iterator[tuple[Output, list[str]]]:
    """Find outputs with one value per row, few different values, and no copy of an input; yield them with their values.

    Raises:
        ArtifactError: one has several labels per row.
    """
    n_classes = max(2, answers[probabilities.name].shape[1])
    for output in outputs:
        values, type = answers.get(output.name), TYPES.get(output.type)
        if values is None or output == probabilities or trace.is_input(graph, output.name):
            continue
        if values.shape[1] == n_classes and _is_multi_label(output, values):
            raise ArtifactError(f"{output.name!r} {MULTI_LABEL}")
        is_whole = type not in FLOATS or bool((values == np.floor(values)).all())
        # One more than the classes: for rows where the model doesn't decide.
        if values.shape[1] == 1 and is_whole and len(set(ids := to_class_ids(values))) <= n_classes + 1:
            yield output, ids


def _match(
    ids: Sequence[str], found: Probabilities, known: tuple[str, ...] | None, names: Sequence[str] | None
) -> tuple[str, ...] | None:
    """Find the class ids in the order of the probabilities, from the graph or from the trial."""
    if known is not None:
        return known if set(ids) <= set(known) else None
    rows = np.flatnonzero(
        np.isfinite(found).all(axis=1)
    ).tolist()  # far from the training data a model may have no answer
    found, ids = found[rows], [ids[row] for row in rows]
    if names and len(names) == found.shape[1] and set(ids) <= set(names):
        return tuple(names)
    columns = range(found.shape[1])
    from_0, from_1 = (tuple(str(column + first) for column in columns) for first in (0, 1))
    fits = [guess for guess in (from_0, from_1, ("False", "True")) if _fits(guess, ids, found)]
    if not fits and (guess := _order(ids, found)) is not None and _fits(guess, ids, found):
        return guess
    return fits[0] if len(fits) == 1 else None


def _fits(guess: Sequence[str], ids: Sequence[str], found: Probabilities) -> bool:
    """Return whether each class is more probable where it is the label than where it isn't.

    With two classes, in each of those rows. With more, on average, and the label is mostly the most probable class.
    """
    if len(guess) != found.shape[1] or not set(ids) <= set(guess):
        return False
    classes = np.array([guess.index(class_id) for class_id in ids])
    share_highest = (classes == found.argmax(axis=1)).mean()
    if share_highest == 1:
        return True
    seen = np.unique(classes)
    if len(seen) == 1 or (found.shape[1] > 2 and share_highest < 0.5):
        return False
    measure = (np.min, np.max) if found.shape[1] == 2 else (np.mean, np.mean)
    return all(_rises(found[:, index], classes == index, *measure) for index in seen)


def _order(ids: Sequence[str], found: Probabilities) -> tuple[str, ...] | None:
    """Order class ids, if all were seen, by the column that is more probable where they are the label."""
    own = np.array(ids)
    seen = sorted(set(ids))
    gains = {
        class_id: int((found[own == class_id].mean(axis=0) - found[own != class_id].mean(axis=0)).argmax())
        for class_id in seen
        if len(seen) == found.shape[1]
    }
    return tuple(sorted(gains, key=lambda class_id: gains[class_id])) if len(set(gains.values())) == len(seen) else None


def _rises(
    column: NDArray[np.float32],
    is_label: NDArray[np.bool_],
    of_label: Callable[..., Any],
    of_others: Callable[..., Any],
) -> bool:
    return bool(of_label(column[is_label]) >= of_others(column[~is_label]))


def _show(row: NDArray[Any]) -> str:
    return cut(str(row.tolist()), 100)
