"""Checks before a model is served: its facts, its sample's answer, its labels."""

from collections.abc import Sequence

import numpy as np

from function.classifier.facts import Feature, Sample
from function.classifier.model import BOOL, TEXT, Columns, Probabilities, cut
from function.classifier.outputs import TOLERANCE
from function.errors import ArtifactError


def check_width(what: str, columns: Columns, width: int) -> None:
    """Check that the facts have one entry per column of the inputs."""
    if width != len(columns.types):
        message = f"its facts have {width} {what}, its inputs take {len(columns.types)}; write the facts again"
        raise ArtifactError(message)


def check_features(columns: Columns) -> None:
    """Check the facts about the features against the inputs."""
    check_width("features", columns, len(columns.features))
    if len({feature.name for feature in columns.features}) != len(
        columns.features
    ):  # rows may be objects with names as keys
        raise ArtifactError("its facts give two features the same name; write the facts again with different names")
    for feature, type in zip(columns.features, columns.types, strict=True):
        if feature.counts is not None and not _are_counted(feature, type):
            raise ArtifactError(
                f'its facts count "{cut(feature.name, 100)}" in other bins than its own; write the facts again'
            )


def _are_counted(feature: Feature, type: str) -> bool:
    """Return whether a feature has one count per bin, and one for missing values."""
    counts, edges = feature.counts or (), feature.edges or ()
    if type in (TEXT, BOOL):
        n_bins = 2 if type == BOOL else len(set(feature.values or ()))
        return sum(counts) > 0 and len(counts) == n_bins + 1
    if feature.min is None or feature.max is None:
        return False
    ends = [feature.min, *edges, feature.max]
    return sum(counts) > 0 and len(counts) == len(edges) + 2 and ends == sorted(ends) and len(set(edges)) == len(edges)


def check_sample(found: Probabilities, carried: Sample | None) -> None:
    """Check the sample's answer against the probabilities in the facts."""
    if len(found) < 2:
        raise ArtifactError("expected probabilities of at least 2 classes, got 1; export a classifier")
    if carried and carried.probabilities is not None and not _are_close(found, carried.probabilities):
        message = f"its sample gives {found.tolist()}, its facts say {list(carried.probabilities)}"
        raise ArtifactError(f"{message}; the file was changed after training; train it again")


def check_labels(labels: Sequence[str], n_classes: int) -> None:
    """Check that each class has one label of its own."""
    if len(labels) != n_classes:
        raise ArtifactError(f"expected {n_classes} labels, one per class, got {len(labels)}; fix them")
    if not all(labels) or len(set(labels)) != n_classes:
        raise ArtifactError(f"empty or repeated labels in {list(labels)}; give each class its own label")


def _are_close(found: Probabilities, carried: Sequence[float]) -> bool:
    return len(found) == len(carried) and np.allclose(found, carried, rtol=0, atol=TOLERANCE)
