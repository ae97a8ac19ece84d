"""What a model must hold before it is served: its facts, its sample's answer, its labels, and rows around the sample."""

import contextlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from function.classifier.facts import Sample
from function.classifier.inputs import to_arrays
from function.classifier.model import Columns, Model, Probabilities, cut
from function.classifier.session import RUN_ERRORS, Session, one_line
from function.errors import ArtifactError

TOLERANCE = 1e-4  # between carried and computed probabilities: other processors round float32 differently
PROBABILITIES_FIX = "is it a regressor, or logits? export a classifier with predict_proba, softmax or sigmoid"
N_PROBES = 16  # rows around the sample, by 1, 10, 100 and 1,000

OwnAnswers = Sequence[tuple[str, int]]


def check_widths(columns: Columns, sample: Sequence[Any]) -> None:
    """Hold the facts' features and sample against the inputs."""
    n_features = len(columns.types)
    for what, width in (("features", len(columns.features)), ("sample values", len(sample))):
        if width != n_features:
            message = f"its facts give {width} {what}, its input takes {n_features}; write the facts anew"
            raise ArtifactError(message)
    if len({feature.name for feature in columns.features}) != n_features:  # rows may come as objects by name
        raise ArtifactError("its facts give two features one name; write the facts anew, each with its own")


def run_sample(session: Session, columns: Columns, sample: Sequence[Any]) -> tuple[Probabilities, tuple[str, ...]]:
    """Run the sample, alone and as a batch of two rows: give its probabilities, and the keys of a ZipMap."""
    try:
        alone, pair = (session.run(to_arrays(columns, [list(sample)] * n_rows)) for n_rows in (1, 2))
    except Exception as error:  # noqa: BLE001 - onnxruntime's own errors share no narrower base
        message = f"the model fails on its sample {cut(str(list(sample)), 300)}: {one_line(error)}"
        raise ArtifactError(f"{message}; give it one with python -m model.describe") from None
    is_zipmap = session.signature.is_zipmap
    sizes = [len(answer) * len(answer[0]) if is_zipmap else answer.size for answer in (alone, pair)]
    if sizes[1] != 2 * sizes[0]:
        message = (
            f"expected probabilities of shape (n_rows, n_classes), got {sizes[0]} for a row and {sizes[1]} for two"
        )
        raise ArtifactError(f"{message}; export a classifier with a free number of rows")
    return session.to_probabilities(alone, 1)[0], tuple(str(class_id) for class_id in alone[0]) if is_zipmap else ()


def check_sample(found: Probabilities, output_name: str, carried: Sample | None) -> None:
    """Hold the sample's answer to what probabilities are, and to what the facts carry."""
    if len(found) < 2:
        raise ArtifactError("expected probabilities of at least 2 classes, got 1; export a classifier")
    if not (np.isfinite(found).all() and (found >= 0).all() and abs(found.sum() - 1) < TOLERANCE):
        given = f"the sample's are {cut(str(found.tolist()), 100)}, in sum {found.sum():.6g}"
        message = f"{output_name!r} isn't probabilities, at least 0 and in sum 1: {given}"
        raise ArtifactError(f"{message}; {PROBABILITIES_FIX}")
    if carried and carried.probabilities is not None and not _are_close(found, carried.probabilities):
        message = f"its sample gives {found.tolist()}, its facts say {list(carried.probabilities)}"
        raise ArtifactError(f"{message}; the file was changed after training, train it again")


def probe(session: Session, columns: Columns, sample: Sequence[Any]) -> OwnAnswers:
    """Run rows around the sample, and give the model's own class ids beside the columns of the highest probability.

    Raises:
        ArtifactError: what it gives isn't from 0 to 1.
    """
    name, label_name = session.signature.output_name, session.signature.label_name
    answers = []
    for own, output in _run_probes(session, columns, sample):
        probabilities = session.to_probabilities(output, 1)[0]
        if (probabilities < -TOLERANCE).any() or (probabilities > 1 + TOLERANCE).any():
            got = f"{cut(str(probabilities.tolist()), 100)} for a row near its sample"
            raise ArtifactError(f"{name!r} isn't probabilities, from 0 to 1: {got}; {PROBABILITIES_FIX}")
        if label_name and np.isfinite(probabilities).all():
            answers.append((str(own.ravel()[0]), int(probabilities.argmax())))
    return answers


def _run_probes(session: Session, columns: Columns, sample: Sequence[Any]) -> Sequence[Sequence[Any]]:
    outputs = [session.signature.label_name or session.signature.output_name, session.signature.output_name]
    arrays = to_arrays(columns, [list(sample)])
    answers = []
    for step in range(N_PROBES):
        row, start = [], step * np.pi
        for array in arrays:
            offset = 10.0 ** (step % 4) * np.sin(start + step * np.arange(1, array.shape[1] + 1))
            row.append(array if array.dtype == object else (array + offset).astype(array.dtype))
            start += 1
        with contextlib.suppress(*RUN_ERRORS):  # a model needn't know every row
            answers.append(session.run_outputs(outputs, row))
    return answers


def check_labels(model: Model, answers: OwnAnswers) -> None:
    """Hold the labels to one a class, each its own; positions that stand in for class ids, against the model's own."""
    labels, n_classes = model.labels, len(model.sample_probabilities)
    if len(labels) != n_classes:
        raise ArtifactError(f"expected {n_classes} labels, one for each class, got {len(labels)}; mend them")
    if not all(labels) or len(set(labels)) != n_classes:
        raise ArtifactError(f"empty or repeated labels in {list(labels)}; give each class its own label")
    if model.labels_from == "their positions":
        for own, index in answers:
            if own != labels[index]:
                message = (
                    f"{model.signature.label_name!r} gives {cut(own, 100)!r}, and the file doesn't say which class"
                )
                raise ArtifactError(f"{message} has which column; name them in a label.json beside it")


def _are_close(found: Probabilities, carried: Sequence[float]) -> bool:
    return len(found) == len(carried) and np.allclose(found, carried, rtol=0, atol=TOLERANCE)
