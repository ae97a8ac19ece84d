"""What a model must hold before it is served: its facts, its sample's answer, its labels."""

from collections.abc import Sequence

import numpy as np

from function.classifier.facts import Feature, Sample
from function.classifier.model import BOOL, TEXT, Columns, Probabilities, cut
from function.classifier.outputs import TOLERANCE
from function.errors import ArtifactError


def check_width(what: str, columns: Columns, width: int) -> None:
    """Hold what the facts give for each column against the inputs."""
    if width != len(columns.types):
        message = f"its facts give {width} {what}, its input takes {len(columns.types)}; write the facts anew"
        raise ArtifactError(message)


def check_features(columns: Columns) -> None:
    """Hold the features against the inputs."""
    check_width("features", columns, len(columns.features))
    if len({feature.name for feature in columns.features}) != len(columns.features):  # rows may be objects by name
        raise ArtifactError("its facts give two features one name; write the facts anew, each with its own")
    for feature, type in zip(columns.features, columns.types, strict=True):
        if feature.counts is not None and not _are_counted(feature, type):
            raise ArtifactError(
                f'its facts count "{cut(feature.name, 100)}" in other bins than it has; write the facts anew'
            )


def _are_counted(feature: Feature, type: str) -> bool:
    """Return whether a feature's counts are those of its bins, and one of what is missing."""
    counts, edges = feature.counts or (), feature.edges or ()
    if type in (TEXT, BOOL):
        n_bins = 2 if type == BOOL else len(set(feature.values or ()))
        return sum(counts) > 0 and len(counts) == n_bins + 1
    if feature.min is None or feature.max is None:
        return False
    ends = [feature.min, *edges, feature.max]
    return sum(counts) > 0 and len(counts) == len(edges) + 2 and ends == sorted(ends) and len(set(edges)) == len(edges)


def check_sample(found: Probabilities, carried: Sample | None) -> None:
    """Hold the sample's answer against what the facts carry."""
    if len(found) < 2:
        raise ArtifactError("expected probabilities of at least 2 classes, got 1; export a classifier")
    if carried and carried.probabilities is not None and not _are_close(found, carried.probabilities):
        message = f"its sample gives {found.tolist()}, its facts say {list(carried.probabilities)}"
        raise ArtifactError(f"{message}; the file was changed after training, train it again")


def check_labels(labels: Sequence[str], n_classes: int) -> None:
    """Hold the labels to one a class, each its own."""
    if len(labels) != n_classes:
        raise ArtifactError(f"expected {n_classes} labels, one for each class, got {len(labels)}; mend them")
    if not all(labels) or len(set(labels)) != n_classes:
        raise ArtifactError(f"empty or repeated labels in {list(labels)}; give each class its own label")


def _are_close(found: Probabilities, carried: Sequence[float]) -> bool:
    return len(found) == len(carried) and np.allclose(found, carried, rtol=0, atol=TOLERANCE)
